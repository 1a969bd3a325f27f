package tensorrt

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// embedding gathers rows of the table. Of a table that is divided over the
// vocabulary, ids outside this rank's rows give zeros.
func (l *lowering) embedding(o *network.Embedding) *graph.Tensor {
	ids, table := l.form.ids(), l.weight(o.Weight)
	if l.net.Mapping.TPSize == 1 || o.Weight.Shape[0] >= l.net.VocabSize {
		return l.b.Gather(table, 0, ids)
	}
	local := l.b.ElementWise(ids, graph.Sub, l.scalar(float64(o.FirstID), ids))
	here := l.b.ElementWise(
		l.b.ElementWise(local, graph.Greater, l.scalar(-1, ids)), graph.And,
		l.b.ElementWise(local, graph.Less, l.scalar(float64(o.Weight.Shape[0]), ids)))
	rows := l.b.Gather(table, 0, l.b.Add(graph.Select{}, here, local, l.scalar(0, ids))[0])
	column := append(append(graph.Shape{}, here.Shape...), graph.Fixed(1))
	return l.b.Add(graph.Select{}, l.b.Reshape(here, column...), rows, l.scalar(0, rows))[0]
}
