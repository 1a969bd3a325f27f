//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// copyEngine is an engine that the test may damage.
func copyEngine(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "engine")
	require.NoError(t, os.CopyFS(dir, os.DirFS(engineDir(t, name, "bfloat16"))))
	return dir
}

// editConfig changes an engine's config.json.
func editConfig(t *testing.T, dir string, change func(config map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var config map[string]any
	require.NoError(t, json.Unmarshal(text, &config))
	change(config)
	text, err = json.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

func TestOpenErrors(t *testing.T) {
	t.Setenv("TRTGO_NATIVE_LIB", "/none")
	engineFile := func(dir string) string { return filepath.Join(dir, "rank0.engine") }
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string) (opened string)
		is     error
		want   string
	}{
		"nothing there":   {func(t *testing.T, dir string) string { return filepath.Join(dir, "none") }, trtllm.ErrNotAnEngine, "none"},
		"a file":          {func(t *testing.T, dir string) string { return engineFile(dir) }, trtllm.ErrNotAnEngine, "rank0.engine"},
		"empty directory": {func(t *testing.T, _ string) string { return t.TempDir() }, trtllm.ErrNotAnEngine, "config.json"},
		"a source":        {func(t *testing.T, _ string) string { return testmodel.Dir(t, "llama-gqa") }, trtllm.ErrNotAnEngine, "is no engine"},
		"for TensorRT-LLM": {func(t *testing.T, dir string) string {
			editConfig(t, dir, func(c map[string]any) { delete(c, "trtgo") })
			return dir
		}, trtllm.ErrNoBackend, "built for tensorrt-llm: no backend for this engine here: TRTGO_NATIVE_LIB names a library that is not there: stat /none: no such file or directory; trtgo doctor --backend tensorrt-llm tells what is missing here; trtgo build --backend cpu builds the model for this machine"},
		"for TensorRT-RTX": {func(t *testing.T, dir string) string {
			editConfig(t, dir, func(c map[string]any) { c["trtgo"].(map[string]any)["backend"] = "tensorrt-rtx" })
			return dir
		}, trtllm.ErrNoBackend, "built for tensorrt-rtx: no backend for this engine here: this release has no runner for TensorRT-RTX, only its builder; to run the model here, build it again with --backend cpu"},
		"for another backend": {func(t *testing.T, dir string) string {
			editConfig(t, dir, func(c map[string]any) { c["trtgo"].(map[string]any)["backend"] = "tpu" })
			return dir
		}, trtllm.ErrNoBackend, "built for tpu: no backend for this engine here: this release does not know it"},
		"config cut off": {func(t *testing.T, dir string) string {
			require.NoError(t, os.Truncate(filepath.Join(dir, "config.json"), 300))
			return dir
		}, trtllm.ErrNotAnEngine, "config.json"},
		"config with an outsized limit": {func(t *testing.T, dir string) string {
			editConfig(t, dir, func(c map[string]any) { c["build_config"].(map[string]any)["max_num_tokens"] = 1 << 50 })
			return dir
		}, trtllm.ErrNotAnEngine, "max_num_tokens is 1125899906842624"},
		"config of another model": {func(t *testing.T, dir string) string {
			editConfig(t, dir, func(c map[string]any) { c["pretrained_config"].(map[string]any)["vocab_size"] = 1000 })
			return dir
		}, trtllm.ErrNotAnEngine, "257 tokens, config.json 3, 64 and 1000: they are of different engines"},
		"no engine file": {func(t *testing.T, dir string) string {
			require.NoError(t, os.Remove(engineFile(dir)))
			return dir
		}, trtllm.ErrNotAnEngine, "rank0.engine"},
		"interrupted build": {func(t *testing.T, dir string) string {
			partial := filepath.Join(filepath.Dir(dir), ".engine.partial-123")
			require.NoError(t, os.Rename(dir, partial))
			return partial
		}, trtllm.ErrNotAnEngine, "interrupted build"},
		"other format version": {func(t *testing.T, dir string) string {
			alter(t, engineFile(dir), func(b []byte) { b[8]++ })
			return dir
		}, trtllm.ErrNotAnEngine, "build it again with: trtgo build"},
		"altered program": {func(t *testing.T, dir string) string {
			alter(t, engineFile(dir), func(b []byte) { b[cpuengine.HeaderSize+20] ^= 4 })
			return dir
		}, trtllm.ErrNotAnEngine, "program checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := trtllm.Open(t.Context(), c.damage(t, copyEngine(t, "llama-gqa")))
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.want)
			require.False(t, bytes.Contains([]byte(err.Error()), []byte("\n")), "one sentence")
		})
	}
	_, err := trtllm.Open(t.Context(), filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func alter(t *testing.T, path string, change func([]byte)) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	change(data)
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

// An engine file cut off anywhere is refused, whatever way it is loaded.
func TestTruncatedEngineFile(t *testing.T) {
	dir := copyEngine(t, "llama-gqa")
	path := filepath.Join(dir, "rank0.engine")
	info, err := os.Stat(path)
	require.NoError(t, err)
	for size := info.Size() - 1; size >= 0; size -= 1 + info.Size()/40 {
		require.NoError(t, os.Truncate(path, size))
		for _, load := range []string{"mmap", "copy"} {
			_, err := trtllm.Open(t.Context(), dir, trtllm.WithLoad(load))
			require.ErrorIs(t, err, trtllm.ErrNotAnEngine, "%d bytes", size)
		}
	}
}

// A changed weight is found when the weights are read as a whole.
func TestAlteredWeight(t *testing.T) {
	dir := copyEngine(t, "llama-gqa")
	path := filepath.Join(dir, "rank0.engine")
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	alter(t, path, func(b []byte) { b[file.Sections[2].Offset] ^= 1 })
	_, err = trtllm.Open(t.Context(), dir, trtllm.WithLoad("copy"))
	require.ErrorIs(t, err, trtllm.ErrNotAnEngine)
	require.ErrorContains(t, err, file.Sections[2].Name)
	open(t, dir)
}

// The examples of the documentation do what they say on a real engine.
func TestExamplesRun(t *testing.T) {
	t.Chdir(filepath.Dir(copyEngine(t, "llama-text"))) // where it is called "engine"
	e := open(t, "engine", trtllm.WithThreads(0))
	generate := func(r trtllm.Request) *trtllm.Response {
		response, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		return response
	}
	text := generate(trtllm.Request{Prompt: "Born in north-east France, Soyer trained as a", MaxTokens: 64}).Text
	require.Equal(t, text, printed(t, Example))
	require.Equal(t, "2048\n", printed(t, ExampleOpen))
	story := generate(trtllm.Request{Prompt: "Once upon a time", MaxTokens: 32}).Text
	require.Equal(t, story+"\n", printed(t, ExampleFinalize), "an engine for the CPU is its own leader")
	text = generate(trtllm.Request{InputIDs: []int32{1, 501}, MaxTokens: 32, StopWords: []string{"\n\n"}}).Text
	require.Equal(t, text, printed(t, ExampleEngine_Stream))
	chat := generate(trtllm.Request{Messages: []tokenizer.Message{{Role: "user", Content: "Name three rivers of France."}}, MaxTokens: 48})
	require.Contains(t, printed(t, ExampleEngine_Generate), chat.Text+" "+chat.FinishReason.String()+"\n")
	drawn := generate(trtllm.Request{Prompt: "Once upon a time", MaxTokens: 32,
		Sampling: trtllm.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, Seed: 7, NumReturnSequences: 3}})
	require.Len(t, drawn.Sequences, 3)
	require.Equal(t, drawn.Sequences[0].Text+"\n"+drawn.Sequences[1].Text+"\n"+drawn.Sequences[2].Text+"\n", printed(t, ExampleSampling))
}

// printed is what an example writes to the standard output.
func printed(t *testing.T, example func()) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = out
	defer func() { os.Stdout = stdout }()
	example()
	require.NoError(t, out.Close())
	text, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	return string(text)
}
