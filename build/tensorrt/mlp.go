package tensorrt

import (
	"strings"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// activate is a function of each element.
func (l *lowering) activate(f network.Function, x *graph.Tensor) *graph.Tensor {
	switch f {
	case network.Silu:
		return l.b.ElementWise(x, graph.Prod, l.b.Activation(graph.Sigmoid, x))
	case network.SquaredReLU:
		y := l.b.Activation(graph.ReLU, x)
		return l.b.ElementWise(y, graph.Prod, y)
	case network.ReLU:
		return l.b.Activation(graph.ReLU, x)
	case network.Gelu:
		return l.b.Activation(graph.GeluErf, x)
	}
	return l.b.Activation(graph.GeluTanh, x)
}

// gated is the middle of a gated MLP.
func (l *lowering) gated(o *network.Gated) *graph.Tensor {
	in, gate := l.values[o.In], l.values[o.Gate]
	if fc := l.fused[o.In]; fc != nil {
		in, gate = l.fusedLinears(fc, l.fused[o.Gate])
		l.b.At(o.Name)
	}
	return l.b.ElementWise(l.activate(o.Function, in), graph.Prod, gate)
}

// fuse finds the pairs of linears whose weights become one matrix: what a gated MLP
// multiplies, of one input, of plain numbers or FP8, read by nothing else.
func (l *lowering) fuse() {
	linears := map[*network.Tensor]*network.Linear{}
	for _, op := range l.net.Ops {
		switch o := op.(type) {
		case *network.Linear:
			linears[o.Out] = o
		case *network.Gated:
			fc, gate := linears[o.In], linears[o.Gate]
			if fc == nil || gate == nil || fc.In != gate.In || fc == gate {
				continue
			}
			same := alike(fc.Quantisation, gate.Quantisation) && (fc.Bias == nil) == (gate.Bias == nil)
			if same && len(l.readers[o.In]) == 1 && len(l.readers[o.Gate]) == 1 {
				l.fused[o.In], l.fused[o.Gate] = fc, gate
			}
		}
	}
}

// alike tells of two linears that both are of plain numbers, or of FP8.
func alike(a, b *network.Quantisation) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Algo == checkpoint.FP8 && b.Algo == checkpoint.FP8
}

// fusedLinears makes both outputs by one product. The rows of gate come first, as
// upstream has them.
func (l *lowering) fusedLinears(fc, gate *network.Linear) (in, gated *graph.Tensor) {
	x := l.values[fc.In]
	name := strings.TrimSuffix(fc.Weight.Name, "fc.weight") + "fused_fc"
	l.b.At(strings.TrimPrefix(name, "transformer."))
	var y *graph.Tensor
	if fc.Quantisation == nil {
		y = l.form.multiply(x, l.give(concatenated(name+".weight", x.Type, gate.Weight, fc.Weight), l.managed))
	} else {
		y = l.form.eightBits(name, x, gate, fc)
	}
	if fc.Bias != nil {
		y = l.b.ElementWise(y, graph.Sum, l.rowOf(l.give(concatenated(name+".bias", x.Type, gate.Bias, fc.Bias), l.managedAll), y))
	}
	width := int64(gate.Out.Width)
	return l.b.Columns(y, width, int64(fc.Out.Width)), l.b.Columns(y, 0, width)
}
