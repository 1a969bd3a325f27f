package tensorrt

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

func (l *lowering) linear(o *network.Linear) *graph.Tensor {
	if l.fused[o.Out] != nil {
		return nil
	}
	if o.Quantisation != nil {
		return l.quantisedLinear(o, l.values[o.In])
	}
	x := l.values[o.In]
	return l.addBias(l.form.multiply(x, l.matrix(o.Weight)), o.Bias)
}

// matrix is a weight [out, in]. A head that is tied to the embedding is the same weight,
// unless one is an input and the other is not.
func (l *lowering) matrix(w *network.Weight) *graph.Tensor {
	if l.tiedHead && l.managed == l.managedAll && w.Name == headWeight {
		for _, embedding := range l.net.Weights {
			if embedding.Name == embeddingWeight && embedding.Shape[0] == w.Shape[0] && embedding.Shape[1] == w.Shape[1] {
				w = embedding
			}
		}
	}
	return l.give(l.plain(w), l.managed)
}

// Names of the two matrices that may be one.
const (
	embeddingWeight = "transformer.vocab_embedding.weight"
	headWeight      = "lm_head.weight"
)

// multiply is x·wᵀ by TensorRT's own layer. Half precision goes through float32, in
// which TensorRT then accumulates.
func (l *lowering) multiply(x, w *graph.Tensor) *graph.Tensor {
	t := x.Type
	if t == graph.Half {
		x, w = l.b.Cast(x, graph.Float), l.b.Cast(w, graph.Float)
	}
	if n := len(x.Shape); n > len(w.Shape) {
		w = l.b.Reshape(w, append(make1(n-len(w.Shape)), w.Shape...)...)
	}
	return l.b.Cast(l.b.MatrixMultiply(x, graph.None, w, graph.Transpose), t)
}

// make1 is n dimensions of one element.
func make1(n int) graph.Shape {
	s := make(graph.Shape, n)
	for i := range s {
		s[i] = graph.Fixed(1)
	}
	return s
}
