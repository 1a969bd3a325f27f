package export_test

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/testmodel"
)

func (s stored) floats() []float32 {
	values := make([]float32, len(s.data)/floatformat.Size(s.dtype))
	floatformat.Decode(values, s.data, s.dtype)
	return values
}

func groupsOf(size int) export.Options {
	return export.Options{QFormat: "int4_wo", GroupSize: size, Verify: &export.VerifyOptions{}}
}

// TestGroups: every number is the nearest multiple of its group's scale, which is a number of
// the model's dtype and makes 7 of the group's largest, but for its rounding.
func TestGroups(t *testing.T) {
	dir := testmodel.Dir(t, "llama-text")
	for _, dtype := range []string{"bfloat16", "float16", "float32"} {
		plain := load(t, filepath.Join(mustConvert(t, dir, export.Options{Dtype: dtype}), checkpoint.RankName(0)))
		o := groupsOf(32)
		o.Dtype = dtype
		out := mustConvert(t, dir, o)
		require.Equal(t, map[string]any{"quant_algo": "W4A16_AWQ", "kv_cache_quant_algo": nil, "group_size": 32.0, "has_zero_point": false,
			"pre_quant_scale": true, "exclude_modules": []any{"lm_head"}}, readQuantization(t, out))
		linears := 0
		for name, have := range load(t, filepath.Join(out, checkpoint.RankName(0))) {
			switch module, _ := strings.CutSuffix(name, ".weight"); {
			case strings.HasSuffix(name, checkpoint.InputFactor):
				for _, v := range have.floats() {
					require.EqualValues(t, 1, v)
				}
			case strings.HasSuffix(name, checkpoint.WeightScale):
			case have.dtype != "I8":
				require.Equal(t, plain[name], have, name)
			default:
				linears++
				from := plain[name]
				columns := int(from.shape[1])
				require.Equal(t, []int64{from.shape[0] / 2, from.shape[1]}, have.shape)
				scales := load(t, filepath.Join(out, checkpoint.RankName(0)))[module+checkpoint.WeightScale].floats()
				require.Len(t, scales, len(from.floats())/32)
				values := from.floats()
				for g, scale := range scales {
					most := float32(0)
					for _, v := range values[32*g:][:32] {
						most = max(most, float32(math.Abs(float64(v))))
					}
					require.InEpsilon(t, most/7, scale, 0x1p-8)
					require.Equal(t, scale, rounded(scale, checkpoint.SafetensorsDtype(dtype)))
				}
				for i, v := range values {
					row, k, scale := i/columns, i%columns, float64(scales[i/32])
					number := int8(have.data[row/2*columns+k]<<(4*(1-row%2))) >> 4
					limit := scale / 2
					if number == 7 || number == -8 { // the scale may have been rounded down
						limit = scale * (0.5 + 7*0x1p-8)
					}
					require.LessOrEqual(t, math.Abs(float64(v)-float64(number)*scale), limit*(1+1e-6))
				}
			}
		}
		require.Equal(t, 5*2, linears)
	}
}

func rounded(v float32, dtype string) float32 {
	raw := make([]byte, floatformat.Size(dtype))
	floatformat.Encode(raw, []float32{v}, dtype)
	back := []float32{0}
	floatformat.Decode(back, raw, dtype)
	return back[0]
}

// TestGroupsOfStages: stages and ranks have the same numbers.
func TestGroupsOfStages(t *testing.T) {
	dir := testmodel.Dir(t, "llama-text")
	whole := load(t, filepath.Join(mustConvert(t, dir, groupsOf(32)), checkpoint.RankName(0)))
	o := groupsOf(32)
	o.PPSize = 2
	second := load(t, filepath.Join(mustConvert(t, dir, o), checkpoint.RankName(1)))
	for _, name := range []string{"mlp.gate.weight", "mlp.gate.weights_scaling_factor", "attention.qkv.prequant_scaling_factor"} {
		require.Equal(t, whole["transformer.layers.1."+name], second["transformer.layers.0."+name])
	}
	o.TPSize = 2
	_, _, err := convert(t, dir, o)
	require.ErrorIs(t, err, export.ErrMapping)
	require.ErrorContains(t, err, "num_attention_heads × head_size 16 on each of tp_size 2 ranks is no multiple of quantization.group_size 32")
}

func TestGroupsAreVerified(t *testing.T) {
	dir := testmodel.Dir(t, "llama-text")
	for _, name := range []string{"mlp.proj.weight", "attention.dense.weights_scaling_factor", "mlp.fc.prequant_scaling_factor"} {
		out := mustConvert(t, dir, groupsOf(32))
		path := filepath.Join(out, checkpoint.RankName(0))
		tensors := load(t, path)
		tensors["transformer.layers.0."+name].data[1] ^= 0x40
		save(t, path, tensors)
		_, err := export.Verify(t.Context(), dir, out, export.VerifyOptions{})
		require.ErrorIs(t, err, export.ErrDifferent)
		require.ErrorContains(t, err, name)
	}
}

func TestGroupsPlanned(t *testing.T) {
	o := groupsOf(32)
	plan, err := export.Plan(t.Context(), testmodel.Dir(t, "llama-text"), o)
	require.NoError(t, err)
	words := map[string]string{}
	for _, tensor := range plan.Ranks[0].Tensors {
		for _, part := range tensor.Parts {
			words[tensor.Name] = part.Transform
		}
	}
	require.Contains(t, words["transformer.layers.0.mlp.fc.weight"], "4 bits by groups of 32")
	require.Contains(t, words["transformer.layers.0.mlp.fc.weights_scaling_factor"], "scales of groups of 32")
	require.Contains(t, words["transformer.layers.0.mlp.fc.prequant_scaling_factor"], "ones")
	require.NotContains(t, words["lm_head.weight"], "bits")
}

func TestGroupsRefused(t *testing.T) {
	plain := testmodel.Dir(t, "llama-text")
	for _, test := range []struct {
		dir     string
		o       export.Options
		is      error
		message string
	}{
		{plain, export.Options{GroupSize: 32}, export.ErrOption, "group_size 32 is for qformat int4_wo"},
		{plain, groupsOf(16), export.ErrOption, "group_size 16 is none of 32, 64, 128"},
		{plain, groupsOf(-1), export.ErrOption, "group_size -1 is none"},
		{plain, groupsOf(64), export.ErrInvalid, "hidden_size 32 is no multiple of quantization.group_size 64"},
		{testmodel.QuantisedDir(t, "llama-gqa.awq"), groupsOf(32), export.ErrOption, "a source that is W4A16_AWQ has groups of its own"},
		{withWeight(t, float32(math.NaN())), groupsOf(32), export.ErrInvalid, "has a weight of NaN in row 1, which cannot be rounded to 4 bits"},
		{withWeight(t, float32(math.Inf(-1))), groupsOf(32), export.ErrInvalid, "has a weight of +Inf in row 1"},
		{withWeight(t, 3e38), export.Options{QFormat: "int4_wo", GroupSize: 32, Dtype: "float16"}, export.ErrOverflow, "of a group is too large for F16"},
	} {
		out, _, err := convert(t, test.dir, test.o)
		require.ErrorIs(t, err, test.is, test.message)
		require.ErrorContains(t, err, test.message)
		_, err = os.Stat(out)
		require.True(t, errors.Is(err, os.ErrNotExist))
	}
}

// withWeight is llama-text with a value in row 1 of a linear.
func withWeight(t *testing.T, v float32) string {
	t.Helper()
	dir := testmodel.Dir(t, "llama-text")
	path := filepath.Join(dir, "model.safetensors")
	tensors := load(t, path)
	w := tensors["model.layers.1.mlp.up_proj.weight"]
	require.Equal(t, "BF16", w.dtype)
	binary.LittleEndian.PutUint16(w.data[2*32+10:], uint16(math.Float32bits(v)>>16))
	save(t, path, tensors)
	return dir
}

// TestGroupsOfFP8 rounds what the codes stand for: here bfloat16 numbers.
func TestGroupsOfFP8(t *testing.T) {
	eight, plain := testmodel.Dir(t, "llama-text"), testmodel.Dir(t, "llama-text")
	codes := load(t, filepath.Join(eight, "model.safetensors"))
	values := load(t, filepath.Join(plain, "model.safetensors"))
	for name, w := range values {
		if !strings.Contains(name, "_proj.weight") {
			continue
		}
		own := stored{floatformat.E4M3, w.shape, make([]byte, len(w.data)/2)}
		numbers := w.floats()
		for i, v := range numbers {
			own.data[i] = floatformat.ToE4M3(v * 64)
			numbers[i] = floatformat.FromE4M3(own.data[i]) / 64
		}
		floatformat.Encode(w.data, numbers, "BF16")
		module := strings.TrimSuffix(name, ".weight")
		codes[name], codes[module+".weight_scale"], codes[module+".input_scale"] = own, stored{"F32", nil, number(1. / 64)}, stored{"F32", nil, number(1)}
	}
	save(t, filepath.Join(eight, "model.safetensors"), codes)
	save(t, filepath.Join(plain, "model.safetensors"), values)
	path := filepath.Join(eight, "config.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text = append([]byte(`{"quantization_config": {"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"]},`), text[1:]...)
	require.NoError(t, os.WriteFile(path, text, 0o644))
	want := listing(t, filepath.Join(mustConvert(t, plain, groupsOf(32)), checkpoint.RankName(0)))
	require.Equal(t, want, listing(t, filepath.Join(mustConvert(t, eight, groupsOf(32)), checkpoint.RankName(0))))
}

func number(v float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)) }
