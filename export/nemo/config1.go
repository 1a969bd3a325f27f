package nemo

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// parseConfig1 reads NeMo 1's model_config.yaml. Keys and their defaults are those
// of megatron_gpt_config.yaml and of the classes that read it (NeMo,
// megatron_gpt_model.py, megatron_base_model.py).
func parseConfig1(text []byte) (*settings, error) {
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	interpolate(root)
	if model, ok := root["model"].(map[string]any); ok && root["num_layers"] == nil {
		root = model
	}
	f := &fields{values: root}
	if err := refuse1(f); err != nil {
		return nil, err
	}
	s, err := newSettings(f)
	if err != nil {
		return nil, err
	}
	if !f.integer(&s.positions, "max_position_embeddings", "encoder_seq_length") && f.err == nil {
		return nil, fmt.Errorf("%w: neither max_position_embeddings nor encoder_seq_length is there", checkpoint.ErrInvalid)
	}
	f.float(&s.epsilon, "layernorm_epsilon")
	f.boolean(&s.bias, "bias")
	s.mlpBias = s.bias
	f.boolean(&s.qkvBias, "qkv_bias")
	f.boolean(&s.tied, "share_embeddings_and_output_weights")
	f.boolean(&s.mcore, "mcore_gpt")
	f.integer(&s.tensorParallel, "tensor_model_parallel_size")
	f.integer(&s.pipelineParallel, "pipeline_model_parallel_size")
	f.integer(&s.virtualStages, "virtual_pipeline_model_parallel_size")
	if err := s.kind1(f); err != nil {
		return nil, err
	}
	if err := s.rotary1(f); err != nil {
		return nil, err
	}
	var precision string
	f.text(&precision, "precision")
	s.dtype = dtypeOf(precision)
	s.window = window(f)
	s.tokenizer1(&fields{values: f.mapping("tokenizer")})
	return s, f.err
}

// otherModels are parts of the names of NeMo 1's classes for other networks.
var otherModels = map[string]string{
	"Mamba": "a hybrid Mamba-2 model", "T5": "an encoder and decoder", "Bert": "an encoder", "Retro": "a model with retrieval", "Reward": "a reward model",
}

// refuse1 refuses by name what would make another network.
func refuse1(f *fields) error {
	var pattern, block string
	if f.text(&pattern, "hybrid_override_pattern") || f.values["mamba_state_dim"] != nil {
		return fmt.Errorf("a hybrid Mamba-2 model (hybrid_override_pattern) is %w yet: it is planned for a later release", checkpoint.ErrUnsupported)
	}
	for word, what := range otherModels {
		if class := lastPart(f.values["target"]); strings.Contains(class, word) {
			return fmt.Errorf("%s, %s, is %w: models of class MegatronGPTModel are", class, what, checkpoint.ErrUnsupported)
		}
	}
	var experts int64
	if f.integer(&experts, "num_moe_experts"); experts > 1 {
		return fmt.Errorf("a mixture of %d experts (num_moe_experts) is %w", experts, checkpoint.ErrUnsupported)
	}
	if scheme := (&fields{values: f.mapping("peft")}); scheme.values != nil {
		var name string
		if scheme.text(&name, "peft_scheme"); name != "" && name != "null" && name != "none" {
			return fmt.Errorf("an archive of %.50s adapters (peft.peft_scheme) is %w: merge them into their base model first", name, checkpoint.ErrUnsupported)
		}
	}
	if f.text(&block, "transformer_block_type"); block != "" && block != "pre_ln" {
		return fmt.Errorf("transformer_block_type %.50q is %w: pre_ln is", block, checkpoint.ErrUnsupported)
	}
	scaled := true
	if f.boolean(&scaled, "normalize_attention_scores"); !scaled {
		return fmt.Errorf("normalize_attention_scores false is %w: scores are divided by the root of kv_channels", checkpoint.ErrUnsupported)
	}
	for _, key := range []string{"rotary_interleaved", "qk_layernorm", "headscale", "apply_residual_connection_post_layernorm", "apply_embedding_scaling", "multi_latent_attention"} {
		var on bool
		if f.boolean(&on, key); on {
			return fmt.Errorf("%s is %w", key, checkpoint.ErrUnsupported)
		}
	}
	return f.err
}

// kind1 reads norm, activation and position embedding.
func (s *settings) kind1(f *fields) error {
	normalization, activation, positions := "layernorm", "gelu", "learned_absolute"
	f.text(&normalization, "normalization")
	f.text(&activation, "activation")
	f.text(&positions, "position_embedding_type")
	f.boolean(&s.zeroCentred, "layernorm_zero_centered_gamma")
	switch strings.ToLower(normalization) {
	case "layernorm":
	case "layernorm1p":
		s.zeroCentred = true
	case "rmsnorm":
		s.rmsNorm = true
	default:
		return fmt.Errorf("normalization %.100q is %w: layernorm, layernorm1p and rmsnorm are", normalization, checkpoint.ErrUnsupported)
	}
	var ok bool
	if s.activation, ok = activations[activation]; !ok {
		return unknownActivation(activation, activations)
	}
	s.gated = strings.HasSuffix(activation, "glu")
	if positions != "rope" {
		return fmt.Errorf("position_embedding_type %.100q is %w: rope is", positions, checkpoint.ErrUnsupported)
	}
	return nil
}

func (s *settings) rotary1(f *fields) error {
	f.float(&s.rotaryPercent, "rotary_percentage")
	f.float(&s.rotaryBase, "rotary_base")
	var factor float64
	if f.float(&factor, "seq_len_interpolation_factor") && factor != 1 {
		s.rotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryLinear, Factor: factor}
	}
	var llama3 bool
	if f.boolean(&llama3, "scale_positional_embedding"); llama3 {
		if s.rotaryScaling != nil {
			return fmt.Errorf("%w: both seq_len_interpolation_factor and scale_positional_embedding are set", checkpoint.ErrInvalid)
		}
		s.rotaryScaling = llama3Scaling()
		f.float(&s.rotaryScaling.Factor, "rope_scaling_factor")
	}
	return nil
}

// llama3Scaling has the numbers that Megatron-core writes into its code
// (rotary_pos_embedding.py, _apply_scaling); NeMo 1 stores the switch alone.
func llama3Scaling() *checkpoint.RotaryScaling {
	return &checkpoint.RotaryScaling{Type: checkpoint.RotaryLlama3, Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192}
}

// window reads window_size, a pair of tokens to the left and to the right. NeMo
// sets the first to Hugging Face's sliding_window and back (llm/gpt/model/mistral.py).
func window(f *fields) int64 {
	if list, ok := f.values["window_size"].([]any); ok && len(list) > 0 {
		if left, ok := number(list[0]); ok && left > 0 && left < 1<<40 {
			return int64(left)
		}
	}
	return 0
}

func (s *settings) tokenizer1(f *fields) {
	f.text(&s.tokenizer.library, "library")
	f.text(&s.tokenizer.kind, "type")
	f.text(&s.tokenizer.model, "model", "tokenizer_model")
	f.text(&s.tokenizer.vocab, "vocab_file")
	f.text(&s.tokenizer.merges, "merge_file")
}
