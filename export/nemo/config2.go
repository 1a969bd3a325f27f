package nemo

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// parseConfig2 reads NeMo 2's context/model.yaml: every object is a mapping with
// its class under _target_. All fields are written out, so the defaults here only
// serve files that were cut by hand.
func parseConfig2(text []byte) (*settings, error) {
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	return settings2(root)
}

// settings2 reads the tree of a model.yaml.
func settings2(root map[string]any) (*settings, error) {
	if model, ok := root["model"].(map[string]any); ok && root["config"] == nil {
		root = model
	}
	top := &fields{values: root}
	f := &fields{values: top.mapping("config")}
	if f.values == nil {
		return nil, fmt.Errorf("%w: the model has no config", checkpoint.ErrInvalid)
	}
	class, config := lastPart(root["_target_"]), lastPart(f.values["_target_"])
	if err := refuse2(f, class, config); err != nil {
		return nil, err
	}
	s, err := newSettings(f)
	if err != nil {
		return nil, err
	}
	s.class, s.mcore = class, true
	if class == "MistralModel" {
		s.architecture = "MistralForCausalLM"
	}
	f.need(&s.positions, "seq_length")
	f.float(&s.epsilon, "layernorm_epsilon")
	f.boolean(&s.bias, "add_bias_linear")
	s.mlpBias = s.bias
	f.boolean(&s.qkvBias, "add_qkv_bias")
	f.boolean(&s.tied, "share_embeddings_and_output_weights")
	f.boolean(&s.gated, "gated_linear_unit")
	f.boolean(&s.zeroCentred, "layernorm_zero_centered_gamma")
	f.float(&s.rotaryPercent, "rotary_percent")
	f.float(&s.rotaryBase, "rotary_base")
	if err := s.kind2(f); err != nil {
		return nil, err
	}
	s.rotary2(f, config)
	s.dtype = dtypeOf(target(f.values["params_dtype"]))
	s.window = window(f)
	s.tokenizer2(top)
	return s, f.err
}

// refuse2 refuses by name what would make another network.
func refuse2(f *fields, class, config string) error {
	var pattern string
	if f.text(&pattern, "hybrid_override_pattern") || strings.Contains(class, "Mamba") || strings.Contains(config, "SSM") || strings.Contains(config, "NemotronH") {
		return fmt.Errorf("a hybrid Mamba-2 model (%s) is %w yet: it is planned for a later release", class, checkpoint.ErrUnsupported)
	}
	var experts int64
	if f.integer(&experts, "num_moe_experts"); experts > 1 {
		return fmt.Errorf("a mixture of %d experts (num_moe_experts) is %w", experts, checkpoint.ErrUnsupported)
	}
	if f.text(&pattern, "heterogeneous_layers_config_encoded_json", "heterogeneous_layers_config_path") || strings.Contains(config, "Heterogeneous") {
		return fmt.Errorf("a model whose layers differ (%s) is %w", config, checkpoint.ErrUnsupported)
	}
	for _, key := range []string{"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "softmax_scale"} {
		if f.values[key] != nil {
			return fmt.Errorf("%s is %w", key, checkpoint.ErrUnsupported)
		}
	}
	for _, key := range []string{"qk_layernorm", "rotary_interleaved", "apply_residual_connection_post_layernorm", "multi_latent_attention"} {
		var on bool
		if f.boolean(&on, key); on {
			return fmt.Errorf("%s is %w", key, checkpoint.ErrUnsupported)
		}
	}
	return f.err
}

// target gives an object's class or a function's name, a plain text as it is.
func target(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		name, _ := v["_target_"].(string)
		return name
	}
	return ""
}

func lastPart(v any) string {
	name := target(v)
	return name[strings.LastIndexByte(name, '.')+1:]
}

func (s *settings) kind2(f *fields) error {
	normalization, positions := "LayerNorm", "learned_absolute"
	f.text(&normalization, "normalization")
	f.text(&positions, "position_embedding_type")
	switch strings.ToLower(normalization) {
	case "layernorm":
	case "rmsnorm":
		s.rmsNorm = true
	default:
		return fmt.Errorf("normalization %.100q is %w: LayerNorm and RMSNorm are", normalization, checkpoint.ErrUnsupported)
	}
	if err := s.activation2(f.values["activation_func"]); err != nil {
		return err
	}
	if positions != "rope" {
		return fmt.Errorf("position_embedding_type %.100q is %w: rope is", positions, checkpoint.ErrUnsupported)
	}
	return nil
}

// activation2 reads the function, "torch.nn.functional.silu" or
// "torch._C._nn.gelu", or a partial of it. Megatron-core's default is gelu.
func (s *settings) activation2(function any) error {
	name := "gelu"
	if function != nil {
		name = lastPart(function)
	}
	if m, ok := function.(map[string]any); ok && name == "gelu" && m["approximate"] != nil && m["approximate"] != "none" {
		name = "openai_gelu" // torch's gelu(approximate="tanh")
	}
	var ok bool
	if s.activation, ok = functions[name]; !ok {
		return unknownActivation(name, functions)
	}
	return nil
}

// rotary2 reads Llama 3.1's scaling, which the classes derived from Llama31Config
// have as fields, and linear interpolation.
func (s *settings) rotary2(f *fields, config string) {
	r := llama3Scaling()
	given := f.float(&r.Factor, "scale_factor")
	given = f.float(&r.LowFreqFactor, "low_freq_factor") || given
	given = f.float(&r.HighFreqFactor, "high_freq_factor") || given
	given = f.integer(&r.OriginalMaxPositionEmbeddings, "old_context_len") || given
	if given || strings.HasPrefix(config, "Llama31") || strings.HasPrefix(config, "Llama32") {
		s.rotaryScaling = r
		return
	}
	var factor float64
	if f.float(&factor, "seq_len_interpolation_factor") && factor != 1 {
		s.rotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryLinear, Factor: factor}
	}
}

// tokenizer2 finds the tokenizer's files: paths relative to context/.
func (s *settings) tokenizer2(top *fields) {
	f := &fields{values: top.mapping("tokenizer")}
	if f.values == nil {
		return
	}
	path := func(keys ...string) string {
		for _, key := range keys {
			switch v := f.values[key].(type) {
			case string:
				return v
			case map[string]any: // a plain text stands under attr
				if text, ok := v["attr"].(string); ok {
					return text
				}
			}
		}
		return ""
	}
	switch class := lastPart(f.values["_target_"]); class {
	case "SentencePieceTokenizer":
		s.tokenizer.library, s.tokenizer.model = "sentencepiece", path("model_path")
	case "AutoTokenizer":
		s.tokenizer.library, s.tokenizer.kind = "huggingface", path("pretrained_model_name")
	case "TiktokenTokenizer":
		s.tokenizer.library, s.tokenizer.model = "tiktoken", path("vocab_file")
	default:
		s.tokenizer.library = class
	}
}
