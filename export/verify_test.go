package export_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// Every tiny model, however divided, is what its source becomes, and the report
// tells which dtypes lost something.
func TestVerify(t *testing.T) {
	for _, name := range testmodel.Names() {
		dir := testmodel.Dir(t, name)
		for _, v := range append(slices.Clone(everyDtype), divided[name]...) {
			out := filepath.Join(t.TempDir(), "ckpt")
			written, err := export.Convert(t.Context(), dir, v.options(out))
			require.NoError(t, err, name)
			calls, last := 0, int64(0)
			report, err := export.Verify(t.Context(), dir, out, export.VerifyOptions{
				Workers: 2, Progress: func(done, total int64, _ string) { calls, last = calls+1, done },
			})
			require.NoError(t, err, "%s %+v", name, v)
			require.Equal(t, written.Tensors, report.Tensors)
			require.Equal(t, written.Files, report.Files)
			require.Equal(t, report.Bytes, last)
			require.Positive(t, calls)
			require.Equal(t, report.Tensors, report.Exact+len(report.Rounded))
			if v.dtype == checkpoint.Float32 {
				require.Empty(t, report.Rounded, "float32 holds every source")
				require.Nil(t, report.Worst)
			}
		}
	}
}

func TestVerifyOtherSources(t *testing.T) {
	for _, name := range []string{"nemotron-f32.zarr-tp2", "nemotron-f32.tp2-pp2", "llama-f16.names-tp2", "mistral-headdim.nemo2", "llama-tied-llama3.ckpt"} {
		path, out := testmodel.Nemo(t, name), filepath.Join(t.TempDir(), "ckpt")
		_, err := export.Convert(t.Context(), path, export.Options{OutputDir: out, Dtype: "bfloat16"})
		require.NoError(t, err)
		report, err := export.Verify(t.Context(), path, out, export.VerifyOptions{})
		require.NoError(t, err, name)
		if name == "nemotron-f32.zarr-tp2" {
			require.NotNil(t, report.Worst)
			require.LessOrEqual(t, report.Worst.Absolute, 0.01)
			require.Positive(t, report.Worst.Relative)
		}
	}
	path, out := testmodel.GGUF(t, "q8_0"), filepath.Join(t.TempDir(), "ckpt")
	_, err := export.Convert(t.Context(), path, export.Options{OutputDir: out, Dtype: "float16"})
	require.NoError(t, err)
	_, err = export.Verify(t.Context(), path, out, export.VerifyOptions{})
	require.NoError(t, err)
}

// Upstream's own converter names the class of Nemotron otherwise.
func TestVerifyArchitectures(t *testing.T) {
	dir := testmodel.Dir(t, "nemotron")
	out := mustConvert(t, dir, export.Options{})
	files{t, out}.replace("config.json", `"GPTForCausalLM"`, `"NemotronForCausalLM"`)
	_, err := export.Verify(t.Context(), dir, out, export.VerifyOptions{})
	require.NoError(t, err)
	_, err = export.Verify(t.Context(), testmodel.Dir(t, "llama-gqa"), out, export.VerifyOptions{})
	require.ErrorIs(t, err, export.ErrDifferent)
	require.ErrorContains(t, err, "config.json: checkpoint and source differ: architecture is NemotronForCausalLM, the source gives LlamaForCausalLM")
}

// The pair is told apart from another model's.
func TestVerifyAnotherModel(t *testing.T) {
	out := filepath.Join(t.TempDir(), "ckpt")
	_, err := export.Convert(t.Context(), testmodel.Dir(t, "llama-gqa"), export.Options{OutputDir: out})
	require.NoError(t, err)
	_, err = export.Verify(t.Context(), testmodel.Dir(t, "llama-f32"), out, export.VerifyOptions{})
	require.ErrorIs(t, err, export.ErrDifferent)
	require.ErrorContains(t, err, "the source gives")
	_, err = export.Verify(t.Context(), testmodel.Dir(t, "llama-f32"), t.TempDir(), export.VerifyOptions{})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// files gives tests the bytes of a checkpoint's tensors to damage.
type files struct {
	t   *testing.T
	dir string
}

func (f files) edit(rank int, tensor string, change func(data []byte)) {
	f.t.Helper()
	path := filepath.Join(f.dir, checkpoint.RankName(rank))
	open, err := safetensors.Open(path)
	require.NoError(f.t, err)
	at, ok := open.Tensor(tensor)
	require.NoError(f.t, open.Close())
	require.True(f.t, ok, tensor)
	all, err := os.ReadFile(path)
	require.NoError(f.t, err)
	change(all[at.Offset:][:at.Size])
	require.NoError(f.t, os.WriteFile(path, all, 0o600))
}

func (f files) bytes(rank int, tensor string) (data []byte) {
	f.edit(rank, tensor, func(d []byte) { data = bytes.Clone(d) })
	return data
}

func (f files) swap(rank int, a, b string) {
	first, second := f.bytes(rank, a), f.bytes(rank, b)
	f.edit(rank, a, func(d []byte) { copy(d, second) })
	f.edit(rank, b, func(d []byte) { copy(d, first) })
}

func (f files) replace(name, old, text string) {
	path := filepath.Join(f.dir, name)
	data, err := os.ReadFile(path)
	require.NoError(f.t, err)
	require.Contains(f.t, string(data), old)
	require.NoError(f.t, os.WriteFile(path, bytes.Replace(data, []byte(old), []byte(text), 1), 0o600))
}

// Each planted fault is found, and named by where it is.
func TestVerifyFindsFaults(t *testing.T) {
	const layer = "transformer.layers.1."
	for name, c := range map[string]struct {
		model  string
		dtype  string
		tp, pp int
		fault  func(files)
		says   []string
	}{
		"a bit": {"llama-gqa", "auto", 2, 1, func(f files) {
			f.edit(1, layer+"mlp.proj.weight", func(d []byte) { d[2*3] ^= 1 })
		}, []string{"rank 1, tensor transformer.layers.1.mlp.proj.weight, row 0, column 3 is ", "model.layers.1.mlp.down_proj.weight, row 0, column ", " gives "}},
		"the last bit of rounded weights": {"llama-f32", "bfloat16", 1, 1, func(f files) {
			f.edit(0, "lm_head.weight", func(d []byte) { d[len(d)-2] ^= 1 })
		}, []string{"tensor lm_head.weight, row "}},
		"gate and fc": {"llama-gqa", "auto", 1, 1, func(f files) {
			f.swap(0, layer+"mlp.fc.weight", layer+"mlp.gate.weight")
		}, []string{"transformer.layers.1.mlp."}},
		"no 1 added": {"nemotron", "auto", 1, 2, func(f files) {
			f.edit(1, "transformer.layers.0.post_layernorm.weight", func(d []byte) {
				values := make([]float32, len(d)/2)
				floatformat.Decode(values, d, "BF16")
				for i := range values {
					values[i]--
				}
				floatformat.Encode(d, values, "BF16")
			})
		}, []string{"rank 1, tensor transformer.layers.0.post_layernorm.weight, row 0, column 0"}},
		"ranks": {"llama-gqa", "auto", 2, 1, func(f files) {
			a, b := filepath.Join(f.dir, "rank0.safetensors"), filepath.Join(f.dir, "rank1.safetensors")
			require.NoError(f.t, os.Rename(a, a+"x"))
			require.NoError(f.t, os.Rename(b, a))
			require.NoError(f.t, os.Rename(a+"x", b))
		}, []string{"rank "}},
		"layers": {"llama-gqa", "auto", 1, 1, func(f files) {
			f.swap(0, layer+"attention.dense.weight", "transformer.layers.0.attention.dense.weight")
		}, []string{"attention.dense.weight"}},
		"heads": {"llama-gqa", "auto", 1, 1, func(f files) {
			f.edit(0, layer+"attention.qkv.weight", func(d []byte) {
				rows := slices.Collect(slices.Chunk(bytes.Clone(d), 16*64*2))
				copy(d, slices.Concat(append([][]byte{rows[1], rows[0]}, rows[2:]...)...))
			})
		}, []string{"attention.qkv.weight, row "}},
		"the padding": {"llama-gqa", "auto", 2, 1, func(f files) {
			f.edit(1, "lm_head.weight", func(d []byte) { d[len(d)-1] = 1 })
		}, []string{"rank 1, tensor lm_head.weight, row 128, column 63 is ", "lm_head.weight (padding)"}},
		"a zero bias": {"nemotron", "auto", 1, 1, func(f files) {
			f.edit(0, "transformer.ln_f.bias", func(d []byte) { d[0] ^= 0x80 })
		}, []string{"transformer.ln_f.bias"}},
		"a number": {"llama-gqa", "auto", 1, 1, func(f files) {
			f.replace("config.json", `"norm_epsilon": 0.001`, `"norm_epsilon": 1e-06`)
		}, []string{"config.json", "norm_epsilon is 0.000001, the source gives 0.001"}},
		"the tokenizer": {"llama-text", "auto", 1, 1, func(f files) {
			f.replace("tokenizer.json", "1", "2")
		}, []string{"tokenizer.json", "are not the"}},
	} {
		dir, out := testmodel.Dir(t, c.model), filepath.Join(t.TempDir(), "ckpt")
		_, err := export.Convert(t.Context(), dir, export.Options{OutputDir: out, Dtype: c.dtype, TPSize: c.tp, PPSize: c.pp})
		require.NoError(t, err)
		c.fault(files{t, out})
		_, err = export.Verify(t.Context(), dir, out, export.VerifyOptions{Workers: 1})
		require.ErrorIs(t, err, export.ErrDifferent, name)
		for _, text := range c.says {
			require.ErrorContains(t, err, text, name)
		}
	}
}

// FP8 under another scale loses at most half a step; undone, it is the numbers
// themselves. Codes and scales are both compared.
func TestVerifyQuantised(t *testing.T) {
	for _, name := range []string{"nemotron.fp8", "llama-gqa.fp8"} {
		dir := testmodel.QuantisedDir(t, name)
		for _, o := range []export.Options{{}, {TPSize: 2}, {QFormat: "full_prec", Dtype: "bfloat16"}, {QFormat: "int8_wo", Dtype: "float16"}} {
			_, err := export.Verify(t.Context(), dir, mustConvert(t, dir, o), export.VerifyOptions{})
			require.NoError(t, err, "%s %+v", name, o)
		}
		for tensor, change := range map[string]func([]byte){
			"transformer.layers.0.attention.qkv.weight":                    func(d []byte) { d[3] ^= 4 },
			"transformer.layers.0.mlp.proj.weight":                         func(d []byte) { d[0] ^= 1 },
			"transformer.layers.0.mlp.proj.weights_scaling_factor":         func(d []byte) { d[2] ^= 1 },
			"transformer.layers.0.attention.qkv.weights_scaling_factor":    func(d []byte) { d[0] ^= 1 },
			"transformer.layers.1.attention.qkv.activation_scaling_factor": func(d []byte) { d[0] ^= 1 },
			"transformer.layers.1.mlp.fc.activation_scaling_factor":        func(d []byte) { d[0] ^= 1 },
		} {
			out := mustConvert(t, dir, export.Options{})
			files{t, out}.edit(0, tensor, change)
			_, err := export.Verify(t.Context(), dir, out, export.VerifyOptions{})
			require.ErrorIs(t, err, export.ErrDifferent, tensor)
			require.ErrorContains(t, err, strings.TrimSuffix(strings.TrimSuffix(tensor, ".weights_scaling_factor"), ".weight"))
		}
	}
}

// A checkpoint as the source, divided anew: pairs of 4 bits are compared as they
// are, or as the numbers that they stand for.
func TestVerifyCheckpoint(t *testing.T) {
	dir := testmodel.QuantisedDir(t, "llama-gqa.awq")
	out := mustConvert(t, dir, export.Options{TPSize: 2})
	report, err := export.Verify(t.Context(), dir, out, export.VerifyOptions{})
	require.NoError(t, err)
	require.Equal(t, report.Tensors, report.Exact)
	whole := mustConvert(t, out, export.Options{QFormat: "full_prec"})
	report, err = export.Verify(t.Context(), out, whole, export.VerifyOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, report.Rounded)
	files{t, out}.edit(1, "transformer.layers.2.attention.qkv.weight", func(d []byte) { d[64*3+5] ^= 0x10 })
	_, err = export.Verify(t.Context(), dir, out, export.VerifyOptions{Workers: 1})
	require.ErrorIs(t, err, export.ErrDifferent)
	require.ErrorContains(t, err, "rank 1, tensor transformer.layers.2.attention.qkv.weight, row 3, column 5 is 0x")
}

func TestVerifyTruncated(t *testing.T) {
	dir, out := testmodel.Dir(t, "llama-gqa"), filepath.Join(t.TempDir(), "ckpt")
	_, err := export.Convert(t.Context(), dir, export.Options{OutputDir: out})
	require.NoError(t, err)
	require.NoError(t, os.Truncate(filepath.Join(out, "rank0.safetensors"), 10000))
	_, err = export.Verify(t.Context(), dir, out, export.VerifyOptions{})
	require.ErrorIs(t, err, export.ErrInvalid)
	require.ErrorContains(t, err, "rank0.safetensors")
}

// Rounding is checked by its definition: of a number half-way between two the even
// one is right, and below a power of two the spacing is half as wide.
func TestVerifyRounding(t *testing.T) {
	values := []float32{1, 1 + 1.0/256, 1 + 3.0/256, 0.99609375, math.SmallestNonzeroFloat32, -3e-39, 0, 1e-3}
	m := newFake()
	m.rows = func(name string, dst []byte, row int64) error {
		for i := range len(dst) / 4 {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(values[i%len(values)]))
		}
		return nil
	}
	out := filepath.Join(t.TempDir(), "ckpt")
	_, err := export.ConvertModel(t.Context(), m, export.Options{OutputDir: out, Dtype: "bfloat16"})
	require.NoError(t, err)
	report, err := export.VerifyModel(t.Context(), m, out, export.VerifyOptions{})
	require.NoError(t, err)
	require.Zero(t, report.Exact)
	require.Equal(t, 1.0/256, report.Worst.Absolute)
	require.Equal(t, 1.0, report.Worst.Relative, "the smallest number becomes 0")
	const name = "transformer.layers.0.mlp.proj.weight"
	for i, bits := range map[int]uint16{0: 0x3f7f, 1: 0x3f81, 2: 0x3f81, 3: 0x3f80, 4: 1, 5: 0, 6: 0x8000, 7: 0x3a84} {
		f := files{t, out}
		before := f.bytes(0, name)
		f.edit(0, name, func(d []byte) { binary.LittleEndian.PutUint16(d[2*i:], bits) })
		_, err = export.VerifyModel(t.Context(), m, out, export.VerifyOptions{})
		require.ErrorIs(t, err, export.ErrDifferent, "%d", i)
		require.ErrorContains(t, err, fmt.Sprintf("tensor %s, row 0, column %d is", name, i))
		f.edit(0, name, func(d []byte) { copy(d, before) })
	}
	_, err = export.VerifyModel(t.Context(), m, out, export.VerifyOptions{})
	require.NoError(t, err)
}

func TestVerifyInterrupted(t *testing.T) {
	dir := testmodel.Dir(t, "llama-gqa")
	out := mustConvert(t, dir, export.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := export.Verify(ctx, dir, out, export.VerifyOptions{Progress: func(int64, int64, string) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
}

// Convert verifies when it is asked to. A source that gives other bytes the second
// time, as a failing disk does, is found; the checkpoint stays for a look at it.
func TestConvertVerifies(t *testing.T) {
	dir := testmodel.Dir(t, "llama-gqa")
	_, report, err := convert(t, dir, export.Options{Verify: &export.VerifyOptions{}})
	require.NoError(t, err)
	require.Equal(t, report.Tensors, report.Verified.Exact)
	require.Equal(t, report.Files, report.Verified.Files)

	m, reads := newFake(), 0
	m.rows = func(name string, dst []byte, row int64) error {
		if name == "lm_head.weight" {
			reads++
			dst[2] = byte(reads)
		}
		return nil
	}
	out := filepath.Join(t.TempDir(), "ckpt")
	_, err = export.ConvertModel(t.Context(), m, export.Options{OutputDir: out, Verify: &export.VerifyOptions{}})
	require.ErrorIs(t, err, export.ErrDifferent)
	require.ErrorContains(t, err, out+" was written but is not verified, do not use it: ")
	require.ErrorContains(t, err, "rank 0, tensor lm_head.weight, row 0, column 0 is ")
	require.FileExists(t, filepath.Join(out, "config.json"))
}

// However many ranks have copies or columns of a weight, it is read once.
func TestVerifyReadsTheSourceOnce(t *testing.T) {
	m := newFake()
	out := filepath.Join(t.TempDir(), "ckpt")
	_, err := export.ConvertModel(t.Context(), m, export.Options{OutputDir: out, TPSize: 4, UseParallelEmbedding: true, EmbeddingShardingDim: 1})
	require.NoError(t, err)
	var read atomic.Int64
	m.rows = func(name string, dst []byte, row int64) error {
		read.Add(int64(len(dst)))
		return nil
	}
	_, err = export.VerifyModel(t.Context(), m, out, export.VerifyOptions{})
	require.NoError(t, err)
	planned, err := export.PlanModel(m, export.Options{})
	require.NoError(t, err)
	require.Equal(t, planned.BytesIn, read.Load())
}
