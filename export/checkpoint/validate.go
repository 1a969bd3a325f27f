package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Family is the model class that upstream uses for an architecture.
type Family string

// The families that this package lays out.
const (
	LLaMA Family = "llama" // RMSNorm, gated MLP, full rotary
	GPT   Family = "gpt"   // LayerNorm with bias, ungated MLP, partial rotary
)

var families = map[string]Family{
	"LlamaForCausalLM":    LLaMA,
	"MistralForCausalLM":  LLaMA,
	"GPTForCausalLM":      GPT,
	"NemotronForCausalLM": GPT,
}

// Architectures lists the architectures of checkpoints that can be read.
func Architectures() []string { return slices.Sorted(maps.Keys(families)) }

// Family gives the model class of the architecture, "" for one that is not
// supported.
func (c *Config) Family() Family { return families[c.Architecture] }

// Gated tells whether the MLP has a gate.
func (c *Config) Gated() bool {
	return c.Family() == LLaMA || c.HiddenAct == "swiglu" || c.HiddenAct == "geglu" || c.HiddenAct == "fast-swiglu"
}

// RotaryDim is the number of leading elements of each head that rotate.
func (c *Config) RotaryDim() int64 { return int64(float64(c.HeadSize) * c.RotaryPct) }

// Sizes beyond these do not occur in models, only in damaged files.
const (
	maxLayers = 4096
	maxHeads  = 1 << 16
	maxWidth  = 1 << 24
	maxVocab  = 1 << 28
	maxRanks  = 4096
)

// Validate checks that the config describes a model of a supported family whose
// sizes are sane and can be divided as the mapping says. Errors wrap
// [ErrInvalid], [ErrUnsupported] or [ErrMapping].
func (c *Config) Validate() error {
	if c.Architecture == "" {
		return fmt.Errorf("%w: config: architecture is missing", ErrInvalid)
	}
	if c.Family() == "" {
		return fmt.Errorf("architecture %q is %w: %s are", c.Architecture, ErrUnsupported, strings.Join(Architectures(), ", "))
	}
	if c.Dtype != Float32 && c.Dtype != Float16 && c.Dtype != BFloat16 {
		return fmt.Errorf("%w: config: dtype %q is none of float16, bfloat16, float32", ErrInvalid, c.Dtype)
	}
	for _, f := range []struct {
		name        string
		value, most int64
	}{
		{"hidden_size", c.HiddenSize, maxWidth},
		{"num_hidden_layers", c.NumHiddenLayers, maxLayers},
		{"num_attention_heads", c.NumAttentionHeads, maxHeads},
		{"num_key_value_heads", c.NumKeyValueHeads, maxHeads},
		{"head_size", c.HeadSize, 1 << 16},
		{"intermediate_size", c.IntermediateSize, maxWidth},
		{"vocab_size", c.VocabSize, maxVocab},
		{"max_position_embeddings", c.MaxPositionEmbeddings, 1 << 40},
	} {
		if f.value < 1 || f.value > f.most {
			return fmt.Errorf("%w: config: %s is %d, not between 1 and %d", ErrInvalid, f.name, f.value, f.most)
		}
	}
	if c.NumAttentionHeads%c.NumKeyValueHeads != 0 {
		return fmt.Errorf("%w: config: num_attention_heads %d is no multiple of num_key_value_heads %d", ErrInvalid, c.NumAttentionHeads, c.NumKeyValueHeads)
	}
	if err := c.validateNumbers(); err != nil {
		return err
	}
	if err := c.validateFeatures(); err != nil {
		return err
	}
	if err := c.validateMapping(); err != nil {
		return err
	}
	return c.validateQuantization()
}

func (c *Config) validateNumbers() error {
	if !(c.NormEpsilon > 0) || c.NormEpsilon > 1 {
		return fmt.Errorf("%w: config: norm_epsilon %g is not between 0 and 1", ErrInvalid, c.NormEpsilon)
	}
	if !(c.RotaryBase > 1) || math.IsInf(c.RotaryBase, 0) {
		return fmt.Errorf("%w: config: rotary_base %g is not above 1", ErrInvalid, c.RotaryBase)
	}
	if !(c.RotaryPct > 0) || c.RotaryPct > 1 {
		return fmt.Errorf("%w: config: rotary_pct %g is not between 0 and 1", ErrInvalid, c.RotaryPct)
	}
	if d := c.RotaryDim(); d < 2 || d%2 != 0 {
		return fmt.Errorf("%w: config: %d of the %d elements of a head rotate (rotary_pct %g), which is not an even number above 0", ErrInvalid, d, c.HeadSize, c.RotaryPct)
	}
	if c.EmbeddingShardingDim != 0 && c.EmbeddingShardingDim != 1 {
		return fmt.Errorf("%w: config: embedding_sharding_dim %d is neither 0 nor 1", ErrInvalid, c.EmbeddingShardingDim)
	}
	if c.RuntimeDefaults != nil {
		for _, w := range c.RuntimeDefaults.MaxAttentionWindow {
			if w < 1 {
				return fmt.Errorf("%w: config: runtime_defaults.max_attention_window has %d", ErrInvalid, w)
			}
		}
	}
	return c.RotaryScaling.Validate()
}

// neutral has the keys that change the network, with the values that do not.
var neutral = map[string][]string{
	"q_scaling":                           {"1", "1.0"},
	"embedding_scale":                     {},
	"inner_layernorm":                     {"false"},
	"norm_before_bmm1":                    {"false"},
	"residual_mlp":                        {"false"},
	"fc_after_embed":                      {"false"},
	"use_input_layernorm_in_first_layer":  {"true"},
	"use_last_layernorm":                  {"true"},
	"layer_idx_offset":                    {"0"},
	"embedding_multiplier":                {"1", "1.0"},
	"attention_multiplier":                {"1", "1.0"},
	"residual_multiplier":                 {"1", "1.0"},
	"output_multiplier_scale":             {"1", "1.0"},
	"remove_duplicated_kv_heads":          {"false"},
	"apply_query_key_layer_scaling":       {"false"},
	"has_partial_lora_mask":               {"false"},
	"lm_head_bias":                        {"false"},
	"use_alibi":                           {"false"},
	"moe_num_experts":                     {"0"},
	"num_medusa_heads":                    {"0"},
	"cross_attention":                     {"false"},
	"has_position_embedding":              {"false"},
	"has_token_type_embedding":            {"false"},
	"num_kv_heads_per_layer":              {},
	"num_kv_heads_per_cross_attn_layer":   {},
	"per_layer_use_parallel_attn_mlp_res": {},
}

// validateFeatures refuses what would change the network in a way that nothing
// downstream knows.
func (c *Config) validateFeatures() error {
	if c.PositionEmbeddingType != "rope_gpt_neox" {
		return fmt.Errorf("position_embedding_type %q is %w: rope_gpt_neox is", c.PositionEmbeddingType, ErrUnsupported)
	}
	if c.QKLayernorm {
		return fmt.Errorf("config: qk_layernorm is %w", ErrUnsupported)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Extra)) {
		allowed, known := neutral[key]
		if raw := string(bytes.TrimSpace(c.Extra[key])); known && raw != "null" && !slices.Contains(allowed, raw) {
			return fmt.Errorf("config: %s = %.100s is %w", key, raw, ErrUnsupported)
		}
	}
	var moe struct {
		NumExperts int64 `json:"num_experts"`
	}
	if raw, ok := c.Extra["moe"]; ok && json.Unmarshal(raw, &moe) == nil && moe.NumExperts > 0 {
		return fmt.Errorf("config: mixture of %d experts is %w", moe.NumExperts, ErrUnsupported)
	}
	return nil
}

func (c *Config) validateMapping() error {
	m := c.Mapping
	for key, raw := range m.Extra {
		if key == "cp_size" || key == "moe_ep_size" || key == "attn_cp_size" {
			if text := string(raw); text != "1" && text != "-1" && text != "null" {
				return fmt.Errorf("config: mapping.%s = %.100s is %w", key, text, ErrUnsupported)
			}
		}
	}
	if m.TPSize < 1 || m.PPSize < 1 || m.TPSize > maxRanks || m.PPSize > maxRanks || m.TPSize*m.PPSize > maxRanks {
		return fmt.Errorf("%w: mapping tp_size %d × pp_size %d is not between 1 and %d ranks", ErrMapping, m.TPSize, m.PPSize, maxRanks)
	}
	if m.WorldSize != m.TPSize*m.PPSize {
		return fmt.Errorf("%w: mapping world_size %d is not tp_size %d × pp_size %d", ErrMapping, m.WorldSize, m.TPSize, m.PPSize)
	}
	tp := int64(m.TPSize)
	for _, f := range []struct {
		name  string
		value int64
	}{{"num_attention_heads", c.NumAttentionHeads}, {"intermediate_size", c.IntermediateSize}} {
		if f.value%tp != 0 {
			return fmt.Errorf("%w: %s %d cannot be divided among tp_size %d ranks", ErrMapping, f.name, f.value, tp)
		}
	}
	if k := c.NumKeyValueHeads; k%tp != 0 && tp%k != 0 {
		return fmt.Errorf("%w: num_key_value_heads %d and tp_size %d: neither is a multiple of the other", ErrMapping, k, tp)
	}
	if c.UseParallelEmbedding && c.EmbeddingShardingDim == 1 && c.HiddenSize%tp != 0 {
		return fmt.Errorf("%w: hidden_size %d cannot be divided among tp_size %d ranks (embedding_sharding_dim 1)", ErrMapping, c.HiddenSize, tp)
	}
	if c.NumHiddenLayers < int64(m.PPSize) {
		return fmt.Errorf("%w: num_hidden_layers %d are fewer than pp_size %d stages", ErrMapping, c.NumHiddenLayers, m.PPSize)
	}
	return nil
}
