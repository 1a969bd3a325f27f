package tensorrt

import (
	"errors"
	"fmt"

	"github.com/trtgo/trtgo/internal/engineconfig"
)

// ErrUnsupported is wrapped by errors about what the lowering, or the release, does not have.
var ErrUnsupported = errors.New("not supported by this lowering")

// Options say which engine the network becomes. All limits are set and legal: package build
// applies trtllm-build's defaults and rules.
type Options struct {
	Release *Release // nil is the newest

	MaxBatchSize, MaxBeamWidth int
	MaxInputLen, MaxSeqLen     int    // tokens of a prompt, of prompt and output
	MaxNumTokens, OptNumTokens int    // tokens of a step, all sequences together
	LogitsDtype                string // float32 or float16
	GatherContextLogits        bool   // logits of every token, not only of the last ones
	// TiedHead: lm_head.weight has the values of the embedding, or the checkpoint has none.
	TiedHead bool
	// ComputeCapability is the GPU's, e.g. 89 for 8.9, for the order of weights of 4 and 8
	// bits; 0 counts as 80.
	ComputeCapability int
	// Scale reads a tensor of one number from the checkpoint (see [Source.Scale]). Only
	// gemm_plugin fp8 needs it, whose plugins have scales as fields.
	Scale   func(name string) (float32, error)
	Plugins engineconfig.Plugin
}

// checkOptions refuses what this lowering does not have.
func checkOptions(o Options) error {
	p := &o.Plugins
	for _, c := range []struct {
		refused bool
		what    string
	}{
		{p.GPTAttentionPlugin == nil, "gpt_attention_plugin is off: attention is a plugin here"},
		{!p.RemoveInputPadding, "remove_input_padding is off: tokens are packed here"},
		{!p.PagedKVCache, "paged_kv_cache is off: the KV cache is paged here"},
		{p.TokensPerBlock < 1 || p.TokensPerBlock&(p.TokensPerBlock-1) != 0, fmt.Sprintf("tokens_per_block is %d, want a power of two", p.TokensPerBlock)},
		{o.LogitsDtype != "float32" && o.LogitsDtype != "float16", fmt.Sprintf("logits_dtype is %q, want float32 or float16", o.LogitsDtype)},
		{p.LoraPlugin != nil || p.DoraPlugin, "lora_plugin is on: adapters are not lowered"},
		{p.GemmSwigluPlugin != nil, "gemm_swiglu_plugin is on"},
		{p.FP8RowwiseGemmPlugin != nil, "fp8_rowwise_gemm_plugin is on"},
		{p.LowLatencyGemmPlugin != nil || p.LowLatencyGemmSwigluPlugin != nil, "low_latency_gemm_plugin or low_latency_gemm_swiglu_plugin is on"},
		{p.GemmAllreducePlugin != nil, "gemm_allreduce_plugin is on"},
		{p.NormQuantFusion, "norm_quant_fusion is on"},
		{p.ReduceFusion, "reduce_fusion is on"},
		{p.UserBuffer, "user_buffer is on"},
		{p.FuseFP4Quant, "fuse_fp4_quant is on"},
		{p.PPReduceScatter, "pp_reduce_scatter is on"},
		{min(o.MaxBatchSize, o.MaxBeamWidth, o.MaxInputLen, o.MaxSeqLen, o.MaxNumTokens) < 1, "a limit is below 1"},
	} {
		if c.refused {
			return fmt.Errorf("%w: %s", ErrUnsupported, c.what)
		}
	}
	return nil
}
