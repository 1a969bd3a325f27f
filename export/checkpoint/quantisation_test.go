package checkpoint_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/safetensors"
)

func fp8Config() *checkpoint.Config {
	c := llamaConfig()
	c.Quantization = checkpoint.Quantization{QuantAlgo: checkpoint.FP8, KVCacheQuantAlgo: checkpoint.KVCacheFP8, ExcludeModules: []string{"lm_head"}}
	return c
}

func awqConfig() *checkpoint.Config {
	c := llamaConfig()
	c.Quantization = checkpoint.Quantization{QuantAlgo: checkpoint.W4A16AWQ, GroupSize: 4, PreQuantScale: true, ExcludeModules: []string{"lm_head"}}
	return c
}

// layerTensors tells what a rank has of layer 0, as "dtype shape".
func layerTensors(c *checkpoint.Config, rank int) map[string]string {
	tensors := map[string]string{}
	for _, t := range c.RankTensors(rank) {
		if name, ok := strings.CutPrefix(t.Name, "transformer.layers.0."); ok && !strings.Contains(name, "layernorm") {
			tensors[name] = strings.TrimSpace(fmt.Sprint(t.Dtype, " ", t.Shape))
		}
	}
	return tensors
}

func TestTensorsOfFP8(t *testing.T) {
	want := map[string]string{
		"attention.qkv.weight": "F8_E4M3 [36 24]", "attention.dense.weight": "F8_E4M3 [24 24]", "attention.kv_cache_scaling_factor": "F32 [1]",
		"mlp.fc.weight": "F8_E4M3 [20 24]", "mlp.gate.weight": "F8_E4M3 [20 24]", "mlp.proj.weight": "F8_E4M3 [24 20]",
	}
	for _, x := range []string{"attention.qkv", "attention.dense", "mlp.fc", "mlp.gate", "mlp.proj"} {
		want[x+".weights_scaling_factor"], want[x+".activation_scaling_factor"] = "F32 [1]", "F32 [1]"
	}
	c := divided(fp8Config(), 2, 1)
	require.NoError(t, c.Validate())
	require.Equal(t, want, layerTensors(c, 1))
	checkCoverage(t, c)

	// A module that is excluded is stored as it was; the head always is.
	c.Quantization.ExcludeModules = []string{"lm_head", "*.mlp.proj"}
	require.Equal(t, "[24 20]", layerTensors(c, 0)["mlp.proj.weight"])
	require.NotContains(t, layerTensors(c, 0), "mlp.proj.weights_scaling_factor")
	last := c.RankTensors(0)
	require.Empty(t, last[len(last)-1].Dtype, "lm_head")
	c.Quantization.ExcludeModules = []string{}
	require.ErrorContains(t, c.Validate(), "quantised lm_head is not supported")
	c.Quantization.ExcludeModules = []string{"lm_head", "[!"}
	require.ErrorContains(t, c.Validate(), `pattern "[!"`)
	c.Quantization.ExcludeModules = []string{"lm_hea[!e]"}
	require.NoError(t, c.Validate())
	c.Quantization.ExcludeModules = nil // upstream's own leave the head out
	require.NoError(t, c.Validate())
}

func TestTensorsOfAWQ(t *testing.T) {
	c := divided(awqConfig(), 2, 1)
	require.NoError(t, c.Validate())
	require.Equal(t, map[string]string{
		"attention.qkv.weight": "I8 [18 24]", "attention.qkv.weights_scaling_factor": "F32 [36 6]", "attention.qkv.prequant_scaling_factor": "[24]",
		"attention.dense.weight": "I8 [12 24]", "attention.dense.weights_scaling_factor": "F32 [24 6]", "attention.dense.prequant_scaling_factor": "[24]",
		"mlp.fc.weight": "I8 [10 24]", "mlp.fc.weights_scaling_factor": "F32 [20 6]", "mlp.fc.prequant_scaling_factor": "[24]",
		"mlp.gate.weight": "I8 [10 24]", "mlp.gate.weights_scaling_factor": "F32 [20 6]", "mlp.gate.prequant_scaling_factor": "[24]",
		"mlp.proj.weight": "I8 [12 20]", "mlp.proj.weights_scaling_factor": "F32 [24 5]", "mlp.proj.prequant_scaling_factor": "[20]",
	}, layerTensors(c, 1))
	checkCoverage(t, c)
	for _, w := range c.Weights() {
		switch w.Name {
		case "transformer.layers.0.mlp.proj.prequant_scaling_factor": // follows the input's columns
			require.EqualValues(t, 20, w.Placements[1].Row)
		case "transformer.layers.0.mlp.proj.weights_scaling_factor":
			require.EqualValues(t, 5, w.Placements[1].Column)
		case "transformer.layers.0.attention.k.weight": // pairs of rows
			require.Equal(t, []int64{6, 24}, w.Shape)
			require.EqualValues(t, 3, w.Placements[1].Row)
			require.EqualValues(t, 12, w.Placements[1].At)
		}
	}
	c.Quantization.PreQuantScale = false
	require.NotContains(t, layerTensors(c, 0), "mlp.fc.prequant_scaling_factor")

	for _, test := range []struct {
		change  func(*checkpoint.Config)
		is      error
		message string
	}{
		{func(c *checkpoint.Config) { c.Mapping = checkpoint.Mapping{WorldSize: 8, TPSize: 8, PPSize: 1} }, checkpoint.ErrMapping, "intermediate_size 5 on each of tp_size 8 ranks is no multiple of quantization.group_size 4"},
		{func(c *checkpoint.Config) { c.Quantization.GroupSize = 0 }, checkpoint.ErrInvalid, "hidden_size 24 is no multiple of quantization.group_size 128"},
		{func(c *checkpoint.Config) { c.Quantization.GroupSize = -4 }, checkpoint.ErrInvalid, "group_size is -4"},
		{func(c *checkpoint.Config) { c.Quantization.HasZeroPoint = true }, checkpoint.ErrUnsupported, "has_zero_point"},
		{func(c *checkpoint.Config) {
			c.IntermediateSize, c.Quantization.GroupSize = 15, 3
			c.Mapping = checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1}
		}, checkpoint.ErrMapping, "is odd"},
		{func(c *checkpoint.Config) { c.Quantization.QuantAlgo = "W4A8_AWQ" }, checkpoint.ErrUnsupported, "W4A8_AWQ"},
		{func(c *checkpoint.Config) { c.Quantization.KVCacheQuantAlgo = "NVFP4" }, checkpoint.ErrUnsupported, "KV cache in NVFP4"},
	} {
		c := divided(awqConfig(), 2, 1)
		test.change(c)
		err := c.Validate()
		require.ErrorIs(t, err, test.is, test.message)
		require.ErrorContains(t, err, test.message)
	}
}

// A weight-only checkpoint has plain weights: the builder quantises them.
func TestTensorsOfWeightOnly(t *testing.T) {
	for _, algo := range []string{checkpoint.W8A16, checkpoint.W4A16} {
		c := llamaConfig()
		plain := c.RankTensors(0)
		c.Quantization.QuantAlgo = algo
		require.NoError(t, c.Validate())
		require.Equal(t, plain, c.RankTensors(0))
		text, err := c.Text()
		require.NoError(t, err)
		require.Contains(t, string(text), "\"quantization\": {\n        \"quant_algo\": \""+algo+"\",\n        \"kv_cache_quant_algo\": null\n    }")
	}
}

func TestTextOfQuantization(t *testing.T) {
	text, err := awqConfig().Text()
	require.NoError(t, err)
	require.Contains(t, string(text), `    "quantization": {
        "quant_algo": "W4A16_AWQ",
        "kv_cache_quant_algo": null,
        "group_size": 4,
        "has_zero_point": false,
        "pre_quant_scale": true,
        "exclude_modules": [
            "lm_head"
        ]
    }`)
	again, err := checkpoint.ParseConfig(text)
	require.NoError(t, err)
	require.Equal(t, awqConfig().Quantization, again.Quantization)
	clone := again.Clone()
	clone.Quantization.ExcludeModules[0] = "x"
	require.Equal(t, "lm_head", again.Quantization.ExcludeModules[0])
}

func TestOpenQuantised(t *testing.T) {
	make := func(change func(*safetensors.Info)) string {
		dir := filepath.Join(t.TempDir(), "ckpt")
		c := fp8Config()
		write(t, dir, c)
		var infos []safetensors.Info
		for _, tensor := range c.RankTensors(0) {
			info := safetensors.Info{Name: tensor.Name, Dtype: tensor.Dtype, Shape: tensor.Shape}
			if info.Dtype == "" {
				info.Dtype = "BF16"
			}
			change(&info)
			infos = append(infos, info)
		}
		path := filepath.Join(dir, "rank0.safetensors")
		require.NoError(t, os.Remove(path))
		w, err := safetensors.Create(path, infos, nil)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return dir
	}
	const weight, scale = "transformer.layers.1.mlp.fc.weight", "transformer.layers.1.mlp.fc.weights_scaling_factor"
	c, err := checkpoint.Open(make(func(i *safetensors.Info) { // as ModelOpt writes them
		switch {
		case i.Dtype == "F8_E4M3":
			i.Dtype = "I8"
		case i.Dtype == "F32":
			i.Shape = nil
		}
	}))
	require.NoError(t, err)
	rank, _ := c.Rank(0)
	tensor, _ := rank.Tensor(weight)
	require.Equal(t, "F8_E4M3", tensor.Dtype)
	require.ErrorContains(t, tensor.ReadFloat32(nil, 0), "together with its scales")
	tensor, _ = rank.Tensor(scale)
	require.Equal(t, []int64{1}, tensor.Shape)
	require.NoError(t, c.Close())
	for _, test := range []struct {
		name, dtype, message string
	}{
		{weight, "F8_E5M2", "dtype F8_E5M2 is not supported"},
		{weight, "F8_E4M3FNUZ", "dtype F8_E4M3FNUZ is not supported"},
		{weight, "BF16", "of FP8 is F8_E4M3"},
		{scale, "BF16", "of FP8 is F32"},
	} {
		_, err := checkpoint.Open(make(func(i *safetensors.Info) {
			if i.Name == test.name {
				i.Dtype = test.dtype
			}
		}))
		require.ErrorIs(t, err, checkpoint.ErrUnsupported)
		require.ErrorContains(t, err, test.name)
		require.ErrorContains(t, err, test.message)
	}
	_, err = checkpoint.Open(make(func(i *safetensors.Info) {
		if i.Name == scale {
			i.Name = "other"
		}
	}))
	require.ErrorContains(t, err, "missing tensors: "+scale)
}

// Newer releases take a scale of keys and one of values for the one of both.
func TestTwoScalesOfTheCache(t *testing.T) {
	const scale, keys, values = "transformer.layers.%d.attention.kv_cache_scaling_factor", "transformer.layers.%d.attention.k_cache_scaling_factor", "transformer.layers.%d.attention.v_cache_scaling_factor"
	make := func(change func([]safetensors.Info) []safetensors.Info, numbers map[string]float32) string {
		dir := filepath.Join(t.TempDir(), "ckpt")
		c := fp8Config()
		write(t, dir, c)
		var infos []safetensors.Info
		for _, tensor := range c.RankTensors(0) {
			if strings.HasSuffix(tensor.Name, ".kv_cache_scaling_factor") {
				for _, x := range []string{".k_", ".v_"} {
					infos = append(infos, safetensors.Info{Name: strings.Replace(tensor.Name, ".kv_", x, 1), Dtype: "F32", Shape: []int64{1}})
				}
				continue
			}
			infos = append(infos, safetensors.Info{Name: tensor.Name, Dtype: cmp.Or(tensor.Dtype, "BF16"), Shape: tensor.Shape})
		}
		path := filepath.Join(dir, "rank0.safetensors")
		require.NoError(t, os.Remove(path))
		w, err := safetensors.Create(path, change(infos), nil)
		require.NoError(t, err)
		for name, v := range numbers {
			require.NoError(t, w.WriteAt(name, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)), 0))
		}
		require.NoError(t, w.Close())
		return dir
	}
	same := func(l []safetensors.Info) []safetensors.Info { return l }
	c, err := checkpoint.Open(make(same, map[string]float32{
		fmt.Sprintf(keys, 0): 0.5, fmt.Sprintf(values, 0): 0.25, fmt.Sprintf(keys, 3): 1, fmt.Sprintf(values, 3): 2,
	}))
	require.NoError(t, err)
	defer c.Close()
	rank, _ := c.Rank(0)
	require.Empty(t, rank.Unexpected())
	for layer, want := range map[int]float32{0: 0.5, 1: 0, 3: 2} {
		tensor, ok := rank.Tensor(fmt.Sprintf(scale, layer))
		require.True(t, ok)
		got := []float32{-1}
		require.NoError(t, tensor.ReadFloat32(got, 0))
		require.Equal(t, want, got[0])
	}
	_, err = checkpoint.Open(make(func(l []safetensors.Info) []safetensors.Info {
		return slices.DeleteFunc(l, func(i safetensors.Info) bool { return i.Name == fmt.Sprintf(values, 2) })
	}, nil))
	require.ErrorContains(t, err, "missing tensors: "+fmt.Sprintf(scale, 2))
	_, err = checkpoint.Open(make(func(l []safetensors.Info) []safetensors.Info {
		l[slices.IndexFunc(l, func(i safetensors.Info) bool { return i.Name == fmt.Sprintf(keys, 2) })].Shape = []int64{6}
		return l
	}, nil))
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, fmt.Sprintf(keys, 2)+" is F32 of shape [6], not one F32")
}

func TestShuffledWeightsAreRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ckpt")
	c := llamaConfig()
	c.Quantization.QuantAlgo = checkpoint.W8A16
	write(t, dir, c)
	var infos []safetensors.Info
	for _, tensor := range c.RankTensors(0) {
		dtype := "BF16"
		if strings.HasSuffix(tensor.Name, "mlp.fc.weight") {
			dtype = "I8"
		}
		infos = append(infos, safetensors.Info{Name: tensor.Name, Dtype: dtype, Shape: tensor.Shape})
	}
	path := filepath.Join(dir, "rank0.safetensors")
	require.NoError(t, os.Remove(path))
	w, err := safetensors.Create(path, infos, nil)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = checkpoint.Open(dir)
	require.ErrorIs(t, err, checkpoint.ErrUnsupported)
	require.ErrorContains(t, err, "shuffled for one GPU")
}
