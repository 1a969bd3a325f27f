package nemo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
)

func TestCanonicalNames(t *testing.T) {
	for key, want := range map[string]string{
		"model.module.decoder.layers.3.mlp.linear_fc2.weight":                       "decoder.layers.3.mlp.linear_fc2.weight",
		"module.output_layer.weight":                                                "output_layer.weight",
		"model.language_model.encoder.layers.0.mlp.dense_h_to_4h_2.weight":          "decoder.layers.0.mlp.linear_fc1_2.weight",
		"model.language_model.encoder.layers.0.post_attention_layernorm.bias":       "decoder.layers.0.mlp.linear_fc1.layer_norm_bias",
		"model.word_embeddings.weight":                                              headName,
		"word_embeddings_for_head.weight":                                           headName,
		"model.language_model.embedding.word_embeddings.weight":                     embeddingName,
		"optimizer.state.exp_avg.module.decoder.layers.mlp.linear_fc2.weight":       "",
		"chained_0.optimizer.state.fp32_param.decoder.layers.mlp.linear_fc2.weight": "",
		"model.decoder.layers.self_attention.linear_qkv._extra_state/shard_0_4":     "",
		"model.language_model.rotary_pos_emb.inv_freq":                              "",
		"model.decoder.layers.self_attention.core_attention._extra_state":           "",
		"model.decoder.layers.0.self_attention.linear_qkv.layer_norm_weight":        "decoder.layers.0.self_attention.linear_qkv.layer_norm_weight",
	} {
		got, ok := canonical(key)
		require.Equal(t, want != "", ok, key)
		require.Equal(t, want, got, key)
	}
}

// TestForeignParameters adds parameters of networks that are not read.
func TestForeignParameters(t *testing.T) {
	for key, want := range map[string]string{
		"model.decoder.layers.0.self_attention.adapter_layer.lora_kqv_adapter.linear_in.weight": "adapters",
		"module.decoder.layers.self_attention.linear_qkv.adapter.linear_out.weight":             "adapters",
		"decoder.layers.7.mixer.in_proj.weight.z":                                               "Mamba-2",
		"decoder.layers.mlp.experts.experts.linear_fc1.weight":                                  "mixture of experts",
		"decoder.layers.mlp.router.weight":                                                      "mixture of experts",
		"decoder.layers.self_attention.q_layernorm.weight":                                      "qk_layernorm",
		"embedding.position_embeddings.weight":                                                  "learned position",
		"model0.decoder.layers.0.mlp.linear_fc2.weight":                                         "virtual pipeline",
		"model_1.decoder.layers.0.mlp.linear_fc2.weight":                                        "virtual pipeline",
	} {
		p := params{list: map[string]param{}}
		err := p.add(key, param{})
		require.ErrorIs(t, err, checkpoint.ErrUnsupported, key)
		require.ErrorContains(t, err, want, key)
		require.ErrorContains(t, err, key)
	}
}
