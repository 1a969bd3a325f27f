package testmodel_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestSmolLM2GoldenIsWhole(t *testing.T) {
	g := testmodel.SmolLM2Golden(t)
	require.Equal(t, 49152, g.VocabSize)
	require.GreaterOrEqual(t, len(g.Prompts), 4)
	longest := 0
	for _, p := range g.Prompts {
		longest = max(longest, len(p.IDs))
		require.Len(t, p.GreedyIDs, 64, p.Name)
		require.Len(t, p.LogProbs, 64, p.Name)
		require.Len(t, p.Margins, 64, p.Name)
		require.NotEmpty(t, p.Positions, p.Name)
		require.Positive(t, p.BF16RMSBest)
		for _, row := range p.Positions {
			require.Len(t, row.IDs, 20)
			require.Len(t, row.Logits, 20)
			require.IsNonIncreasing(t, row.Logits)
			require.Greater(t, row.LogSumExp, row.Logits[0])
			// The best id after the prompt's end is the greedy one, with its margin and log-prob.
			if step := row.Position - len(p.IDs) + 1; step >= 0 {
				require.Equal(t, p.GreedyIDs[step], row.IDs[0], p.Name)
				require.InDelta(t, p.Margins[step], row.Logits[0]-row.Logits[1], 1e-4)
				require.InDelta(t, p.LogProbs[step], row.Logits[0]-row.LogSumExp, 1e-4)
			}
		}
	}
	require.Greater(t, longest, 300)
}

// outcome stands in for a test, to see how a call ends.
type outcome struct {
	testing.TB
	skipped, failed string
}

func (o *outcome) Helper()                     {}
func (o *outcome) Skipf(f string, args ...any) { o.skipped = fmt.Sprintf(f, args...); panic(o) }
func (o *outcome) Fatalf(f string, a ...any)   { o.failed = fmt.Sprintf(f, a...); panic(o) }

func findSmolLM2(t *testing.T) (o *outcome, name string) {
	o = &outcome{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(o) {
			panic(r)
		}
	}()
	return o, testmodel.SmolLM2GGUF(o)
}

func TestSmolLM2GGUF(t *testing.T) {
	present := filepath.Join(t.TempDir(), "model.gguf")
	require.NoError(t, os.WriteFile(present, []byte("GGUF"), 0o600))
	t.Setenv("TRTGO_SMOLLM2_GGUF", present)
	t.Setenv("TRTGO_REQUIRE_MODELS", "")
	o, name := findSmolLM2(t)
	require.Equal(t, present, name)
	require.Empty(t, o.skipped+o.failed)

	t.Setenv("TRTGO_SMOLLM2_GGUF", present+".absent")
	o, _ = findSmolLM2(t)
	require.Contains(t, o.skipped, "make demo or make test fetches it")

	t.Setenv("TRTGO_REQUIRE_MODELS", "1")
	o, _ = findSmolLM2(t)
	require.Contains(t, o.failed, "absent")
}
