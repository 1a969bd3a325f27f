package compatibility

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// Backends as the tables name them.
const (
	OnCPU  = "cpu"
	TRTLLM = "tensorrt-llm"
	RTX    = "tensorrt-rtx"
)

// Engine is what a network was made from and for.
type Engine struct {
	Backend string
	Family  string
	Weights string // their form, and the type of the activations
	TP, PP  int
	Choices []string // what differs from the defaults
}

// families by architecture.
var families = map[string]string{
	"LlamaForCausalLM": "LLaMA", "MistralForCausalLM": "Mistral", "GPTForCausalLM": "Nemotron", "NemotronForCausalLM": "Nemotron",
}

// CPU describes an engine of the CPU backend.
func CPU(c *checkpoint.Config) Engine { return describe(OnCPU, c) }

// Plugins describes an engine of TensorRT-LLM.
func Plugins(c *checkpoint.Config, o tensorrt.Options) Engine {
	e := describe(TRTLLM, c)
	p := o.Plugins
	gemm := ""
	if p.GemmPlugin != nil {
		gemm = *p.GemmPlugin
	}
	nccl := "auto"
	if p.NCCLPlugin != nil {
		nccl = *p.NCCLPlugin
	}
	fp8 := c.Quantization.QuantAlgo == checkpoint.FP8
	for _, choice := range []struct {
		made bool
		name string
	}{
		{gemm == "fp8", "gemm_plugin fp8"},
		{gemm != "" && gemm != "fp8", "gemm_plugin auto"},
		{c.Gated() && !p.UseFusedMLP, "use_fused_mlp disable"},
		{p.ManageWeights, "manage_weights"},
		{!p.ContextFMHA, "context_fmha disable"},
		{!p.UsePagedContextFMHA, "use_paged_context_fmha disable"},
		{fp8 && p.ContextFMHA && p.UseFP8ContextFMHA, "use_fp8_context_fmha"},
		{p.StreamingLLM, "streamingllm"},
		{p.MultipleProfiles, "multiple_profiles"},
		{p.TokensPerBlock != 32, "tokens_per_block"},
		{e.TP*e.PP > 1 && nccl != "auto" && nccl != c.Dtype, "nccl_plugin of another type"},
		{o.MaxBeamWidth > 1, "max_beam_width"},
		{o.GatherContextLogits, "gather_context_logits"},
		{o.LogitsDtype == "float16", "logits_dtype float16"},
		{o.TiedHead, "head tied to the embedding"},
		{o.Release != nil && o.Release != tensorrt.Releases[0], "release " + release(o)},
		{e.TP > 1 && c.UseParallelEmbedding && c.EmbeddingShardingDim == 0, "embedding divided by vocabulary"},
		{e.TP > 1 && c.UseParallelEmbedding && c.EmbeddingShardingDim == 1, "embedding divided by hidden size"},
	} {
		if choice.made {
			e.Choices = append(e.Choices, choice.name)
		}
	}
	return e
}

// Built describes an engine directory of TensorRT-LLM, which does not tell whether the head is
// tied to the embedding.
func Built(dir string) (Engine, error) {
	config, err := engineconfig.Read(dir)
	if err != nil {
		return Engine{}, err
	}
	if config.Backend() != engineconfig.BackendTensorRTLLM {
		return Engine{}, fmt.Errorf("%s is an engine of %s", dir, config.Backend())
	}
	c, err := checkpoint.ParseConfig(config.PretrainedJSON)
	if err != nil {
		return Engine{}, err
	}
	e := Plugins(c, tensorrt.Options{
		MaxBeamWidth: config.Build.MaxBeamWidth, GatherContextLogits: config.Build.GatherContextLogits,
		LogitsDtype: c.LogitsDtype, Plugins: config.Build.Plugins,
	})
	if e.Family == "" {
		return Engine{}, fmt.Errorf("%s has the unknown architecture %s", dir, c.Architecture)
	}
	return e, nil
}

func release(o tensorrt.Options) string {
	if o.Release == nil {
		return ""
	}
	return o.Release.Version
}

// Native describes an engine without plugins.
func Native(c *checkpoint.Config, o tensorrt.NativeOptions) Engine {
	e := describe(RTX, c)
	for _, choice := range []struct {
		made bool
		name string
	}{
		{o.WeightsInside, "weights inside the plan"},
		{o.GatherContextLogits, "gather_context_logits"},
		{o.LogitsDtype == "float16", "logits_dtype float16"},
		{o.TiedHead, "head tied to the embedding"},
	} {
		if choice.made {
			e.Choices = append(e.Choices, choice.name)
		}
	}
	return e
}

// describe has what both backends have.
func describe(backend string, c *checkpoint.Config) Engine {
	e := Engine{Backend: backend, Family: families[c.Architecture], Weights: weights(c), TP: c.Mapping.TPSize, PP: c.Mapping.PPSize}
	scaling := ""
	if c.RotaryScaling != nil {
		scaling = c.RotaryScaling.Type
	}
	windows := c.RuntimeDefaults != nil && len(c.RuntimeDefaults.MaxAttentionWindow) > 0
	for _, choice := range []struct {
		made bool
		name string
	}{
		{scaling != "", "rotary_scaling " + scaling},
		{c.RotaryDim() < c.HeadSize, "rotary embedding of a part of the head"},
		{windows, "attention window"},
		{c.AttnBias || c.MLPBias, "biases"},
	} {
		if choice.made {
			e.Choices = append(e.Choices, choice.name)
		}
	}
	return e
}

// weights names the form of the linears' weights, the cache where it is quantised, and the
// type of the activations.
func weights(c *checkpoint.Config) string {
	var parts []string
	if algo := c.Quantization.QuantAlgo; algo != "" {
		parts = append(parts, algo)
	}
	if algo := c.Quantization.KVCacheQuantAlgo; algo != "" {
		parts = append(parts, algo+" KV cache")
	}
	return strings.Join(append(parts, c.Dtype), ", ")
}

// lines are the facts that the engine is an example of.
func (e Engine) lines() []string {
	list := []string{strings.Join([]string{e.Backend, "cell", e.Family, e.Weights, Parallel(e.TP, e.PP)}, separator)}
	for _, choice := range e.Choices {
		list = append(list, strings.Join([]string{e.Backend, "choice", choice}, separator))
	}
	return list
}

const separator = "; "

// Parallel names a division among ranks.
func Parallel(tp, pp int) string { return fmt.Sprintf("%d × %d", tp, pp) }
