package tensorrt

import (
	"math"
	"strings"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// packed is the form of TensorRT-LLM: the tokens of a step are rows, whatever sequence
// they belong to, and the attention plugin keeps the paged KV cache.
type packed struct {
	*lowering
	o       Options
	release *Release
	inputs  map[string]*graph.Tensor
}

func (p *packed) ids() *graph.Tensor { return p.inputs["input_ids"] }

// multiply is a plugin or TensorRT's own layer.
func (p *packed) multiply(x, w *graph.Tensor) *graph.Tensor {
	if p.plugins.GemmPlugin == nil {
		return p.lowering.multiply(x, w)
	}
	out := []graph.Tensor{{Type: x.Type, Shape: graph.Shape{x.Shape[0], w.Shape[0]}}}
	return plugin(p, "Gemm", p.release.gemm, gemm{dtype: x.Type, alpha: 1}, out, x, w)[0]
}

// positions is how many positions the rotary tables have: what the model was made for,
// or what the engine allows where that is more.
func (p *packed) positions() int { return max(p.net.MaxPositionEmbeddings, p.o.MaxSeqLen) }

// attention is the plugin. Its inputs go by position, those that do not apply left out.
func (p *packed) attention(o *network.Attention, qkv *graph.Tensor) *graph.Tensor {
	in := func(name string) *graph.Tensor { return p.inputs[name] }
	inputs := []*graph.Tensor{
		qkv, in("sequence_length"), in("host_past_key_value_lengths"), in("host_max_attention_window_sizes"), in("host_sink_token_length"),
		in("context_lengths"), in("cache_indirection"), in("host_request_types"),
		in("kv_cache_block_offsets"), in("host_kv_cache_block_offsets"), in("host_kv_cache_pool_pointers"), in("host_kv_cache_pool_mapping"),
	}
	if w := o.CacheScale; w != nil {
		inverse := strings.TrimSuffix(w.Name, checkpoint.KVCacheScale) + ".kv_cache_rcp_scaling_factor"
		inputs = append(inputs, p.give(p.reciprocal(inverse, w), p.managedAll), p.weight(w))
	}
	out := graph.Tensor{Type: qkv.Type, Shape: graph.Shape{qkv.Shape[0], graph.Fixed(int64(o.Out.Width))}}
	if w := p.outputScale(o); w != nil {
		out.Type = graph.FP8
		inputs = append(inputs, p.give(p.reciprocal("transformer."+o.Name+".attention_output_orig_quant_scale", w), p.managedAll))
	}
	if o.Rotary != nil {
		invFreq, cosAndSin := p.rotary(o.Rotary)
		inputs = append(inputs, invFreq, cosAndSin)
	}
	inputs = append(inputs, in("host_context_lengths"), in("host_runtime_perf_knobs"), in("host_context_progress"))
	return plugin(p, "GPTAttention", p.release.gptAttention, attention{p, o}, []graph.Tensor{out}, inputs...)[0]
}

// outputScale is what the linear behind attention multiplies its FP8 input by, where the plugin
// gives that input: with use_fp8_context_fmha, if the linear is FP8. Otherwise it is nil.
func (p *packed) outputScale(o *network.Attention) *network.Weight {
	if !p.plugins.UseFP8ContextFMHA || !p.plugins.ContextFMHA || len(p.readers[o.Out]) != 1 {
		return nil
	}
	if dense, ok := p.readers[o.Out][0].(*network.Linear); ok && dense.Quantisation != nil && dense.Quantisation.Algo == "FP8" {
		return dense.Quantisation.InputScale
	}
	return nil
}

// attention is what the fields of the attention plugin depend on.
type attention struct {
	p *packed
	o *network.Attention
}

// qScaling divides the scores, beside the square root of the head size: 1 where the model
// has nothing else.
func (a attention) qScaling() float32 {
	return float32(1/math.Sqrt(float64(a.o.HeadSize))) / a.o.Scale
}

// quantMode tells how the model is quantised, the cache included.
func (a attention) quantMode() int64 {
	mode := int64(0)
	for _, op := range a.p.net.Ops {
		if o, ok := op.(*network.Linear); ok && o.Quantisation != nil {
			mode |= quantModes[o.Quantisation.Algo]
		}
	}
	if a.o.CacheScale != nil {
		mode |= quantModeFP8Cache
	}
	return mode
}
