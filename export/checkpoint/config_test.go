package checkpoint_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// modelopt is a config as ModelOpt writes it, with keys of its own.
const modelopt = `{
    "producer": {"name": "modelopt", "version": "0.23.0"},
    "architecture": "GPTForCausalLM", "dtype": "bfloat16", "logits_dtype": "float16",
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 24, "head_size": 8,
    "norm_epsilon": 1e-05, "vocab_size": 40, "max_position_embeddings": 64, "hidden_act": "squared-relu",
    "intermediate_size": 48, "position_embedding_type": "rope_gpt_neox", "rotary_pct": 0.5, "rotary_base": 10000,
    "rotary_scaling": {"type": "llama3"}, "bias": false, "rank": 0, "decoder": "gpt", "rmsnorm": false,
    "use_parallel_embedding": true, "embedding_sharding_dim": 0, "lm_head_bias": false,
    "mapping": {"world_size": 1, "tp_size": 1, "pp_size": 1, "gpus_per_node": 8},
    "quantization": {"quant_algo": null, "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]},
    "share_embedding_table": false
}`

func TestUnknownKeysAreKept(t *testing.T) {
	c, err := checkpoint.ParseConfig([]byte(modelopt))
	require.NoError(t, err)
	require.Equal(t, "modelopt", c.Producer.Name)
	require.Equal(t, "FP8", c.Quantization.KVCacheQuantAlgo)
	require.Equal(t, int64(4), c.RotaryDim())
	require.Equal(t, &checkpoint.RotaryScaling{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192}, c.RotaryScaling)
	text, err := c.Text()
	require.NoError(t, err)
	var want, got map[string]any
	require.NoError(t, json.Unmarshal([]byte(modelopt), &want))
	require.NoError(t, json.Unmarshal(text, &got))
	want["rotary_scaling"] = map[string]any{
		"type": "llama3", "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 8192.0,
	}
	want["qk_layernorm"], want["rotary_embedding_dim"] = false, 4.0 // always written
	require.Equal(t, want, got)

	again, err := checkpoint.ParseConfig(text)
	require.NoError(t, err)
	second, err := again.Text()
	require.NoError(t, err)
	require.Equal(t, string(text), string(second), "deterministic")
}

func TestTextOfConfig(t *testing.T) {
	c := llamaConfig()
	c.NormEpsilon = 1e-6
	text, err := c.Text()
	require.NoError(t, err)
	for _, line := range []string{
		"    \"architecture\": \"LlamaForCausalLM\",\n", "    \"rotary_base\": 10000.0,\n", "    \"rotary_scaling\": null,\n",
		"    \"norm_epsilon\": 0.000001,\n", "        \"quant_algo\": null,\n", "    \"head_size\": 6,\n",
	} {
		require.Contains(t, string(text), line)
	}
	require.True(t, strings.HasSuffix(string(text), "}\n"))
}

// Absent keys mean what upstream's classes take for them.
func TestDefaults(t *testing.T) {
	c, err := checkpoint.ParseConfig([]byte(`{"architecture":"LlamaForCausalLM","dtype":"float16","hidden_size":32,"num_hidden_layers":1,
		"num_attention_heads":4,"vocab_size":9,"max_position_embeddings":16,"position_embedding_type":"rope_gpt_neox","head_size":null,
		"rotary_scaling":{"rope_type":"default"},"mapping":{},"quantization":{}}`))
	require.NoError(t, err)
	require.Equal(t, int64(8), c.HeadSize)
	require.Equal(t, int64(4), c.NumKeyValueHeads)
	require.Equal(t, int64(128), c.IntermediateSize)
	require.Equal(t, 10000.0, c.RotaryBase)
	require.Equal(t, 1e-5, c.NormEpsilon)
	require.Equal(t, 1, c.Mapping.WorldSize)
	require.Nil(t, c.RotaryScaling)
	gpt, err := checkpoint.ParseConfig([]byte(strings.ReplaceAll(modelopt, `"bias": false,`, ``)))
	require.NoError(t, err)
	require.True(t, gpt.AttnBias)
	require.True(t, gpt.MLPBias)
}

func TestConfigRefuses(t *testing.T) {
	for _, test := range []struct {
		from, to string
		is       error
		message  string
	}{
		{`"GPTForCausalLM"`, `"MambaForCausalLM"`, checkpoint.ErrUnsupported, `"MambaForCausalLM" is not supported: GPTForCausalLM, LlamaForCausalLM, MistralForCausalLM, NemotronForCausalLM are`},
		{`"GPTForCausalLM"`, `null`, checkpoint.ErrInvalid, "architecture is missing"},
		{`"bfloat16"`, `"float8"`, checkpoint.ErrInvalid, `dtype "float8"`},
		{`"rope_gpt_neox"`, `"learned_absolute"`, checkpoint.ErrUnsupported, "learned_absolute"},
		{`"hidden_size": 24`, `"hidden_size": "24"`, checkpoint.ErrInvalid, "hidden_size"},
		{`"hidden_size": 24`, `"hidden_size": -24`, checkpoint.ErrInvalid, "hidden_size is -24"},
		{`"vocab_size": 40`, `"vocab_size": 99999999999`, checkpoint.ErrInvalid, "vocab_size"},
		{`"head_size": 8`, `"head_size": 6`, checkpoint.ErrInvalid, "3 of the 6 elements of a head rotate"},
		{`"rotary_pct": 0.5`, `"rotary_pct": 1.5`, checkpoint.ErrInvalid, "rotary_pct"},
		{`"rotary_base": 10000`, `"rotary_base": 0`, checkpoint.ErrInvalid, "rotary_base"},
		{`"norm_epsilon": 1e-05`, `"norm_epsilon": 2`, checkpoint.ErrInvalid, "norm_epsilon"},
		{`{"type": "llama3"}`, `{"type": "dynamic", "factor": 2}`, checkpoint.ErrUnsupported, `"dynamic" is not supported: default, linear, llama3 and yarn are`},
		{`{"type": "llama3"}`, `{"type": "yarn", "factor": 2}`, checkpoint.ErrInvalid, "original_max_position_embeddings (0)"},
		{`{"type": "llama3"}`, `{"type": "yarn", "original_max_position_embeddings": 8}`, checkpoint.ErrInvalid, "factor 0"},
		{`{"type": "llama3"}`, `{"type": "yarn", "factor": 2, "original_max_position_embeddings": 8, "beta_fast": 0.5}`, checkpoint.ErrInvalid, "beta_slow (1) <= beta_fast (0.5)"},
		{`{"type": "llama3"}`, `{"type": "yarn", "factor": 2, "original_max_position_embeddings": 8, "attention_factor": 0}`, checkpoint.ErrInvalid, "attention_factor 0 is not above 0"},
		{`{"type": "llama3"}`, `{"type": "yarn", "factor": 2, "original_max_position_embeddings": 8, "mscale": -20, "mscale_all_dim": 1}`, checkpoint.ErrInvalid, "mscale -20 and mscale_all_dim 1 multiply cosines and sines by -"},
		{`{"type": "llama3"}`, `{"type": "yarn", "factor": 2, "original_max_position_embeddings": 8, "truncate": 1}`, checkpoint.ErrInvalid, "rotary_scaling.truncate"},
		{`{"type": "llama3"}`, `{"type": "linear", "rope_type": "llama3"}`, checkpoint.ErrInvalid, "disagree"},
		{`{"type": "llama3"}`, `{"type": "linear"}`, checkpoint.ErrInvalid, "factor 0"},
		{`{"type": "llama3"}`, `{"type": "llama3", "low_freq_factor": 5}`, checkpoint.ErrInvalid, "low_freq_factor (5)"},
		{`{"type": "llama3"}`, `[]`, checkpoint.ErrInvalid, "rotary_scaling"},
		{`"world_size": 1, "tp_size": 1`, `"world_size": 1, "tp_size": 2`, checkpoint.ErrMapping, "world_size 1 is not tp_size 2"},
		{`"world_size": 1, "tp_size": 1`, `"world_size": 3, "tp_size": 3`, checkpoint.ErrMapping, "num_attention_heads 4"},
		{`"world_size": 1, "tp_size": 1`, `"world_size": 0, "tp_size": 0`, checkpoint.ErrMapping, "tp_size 0"},
		{`"gpus_per_node": 8`, `"cp_size": 2`, checkpoint.ErrUnsupported, "cp_size = 2"},
		{`"embedding_sharding_dim": 0`, `"embedding_sharding_dim": 2`, checkpoint.ErrInvalid, "embedding_sharding_dim"},
		{`"rank": 0`, `"qk_layernorm": true`, checkpoint.ErrUnsupported, "qk_layernorm"},
		{`"rank": 0`, `"q_scaling": 2.0`, checkpoint.ErrUnsupported, "q_scaling = 2.0"},
		{`"rank": 0`, `"moe": {"num_experts": 8}`, checkpoint.ErrUnsupported, "8 experts"},
		{`"rank": 0`, `"embedding_scale": 3`, checkpoint.ErrUnsupported, "embedding_scale"},
		{`"rank": 0`, `"runtime_defaults": {"max_attention_window": [0]}`, checkpoint.ErrInvalid, "max_attention_window"},
		{`"num_key_value_heads": 2`, `"num_key_value_heads": 3`, checkpoint.ErrInvalid, "multiple of num_key_value_heads 3"},
		{`"share_embedding_table": false`, `"share_embedding_table": `, checkpoint.ErrInvalid, "config"},
	} {
		require.Contains(t, modelopt, test.from)
		_, err := checkpoint.ParseConfig([]byte(strings.Replace(modelopt, test.from, test.to, 1)))
		require.ErrorIs(t, err, test.is, test.to)
		require.ErrorContains(t, err, test.message, test.to)
	}
}

func TestQuantisedCheckpointIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(modelopt, `"quant_algo": null`, `"quant_algo": "W4A8_AWQ"`, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644))
	_, err := checkpoint.Open(dir)
	require.ErrorIs(t, err, checkpoint.ErrUnsupported)
	require.ErrorContains(t, err, "W4A8_AWQ")
}

func TestCloneSharesNothing(t *testing.T) {
	a, err := checkpoint.ParseConfig([]byte(modelopt))
	require.NoError(t, err)
	a.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{4}}
	before, _ := a.Text()
	b := a.Clone()
	require.Equal(t, a, b)
	b.Producer.Name, b.RotaryScaling.Factor, b.RuntimeDefaults.MaxAttentionWindow[0] = "x", 3, 9
	b.Extra["rank"], b.Mapping.Extra["gpus_per_node"] = json.RawMessage("7"), json.RawMessage("7")
	after, _ := a.Text()
	require.Equal(t, string(before), string(after))
}

func TestDescribe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ckpt")
	write(t, dir, divided(llamaConfig(), 2, 1))
	d, err := checkpoint.Describe(dir)
	require.NoError(t, err)
	require.Empty(t, d.Problems)
	require.IsType(t, &checkpoint.Config{}, d.Config)
	require.Len(t, d.Tensors, 2*(3+5*7))
	require.NoError(t, os.Remove(filepath.Join(dir, "rank1.safetensors")))
	d, err = checkpoint.Describe(dir)
	require.NoError(t, err)
	require.Len(t, d.Tensors, 3+5*7)
	require.Contains(t, d.Problems[0], "rank1.safetensors")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"architecture":"BloomForCausalLM"}`), 0o644))
	d, err = checkpoint.Describe(dir)
	require.NoError(t, err)
	require.Equal(t, "BloomForCausalLM", d.Architecture)
	require.Contains(t, d.Problems[0], "BloomForCausalLM")
	_, err = checkpoint.Describe(t.TempDir())
	require.Error(t, err)
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(modelopt))
	text, err := llamaConfig().Text()
	require.NoError(f, err)
	f.Add(text)
	for _, c := range []*checkpoint.Config{fp8Config(), awqConfig()} {
		text, err := c.Text()
		require.NoError(f, err)
		f.Add(text)
	}
	for _, scaling := range []string{
		`{"type": "yarn", "factor": 4, "original_max_position_embeddings": 16, "beta_fast": 16, "beta_slow": 2, "truncate": false, "mscale": 0.5, "mscale_all_dim": 2}`,
		`{"rope_type": "yarn", "factor": 1e6, "original_max_position_embeddings": 9007199254740993, "attention_factor": 0.001, "mscale": -7}`,
		`{"type": "linear", "factor": 2}`,
	} {
		f.Add([]byte(strings.Replace(modelopt, `{"type": "llama3"}`, scaling, 1)))
	}
	f.Add([]byte(`{"mapping":{"tp_size":4096,"pp_size":4096,"world_size":16777216}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := checkpoint.ParseConfig(text)
		if err != nil {
			return
		}
		written, err := c.Text()
		require.NoError(t, err)
		again, err := checkpoint.ParseConfig(written)
		require.NoError(t, err)
		require.Equal(t, c.Mapping.TPSize, again.Mapping.TPSize)
		require.Equal(t, c.HeadSize, again.HeadSize)
		require.Equal(t, c.RotaryScaling, again.RotaryScaling)
		c.RankTensors(c.Mapping.WorldSize - 1)
	})
}
