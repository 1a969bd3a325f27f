package main

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

// requestsOf gives the requests of a command line for two prompts, and the log.
func requestsOf(t *testing.T, args ...string) ([]trtllm.Request, string, error) {
	var log bytes.Buffer
	app := newApp(nil, nil, &log)
	var requests []trtllm.Request
	findCommand(app.Commands, "run").Action = func(c *cli.Context) error {
		if err := checkRunFlags(c, newLogger(c)); err != nil {
			return err
		}
		var err error
		requests, err = runRequests(c, []*prompt{{ids: []int32{1}}, {ids: []int32{2}}}, wantedLogits{}, newLogger(c))
		return err
	}
	argv, err := normalizeArgs(app, append([]string{"trtgo", "run", "--max_output_len", "7"}, args...))
	require.NoError(t, err)
	err = app.RunContext(t.Context(), argv)
	return requests, log.String(), err
}

// greedy is what no flag changes.
var greedy = trtllm.Sampling{TopK: 1, NumReturnSequences: 1, RepetitionPenalty: 1}

func TestRunSampling(t *testing.T) {
	early := func(n int) *int { return &n }
	tests := []struct {
		name string
		args []string
		want trtllm.Sampling
		log  string
	}{
		{"nothing", nil, greedy, ""},
		{"drawing", []string{"--top_k", "0", "--top_p", "0.5", "--top_p_decay", "0.9", "--top_p_min", "0.1", "--top_p_reset_ids", "5, 6", "--min_p", "0.25", "--temperature", "2", "--random_seed", "9", "--num_return_sequences", "3"},
			trtllm.Sampling{TopP: 0.5, TopPDecay: 0.9, TopPMin: 0.1, TopPResetIDs: []int32{5, 6}, MinP: 0.25, Temperature: 2, Seed: 9, NumReturnSequences: 3, RepetitionPenalty: 1}, ""},
		{"penalties", []string{"--repetition_penalty", "2", "--presence_penalty", "3", "--frequency_penalty", "4", "--prompt_ignore_length", "5", "--no_repeat_ngram_size", "6", "--min_tokens", "7", "--logit_bias", "5=-1.5", "6=-inf", "--logit_bias", "7=2"},
			trtllm.Sampling{TopK: 1, NumReturnSequences: 1, RepetitionPenalty: 2, PresencePenalty: 3, FrequencyPenalty: 4, PromptIgnoreLength: 5, NoRepeatNgramSize: 6, MinTokens: 7,
				Bias: map[int32]float32{5: -1.5, 6: float32(math.Inf(-1)), 7: 2}}, ""},
		{"greedy and drawing", []string{"--temperature", "2", "--top_p", "0.5", "--min_p", "0.5"}, greedy,
			"warning: --temperature has no effect while --top_k is 1 (greedy); add --top_k 0 to draw from all tokens\nwarning: --top-p has no effect while --top_k is 1 (greedy); add --top_k 0 to draw from all tokens\nwarning: --min-p has no effect while --top_k is 1 (greedy); add --top_k 0 to draw from all tokens\n"},
		{"temperature 0", []string{"--temperature", "0", "--top_k", "50", "--top_p", "0.5"}, greedy,
			"warning: --top-k has no effect while --temperature is 0 (greedy)\nwarning: --top-p has no effect while --temperature is 0 (greedy)\n"},
		{"temperature that is 0 as a float32", []string{"--temperature", "1e-60", "--top_k", "0"}, greedy, "warning: --top-k has no effect while --temperature is 0 (greedy)\n"},
		{"decay of nothing", []string{"--top_k", "4", "--top_p_decay", "0.5", "--top_p_min", "0.5"}, trtllm.Sampling{TopK: 4, TopPDecay: 0.5, TopPMin: 0.5, Temperature: 1, NumReturnSequences: 1, RepetitionPenalty: 1},
			"warning: --top-p-decay has no effect without --top_p\nwarning: --top-p-min has no effect without --top_p\n"},
		{"beams, as upstream's defaults", []string{"--num_beams", "4"}, trtllm.Sampling{BeamWidth: 4, NumReturnSequences: 4, LengthPenalty: 1, EarlyStopping: early(1), Temperature: 1, RepetitionPenalty: 1}, ""},
		{"beams", []string{"--num_beams", "4", "--num_return_sequences", "2", "--length_penalty", "-0.5", "--early_stopping", "0", "--beam_search_diversity_rate", "0.5", "--temperature", "2"},
			trtllm.Sampling{BeamWidth: 4, NumReturnSequences: 2, LengthPenalty: -0.5, EarlyStopping: early(0), BeamSearchDiversityRate: 0.5, Temperature: 2, RepetitionPenalty: 1}, ""},
		{"beams and drawing", []string{"--num_beams", "2", "--top_k", "5", "--top_p", "0.5"}, trtllm.Sampling{BeamWidth: 2, NumReturnSequences: 2, LengthPenalty: 1, EarlyStopping: early(1), Temperature: 1, RepetitionPenalty: 1},
			"warning: --top-p has no effect with --num_beams 2: beam search does not draw\nwarning: --top-k has no effect with --num_beams 2: beam search does not draw\n"},
		{"no beams", []string{"--length_penalty", "2", "--early_stopping", "0", "--beam_search_diversity_rate", "1"}, greedy,
			"warning: --length-penalty has no effect without --num_beams\nwarning: --early-stopping has no effect without --num_beams\nwarning: --beam-search-diversity-rate has no effect without --num_beams\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requests, log, err := requestsOf(t, tt.args...)
			require.NoError(t, err)
			require.Len(t, requests, 2)
			require.Equal(t, tt.want, requests[0].Sampling)
			require.Equal(t, tt.want, requests[1].Sampling)
			require.Equal(t, tt.log, log)
		})
	}
}

func TestRunRequests(t *testing.T) {
	requests, log, err := requestsOf(t)
	require.NoError(t, err)
	require.Empty(t, log)
	plain := trtllm.Request{InputIDs: []int32{1}, MaxTokens: 7, Sampling: greedy, KeepSpecialTokens: true, Priority: 0.5}
	require.Equal(t, plain, requests[0])

	requests, log, err = requestsOf(t, "--json", "--return_log_probs", "--top_log_probs", "3", "--prompt_log_probs", "--prompt_top_log_probs", "4", "--priority", "0", "0.75",
		"--cache_salt", "18446744073709551615", "--stop_words", "a", "b", "--trim_stop_words", "--bad_words", "c", "--bad_words", "d", "--end_id", "-1", "--timeout", "3s")
	require.NoError(t, err)
	require.Empty(t, log)
	want := trtllm.Request{
		InputIDs: []int32{1}, MaxTokens: 7, Sampling: greedy, KeepSpecialTokens: true, LogProbs: true, TopLogProbs: 3, PromptLogProbs: true, PromptTopLogProbs: 4,
		Priority:  math.SmallestNonzeroFloat32, // 0 would be the default
		CacheSalt: math.MaxUint64, StopWords: []string{"a", "b"}, TrimStopWords: true, BadWords: []string{"c"}, EndIDs: []int32{}, Timeout: 3 * time.Second,
	}
	require.Equal(t, want, requests[0])
	want.InputIDs, want.Priority, want.BadWords = []int32{2}, 0.75, []string{"d"}
	require.Equal(t, want, requests[1])

	_, log, err = requestsOf(t, "--return_log_probs", "--top_log_probs", "1", "--prompt_log_probs", "--prompt_top_log_probs", "1")
	require.NoError(t, err)
	require.Equal(t, "warning: --return-log-probs has no effect without --json\nwarning: --top-log-probs has no effect without --json\n"+
		"warning: --prompt-log-probs has no effect without --json\nwarning: --prompt-top-log-probs has no effect without --json\n", log)
}

func TestRunRefuses(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--num_beams", "0"}, "--num-beams is 0, must be at least 1"},
		{[]string{"--num_beams", "2", "--num_return_sequences", "3"}, "--num_return_sequences is 3, must be at most --num_beams 2"},
		{[]string{"--num_beams", "2", "--output_logits_npy", "x.npy"}, "--output_logits_npy writes one sequence a prompt, not 2; use --num_return_sequences 1"},
		{[]string{"--length_penalty", "inf"}, "--length-penalty is +Inf, must be from -3.4028234663852886e+38 to 3.4028234663852886e+38"},
		{[]string{"--beam_search_diversity_rate=-1"}, "--beam-search-diversity-rate is -1, must be from 0 to 3.4028234663852886e+38"},
		{[]string{"--top_p_decay", "0"}, "--top-p-decay is 0, must be above 0 and at most 1"},
		{[]string{"--top_p_min", "2"}, "--top-p-min is 2, must be from 0 to 1"},
		{[]string{"--top_k", "0", "--top_p", "0.5", "--top_p_reset_ids", "x"}, `--top-p-reset-ids "x": "x" is no token id`},
		{[]string{"--top_p_reset_ids", "1,x"}, `--top-p-reset-ids "1,x": "x" is no token id`}, // though it has no effect
		{[]string{"--temperature", "0", "--num_beams", "2"}, "--temperature is 0, must be above 0 with --num_beams 2"},
		{[]string{"--min_tokens=-1"}, "--min-tokens is -1, must be at least 0"},
		{[]string{"--prompt_ignore_length=-1"}, "--prompt-ignore-length is -1, must be at least 0"},
		{[]string{"--logit_bias", "5"}, `--logit_bias "5" is not ID=VALUE, a token and a number or -inf`},
		{[]string{"--logit_bias", "5=nan"}, `--logit_bias "5=nan" is not ID=VALUE, a token and a number or -inf`},
		{[]string{"--logit_bias", "5=inf"}, `--logit_bias "5=inf" is not ID=VALUE, a token and a number or -inf`},
		{[]string{"--logit_bias", "x=1"}, `--logit_bias "x=1" is not ID=VALUE, a token and a number or -inf`},
		{[]string{"--logit_bias=-5=1"}, `--logit_bias "-5=1" is not ID=VALUE, a token and a number or -inf`},
		{[]string{"--priority", "1.5"}, `--priority "1.5" is no number from 0 to 1`},
		{[]string{"--priority", "nan"}, `--priority "nan" is no number from 0 to 1`},
		{[]string{"--priority", "0.1", "0.2", "0.3"}, "--priority has 3 values for 2 prompts; give one for all, or one for each"},
		{[]string{"--cache_salt", "x"}, `--cache_salt "x" is no whole number from 0 to 2^64-1`},
		{[]string{"--top_log_probs=-1"}, "--top-log-probs is -1, must be at least 0"},
		{[]string{"--prompt_top_log_probs=-1"}, "--prompt-top-log-probs is -1, must be at least 0"},
		{[]string{"--scheduler_policy", "static"}, `--scheduler-policy "static" is none of guaranteed_no_evict, max_utilization`},
		{[]string{"--kv_cache_free_gpu_memory_fraction", "0"}, "--kv-cache-free-gpu-memory-fraction is 0, must be above 0 and below 1"},
		{[]string{"--kv_cache_free_gpu_memory_fraction", "1"}, "--kv-cache-free-gpu-memory-fraction is 1, must be above 0 and below 1"},
		{[]string{"--max_queue_size=-1"}, "--max-queue-size is -1, must be at least 0"},
		{[]string{"--max_num_tokens=-1"}, "--max-num-tokens is -1, must be at least 0"},
		{[]string{"--max_batch_size=-1"}, "--max-batch-size is -1, must be at least 0"},
	}
	for _, tt := range tests {
		t.Run(tt.args[0], func(t *testing.T) {
			_, _, err := requestsOf(t, tt.args...)
			require.EqualError(t, err, tt.want)
			require.True(t, isUsage(err))
		})
	}
}
