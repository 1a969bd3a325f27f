package graph_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// tiny is a linear with its weight in the plan.
func tiny() *graph.Builder {
	b := graph.NewBuilder("rank0")
	x := b.Input("hidden_states_input", graph.BF16, graph.Dynamic("num_tokens"), graph.Fixed(64))
	w := b.Constant(&graph.Weights{Name: "lm_head.weight", Type: graph.BF16, Shape: []int64{96, 64}, From: []string{"lm_head.weight"}, Recipe: "as stored"})
	b.At("lm_head")
	b.Output("logits", b.Cast(b.MatrixMultiply(x, graph.None, w, graph.Transpose), graph.Float))
	b.Profiles(map[string]graph.Range{"num_tokens": {Min: 1, Opt: 8, Max: 16}})
	return b
}

func TestNetwork(t *testing.T) {
	net, err := tiny().Network()
	require.NoError(t, err)
	require.Equal(t, "[num_tokens, 96]", net.Outputs[0].Tensor.Shape.String())
	require.Equal(t, []int64{-1, 96}, net.Outputs[0].Tensor.Shape.Sizes())
	require.Equal(t, graph.Float, net.Outputs[0].Tensor.Type)
	require.Len(t, net.Weights(), 1)
	require.EqualValues(t, 96*64*2, net.Weights()[0].Bytes())

	var text bytes.Buffer
	require.NoError(t, net.WriteJSON(&text))
	var r struct {
		Layers []struct {
			Name, Kind string
			Inputs     []int
		}
		Profiles []map[string]struct{ Min, Opt, Max []int64 }
	}
	require.NoError(t, json.Unmarshal(text.Bytes(), &r))
	require.Equal(t, "lm_head/MatrixMultiply", r.Layers[1].Name)
	require.Equal(t, []int{0, 1}, r.Layers[1].Inputs)
	require.Equal(t, []int64{8, 64}, r.Profiles[0]["hidden_states_input"].Opt)
}

// TestLiteralsAreWritten: an epsilon or an offset that is wrong shows in the JSON.
func TestLiteralsAreWritten(t *testing.T) {
	b := tiny()
	last := b.Scalars(graph.Int32, []int64{2}, -1, 3)
	require.Same(t, last, b.Scalars(graph.Int32, []int64{2}, -1, 3))
	b.Output("last", last)
	net, err := b.Network()
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, net.WriteJSON(&text))
	var r struct {
		Weights []struct {
			Name   string
			Values []float64
		}
	}
	require.NoError(t, json.Unmarshal(text.Bytes(), &r))
	require.Len(t, r.Weights, 2)
	require.Nil(t, r.Weights[0].Values, "a tensor of the checkpoint")
	require.Equal(t, "literal_0", r.Weights[1].Name)
	require.Equal(t, []float64{-1, 3}, r.Weights[1].Values)

	b = tiny()
	b.Output("scalar", b.Scalars(graph.Float, nil, 0.5))
	net, err = b.Network()
	require.NoError(t, err)
	text.Reset()
	require.NoError(t, net.WriteJSON(&text))
	require.NotContains(t, text.String(), "null", "a scalar has no dimensions, which is a list too")
}

// An optional input that is absent may be nil or left out.
func TestAbsentInputs(t *testing.T) {
	b := graph.NewBuilder("rank0")
	x := b.Input("x", graph.BF16, graph.Fixed(2), graph.Fixed(2), graph.Fixed(4), graph.Fixed(8))
	table := b.Input("table", graph.BF16, graph.Fixed(2), graph.Fixed(4), graph.Fixed(4))
	for _, c := range []struct {
		op     graph.Op
		inputs []*graph.Tensor
	}{
		{graph.Shuffle{First: []int{0, 2, 1, 3}}, []*graph.Tensor{x}},
		{graph.Slice{Start: []int64{0, 0, 0, 0}, Size: []int64{2, 2, 4, 4}, Stride: []int64{1, 1, 1, 1},
			To: graph.Shape{graph.Fixed(2), graph.Fixed(2), graph.Fixed(4), graph.Fixed(4)}}, []*graph.Tensor{x}},
		{graph.RotaryEmbedding{}, []*graph.Tensor{x, table, table}},
		{graph.Attention{}, []*graph.Tensor{x, x, x}},
	} {
		require.Equal(t, b.Add(c.op, c.inputs...)[0].Shape, b.Add(c.op, append(c.inputs, nil)...)[0].Shape)
		require.NoError(t, b.Err())
	}
}

// TestRefused: the first mistake is told by layer and cause.
func TestRefused(t *testing.T) {
	bf16 := func(b *graph.Builder, name string, dims ...graph.Dim) *graph.Tensor {
		return b.Input(name, graph.BF16, dims...)
	}
	n := graph.Dynamic("n")
	for name, c := range map[string]struct {
		make func(b *graph.Builder)
		want string
	}{
		"inner size": {func(b *graph.Builder) {
			b.MatrixMultiply(bf16(b, "x", n, graph.Fixed(64)), graph.None, bf16(b, "y", graph.Fixed(8), graph.Fixed(32)), graph.Transpose)
		}, "layer mlp/MatrixMultiply: multiplies [n, 64] by [8, 32]: 64 is not 32"},
		"types": {func(b *graph.Builder) {
			b.ElementWise(bf16(b, "x", n), graph.Sum, b.Input("y", graph.Float, n))
		}, "layer mlp/ElementWise: SUM of BF16 and FLOAT"},
		"ranks": {func(b *graph.Builder) {
			b.ElementWise(bf16(b, "x", n), graph.Sum, bf16(b, "y", n, n))
		}, "[n] and [n, n] have different ranks"},
		"other dimension": {func(b *graph.Builder) {
			b.ElementWise(bf16(b, "x", n), graph.Sum, bf16(b, "y", graph.Dynamic("m")))
		}, "[n] and [m] differ in dimension 0"},
		"reshape": {func(b *graph.Builder) {
			b.Reshape(bf16(b, "x", graph.Fixed(6)), graph.Fixed(4), graph.Fixed(2))
		}, "the number of elements differs"},
		"two inputs": {func(b *graph.Builder) { bf16(b, "x", n); bf16(b, "x", n) }, "two inputs are called x"},
		"host memory": {func(b *graph.Builder) {
			b.Output("y", b.Cast(b.HostInput("host_x", graph.Int32, n), graph.Int64))
		}, "layer mlp/Cast reads host_x, which is memory of the CPU: only plugins may"},
		"no output": {func(b *graph.Builder) { bf16(b, "x", n) }, "it has no outputs"},
		"computed cache": {func(b *graph.Builder) {
			shape := []graph.Dim{graph.Fixed(1), graph.Fixed(1), graph.Fixed(4), graph.Fixed(8)}
			x := bf16(b, "x", shape...)
			cache := b.ElementWise(x, graph.Sum, x)
			b.Output("y", b.Add(graph.KVCacheUpdate{}, cache, x, b.Input("at", graph.Int32, graph.Fixed(1)))[0])
		}, "layer mlp/KVCacheUpdate: the cache %1 BF16[1, 1, 4, 8] is not an input of the network"},
		"hidden cache": {func(b *graph.Builder) {
			x := bf16(b, "x", graph.Fixed(1), graph.Fixed(1), graph.Fixed(4), graph.Fixed(8))
			updated := b.Add(graph.KVCacheUpdate{}, x, x, b.Input("at", graph.Int32, graph.Fixed(1)))[0]
			b.Output("y", b.Cast(updated, graph.Float))
		}, "layer mlp/KVCacheUpdate: the updated cache %2 BF16[1, 1, 4, 8] is not an output of the network"},
		"no range": {func(b *graph.Builder) {
			b.Output("y", b.Cast(bf16(b, "x", n), graph.Float))
			b.Profiles(map[string]graph.Range{})
		}, "profile 0 has no range for dimension n of input x"},
		"range": {func(b *graph.Builder) {
			b.Output("y", b.Cast(bf16(b, "x", n), graph.Float))
			b.Profiles(map[string]graph.Range{"n": {Min: 4, Opt: 2, Max: 8}})
		}, "dimension n has 4, 2 and 8"},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder("rank0")
			b.At("mlp")
			c.make(b)
			_, err := b.Network()
			require.ErrorIs(t, err, graph.ErrInvalid)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestColumns: the sizes of a slice that the runtime says come from the tensor's shape.
func TestColumns(t *testing.T) {
	b := graph.NewBuilder("rank0")
	x := b.Input("x", graph.Half, graph.Dynamic("n"), graph.Fixed(64))
	y := b.Columns(x, 16, 8)
	require.Equal(t, "[n, 8]", y.Shape.String())
	b.Output("y", y)
	net, err := b.Network()
	require.NoError(t, err)
	slice := net.Layers[len(net.Layers)-1]
	require.Equal(t, "Slice", slice.Op.Kind())
	require.Len(t, slice.Inputs, 3)
	require.Nil(t, slice.Inputs[1])
	require.Equal(t, graph.Int64, slice.Inputs[2].Type)
}
