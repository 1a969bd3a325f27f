package tensorrt

import (
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// selectLastTokens keeps the rows that last_token_ids counts, from 1; all rows where the
// logits of the context are wanted.
func (p *packed) selectLastTokens(x *graph.Tensor) *graph.Tensor {
	last, ok := p.inputs["last_token_ids"]
	if !ok {
		return x
	}
	return p.b.Gather(x, 0, p.b.ElementWise(last, graph.Sub, p.scalar(1, last)))
}

// logits marks the output. The runtime allots a vocabulary that is a multiple of the
// number of ranks, so columns of zeros make it up.
func (p *packed) logits(x *graph.Tensor) {
	m := p.net.Mapping
	ranks := m.TPSize * m.PPSize
	width := int64((p.net.VocabSize + ranks - 1) / ranks * ranks)
	if x.Shape[1].Size < width {
		x = p.b.PadColumns(x, width)
	}
	p.output(x, p.o.LogitsDtype)
}

// output marks logits in the type that was asked for.
func (l *lowering) output(x *graph.Tensor, logitsDtype string) {
	to := graph.Float
	if logitsDtype == "float16" {
		to = graph.Half
	}
	l.b.Output("logits", l.b.Cast(x, to))
}
