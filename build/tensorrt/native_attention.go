package tensorrt

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// attention over the whole cache; qkv is [B, S, (heads + 2·KV heads)·head size].
func (p *batched) attention(o *network.Attention, qkv *graph.Tensor) *graph.Tensor {
	d := int64(o.HeadSize)
	heads, kvHeads := int64(o.Heads), int64(o.KVHeads)
	q := p.heads(p.b.Columns(qkv, 0, heads*d), heads, d)
	k := p.heads(p.b.Columns(qkv, heads*d, kvHeads*d), kvHeads, d)
	v := p.heads(p.b.Columns(qkv, (heads+kvHeads)*d, kvHeads*d), kvHeads, d)

	// TensorRT's layer has no scale: the queries bring it.
	q = p.turn(o.Rotary, q)
	q = p.b.Cast(p.b.ElementWise(q, graph.Prod, p.scalar(float64(o.Scale), q)), p.dtype)
	k = p.b.Cast(p.turn(o.Rotary, k), p.dtype)

	cache := p.caches[o.Layer]
	keys := p.b.Add(graph.KVCacheUpdate{}, cache[0], k, p.writeIndices)[0]
	values := p.b.Add(graph.KVCacheUpdate{}, cache[1], v, p.writeIndices)[0]
	p.b.Output(fmt.Sprintf("updated_k_cache_%d", o.Layer), keys)
	p.b.Output(fmt.Sprintf("updated_v_cache_%d", o.Layer), values)

	// TensorRT-RTX has fused kernels for 16-bit types, several heads, and heads of 16 to 256.
	op := graph.Attention{Decomposable: p.dtype == graph.Float || o.Heads == 1 || o.HeadSize < 16 || o.HeadSize > 256}
	attended := p.b.Transpose(p.b.Add(op, q, keys, values, p.mask(o.Window))[0], 0, 2, 1, 3)
	return p.b.ReshapeTo(attended, p.b.Concatenate(0, p.sizes, p.numbers(o.Heads*o.HeadSize)), p.batch, p.sequence, graph.Fixed(heads*d))
}

// heads makes [B, n, S, d] of [B, S, n·d].
func (p *batched) heads(x *graph.Tensor, n, d int64) *graph.Tensor {
	sizes := p.b.Concatenate(0, p.sizes, p.numbers(int(n), int(d)))
	return p.b.Transpose(p.b.ReshapeTo(x, sizes, p.batch, p.sequence, graph.Fixed(n), graph.Fixed(d)), 0, 2, 1, 3)
}

// turn applies the rotary embedding; what comes is float32 and not yet rounded.
func (p *batched) turn(r *network.Rotary, x *graph.Tensor) *graph.Tensor {
	wide := p.b.Cast(x, graph.Float)
	if r == nil {
		return wide
	}
	op := graph.RotaryEmbedding{}
	if int64(r.Dim) != x.Shape[3].Size {
		op.Dim = r.Dim
	}
	cos, sin := p.turns(r)
	return p.b.Add(op, wide, cos, sin, p.positionIDs)[0]
}

// turns gives cosines and sines, [positions, dim/2]. They are part of the plan, whether the
// weights are or not: no checkpoint has them.
func (p *batched) turns(r *network.Rotary) (cos, sin *graph.Tensor) {
	positions := p.o.MaxSeqLen
	return p.shareTables(r, positions, func(suffix string) [2]*graph.Tensor {
		shape := []int64{int64(positions), int64(r.Dim / 2)}
		table := func(name string, f func(float64) float64) *graph.Tensor {
			return p.b.Constant(computed(name+suffix, shape, func() []float32 { return turnTable(r, positions, f) }))
		}
		return [2]*graph.Tensor{table("rotary_cos", math.Cos), table("rotary_sin", math.Sin)}
	})
}

// turnTable has f of position·frequency, each product rounded to float32 as transformers does.
func turnTable(r *network.Rotary, positions int, f func(float64) float64) []float32 {
	table := make([]float32, 0, positions*len(r.InvFreq))
	for p := range positions {
		for _, frequency := range r.InvFreq {
			table = append(table, float32(f(float64(float32(p)*frequency))*r.Magnitude))
		}
	}
	return table
}

// mask is BOOL [B, 1, S, T]: a token may attend to the rows of the cache up to its own position,
// the last window of them where there is one. Layers with one window share it.
func (p *batched) mask(window int) *graph.Tensor {
	if m, ok := p.masks[window]; ok {
		return m
	}
	rows := int64(p.o.MaxSeqLen)
	row := p.b.Add(graph.Linspace{Type: graph.Int32, To: graph.Shape{graph.Fixed(1), graph.Fixed(1), graph.Fixed(1), graph.Fixed(rows)}},
		p.numbers(1, 1, 1, p.o.MaxSeqLen), p.b.Scalars(graph.Int32, nil, 0), p.b.Scalars(graph.Int32, []int64{4}, 0, 0, 0, 1))[0]
	sizes := p.b.Concatenate(0, p.size(0), p.numbers(1), p.size(1), p.numbers(1))
	position := p.b.ReshapeTo(p.positionIDs, sizes, p.batch, graph.Fixed(1), p.sequence, graph.Fixed(1))
	m := p.b.Unary(graph.Not, p.b.ElementWise(row, graph.Greater, position))
	if window > 0 && window < p.o.MaxSeqLen {
		before := p.b.ElementWise(position, graph.Sub, p.scalar(float64(window), position))
		m = p.b.ElementWise(m, graph.And, p.b.ElementWise(row, graph.Greater, before))
	}
	p.masks[window] = m
	return m
}
