package tensorrt_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// exported takes a form of testmodel.Quantised through export, in bfloat16.
func exported(t testing.TB, form string, tp, pp int) string {
	t.Helper()
	return exportedAs(t, form, "bfloat16", tp, pp)
}

func exportedAs(t testing.TB, form, dtype string, tp, pp int) string {
	t.Helper()
	name, kind, _ := strings.Cut(form, ".")
	cache := "none"
	if kind == "fp8_kv" {
		form, kind, cache = name+".fp8", "fp8", "fp8"
	}
	o := export.Options{Dtype: dtype, TPSize: tp, PPSize: pp, KVCacheDtype: cache, OutputDir: filepath.Join(t.TempDir(), "checkpoint")}
	source := testmodel.Dir(t, name)
	switch kind {
	case "fp8", "awq":
		source = testmodel.QuantisedDir(t, form)
	default:
		o.QFormat = kind
	}
	_, err := export.Convert(t.Context(), source, o)
	require.NoError(t, err)
	return o.OutputDir
}

// quantisedRows gives the logits at each position of all prompts.
func quantisedRows(t testing.TB, e *engine, prompts [][]int32) [][]float32 {
	t.Helper()
	got, err := serve(e.runtime(t, false), prompts, nil, 0)
	require.NoError(t, err)
	return got.inOrder(prompts)
}

// inOrder lists the rows of prompts.
func (got rows) inOrder(prompts [][]int32) [][]float32 {
	var list [][]float32
	for p, prompt := range prompts {
		for position := range prompt {
			list = append(list, got[p][position])
		}
	}
	return list
}

// differ counts the rows with a difference beyond most, and gives the rms of all.
func differ(want, got [][]float32, most float64) (count int, rms float64) {
	n := 0
	for i := range want {
		largest := 0.0
		for v := range want[i] {
			d := math.Abs(float64(want[i][v] - got[i][v]))
			if math.IsNaN(d) {
				d = math.Inf(1)
			}
			largest, rms, n = max(largest, d), rms+d*d, n+1
		}
		if largest > most {
			count++
		}
	}
	return count, math.Sqrt(rms / float64(n))
}

// Quantised networks give what torch computes of the quantised weights. The plugins of 4 and 8
// bits round weights to the model's type when they scale them; FP8 keeps float32 here. Of
// FP8, an input that lies within float32 rounding of the middle between two codes may
// become either, which moves the few rows that have one.
//
// A gated MLP that is fused has one scale, so its weights are rounded once more: see
// TestNumbersOfFusedFP8.
func TestNumbersOfQuantisedForms(t *testing.T) {
	fp8 := "fp8"
	gemm := plugins(func(p *engineconfig.Plugin) { p.GemmPlugin = &fp8 })
	unfused := plugins(func(p *engineconfig.Plugin) { p.UseFusedMLP = false })
	managed := plugins(func(p *engineconfig.Plugin) { p.ManageWeights = true })
	type with = []func(o *tensorrt.Options)
	for _, c := range []struct {
		form   string
		what   string
		tp, pp int
		with   with
	}{
		{"nemotron.fp8", "Q/DQ", 1, 1, nil},
		{"llama-gqa.fp8", "Q/DQ, MLP not fused", 1, 1, with{unfused}},
		{"nemotron.fp8", "GEMM plugin", 1, 1, with{gemm}},
		{"llama-gqa.fp8", "GEMM plugin, MLP not fused", 1, 1, with{gemm, unfused}},
		{"nemotron.fp8", "tp 2, pp 2", 2, 2, nil},
		{"nemotron.fp8", "tp 2, pp 2, GEMM plugin", 2, 2, with{gemm}},
		{"llama-gqa.fp8", "tp 4, MLP not fused", 4, 1, with{unfused}},
		{"llama-gqa.fp8", "weights as inputs", 1, 1, with{managed, unfused}},
		{"nemotron.fp8_kv", "Q/DQ", 1, 1, nil},
		{"nemotron.fp8_kv", "tp 2, GEMM plugin", 2, 1, with{gemm}},
		{"nemotron.fp8_kv", "attention in bfloat16, weights as inputs", 1, 1, with{plugins(func(p *engineconfig.Plugin) { p.UseFP8ContextFMHA = false }), managed}},
		{"nemotron.int8_wo", "", 1, 1, nil},
		{"llama-gqa.int8_wo", "", 1, 1, nil},
		{"llama-gqa.int8_wo", "MLP not fused", 1, 1, with{unfused}},
		{"nemotron.int8_wo", "pp 2", 1, 2, nil},
		{"nemotron.int4_wo", "", 1, 1, nil},
		{"llama-gqa.int4_wo", "", 1, 1, nil},
		{"llama-gqa.int4_wo", "weights as inputs", 1, 1, with{managed}},
		{"llama-gqa.awq", "", 1, 1, nil},
		{"llama-gqa.awq", "tp 2", 2, 1, nil},
	} {
		t.Run(c.form+" "+c.what, func(t *testing.T) {
			t.Parallel()
			want, kind := testmodel.Quantised(t, c.form), c.form[strings.Index(c.form, ".")+1:]
			e := lowered(t, exported(t, c.form, c.tp, c.pp), options(append(with{small, gather}, c.with...)...))
			dtype, most := "bfloat16", 2e-3
			if strings.HasPrefix(kind, "fp8") {
				dtype = "float32"
			}
			got := quantisedRows(t, e, want.Prompts)
			count, rms := differ(want.Logits[dtype], got, most)
			t.Logf("%d of %d rows differ, rms %.2g", count, len(got), rms)
			unquantised := want.Error[dtype].RMS
			require.Greater(t, unquantised, 0.05, "the form can be told from the model")
			require.Less(t, rms, unquantised/10)
			switch kind {
			case "fp8", "fp8_kv":
				require.LessOrEqual(t, count, len(got)/5)
			case "awq": // torch's weights have the input's factor in before they are rounded
			default:
				require.Zero(t, count)
			}
		})
	}
}

// commonScale gives the linears of each gated MLP the larger of their scales, and rounds their
// weights anew.
func commonScale(t testing.TB, dir string) {
	t.Helper()
	path := filepath.Join(dir, checkpoint.RankName(0))
	file, err := safetensors.Open(path)
	require.NoError(t, err)
	defer file.Close()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	bytes := func(name string) []byte {
		tensor, ok := file.Tensor(name)
		require.True(t, ok, name)
		return data[tensor.Offset:][:tensor.Size]
	}
	scale := func(module string) []byte { return bytes(module + checkpoint.WeightScale) }
	for layer := range 3 {
		modules := []string{fmt.Sprintf("transformer.layers.%d.mlp.fc", layer), fmt.Sprintf("transformer.layers.%d.mlp.gate", layer)}
		var scales [2]float32
		for i, m := range modules {
			floatformat.Decode(scales[i:i+1], scale(m), "F32")
		}
		require.NotEqual(t, scales[0], scales[1])
		most := max(scales[0], scales[1])
		for i, m := range modules {
			codes := bytes(m + ".weight")
			for k, code := range codes {
				codes[k] = floatformat.ToE4M3(floatformat.FromE4M3(code) * scales[i] / most)
			}
			floatformat.Encode(scale(m), []float32{most}, "F32")
		}
	}
	require.NoError(t, file.Close())
	require.NoError(t, os.WriteFile(path, data, 0o644))
}

// A gated MLP of FP8 that is fused computes what one does that is not, on weights of one scale.
func TestNumbersOfFusedFP8(t *testing.T) {
	fp8 := "fp8"
	gemm := plugins(func(p *engineconfig.Plugin) { p.GemmPlugin = &fp8 })
	unfused := plugins(func(p *engineconfig.Plugin) { p.UseFusedMLP = false })
	prompts := testmodel.Quantised(t, "llama-gqa.fp8").Prompts
	for name, with := range map[string][]func(o *tensorrt.Options){"Q/DQ": nil, "GEMM plugin": {gemm}} {
		t.Run(name, func(t *testing.T) {
			dir := exported(t, "llama-gqa.fp8", 1, 1)
			fused := quantisedRows(t, lowered(t, dir, options(append(with, small, gather)...)), prompts)
			separate := quantisedRows(t, lowered(t, dir, options(append(with, small, gather, unfused)...)), prompts)
			commonScale(t, dir)
			want := quantisedRows(t, lowered(t, dir, options(append(with, small, gather, unfused)...)), prompts)
			count, rms := differ(want, fused, 2e-3)
			require.LessOrEqual(t, count, len(want)/5)
			require.Less(t, rms, 2e-2)
			_, rms = differ(want, separate, 0)
			require.Greater(t, rms, 0.1, "the scales can be told from each other")
		})
	}
}

// roundLinears rounds the linears of every rank to numbers of bits times a scale for each output, as
// trtllm-build's symmetric_quantize does with what a rank has. scale is the type of the scales.
func roundLinears(t testing.TB, dir string, ranks, bits int, scale string) {
	t.Helper()
	for rank := range ranks {
		path := filepath.Join(dir, checkpoint.RankName(rank))
		file, err := safetensors.Open(path)
		require.NoError(t, err)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, info := range file.Header().Tensors {
			if !strings.Contains(info.Name, ".layers.") || len(info.Shape) != 2 {
				continue
			}
			tensor, _ := file.Tensor(info.Name)
			raw, columns := data[tensor.Offset:][:tensor.Size], int(info.Shape[1])
			values := make([]float32, len(raw)/floatformat.Size(info.Dtype))
			floatformat.Decode(values, raw, info.Dtype)
			for row := 0; row < len(values); row += columns {
				roundRow(values[row:row+columns], bits, scale)
			}
			require.False(t, floatformat.Encode(raw, values, info.Dtype))
		}
		require.NoError(t, file.Close())
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
}

// roundRow divides by the scale in float32, and multiplies by the scale that is stored.
func roundRow(row []float32, bits int, dtype string) {
	most, largest := float64(int(1)<<(bits-1)), 0.0
	for _, v := range row {
		largest = max(largest, math.Abs(float64(v)))
	}
	scale, stored, raw := float32(largest/most), make([]float32, 1), make([]byte, 2)
	floatformat.Encode(raw, []float32{scale}, dtype)
	floatformat.Decode(stored, raw, dtype)
	for i, v := range row {
		row[i] = float32(min(max(math.Round(float64(v/scale)), -most), most-1)) * stored[0]
	}
}

// integers leaves it to the builder to round weights to so many bits.
func integers(bits int) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) {
		c.Quantization = checkpoint.Quantization{QuantAlgo: fmt.Sprintf("W%dA16", bits), ExcludeModules: []string{"lm_head"}}
	}
}

// FP8 does not depend on the model's type where nothing else is rounded to it.
func TestNumbersOfFP8ByType(t *testing.T) {
	unfused := plugins(func(p *engineconfig.Plugin) { p.UseFusedMLP = false })
	for _, c := range []struct {
		form, dtype string
		tp, pp      int
	}{
		{"nemotron.fp8", "float16", 1, 1}, {"nemotron.fp8", "float32", 2, 1}, {"nemotron.fp8", "bfloat16", 1, 2}, {"nemotron.fp8", "bfloat16", 2, 1},
		{"llama-gqa.fp8", "float16", 2, 1}, {"llama-gqa.fp8", "float16", 1, 1}, {"llama-gqa.fp8", "float32", 1, 1}, {"llama-gqa.fp8", "bfloat16", 2, 1},
		{"nemotron.fp8_kv", "float16", 1, 1}, {"nemotron.fp8_kv", "float32", 1, 1}, {"nemotron.fp8_kv", "bfloat16", 2, 2}, {"nemotron.fp8_kv", "bfloat16", 1, 2},
	} {
		t.Run(fmt.Sprintf("%s %s tp %d, pp %d", c.form, c.dtype, c.tp, c.pp), func(t *testing.T) {
			t.Parallel()
			want := testmodel.Quantised(t, c.form)
			got := quantisedRows(t, lowered(t, exportedAs(t, c.form, c.dtype, c.tp, c.pp), options(small, gather, unfused)), want.Prompts)
			count, rms := differ(want.Logits["float32"], got, 2e-3)
			require.LessOrEqual(t, count, len(got)/5)
			require.Less(t, rms, want.Error["float32"].RMS/10)
		})
	}
}

// Of ranks, each rounds its own part of a matrix, and pads it to what the kernels take: that gives the logits of
// a model whose parts were rounded before.
func TestNumbersOfIntegersByFamily(t *testing.T) {
	for _, c := range []struct {
		name, dtype string
		bits        int
		parallel    [][2]int
	}{
		{"llama-gqa", "bfloat16", 8, [][2]int{{2, 1}, {4, 1}, {1, 2}, {2, 2}}},
		{"llama-gqa", "bfloat16", 4, [][2]int{{2, 1}, {4, 1}}},
		{"llama-gqa", "float16", 4, [][2]int{{1, 1}, {2, 1}}},
		{"mistral-window", "bfloat16", 8, [][2]int{{1, 1}, {4, 1}}},
		{"mistral-window", "bfloat16", 4, [][2]int{{1, 1}, {2, 2}}},
		{"mistral-window", "float16", 8, [][2]int{{1, 1}, {2, 1}}},
		{"nemotron", "bfloat16", 4, [][2]int{{2, 1}, {2, 2}}},
		{"nemotron", "bfloat16", 8, [][2]int{{2, 1}, {2, 2}}},
		{"nemotron", "float16", 8, [][2]int{{1, 1}, {1, 2}}},
		{"nemotron", "float16", 4, [][2]int{{1, 1}}},
	} {
		for _, p := range c.parallel {
			tp, pp := p[0], p[1]
			t.Run(fmt.Sprintf("%s.int%d %s tp %d, pp %d", c.name, c.bits, c.dtype, tp, pp), func(t *testing.T) {
				t.Parallel()
				prompts := testmodel.Golden(t, c.name).Prompts[1:3]
				dir := tinycheckpoint.Dir(t, c.name, divided(tp, pp, dtype(c.dtype)))
				plain := quantisedRows(t, lowered(t, dir, options(small, gather)), prompts)
				roundLinears(t, dir, tp*pp, c.bits, checkpoint.SafetensorsDtype(c.dtype))
				want := quantisedRows(t, lowered(t, dir, options(small, gather)), prompts)
				quantised := tinycheckpoint.Dir(t, c.name, divided(tp, pp, dtype(c.dtype), integers(c.bits)))
				got := quantisedRows(t, lowered(t, quantised, options(small, gather)), prompts)
				count, _ := differ(want, got, 2e-3)
				require.Zero(t, count)
				_, rms := differ(plain, got, 0)
				require.Greater(t, rms, 0.02, "rounding can be told")
			})
		}
	}
}
