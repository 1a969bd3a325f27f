package compatibility

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The document has the tables that the files in testdata and the lowerings give.
func TestDocument(t *testing.T) {
	root, err := Root()
	require.NoError(t, err)
	path := filepath.Join(root, "docs/compatibility.md")
	if updating() {
		require.NoError(t, Write(path))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	rendered := filepath.Join(t.TempDir(), "compatibility.md")
	require.NoError(t, os.WriteFile(rendered, text, 0o644))
	require.NoError(t, Write(rendered))
	want, err := os.ReadFile(rendered)
	require.NoError(t, err)
	require.Equal(t, string(want), string(text), "TRTGO_UPDATE_COMPATIBILITY=1 go test ./internal/compatibility writes it")
	require.NotContains(t, string(text), "refused, though")
}

// A fact for which there is no row or column is a mistake in the tables.
func TestFactsWithoutCell(t *testing.T) {
	text, err := facts{"tensorrt-llm; cell; Mistral; bfloat16; 4 × 2": {"N"}, "tensorrt-rtx; choice; biases": {"C"}}.tables()
	require.NoError(t, err)
	require.Contains(t, text, "| Mistral | bfloat16 | – | – | – | – | – | – | N |\n")
	require.Contains(t, text, "| biases | C |\n")
	for _, line := range []string{"tensorrt-llm; cell; Mistral; bfloat16; 8 × 1", "tensorrt-llm; cell; Mistral; W2A16, bfloat16; 1 × 1", "cuda; choice; biases"} {
		_, err := facts{line: {"N"}}.tables()
		require.ErrorContains(t, err, line)
	}
	text, err = facts{"tensorrt-llm; cell; LLaMA; W8A16, float32; 1 × 1": {"N"}}.tables()
	require.NoError(t, err)
	require.Contains(t, text, "refused, though a test showed it")
}

// The facts of a record are those of the tests that have passed, and must be the file's.
func TestRecord(t *testing.T) {
	r := NewRecord(Numbers)
	e := Engine{Backend: TRTLLM, Family: "LLaMA", Weights: "bfloat16", TP: 2, PP: 1, Choices: []string{"biases"}}
	t.Run("passed", func(t *testing.T) { r.Passed(t, e) })
	e.TP = 4
	t.Run("skipped", func(t *testing.T) { r.Passed(t, e); t.Skip("so nothing was shown") })
	require.Equal(t, map[string]bool{"tensorrt-llm; cell; LLaMA; bfloat16; 2 × 1": true, "tensorrt-llm; choice; biases": true}, r.lines)
	r.lines["tensorrt-llm; cell; LLaMA; bfloat16; 9 × 9"] = true
	if !updating() {
		err := r.compare()
		require.ErrorContains(t, err, "shown, but not in the file: tensorrt-llm; cell; LLaMA; bfloat16; 9 × 9")
		require.ErrorContains(t, err, "in the file, but no test showed it: tensorrt-llm; cell; LLaMA; bfloat16; 1 × 1")
	}
	require.Equal(t, 3, r.Finish(3))
}
