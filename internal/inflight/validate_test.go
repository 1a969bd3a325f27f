package inflight

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// Each refusal names the value and what is allowed; the value at the edge is taken.
func TestRefusals(t *testing.T) {
	e := openToy(t, Options{}, nil)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	sampling := func(s executor.Sampling) executor.Request { return executor.Request{Sampling: s} }
	for _, c := range []struct {
		request executor.Request
		want    string
	}{
		{sampling(executor.Sampling{TopK: -1}), "top_k is -1, at least 0 is needed"},
		{sampling(executor.Sampling{TopP: -0.5}), "top_p is -0.5, above 0 and up to 1 is allowed"},
		{sampling(executor.Sampling{TopP: 1.5}), "top_p is 1.5"},
		{sampling(executor.Sampling{TopP: nan}), "top_p is NaN"},
		{sampling(executor.Sampling{TopPDecay: -0.1}), "top_p decay is -0.1, above 0 and up to 1 is allowed"},
		{sampling(executor.Sampling{TopPDecay: 1.1}), "top_p decay is 1.1"},
		{sampling(executor.Sampling{TopPMin: -1}), "top_p min is -1, 0 to 1 is allowed"},
		{sampling(executor.Sampling{TopPMin: 2}), "top_p min is 2"},
		{sampling(executor.Sampling{TopPResetIDs: []int32{96, 97}}), "top_p reset id 1 is token 97, the vocabulary has 97"},
		{sampling(executor.Sampling{MinP: 1.01}), "min_p is 1.01, 0 to 1 is allowed"},
		{sampling(executor.Sampling{Temperature: -1}), "temperature is -1, a finite number of at least 0 is needed"},
		{sampling(executor.Sampling{Temperature: inf}), "temperature is +Inf"},
		{sampling(executor.Sampling{MinTokens: -2}), "min tokens is -2, at least 0 is needed"},
		{sampling(executor.Sampling{RepetitionPenalty: -1}), "repetition penalty is -1, a finite number above 0 is needed"},
		{sampling(executor.Sampling{PresencePenalty: nan}), "presence penalty is NaN, a finite number is needed"},
		{sampling(executor.Sampling{FrequencyPenalty: inf}), "frequency penalty is +Inf, a finite number is needed"},
		{sampling(executor.Sampling{PromptIgnoreLength: -3}), "prompt ignore length is -3, at least 0 is needed"},
		{sampling(executor.Sampling{NoRepeatNgramSize: -1}), "no repeat n-gram size is -1, at least 0 is needed"},
		{sampling(executor.Sampling{Bias: map[int32]float32{5: nan}}), "bias of token 5 is NaN, a finite number is needed, or -Inf to ban it"},
		{sampling(executor.Sampling{NumReturnSequences: 5000}), "number of return sequences is 5000, 1 to 4096 is allowed"},
		{sampling(executor.Sampling{BeamWidth: -2}), "beam width is -2, at least 1 is needed"},
		{sampling(executor.Sampling{BeamWidth: 3, NumReturnSequences: 4}), "number of return sequences is 4, beam width is 3"},
		{sampling(executor.Sampling{LengthPenalty: nan}), "length penalty is NaN, a finite number is needed"},
		{sampling(executor.Sampling{BeamSearchDiversityRate: -0.5}), "beam search diversity rate is -0.5, a finite number of at least 0 is needed"},
		{executor.Request{TopLogProbs: 17}, "top log-probs is 17, 0 to 16 is allowed"},
		{executor.Request{TopLogProbs: -1}, "top log-probs is -1"},
		{executor.Request{PromptTopLogProbs: 1025}, "prompt top log-probs is 1025, 0 to 16 is allowed"},
		{executor.Request{ProcessorData: 1}, "without a logits processor: set one in its options"},
	} {
		c.request.InputIDs, c.request.MaxTokens = []int32{1, 2}, 2
		err := e.Submit(c.request)
		require.ErrorIs(t, err, executor.ErrInvalidRequest, c.want)
		require.ErrorContains(t, err, c.want)
	}
	err := e.Submit(executor.Request{InputIDs: []int32{1}, MaxTokens: 1, Sampling: executor.Sampling{BeamWidth: 9}})
	require.ErrorIs(t, err, executor.ErrUnsupported)
	require.ErrorContains(t, err, "beam width is 9, 1 to 8 is allowed, the engine's max_batch_size")

	edge := executor.Request{InputIDs: []int32{1, 2}, MaxTokens: 2, TopLogProbs: 16, PromptTopLogProbs: 16, Sampling: executor.Sampling{
		TopP: 1, TopPDecay: 1, TopPMin: 1, TopPResetIDs: []int32{96}, MinP: 1, LengthPenalty: -2, PromptIgnoreLength: math.MaxInt,
		NumReturnSequences: 4096, BeamWidth: 1,
	}}
	for _, out := range generate(t, e, edge)[0] {
		require.NoError(t, out.Err)
	}
}
