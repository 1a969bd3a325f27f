package build_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/cpuengine"
)

// engine builds a tiny model and returns its directory.
func engine(t *testing.T, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "engine")
	mustBuild(t, build.Options{CheckpointDir: tinycheckpoint.Dir(t, name, nil), OutputDir: out})
	return out
}

func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[offset] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o644))
}

func TestInspect(t *testing.T) {
	dir := engine(t, "llama-gqa")
	path := filepath.Join(dir, "rank0.engine")
	d, err := build.Inspect(context.Background(), dir, true)
	require.NoError(t, err)
	require.Equal(t, "cpu-engine", d.Format)
	require.Equal(t, "LlamaForCausalLM", d.Architecture)
	require.Empty(t, d.Problems)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	require.Len(t, d.Tensors, len(file.Sections))
	require.Equal(t, "transformer.vocab_embedding.weight", d.Tensors[0].Name)
	require.Equal(t, []int64{257, 64}, d.Tensors[0].Shape)
	require.Equal(t, "bf16 rows", d.Tensors[0].Dtype)
	require.EqualValues(t, 257*64*2, d.Tensors[0].Bytes)
	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.Contains(t, string(text), `"version":"1.2.1"`)

	t.Run("a flipped weight", func(t *testing.T) {
		flip(t, path, file.Sections[3].Offset)
		defer flip(t, path, file.Sections[3].Offset)
		d, err := build.Inspect(context.Background(), dir, false)
		require.NoError(t, err)
		require.Empty(t, d.Problems, "weights are not read")
		d, err = build.Inspect(context.Background(), dir, true)
		require.NoError(t, err)
		require.Len(t, d.Problems, 1)
		require.Contains(t, d.Problems[0], file.Sections[3].Name)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err = build.Inspect(ctx, dir, true)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("truncated", func(t *testing.T) {
		other := engine(t, "llama-gqa")
		require.NoError(t, os.Truncate(filepath.Join(other, "rank0.engine"), file.Size-1))
		d, err := build.Inspect(context.Background(), other, false)
		require.NoError(t, err)
		require.Len(t, d.Problems, 1)
		require.Contains(t, d.Problems[0], "cut off")
	})
	t.Run("of another model", func(t *testing.T) {
		other := engine(t, "nemotron")
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(other, "rank0.engine"), data, 0o644))
		d, err := build.Inspect(context.Background(), other, false)
		require.NoError(t, err)
		require.Contains(t, strings.Join(d.Problems, "\n"), "different engines")
	})
	t.Run("missing engine file", func(t *testing.T) {
		other := engine(t, "llama-gqa")
		require.NoError(t, os.Remove(filepath.Join(other, "rank0.engine")))
		d, err := build.Inspect(context.Background(), other, false)
		require.NoError(t, err)
		require.Contains(t, strings.Join(d.Problems, "\n"), "no such file")
	})
	t.Run("damaged config", func(t *testing.T) {
		other := engine(t, "llama-gqa")
		config := filepath.Join(other, "config.json")
		data, err := os.ReadFile(config)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(config, data[:len(data)-10], 0o644))
		d, err := build.Inspect(context.Background(), other, false)
		require.NoError(t, err)
		require.Len(t, d.Problems, 1)
		_, err = build.Inspect(context.Background(), t.TempDir(), false)
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("TensorRT-LLM's own", func(t *testing.T) {
		other := engine(t, "llama-gqa")
		config := filepath.Join(other, "config.json")
		data, err := os.ReadFile(config)
		require.NoError(t, err)
		var c map[string]any
		require.NoError(t, json.Unmarshal(data, &c))
		delete(c, "trtgo")
		c["pretrained_config"].(map[string]any)["mapping"] = map[string]any{"world_size": 2, "tp_size": 2, "pp_size": 1}
		data, err = json.Marshal(c)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(config, data, 0o644))
		d, err := build.Inspect(context.Background(), other, true)
		require.NoError(t, err)
		require.Equal(t, "trtllm-engine", d.Format)
		require.Len(t, d.Problems, 1)
		require.Contains(t, d.Problems[0], "rank1.engine is missing")
		require.Contains(t, d.Notes[0], "TensorRT-LLM 1.2.1")
	})
}

// llama-gqa: 3 layers, hidden 64, 4 heads and 2 KV heads of 16, ffn 88, 257 tokens.
func TestExplain(t *testing.T) {
	dir := tinycheckpoint.Dir(t, "llama-gqa", nil)
	m, err := build.Explain(context.Background(), build.Options{CheckpointDir: dir, MaxBatchSize: 10, MaxSeqLen: 100, MaxNumTokens: 500})
	require.NoError(t, err)
	require.Equal(t, "fast", m.Precision)
	require.EqualValues(t, 3*2*2*16*2, m.KVPerToken)
	// residual and qkv and gate|up in float32, norm and activation in bfloat16, rows padded to 16 values
	require.EqualValues(t, 4*(64+128+176)+2*(64+96), m.ActivationPerToken)
	require.EqualValues(t, 4*(64+176+272)+2*(64+96), m.LogitsPerRow)
	groups := map[string]int64{}
	var total int64
	for _, g := range m.Weights {
		groups[g.Name] = g.Bytes
		total += g.Bytes
	}
	require.Equal(t, m.Total, total)
	require.Equal(t, map[string]int64{
		"vocab_embedding": 257 * 64 * 2, "attention.qkv": 3 * 128 * 64 * 2, "attention.dense": 3 * 64 * 64 * 2, "mlp.fc + mlp.gate": 3 * 176 * 64 * 2,
		"mlp.proj": 3 * 64 * 88 * 2, "lm_head": 272 * 64 * 2, "norms, biases and rotary frequencies": 4 * (7*64 + 8),
	}, groups)
	text := m.String()
	for _, want := range []string{"a sequence of max_seq_len 100", "49.2 kB", "max_batch_size 10 of those", "491.5 kB", "32 of those, the most at a time", "max_num_tokens 500 of those", "precision fast", "ceilings"} {
		require.Contains(t, text, want)
	}

	tied, err := build.Explain(context.Background(), build.Options{CheckpointDir: tinycheckpoint.Dir(t, "llama-tied-llama3", nil)})
	require.NoError(t, err)
	require.Equal(t, "vocab_embedding and lm_head, which are equal", tied.Weights[0].Name)
	f32, err := build.Explain(context.Background(), build.Options{CheckpointDir: tinycheckpoint.Dir(t, "llama-f32", nil), MaxBeamWidth: 20, MaxBatchSize: 16})
	require.NoError(t, err)
	require.Equal(t, "exact", f32.Precision)
	require.Contains(t, f32.String(), "note: max_beam_width 20")
	_, err = build.Explain(context.Background(), build.Options{CheckpointDir: dir, MaxBatchSize: -2})
	require.ErrorIs(t, err, build.ErrOption)
}

// Engines for TensorRT: a plan for each rank, and the weights beside it.
func TestInspectPlans(t *testing.T) {
	plan := "plan"
	build.SetCompiler(t, build.FakeCompiler{Version: "10.14.1", Compile: func(_ context.Context, c build.FakeCompilation, f *os.File) ([]byte, error) {
		_, err := f.WriteString(plan)
		return nil, err
	}})
	look := func() *source.Description {
		d, err := build.Inspect(t.Context(), "engine", true)
		require.NoError(t, err)
		return d
	}
	o := trtllm(t, 2, 1)
	o.FastBuild = true
	mustBuild(t, o)
	d := look()
	require.Equal(t, "trtllm-engine", d.Format)
	require.Empty(t, d.Problems)
	require.Equal(t, []string{"a TensorRT engine for TensorRT-LLM 1.2.1, built with TensorRT 10.14.1; it runs on a GPU with that release's libraries, which trtgo doctor --engine_dir looks at"}, d.Notes)
	require.Equal(t, "rank0/transformer.layers.0.attention.qkv.weight", d.Tensors[0].Name)
	require.Equal(t, "BF16", d.Tensors[0].Dtype)
	require.True(t, strings.HasPrefix(d.Tensors[len(d.Tensors)-1].Name, "rank1/"))
	weights := "engine/rank1_managed_weights.safetensors"
	require.NoError(t, os.Truncate(weights, 100))
	require.Len(t, look().Problems, 1)
	require.Contains(t, look().Problems[0], weights)
	require.NoError(t, os.Remove(weights))
	require.Equal(t, []string{weights + " is missing, and the plan has no weights in it"}, look().Problems)
	require.NoError(t, os.Truncate("engine/rank1.engine", 0))
	require.Equal(t, []string{"engine/rank1.engine is empty"}, look().Problems)
	require.NoError(t, os.Remove("engine/rank1.engine"))
	require.Equal(t, []string{"engine/rank1.engine is missing"}, look().Problems)

	o = trtllm(t, 1, 1)
	o.Backend = build.BackendTensorRTRTX
	mustBuild(t, o)
	d = look()
	require.Equal(t, "rtx-engine", d.Format)
	require.Equal(t, []string{`engine/rank0.engine is no plan of TensorRT-RTX: it begins with "plan", not "vtrt"`}, d.Problems)
	plan = "vtrt and more"
	mustBuild(t, o)
	d = look()
	require.Empty(t, d.Problems)
	require.Contains(t, d.Notes[0], "on GPUs of compute capability 8.6, 8.9, 12.0; engines for TensorRT-RTX have not yet been run on a GPU")
	require.NotEmpty(t, d.Tensors)
}
