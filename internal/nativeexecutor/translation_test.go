package nativeexecutor

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// submitted gives what upstream is asked for a request.
func submitted(t *testing.T, o Options, r executor.Request) []native.Request {
	t.Helper()
	f := newFake()
	e := open(t, f, o)
	require.NoError(t, e.Submit(r))
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// words reads a list of words, each after its length.
func words(list any) (words [][]int64) {
	values, _ := list.([]int64)
	for len(values) > 0 {
		n := values[0] + 1
		words = append(words, values[1:n])
		values = values[n:]
	}
	return words
}

func TestTranslatesWhatIsUnset(t *testing.T) {
	r := submitted(t, options(), executor.Request{InputIDs: []int32{1, 2}, MaxTokens: 5})[0]
	require.Equal(t, []int32{1, 2}, r.Tokens)
	require.Equal(t, 5, r.MaxTokens)
	require.Equal(t, []native.Field{
		native.Ints("streaming", 1), native.Ints("topK", 0), {Name: "topP", Type: native.Float32, Floats: []float32{1}}, native.Ints("seed", 0),
		native.Ints("endId", -1), native.Ints("returnPerfMetrics", 1), {Name: "priority", Type: native.Float32, Floats: []float32{0}},
	}, r.Settings)
}

func TestTranslates(t *testing.T) {
	early, never := 7, -1
	for _, c := range []struct {
		name    string
		request executor.Request
		want    map[string]any
	}{
		{
			"greedy", executor.Request{Sampling: executor.Sampling{TopK: 1, Temperature: 3, TopP: 0.5, MinP: 0.5, TopPDecay: 0.5, TopPMin: 0.5, TopPResetIDs: []int32{1, 2}}},
			map[string]any{"topK": []int64{1}, "topP": float32(1), "temperature": nil, "minP": nil, "topPDecay": nil, "topPMin": nil, "topPResetIds": nil},
		},
		{
			"greedy, with penalties after the temperature", executor.Request{Sampling: executor.Sampling{TopK: 1, Temperature: 3, FrequencyPenalty: 1}},
			map[string]any{"topK": []int64{1}, "temperature": float32(3), "frequencyPenalty": float32(1)},
		},
		{
			"tiny temperature", executor.Request{Sampling: executor.Sampling{Temperature: 1e-30, PresencePenalty: 1, FrequencyPenalty: 2, RepetitionPenalty: 3}},
			map[string]any{"topK": []int64{1}, "temperature": nil, "presencePenalty": nil, "frequencyPenalty": nil, "repetitionPenalty": float32(3)},
		},
		{
			"drawn", executor.Request{Sampling: executor.Sampling{
				TopK: 3, Temperature: 0.5, TopP: 0.25, MinP: 0.125, TopPDecay: 0.75, TopPMin: 0.0625, TopPResetIDs: []int32{7}, Seed: math.MaxUint64,
				RepetitionPenalty: 1.5, PresencePenalty: 2, FrequencyPenalty: -2, PromptIgnoreLength: 1, NoRepeatNgramSize: 2,
			}, Priority: 0.5, CacheSalt: 8, AllottedTime: time.Millisecond + 1},
			map[string]any{
				"topK": []int64{3}, "temperature": float32(0.5), "topP": float32(0.25), "minP": float32(0.125), "topPDecay": float32(0.75),
				"topPMin": float32(0.0625), "topPResetIds": []int64{7}, "seed": []int64{-1}, "repetitionPenalty": float32(1.5),
				"presencePenalty": float32(2), "frequencyPenalty": float32(-2), "promptIgnoreLength": []int64{1}, "noRepeatNgramSize": []int64{2},
				"priority": float32(0.5), "cacheSaltID": []int64{8}, "allottedTimeMs": []int64{2},
			},
		},
		{"top_k of all", executor.Request{Sampling: executor.Sampling{TopK: math.MaxInt}}, map[string]any{"topK": []int64{0}}},
		{"least top_p", executor.Request{Sampling: executor.Sampling{TopP: math.SmallestNonzeroFloat32}}, map[string]any{"topP": float32(minTopP)}},
		{
			"too large", executor.Request{EndIDs: []int32{1}, Sampling: executor.Sampling{MinTokens: math.MaxInt, NoRepeatNgramSize: math.MaxInt, PromptIgnoreLength: math.MaxInt}, AllottedTime: math.MaxInt64},
			map[string]any{"minTokens": []int64{6}, "noRepeatNgramSize": nil, "promptIgnoreLength": []int64{2}, "allottedTimeMs": []int64{math.MaxInt32}},
		},
		{"ones are off", executor.Request{Sampling: executor.Sampling{RepetitionPenalty: 1, Temperature: 1, TopPDecay: 1}}, map[string]any{"repetitionPenalty": nil, "temperature": nil, "topPDecay": nil}},
		{
			"beams", executor.Request{Streaming: true, Sampling: executor.Sampling{BeamWidth: 3, NumReturnSequences: 2, LengthPenalty: 0.5, EarlyStopping: &early, BeamSearchDiversityRate: 0.25, TopK: 4}},
			map[string]any{
				"streaming": nil, "topK": nil, "topP": nil, "seed": nil, "beamWidth": []int64{3}, "numReturnSequences": []int64{2}, "lengthPenalty": float32(0.5),
				"earlyStopping": []int64{7}, "beamSearchDiversityRate": float32(0.25), "returnLogProbs": []int64{1},
			},
		},
		{"all beams", executor.Request{Sampling: executor.Sampling{BeamWidth: 3}}, map[string]any{"numReturnSequences": nil, "earlyStopping": []int64{1}, "lengthPenalty": float32(0)}},
		{"never early", executor.Request{Sampling: executor.Sampling{BeamWidth: 3, EarlyStopping: &never}}, map[string]any{"earlyStopping": []int64{2}}},
		{
			"least penalties", executor.Request{Sampling: executor.Sampling{BeamWidth: 3, PresencePenalty: -math.MaxFloat32, FrequencyPenalty: -math.MaxFloat32, LengthPenalty: -math.MaxFloat32}},
			map[string]any{"presencePenalty": leastPenalty, "frequencyPenalty": leastPenalty, "lengthPenalty": leastPenalty},
		},
		{"log-probs", executor.Request{LogProbs: true}, map[string]any{"returnLogProbs": []int64{1}, "returnGenerationLogits": nil}},
		{"log-probs after edits", executor.Request{LogProbs: true, BadSequences: [][]int32{{1}}}, map[string]any{"returnLogProbs": nil, "returnGenerationLogits": []int64{1}}},
		{"log-probs and the best", executor.Request{LogProbs: true, TopLogProbs: 2}, map[string]any{"returnLogProbs": nil, "returnGenerationLogits": []int64{1}}},
		{"logits", executor.Request{GenerationLogits: true, ContextLogits: true}, map[string]any{"returnContextLogits": []int64{1}, "returnGenerationLogits": []int64{1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.request.InputIDs, c.request.MaxTokens = []int32{1, 2}, 5
			r := submitted(t, options(), c.request)[0]
			for name, want := range c.want {
				require.Equal(t, want, setting(r, name), name)
			}
		})
	}
}

func TestTranslatesEnds(t *testing.T) {
	r := executor.Request{InputIDs: []int32{1}, MaxTokens: 5, EndIDs: []int32{3, 4, 3, 5}, StopSequences: [][]int32{{6, 7}, {8}}, BadSequences: [][]int32{{9}, {10, 11}}}
	got := submitted(t, options(), r)[0]
	require.Equal(t, []int64{3}, setting(got, "endId"))
	require.Equal(t, [][]int64{{4}, {5}, {8}}, words(setting(got, "stopWords")), "longer ones are looked for here")
	require.Equal(t, [][]int64{{9}, {10, 11}}, words(setting(got, "badWords")))
	require.Equal(t, []int64{0}, setting(got, "minTokens"), "its default is 1, beside others with more")

	r.EndIDs, r.Sampling.MinTokens = []int32{3}, 2
	got = submitted(t, options(), r)[0]
	require.Equal(t, []int64{2}, setting(got, "minTokens"))
	require.Nil(t, setting(got, "stopWords"), "upstream does not hold these back")

	r.EndIDs, r.Sampling = []int32{3, 4}, executor.Sampling{BeamWidth: 2}
	got = submitted(t, options(), r)[0]
	require.Equal(t, [][]int64{{4}, {6, 7}, {8}}, words(setting(got, "stopWords")), "of beams nothing is seen before the end")
}

func TestTranslatesSequences(t *testing.T) {
	requests := submitted(t, options(), executor.Request{
		InputIDs: []int32{1, 2}, MaxTokens: 5, PromptLogProbs: true, CacheSalt: 5, Sampling: executor.Sampling{NumReturnSequences: 3, Seed: math.MaxUint64},
	})
	require.Len(t, requests, 3)
	ids := map[uint64]bool{}
	for i, r := range requests {
		ids[r.ClientID] = true
		require.Equal(t, []int64{int64(i - 1)}, setting(r, "seed"))
		if i == 0 {
			require.Equal(t, []int64{1}, setting(r, "returnContextLogits"))
			require.NotEqual(t, []int64{5}, setting(r, "cacheSaltID"), "nothing of its prompt may be there")
			continue
		}
		require.Nil(t, setting(r, "returnContextLogits"))
		require.Equal(t, []int64{5}, setting(r, "cacheSaltID"))
	}
	require.Len(t, ids, 3)
}

func TestTranslatesBias(t *testing.T) {
	inf := float32(math.Inf(-1))
	r := executor.Request{InputIDs: []int32{1}, MaxTokens: 5, Sampling: executor.Sampling{Bias: map[int32]float32{0: 1.5, 2: math.MaxFloat32, 3: inf, 15: -2}}}
	for logits, want := range map[string][]float32{
		"FLOAT": {1.5, 0, math.MaxFloat32, inf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -2},
		"HALF":  {1.5, 0, 65504, inf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -2},
		"BF16":  {1.5, 0, math.Float32frombits(0x7f7f0000), inf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -2},
	} {
		o := options()
		o.LogitsType = logits
		bias := submitted(t, o, r)[0].EmbeddingBias
		require.Equal(t, []int64{16}, bias.Dims)
		require.Equal(t, logits, bias.Type)
		bias.Dims = []int64{1, 16}
		got, err := rows(&bias, 1, 16)
		require.NoError(t, err)
		require.Equal(t, want, got[0])
	}
}
