package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/engineconfig"
)

// PluginFlag is a plugin flag of trtllm-build 1.2.
type PluginFlag struct {
	Flag    string   // e.g. "gpt_attention_plugin"
	Values  []string // legal ones
	Default string   // "" is unset, which is off
	Usage   string   // one line for help

	plugin func(*engineconfig.Plugin) **string // where a name is recorded,
	toggle func(*engineconfig.Plugin) *bool    // or enable and disable
}

var (
	enableDisable = []string{"enable", "disable"}
	pluginDtypes  = []string{"auto", "float16", "float32", "bfloat16", "int32", "disable"}
	gemmDtypes    = []string{"auto", "float16", "float32", "bfloat16", "int32", "fp8", "nvfp4", "disable"}
	fp8Only       = []string{"fp8", "disable"}
	allreduce     = []string{"float16", "bfloat16", "disable"}
)

type config = engineconfig.Plugin

// pluginFlags is the table of all plugin flags, in upstream's order.
var pluginFlags = []PluginFlag{
	{Flag: "bert_attention_plugin", Values: pluginDtypes, Default: "auto", plugin: func(c *config) **string { return &c.BertAttentionPlugin }},
	{Flag: "gpt_attention_plugin", Values: pluginDtypes, Default: "auto", plugin: func(c *config) **string { return &c.GPTAttentionPlugin }},
	{Flag: "gemm_plugin", Values: gemmDtypes, plugin: func(c *config) **string { return &c.GemmPlugin }},
	{Flag: "gemm_swiglu_plugin", Values: fp8Only, Default: "disable", plugin: func(c *config) **string { return &c.GemmSwigluPlugin }},
	{Flag: "fp8_rowwise_gemm_plugin", Values: pluginDtypes, Default: "disable", plugin: func(c *config) **string { return &c.FP8RowwiseGemmPlugin }},
	{Flag: "nccl_plugin", Values: pluginDtypes, Default: "auto", plugin: func(c *config) **string { return &c.NCCLPlugin }},
	{Flag: "lora_plugin", Values: pluginDtypes, Default: "disable", plugin: func(c *config) **string { return &c.LoraPlugin }},
	{Flag: "moe_plugin", Values: pluginDtypes, Default: "auto", plugin: func(c *config) **string { return &c.MoEPlugin }},
	{Flag: "mamba_conv1d_plugin", Values: pluginDtypes, Default: "auto", plugin: func(c *config) **string { return &c.MambaConv1dPlugin }},
	{Flag: "low_latency_gemm_plugin", Values: fp8Only, Default: "disable", plugin: func(c *config) **string { return &c.LowLatencyGemmPlugin }},
	{Flag: "low_latency_gemm_swiglu_plugin", Values: fp8Only, Default: "disable", plugin: func(c *config) **string { return &c.LowLatencyGemmSwigluPlugin }},
	{Flag: "gemm_allreduce_plugin", Values: allreduce, Default: "disable", plugin: func(c *config) **string { return &c.GemmAllreducePlugin }},
	{Flag: "dora_plugin", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.DoraPlugin }},
	{Flag: "context_fmha", Values: enableDisable, Default: "enable", toggle: func(c *config) *bool { return &c.ContextFMHA }},
	{Flag: "bert_context_fmha_fp32_acc", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.BertContextFMHAFP32Acc }},
	{Flag: "remove_input_padding", Values: enableDisable, Default: "enable", toggle: func(c *config) *bool { return &c.RemoveInputPadding }},
	{Flag: "norm_quant_fusion", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.NormQuantFusion }},
	{Flag: "reduce_fusion", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.ReduceFusion }},
	{Flag: "user_buffer", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.UserBuffer }},
	{Flag: "use_paged_context_fmha", Values: enableDisable, Default: "enable", toggle: func(c *config) *bool { return &c.UsePagedContextFMHA }},
	{Flag: "use_fp8_context_fmha", Values: enableDisable, Default: "enable", toggle: func(c *config) *bool { return &c.UseFP8ContextFMHA }},
	{Flag: "fuse_fp4_quant", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.FuseFP4Quant }},
	{Flag: "multiple_profiles", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.MultipleProfiles }},
	{Flag: "paged_state", Values: enableDisable, Default: "enable", toggle: func(c *config) *bool { return &c.PagedState }},
	{Flag: "streamingllm", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.StreamingLLM }},
	{Flag: "use_fused_mlp", Values: enableDisable, Default: "enable", toggle: func(c *config) *bool { return &c.UseFusedMLP }},
	{Flag: "pp_reduce_scatter", Values: enableDisable, Default: "disable", toggle: func(c *config) *bool { return &c.PPReduceScatter }},
}

// PluginFlags lists the plugin flags of trtllm-build 1.2 but tokens_per_block and
// paged_kv_cache, which are fields of [Options].
func PluginFlags() []PluginFlag {
	list := slices.Clone(pluginFlags)
	for i, f := range list {
		list[i].Values = slices.Clone(f.Values)
		list[i].Usage = strings.Join(f.Values, ", ")
		if f.Default != "" {
			list[i].Usage += " (default: " + f.Default + ")"
		}
	}
	return list
}

// plugins returns the plugin_config that the flags describe.
func (o *Options) plugins(dtype string) (*engineconfig.Plugin, error) {
	known := map[string]bool{}
	c := &engineconfig.Plugin{Dtype: dtype, TokensPerBlock: o.TokensPerBlock, ManageWeights: o.FastBuild, SmoothQuantPlugins: true}
	for _, f := range pluginFlags {
		known[f.Flag] = true
		value := o.Plugins[f.Flag]
		if value == "" {
			value = f.Default
		} else if err := oneOf(f.Flag, value, f.Values...); err != nil {
			return nil, err
		}
		switch {
		case f.toggle != nil:
			*f.toggle(c) = value == "enable"
		case value != "" && value != "disable":
			*f.plugin(c) = &value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Plugins)) {
		if !known[name] {
			return nil, fmt.Errorf("%w: there is no plugin flag --%s", ErrOption, name)
		}
	}
	if c.StreamingLLM {
		return nil, fmt.Errorf("%w: --streamingllm enable: attention sinks left TensorRT-LLM in 1.2", ErrOption)
	}
	if c.MultipleProfiles && o.OptNumTokens > 0 {
		return nil, fmt.Errorf("%w: --multiple_profiles enable and --opt_num_tokens %d exclude each other", ErrOption, o.OptNumTokens)
	}
	if c.PPReduceScatter {
		return nil, fmt.Errorf("%w: --pp_reduce_scatter enable is for Mixtral only", ErrOption)
	}
	c.PagedState = false // as upstream for models that are transformers
	return c, nil
}
