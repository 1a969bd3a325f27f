package nemo

import "strings"

// class has what a config class of NeMo 2 sets by default, beyond its base.
type class struct {
	base   string
	fields map[string]any
}

// classes are the configs of NeMo's families that can be exported
// (nemo/collections/llm/gpt/model/nemotron.py, llama.py, mistral.py). GPTConfig's
// own defaults are those of [settings2], but for seq_length.
var classes = map[string]class{
	"GPTConfig": {"", map[string]any{"seq_length": int64(1024)}},

	"NemotronConfig": {"GPTConfig", map[string]any{
		"normalization": "LayerNorm", "activation_func": "squared_relu", "add_bias_linear": false, "seq_length": int64(4096),
		"position_embedding_type": "rope", "rotary_percent": 0.5, "layernorm_zero_centered_gamma": true, "share_embeddings_and_output_weights": false,
	}},
	"Nemotron3Config4B":   {"NemotronConfig", sizes(32, 3072, 9216, 24, 8, "kv_channels", int64(128))},
	"Nemotron3Config8B":   {"NemotronConfig", sizes(32, 4096, 16384, 32, 32)},
	"Nemotron4Config15B":  {"NemotronConfig", sizes(32, 6144, 24576, 48, 8)},
	"Nemotron4Config340B": {"NemotronConfig", sizes(96, 18432, 73728, 96, 8)},

	"LlamaConfig": {"GPTConfig", map[string]any{
		"normalization": "RMSNorm", "activation_func": "silu", "gated_linear_unit": true, "position_embedding_type": "rope", "add_bias_linear": false,
		"seq_length": int64(4096), "share_embeddings_and_output_weights": false,
	}},
	"Llama2Config7B":     {"LlamaConfig", sizes(32, 4096, 11008, 32, 32)},
	"Llama2Config13B":    {"LlamaConfig", sizes(40, 5120, 13824, 40, 40)},
	"Llama2Config70B":    {"LlamaConfig", sizes(80, 8192, 28672, 64, 8)},
	"Llama3Config":       {"LlamaConfig", map[string]any{"num_query_groups": int64(8)}},
	"Llama31Config":      {"Llama3Config", map[string]any{"scale_factor": int64(8), "low_freq_factor": int64(1), "high_freq_factor": int64(4), "old_context_len": int64(8192)}},
	"Llama3Config8B":     {"Llama3Config", sizes(32, 4096, 14336, 32, 8, "rotary_base", int64(500_000), "seq_length", int64(8192))},
	"Llama3Config70B":    {"Llama3Config", sizes(80, 8192, 28672, 64, 8, "rotary_base", int64(500_000), "seq_length", int64(8192))},
	"Llama31Config8B":    {"Llama31Config", sizes(32, 4096, 14336, 32, 8, "rotary_base", int64(500_000), "seq_length", int64(131072))},
	"Llama31Config70B":   {"Llama31Config", sizes(80, 8192, 28672, 64, 8, "rotary_base", int64(500_000), "seq_length", int64(131072))},
	"Llama31Config405B":  {"Llama31Config", sizes(126, 16384, 53248, 128, 8, "rotary_base", int64(500_000), "seq_length", int64(131072))},
	"Llama32Config1B":    {"Llama31Config", sizes(16, 2048, 8192, 32, 8, "rotary_base", int64(500_000), "scale_factor", int64(32), "share_embeddings_and_output_weights", true)},
	"Llama32Config3B":    {"Llama31Config", sizes(28, 3072, 8192, 24, 8, "rotary_base", int64(500_000), "scale_factor", int64(32), "share_embeddings_and_output_weights", true)},
	"CodeLlamaConfig7B":  {"Llama2Config7B", map[string]any{"rotary_base": int64(1_000_000), "seq_length": int64(16384)}},
	"CodeLlamaConfig13B": {"Llama2Config13B", map[string]any{"rotary_base": int64(1_000_000), "seq_length": int64(16384)}},

	"MistralConfig7B": {"LlamaConfig", sizes(32, 4096, 14336, 32, 8, "seq_length", int64(32768), "window_size", []any{int64(4096), int64(0)})},
	"MistralNeMoConfig12B": {"MistralConfig7B", map[string]any{
		"num_layers": int64(40), "hidden_size": int64(5120), "kv_channels": int64(128), "seq_length": int64(4096), "window_size": nil, "rotary_base": int64(1_000_000),
	}},
	"MistralNeMo2407Config12B": {"MistralNeMoConfig12B", nil}, // its name in the first releases
}

// sizes gives the fields that every class of a certain size has, and more as pairs
// of name and value.
func sizes(layers, hidden, ffn, heads, groups int64, more ...any) map[string]any {
	m := map[string]any{
		"num_layers": layers, "hidden_size": hidden, "ffn_hidden_size": ffn, "num_attention_heads": heads, "num_query_groups": groups,
	}
	for i := 0; i < len(more); i += 2 {
		m[more[i].(string)] = more[i+1]
	}
	return m
}

// defaults adds what a config's class sets where the config does not; false is a
// class that is not known.
func defaults(config map[string]any, name string) bool {
	c, ok := classes[name[strings.LastIndexByte(name, '.')+1:]]
	if !ok {
		return false
	}
	for key, value := range c.fields {
		if _, given := config[key]; !given {
			config[key] = value
		}
	}
	return c.base == "" || defaults(config, c.base)
}
