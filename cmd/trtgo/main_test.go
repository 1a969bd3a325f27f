package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trtgo": main})
}

// TestScripts runs testdata/script: each is a user at a shell. In its directory
// lie the tiny checkpoints `model` (with a tokenizer), `plain` and `nemotron`, and
// `engine`, built from `model` in float32.
func TestScripts(t *testing.T) {
	shared := t.TempDir()
	for name, model := range map[string]string{"model": "llama-text", "plain": "llama-gqa", "nemotron": "nemotron"} {
		require.NoError(t, os.Rename(testmodel.Dir(t, model), filepath.Join(shared, name)))
	}
	require.Zero(t, run([]string{"trtgo", "export", filepath.Join(shared, "model"), "-o", filepath.Join(shared, "checkpoint"), "--dtype", "float32", "--quiet"}, os.Stdin, os.Stdout, os.Stderr))
	require.Zero(t, run([]string{"trtgo", "build", "--checkpoint_dir", filepath.Join(shared, "checkpoint"), "--output_dir", filepath.Join(shared, "engine"), "--max_batch_size", "8", "--quiet"}, os.Stdin, os.Stdout, os.Stderr))
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TRTGO_THREADS", "1")
			return os.CopyFS(e.WorkDir, os.DirFS(shared))
		},
	})
}
