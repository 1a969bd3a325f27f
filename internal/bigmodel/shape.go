package bigmodel

import (
	"encoding/json"
	"fmt"
)

// Shape is a model's architecture. Sizes count elements; weights are bfloat16.
type Shape struct {
	// Gated chooses Llama (RMSNorm, gated MLP); otherwise the model is a Nemotron
	// (LayerNorm1P with biases, squared ReLU).
	Gated                 bool
	HiddenSize            int64
	NumHiddenLayers       int64
	NumAttentionHeads     int64
	NumKeyValueHeads      int64
	HeadDim               int64
	IntermediateSize      int64
	VocabSize             int64
	MaxPositionEmbeddings int64
}

// Minitron8B is nvidia/Minitron-8B-Base: 16 543 399 936 bytes.
func Minitron8B() Shape {
	return Shape{
		HiddenSize: 4096, NumHiddenLayers: 32, NumAttentionHeads: 48, NumKeyValueHeads: 8, HeadDim: 128,
		IntermediateSize: 16384, VocabSize: 256000, MaxPositionEmbeddings: 4096,
	}
}

// Scaled divides the layers and the vocabulary by n, and with them the bytes. Rows
// stay as long as they are, so that reads and writes are of the same kind.
func (s Shape) Scaled(n int64) Shape {
	s.NumHiddenLayers = max(1, s.NumHiddenLayers/n)
	s.VocabSize = max(1, s.VocabSize/n)
	return s
}

// Bytes is the size of all weights together.
func (s Shape) Bytes() int64 {
	n := int64(0)
	for _, t := range s.tensors() {
		n += t.bytes()
	}
	return n
}

// configJSON is what transformers would write beside the weights.
func (s Shape) configJSON() ([]byte, error) {
	c := map[string]any{
		"architectures": []string{"NemotronForCausalLM"}, "model_type": "nemotron", "hidden_act": "relu2", "norm_eps": 1e-5,
		"attention_bias": false, "mlp_bias": false, "bos_token_id": 2, "eos_token_id": 3, "initializer_range": 0.01,
		"dtype": "bfloat16", "head_dim": s.HeadDim, "hidden_size": s.HiddenSize, "intermediate_size": s.IntermediateSize,
		"max_position_embeddings": s.MaxPositionEmbeddings, "num_attention_heads": s.NumAttentionHeads,
		"num_hidden_layers": s.NumHiddenLayers, "num_key_value_heads": s.NumKeyValueHeads, "vocab_size": s.VocabSize,
		"tie_word_embeddings": false,
		"rope_parameters":     map[string]any{"partial_rotary_factor": 0.5, "rope_theta": 10000.0, "rope_type": "default"},
	}
	if s.Gated {
		delete(c, "norm_eps")
		c["architectures"], c["model_type"], c["hidden_act"], c["rms_norm_eps"] = []string{"LlamaForCausalLM"}, "llama", "silu", 1e-5
		c["rope_parameters"] = map[string]any{"rope_theta": 10000.0, "rope_type": "default"}
	}
	return json.MarshalIndent(c, "", "  ")
}

// configYAML is what NeMo 1 would write, saved by so many tensor-parallel ranks.
func (s Shape) configYAML(tensorParallel int) []byte {
	activation, normalization, rotary := "squared-relu", "layernorm1p", "0.5"
	if s.Gated {
		activation, normalization, rotary = "fast-swiglu", "rmsnorm", "1.0"
	}
	return fmt.Appendf(nil, `mcore_gpt: true
megatron_amp_O2: true
micro_batch_size: 4
global_batch_size: 8
tensor_model_parallel_size: %d
pipeline_model_parallel_size: 1
encoder_seq_length: %d
max_position_embeddings: ${.encoder_seq_length}
num_layers: %d
hidden_size: %d
ffn_hidden_size: %d
num_attention_heads: %d
num_query_groups: %d
kv_channels: %d
init_method_std: 0.01
normalization: %s
layernorm_epsilon: 1.0e-05
make_vocab_size_divisible_by: 1
bias: false
activation: %s
transformer_block_type: pre_ln
position_embedding_type: rope
rotary_percentage: %s
rotary_base: 10000.0
share_embeddings_and_output_weights: false
precision: bf16
tokenizer:
  library: megatron
  type: GPT2BPETokenizer
  model: null
  vocab_file: null
  merge_file: null
target: nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel
nemo_version: 2.0.0rc0
`, tensorParallel, s.MaxPositionEmbeddings, s.NumHiddenLayers, s.HiddenSize, s.IntermediateSize,
		s.NumAttentionHeads, s.NumKeyValueHeads, s.HeadDim, normalization, activation, rotary)
}
