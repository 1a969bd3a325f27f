package tensorrt

import (
	"math"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// packed is the form of TensorRT-LLM: the tokens of a step are rows, whatever sequence
// they belong to, and the attention plugin keeps the paged KV cache.
type packed struct {
	*lowering
	o       Options
	release *Release
	inputs  map[string]*graph.Tensor
	tables  []rotaryTables
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
	if o.CacheScale != nil {
		inputs = append(inputs, p.give(p.reciprocal(o.CacheScale)), p.weight(o.CacheScale))
	}
	if o.Rotary != nil {
		tables := p.rotary(o.Rotary)
		inputs = append(inputs, tables.invFreq, tables.cosSin)
	}
	inputs = append(inputs, in("host_context_lengths"), in("host_runtime_perf_knobs"), in("host_context_progress"))
	out := graph.Tensor{Type: qkv.Type, Shape: graph.Shape{qkv.Shape[0], graph.Fixed(int64(o.Out.Width))}}
	return plugin(p, "GPTAttention", p.release.gptAttention, attention{p, o}, []graph.Tensor{out}, inputs...)[0]
}

// attention is what the fields of the attention plugin depend on.
type attention struct {
	p *packed
	o *network.Attention
}

// qScaling divides the scores, beside the square root of the head size.
func (a attention) qScaling() float32 {
	return float32(1 / (float64(a.o.Scale) * math.Sqrt(float64(a.o.HeadSize))))
}
