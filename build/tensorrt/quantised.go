package tensorrt

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/mixedgemm"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// quantisedLinear is a linear whose weight is not of plain numbers.
func (l *lowering) quantisedLinear(o *network.Linear, x *graph.Tensor) *graph.Tensor {
	if o.Quantisation.Algo == checkpoint.FP8 {
		return l.addBias(l.form.eightBits(module(o), x, o), o.Bias)
	}
	return l.form.integers(o, x)
}

// module is a linear's name in the checkpoint.
func module(o *network.Linear) string { return strings.TrimSuffix(o.Weight.Name, ".weight") }

// FP8 (class FP8Linear of upstream's quantization/layers.py). The scales are float32 and
// rounded to the model's dtype, in which activations are quantised.

// scaled is an activation in E4M3 and its scale, for linears that share it.
func (l *lowering) scaled(name string, x *graph.Tensor, linears []*network.Linear) (quantised, scale *graph.Tensor) {
	var scales []*network.Weight
	for _, o := range linears {
		scales = append(scales, o.Quantisation.InputScale)
	}
	scale = l.b.Cast(l.b.Constant(scaleOf(name+checkpoint.InputScale, scales...)), l.dtype)
	if x.Type == graph.FP8 {
		return x, scale
	}
	return l.b.Add(graph.Quantize{To: graph.FP8, Axis: -1}, x, scale)[0], scale
}

// eightBitWeight is the E4M3 matrix of linears whose outputs lie behind one another, and
// the scales that they have.
func (l *lowering) eightBitWeight(name string, linears []*network.Linear) (w *graph.Tensor, scales []*network.Weight) {
	for _, o := range linears {
		scales = append(scales, o.Quantisation.WeightScale)
	}
	if len(linears) == 1 {
		return l.give(eightBits(linears[0].Weight), l.managed), scales
	}
	return l.give(joined(name+".weight", linears...), l.managed), scales
}

// dequantised is x·wᵀ with TensorRT's own layers, which it fuses into one
// multiplication in E4M3.
func (l *lowering) dequantised(name string, x *graph.Tensor, linears []*network.Linear, multiply func(x, w *graph.Tensor) *graph.Tensor) *graph.Tensor {
	dequantize := func(x, scale *graph.Tensor) *graph.Tensor {
		return l.b.Add(graph.Dequantize{To: l.dtype, Axis: -1}, x, scale)[0]
	}
	quantised, scale := l.scaled(name, x, linears)
	w, scales := l.eightBitWeight(name, linears)
	weightScale := l.b.Cast(l.b.Constant(scaleOf(name+checkpoint.WeightScale, scales...)), l.dtype)
	return multiply(dequantize(quantised, scale), dequantize(w, weightScale))
}

// eightBits is x·wᵀ of linears of FP8, without bias: the GEMM plugin where it is set to fp8.
// name is their module, of which linears has more than one where they are fused.
func (p *packed) eightBits(name string, x *graph.Tensor, linears ...*network.Linear) *graph.Tensor {
	if p.plugins.GemmPlugin == nil || *p.plugins.GemmPlugin != "fp8" {
		return p.dequantised(name, x, linears, p.lowering.multiply)
	}
	quantised, _ := p.scaled(name, x, linears)
	w, scales := p.eightBitWeight(name, linears)
	var alpha [2]float32
	for i, o := range linears {
		for side, scale := range []*network.Weight{scales[i], o.Quantisation.InputScale} {
			alpha[side] = max(alpha[side], p.scale(scale))
		}
	}
	out := []graph.Tensor{{Type: p.dtype, Shape: graph.Shape{x.Shape[0], w.Shape[0]}}}
	return plugin(p, "Gemm", p.release.gemm, gemm{dtype: p.dtype, fp8: true, alpha: alpha[0] * alpha[1]}, out, quantised, w)[0]
}

// scale reads a number that becomes a plugin's field.
func (p *packed) scale(w *network.Weight) float32 {
	if p.o.Scale == nil {
		p.b.Fail(fmt.Errorf("%w: gemm_plugin fp8 without the checkpoint's %s", ErrUnsupported, w.Name))
		return 0
	}
	v, err := p.o.Scale(w.Name)
	if err != nil {
		p.b.Fail(err)
	}
	return v
}

// Weights of 4 and 8 bits (classes WeightOnlyQuantLinear and
// WeightOnlyGroupwiseQuantLinear). The plugins multiply whole tiles: other matrices
// are made up with zeros, and what comes of them is cut off.

func (p *packed) integers(o *network.Linear, x *graph.Tensor) *graph.Tensor {
	w := newIntegers(o, p.dtype)
	if p.dtype == graph.Float {
		p.b.Fail(fmt.Errorf("%w: %s of a model in float32: its plugin computes in float16 and bfloat16; export the checkpoint with one of them as dtype", ErrUnsupported, o.Quantisation.Algo))
		return x
	}
	layout, err := mixedgemm.For(mixedgemm.Weight(w.bits), mixedgemm.Float16, p.capability())
	if err != nil {
		p.b.Fail(fmt.Errorf("%w: %s: %w; export the checkpoint without --qformat, or for 8.9 and later with --qformat fp8", ErrUnsupported, o.Name, err))
		return x
	}
	out, in := up(w.out, mixedgemm.Multiple), up(w.in, mixedgemm.Multiple)
	if w.stored() {
		in = up(w.in, leastCommonMultiple(mixedgemm.Multiple, w.group))
	}
	if in > w.in {
		x = p.b.PadColumns(x, int64(in))
	}
	shape := []graph.Tensor{{Type: p.dtype, Shape: graph.Shape{x.Shape[0], graph.Fixed(int64(out))}}}
	var y *graph.Tensor
	if w.stored() {
		y = p.groupwise(w, x, layout, out, in, shape)
	} else {
		weight := w.permuted(o.Weight.Name, graph.Int8, []int64{int64(in), int64(out * w.bits / 8)}, layout, out, in)
		scales := w.scales(module(o)+".per_channel_scale", "scales", []int64{int64(out)}, w.in, func(n, _ int) int { return n })
		y = plugin(p, "WeightOnlyQuantMatmul", p.release.weightOnly, weightOnly{p.dtype, w.bits}, shape, x, p.give(weight, p.managed), p.b.Constant(scales))[0]
	}
	if out > w.out {
		y = p.b.Columns(y, 0, int64(w.out))
	}
	if w.stored() {
		return y // its plugin adds the bias
	}
	return p.addBias(y, o.Bias)
}

// groupwise gives four numbers of 4 bits to the plugin as one of the model's dtype.
func (p *packed) groupwise(w integers, x *graph.Tensor, layout *mixedgemm.Layout, out, in int, shape []graph.Tensor) *graph.Tensor {
	o, inputs := w.o, []*graph.Tensor{x}
	call := groupwise{dtype: p.dtype, group: w.group}
	if factor := o.Quantisation.InputFactor; factor != nil {
		call.algo += groupwisePreQuant
		inputs = append(inputs, p.b.Constant(madeUp(factor, factor.Name, p.dtype, []int64{1, int64(in)})))
	}
	inputs = append(inputs,
		p.give(w.permuted(o.Weight.Name, p.dtype, []int64{int64(in), int64(out / 4)}, layout, out, in), p.managed),
		p.b.Constant(w.scales(o.Quantisation.WeightScale.Name, "scales, transposed", []int64{int64(in / w.group), int64(out)}, w.group,
			func(n, group int) int { return group*out + n })))
	if o.Bias != nil {
		call.algo += groupwiseBias
		inputs = append(inputs, p.b.Constant(madeUp(o.Bias, o.Bias.Name, p.dtype, []int64{int64(out)})))
	}
	return plugin(p, "WeightOnlyGroupwiseQuantMatmul", p.release.groupwise, call, shape, inputs...)[0]
}

// capability is the compute capability that weights are ordered for.
func (p *packed) capability() int {
	if p.o.ComputeCapability == 0 {
		return 80
	}
	return p.o.ComputeCapability
}

// up is the next multiple.
func up(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

func leastCommonMultiple(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}
