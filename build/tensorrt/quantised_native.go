package tensorrt

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// eightBits is x·wᵀ of linears of FP8, without bias.
func (p *batched) eightBits(name string, x *graph.Tensor, linears ...*network.Linear) *graph.Tensor {
	return p.dequantised(name, x, linears, p.multiply)
}

// integers dequantises weights of 4 and 8 bits before they are multiplied: 8 bits with a
// scale for each output, 4 bits with one for each block of inputs, because TensorRT has no
// other form of them.
func (p *batched) integers(o *network.Linear, x *graph.Tensor) *graph.Tensor {
	w := newIntegers(o, p.dtype)
	if w.bits == 4 && w.in%2 != 0 {
		p.b.Fail(fmt.Errorf("%w: %s has %d inputs, and two numbers of 4 bits share a byte", ErrUnsupported, o.Name, w.in))
		return x
	}
	block, axis, shape := w.in, 0, []int64{int64(w.out)}
	if w.bits == 4 {
		if block = w.group; !w.stored() {
			block = blockOf(w.in)
		}
		axis, shape = -1, []int64{int64(w.out), int64(w.in / block)}
	}
	scales := w.scales(module(o)+".weights_scaling_factor", "scales", shape, block, func(n, i int) int { return n*(w.in/block) + i })
	weight := p.b.Add(graph.Dequantize{To: p.dtype, Axis: axis}, p.give(w.plain(o.Weight.Name), p.managed), p.b.Constant(scales))[0]
	if factor := o.Quantisation.InputFactor; factor != nil {
		x = p.b.ElementWise(x, graph.Prod, p.rowOf(p.b.Constant(madeUp(factor, factor.Name, p.dtype, wide(factor.Shape))), x))
	}
	return p.addBias(p.multiply(x, weight), o.Bias)
}

// blockOf is how many of the inputs of an output share a scale of 4-bit weights whose outputs
// have one each.
func blockOf(in int) int {
	sizes := []int{128, 64, 32, 16}
	if i := slices.IndexFunc(sizes, func(size int) bool { return in%size == 0 }); i >= 0 {
		return sizes[i]
	}
	return in
}
