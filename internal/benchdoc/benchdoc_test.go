package benchdoc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	values := []float64{4, 1, 3}
	require.Equal(t, Spread{1, 3, 4}, SpreadOf(values))
	require.Equal(t, []float64{4, 1, 3}, values)
	require.Equal(t, "1.0 / 2.5 / 4.0", SpreadOf([]float64{4, 1, 3, 2}).Text("%.1f"))
	require.Equal(t, "2.5 (1.0 – 4.0)", SpreadOf([]float64{4, 1, 3, 2}).Range("%.1f"))
	// Those of the pairs, which the ratio of the medians is not.
	require.Equal(t, Spread{0.5, 2, 4}, Ratios([]float64{2, 2, 4}, []float64{4, 1, 1}))
}

func TestVerdict(t *testing.T) {
	require.Equal(t, "reached", Verdict(0.846, 0.85))
	require.Equal(t, "**missed**", Verdict(0.844, 0.85))
}

func TestMachine(t *testing.T) { require.Regexp(t, `^\d+ cores of .`, Machine()) }

func TestExtensions(t *testing.T) {
	require.Equal(t, []string{"AVX2", "AVX-512", "AVX-512-BF16"}, extensions("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\nbugs\t: amx_tile\n"))
	require.Empty(t, extensions(""))
}

func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	for _, s := range [][2]string{{"one", "first\n"}, {"two", "second\n"}} {
		require.NoError(t, Update(path, s[0], s[1]))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(text, "\nafter\n"...), 0o600))
	require.NoError(t, Update(path, "one", "third\n"))
	text, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "# Benchmarks\n\n<!-- one -->\n\nthird\n\n<!-- end of one -->\n\n<!-- two -->\n\nsecond\n\n<!-- end of two -->\n\nafter\n", string(text))
	require.Error(t, Update(filepath.Dir(path), "one", ""))
}
