package nativeexecutor

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// What TensorRT-LLM's executor cannot do is refused, by name.
func TestRefusals(t *testing.T) {
	all := options()
	all.VocabSize = 2000
	none := all
	none.ContextLogits, none.GenerationLogits, none.MaxBeamWidth = false, false, 0
	orchestrated := all
	orchestrated.Orchestrator = true
	padded := all
	padded.Ranks = 3
	beams := func(r executor.Request) executor.Request {
		r.Sampling.BeamWidth = 2
		return r
	}
	for _, c := range []struct {
		options Options
		request executor.Request
		want    string
	}{
		{all, executor.Request{ProcessorData: 1}, "processor data is given, but TensorRT-LLM's executor calls no logits processor"},
		{all, executor.Request{Sampling: executor.Sampling{TopPResetIDs: []int32{1, 2}}}, "2 top_p reset ids are given, TensorRT-LLM takes one"},
		{all, executor.Request{Sampling: executor.Sampling{TopK: 1025}}, "top_k is 1025, TensorRT-LLM takes up to 1024"},
		{all, executor.Request{EndIDs: []int32{1, 2}, Sampling: executor.Sampling{MinTokens: 2}}, "min tokens is 2 and there are 2 end ids"},
		{all, executor.Request{EndIDs: []int32{1}, Sampling: executor.Sampling{MinTokens: 1}}, "min tokens is 1, which TensorRT-LLM takes for none"},
		{all, executor.Request{Sampling: executor.Sampling{BeamWidth: 5}}, "beam width is 5, 1 to 4 is allowed, the engine's max_beam_width"},
		{none, beams(executor.Request{}), "beam width is 2, 1 to 1 is allowed"},
		{all, beams(executor.Request{StopSequences: [][]int32{{1}}, Sampling: executor.Sampling{MinTokens: 1}}), "min tokens is 1 and there are stop sequences"},
		{all, beams(executor.Request{GenerationLogits: true}), "generation logits are asked for with beams"},
		{all, beams(executor.Request{TopLogProbs: 1}), "top log-probs are asked for with beams"},
		{all, beams(executor.Request{LogProbs: true, Sampling: executor.Sampling{Temperature: 2}}), "log-probs of beams are asked for with temperature"},
		{none, executor.Request{GenerationLogits: true}, "generation logits are asked for, which this engine does not give: open the engine with gatherGenerationLogits"},
		{none, executor.Request{TopLogProbs: 1}, "top log-probs are asked for, which this engine does not give: open"},
		{none, executor.Request{LogProbs: true, Sampling: executor.Sampling{Temperature: 2}}, "log-probs with temperature, penalties, bias, bans or min_p are asked for"},
		{none, executor.Request{LogProbs: true, Sampling: executor.Sampling{MinP: 0.1}}, "log-probs with temperature"},
		{none, executor.Request{LogProbs: true, Sampling: executor.Sampling{RepetitionPenalty: 2}}, "log-probs with temperature"},
		{none, executor.Request{LogProbs: true, Sampling: executor.Sampling{PresencePenalty: 2}}, "log-probs with temperature"},
		{none, executor.Request{LogProbs: true, Sampling: executor.Sampling{FrequencyPenalty: 2}}, "log-probs with temperature"},
		{none, executor.Request{LogProbs: true, Sampling: executor.Sampling{NoRepeatNgramSize: 2}}, "log-probs with temperature"},
		{none, executor.Request{LogProbs: true, Sampling: executor.Sampling{Bias: map[int32]float32{1: 1}}}, "log-probs with temperature"},
		{none, executor.Request{LogProbs: true, BadSequences: [][]int32{{1}}}, "log-probs with temperature"},
		{none, executor.Request{LogProbs: true, EndIDs: []int32{1}, Sampling: executor.Sampling{MinTokens: 2}}, "log-probs with temperature"},
		{none, executor.Request{ContextLogits: true}, "context logits are asked for, which this engine does not give: build the engine with gather_context_logits"},
		{none, executor.Request{PromptLogProbs: true}, "prompt log-probs are asked for"},
		{none, executor.Request{PromptTopLogProbs: 1}, "prompt log-probs are asked for"},
		{padded, executor.Request{Sampling: executor.Sampling{Bias: map[int32]float32{1: 1}}}, "TensorRT-LLM takes none where the vocabulary (2000) is no multiple of the ranks (3)"},
		{orchestrated, executor.Request{ContextLogits: true}, "context logits or prompt log-probs are asked for, TensorRT-LLM's orchestrator carries no logits"},
		{orchestrated, executor.Request{PromptTopLogProbs: 1}, "context logits or prompt log-probs are asked for, TensorRT-LLM's orchestrator carries no logits"},
	} {
		e := open(t, newFake(), c.options)
		c.request.InputIDs, c.request.MaxTokens = []int32{1, 2}, 2
		err := e.Submit(c.request)
		require.ErrorIs(t, err, executor.ErrUnsupported, c.want)
		require.ErrorContains(t, err, c.want)
		require.Zero(t, e.Stats().QueuedRequests)
	}
}

// Beams of which the last token begins a block fit but for that one, which upstream wants
// for each: 1 + 4·3 blocks, not 1 + 4·2.
func TestRefusesBeamsThatWaitForEver(t *testing.T) {
	e := open(t, newFake(), options())
	r := executor.Request{InputIDs: make([]int32, 5), MaxTokens: 8, Sampling: executor.Sampling{BeamWidth: 4}}
	err := e.Submit(r)
	require.ErrorIs(t, err, executor.ErrTooLong)
	require.ErrorContains(t, err, "a prompt of 5 tokens and 8 to generate by each of 4 beams need 13 KV blocks of 4 tokens in TensorRT-LLM, the KV cache has 10")
	r.MaxTokens = 7
	require.NoError(t, e.Submit(r), "1 + 4·2 blocks")
}

// Upstream's kernel has room for n-grams of 32 tokens. Longer ones than there are tokens
// forbid nothing.
func TestNgramSizes(t *testing.T) {
	o := options()
	o.MaxInputLen, o.MaxSeqLen = 39, 64
	f := newFake()
	e := open(t, f, o)
	r := executor.Request{InputIDs: make([]int32, 30), MaxTokens: 4}
	for size, want := range map[int]any{32: []int64{32}, 34: nil, math.MaxInt: nil} {
		r.ClientID++
		r.Sampling.NoRepeatNgramSize = size
		require.NoError(t, e.Submit(r))
		require.Equal(t, want, setting(f.requests[len(f.requests)-1], "noRepeatNgramSize"))
	}
	r.ClientID++
	r.Sampling.NoRepeatNgramSize = 33
	err := e.Submit(r)
	require.ErrorIs(t, err, executor.ErrUnsupported)
	require.ErrorContains(t, err, "no repeat n-gram size is 33, TensorRT-LLM takes up to 32")
}

// What does nothing to a greedy request is no reason to refuse it.
func TestTakesGreedy(t *testing.T) {
	o := options()
	o.GenerationLogits = false
	e := open(t, newFake(), o)
	r := executor.Request{InputIDs: []int32{1}, MaxTokens: 1, LogProbs: true, Sampling: executor.Sampling{TopK: 1, Temperature: 0.7, MinP: 0.5, TopPResetIDs: []int32{1, 2}}}
	require.NoError(t, e.Submit(r))
	r.ClientID, r.Sampling = 1, executor.Sampling{Temperature: 1, TopK: 4, TopP: 0.5}
	require.NoError(t, e.Submit(r), "what is cut off the distribution changes none of its log-probs")
}

// A prompt and its output must fit the KV cache, whose size the self-check told: ten
// blocks of four tokens.
func TestRefusesWhatDoesNotFit(t *testing.T) {
	o := options()
	o.MaxInputLen, o.MaxSeqLen = 50, 64
	e := open(t, newFake(), o)
	err := e.Submit(executor.Request{InputIDs: make([]int32, 39), MaxTokens: 2})
	require.ErrorIs(t, err, executor.ErrTooLong)
	require.ErrorContains(t, err, "a prompt of 39 tokens and 2 to generate, max_seq_len is 40, which is all that the KV cache holds")
	require.NoError(t, e.Submit(executor.Request{InputIDs: make([]int32, 39), MaxTokens: 1}))
	err = e.Submit(executor.Request{ClientID: 1, InputIDs: make([]int32, 9), MaxTokens: 20, Sampling: executor.Sampling{BeamWidth: 3}})
	require.ErrorIs(t, err, executor.ErrTooLong)
	require.ErrorContains(t, err, "20 to generate by each of 3 beams need 17 KV blocks of 4 tokens, the KV cache has 10")
}

func TestRefusesOptions(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.VocabSize = 0 }, "vocab_size is 0, at least 1 is needed"},
		{func(o *Options) { o.MaxInputLen = -1 }, "max_input_len is -1"},
		{func(o *Options) { o.MaxSeqLen = 0 }, "max_seq_len is 0"},
		{func(o *Options) { o.MaxBeamWidth = -1 }, "max_beam_width is -1"},
		{func(o *Options) { o.LogitsType = "FP8" }, `logits are "FP8", FLOAT, HALF or BF16 are known`},
	} {
		f := newFake()
		o := options()
		c.change(&o)
		_, err := New(f, o)
		require.ErrorIs(t, err, executor.ErrInvalidOption)
		require.ErrorContains(t, err, c.want)
		require.Eventually(t, f.closed, waitTime, tick, "the engine is freed")
	}
}
