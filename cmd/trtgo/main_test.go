package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/npy"
	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trtgo": main})
}

// TestScripts runs testdata/script: each is a user at a shell. In its directory
// lie the tiny checkpoints `model` (with a tokenizer), `plain`, `nemotron` and `fp8`;
// `minitron.nemo`, which has nemotron's weights; of another one `gzip.nemo`, which was
// compressed, the directory `nemo2`, and the bare `mcore/iter` with
// `mcore/model_config.yaml`; the GGUF files `q8_0.gguf` and `q5_0.gguf`
// (which export refuses), the vocabulary `sentencepiece.model`, `checkpoint`, exported
// from `model` in float32, and `engine`, built from that.
//
// Some commands are ours: `exits STATUS PROGRAM …` runs a program that must end
// with this status; `npy FILE OUT` writes an array as text, its element type and
// shape in the first line; `truncate FILE SIZE` and `flip FILE OFFSET` damage files.
func TestScripts(t *testing.T) {
	shared := t.TempDir()
	for name, model := range map[string]string{"model": "llama-text", "plain": "llama-gqa", "nemotron": "nemotron"} {
		require.NoError(t, os.Rename(testmodel.Dir(t, model), filepath.Join(shared, name)))
	}
	require.NoError(t, os.Rename(testmodel.QuantisedDir(t, "nemotron.fp8"), filepath.Join(shared, "fp8")))
	for name, model := range map[string]string{"minitron.nemo": "nemotron.zarr", "gzip.nemo": "nemotron-f32.gzip"} {
		require.NoError(t, os.Rename(testmodel.Nemo(t, model), filepath.Join(shared, name)))
	}
	for name, model := range map[string]string{"nemo2": "nemotron-f32.nemo2", "mcore": "nemotron-f32.mcore"} {
		require.NoError(t, os.Rename(testmodel.NemoDir(t, model), filepath.Join(shared, name)))
	}
	require.NoError(t, os.Rename(testmodel.GGUF(t, "q8_0"), filepath.Join(shared, "q8_0.gguf")))
	require.NoError(t, os.Rename(testmodel.GGUF(t, "unsupported-q5_0"), filepath.Join(shared, "q5_0.gguf")))
	vocabulary, err := os.ReadFile("../../tokenizer/testdata/sp_bpe_bf/tokenizer.model")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(shared, "sentencepiece.model"), vocabulary, 0o644))
	require.Zero(t, run([]string{"trtgo", "export", filepath.Join(shared, "model"), "-o", filepath.Join(shared, "checkpoint"), "--dtype", "float32", "--quiet"}, os.Stdin, os.Stdout, os.Stderr))
	require.Zero(t, run([]string{"trtgo", "build", "--checkpoint_dir", filepath.Join(shared, "checkpoint"), "--output_dir", filepath.Join(shared, "engine"), "--max_batch_size", "8", "--quiet"}, os.Stdin, os.Stdout, os.Stderr))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			return os.CopyFS(e.WorkDir, os.DirFS(shared))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "npy": npyText, "truncate": truncate, "flip": flip,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	status := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		status = exit.ExitCode()
	}
	if status != want {
		ts.Fatalf("status %d, want %d", status, want)
	}
}

func truncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncate FILE SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// flip changes one byte.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	content := []byte(ts.ReadFile(args[0]))
	content[at] ^= 0xff
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o644))
}

func npyText(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: npy FILE OUT")
	}
	raw := []byte(ts.ReadFile(args[0]))
	var text string
	if ids, err := npy.Read[int32](bytes.NewReader(raw)); err == nil {
		text = arrayText("int32", ids)
	} else {
		floats, err := npy.Read[float32](bytes.NewReader(raw))
		ts.Check(err)
		text = arrayText("float32", floats)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

// arrayText has a line for each row along the last dimension.
func arrayText[T npy.Element](kind string, a npy.Array[T]) string {
	var b bytes.Buffer
	fmt.Fprintln(&b, kind, a.Shape)
	width := 1
	if n := len(a.Shape); n > 0 {
		width = a.Shape[n-1]
	}
	for i := 0; width > 0 && i < len(a.Data); i += width {
		for j, v := range a.Data[i : i+width] {
			if j > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprint(&b, v)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
