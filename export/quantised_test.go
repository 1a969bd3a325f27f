package export_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// stored is a tensor of a file that a test changes.
type stored struct {
	dtype string
	shape []int64
	data  []byte
}

func load(t *testing.T, path string) map[string]stored {
	t.Helper()
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	tensors := map[string]stored{}
	for _, info := range f.Header().Tensors {
		tensor, _ := f.Tensor(info.Name)
		data := make([]byte, info.Size)
		_, err := tensor.ReadAt(data, 0)
		require.NoError(t, err)
		tensors[info.Name] = stored{info.Dtype, info.Shape, data}
	}
	return tensors
}

func save(t *testing.T, path string, tensors map[string]stored) {
	t.Helper()
	require.NoError(t, os.Remove(path))
	var infos []safetensors.Info
	for name, tensor := range tensors {
		infos = append(infos, safetensors.Info{Name: name, Dtype: tensor.dtype, Shape: tensor.shape})
	}
	slices.SortFunc(infos, func(a, b safetensors.Info) int { return strings.Compare(a.Name, b.Name) })
	w, err := safetensors.Create(path, infos, nil)
	require.NoError(t, err)
	for name, tensor := range tensors {
		require.NoError(t, w.WriteAt(name, tensor.data, 0))
	}
	require.NoError(t, w.Close())
}

// edited is a copy of an FP8 directory with other tensors and another config.
func edited(t *testing.T, name string, tensors func(map[string]stored), config func(map[string]any)) string {
	t.Helper()
	dir := testmodel.QuantisedDir(t, name)
	if tensors != nil {
		path := filepath.Join(dir, "model.safetensors")
		list := load(t, path)
		tensors(list)
		save(t, path, list)
	}
	if config != nil {
		path := filepath.Join(dir, "config.json")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(text, &fields))
		config(fields)
		text, err = json.Marshal(fields)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o644))
	}
	return dir
}

func convert(t *testing.T, dir string, o export.Options) (string, *export.Report, error) {
	t.Helper()
	o.OutputDir = filepath.Join(t.TempDir(), "ckpt")
	report, err := export.Convert(t.Context(), dir, o)
	return o.OutputDir, report, err
}

func mustConvert(t *testing.T, dir string, o export.Options) string {
	t.Helper()
	out, _, err := convert(t, dir, o)
	require.NoError(t, err)
	return out
}

func readQuantization(t *testing.T, dir string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	var config struct{ Quantization map[string]any }
	require.NoError(t, json.Unmarshal(text, &config))
	return config.Quantization
}

// TestFP8Goldens compares every tensor with what torch makes of the source: q, k and v
// under their largest scale, the larger one of the cache's scales, one scale for what
// reads one input, norms with their 1, the head as it was.
func TestFP8Goldens(t *testing.T) {
	for _, test := range []struct {
		name   string
		tp, pp int
		key    string
	}{{"nemotron", 1, 1, "tp1-pp1"}, {"nemotron", 2, 2, "tp2-pp2"}, {"llama-gqa", 1, 1, "tp1-pp1"}, {"llama-gqa", 4, 1, "tp4-pp1"}} {
		dir := testmodel.QuantisedDir(t, test.name+".fp8")
		want := testmodel.Quantised(t, test.name+".fp8").Ranks[test.key]
		require.Len(t, want, test.tp*test.pp)
		for _, format := range []string{"", "fp8"} {
			out, report, err := convert(t, dir, export.Options{TPSize: test.tp, PPSize: test.pp, QFormat: format, Workers: 2})
			require.NoError(t, err)
			require.Empty(t, report.Notes)
			require.Equal(t, []string{"bfloat16", "FP8", "FP8"}, []string{report.Dtype, report.QuantAlgo, report.KVCacheAlgo})
			require.Equal(t, map[string]any{"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": []any{"lm_head"}}, readQuantization(t, out))
			for r, tensors := range want {
				path := filepath.Join(out, checkpoint.RankName(r))
				require.Equal(t, tensors, listing(t, path), "%s rank %d", test.name, r)
				for name, tensor := range load(t, path) {
					if tensor.dtype == "F8_E4M3" {
						require.NotContains(t, tensor.data, byte(0x7f), name)
						require.NotContains(t, tensor.data, byte(0xff), name)
					}
				}
			}
		}
	}
}

func rename(pairs ...string) func(map[string]stored) {
	return func(tensors map[string]stored) {
		r := strings.NewReplacer(pairs...)
		for name, tensor := range tensors {
			delete(tensors, name)
			tensors[r.Replace(name)] = tensor
		}
	}
}

// TestFP8Spellings gives one model in the words of every writer.
func TestFP8Spellings(t *testing.T) {
	number := map[string]any{"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": false, "symmetric": true}
	compressed := map[string]any{
		"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": []string{"lm_head"}, "kv_cache_scheme": number,
		"config_groups": map[string]any{"group_0": map[string]any{"targets": []string{"Linear"}, "weights": number, "input_activations": number}},
	}
	quantisation := func(value any) func(map[string]any) {
		return func(config map[string]any) { config["quantization_config"] = value }
	}
	want := map[string][]testmodel.Tensor{}
	for _, name := range []string{"nemotron", "llama-gqa"} {
		want[name] = listing(t, filepath.Join(mustConvert(t, testmodel.QuantisedDir(t, name+".fp8"), export.Options{}), checkpoint.RankName(0)))
	}
	for name, dir := range map[string]string{
		"compressed-tensors": edited(t, "nemotron.fp8", nil, quantisation(compressed)),
		"ModelOpt in config.json": edited(t, "nemotron.fp8", rename("self_attn.k_scale", "self_attn.k_proj.k_scale", "self_attn.v_scale", "self_attn.v_proj.v_scale"),
			quantisation(map[string]any{"producer": map[string]any{"name": "modelopt", "version": "0.31.0"}, "quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_scheme": number, "ignore": []string{"lm_head"}})),
		"output_scale": edited(t, "nemotron.fp8", rename("self_attn.k_scale", "self_attn.k_proj.output_scale", "self_attn.v_scale", "self_attn.v_proj.output_scale"), nil),
		"one scale for both": edited(t, "nemotron.fp8", func(tensors map[string]stored) {
			for name, v := range tensors {
				if layer, ok := strings.CutSuffix(name, ".v_scale"); ok {
					k := tensors[layer+".k_scale"]
					if math.Float32frombits(binary.LittleEndian.Uint32(k.data)) > math.Float32frombits(binary.LittleEndian.Uint32(v.data)) {
						v = k
					}
					delete(tensors, name)
					delete(tensors, layer+".k_scale")
					tensors[layer+".kv_scale"] = v
				}
			}
		}, nil),
		"scales of other shapes": edited(t, "nemotron.fp8", func(tensors map[string]stored) {
			for name, tensor := range tensors {
				if strings.HasSuffix(name, "_scale") {
					tensor.shape = map[int][]int64{0: {1}, 1: {1, 1}}[len(tensor.shape)]
					tensors[name] = tensor
				}
			}
		}, nil),
		"Hugging Face's newer keys": edited(t, "nemotron.fp8", nil, func(config map[string]any) {
			config["partial_rotary_factor"] = 0.5
			delete(config, "rope_percent")
		}),
	} {
		require.Equal(t, want["nemotron"], listing(t, filepath.Join(mustConvert(t, dir, export.Options{}), checkpoint.RankName(0))), name)
	}
	llama := edited(t, "llama-gqa.fp8", nil, quantisation(map[string]any{"quant_method": "fp8", "activation_scheme": "static", "kv_cache_scheme": "static"}))
	require.Equal(t, want["llama-gqa"], listing(t, filepath.Join(mustConvert(t, llama, export.Options{}), checkpoint.RankName(0))))

	// ModelOpt's own file, beside a config.json that says nothing.
	dir := edited(t, "nemotron.fp8", nil, func(config map[string]any) { delete(config, "quantization_config") })
	file := `{"producer": {"name": "modelopt", "version": "0.23.0"}, "quantization": {"quant_algo": %s, "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hf_quant_config.json"), []byte(strings.Replace(file, "%s", `"FP8"`, 1)), 0o644))
	require.Equal(t, want["nemotron"], listing(t, filepath.Join(mustConvert(t, dir, export.Options{}), checkpoint.RankName(0))))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hf_quant_config.json"), []byte(strings.Replace(file, "%s", `"NVFP4"`, 1)), 0o644))
	_, _, err := convert(t, dir, export.Options{})
	require.ErrorIs(t, err, export.ErrUnsupported)
	require.ErrorContains(t, err, "quantised as NVFP4")
}

func scaleOf(t *testing.T, tensor stored) float32 {
	t.Helper()
	require.Equal(t, "F32", tensor.dtype)
	require.Len(t, tensor.data, 4)
	return math.Float32frombits(binary.LittleEndian.Uint32(tensor.data))
}

// TestRequantised: what has the largest scale is copied; the others' numbers are at most
// half a step of E4M3 away from what they were.
func TestRequantised(t *testing.T) {
	dir := testmodel.QuantisedDir(t, "llama-gqa.fp8")
	from := load(t, filepath.Join(dir, "model.safetensors"))
	to := load(t, filepath.Join(mustConvert(t, dir, export.Options{}), checkpoint.RankName(0)))
	moved, copied := 0, 0
	for layer := range 3 {
		prefix := "model.layers." + string(rune('0'+layer)) + ".self_attn."
		fused := to["transformer.layers."+string(rune('0'+layer))+".attention.qkv.weight"]
		scale := scaleOf(t, to["transformer.layers."+string(rune('0'+layer))+".attention.qkv.weights_scaling_factor"])
		for _, part := range []string{"q_proj", "k_proj", "v_proj"} {
			codes, own := from[prefix+part+".weight"].data, scaleOf(t, from[prefix+part+".weight_scale"])
			rows := fused.data[:len(codes)]
			fused.data = fused.data[len(codes):]
			require.LessOrEqual(t, own, scale)
			if own == scale {
				require.Equal(t, codes, rows)
				copied++
				continue
			}
			if !bytes.Equal(codes, rows) { // the scales of two may nearly be the same
				moved++
			}
			for i, code := range codes {
				want, got := floatformat.FromE4M3(code)*own, floatformat.FromE4M3(rows[i])*scale
				step := max(float64(floatformat.FromE4M3(rows[i]&0x78|1)-floatformat.FromE4M3(rows[i]&0x78)), 1.0/512) * float64(scale)
				require.LessOrEqual(t, math.Abs(float64(want-got)), step/2*1.001)
			}
		}
		require.Empty(t, fused.data)
	}
	require.GreaterOrEqual(t, moved, 4)
	require.Equal(t, 3, copied)
}

// TestFP8Undone: in another form each weight is its code times its own scale, rounded
// once.
func TestFP8Undone(t *testing.T) {
	dir := testmodel.QuantisedDir(t, "nemotron.fp8")
	from := load(t, filepath.Join(dir, "model.safetensors"))
	for _, test := range []struct {
		o    export.Options
		algo any
	}{
		{export.Options{QFormat: "full_prec"}, nil},
		{export.Options{QFormat: "full_prec", Dtype: "float16"}, nil},
		{export.Options{QFormat: "full_prec", Dtype: "float32"}, nil},
		{export.Options{QFormat: "int8_wo"}, "W8A16"}, {export.Options{QFormat: "int4_wo"}, "W4A16"},
	} {
		out := mustConvert(t, dir, test.o)
		require.Equal(t, map[string]any{"quant_algo": test.algo, "kv_cache_quant_algo": nil}, readQuantization(t, out))
		to := load(t, filepath.Join(out, checkpoint.RankName(0)))
		tensor := to["transformer.layers.2.mlp.proj.weight"]
		own := scaleOf(t, from["model.layers.2.mlp.down_proj.weight_scale"])
		values := make([]float32, len(from["model.layers.2.mlp.down_proj.weight"].data))
		for i, code := range from["model.layers.2.mlp.down_proj.weight"].data {
			values[i] = floatformat.FromE4M3(code) * own
		}
		want := make([]byte, len(tensor.data))
		floatformat.Encode(want, values, tensor.dtype)
		require.Equal(t, want, tensor.data, test.o)
		require.NotContains(t, to, "transformer.layers.2.mlp.proj.weights_scaling_factor")
	}
	out := mustConvert(t, dir, export.Options{KVCacheDtype: "none"})
	require.Equal(t, map[string]any{"quant_algo": "FP8", "kv_cache_quant_algo": nil, "exclude_modules": []any{"lm_head"}}, readQuantization(t, out))
	require.NotContains(t, load(t, filepath.Join(out, checkpoint.RankName(0))), "transformer.layers.0.attention.kv_cache_scaling_factor")
	out = mustConvert(t, dir, export.Options{QFormat: "int8_wo", KVCacheDtype: "fp8"})
	require.Equal(t, map[string]any{"quant_algo": "W8A16", "kv_cache_quant_algo": "FP8"}, readQuantization(t, out))
}

// unquantise makes a linear's weight BF16 again.
func unquantise(tensors map[string]stored, name string) {
	weight := tensors[name+".weight"]
	values := make([]float32, len(weight.data))
	for i, code := range weight.data {
		values[i] = floatformat.FromE4M3(code)
	}
	weight.dtype, weight.data = "BF16", make([]byte, 2*len(values))
	floatformat.Encode(weight.data, values, "BF16")
	tensors[name+".weight"] = weight
	delete(tensors, name+".weight_scale")
	delete(tensors, name+".input_scale")
}

func TestFP8Excluded(t *testing.T) {
	one := edited(t, "nemotron.fp8", func(tensors map[string]stored) { unquantise(tensors, "model.layers.1.mlp.down_proj") }, nil)
	out := mustConvert(t, one, export.Options{})
	require.Equal(t, []any{"lm_head", "transformer.layers.1.mlp.proj"}, readQuantization(t, out)["exclude_modules"])
	tensors := load(t, filepath.Join(out, checkpoint.RankName(0)))
	require.Equal(t, "BF16", tensors["transformer.layers.1.mlp.proj.weight"].dtype)
	require.Equal(t, "F8_E4M3", tensors["transformer.layers.0.mlp.proj.weight"].dtype)
	require.NotContains(t, tensors, "transformer.layers.1.mlp.proj.weights_scaling_factor")
	_, _, err := convert(t, one, export.Options{PPSize: 2})
	require.ErrorIs(t, err, export.ErrMapping)
	require.ErrorContains(t, err, "transformer.layers.1.mlp.proj")
	mustConvert(t, one, export.Options{PPSize: 2, QFormat: "full_prec"})

	every := edited(t, "nemotron.fp8", func(tensors map[string]stored) {
		for _, layer := range []string{"0", "1", "2", "3"} {
			unquantise(tensors, "model.layers."+layer+".mlp.down_proj")
		}
	}, nil)
	out = mustConvert(t, every, export.Options{PPSize: 2})
	require.Equal(t, []any{"lm_head", "*.mlp.proj"}, readQuantization(t, out)["exclude_modules"])

	_, _, err = convert(t, edited(t, "nemotron.fp8", func(tensors map[string]stored) { unquantise(tensors, "model.layers.1.self_attn.k_proj") }, nil), export.Options{})
	require.ErrorIs(t, err, export.ErrInvalid)
	require.ErrorContains(t, err, "model.layers.1.self_attn.k_proj.weight is FP8 and")
}

// A head that is FP8 too is given in the model's dtype, as releases before 1.0 want it.
func TestFP8Head(t *testing.T) {
	dir := edited(t, "llama-gqa.fp8", func(tensors map[string]stored) {
		head := tensors["lm_head.weight"]
		values := make([]float32, len(head.data)/2)
		floatformat.Decode(values, head.data, head.dtype)
		head.dtype, head.data = "F8_E4M3", make([]byte, len(values))
		for i, v := range values {
			head.data[i] = floatformat.ToE4M3(v)
		}
		tensors["lm_head.weight"] = head
		tensors["lm_head.weight_scale"] = stored{"F32", nil, []byte{0, 0, 0x40, 0x3f}} // 0.75
	}, nil)
	from, to := load(t, filepath.Join(dir, "model.safetensors")), load(t, filepath.Join(mustConvert(t, dir, export.Options{}), checkpoint.RankName(0)))
	require.Equal(t, "BF16", to["lm_head.weight"].dtype)
	got := make([]float32, len(from["lm_head.weight"].data))
	floatformat.Decode(got, to["lm_head.weight"].data, "BF16")
	for i, code := range from["lm_head.weight"].data {
		require.Equal(t, floatformat.FromE4M3(code)*0.75, got[i])
	}
}

func TestFP8Refused(t *testing.T) {
	const weight, scale, input = "model.layers.2.mlp.down_proj.weight", "model.layers.2.mlp.down_proj.weight_scale", "model.layers.2.mlp.down_proj.input_scale"
	number := func(v float32) stored {
		return stored{"F32", []int64{1}, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))}
	}
	set := func(name string, tensor stored) func(map[string]stored) {
		return func(tensors map[string]stored) { tensors[name] = tensor }
	}
	dtype := func(dtype string) func(map[string]stored) {
		return func(tensors map[string]stored) {
			tensor := tensors[weight]
			tensor.dtype = dtype
			tensors[weight] = tensor
		}
	}
	quantisation := func(edit func(map[string]any)) func(map[string]any) {
		return func(config map[string]any) { edit(config["quantization_config"].(map[string]any)) }
	}
	group := func(key string, value any) func(map[string]any) {
		return quantisation(func(q map[string]any) {
			number := map[string]any{"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": false}
			number[key] = value
			q["quant_method"], q["config_groups"] = "compressed-tensors", map[string]any{"group_0": map[string]any{"weights": number}}
		})
	}
	for name, test := range map[string]struct {
		tensors func(map[string]stored)
		config  func(map[string]any)
		is      error
		message string
	}{
		"no scale":           {func(tensors map[string]stored) { delete(tensors, scale) }, nil, export.ErrInvalid, "missing tensor " + scale},
		"no input scale":     {func(tensors map[string]stored) { delete(tensors, input) }, nil, export.ErrInvalid, "missing tensor " + input},
		"no cache scale":     {func(tensors map[string]stored) { delete(tensors, "model.layers.3.self_attn.v_scale") }, nil, export.ErrInvalid, "there is no model.layers.3.self_attn.v_scale or "},
		"NaN":                {set(scale, number(float32(math.NaN()))), nil, export.ErrInvalid, scale + " is NaN, not a number above 0"},
		"zero":               {set(scale, number(0)), nil, export.ErrInvalid, scale + " is 0"},
		"negative":           {set(input, number(-1)), nil, export.ErrInvalid, input + " is -1"},
		"infinite":           {set(input, number(float32(math.Inf(1)))), nil, export.ErrInvalid, input + " is +Inf"},
		"cache of zero":      {set("model.layers.3.self_attn.v_scale", number(0)), nil, export.ErrInvalid, "v_scale is 0"},
		"scale for each row": {set(scale, stored{"F32", []int64{48, 1}, bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, 48)}), nil, export.ErrUnsupported, scale + " of shape [48 1]"},
		"scale of integers":  {set(scale, stored{"I32", []int64{1}, make([]byte, 4)}), nil, export.ErrUnsupported, "a scale of dtype I32"},
		"E5M2":               {dtype("F8_E5M2"), nil, export.ErrUnsupported, weight + ": dtype F8_E5M2"},
		"FNUZ":               {dtype("F8_E4M3FNUZ"), nil, export.ErrUnsupported, weight + ": dtype F8_E4M3FNUZ"},
		"NaN among weights": {func(tensors map[string]stored) {
			data := bytes.Clone(tensors[weight].data)
			data[104*5+3] = 0xff
			tensors[weight] = stored{"F8_E4M3", tensors[weight].shape, data}
		}, nil, export.ErrInvalid, weight + " has NaN in row 5"},
		"shape": {func(tensors map[string]stored) {
			tensors[weight] = stored{"F8_E4M3", []int64{104, 48}, tensors[weight].data}
		}, nil, export.ErrInvalid, weight + " has shape [104 48], the config gives [48 104]"},
		"left over":        {set("model.layers.0.mlp.down_proj.zero_point", number(1)), nil, export.ErrInvalid, "zero_point"},
		"dynamic":          {nil, quantisation(func(q map[string]any) { q["activation_scheme"] = "dynamic" }), export.ErrUnsupported, "scales found at run time (dynamic)"},
		"unknown scheme":   {nil, quantisation(func(q map[string]any) { q["activation_scheme"] = "mixed" }), export.ErrUnsupported, `"mixed"`},
		"blocks":           {nil, quantisation(func(q map[string]any) { q["weight_block_size"] = []int{128, 128} }), export.ErrUnsupported, "each block of [128,128]"},
		"channels":         {nil, group("strategy", "channel"), export.ErrUnsupported, "FP8_PER_CHANNEL_PER_TOKEN"},
		"groups":           {nil, group("strategy", "group"), export.ErrUnsupported, "by group"},
		"integers":         {nil, group("type", "int"), export.ErrUnsupported, "8 bits (int)"},
		"4 bits":           {nil, group("num_bits", 4), export.ErrUnsupported, "weights of 4 bits"},
		"fbgemm":           {nil, quantisation(func(q map[string]any) { q["quant_method"] = "fbgemm_fp8" }), export.ErrUnsupported, "fbgemm_fp8"},
		"ModelOpt's NVFP4": {nil, quantisation(func(q map[string]any) { q["quant_method"], q["quant_algo"] = "modelopt", "NVFP4" }), export.ErrUnsupported, "quantised as NVFP4"},
		"cache of 4 bits": {nil, quantisation(func(q map[string]any) {
			q["quant_method"], q["quant_algo"], q["kv_cache_scheme"] = "modelopt", "FP8", map[string]any{"num_bits": 4, "type": "float"}
		}), export.ErrUnsupported, "a KV cache of 4 bits"},
		"no groups":   {nil, quantisation(func(q map[string]any) { q["quant_method"] = "compressed-tensors" }), export.ErrInvalid, "no config_groups"},
		"method of 5": {nil, quantisation(func(q map[string]any) { q["quant_method"] = 5 }), export.ErrInvalid, "quant_method: 5 is not a text"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := edited(t, "nemotron.fp8", test.tensors, test.config)
			out, _, err := convert(t, dir, export.Options{})
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.message)
			require.NoDirExists(t, out)
		})
	}
	// What has no fixed scales can still be given as it was before.
	dynamic := edited(t, "nemotron.fp8", func(tensors map[string]stored) {
		for name := range tensors {
			if strings.HasSuffix(name, "input_scale") {
				delete(tensors, name)
			}
		}
	}, quantisation(func(q map[string]any) { q["activation_scheme"] = "dynamic" }))
	mustConvert(t, dynamic, export.Options{QFormat: "full_prec"})
	mustConvert(t, dynamic, export.Options{QFormat: "int8_wo"})

	all := edited(t, "nemotron.fp8", func(tensors map[string]stored) {
		for name := range tensors {
			if linear, ok := strings.CutSuffix(name, ".weight_scale"); ok {
				unquantise(tensors, linear)
			}
		}
	}, nil)
	_, _, err := convert(t, all, export.Options{})
	require.ErrorContains(t, err, "no linear is F8_E4M3")
}

func TestFormatsOfPlainModels(t *testing.T) {
	dir := testmodel.Dir(t, "llama-gqa")
	plain := listing(t, filepath.Join(mustConvert(t, dir, export.Options{}), checkpoint.RankName(0)))
	for format, algo := range map[string]any{"full_prec": nil, "int8_wo": "W8A16", "int4_wo": "W4A16"} {
		out := mustConvert(t, dir, export.Options{QFormat: format, TargetVersion: "1.1"})
		require.Equal(t, plain, listing(t, filepath.Join(out, checkpoint.RankName(0))), "the builder rounds the weights")
		require.Equal(t, map[string]any{"quant_algo": algo, "kv_cache_quant_algo": nil}, readQuantization(t, out))
		c, err := checkpoint.Open(out)
		require.NoError(t, err)
		require.Equal(t, "1.1", c.Config().Producer.TargetVersion)
		require.NoError(t, c.Close())
	}
	for _, test := range []struct {
		o       export.Options
		is      error
		message string
	}{
		{export.Options{QFormat: "fp8"}, export.ErrUnsupported, "qformat fp8 of a source that is not quantised is not supported yet: it needs calibration"},
		{export.Options{QFormat: "int4_awq"}, export.ErrUnsupported, "calibration"},
		{export.Options{QFormat: "w4a8_awq"}, export.ErrUnsupported, "w4a8_awq"},
		{export.Options{QFormat: "int8_sq"}, export.ErrUnsupported, "calibration"},
		{export.Options{QFormat: "nvfp4"}, export.ErrUnsupported, "nvfp4"},
		{export.Options{QFormat: "int3"}, export.ErrOption, `qformat "int3" is none of full_prec, `},
		{export.Options{KVCacheDtype: "fp8"}, export.ErrUnsupported, "kv_cache_dtype fp8 of a source without scales"},
		{export.Options{KVCacheDtype: "int8"}, export.ErrUnsupported, "calibration"},
		{export.Options{KVCacheDtype: "int2"}, export.ErrOption, `kv_cache_dtype "int2"`},
		{export.Options{TargetVersion: "0.12"}, export.ErrOption, `target_version "0.12" is none of 1.2, 1.1`},
	} {
		_, _, err := convert(t, dir, test.o)
		require.ErrorIs(t, err, test.is)
		require.ErrorContains(t, err, test.message)
	}
}
