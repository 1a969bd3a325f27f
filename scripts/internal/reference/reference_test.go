package reference_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/scripts/internal/reference"
)

// A module in the place of tiktoken: a token is a character, its id the code point.
const library = `
__version__ = "9"

class Encoding:
    def __init__(self, name, pat_str, mergeable_ranks, special_tokens):
        pass

    def encode(self, text, allowed_special):
        return [ord(c) for c in text]

    def decode(self, ids):
        return "".join(map(chr, ids))
`

func start(t *testing.T) *reference.Library {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tiktoken"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tiktoken", "__init__.py"), []byte(library), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tiktoken", "load.py"), []byte("def load_tiktoken_bpe(path):\n    return {}\n"), 0o644))
	t.Setenv("PYTHONPATH", dir)
	l, err := reference.Start("python3", "tiktoken", "file", "pattern", "{}")
	require.NoError(t, err)
	return l
}

func TestLibrary(t *testing.T) {
	l := start(t)
	require.Equal(t, "tiktoken 9", l.Version)
	long := strings.Repeat("é", 1<<20) // more than a pipe holds, both ways
	ids, err := l.IDs(reference.Encode, []string{"aé", "", long})
	require.NoError(t, err)
	require.Equal(t, []int32{'a', 'é'}, ids[0])
	require.Empty(t, ids[1])
	require.Len(t, ids[2], 1<<20)
	texts, err := l.Texts(reference.DecodeSkip, ids)
	require.NoError(t, err)
	require.Equal(t, []string{"aé", "", long}, texts)
	for _, measure := range []func() (float64, error){
		func() (float64, error) { d, err := l.TimeEncode([]string{long}); return d.Seconds(), err },
		func() (float64, error) { d, err := l.TimeDecode(ids); return d.Seconds(), err },
		func() (float64, error) { d, err := l.TimeLoad(); return d.Seconds(), err },
	} {
		seconds, err := measure()
		require.NoError(t, err)
		require.Positive(t, seconds)
	}
	require.NoError(t, l.Close())
}

func TestFailures(t *testing.T) {
	_, err := reference.Start("no-such-python", "hf", "file")
	require.Error(t, err)
	_, err = reference.Start("python3", "sentencepiece", filepath.Join(t.TempDir(), "absent"))
	require.ErrorContains(t, err, "the library ended")
	l := start(t)
	_, err = l.IDs('x', []string{"a"})
	require.ErrorContains(t, err, "the library ended")
	require.Error(t, l.Close())
}
