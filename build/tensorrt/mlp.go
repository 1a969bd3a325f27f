package tensorrt

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
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
	return l.b.ElementWise(l.activate(o.Function, l.values[o.In]), graph.Prod, l.values[o.Gate])
}
