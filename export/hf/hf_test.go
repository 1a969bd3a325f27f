package hf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/hf"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// config is a tiny Llama's; edits replace keys, nil removes one.
func config(edits map[string]any) map[string]any {
	c := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "vocab_size": 11, "hidden_size": 12, "intermediate_size": 20,
		"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
		"max_position_embeddings": 64, "hidden_act": "silu", "torch_dtype": "bfloat16", "tie_word_embeddings": false,
		"head_dim": 6,
	}
	for key, value := range edits {
		c[key] = value
		if value == nil {
			delete(c, key)
		}
	}
	return c
}

func nemotron(edits map[string]any) map[string]any {
	all := map[string]any{
		"architectures": []string{"NemotronForCausalLM"}, "hidden_act": "relu2", "norm_eps": 1e-3, "rms_norm_eps": nil,
		"partial_rotary_factor": 0.5, "head_dim": 12,
	}
	maps.Copy(all, edits)
	return config(all)
}

// shapes are the tensors of config and nemotron.
func shapes(gated bool, headSize int64) map[string][]int64 {
	s := map[string][]int64{"model.embed_tokens.weight": {11, 12}, "model.norm.weight": {12}, "lm_head.weight": {11, 12}}
	for _, l := range []string{"model.layers.0.", "model.layers.1."} {
		s[l+"input_layernorm.weight"], s[l+"post_attention_layernorm.weight"] = []int64{12}, []int64{12}
		s[l+"self_attn.q_proj.weight"] = []int64{4 * headSize, 12}
		s[l+"self_attn.k_proj.weight"] = []int64{2 * headSize, 12}
		s[l+"self_attn.v_proj.weight"] = []int64{2 * headSize, 12}
		s[l+"self_attn.o_proj.weight"] = []int64{12, 4 * headSize}
		s[l+"mlp.up_proj.weight"] = []int64{20, 12}
		s[l+"mlp.down_proj.weight"] = []int64{12, 20}
		if gated {
			s[l+"mlp.gate_proj.weight"] = []int64{20, 12}
		} else {
			s[l+"input_layernorm.bias"], s[l+"post_attention_layernorm.bias"] = []int64{12}, []int64{12}
			s["model.norm.bias"] = []int64{12}
		}
	}
	return s
}

func write(t *testing.T, config any, shapes map[string][]int64, dtype string) string {
	t.Helper()
	dir := t.TempDir()
	text, ok := config.(string)
	if !ok {
		data, err := json.Marshal(config)
		require.NoError(t, err)
		text = string(data)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644))
	var infos []safetensors.Info
	for name, shape := range shapes {
		infos = append(infos, safetensors.Info{Name: name, Dtype: dtype, Shape: shape})
	}
	w, err := safetensors.Create(filepath.Join(dir, "model.safetensors"), infos, nil)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return dir
}

func open(t *testing.T, config any, shapes map[string][]int64, dtype string) (*hf.Model, error) {
	t.Helper()
	m, err := hf.Open(write(t, config, shapes, dtype))
	if err == nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, err
}

func TestConfigSpellings(t *testing.T) {
	llama3 := map[string]any{"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
	typed := func(key string, more map[string]any) map[string]any {
		all := maps.Clone(llama3)
		all[key] = "llama3"
		maps.Copy(all, more)
		return all
	}
	scaled := func(c *checkpoint.Config) {
		c.RotaryScaling = &checkpoint.RotaryScaling{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 16}
	}
	for _, test := range []struct {
		name  string
		edits map[string]any
		want  func(c *checkpoint.Config)
	}{
		{"plain", nil, func(c *checkpoint.Config) {}},
		{"nulls", map[string]any{"rope_scaling": json.RawMessage("null"), "rope_theta": json.RawMessage("null"), "quantization_config": json.RawMessage("null"), "sliding_window": json.RawMessage("null")}, func(c *checkpoint.Config) {}},
		{"rope_theta", map[string]any{"rope_theta": 500000.0}, func(c *checkpoint.Config) { c.RotaryBase = 500000 }},
		{"rope_parameters", map[string]any{"rope_parameters": map[string]any{"rope_type": "default", "rope_theta": 5e5}}, func(c *checkpoint.Config) { c.RotaryBase = 500000 }},
		{"rope_scaling type", map[string]any{"rope_scaling": typed("type", nil)}, scaled},
		{"rope_scaling rope_type", map[string]any{"rope_scaling": typed("rope_type", nil)}, scaled},
		{"rope_parameters llama3", map[string]any{"rope_parameters": typed("rope_type", map[string]any{"rope_theta": 7e4})}, func(c *checkpoint.Config) { scaled(c); c.RotaryBase = 7e4 }},
		{"linear", map[string]any{"rope_scaling": map[string]any{"type": "linear", "factor": 2.5}}, func(c *checkpoint.Config) {
			c.RotaryScaling = &checkpoint.RotaryScaling{Type: "linear", Factor: 2.5}
		}},
		{"dtype", map[string]any{"torch_dtype": nil, "dtype": "float32"}, func(c *checkpoint.Config) { c.Dtype = checkpoint.Float32 }},
		{"torch dtype", map[string]any{"torch_dtype": "torch.float16"}, func(c *checkpoint.Config) { c.Dtype = checkpoint.Float16 }},
		{"no dtype", map[string]any{"torch_dtype": nil}, func(c *checkpoint.Config) {}},
		{"kv_channels", map[string]any{"head_dim": nil, "kv_channels": 6}, func(c *checkpoint.Config) {}},
		{"null head_dim", map[string]any{"head_dim": json.RawMessage("null"), "kv_channels": 6}, func(c *checkpoint.Config) {}},
		{"default epsilon", map[string]any{"rms_norm_eps": nil}, func(c *checkpoint.Config) { c.NormEpsilon = 1e-6 }},
		{"norm_eps", map[string]any{"rms_norm_eps": nil, "norm_eps": 0.25}, func(c *checkpoint.Config) { c.NormEpsilon = 0.25 }},
		{"whole floats", map[string]any{"vocab_size": 11.0, "hidden_size": json.RawMessage("12.0")}, func(c *checkpoint.Config) {}},
		{"model type alone", map[string]any{"architectures": json.RawMessage("null"), "model_type": "llama"}, func(c *checkpoint.Config) {}},
		{"swish", map[string]any{"hidden_act": "swish"}, func(c *checkpoint.Config) {}},
		{"mistral", map[string]any{"architectures": []string{"MistralForCausalLM"}, "sliding_window": 32}, func(c *checkpoint.Config) {
			c.Architecture, c.RuntimeDefaults = "MistralForCausalLM", &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{32}}
		}},
		{"mistral without window", map[string]any{"architectures": []string{"MistralForCausalLM"}, "sliding_window": json.RawMessage("null")}, func(c *checkpoint.Config) { c.Architecture = "MistralForCausalLM" }},
		{"mistral's default window", map[string]any{"architectures": []string{"MistralForCausalLM"}}, func(c *checkpoint.Config) {
			c.Architecture, c.RuntimeDefaults = "MistralForCausalLM", &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{4096}}
		}},
		{"mistral by layer", map[string]any{"architectures": []string{"MistralForCausalLM"}, "sliding_window": 32, "layer_types": []string{"sliding_attention", "full_attention"}}, func(c *checkpoint.Config) {
			c.Architecture, c.RuntimeDefaults = "MistralForCausalLM", &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{32, 64}}
		}},
		{"mistral, all layers alike", map[string]any{"architectures": []string{"MistralForCausalLM"}, "sliding_window": 32, "layer_types": []string{"sliding_attention", "sliding_attention"}}, func(c *checkpoint.Config) {
			c.Architecture, c.RuntimeDefaults = "MistralForCausalLM", &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{32}}
		}},
		{"mistral, no layer slides", map[string]any{"architectures": []string{"MistralForCausalLM"}, "sliding_window": 32, "layer_types": []string{"full_attention", "full_attention"}}, func(c *checkpoint.Config) { c.Architecture = "MistralForCausalLM" }},
		{"rope_scaling before rope_parameters", map[string]any{"rope_scaling": typed("type", nil), "rope_parameters": map[string]any{"rope_type": "yarn", "factor": 2}}, scaled},
		{"empty rope_scaling", map[string]any{"rope_scaling": map[string]any{}, "rope_parameters": typed("rope_type", nil)}, scaled},
		{"a llama has no window", map[string]any{"sliding_window": 32}, func(c *checkpoint.Config) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := open(t, config(test.edits), shapes(true, 6), "BF16")
			require.NoError(t, err)
			want := &checkpoint.Config{
				Architecture: "LlamaForCausalLM", Dtype: checkpoint.BFloat16, LogitsDtype: checkpoint.Float32,
				VocabSize: 11, HiddenSize: 12, NumHiddenLayers: 2, NumAttentionHeads: 4, NumKeyValueHeads: 2, HeadSize: 6,
				IntermediateSize: 20, MaxPositionEmbeddings: 64, HiddenAct: "silu", NormEpsilon: 1e-5,
				PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
				Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
			}
			test.want(want)
			require.Equal(t, want, m.Config())
		})
	}
}

// What a config says of yarn, and what the checkpoint then says: the same to
// transformers and to us, and the same magnitude to upstream's class too, which reads
// mscale in another way and no attention_factor.
func TestYarn(t *testing.T) {
	base := checkpoint.RotaryScaling{Type: "yarn", Factor: 4, OriginalMaxPositionEmbeddings: 16, BetaFast: 32, BetaSlow: 1, Truncate: true}
	paper := 0.1*math.Log(4) + 1
	for _, test := range []struct {
		name      string
		edits     map[string]any // of rope_scaling
		size      any            // original_max_position_embeddings beside rope_scaling
		want      func(s *checkpoint.RotaryScaling)
		magnitude float64
		note      string
	}{
		{"plain", nil, nil, func(s *checkpoint.RotaryScaling) {}, paper, ""},
		{"no factor but null", map[string]any{"factor": nil}, nil, func(s *checkpoint.RotaryScaling) {}, paper, ""},
		{"zeros are defaults", map[string]any{"beta_fast": 0, "beta_slow": 0, "mscale": 0, "mscale_all_dim": 0}, nil, func(s *checkpoint.RotaryScaling) {}, paper, ""},
		{"betas", map[string]any{"beta_fast": 16, "beta_slow": 2.5}, nil, func(s *checkpoint.RotaryScaling) { s.BetaFast, s.BetaSlow = 16, 2.5 }, paper, ""},
		{"size beside", nil, 32, func(s *checkpoint.RotaryScaling) { s.OriginalMaxPositionEmbeddings = 32 }, paper, "rope_scaling.factor 4 is not max_position_embeddings 64 / original_max_position_embeddings 32"},
		{"no size", map[string]any{"original_max_position_embeddings": nil}, nil, func(s *checkpoint.RotaryScaling) { s.OriginalMaxPositionEmbeddings = 64 }, paper, ""},
		{"not truncated", map[string]any{"truncate": false}, nil, func(s *checkpoint.RotaryScaling) { s.Truncate = false }, paper, "rope_scaling.truncate is false"},
		{"both mscales", map[string]any{"mscale": 1.0, "mscale_all_dim": 2.0}, nil, func(s *checkpoint.RotaryScaling) { s.MScale, s.MScaleAllDim = 1, 2 }, paper / (0.2*math.Log(4) + 1), ""},
		{"mscale alone", map[string]any{"mscale": 2.0}, nil, func(s *checkpoint.RotaryScaling) { s.AttentionFactor, s.MScale = paper, 1 }, paper, ""},
		{"mscale_all_dim alone", map[string]any{"mscale_all_dim": 2.0}, nil, func(s *checkpoint.RotaryScaling) { s.AttentionFactor, s.MScale = paper, 1 }, paper, ""},
		{"attention factor", map[string]any{"attention_factor": 0.5}, nil, func(s *checkpoint.RotaryScaling) {
			s.AttentionFactor, s.MScale = 0.5, -0.5/(0.1*math.Log(4))
		}, 0.5, ""},
		{"attention factor of factor 1", map[string]any{"factor": 1, "original_max_position_embeddings": 64, "attention_factor": 2.0}, nil, func(s *checkpoint.RotaryScaling) {
			s.Factor, s.OriginalMaxPositionEmbeddings, s.AttentionFactor = 1, 64, 2
		}, 2, "known to trtgo's own builders only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			scaling := map[string]any{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16}
			maps.Copy(scaling, test.edits)
			if v, given := test.edits["original_max_position_embeddings"]; given && v == nil {
				delete(scaling, "original_max_position_embeddings")
			}
			m, err := open(t, config(map[string]any{"rope_scaling": scaling, "original_max_position_embeddings": test.size}), shapes(true, 6), "BF16")
			require.NoError(t, err)
			want := base
			test.want(&want)
			got := m.Config().RotaryScaling
			require.InDelta(t, want.MScale, got.MScale, 1e-9)
			want.MScale = got.MScale
			require.Equal(t, &want, got)
			require.InDelta(t, test.magnitude, got.Magnitude(), 1e-12)
			if test.note == "" {
				require.Empty(t, m.Notes())
			} else {
				require.Len(t, m.Notes(), 1)
				require.Contains(t, m.Notes()[0], test.note)
			}
			if got.Factor > 1 { // upstream's formula, of the keys that are written
				text, err := json.Marshal(got)
				require.NoError(t, err)
				written := map[string]any{"mscale": 1.0, "mscale_all_dim": 0.0}
				require.NoError(t, json.Unmarshal(text, &written))
				grow := func(key string) float64 { return 0.1*written[key].(float64)*math.Log(4) + 1 }
				require.InDelta(t, test.magnitude, grow("mscale")/grow("mscale_all_dim"), 1e-9)
			}
		})
	}
}

func TestNemotron(t *testing.T) {
	for name, edits := range map[string]map[string]any{
		"partial_rotary_factor": nil,
		"rope_percent":          {"partial_rotary_factor": nil, "rope_percent": 0.5},
		"rope_percentage":       {"partial_rotary_factor": nil, "rope_percentage": 0.5},
		"rope_parameters":       {"partial_rotary_factor": nil, "rope_parameters": map[string]any{"rope_type": "default", "partial_rotary_factor": 0.5}},
		"layer_norm_eps":        {"norm_eps": nil, "layer_norm_eps": 1e-3},
		"missing":               {"partial_rotary_factor": nil},
	} {
		m, err := open(t, nemotron(edits), shapes(false, 12), "BF16")
		require.NoError(t, err, name)
		c := m.Config()
		require.Equal(t, "GPTForCausalLM", c.Architecture)
		require.Equal(t, "squared-relu", c.HiddenAct)
		require.Equal(t, 0.5, c.RotaryPct)
		require.Equal(t, int64(6), c.RotaryDim())
		require.Equal(t, 1e-3, c.NormEpsilon)
		require.False(t, c.AttnBias)
		if name == "missing" {
			require.Len(t, m.Notes(), 1)
			require.Contains(t, m.Notes()[0], "0.5 is assumed")
		} else {
			require.Empty(t, m.Notes())
		}
	}
	// The GPT class has one switch for all biases; those of the MLP are zero here.
	all := shapes(false, 12)
	for _, l := range []string{"model.layers.0.", "model.layers.1."} {
		all[l+"self_attn.q_proj.bias"], all[l+"self_attn.k_proj.bias"] = []int64{48}, []int64{24}
		all[l+"self_attn.v_proj.bias"], all[l+"self_attn.o_proj.bias"] = []int64{24}, []int64{12}
	}
	m, err := open(t, nemotron(map[string]any{"attention_bias": true}), all, "BF16")
	require.NoError(t, err)
	require.True(t, m.Config().MLPBias)
	tensor, err := m.Tensor("transformer.layers.1.mlp.fc.bias", []int64{20})
	require.NoError(t, err)
	require.Nil(t, tensor.Rows)
	tensor, err = m.Tensor("transformer.layers.1.attention.dense.bias", []int64{12})
	require.NoError(t, err)
	require.NotNil(t, tensor.Rows)
	// But those that config.json promises have to be there.
	_, err = open(t, nemotron(map[string]any{"attention_bias": true, "mlp_bias": true}), all, "BF16")
	require.ErrorContains(t, err, "missing tensors: model.layers.0.mlp.down_proj.bias")
	delete(all, "model.layers.0.self_attn.q_proj.bias")
	_, err = open(t, nemotron(map[string]any{"attention_bias": true}), all, "BF16")
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "missing tensors: model.layers.0.self_attn.q_proj.bias")
}

// A config of MistralForCausalLM without num_key_value_heads means eight, as in
// transformers; null means all heads.
func TestMistralsKeyHeads(t *testing.T) {
	for heads, edits := range map[int64]map[string]any{
		8:  {"num_key_value_heads": nil},
		16: {"num_key_value_heads": json.RawMessage("null")},
	} {
		edits["architectures"], edits["num_attention_heads"] = []string{"MistralForCausalLM"}, 16
		all := shapes(true, 6)
		for _, l := range []string{"model.layers.0.", "model.layers.1."} {
			all[l+"self_attn.q_proj.weight"], all[l+"self_attn.o_proj.weight"] = []int64{96, 12}, []int64{12, 96}
			all[l+"self_attn.k_proj.weight"], all[l+"self_attn.v_proj.weight"] = []int64{heads * 6, 12}, []int64{heads * 6, 12}
		}
		m, err := open(t, config(edits), all, "BF16")
		require.NoError(t, err)
		require.Equal(t, heads, m.Config().NumKeyValueHeads)
	}
}

// The sum 1+w is made in float32 and left for the target to round, once: 1 plus
// a small bfloat16 is not a bfloat16.
func TestLayerNorm1PIsSummedInFloat32(t *testing.T) {
	dir := write(t, nemotron(nil), shapes(false, 12), "BF16")
	m, err := hf.Open(dir)
	require.NoError(t, err)
	defer m.Close()
	path := filepath.Join(dir, "model.safetensors")
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	norm, _ := f.Tensor("model.layers.1.post_attention_layernorm.weight")
	require.NoError(t, f.Close())
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(binary.LittleEndian.AppendUint16(nil, uint16(math.Float32bits(1.0/1024)>>16)), norm.Offset+2)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	for name, want := range map[string]float32{
		"transformer.layers.1.post_layernorm.weight": 1 + 1.0/1024, "transformer.layers.1.post_layernorm.bias": 0,
		"transformer.ln_f.weight": 1,
	} {
		tensor, err := m.Tensor(name, []int64{12})
		require.NoError(t, err)
		width := map[string]int{"F32": 4, "BF16": 2}[tensor.Dtype]
		data := make([]byte, width)
		require.NoError(t, tensor.Rows.ReadRows(data, 1))
		if width == 2 {
			data = append([]byte{0, 0}, data...)
		}
		require.Equal(t, want, math.Float32frombits(binary.LittleEndian.Uint32(data)), name)
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		edits   map[string]any
		is      error
		message string
	}{
		{"architecture", map[string]any{"architectures": []string{"Qwen3ForCausalLM"}}, checkpoint.ErrUnsupported, "Qwen3ForCausalLM is not supported: LlamaForCausalLM, MistralForCausalLM, NemotronForCausalLM are"},
		{"nemotron-h", map[string]any{"architectures": []string{"NemotronHForCausalLM"}}, checkpoint.ErrUnsupported, "later release"},
		{"no architecture", map[string]any{"architectures": nil}, checkpoint.ErrInvalid, "architectures"},
		{"yarn without factor", map[string]any{"rope_scaling": map[string]any{"rope_type": "yarn"}}, checkpoint.ErrInvalid, "rope_scaling of type yarn has no factor"},
		{"yarn's betas", map[string]any{"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 4, "beta_fast": 1, "beta_slow": 2}}, checkpoint.ErrInvalid, "beta_slow (2) <= beta_fast (1)"},
		{"yarn's original size", map[string]any{"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 4}, "original_max_position_embeddings": 0}, checkpoint.ErrInvalid, "original_max_position_embeddings (0)"},
		{"yarn's size of text", map[string]any{"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": "x"}}, checkpoint.ErrInvalid, `original_max_position_embeddings: "x" is not a number`},
		{"yarn's attention factor", map[string]any{"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 4, "attention_factor": 0}}, checkpoint.ErrInvalid, "rope_scaling.attention_factor 0 is not above 0"},
		{"dynamic", map[string]any{"rope_parameters": map[string]any{"rope_type": "dynamic", "factor": 4}}, checkpoint.ErrUnsupported, `rope_parameters of type "dynamic"`},
		{"rope by layer", map[string]any{"rope_parameters": map[string]any{"full_attention": map[string]any{"rope_type": "default"}}}, checkpoint.ErrUnsupported, "differs by layer"},
		{"llama3 without length", map[string]any{"rope_scaling": map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}}, checkpoint.ErrInvalid, "original_max_position_embeddings"},
		{"llama3 upside down", map[string]any{"rope_scaling": map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1, "original_max_position_embeddings": 16}}, checkpoint.ErrInvalid, "high_freq_factor"},
		{"linear without factor", map[string]any{"rope_scaling": map[string]any{"type": "linear"}}, checkpoint.ErrInvalid, "no factor"},
		{"partial rotary llama", map[string]any{"partial_rotary_factor": 0.5}, checkpoint.ErrUnsupported, "partial_rotary_factor 0.5"},
		{"quantised", map[string]any{"quantization_config": map[string]any{"quant_method": "gptq"}}, checkpoint.ErrUnsupported, "gptq"},
		{"activation", map[string]any{"hidden_act": "mish"}, checkpoint.ErrUnsupported, `"mish"`},
		{"missing size", map[string]any{"vocab_size": nil}, checkpoint.ErrInvalid, "vocab_size is missing"},
		{"size of text", map[string]any{"vocab_size": "11"}, checkpoint.ErrInvalid, `vocab_size: "11" is not a number`},
		{"dtype of number", map[string]any{"torch_dtype": 5}, checkpoint.ErrInvalid, "torch_dtype: 5 is not a text"},
		{"tied by text", map[string]any{"tie_word_embeddings": "yes"}, checkpoint.ErrInvalid, `tie_word_embeddings: "yes" is not true or false`},
		{"scaling by list", map[string]any{"rope_scaling": []int{1}}, checkpoint.ErrInvalid, "rope_scaling: [1] is not an object"},
		{"architecture of text", map[string]any{"architectures": "LlamaForCausalLM"}, checkpoint.ErrInvalid, `architectures: "LlamaForCausalLM" is not a list of texts`},
		{"fraction", map[string]any{"hidden_size": 12.5}, checkpoint.ErrInvalid, "12.5"},
		{"negative", map[string]any{"num_hidden_layers": -1}, checkpoint.ErrInvalid, "num_hidden_layers is -1"},
		{"huge", map[string]any{"num_hidden_layers": 1e9}, checkpoint.ErrInvalid, "num_hidden_layers is 1000000000"},
		{"enormous", map[string]any{"hidden_size": 1e30}, checkpoint.ErrInvalid, "hidden_size: 1e+30 is not a whole number up to 2^53"},
		{"head_dim unknown", map[string]any{"head_dim": nil, "num_attention_heads": 5, "num_key_value_heads": 5}, checkpoint.ErrInvalid, "head_dim is missing and hidden_size 12"},
		{"odd heads", map[string]any{"num_key_value_heads": 3}, checkpoint.ErrInvalid, "num_attention_heads 4 is no multiple of num_key_value_heads 3"},
		{"epsilon", map[string]any{"rms_norm_eps": 0}, checkpoint.ErrInvalid, "norm_epsilon 0"},
		{"shape", map[string]any{"vocab_size": 12}, checkpoint.ErrInvalid, "model.embed_tokens.weight has shape [11 12], the config gives [12 12]"},
		{"layers missing", map[string]any{"num_hidden_layers": 3}, checkpoint.ErrInvalid, "missing tensors: model.layers.2.input_layernorm.weight"},
		{"layers left over", map[string]any{"num_hidden_layers": 1}, checkpoint.ErrInvalid, "model.layers.1.input_layernorm.weight, "},
		{"bias missing", map[string]any{"mlp_bias": true}, checkpoint.ErrInvalid, "missing tensors: model.layers.0.mlp.down_proj.bias"},
		{"layer types", map[string]any{"architectures": []string{"MistralForCausalLM"}, "layer_types": []string{"chunked_attention", "full_attention"}}, checkpoint.ErrUnsupported, `"chunked_attention"`},
		{"too few layer types", map[string]any{"architectures": []string{"MistralForCausalLM"}, "layer_types": []string{"full_attention"}}, checkpoint.ErrInvalid, "layer_types has 1 entries for num_hidden_layers 2"},
		{"infinite base", map[string]any{"rope_theta": 1}, checkpoint.ErrInvalid, "rotary_base 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := open(t, config(test.edits), shapes(true, 6), "BF16")
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.message)
		})
	}
	_, err := open(t, `{"architectures": [`, shapes(true, 6), "BF16")
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "config.json")
	for _, dtype := range []string{"F8_E4M3", "I8", "F4"} {
		_, err = open(t, config(nil), shapes(true, 6), dtype)
		require.ErrorIs(t, err, checkpoint.ErrUnsupported)
		require.ErrorContains(t, err, "dtype "+dtype)
	}
}

func TestTensorsOfOldFiles(t *testing.T) {
	all := shapes(true, 6)
	all["model.layers.0.self_attn.rotary_emb.inv_freq"] = []int64{3}
	_, err := open(t, config(nil), all, "BF16")
	require.NoError(t, err)

	all["score.weight"] = []int64{3}
	_, err = open(t, config(nil), all, "BF16")
	require.ErrorContains(t, err, "score.weight")
}

func TestHeads(t *testing.T) {
	origin := func(m *hf.Model) string {
		tensor, err := m.Tensor("lm_head.weight", []int64{11, 12})
		require.NoError(t, err)
		return tensor.Origin
	}
	m, err := open(t, config(nil), shapes(true, 6), "BF16")
	require.NoError(t, err)
	require.Equal(t, "lm_head.weight", origin(m))

	tied := config(map[string]any{"tie_word_embeddings": true})
	m, err = open(t, tied, shapes(true, 6), "BF16") // a stored head of a tied model does not count
	require.NoError(t, err)
	require.Equal(t, "model.embed_tokens.weight", origin(m))
	require.Contains(t, m.Notes()[0], "lm_head.weight is not used")

	headless := shapes(true, 6)
	delete(headless, "lm_head.weight")
	m, err = open(t, tied, headless, "BF16")
	require.NoError(t, err)
	require.Equal(t, "model.embed_tokens.weight", origin(m))
	require.Empty(t, m.Notes())

	m, err = open(t, config(nil), headless, "BF16")
	require.NoError(t, err)
	require.Equal(t, "model.embed_tokens.weight", origin(m))
	require.Contains(t, m.Notes()[0], "lm_head.weight")

	delete(headless, "model.embed_tokens.weight") // wanted twice, named once
	_, err = open(t, tied, headless, "BF16")
	require.ErrorContains(t, err, ": missing tensors: model.embed_tokens.weight")
	require.NotContains(t, err.Error(), ",")
}

// The end ids of a chat model are in its config.json where there is no
// generation_config.json.
func TestGenerationConfig(t *testing.T) {
	dir := write(t, config(map[string]any{"bos_token_id": 1, "eos_token_id": []int{2, 9}, "pad_token_id": -1}), shapes(true, 6), "BF16")
	files := func() []source.File {
		m, err := hf.Open(dir)
		require.NoError(t, err)
		defer m.Close()
		files, err := m.Files()
		require.NoError(t, err)
		return files
	}
	require.Len(t, files(), 1)
	require.Equal(t, "generation_config.json", files()[0].Name)
	require.JSONEq(t, `{"_from_model_config": true, "bos_token_id": 1, "eos_token_id": [2, 9]}`, string(files()[0].Data))

	own := filepath.Join(dir, "generation_config.json")
	require.NoError(t, os.WriteFile(own, []byte("{}"), 0o644))
	require.Equal(t, []source.File{{Name: "generation_config.json", Path: own}}, files())

	dir = write(t, config(map[string]any{"eos_token_id": "x"}), shapes(true, 6), "BF16")
	require.Empty(t, files())
}

func TestBareInfinity(t *testing.T) {
	text, err := json.Marshal(config(nil))
	require.NoError(t, err)
	spoiled := bytes.Replace(text, []byte(`{`), []byte(`{"time_step_limit":[0.0,Infinity],"a":-Infinity,"b":NaN,"c":"Infinity \"NaN","d":-1,`), 1)
	_, err = open(t, string(spoiled), shapes(true, 6), "BF16")
	require.NoError(t, err)
	_, err = open(t, string(bytes.Replace(spoiled, []byte("NaN,"), []byte("Nan,"), 1)), shapes(true, 6), "BF16")
	require.ErrorIs(t, err, checkpoint.ErrInvalid)

	for _, key := range []string{"rms_norm_eps", "num_key_value_heads", "rope_theta", "max_position_embeddings"} {
		for _, value := range []string{"NaN", "Infinity", "-Infinity"} { // no default in their place
			spoiled = bytes.Replace(text, []byte(`{`), []byte(`{"`+key+`":`+value+`,`), 1)
			spoiled = bytes.Replace(spoiled, []byte(`,"`+key+`"`), []byte(`,"x"`), 1)
			_, err = open(t, string(spoiled), shapes(true, 6), "BF16")
			require.ErrorIs(t, err, checkpoint.ErrInvalid)
			require.ErrorContains(t, err, key+`: "`+value+`" is not a number`)
		}
	}
}

func TestDtypeDisagreement(t *testing.T) {
	m, err := open(t, config(nil), shapes(true, 6), "F32")
	require.NoError(t, err)
	require.Equal(t, checkpoint.BFloat16, m.Config().Dtype)
	require.Contains(t, m.Notes()[0], "stored as float32, config.json declares bfloat16")
	m, err = open(t, config(map[string]any{"torch_dtype": nil}), shapes(true, 6), "F16")
	require.NoError(t, err)
	require.Equal(t, checkpoint.Float16, m.Config().Dtype)
	require.Empty(t, m.Notes())
}

func TestWeightsThatAreNotThere(t *testing.T) {
	dir := write(t, config(nil), shapes(true, 6), "BF16")
	require.NoError(t, os.Remove(filepath.Join(dir, "model.safetensors")))
	_, err := hf.Open(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "neither model.safetensors nor model.safetensors.index.json")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), nil, 0o644))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, `pytorch_model.bin: invalid PyTorch file: it begins with ""`)
	d, err := hf.Describe(dir)
	require.NoError(t, err)
	require.Equal(t, "hf-pytorch", d.Format)
	require.Len(t, d.Problems, 1)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("version https://git-lfs.github.com/spec/v1\n"), 0o644))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, safetensors.ErrPointer)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)

	require.NoError(t, os.Truncate(filepath.Join(dir, "model.safetensors"), 5))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "model.safetensors")

	require.NoError(t, os.Remove(filepath.Join(dir, "model.safetensors")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(`{"weight_map":{"a":"b.safetensors"}}`), 0o644))
	_, err = hf.Open(dir) // a shard is missing
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "b.safetensors")

	require.NoError(t, os.Remove(filepath.Join(dir, "config.json")))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = hf.Describe(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestDescribe(t *testing.T) {
	d, err := hf.Describe(write(t, config(nil), shapes(true, 6), "BF16"))
	require.NoError(t, err)
	require.Equal(t, "LlamaForCausalLM", d.Architecture)
	require.IsType(t, &checkpoint.Config{}, d.Config)
	require.Empty(t, d.Problems)
	require.Len(t, d.Tensors, 21)
	require.Equal(t, "model.safetensors", d.Tensors[0].File)

	short := shapes(true, 6)
	delete(short, "model.norm.weight")
	short["model.embed_tokens.weight"] = []int64{10, 12}
	short["extra"] = []int64{1}
	d, err = hf.Describe(write(t, config(nil), short, "BF16"))
	require.NoError(t, err)
	require.Len(t, d.Problems, 3)
	require.Contains(t, d.Problems[0], "missing tensors: model.norm.weight")

	d, err = hf.Describe(write(t, config(map[string]any{"architectures": []string{"GemmaForCausalLM"}}), short, "BF16"))
	require.NoError(t, err)
	require.Equal(t, "GemmaForCausalLM", d.Architecture)
	require.Len(t, d.Problems, 1)
	require.Len(t, d.Tensors, 21)
}

func FuzzConfig(f *testing.F) {
	dir := f.TempDir()
	for _, edits := range []map[string]any{nil, {"rope_scaling": map[string]any{"type": "linear", "factor": 2}}, {"quantization_config": map[string]any{}},
		{"rope_parameters": map[string]any{"rope_type": "yarn", "factor": 4, "beta_fast": 8, "mscale": 0.5, "mscale_all_dim": 1, "attention_factor": 1.5, "truncate": false}},
		{"quantization_config": map[string]any{"quant_method": "fp8", "activation_scheme": "static", "kv_cache_scheme": "static"}},
		{"quantization_config": map[string]any{"quant_method": "compressed-tensors", "config_groups": map[string]any{"group_0": map[string]any{
			"weights": map[string]any{"num_bits": 8, "type": "float", "strategy": "tensor"}, "input_activations": map[string]any{"dynamic": "local"}}}}},
		{"quantization_config": map[string]any{"producer": map[string]any{"name": "modelopt"}, "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}},
	} {
		text, err := json.Marshal(config(edits))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"architectures":["NemotronForCausalLM"],"x":-Infinity,"y":"\`))
	w, err := safetensors.Create(filepath.Join(dir, "model.safetensors"), nil, nil)
	require.NoError(f, err)
	require.NoError(f, w.Close())
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644))
		_, err := hf.Open(dir) // there are no tensors
		require.Error(t, err)
		_, _ = hf.Describe(dir)
	})
}
