package tensorrt

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// norm: the 1 of a LayerNorm1P is in the checkpoint's weight already.
func (l *lowering) norm(o *network.Norm) *graph.Tensor {
	x := l.values[o.In]
	if o.Kind == network.LayerNorm {
		op := graph.Normalization{Axes: []int{len(x.Shape) - 1}, Epsilon: o.Epsilon}
		return l.b.Add(op, x, l.row(o.Weight, x), l.row(o.Bias, x))[0]
	}
	// In this order TensorRT knows the layers for an RMS norm and makes one kernel of them.
	wide := l.b.Cast(x, graph.Float)
	mean := l.b.Reduce(graph.ReduceAvg, l.b.ElementWise(wide, graph.Prod, wide), len(x.Shape)-1)
	root := l.b.Unary(graph.Sqrt, l.b.ElementWise(mean, graph.Sum, l.scalar(float64(o.Epsilon), mean)))
	y := l.b.Cast(l.b.ElementWise(wide, graph.Div, root), x.Type)
	return l.b.ElementWise(y, graph.Prod, l.row(o.Weight, x))
}
