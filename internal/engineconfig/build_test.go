package engineconfig_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/engineconfig"
)

// keys lists the names that a struct has in JSON, in order.
func keys(v any) []string {
	var names []string
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		names = append(names, strings.TrimSuffix(t.Field(i).Tag.Get("json"), ",omitempty"))
	}
	return names
}

// build_config has the keys that trtllm-build 1.2 writes, in its order: the fields of its classes BuildConfig, but dry_run and
// visualize_network, LoraConfig and PluginConfig.
func TestKeysOfTRTLLMBuild(t *testing.T) {
	require.Equal(t, strings.Fields(`max_input_len max_seq_len opt_batch_size max_batch_size max_beam_width max_num_tokens opt_num_tokens
		max_prompt_embedding_table_size kv_cache_type gather_context_logits gather_generation_logits strongly_typed force_num_profiles
		profiling_verbosity enable_debug_output max_draft_len speculative_decoding_mode use_refit input_timing_cache output_timing_cache
		lora_config weight_sparsity weight_streaming plugin_config use_strip_plan max_encoder_input_len monitor_memory use_mrope`), keys(engineconfig.Build{}))
	require.Equal(t, strings.Fields(`lora_dir lora_ckpt_source max_lora_rank lora_target_modules trtllm_modules_to_hf_modules max_loras max_cpu_loras
		swap_gate_up_proj_lora_b_weight`), keys(engineconfig.Lora{}))
	require.Equal(t, strings.Fields(`dtype bert_attention_plugin gpt_attention_plugin gemm_plugin gemm_swiglu_plugin fp8_rowwise_gemm_plugin qserve_gemm_plugin
		identity_plugin nccl_plugin lora_plugin dora_plugin weight_only_groupwise_quant_matmul_plugin weight_only_quant_matmul_plugin smooth_quant_plugins
		smooth_quant_gemm_plugin layernorm_quantization_plugin rmsnorm_quantization_plugin quantize_per_token_plugin quantize_tensor_plugin moe_plugin
		mamba_conv1d_plugin low_latency_gemm_plugin low_latency_gemm_swiglu_plugin gemm_allreduce_plugin context_fmha bert_context_fmha_fp32_acc
		paged_kv_cache remove_input_padding norm_quant_fusion reduce_fusion user_buffer tokens_per_block use_paged_context_fmha use_fp8_context_fmha
		fuse_fp4_quant multiple_profiles paged_state streamingllm manage_weights use_fused_mlp pp_reduce_scatter`), keys(engineconfig.Plugin{}))

	// Absent plugins and limits are null, not left out: the runtime looks for the plugins' keys.
	text, err := json.Marshal(engineconfig.Build{})
	require.NoError(t, err)
	for _, key := range []string{"opt_num_tokens", "input_timing_cache", "gpt_attention_plugin", "lora_plugin", "gemm_plugin"} {
		require.Contains(t, string(text), `"`+key+`":null`)
	}
}

// What only one backend has is left out of the others' configs.
func TestTrtgoOfBackends(t *testing.T) {
	for want, part := range map[string]engineconfig.Trtgo{
		`{"backend":"cpu","producer":{"name":"trtgo","version":"v1"},"weight_dtype":"float32","format_version":2,"weight_bytes":8,"tied_head":true}`: {
			Backend: "cpu", Producer: engineconfig.Producer{Name: "trtgo", Version: "v1"}, WeightDtype: "float32", FormatVersion: 2, WeightBytes: 8, TiedHead: true},
		`{"backend":"tensorrt-rtx","producer":{"name":"trtgo","version":"v1"},"weight_dtype":"FP8","tensorrt":"1.7.1","compute_capabilities":["8.9"]}`: {
			Backend: "tensorrt-rtx", Producer: engineconfig.Producer{Name: "trtgo", Version: "v1"}, WeightDtype: "FP8", TensorRT: "1.7.1", ComputeCapabilities: []string{"8.9"}},
	} {
		text, err := json.Marshal(part)
		require.NoError(t, err)
		require.JSONEq(t, want, string(text))
	}
	require.Equal(t, "rank3_managed_weights.safetensors", engineconfig.ManagedWeightsName(3))
}
