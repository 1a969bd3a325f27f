//go:build cgo && linux && (amd64 || arm64)

package cpu_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// TestSmolLM2EqualsTransformers runs a real model on transformers' own tokens:
// prompts and greedy continuation forced. At each step the best token must be
// transformers' wherever its float32 margin is above the precision's limit, and
// rows of logits agree within the project's tolerances.
func TestSmolLM2EqualsTransformers(t *testing.T) {
	golden := testmodel.SmolLM2Golden(t)
	engine := buildEngine(t, testmodel.SmolLM2GGUF(t), "auto")
	if testing.Short() { // sanitizers have seen it all by then
		golden.Prompts = golden.Prompts[:1]
	}
	for _, precision := range []struct {
		name   string
		margin float32
	}{{"exact", 0.02}, {"fast", 0.25}} {
		t.Run(precision.name, func(t *testing.T) {
			r := openRunner(t, engine, cpu.Options{Precision: precision.name, Threads: 2, MaxSeqLen: 1024, MaxBatchSize: 1})
			for _, p := range golden.Prompts {
				t.Run(p.Name, func(t *testing.T) { compareSmolLM2(t, r, p, precision.margin) })
			}
		})
	}
}

func compareSmolLM2(t *testing.T, r *cpu.Runner, p testmodel.SmolLM2Prompt, margin float32) {
	tokens := append(append([]int32(nil), p.IDs...), p.GreedyIDs...)
	s := chunk(tokens, 0, len(tokens), 0)
	for i := range s.Rows {
		s.Rows[i].Logits = false
	}
	for _, position := range p.Positions {
		s.Rows[position.Position].Logits = true
	}
	var out executor.StepResult
	require.NoError(t, r.Step(t.Context(), []executor.Sequence{s}, &out))

	reportFirstDifference(t, out.Rows, p, margin)
	exact := r.Describe().Precision == "exact"
	var squares float64
	n := 0
	for _, want := range p.Positions {
		row := out.Rows[want.Position]
		for i, id := range want.IDs {
			difference := math.Abs(float64(want.Logits[i]) - float64(row.Logits[id]))
			if exact {
				require.LessOrEqual(t, difference, 2e-3, "position %d, token %d", want.Position, id)
			}
			squares += difference * difference
			n++
		}
		if exact {
			require.InDelta(t, want.LogSumExp, row.RawLogSumExp, 2e-3, "position %d", want.Position)
		}
	}
	rms := math.Sqrt(squares / float64(n))
	t.Logf("rms difference of the best logits %.2e, transformers' own bfloat16 run %.2e", rms, p.BF16RMSBest)
	require.LessOrEqual(t, rms, 1.25*p.BF16RMSBest)
}

// reportFirstDifference compares the best tokens with the greedy ones. The first
// difference is printed with its margin; one above the limit fails.
func reportFirstDifference(t *testing.T, rows []executor.RowResult, p testmodel.SmolLM2Prompt, margin float32) {
	t.Helper()
	compared, differed := 0, false
	for step, want := range p.GreedyIDs {
		got := rows[len(p.IDs)-1+step].Candidates[0].Token
		if got != want && !differed {
			differed = true
			t.Logf("first difference at step %d: %d, want %d, margin %.4f", step, got, want, p.Margins[step])
		}
		if p.Margins[step] >= margin {
			require.Equal(t, want, got, "step %d, margin %.4f", step, p.Margins[step])
			compared++
		}
	}
	require.GreaterOrEqual(t, compared, len(p.GreedyIDs)/2, "too few steps have a margin of %.2f", margin)
}
