package evaluator_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
)

// adding is x + y, both [n, 2], with n of 1 to 2 in one profile and of 4 in another.
func adding(t *testing.T) *evaluator.Evaluator {
	t.Helper()
	b := graph.NewBuilder("test")
	x, y := b.Input("x", graph.Float, graph.Dynamic("n"), graph.Fixed(2)), b.Input("y", graph.Float, graph.Dynamic("n"), graph.Fixed(2))
	b.Output("z", b.ElementWise(x, graph.Sum, y))
	b.Profiles(map[string]graph.Range{"n": {Min: 1, Opt: 2, Max: 2}}, map[string]graph.Range{"n": {Min: 4, Opt: 4, Max: 4}})
	net, err := b.Network()
	require.NoError(t, err)
	e, err := evaluator.New(net, evaluator.Options{})
	require.NoError(t, err)
	return e
}

// An engine takes inputs as TensorRT's runtime does: all of them, of the declared types, in a
// profile. One that the engine has not is refused as well.
func TestBinding(t *testing.T) {
	type inputs = map[string]*evaluator.Tensor
	rows := func(n int64) *evaluator.Tensor { return real(make([]float32, 2*n), n, 2) }
	for want, in := range map[string]inputs{
		"input y, FLOAT[n, 2], is not bound":                      {"x": rows(1)},
		"the network has no input w":                              {"x": rows(1), "y": rows(1), "w": rows(1)},
		"input y is INT32[1 2] with 2 elements, want FLOAT":       {"x": rows(1), "y": ints(make([]int64, 2), 1, 2)},
		"input y is FLOAT[1 2] with 3 elements":                   {"x": rows(1), "y": real(make([]float32, 3), 1, 2)},
		"input y: the shape is [2], want [n, 2]":                  {"x": rows(1), "y": real(make([]float32, 2), 2)},
		"input y: the shape is [1 3], want [n, 2] with 2 = 2":     {"x": rows(1), "y": real(make([]float32, 3), 1, 3)},
		"input y: the shape is [2 2], want [n, 2] with n = 1":     {"x": rows(1), "y": rows(2)},
		"profile 1: dimension 0 of input x is 3, outside 4 … 4":   {"x": rows(3), "y": rows(3)},
		"profile 1: dimension 0 of input x is 0, outside 4 … 4":   {"x": rows(0), "y": rows(0)},
		"input x: the shape is [1 1 2], want [n, 2]":              {"x": real(make([]float32, 2), 1, 1, 2), "y": rows(1)},
		"input x is FLOAT[2 2] with 2 elements, want FLOAT[n, 2]": {"x": real(make([]float32, 2), 2, 2), "y": rows(1)},
		"input x is HALF[1 2] with 2 elements, want FLOAT[n, 2]":  {"x": evaluator.Floats(graph.Half, make([]float32, 2), 1, 2), "y": rows(1)},
		"input y is BF16[1 2] with 2 elements, want FLOAT[n, 2]":  {"x": rows(1), "y": evaluator.Floats(graph.BF16, make([]float32, 2), 1, 2)},
	} {
		_, err := adding(t).Run(in)
		require.ErrorContains(t, err, want)
	}
	for _, n := range []int64{1, 2, 4} {
		out, err := adding(t).Run(inputs{"x": rows(n), "y": rows(n)})
		require.NoError(t, err)
		require.Equal(t, []int64{n, 2}, out["z"].Shape)
	}
}

// What the network says of a tensor must be so.
func TestInferenceIsChecked(t *testing.T) {
	x := real([]float32{1, 2, 3, 4}, 2, 2)
	run := func(change func(l *graph.Layer)) error {
		b := graph.NewBuilder("test")
		b.At("sum")
		in := b.Input("x", graph.Float, graph.Dynamic("n"), graph.Fixed(2))
		b.Output("y", b.Reduce(graph.ReduceSum, in, 1))
		net, err := b.Network()
		require.NoError(t, err)
		change(&net.Layers[0])
		e, err := evaluator.New(net, evaluator.Options{})
		require.NoError(t, err)
		_, err = e.Run(map[string]*evaluator.Tensor{"x": x})
		return err
	}
	require.NoError(t, run(func(*graph.Layer) {}))
	require.ErrorContains(t, run(func(l *graph.Layer) { l.Outputs[0].Shape[1] = graph.Fixed(2) }), "layer sum/Reduce: output 0: the shape is [2 1], want [n, 2]")
	require.ErrorContains(t, run(func(l *graph.Layer) { l.Outputs[0].Shape[1] = graph.Dynamic("n") }), "want [n, n] with n = 2")
	require.ErrorContains(t, run(func(l *graph.Layer) { l.Outputs[0].Type = graph.Half }), "output 0 is FLOAT, want HALF")
	require.ErrorContains(t, run(func(l *graph.Layer) { l.Inputs[0] = l.Outputs[0] }), "input 0, %1 FLOAT[n, 1], was not written before")
}

// Constants are read as they are stored.
func TestConstants(t *testing.T) {
	for _, c := range []struct {
		dtype graph.DataType
		data  []byte
		want  *evaluator.Tensor
	}{
		{graph.Float, []byte{0, 0, 0xc0, 0x3f}, evaluator.Floats(graph.Float, []float32{1.5}, 1)},
		{graph.Half, []byte{0, 0x3e}, evaluator.Floats(graph.Half, []float32{1.5}, 1)},
		{graph.BF16, []byte{0xc0, 0x3f}, evaluator.Floats(graph.BF16, []float32{1.5}, 1)},
		{graph.FP8, []byte{0x3c}, evaluator.Floats(graph.FP8, []float32{1.5}, 1)},
		{graph.Int32, []byte{0xfe, 0xff, 0xff, 0xff}, evaluator.Ints(graph.Int32, []int64{-2}, 1)},
		{graph.Int64, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, evaluator.Ints(graph.Int64, []int64{-2}, 1)},
		{graph.Int8, []byte{0xfe}, evaluator.Ints(graph.Int8, []int64{-2}, 1)},
		{graph.Bool, []byte{1}, evaluator.Ints(graph.Bool, []int64{1}, 1)},
		{graph.Int4, []byte{0x7e}, evaluator.Ints(graph.Int4, []int64{-2, 7}, 2)},
	} {
		b := graph.NewBuilder("test")
		b.Output("y", b.Constant(graph.Literal("w", c.dtype, c.want.Shape, c.data)))
		net, err := b.Network()
		require.NoError(t, err)
		e, err := evaluator.New(net, evaluator.Options{})
		require.NoError(t, err)
		out, err := e.Run(nil)
		require.NoError(t, err)
		same(t, c.want, out["y"])
	}
	b := graph.NewBuilder("test")
	b.Output("y", b.Constant(graph.Literal("w", graph.Float, []int64{2}, make([]byte, 4))))
	net, err := b.Network()
	require.NoError(t, err)
	_, err = evaluator.New(net, evaluator.Options{})
	require.ErrorContains(t, err, "weights w have 4 bytes")
}
