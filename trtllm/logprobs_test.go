//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/trtllm"
)

// logProbEngine is an engine whose log-probs are compared with transformers' within
// a tolerance.
type logProbEngine struct {
	name      string
	golden    testmodel.LogProbReference
	tolerance float64
	*trtllm.Engine
}

// eachLogProbEngine runs a test on every model that has reference log-probs, with
// float32 weights and, where these are the model's own, with bfloat16 ones.
func eachLogProbEngine(t *testing.T, test func(t *testing.T, e logProbEngine)) {
	for _, name := range testmodel.LogProbNames() {
		golden := testmodel.LogProbs(t, name)
		dtypes := map[string]float64{"float32": 3e-4}
		if golden.Weights == "bfloat16" {
			dtypes["bfloat16"] = 2e-3
		}
		for dtype, tolerance := range dtypes {
			t.Run(name+" "+dtype, func(t *testing.T) {
				e := open(t, engineDir(t, name, dtype), trtllm.WithPrecision("exact"))
				test(t, logProbEngine{name, golden, tolerance, e})
			})
		}
	}
}

// best is how many of the best tokens are asked for.
const best = 5

// Log-probs of prompt and output, the best tokens beside them and their sum are
// transformers', however the prompt is cut into steps, streamed or not.
func TestLogProbsEqualTransformers(t *testing.T) {
	eachLogProbEngine(t, func(t *testing.T, e logProbEngine) {
		short := open(t, engineDir(t, e.name, e.Config().Dtype), trtllm.WithPrecision("exact"), trtllm.WithMaxNumTokens(7))
		require.Equal(t, 7, short.Config().MaxNumTokens)
		for p, golden := range e.golden.Prompts {
			r := trtllm.Request{
				InputIDs: golden.IDs, MaxTokens: len(golden.GreedyIDs), EndIDs: []int32{},
				LogProbs: true, TopLogProbs: best, PromptLogProbs: true, PromptTopLogProbs: best,
			}
			response, err := e.Generate(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, golden.GreedyIDs, response.OutputIDs, "prompt %d", p)
			require.InDeltaSlice(t, golden.GreedyLogProbs, response.LogProbs, e.tolerance, "prompt %d", p)
			require.InDelta(t, golden.Cumulative, response.CumLogProb, float64(len(golden.GreedyIDs))*e.tolerance, "prompt %d", p)
			requireBest(t, golden.GreedyBest, response.TopLogProbs, e.tolerance)

			require.Zero(t, response.PromptLogProbs[0])
			require.InDeltaSlice(t, golden.LogProbs, response.PromptLogProbs, e.tolerance, "prompt %d", p)
			require.Empty(t, response.PromptTopLogProbs[0])
			requireBest(t, golden.Best, response.PromptTopLogProbs[1:], e.tolerance)

			requireStreamed(t, e.Engine, r, response)
			cut, err := short.Generate(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, untimed(response.Sequence), untimed(cut.Sequence))
			require.Equal(t, response.PromptLogProbs, cut.PromptLogProbs)
			require.Equal(t, response.PromptTopLogProbs, cut.PromptTopLogProbs)
		}
	})
}

// requireBest compares ranks: the n-th largest of numbers that are each within the
// tolerance is within it. Tokens must be the same where their neighbours are farther.
func requireBest(t *testing.T, want []testmodel.Best, got [][]trtllm.LogProb, tolerance float64) {
	t.Helper()
	require.Len(t, got, len(want))
	sure := 0
	for i := range want {
		require.Len(t, got[i], best)
		for rank, g := range got[i] {
			id, logProb := want[i].At(rank)
			require.InDelta(t, logProb, g.LogProb, tolerance, "place %d, rank %d", i, rank)
			_, next := want[i].At(rank + 1)
			apart := logProb-next > 2*tolerance
			if rank > 0 {
				_, former := want[i].At(rank - 1)
				apart = apart && former-logProb > 2*tolerance
			}
			if apart {
				sure++
				require.Equal(t, id, g.Token, "place %d, rank %d", i, rank)
			}
		}
	}
	require.Greater(t, sure, 9*best*len(want)/10, "too few tokens to compare")
}

// requireStreamed joins the chunks of a stream and compares them with a response.
func requireStreamed(t *testing.T, e *trtllm.Engine, r trtllm.Request, want *trtllm.Response) {
	t.Helper()
	var joined trtllm.Response
	first := true
	for chunk, err := range e.Stream(t.Context(), r) {
		require.NoError(t, err)
		if first {
			joined.PromptLogProbs, joined.PromptTopLogProbs = chunk.PromptLogProbs, chunk.PromptTopLogProbs
		} else {
			require.Nil(t, chunk.PromptLogProbs, "once, in the first chunk")
			require.Nil(t, chunk.PromptTopLogProbs)
		}
		first = false
		require.Len(t, chunk.LogProbs, len(chunk.OutputIDs))
		require.Len(t, chunk.TopLogProbs, len(chunk.OutputIDs))
		joined.LogProbs = append(joined.LogProbs, chunk.LogProbs...)
		joined.TopLogProbs = append(joined.TopLogProbs, chunk.TopLogProbs...)
		joined.CumLogProb = chunk.CumLogProb
	}
	require.Equal(t, want.PromptLogProbs, joined.PromptLogProbs)
	require.Equal(t, want.PromptTopLogProbs, joined.PromptTopLogProbs)
	require.Equal(t, want.LogProbs, joined.LogProbs)
	require.Equal(t, want.TopLogProbs, joined.TopLogProbs)
	require.InDelta(t, want.CumLogProb, joined.CumLogProb, 0)
}

// The best tokens are those of the raw logits, whatever edits and drawing choose.
func TestBestTokensIgnoreEdits(t *testing.T) {
	eachLogProbEngine(t, func(t *testing.T, e logProbEngine) {
		for _, s := range []trtllm.Sampling{
			{RepetitionPenalty: 1.7, NoRepeatNgramSize: 2},
			{Temperature: 1.5, TopP: 0.9, Seed: 3, PresencePenalty: 2},
			{TopK: 3, Temperature: 0.7, Bias: map[int32]float32{4: 9}},
		} {
			r := trtllm.Request{
				InputIDs: e.golden.Prompts[0].IDs, MaxTokens: 12, EndIDs: []int32{}, Sampling: s,
				LogProbs: true, TopLogProbs: best, GenerationLogits: true,
			}
			response, err := e.Generate(t.Context(), r)
			require.NoError(t, err)
			unlikely := false
			for i, row := range response.Logits {
				logProbs := executortest.LogSoftmax(row)
				require.InDelta(t, logProbs[response.OutputIDs[i]], response.LogProbs[i], 1e-5)
				ids := make([]int32, len(row))
				for id := range ids {
					ids[id] = int32(id)
				}
				slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(row[b], row[a]) })
				for rank, g := range response.TopLogProbs[i] {
					require.Equal(t, ids[rank], g.Token, "%+v, token %d, rank %d", s, i, rank)
					require.InDelta(t, logProbs[g.Token], g.LogProb, 1e-5)
				}
				require.Len(t, response.TopLogProbs[i], best)
				unlikely = unlikely || response.OutputIDs[i] != ids[0]
			}
			require.True(t, unlikely, "%+v chose what greedy chooses", s)
		}
	})
}

// Penalties and bans make of greedy decoding what transformers' generate makes of it,
// and log-probs stay those of the raw logits.
func TestEditedGreedyEqualsTransformers(t *testing.T) {
	eachLogProbEngine(t, func(t *testing.T, e logProbEngine) {
		require.NotEmpty(t, e.golden.Generated)
		for _, g := range e.golden.Generated {
			what := fmt.Sprintf("prompt %d, penalty %v, n-gram %d, bad words %v", g.Prompt, g.RepetitionPenalty, g.NoRepeatNgramSize, g.BadWordsIDs)
			r := trtllm.Request{
				InputIDs: e.golden.Prompts[g.Prompt].IDs, MaxTokens: len(g.IDs), EndIDs: []int32{}, LogProbs: true, BadSequences: g.BadWordsIDs,
				Sampling: trtllm.Sampling{RepetitionPenalty: g.RepetitionPenalty, NoRepeatNgramSize: g.NoRepeatNgramSize},
			}
			response, err := e.Generate(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, g.IDs, response.OutputIDs, what)
			require.NotEqual(t, e.golden.Prompts[g.Prompt].GreedyIDs, response.OutputIDs, what)
			require.InDeltaSlice(t, g.LogProbs, response.LogProbs, e.tolerance, what)
		}
	})
}
