package build

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// trtllmRules applies trtllm-build's rules (builder.py, build, and plugin.py of TensorRT-LLM 1.2) to the flags, and
// refuses by name what the network of tensorrt.Lower has not got.
func (s *settings) trtllmRules(c *checkpoint.Config, plugins *engineconfig.Plugin, cache string) error {
	if cache != "PAGED" {
		return s.unsupported("kv_cache_type "+strings.ToLower(cache), "TensorRT-LLM's in-flight batching wants it paged")
	}
	if algo := c.Quantization.KVCacheQuantAlgo; algo != "" && algo != checkpoint.KVCacheFP8 {
		return fmt.Errorf("%w by --backend %s: kv_cache_quant_algo %s; export the checkpoint with --kv_cache_dtype fp8, or without", ErrUnsupported, s.Backend, algo)
	}
	if err := s.refuse(s.trtllmRefusals(plugins)); err != nil {
		return err
	}
	if err := s.refusePlugins(trtllmPlugins); err != nil {
		return err
	}
	if err := s.pluginTypes(c, plugins); err != nil {
		return err
	}
	if err := s.trtllmGPU(c); err != nil {
		return err
	}
	s.contextFMHA(c, plugins)
	s.fusions(c, plugins)
	s.noteDeprecated()
	if sizes := s.release.HeadSizes; !slices.Contains(sizes, int(c.HeadSize)) {
		s.note("head_size is %d: the attention of TensorRT-LLM %s has kernels for %s and refuses others when the engine is built",
			c.HeadSize, s.release.Version, strings.Trim(fmt.Sprint(sizes), "[]"))
	}
	if q := &c.Quantization; q.QuantAlgo == checkpoint.W4A16AWQ && !slices.Contains(s.release.GroupSizes, int(q.Group())) {
		s.note("quantization.group_size is %d: TensorRT-LLM %s has kernels for %s of %s and fails with others when the engine is built or run",
			q.Group(), s.release.Version, strings.Trim(fmt.Sprint(s.release.GroupSizes), "[]"), q.QuantAlgo)
	}
	if s.MaxEncoderInputLen != defaultMaxEncoderInputLen {
		s.note("max_encoder_input_len %d is recorded; the model has no encoder", s.MaxEncoderInputLen)
	}
	if s.WeightStreaming && plugins.GemmPlugin != nil {
		s.note("weight_streaming: TensorRT streams no weights of plugins, --gemm_plugin %s leaves it little; use --gemm_plugin disable", *plugins.GemmPlugin)
	}
	return nil
}

// trtllmGPU sets gpu: the one that is asked for, or where an engine is built that of this machine. Weights of 8 and 4
// bits are ordered for one GPU, and in another's order are noise that nothing would notice.
func (s *settings) trtllmGPU(c *checkpoint.Config) (err error) {
	if s.gpu, err = s.oneCapability(); err != nil {
		return err
	}
	if !s.DryRun {
		switch here, name := machineCapability(s.Workers); {
		case s.gpu == 0:
			s.gpu = here
		case here != 0 && here != s.gpu:
			return fmt.Errorf("%w: --compute_capability %s: the GPU of this machine (%s) has %s, and TensorRT builds for the GPU that it runs on: leave the flag out, or build on the other machine",
				ErrOption, capabilityName(s.gpu), name, capabilityName(here))
		}
	}
	if s.gpu != 0 {
		s.ComputeCapabilities = []string{capabilityName(s.gpu)}
		return nil
	}
	switch algo := c.Quantization.QuantAlgo; algo {
	case checkpoint.W8A16, checkpoint.W4A16, checkpoint.W4A16AWQ:
		if !s.DryRun {
			return fmt.Errorf("%w: %s weights are ordered for one kind of GPU: say which by --compute_capability, e.g. 8.9 or 9.0; nvidia-smi --query-gpu=compute_cap --format=csv tells it", ErrOption, algo)
		}
		s.note("%s weights are ordered for the GPU: without --compute_capability as for 8.0", algo)
	}
	return nil
}

func (s *settings) trtllmRefusals(plugins *engineconfig.Plugin) []refusal {
	const managed = "with --fast_build the weights are not in the plan but beside it"
	return []refusal{
		{"enable_debug_output", "the network has its outputs only; --network_only writes what is inside", s.EnableDebugOutput},
		{"remove_input_padding disable", "TensorRT-LLM's in-flight batching wants tokens packed", !plugins.RemoveInputPadding},
		{"gpt_attention_plugin disable", "without it TensorRT-LLM has no in-flight batching", plugins.GPTAttentionPlugin == nil},
		{"strip_plan", managed, s.StripPlan && s.FastBuild},
		{"weight_streaming", managed, s.WeightStreaming && s.FastBuild},
		{"weight_sparsity", managed, s.WeightSparsity && s.FastBuild},
		{"strip_plan", "a plan without its weights has none to stream; use one of strip_plan and weight_streaming", s.StripPlan && s.WeightStreaming},
	}
}

// pluginRefusal is a plugin flag that may have its default or one of the taken values, and why no other.
type pluginRefusal struct {
	taken []string
	why   string
}

const (
	noBERT    = "the model has no attention of BERT's kind"
	noExperts = "the model has no mixture of experts"
	noMamba   = "the model has no Mamba layers"
	noLora    = "LoRA adapters cannot be run yet; merge the adapter into the model before export"
	noGemm    = "the network has not got this plugin; use --gemm_plugin fp8"
)

// trtllmPlugins are the plugin flags that the network has no use for. A value that says
// "as the model needs it", or off, changes nothing and is taken.
var trtllmPlugins = map[string]pluginRefusal{
	"bert_attention_plugin":          {[]string{"auto", "disable"}, noBERT},
	"bert_context_fmha_fp32_acc":     {[]string{"disable"}, noBERT},
	"moe_plugin":                     {[]string{"auto", "disable"}, noExperts},
	"mamba_conv1d_plugin":            {[]string{"auto", "disable"}, noMamba},
	"lora_plugin":                    {[]string{"disable"}, noLora},
	"dora_plugin":                    {[]string{"disable"}, noLora},
	"gemm_swiglu_plugin":             {[]string{"disable"}, noGemm},
	"low_latency_gemm_plugin":        {[]string{"disable"}, noGemm},
	"low_latency_gemm_swiglu_plugin": {[]string{"disable"}, noGemm},
	"fp8_rowwise_gemm_plugin":        {[]string{"disable"}, "the checkpoint's FP8 has one scale for a tensor; use --gemm_plugin fp8"},
	"gemm_allreduce_plugin":          {[]string{"disable"}, "the network sums by NCCL; leave it off"},
	"fuse_fp4_quant":                 {[]string{"disable"}, "there are no NVFP4 checkpoints; leave it off"},
}

// refusePlugins refuses by a table what the user asked for.
func (s *settings) refusePlugins(table map[string]pluginRefusal) error {
	for _, f := range pluginFlags {
		r, ok := table[f.Flag]
		if value := s.Plugins[f.Flag]; ok && value != "" && !slices.Contains(r.taken, value) {
			return s.unsupported(f.Flag+" "+value, r.why)
		}
	}
	return nil
}

// pluginTypes checks that plugins compute in the model's dtype, and sets those that follow from the checkpoint.
func (s *settings) pluginTypes(c *checkpoint.Config, plugins *engineconfig.Plugin) error {
	own := func(flag string, value *string, also ...string) error {
		if value == nil || *value == "auto" || *value == c.Dtype || slices.Contains(also, *value) {
			return nil
		}
		if *value == "int32" { // a value that trtllm-build's flags have, of no model
			return fmt.Errorf("%w: --%s int32: no model computes in it; use auto or %s", ErrOption, flag, c.Dtype)
		}
		return fmt.Errorf("%w: --%s %s on a checkpoint of dtype %s: use auto or %s, or export the checkpoint with --dtype %s", ErrOption, flag, *value, c.Dtype, c.Dtype, *value)
	}
	if err := own("gpt_attention_plugin", plugins.GPTAttentionPlugin); err != nil {
		return err
	}
	switch gemm := plugins.GemmPlugin; {
	case gemm == nil:
	case *gemm == "nvfp4" || *gemm == "int32":
		return s.unsupported("gemm_plugin "+*gemm, "no checkpoint has these types; use auto, or fp8 for FP8 checkpoints")
	case *gemm == "fp8" && c.Quantization.QuantAlgo != checkpoint.FP8:
		return fmt.Errorf("%w: --gemm_plugin fp8 needs a checkpoint with quant_algo FP8, this has %s; export it with --qformat fp8", ErrOption, orNone(c.Quantization.QuantAlgo))
	default:
		if err := own("gemm_plugin", gemm, "fp8"); err != nil {
			return err
		}
	}
	if err := own("nccl_plugin", plugins.NCCLPlugin); err != nil {
		return err
	}
	switch world := c.Mapping.WorldSize; {
	case world == 1:
		plugins.NCCLPlugin = nil
	case plugins.NCCLPlugin == nil:
		return s.unsupported("nccl_plugin disable", fmt.Sprintf("the %d ranks of the checkpoint speak by NCCL", world))
	default:
		plugins.NCCLPlugin = &c.Dtype
	}
	switch c.Quantization.QuantAlgo {
	case checkpoint.W8A16, checkpoint.W4A16:
		plugins.WeightOnlyQuantMatmulPlugin = &c.Dtype
	case checkpoint.W4A16AWQ:
		plugins.WeightOnlyGroupwiseQuantMatmulPlugin = &c.Dtype
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// contextFMHA turns off what the fused attention of prompts cannot do with the
// checkpoint's quantisation. What the user asked for in so many words is noted.
func (s *settings) contextFMHA(c *checkpoint.Config, p *engineconfig.Plugin) {
	q := &c.Quantization
	set := func(flag string, field *bool, to bool, why string) {
		if *field == to {
			return
		}
		*field = to
		if to || s.Plugins[flag] == "enable" || flag == "use_paged_context_fmha" {
			s.note("%s is %s: %s", flag, map[bool]string{true: "enabled", false: "disabled"}[to], why)
		}
	}
	const paged, fp8 = "use_paged_context_fmha", "use_fp8_context_fmha"
	fp8Cache := q.KVCacheQuantAlgo == checkpoint.KVCacheFP8
	switch {
	case !p.ContextFMHA:
		set(fp8, &p.UseFP8ContextFMHA, false, "it needs context_fmha")
		set(paged, &p.UsePagedContextFMHA, false, "it needs context_fmha; without it there is no reuse of KV blocks and no chunked prefill")
	case q.QuantAlgo != checkpoint.FP8:
		set(fp8, &p.UseFP8ContextFMHA, false, "it needs quant_algo FP8, the checkpoint has "+orNone(q.QuantAlgo))
		if fp8Cache {
			set(paged, &p.UsePagedContextFMHA, false, "with a KV cache in FP8 it needs use_fp8_context_fmha, and that quant_algo FP8; there is no reuse of KV blocks and no chunked prefill")
		}
	case s.gpu != 0 && s.gpu < 89:
		set(fp8, &p.UseFP8ContextFMHA, false, fmt.Sprintf("it needs compute capability 8.9 or later, not %d.%d", s.gpu/10, s.gpu%10))
		if fp8Cache {
			set(paged, &p.UsePagedContextFMHA, false, "with a KV cache in FP8 it needs use_fp8_context_fmha, and that compute capability 8.9 or later; there is no reuse of KV blocks and no chunked prefill")
		}
	case p.UsePagedContextFMHA && fp8Cache:
		set(fp8, &p.UseFP8ContextFMHA, true, "use_paged_context_fmha needs it with a KV cache in FP8")
	case p.UsePagedContextFMHA:
		set(fp8, &p.UseFP8ContextFMHA, false, "use_paged_context_fmha allows it only with a KV cache in FP8")
	}
}

// fusions turns off rewrites of the network that upstream, too, leaves out here.
func (s *settings) fusions(c *checkpoint.Config, p *engineconfig.Plugin) {
	for _, f := range []struct {
		flag  string
		field *bool
		why   string
	}{
		{"norm_quant_fusion", &p.NormQuantFusion, "it is for NVFP4 checkpoints"},
		{"reduce_fusion", &p.ReduceFusion, "norms are computed apart from the sums before them"},
		{"user_buffer", &p.UserBuffer, "it needs reduce_fusion"},
	} {
		if *f.field {
			*f.field = false
			s.note("%s is disabled: %s; results are the same", f.flag, f.why)
		}
	}
	if algo := c.Quantization.QuantAlgo; algo != "" && algo != checkpoint.FP8 && p.UseFusedMLP {
		p.UseFusedMLP = false
		if s.Plugins["use_fused_mlp"] == "enable" {
			s.note("use_fused_mlp is disabled: it is for checkpoints in FP8 or not quantised, this has %s; results are the same", algo)
		}
	}
}
