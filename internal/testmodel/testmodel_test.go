package testmodel_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestDirHoldsCheckpoint(t *testing.T) {
	require.Contains(t, testmodel.Names(), "llama-gqa")
	require.Contains(t, testmodel.Names(), "nemotron")
	for _, name := range testmodel.Names() {
		dir := testmodel.Dir(t, name)
		weights, err := filepath.Glob(filepath.Join(dir, "model*.safetensors"))
		require.NoError(t, err)
		require.NotEmpty(t, weights, name)
		require.NotEmpty(t, config(t, dir)["architectures"], name)
	}
}

func TestConfigsSpellTheSameFacts(t *testing.T) {
	for _, name := range testmodel.Names() {
		want := config(t, testmodel.Dir(t, name))
		require.Contains(t, want, "rope_parameters", name)
		for _, file := range testmodel.Configs(t, name) {
			got := config(t, testmodel.DirWithConfig(t, name, file))
			require.NotContains(t, got, "rope_parameters", file)
			require.Equal(t, want["dtype"], got["torch_dtype"], file)
			require.Equal(t, want["hidden_size"], got["hidden_size"], file)
			rope := want["rope_parameters"].(map[string]any)
			require.Equal(t, rope["rope_theta"], got["rope_theta"], file)
		}
	}
}

func TestGoldensAreWhole(t *testing.T) {
	for _, name := range testmodel.Names() {
		t.Run(name, func(t *testing.T) {
			checkReference(t, testmodel.Golden(t, name))
		})
	}
}

// checkReference checks what every golden promises: shapes, wide margins, and
// that the first greedy step follows from the last row of logits.
func checkReference(t *testing.T, r testmodel.Reference) {
	require.NotEmpty(t, r.Prompts)
	require.Len(t, r.Logits, len(r.Prompts))
	require.Len(t, r.BF16RMS, len(r.Prompts))
	require.GreaterOrEqual(t, r.SmallestMargin, 0.1)
	require.InDelta(t, 3, r.LogitsStd, 1.5)
	for p, prompt := range r.Prompts {
		require.Len(t, r.Logits[p], len(prompt))
		require.Len(t, r.GreedyIDs[p], testmodel.Steps)
		require.Len(t, r.LogProbs[p], testmodel.Steps)
		require.Len(t, r.Margins[p], testmodel.Steps)
		for _, m := range r.Margins[p] {
			require.GreaterOrEqual(t, float64(m), r.SmallestMargin-1e-6)
		}
		last := r.Logits[p][len(prompt)-1]
		best, second, logProb := top(last)
		require.Equal(t, r.GreedyIDs[p][0], best)
		require.InDelta(t, r.Margins[p][0], last[best]-last[second], 2e-5)
		require.InDelta(t, r.LogProbs[p][0], logProb, 2e-5)
	}
	if r.Fast {
		require.Equal(t, "bfloat16", r.Weights)
		require.GreaterOrEqual(t, r.SmallestMargin, 0.3)
	}
}

// top returns the best and second best id and the best one's log-prob.
func top(row []float32) (best, second int32, logProb float64) {
	second = -1
	for i, v := range row {
		switch {
		case i == 0:
		case v > row[best]:
			best, second = int32(i), best
		case second < 0 || v > row[second]:
			second = int32(i)
		}
	}
	var sum float64
	for _, v := range row {
		sum += math.Exp(float64(v - row[best]))
	}
	return best, second, -math.Log(sum)
}

func config(t *testing.T, dir string) map[string]any {
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	var c map[string]any
	require.NoError(t, json.Unmarshal(data, &c))
	return c
}
