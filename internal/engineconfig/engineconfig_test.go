package engineconfig_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/engineconfig"
)

// upstream is a config.json as TensorRT-LLM's own builder writes it, shortened.
const upstream = `{
    "version": "1.2.1",
    "pretrained_config": {
        "architecture": "LlamaForCausalLM", "dtype": "bfloat16", "vocab_size": 128256, "hidden_size": 3072, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_size": 128, "intermediate_size": 9216, "max_position_embeddings": 131072,
        "mapping": {"world_size": 2, "gpus_per_node": 8, "cp_size": 1, "tp_size": 2, "pp_size": 1, "moe_tp_size": 2},
        "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]},
        "runtime_defaults": {"max_attention_window": [4096, 8192]}, "rotary_base": 500000.0, "key_of_a_newer_release": [1, 2]
    },
    "build_config": {
        "max_input_len": 1024, "max_seq_len": 4096, "opt_batch_size": 8, "max_batch_size": 16, "max_beam_width": 1, "max_num_tokens": 8192,
        "opt_num_tokens": 16, "kv_cache_type": "PAGED", "speculative_decoding_mode": 1, "input_timing_cache": null, "lora_config": {},
        "plugin_config": {"dtype": "bfloat16", "gpt_attention_plugin": "auto", "gemm_plugin": null, "remove_input_padding": true, "paged_kv_cache": true,
            "tokens_per_block": 32, "context_fmha": true, "use_paged_context_fmha": true, "lora_plugin": null, "qserve_gemm_plugin": null},
        "auto_parallel_config": {"world_size": 1}
    }
}`

func TestParseUpstream(t *testing.T) {
	c, err := engineconfig.Parse([]byte(upstream))
	require.NoError(t, err)
	require.Equal(t, engineconfig.BackendTensorRTLLM, c.Backend())
	require.Equal(t, "1.2.1", c.Version)
	require.Equal(t, 8, c.Pretrained.NumKeyValueHeads)
	require.Equal(t, 2, c.Pretrained.Mapping.TPSize)
	require.Equal(t, "FP8", *c.Pretrained.Quantization.QuantAlgo)
	require.Equal(t, []int{4096, 8192}, c.Pretrained.RuntimeDefaults.MaxAttentionWindow)
	require.Equal(t, 16, *c.Build.OptNumTokens)
	require.Equal(t, "auto", *c.Build.Plugins.GPTAttentionPlugin)
	require.Nil(t, c.Build.Plugins.GemmPlugin)
	require.Equal(t, 4096, c.Build.MaxSeqLen)

	text, err := c.Text()
	require.NoError(t, err)
	require.Contains(t, string(text), "key_of_a_newer_release", "pretrained_config is kept whole")
	again, err := engineconfig.Parse(text)
	require.NoError(t, err)
	require.Equal(t, c.Build, again.Build)
	require.Equal(t, c.Pretrained, again.Pretrained)
}

func TestDefaults(t *testing.T) {
	text := upstream
	for _, cut := range []string{`"num_key_value_heads": 8, "head_size": 128,`, `"mapping": {"world_size": 2, "gpus_per_node": 8, "cp_size": 1, "tp_size": 2, "pp_size": 1, "moe_tp_size": 2},`} {
		require.Contains(t, text, cut)
		text = strings.Replace(text, cut, "", 1)
	}
	c, err := engineconfig.Parse([]byte(text))
	require.NoError(t, err)
	require.Equal(t, 32, c.Pretrained.NumKeyValueHeads)
	require.Equal(t, 96, c.Pretrained.HeadSize)
	require.Equal(t, 1, c.Pretrained.Mapping.TPSize)
}

func TestParseRefuses(t *testing.T) {
	for old, c := range map[string]struct{ new, want string }{
		`"version": "1.2.1",`:                  {"", "version is missing"},
		`"architecture": "LlamaForCausalLM",`:  {"", "architecture is missing"},
		`"vocab_size": 128256`:                 {`"vocab_size": -1`, "vocab_size is -1"},
		`"hidden_size": 3072`:                  {`"hidden_size": 1e30`, "hidden_size"},
		`"max_seq_len": 4096`:                  {`"max_seq_len": 0`, "max_seq_len is 0"},
		`"max_batch_size": 16`:                 {`"max_batch_size": 9999999999`, "max_batch_size"},
		`"tp_size": 2`:                         {`"tp_size": -2`, "tp_size is -2"},
		`"max_attention_window": [4096, 8192]`: {`"max_attention_window": [0]`, "max_attention_window has 0"},
		`"build_config": {`:                    {`"former_config": {`, "build_config is missing"},
		`"pretrained_config": {`:               {`"former_config": {`, "pretrained_config or"},
		`"remove_input_padding": true`:         {`"remove_input_padding": "yes"`, "remove_input_padding"},
	} {
		require.Contains(t, upstream, old)
		_, err := engineconfig.Parse([]byte(strings.Replace(upstream, old, c.new, 1)))
		require.ErrorIs(t, err, engineconfig.ErrInvalid, old)
		require.ErrorContains(t, err, c.want)
	}
	_, err := engineconfig.Parse([]byte(strings.Replace(upstream, `"version": "1.2.1",`, `"version": "1.2.1", "trtgo": {},`, 1)))
	require.ErrorContains(t, err, "trtgo.backend is missing")
	_, err = engineconfig.Parse([]byte(upstream[:100]))
	require.ErrorIs(t, err, engineconfig.ErrInvalid)
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	require.False(t, engineconfig.IsEngine(dir))
	_, err := engineconfig.Read(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	path := filepath.Join(dir, "config.json")

	require.NoError(t, os.WriteFile(path, []byte(upstream), 0o644))
	require.True(t, engineconfig.IsEngine(dir))
	c, err := engineconfig.Read(dir)
	require.NoError(t, err)
	require.Equal(t, 3072, c.Pretrained.HiddenSize)

	require.NoError(t, os.WriteFile(path, []byte(`{"architecture":"LlamaForCausalLM"}`), 0o644))
	require.False(t, engineconfig.IsEngine(dir), "a checkpoint is none")
	require.NoError(t, os.WriteFile(path, []byte(upstream[:len(upstream)-3]), 0o644))
	require.True(t, engineconfig.IsEngine(dir), "a damaged one is")
	_, err = engineconfig.Read(dir)
	require.ErrorIs(t, err, engineconfig.ErrInvalid)
	require.ErrorContains(t, err, path)

	require.NoError(t, os.Truncate(path, 17<<20))
	_, err = engineconfig.Read(dir)
	require.ErrorContains(t, err, "at most 16777216 bytes")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o755))
	_, err = engineconfig.Read(dir)
	require.ErrorIs(t, err, engineconfig.ErrInvalid)
	require.False(t, engineconfig.IsEngine(dir))
}

func FuzzEngineConfig(f *testing.F) {
	f.Add([]byte(upstream))
	f.Add([]byte(`{"version":"1.2.1","pretrained_config":{},"build_config":{},"trtgo":{"backend":"cpu"}}`))
	f.Add([]byte(`{"version":"","pretrained_config":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := engineconfig.Parse(text)
		if err != nil {
			require.ErrorIs(t, err, engineconfig.ErrInvalid)
			return
		}
		written, err := c.Text()
		require.NoError(t, err)
		require.True(t, json.Valid(written))
		again, err := engineconfig.Parse(written)
		require.NoError(t, err)
		require.Equal(t, c.Build, again.Build)
	})
}
