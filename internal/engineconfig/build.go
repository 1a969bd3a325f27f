package engineconfig

// Build is build_config: class BuildConfig of TensorRT-LLM 1.2 (builder.py), in its order,
// without dry_run and visualize_network. The C++ runtime takes an absent limit
// for 0, so all are written.
type Build struct {
	MaxInputLen                 int     `json:"max_input_len"`
	MaxSeqLen                   int     `json:"max_seq_len"`
	OptBatchSize                int     `json:"opt_batch_size"`
	MaxBatchSize                int     `json:"max_batch_size"`
	MaxBeamWidth                int     `json:"max_beam_width"`
	MaxNumTokens                int     `json:"max_num_tokens"`
	OptNumTokens                *int    `json:"opt_num_tokens"` // null with multiple profiles
	MaxPromptEmbeddingTableSize int     `json:"max_prompt_embedding_table_size"`
	KVCacheType                 string  `json:"kv_cache_type"` // PAGED, CONTINUOUS or DISABLED
	GatherContextLogits         bool    `json:"gather_context_logits"`
	GatherGenerationLogits      bool    `json:"gather_generation_logits"`
	StronglyTyped               bool    `json:"strongly_typed"`
	ForceNumProfiles            *int    `json:"force_num_profiles"`
	ProfilingVerbosity          string  `json:"profiling_verbosity"`
	EnableDebugOutput           bool    `json:"enable_debug_output"`
	MaxDraftLen                 int     `json:"max_draft_len"`
	SpeculativeDecodingMode     int     `json:"speculative_decoding_mode"` // 1 is none
	UseRefit                    bool    `json:"use_refit"`
	InputTimingCache            *string `json:"input_timing_cache"`
	OutputTimingCache           string  `json:"output_timing_cache"`
	Lora                        Lora    `json:"lora_config"`
	WeightSparsity              bool    `json:"weight_sparsity"`
	WeightStreaming             bool    `json:"weight_streaming"`
	Plugins                     Plugin  `json:"plugin_config"`
	UseStripPlan                bool    `json:"use_strip_plan"`
	MaxEncoderInputLen          int     `json:"max_encoder_input_len"`
	MonitorMemory               bool    `json:"monitor_memory"`
	UseMRoPE                    bool    `json:"use_mrope"`
}

// Lora is lora_config.
type Lora struct {
	LoraDir           []string `json:"lora_dir"`
	LoraCkptSource    string   `json:"lora_ckpt_source"`
	MaxLoraRank       int      `json:"max_lora_rank"`
	LoraTargetModules []string `json:"lora_target_modules"`

	// TRTLLMModulesToHFModules and the rest belong to upstream's Python runtime.
	TRTLLMModulesToHFModules  map[string]string `json:"trtllm_modules_to_hf_modules"`
	MaxLoras                  *int              `json:"max_loras"`
	MaxCPULoras               *int              `json:"max_cpu_loras"`
	SwapGateUpProjLoraBWeight bool              `json:"swap_gate_up_proj_lora_b_weight"`
}

// Plugin is plugin_config: class PluginConfig of TensorRT-LLM 1.2 (plugin.py), in its order. A plugin that is
// off is null; "auto" is the model's dtype.
type Plugin struct {
	Dtype                string  `json:"dtype"`
	BertAttentionPlugin  *string `json:"bert_attention_plugin"`
	GPTAttentionPlugin   *string `json:"gpt_attention_plugin"`
	GemmPlugin           *string `json:"gemm_plugin"`
	GemmSwigluPlugin     *string `json:"gemm_swiglu_plugin"`
	FP8RowwiseGemmPlugin *string `json:"fp8_rowwise_gemm_plugin"`
	QServeGemmPlugin     *string `json:"qserve_gemm_plugin"`
	IdentityPlugin       *string `json:"identity_plugin"`
	NCCLPlugin           *string `json:"nccl_plugin"`
	LoraPlugin           *string `json:"lora_plugin"`
	DoraPlugin           bool    `json:"dora_plugin"`
	// The weight-only plugins follow from the checkpoint's quant_algo.
	WeightOnlyGroupwiseQuantMatmulPlugin *string `json:"weight_only_groupwise_quant_matmul_plugin"`
	WeightOnlyQuantMatmulPlugin          *string `json:"weight_only_quant_matmul_plugin"`
	SmoothQuantPlugins                   bool    `json:"smooth_quant_plugins"`
	SmoothQuantGemmPlugin                *string `json:"smooth_quant_gemm_plugin"`
	LayernormQuantizationPlugin          *string `json:"layernorm_quantization_plugin"`
	RMSNormQuantizationPlugin            *string `json:"rmsnorm_quantization_plugin"`
	QuantizePerTokenPlugin               bool    `json:"quantize_per_token_plugin"`
	QuantizeTensorPlugin                 bool    `json:"quantize_tensor_plugin"`
	MoEPlugin                            *string `json:"moe_plugin"`
	MambaConv1dPlugin                    *string `json:"mamba_conv1d_plugin"`
	LowLatencyGemmPlugin                 *string `json:"low_latency_gemm_plugin"`
	LowLatencyGemmSwigluPlugin           *string `json:"low_latency_gemm_swiglu_plugin"`
	GemmAllreducePlugin                  *string `json:"gemm_allreduce_plugin"`
	ContextFMHA                          bool    `json:"context_fmha"`
	BertContextFMHAFP32Acc               bool    `json:"bert_context_fmha_fp32_acc"`
	PagedKVCache                         bool    `json:"paged_kv_cache"`
	RemoveInputPadding                   bool    `json:"remove_input_padding"`
	NormQuantFusion                      bool    `json:"norm_quant_fusion"`
	ReduceFusion                         bool    `json:"reduce_fusion"`
	UserBuffer                           bool    `json:"user_buffer"`
	TokensPerBlock                       int     `json:"tokens_per_block"`
	UsePagedContextFMHA                  bool    `json:"use_paged_context_fmha"`
	UseFP8ContextFMHA                    bool    `json:"use_fp8_context_fmha"`
	FuseFP4Quant                         bool    `json:"fuse_fp4_quant"`
	MultipleProfiles                     bool    `json:"multiple_profiles"`
	PagedState                           bool    `json:"paged_state"`
	StreamingLLM                         bool    `json:"streamingllm"`
	ManageWeights                        bool    `json:"manage_weights"`
	UseFusedMLP                          bool    `json:"use_fused_mlp"`
	PPReduceScatter                      bool    `json:"pp_reduce_scatter"`
}
