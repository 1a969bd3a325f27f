package model_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

var update = flag.Bool("update", false, "write the golden networks of testdata")

// tiny is a config.json of a small model; keys of changes replace its own.
func tiny(t testing.TB, architecture string, changes map[string]any) *checkpoint.Config {
	t.Helper()
	c := map[string]any{
		"architecture": architecture, "dtype": "bfloat16", "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 8,
		"num_key_value_heads": 2, "head_size": 16, "vocab_size": 101, "norm_epsilon": 1e-5, "position_embedding_type": "rope_gpt_neox",
		"max_position_embeddings": 256, "intermediate_size": 72, "hidden_act": "silu",
		"mapping":      map[string]any{"world_size": 1, "tp_size": 1, "pp_size": 1},
		"quantization": map[string]any{"quant_algo": nil, "kv_cache_quant_algo": nil},
		"producer":     map[string]any{"name": "modelopt"},
	}
	maps.Copy(c, changes)
	for key, value := range changes {
		if value == missing {
			delete(c, key)
		}
	}
	data, err := json.Marshal(c)
	require.NoError(t, err)
	config, err := checkpoint.ParseConfig(data)
	require.NoError(t, err)
	return config
}

// divided is tiny with a mapping.
func divided(t testing.TB, architecture string, changes map[string]any, tp, pp int) *checkpoint.Config {
	t.Helper()
	changes = maps.Clone(changes)
	if changes == nil {
		changes = map[string]any{}
	}
	changes["mapping"] = map[string]any{"world_size": tp * pp, "tp_size": tp, "pp_size": pp}
	return tiny(t, architecture, changes)
}

const missing = "\x00 no such key"

var nemotron = map[string]any{"hidden_act": "squared-relu", "rotary_pct": 0.5, "bias": false, "gpt_variant": "gpt2"}

func TestNetworks(t *testing.T) {
	llama3 := map[string]any{"type": "llama3", "rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 32}
	for name, c := range map[string]struct {
		architecture string
		changes      map[string]any
		tp, pp, rank int
	}{
		"llama":            {"LlamaForCausalLM", map[string]any{"rotary_base": 500000, "rotary_scaling": llama3}, 1, 1, 0},
		"llama-bias":       {"LlamaForCausalLM", map[string]any{"attn_bias": true, "mlp_bias": true, "dtype": "float32", "num_hidden_layers": 1}, 1, 1, 0},
		"mistral-window":   {"MistralForCausalLM", map[string]any{"runtime_defaults": map[string]any{"max_attention_window": []int{8, 256}}}, 1, 1, 0},
		"nemotron":         {"NemotronForCausalLM", nemotron, 1, 1, 0},
		"gpt-bias-swiglu":  {"GPTForCausalLM", map[string]any{"hidden_act": "swiglu", "num_hidden_layers": 1}, 1, 1, 0},
		"llama-tp4-rank5":  {"LlamaForCausalLM", map[string]any{"attn_bias": true, "num_hidden_layers": 2}, 4, 2, 5},
		"llama-tp2-vocab":  {"LlamaForCausalLM", map[string]any{"use_parallel_embedding": true, "num_hidden_layers": 1}, 2, 1, 1},
		"llama-tp2-hidden": {"LlamaForCausalLM", map[string]any{"use_parallel_embedding": true, "embedding_sharding_dim": 1, "num_hidden_layers": 1}, 2, 1, 0},
		"llama-pp2-rank0":  {"LlamaForCausalLM", nil, 1, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			net, err := model.New(divided(t, c.architecture, c.changes, c.tp, c.pp), c.rank)
			require.NoError(t, err)
			require.Equal(t, divided(t, c.architecture, c.changes, c.tp, c.pp).RankTensors(c.rank), declared(net), "the checkpoint's tensors")
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(net.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), net.String())
		})
	}
}

// TestQuantisedNetworks: the network has the tensors that the checkpoint has, with
// their dtypes, and says what is quantised.
func TestQuantisedNetworks(t *testing.T) {
	for name, q := range map[string]map[string]any{
		"fp8":      {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": []string{"lm_head", "*layers.1.mlp.proj"}},
		"awq":      {"quant_algo": "W4A16_AWQ", "group_size": 8, "pre_quant_scale": true, "has_zero_point": false},
		"awq-bare": {"quant_algo": "W4A16_AWQ", "group_size": 8, "pre_quant_scale": false, "has_zero_point": false},
		"w8a16":    {"quant_algo": "W8A16"},
	} {
		t.Run(name, func(t *testing.T) {
			changes := map[string]any{"quantization": q, "num_hidden_layers": 2, "attn_bias": true, "intermediate_size": 64}
			for tp := 1; tp <= 2; tp++ {
				c := divided(t, "LlamaForCausalLM", changes, tp, 1)
				net, err := model.New(c, tp-1)
				require.NoError(t, err)
				var have []checkpoint.TensorInfo
				for _, w := range net.Weights {
					info := checkpoint.TensorInfo{Name: w.Name, Dtype: map[network.Dtype]string{network.Float8: "F8_E4M3", network.Int4: "I8", network.Float32: "F32"}[w.Dtype]}
					for _, n := range w.Stored() {
						info.Shape = append(info.Shape, int64(n))
					}
					have = append(have, info)
				}
				require.ElementsMatch(t, c.RankTensors(tp-1), have)
				if tp > 1 {
					continue
				}
				golden := filepath.Join("testdata", "quantised-"+name+".txt")
				if *update {
					require.NoError(t, os.WriteFile(golden, []byte(net.String()), 0o644))
				}
				want, err := os.ReadFile(golden)
				require.NoError(t, err)
				require.Equal(t, string(want), net.String())
			}
		})
	}
}

// declared lists a network's weights as package checkpoint does.
func declared(net *network.Network) []checkpoint.TensorInfo {
	var list []checkpoint.TensorInfo
	for _, w := range net.Weights {
		info := checkpoint.TensorInfo{Name: w.Name}
		for _, n := range w.Shape {
			info.Shape = append(info.Shape, int64(n))
		}
		list = append(list, info)
	}
	return list
}

// A window beyond max_position_embeddings counts, for max_seq_len may be there too;
// that very number is a layer without one.
func TestWindows(t *testing.T) {
	net, err := model.New(tiny(t, "MistralForCausalLM", map[string]any{"num_hidden_layers": 4, "runtime_defaults": map[string]any{"max_attention_window": []int64{256, 300, 1 << 40}}}), 0)
	require.NoError(t, err)
	var windows []int
	for _, o := range net.Ops {
		if a, ok := o.(*network.Attention); ok {
			windows = append(windows, a.Window)
		}
	}
	require.Equal(t, []int{0, 300, 0, 0}, windows)
}

// The branch of a gated MLP that is activated is mlp.fc, whatever its name says
// in Hugging Face's files.
func TestGateTrap(t *testing.T) {
	net, err := model.New(tiny(t, "LlamaForCausalLM", nil), 0)
	require.NoError(t, err)
	written := map[*network.Tensor]string{}
	gated := 0
	for _, op := range net.Ops {
		if g, ok := op.(*network.Gated); ok {
			gated++
			require.Regexp(t, `mlp\.fc$`, written[g.In])
			require.Regexp(t, `mlp\.gate$`, written[g.Gate])
		}
		written[op.Output()] = op.OpName()
	}
	require.Equal(t, 3, gated)
}

func TestDefaults(t *testing.T) {
	attention := func(t *testing.T, c *checkpoint.Config) *network.Attention {
		net, err := model.New(c, 0)
		require.NoError(t, err)
		for _, op := range net.Ops {
			if a, ok := op.(*network.Attention); ok {
				return a
			}
		}
		t.Fatal("no attention")
		return nil
	}
	t.Run("head_size follows hidden_size", func(t *testing.T) {
		a := attention(t, tiny(t, "LlamaForCausalLM", map[string]any{"head_size": missing}))
		require.Equal(t, 6, a.HeadSize)
		require.Equal(t, 6, a.Rotary.Dim)
	})
	t.Run("kv heads are heads", func(t *testing.T) {
		require.Equal(t, 8, attention(t, tiny(t, "LlamaForCausalLM", map[string]any{"num_key_value_heads": nil})).KVHeads)
	})
	t.Run("part of the head", func(t *testing.T) {
		require.Equal(t, 8, attention(t, tiny(t, "GPTForCausalLM", map[string]any{"rotary_pct": 0.5})).Rotary.Dim)
	})
	t.Run("bias of GPT", func(t *testing.T) {
		net, err := model.New(tiny(t, "GPTForCausalLM", map[string]any{"hidden_act": "gelu"}), 0)
		require.NoError(t, err)
		require.Contains(t, net.String(), "mlp.fc.bias")
		require.NotContains(t, net.String(), "mlp.gate")
	})
	t.Run("silu of GPT is not gated", func(t *testing.T) {
		net, err := model.New(tiny(t, "GPTForCausalLM", nil), 0)
		require.NoError(t, err)
		require.NotContains(t, net.String(), "mlp.gate")
	})
}

// Each stage holds its layers renumbered from 0; the first stages hold one more.
func TestPipelineStages(t *testing.T) {
	c := divided(t, "LlamaForCausalLM", map[string]any{"num_hidden_layers": 7}, 1, 3)
	var layers []int
	for rank := range 3 {
		net, err := model.New(c, rank)
		require.NoError(t, err)
		layers = append(layers, net.NumLayers)
	}
	require.Equal(t, []int{3, 2, 2}, layers)
}

func TestRefusals(t *testing.T) {
	require.Equal(t, []string{"GPTForCausalLM", "LlamaForCausalLM", "MistralForCausalLM", "NemotronForCausalLM"}, model.Architectures())
	bloom := tiny(t, "LlamaForCausalLM", nil)
	bloom.Architecture = "BloomForCausalLM"
	_, err := model.New(bloom, 0)
	require.ErrorIs(t, err, model.ErrArchitecture)
	require.ErrorContains(t, err, "BloomForCausalLM; supported are GPTForCausalLM, LlamaForCausalLM, MistralForCausalLM, NemotronForCausalLM")

	_, err = model.New(&checkpoint.Config{Architecture: "LlamaForCausalLM"}, 0)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	_, err = model.New(divided(t, "LlamaForCausalLM", nil, 2, 1), 2)
	require.ErrorContains(t, err, "rank 2")

	for _, c := range []struct {
		architecture string
		changes      map[string]any
		want         string
	}{
		{"LlamaForCausalLM", map[string]any{"hidden_act": "sin"}, `hidden_act "sin" is not supported; supported are silu`},
		{"LlamaForCausalLM", map[string]any{"rotary_pct": 0.5}, "rotary_pct is 0.5"},
		{"GPTForCausalLM", map[string]any{"gpt_variant": "jais"}, `gpt_variant is "jais", supported is "gpt2" or "nemotron"`},
	} {
		_, err := model.New(tiny(t, c.architecture, c.changes), 0)
		require.ErrorIs(t, err, model.ErrConfig, "%v", c.changes)
		require.ErrorContains(t, err, c.want)
	}
}

func FuzzNew(f *testing.F) {
	for _, c := range []*checkpoint.Config{tiny(f, "LlamaForCausalLM", nil), tiny(f, "NemotronForCausalLM", nemotron)} {
		text, err := c.Text()
		require.NoError(f, err)
		f.Add(text, 0)
	}
	for _, q := range []map[string]any{
		{"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}, {"quant_algo": "W4A16_AWQ", "group_size": 8, "pre_quant_scale": true}, {"quant_algo": "W4A16"},
	} {
		text, err := tiny(f, "LlamaForCausalLM", map[string]any{"quantization": q}).Text()
		require.NoError(f, err)
		f.Add(text, 0)
	}
	f.Add([]byte(`{"architecture":"GPTForCausalLM","head_size":-1}`), 1)
	f.Fuzz(func(t *testing.T, text []byte, rank int) {
		c, err := checkpoint.ParseConfig(text)
		if err != nil {
			return
		}
		if net, err := model.New(c, rank); err == nil {
			require.NoError(t, net.Validate())
		}
	})
}
