package tensorrt

import (
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// plugin appends a plugin of TensorRT-LLM with the fields of a table.
func plugin[T any](p *packed, creator string, table []pluginField[T], call T, outputs []graph.Tensor, inputs ...*graph.Tensor) []*graph.Tensor {
	op := graph.Plugin{Creator: creator, Version: "1", Namespace: "tensorrt_llm", Outputs: outputs}
	for _, f := range table {
		op.Attributes = append(op.Attributes, f.field(call))
	}
	return p.b.Add(op, inputs...)
}

// collective is what the fields of the collectives depend on.
type collective struct {
	group []int
	peer  int
	dtype graph.DataType
}

func (p *packed) allReduce(group []int, x *graph.Tensor) *graph.Tensor {
	return plugin(p, "AllReduce", p.release.allReduce, collective{group: group, dtype: x.Type}, []graph.Tensor{{Type: x.Type, Shape: x.Shape}}, x)[0]
}

// allGather joins columns. The plugin puts the ranks' rows behind one another, so each
// rank's are cut out again and joined.
func (p *packed) allGather(group []int, x *graph.Tensor) *graph.Tensor {
	rows, n := x.Shape[0], int64(len(group))
	all := graph.Shape{graph.Dynamic(""), x.Shape[1]}
	if rows.Size >= 0 {
		all[0] = graph.Fixed(rows.Size * n)
	}
	gathered := plugin(p, "AllGather", p.release.allGather, collective{group: group, dtype: x.Type}, []graph.Tensor{{Type: x.Type, Shape: all}}, x)[0]
	// [n·rows, columns] is [n, rows, columns]; rank by rank that is rows, columns.
	size := p.b.ShapeOf(x)
	parts := make([]*graph.Tensor, n)
	for i := range parts {
		step := p.b.Scalars(graph.Int64, []int64{2}, float64(i), 0)
		start := p.b.ElementWise(size, graph.Prod, step)
		parts[i] = p.b.Add(graph.Slice{Start: []int64{0, 0}, Size: []int64{0, 0}, Stride: []int64{1, 1}, To: x.Shape}, gathered, start, size)[0]
	}
	return p.b.Concatenate(1, parts...)
}

// send hands x to the next stage. The output is marked so that TensorRT keeps the layer.
func (p *packed) send(to int, x *graph.Tensor) {
	out := plugin(p, "Send", p.release.send, collective{peer: to, dtype: x.Type}, []graph.Tensor{{Type: x.Type, Shape: x.Shape}}, x)[0]
	p.b.Output("hidden_states_output", out)
}

// receive takes what the previous stage sends; the plugin hangs on an input that says the shape.
func (p *packed) receive(from int) *graph.Tensor {
	x := p.inputs["hidden_states_input"]
	return plugin(p, "Recv", p.release.recv, collective{peer: from, dtype: x.Type}, []graph.Tensor{{Type: x.Type, Shape: x.Shape}}, x)[0]
}
