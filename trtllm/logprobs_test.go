//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

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
