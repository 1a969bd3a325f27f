//go:build cgo && linux && (amd64 || arm64)

package trtllm

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/bigmodel"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// timedEngine is an engine over a clock.
type timedEngine struct {
	*Engine
	name  string
	clock *clock
	text  []int32 // tokens that prompts are made of
}

// prompt is a random token, so that no two prompts share a prefix, and a piece of the
// text.
func (e *timedEngine) prompt(n int, seed uint64) []int32 {
	random := rand.New(rand.NewPCG(seed, 1))
	ids := []int32{e.text[random.IntN(len(e.text))]}
	for at := random.IntN(len(e.text)); len(ids) < n; at++ {
		ids = append(ids, e.text[at%len(e.text)])
	}
	return ids
}

// openTimed opens an engine as everybody does, with a clock between executor and
// runner.
func openTimed(b *testing.B, dir, name string, text []int32, opts ...Option) *timedEngine {
	b.Helper()
	e := &timedEngine{name: name, text: text}
	engine, err := Open(b.Context(), dir, append(opts, func(o *options) {
		o.wrapRunner = func(r executor.Runner) executor.Runner {
			e.clock = &clock{Runner: r}
			return e.clock
		}
	})...)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, engine.Close()) })
	e.Engine = engine
	return e
}

// engineOf exports and builds; of the source's own directory nothing is left.
func engineOf(b *testing.B, root, source string, o build.Options) string {
	b.Helper()
	checkpoint := filepath.Join(root, "checkpoint")
	_, err := export.Convert(b.Context(), source, export.Options{OutputDir: checkpoint, Dtype: "auto"})
	require.NoError(b, err)
	require.NoError(b, os.RemoveAll(filepath.Join(root, "source")))
	o.CheckpointDir, o.OutputDir = checkpoint, filepath.Join(root, "engine")
	_, err = build.Build(b.Context(), o)
	require.NoError(b, err)
	require.NoError(b, os.RemoveAll(checkpoint))
	return o.OutputDir
}

// benchmarkDir is a directory for engines, which goes with the benchmark.
func benchmarkDir(b *testing.B) string {
	b.Helper()
	parent := os.Getenv("BENCH_DIR")
	if parent == "" {
		parent = filepath.Join("..", "out", "bench")
	}
	require.NoError(b, os.MkdirAll(parent, 0o750))
	dir, err := os.MkdirTemp(parent, "executor-") //nolint:usetesting // gigabytes, where the user wants them
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	return dir
}

// openSmolLM2 opens SmolLM2-135M for 32 sequences of 2048 tokens.
func openSmolLM2(b *testing.B) *timedEngine {
	b.Helper()
	gguf := testmodel.SmolLM2GGUF(b)
	var text []int32
	for _, p := range testmodel.SmolLM2Golden(b).Prompts {
		text = append(text, p.IDs...)
	}
	dir := engineOf(b, benchmarkDir(b), gguf, build.Options{MaxBatchSize: 32, MaxInputLen: 2000, MaxSeqLen: 2048})
	return openTimed(b, dir, "SmolLM2-135M", text)
}

// openShape4B opens a model of made-up weights in the shape of Minitron-4B-Base with
// BENCH_LAYERS layers, and a tokenizer that has a text for each of its tokens.
func openShape4B(b *testing.B) *timedEngine {
	b.Helper()
	layers := 4
	if n := os.Getenv("BENCH_LAYERS"); n != "" {
		var err error
		layers, err = strconv.Atoi(n)
		require.NoError(b, err, "BENCH_LAYERS")
	}
	shape := bigmodel.Shape{
		HiddenSize: 3072, NumHiddenLayers: int64(layers), NumAttentionHeads: 24, NumKeyValueHeads: 8, HeadDim: 128,
		IntermediateSize: 9216, VocabSize: 256000, MaxPositionEmbeddings: 4096,
	}
	root := benchmarkDir(b)
	require.NoError(b, os.Mkdir(filepath.Join(root, "source"), 0o750))
	source, err := bigmodel.Write(filepath.Join(root, "source"), shape, bigmodel.Safetensors, bigmodel.Options{})
	require.NoError(b, err)
	dir := engineOf(b, root, source, build.Options{MaxBatchSize: 8, MaxInputLen: 1000, MaxSeqLen: 1024})
	text := make([]int32, 10000)
	for i := range text {
		text[i] = int32(1000 + i)
	}
	name := fmt.Sprintf("4B-shaped, %d of 32 layers", layers)
	return openTimed(b, dir, name, text, WithTokenizerFile(wordTokenizer(b, root, int(shape.VocabSize))))
}

// wordTokenizer writes a byte-level tokenizer with n tokens.
func wordTokenizer(b *testing.B, dir string, n int) string {
	b.Helper()
	vocab := map[string]int{}
	for i := range n {
		vocab["Ġ"+strconv.FormatInt(int64(i), 36)] = i // Ġ is a space
	}
	data, err := json.Marshal(map[string]any{
		"version": "1.0", "pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
		"decoder": map[string]any{"type": "ByteLevel"},
		"model":   map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}, "ignore_merges": true},
	})
	require.NoError(b, err)
	path := filepath.Join(dir, "tokenizer.json")
	require.NoError(b, os.WriteFile(path, data, 0o600))
	return path
}
