package evaluator_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/build/tensorrt/internal/mixedgemm"
)

// called runs one plugin over inputs; those that are bytes are constants of the type that says.
func called(t *testing.T, o evaluator.Options, p graph.Plugin, in ...any) (*evaluator.Tensor, error) {
	t.Helper()
	b := graph.NewBuilder("test")
	b.At("test")
	values, tensors := map[string]*evaluator.Tensor{}, []*graph.Tensor{}
	for i, x := range in {
		name := string(rune('a' + i))
		switch v := x.(type) {
		case *evaluator.Tensor:
			values[name] = v
			shape := graph.Shape{}
			for _, n := range v.Shape {
				shape = append(shape, graph.Fixed(n))
			}
			tensors = append(tensors, b.Input(name, v.Type, shape...))
		case *graph.Weights:
			tensors = append(tensors, b.Constant(v))
		}
	}
	p.Version, p.Namespace = "1", "tensorrt_llm"
	b.Output("y", b.Add(p, tensors...)[0])
	net, err := b.Network()
	require.NoError(t, err)
	e, err := evaluator.New(net, o)
	require.NoError(t, err)
	out, err := e.Run(values)
	return out["y"], err
}

// output is what a plugin says it gives.
func output(t graph.DataType, sizes ...int64) []graph.Tensor {
	shape := graph.Shape{}
	for _, n := range sizes {
		shape = append(shape, graph.Fixed(n))
	}
	return []graph.Tensor{{Type: t, Shape: shape}}
}

func gemmPlugin(fp8 int64, alpha float32) graph.Plugin {
	i := graph.Int32Field
	return graph.Plugin{Creator: "Gemm", Outputs: output(graph.Half, 2, 2), Attributes: []graph.Field{
		i("transa", 0), i("transb", 1), i("pad_lda", 0), i("pad_ldb", 0), i("pad_ldc", 0), i("type_id", 1), i("use_fp8", fp8), graph.Float32Field("alpha", alpha)}}
}

func TestGemm(t *testing.T) {
	x, w := []float32{1, 2, 3, 4}, []float32{1, 0, 10, 1}
	for _, c := range []struct {
		fp8 int64
		in  graph.DataType
	}{{0, graph.Half}, {1, graph.FP8}} {
		got, err := called(t, evaluator.Options{}, gemmPlugin(c.fp8, .5), evaluator.Floats(c.in, x, 2, 2), evaluator.Floats(c.in, w, 2, 2))
		require.NoError(t, err)
		same(t, evaluator.Floats(graph.Half, []float32{.5, 6, 1.5, 17}, 2, 2), got)
	}
	half, fp8 := evaluator.Floats(graph.Half, x, 2, 2), evaluator.Floats(graph.FP8, x, 2, 2)
	for want, c := range map[string]struct {
		change func(p *graph.Plugin)
		in     []any
	}{
		"multiplies FP8[2 2] by FP8[2 2], the fields say HALF": {nil, []any{fp8, fp8}},
		"it has 3 inputs, the fields say 2":                    {nil, []any{half, half, half}},
		"field pad_lda is 1; the evaluator has only 0":         {func(p *graph.Plugin) { p.Attributes[2].Ints[0] = 1 }, []any{half, half}},
		"field alpha is missing":                               {func(p *graph.Plugin) { p.Attributes = p.Attributes[:7] }, []any{half, half}},
		"field use_fp8 is INT8 with 1 values, want INT32":      {func(p *graph.Plugin) { p.Attributes[6].Type = graph.FieldInt8 }, []any{half, half}},
		"field beta is none of the plugin's":                   {func(p *graph.Plugin) { p.Attributes = append(p.Attributes, graph.Float32Field("beta", 0)) }, []any{half, half}},
		"type_id 2 is no floating-point type":                  {func(p *graph.Plugin) { p.Attributes[5].Ints[0] = 2 }, []any{half, half}},
	} {
		p := gemmPlugin(0, 1)
		if c.change != nil {
			c.change(&p)
		}
		_, err := called(t, evaluator.Options{}, p, c.in...)
		require.ErrorContains(t, err, want)
	}
}

// The plugins of integer weights read back what package mixedgemm puts in the kernels' order.
func TestWeightOnly(t *testing.T) {
	const rows, in, out = 2, 128, 64
	chance := rand.New(rand.NewPCG(1, 2))
	x, scale := make([]float32, rows*in), make([]float32, out)
	for i := range x {
		x[i] = float32(chance.IntN(9) - 4)
	}
	for i := range scale {
		scale[i] = []float32{.25, .5, 1, 2}[i%4]
	}
	for _, bits := range []mixedgemm.Weight{8, 4} {
		layout, err := mixedgemm.For(bits, mixedgemm.Float16, 80)
		require.NoError(t, err)
		data, codes := make([]byte, layout.Bytes(out, in)), make([][]int8, out)
		want := make([]float32, rows*out)
		for n := range codes {
			codes[n] = make([]int8, in)
			for k := range codes[n] {
				codes[n][k] = int8(chance.IntN(1<<bits) - 1<<(bits-1))
			}
			layout.Put(data, n, codes[n])
			for r := range rows {
				for k, c := range codes[n] {
					want[r*out+n] += x[r*in+k] * float32(c) * scale[n]
				}
			}
		}
		weight := graph.Literal("w", graph.Int8, []int64{in, out * int64(bits) / 8}, data)
		p := graph.Plugin{Creator: "WeightOnlyQuantMatmul", Outputs: output(graph.Half, rows, out),
			Attributes: []graph.Field{graph.Int32Field("type_id", 1), graph.Int32Field("weight_type_id", int64(8/bits))}}
		half := evaluator.Floats(graph.Half, x, rows, in)
		got, err := called(t, evaluator.Options{}, p, half, weight, evaluator.Floats(graph.Half, scale, out))
		require.NoError(t, err)
		same(t, evaluator.Floats(graph.Half, want, rows, out), got)

		p.Attributes[1].Ints[0] = int64(bits) / 4
		_, err = called(t, evaluator.Options{}, p, half, weight, evaluator.Floats(graph.Half, scale, out))
		require.ErrorContains(t, err, "-bit weights INT8")
	}
}

func TestGroupwise(t *testing.T) {
	const in, out, size = 128, 64, 32
	layout, err := mixedgemm.For(mixedgemm.Int4, mixedgemm.Float16, 80)
	require.NoError(t, err)
	chance := rand.New(rand.NewPCG(1, 2))
	x, factor, scale, bias := make([]float32, in), make([]float32, in), make([]float32, in/size*out), make([]float32, out)
	data, want := make([]byte, layout.Bytes(out, in)), make([]float32, out)
	for k := range x {
		x[k], factor[k] = float32(chance.IntN(9)-4), []float32{.5, 1, 2}[k%3]
	}
	for i := range scale {
		scale[i] = []float32{.25, .5, 1, 2, 4}[i%5]
	}
	for n := range out {
		codes := make([]int8, in)
		bias[n] = float32(n)
		want[n] = bias[n]
		for k := range codes {
			codes[k] = int8(chance.IntN(16) - 8)
			want[n] += x[k] * factor[k] * float32(codes[k]) * scale[k/size*out+n]
		}
		layout.Put(data, n, codes)
	}
	half := func(values []float32, shape ...int64) *evaluator.Tensor {
		return evaluator.Floats(graph.Half, values, shape...)
	}
	inputs := []any{half(x, 1, in), half(factor, 1, in), graph.Literal("w", graph.Half, []int64{in, out / 4}, data), half(scale, in/size, out), half(bias, out)}
	plugin := func(algo, size int64) graph.Plugin {
		return graph.Plugin{Creator: "WeightOnlyGroupwiseQuantMatmul", Outputs: output(graph.Half, 1, out), Attributes: []graph.Field{
			graph.Int32Field("type_id", 1), graph.Int32Field("quant_algo", algo), graph.Int32Field("group_size", size), graph.Float32Field("alpha", 1)}}
	}
	got, err := called(t, evaluator.Options{}, plugin(5, size), inputs...)
	require.NoError(t, err)
	same(t, half(want, 1, out), got)
	for text, c := range map[string]struct{ algo, size int64 }{
		"it has 5 inputs, the fields say 4": {4, size}, "quant_algo is 7; the evaluator has no zeros": {7, size}, "of groups of 64": {5, 64},
		"8-bit weights HALF[128 16]": {21, size},
	} {
		_, err = called(t, evaluator.Options{}, plugin(c.algo, c.size), inputs...)
		require.ErrorContains(t, err, text)
	}
}

func groupField(ranks ...int64) []graph.Field {
	return []graph.Field{graph.Int32Field("group", ranks...), graph.Int32Field("type_id", 0)}
}

// sum is AllReduce over a group.
func sum(ranks ...int64) graph.Plugin {
	return graph.Plugin{Creator: "AllReduce", Outputs: output(graph.Float, 2), Attributes: append(groupField(ranks...), graph.Int8Field("strategy", 0),
		graph.Int8Field("fusion_op", 0), graph.Float32Field("eps", 1), graph.Int8Field("affine", 0), graph.Int8Field("bias", 0), graph.Int8Field("scale", 0))}
}

func toRank(creator, name string, rank int64) graph.Plugin {
	return graph.Plugin{Creator: creator, Outputs: output(graph.Float, 2), Attributes: []graph.Field{graph.Int32Field(name, rank), graph.Int32Field("type_id", 0)}}
}

// together runs a plugin on each rank over [rank, 10·rank].
func together(t *testing.T, plugins ...graph.Plugin) ([]*evaluator.Tensor, error) {
	t.Helper()
	w, out := evaluator.NewWorld(), make([]*evaluator.Tensor, len(plugins))
	err := w.Run(len(plugins), func(rank int) error {
		var err error
		out[rank], err = called(t, evaluator.Options{World: w, Rank: rank}, plugins[rank], real([]float32{float32(rank), float32(10 * rank)}, 2))
		return err
	})
	return out, err
}

func TestCollectives(t *testing.T) {
	got, err := together(t, sum(0, 1), sum(0, 1), sum(2, 3), sum(2, 3))
	require.NoError(t, err)
	for rank, x := range []float32{1, 1, 5, 5} {
		same(t, real([]float32{x, 10 * x}, 2), got[rank])
	}
	gather := graph.Plugin{Creator: "AllGather", Outputs: output(graph.Float, 6), Attributes: groupField(0, 1, 2)}
	got, err = together(t, gather, gather, gather)
	require.NoError(t, err)
	same(t, real([]float32{0, 0, 1, 10, 2, 20}, 6), got[1])

	got, err = together(t, toRank("Recv", "src_rank", 1), toRank("Send", "tgt_rank", 0))
	require.NoError(t, err)
	same(t, real([]float32{1, 10}, 2), got[0])
	same(t, real([]float32{1, 10}, 2), got[1])
}

// Mistakes that would hang NCCL are errors.
func TestCollectivesRefuse(t *testing.T) {
	for want, list := range map[string][]graph.Plugin{
		"all ranks wait for others":                      {sum(0, 1), sum(1, 0)},
		"rank 1 is not in its group [0 2]":               {sum(0, 2), sum(0, 2)},
		"rank 0 cannot receive from 0":                   {toRank("Recv", "src_rank", 0)},
		"rank 1 took nothing of what rank 0 sent":        {toRank("Send", "tgt_rank", 1)},
		"type_id says HALF, the input is FLOAT[2]":       {{Creator: "AllGather", Outputs: output(graph.Float, 2), Attributes: []graph.Field{graph.Int32Field("group", 0), graph.Int32Field("type_id", 1)}}},
		"field group is INT64 with 1 values, want INT32": {{Creator: "AllGather", Outputs: output(graph.Float, 2), Attributes: []graph.Field{graph.Int64Field("group", 0), graph.Int32Field("type_id", 0)}}},
		"wait for others":                                {sum(0), toRank("Recv", "src_rank", 0)},
	} {
		_, err := together(t, list...)
		require.ErrorContains(t, err, want)
	}
	_, err := called(t, evaluator.Options{}, sum(0, 1), real([]float32{1, 2}, 2))
	require.ErrorContains(t, err, "there are no other ranks")
}

func TestMemory(t *testing.T) {
	var m evaluator.Memory
	a, b := m.Allocate(4, 2), m.Allocate(2, 1)
	values, err := m.At(a+4, 2, 2)
	require.NoError(t, err)
	values[1] = 7
	values, err = m.At(a, 4, 2)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 0, 0, 7}, slices.Clone(values))
	for want, c := range map[string]struct {
		address int64
		n       int
		bytes   int64
	}{
		"3 numbers of 2 bytes":       {a + 4, 3, 2},
		"1 numbers of 1 bytes":       {a, 1, 1},
		"1 numbers of 2 bytes at":    {a + 1, 1, 2},
		"nothing is at address 0x64": {100, 1, 1},
		"nothing is at":              {b + 2, 1, 1},
	} {
		_, err := m.At(c.address, c.n, c.bytes)
		require.ErrorContains(t, err, want)
	}
}
