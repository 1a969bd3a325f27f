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

// exchange appends a plugin that moves x, or combines it, between ranks, in the type of
// nccl_plugin. rows are those of what comes.
func (p *packed) exchange(creator string, table []pluginField[collective], call collective, x *graph.Tensor, rows graph.Dim) *graph.Tensor {
	call.dtype, _ = p.pluginDtype(p.plugins.NCCLPlugin)
	out := graph.Tensor{Type: call.dtype, Shape: graph.Shape{rows, x.Shape[1]}}
	y := plugin(p, creator, table, call, []graph.Tensor{out}, p.b.Cast(x, call.dtype))[0]
	return p.b.Cast(y, x.Type)
}

func (p *packed) allReduce(group []int, x *graph.Tensor) *graph.Tensor {
	return p.exchange("AllReduce", p.release.allReduce, collective{group: group}, x, x.Shape[0])
}

// allGather joins columns. The plugin puts the ranks' rows behind one another, so each
// rank's are cut out again and joined.
func (p *packed) allGather(group []int, x *graph.Tensor) *graph.Tensor {
	n := int64(len(group))
	gathered := p.exchange("AllGather", p.release.allGather, collective{group: group}, x, graph.Dynamic(""))
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
	p.b.Output("hidden_states_output", p.exchange("Send", p.release.send, collective{peer: to}, x, x.Shape[0]))
}

// receive takes what the previous stage sends; the plugin hangs on an input that says the shape.
func (p *packed) receive(from int) *graph.Tensor {
	x := p.inputs["hidden_states_input"]
	return p.exchange("Recv", p.release.recv, collective{peer: from}, x, x.Shape[0])
}
