package evaluator_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// real and ints are literals of tests: values and shape.
func real(values []float32, shape ...int64) *evaluator.Tensor {
	return evaluator.Floats(graph.Float, values, shape...)
}

func ints(values []int64, shape ...int64) *evaluator.Tensor {
	return evaluator.Ints(graph.Int32, values, shape...)
}

func wide(values ...int64) *evaluator.Tensor {
	return evaluator.Ints(graph.Int64, values, int64(len(values)))
}

func bools(values []int64, shape ...int64) *evaluator.Tensor {
	return evaluator.Ints(graph.Bool, values, shape...)
}

// compute makes a network of one operation and runs it. With dynamic, the builder does
// not know the inputs' sizes, but those that the operation insists on.
func compute(t *testing.T, typed bool, in []*evaluator.Tensor, dynamic bool, op func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor) (*evaluator.Tensor, error) {
	t.Helper()
	b := graph.NewBuilder("test")
	b.At("test")
	var tensors []*graph.Tensor
	values := map[string]*evaluator.Tensor{}
	for i, x := range in {
		name, rank := string(rune('a'+i)), len(x.Shape)
		shape := make(graph.Shape, rank)
		for d, n := range x.Shape {
			table := len(in) == 4 && (i == 1 || i == 2) && d == rank-1
			cache := len(in) == 3 && len(in[2].Shape) == 1 && d == 2
			if shape[d] = graph.Dynamic(""); !dynamic || rank == 4 && d%2 == 1 || table || cache {
				shape[d] = graph.Fixed(n)
			}
		}
		tensors, values[name] = append(tensors, b.Input(name, x.Type, shape...)), x
	}
	b.Output("y", op(b, tensors))
	net, err := b.Network()
	require.NoError(t, err)
	e, err := evaluator.New(net, evaluator.Options{Typed: typed})
	require.NoError(t, err)
	out, err := e.Run(values)
	return out["y"], err
}

// layer adds one operation.
func layer(op graph.Op) func(*graph.Builder, []*graph.Tensor) *graph.Tensor {
	return func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor { return b.Add(op, in...)[0] }
}

// Each layer gives what its definition in NvInfer.h says, worked out by hand.
func TestLayers(t *testing.T) {
	inf := float32(math.Inf(-1))
	x23 := real([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	type tensors = []*evaluator.Tensor
	for name, c := range map[string]struct {
		op   graph.Op
		in   tensors
		want *evaluator.Tensor
	}{
		"sum repeats rows":       {graph.ElementWise{Operation: graph.Sum}, tensors{x23, real([]float32{10, 20, 30}, 1, 3)}, real([]float32{11, 22, 33, 14, 25, 36}, 2, 3)},
		"product repeats both":   {graph.ElementWise{Operation: graph.Prod}, tensors{real([]float32{2, 3}, 2, 1), real([]float32{5, 7}, 1, 2)}, real([]float32{10, 14, 15, 21}, 2, 2)},
		"difference of integers": {graph.ElementWise{Operation: graph.Sub}, tensors{ints([]int64{3, 4}, 2), ints([]int64{1}, 1)}, ints([]int64{2, 3}, 2)},
		"quotient":               {graph.ElementWise{Operation: graph.Div}, tensors{x23, real([]float32{2}, 1, 1)}, real([]float32{.5, 1, 1.5, 2, 2.5, 3}, 2, 3)},
		"larger":                 {graph.ElementWise{Operation: graph.Max}, tensors{x23, real([]float32{3.5}, 1, 1)}, real([]float32{3.5, 3.5, 3.5, 4, 5, 6}, 2, 3)},
		"smaller":                {graph.ElementWise{Operation: graph.Min}, tensors{ints([]int64{7, -9}, 2), ints([]int64{0, 0}, 2)}, ints([]int64{0, -9}, 2)},
		"less":                   {graph.ElementWise{Operation: graph.Less}, tensors{ints([]int64{1, 2, 3}, 3), ints([]int64{2}, 1)}, bools([]int64{1, 0, 0}, 3)},
		"greater":                {graph.ElementWise{Operation: graph.Greater}, tensors{real([]float32{1, 3}, 2), real([]float32{2, 2}, 2)}, bools([]int64{0, 1}, 2)},
		"equal":                  {graph.ElementWise{Operation: graph.Equal}, tensors{ints([]int64{1, 2}, 2), ints([]int64{1, 3}, 2)}, bools([]int64{1, 0}, 2)},
		"and":                    {graph.ElementWise{Operation: graph.And}, tensors{bools([]int64{1, 1, 0}, 3), bools([]int64{1, 0, 1}, 3)}, bools([]int64{1, 0, 0}, 3)},
		"root":                   {graph.Unary{Operation: graph.Sqrt}, tensors{real([]float32{4, 9}, 2)}, real([]float32{2, 3}, 2)},
		"reciprocal":             {graph.Unary{Operation: graph.Recip}, tensors{real([]float32{4}, 1)}, real([]float32{.25}, 1)},
		"exponential":            {graph.Unary{Operation: graph.Exp}, tensors{real([]float32{0, 1}, 2)}, real([]float32{1, math.E}, 2)},
		"negative":               {graph.Unary{Operation: graph.Neg}, tensors{ints([]int64{4, -1}, 2)}, ints([]int64{-4, 1}, 2)},
		"not":                    {graph.Unary{Operation: graph.Not}, tensors{bools([]int64{0, 1}, 2)}, bools([]int64{1, 0}, 2)},
		"relu":                   {graph.Activation{Type: graph.ReLU}, tensors{real([]float32{-1, 2}, 2)}, real([]float32{0, 2}, 2)},
		"sigmoid":                {graph.Activation{Type: graph.Sigmoid}, tensors{real([]float32{0, 2}, 2)}, real([]float32{.5, .880797}, 2)},
		"tanh":                   {graph.Activation{Type: graph.Tanh}, tensors{real([]float32{1}, 1)}, real([]float32{.7615942}, 1)},
		"gelu":                   {graph.Activation{Type: graph.GeluErf}, tensors{real([]float32{1, -2}, 2)}, real([]float32{.8413447, -.04550026}, 2)},
		"gelu by tanh":           {graph.Activation{Type: graph.GeluTanh}, tensors{real([]float32{1, -2}, 2)}, real([]float32{.8411920, -.04540231}, 2)},
		"select":                 {graph.Select{}, tensors{bools([]int64{1, 0}, 2, 1), x23, real([]float32{9}, 1, 1)}, real([]float32{1, 2, 3, 9, 9, 9}, 2, 3)},
		"cast cuts":              {graph.Cast{To: graph.Int32}, tensors{real([]float32{1.9, -1.9}, 2)}, ints([]int64{1, -1}, 2)},
		"cast to real":           {graph.Cast{To: graph.Float}, tensors{ints([]int64{-3}, 1)}, real([]float32{-3}, 1)},
		"cast to truth":          {graph.Cast{To: graph.Bool}, tensors{ints([]int64{0, -3}, 2)}, bools([]int64{0, 1}, 2)},

		"matrices":               {graph.MatrixMultiply{Op0: graph.None, Op1: graph.None}, tensors{x23, real([]float32{1, 0, 0, 1, 2, 2}, 3, 2)}, real([]float32{7, 8, 16, 17}, 2, 2)},
		"second transposed":      {graph.MatrixMultiply{Op0: graph.None, Op1: graph.Transpose}, tensors{x23, x23}, real([]float32{14, 32, 32, 77}, 2, 2)},
		"first transposed":       {graph.MatrixMultiply{Op0: graph.Transpose, Op1: graph.None}, tensors{x23, real([]float32{1, 10}, 2, 1)}, real([]float32{41, 52, 63}, 3, 1)},
		"matrices repeat batch":  {graph.MatrixMultiply{Op0: graph.None, Op1: graph.None}, tensors{real([]float32{1, 2, 3, 4}, 2, 1, 2), real([]float32{1, 1}, 1, 2, 1)}, real([]float32{3, 7}, 2, 1, 1)},
		"mean":                   {graph.Reduce{Operation: graph.ReduceAvg, Axes: []int{1}}, tensors{x23}, real([]float32{2, 5}, 2, 1)},
		"sum of both":            {graph.Reduce{Operation: graph.ReduceSum, Axes: []int{0, 1}}, tensors{x23}, real([]float32{21}, 1, 1)},
		"largest":                {graph.Reduce{Operation: graph.ReduceMax, Axes: []int{0}}, tensors{real([]float32{-3, -1, -2, -5}, 2, 2)}, real([]float32{-2, -1}, 1, 2)},
		"largest of integers":    {graph.Reduce{Operation: graph.ReduceMax, Axes: []int{0}}, tensors{ints([]int64{-3, -7}, 2)}, ints([]int64{-3}, 1)},
		"sum of integers":        {graph.Reduce{Operation: graph.ReduceSum, Axes: []int{0}}, tensors{ints([]int64{-3, -7}, 2)}, ints([]int64{-10}, 1)},
		"normalisation":          {graph.Normalization{Axes: []int{1}, Epsilon: 1}, tensors{real([]float32{-1, 1, 2, 6}, 2, 2), real([]float32{2, 4}, 1, 2), real([]float32{1, 0}, 1, 2)}, real([]float32{-.41421356, 2.8284271, -.78885438, 3.5777088}, 2, 2)},
		"gather rows":            {graph.Gather{Axis: 0}, tensors{x23, ints([]int64{1, 0, 1}, 3)}, real([]float32{4, 5, 6, 1, 2, 3, 4, 5, 6}, 3, 3)},
		"gather columns":         {graph.Gather{Axis: 1}, tensors{x23, ints([]int64{2}, 1)}, real([]float32{3, 6}, 2, 1)},
		"transpose":              {graph.Shuffle{First: []int{1, 0}}, tensors{x23}, real([]float32{1, 4, 2, 5, 3, 6}, 3, 2)},
		"transpose, reshape":     {graph.Shuffle{First: []int{1, 0}, Reshape: []int64{2, 3}, To: graph.Shape{graph.Fixed(2), graph.Fixed(3)}}, tensors{x23}, real([]float32{1, 4, 2, 5, 3, 6}, 2, 3)},
		"reshape, transpose":     {graph.Shuffle{Reshape: []int64{3, 2}, Second: []int{1, 0}, To: graph.Shape{graph.Fixed(3), graph.Fixed(2)}}, tensors{x23}, real([]float32{1, 3, 5, 2, 4, 6}, 2, 3)},
		"slice":                  {graph.Slice{Start: []int64{1, 0}, Size: []int64{1, 2}, Stride: []int64{1, 2}, To: graph.Shape{graph.Fixed(1), graph.Fixed(2)}}, tensors{x23}, real([]float32{4, 6}, 1, 2)},
		"slice with zeros":       {graph.Slice{Start: []int64{0, 1}, Size: []int64{2, 3}, Stride: []int64{1, 1}, Fill: true, To: graph.Shape{graph.Fixed(2), graph.Fixed(3)}}, tensors{x23}, real([]float32{2, 3, 0, 5, 6, 0}, 2, 3)},
		"join columns":           {graph.Concatenation{Axis: 1}, tensors{x23, real([]float32{8, 9}, 2, 1)}, real([]float32{1, 2, 3, 8, 4, 5, 6, 9}, 2, 4)},
		"join rows":              {graph.Concatenation{Axis: 0}, tensors{ints([]int64{1}, 1), ints([]int64{2, 3}, 2)}, ints([]int64{1, 2, 3}, 3)},
		"shape":                  {graph.ShapeOf{}, tensors{x23}, wide(2, 3)},
		"quantise to FP8":        {graph.Quantize{To: graph.FP8, Axis: -1}, tensors{real([]float32{1, 2.2, -9000}, 3), real([]float32{2})}, evaluator.Floats(graph.FP8, []float32{.5, 1.125, -448}, 3)},
		"quantise by column":     {graph.Quantize{To: graph.Int8, Axis: 1}, tensors{real([]float32{1, 5, 3, 900}, 2, 2), real([]float32{2, 2}, 2)}, evaluator.Ints(graph.Int8, []int64{0, 2, 2, 127}, 2, 2)},
		"dequantise by row":      {graph.Dequantize{To: graph.Float, Axis: 0}, tensors{evaluator.Ints(graph.Int8, []int64{1, 2, 3, 4}, 2, 2), real([]float32{2, 10}, 2)}, real([]float32{2, 4, 30, 40}, 2, 2)},
		"dequantise FP8":         {graph.Dequantize{To: graph.Float, Axis: -1}, tensors{evaluator.Floats(graph.FP8, []float32{1.5}, 1), real([]float32{2})}, real([]float32{3}, 1)},
		"dequantise blocks":      {graph.Dequantize{To: graph.Float, Axis: -1}, tensors{evaluator.Ints(graph.Int4, []int64{1, 2, 3, 4}, 1, 4), real([]float32{1, 10}, 1, 2)}, real([]float32{1, 2, 30, 40}, 1, 4)},
		"rotate halves":          {graph.RotaryEmbedding{}, tensors{real([]float32{1, 2, 3, 4}, 1, 1, 1, 4), real([]float32{0, 1}, 1, 1, 2), real([]float32{1, 0}, 1, 1, 2)}, real([]float32{-3, 2, 1, 4}, 1, 1, 1, 4)},
		"rotate neighbours":      {graph.RotaryEmbedding{Interleaved: true}, tensors{real([]float32{1, 2, 3, 4}, 1, 1, 1, 4), real([]float32{0, 1}, 1, 1, 2), real([]float32{1, 0}, 1, 1, 2)}, real([]float32{-2, 1, 3, 4}, 1, 1, 1, 4)},
		"rotate a part by ids":   {graph.RotaryEmbedding{Dim: 2}, tensors{real([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 1, 1, 2, 4), real([]float32{1, 0}, 2, 1), real([]float32{0, 1}, 2, 1), ints([]int64{1, 0}, 1, 2)}, real([]float32{-2, 1, 3, 4, 5, 6, 7, 8}, 1, 1, 2, 4)},
		"cache":                  {graph.KVCacheUpdate{}, tensors{real([]float32{1, 2, 3, 4, 5, 6}, 2, 1, 3, 1), real([]float32{8, 9, 6, 7}, 2, 1, 2, 1), ints([]int64{0, 2}, 2)}, real([]float32{8, 9, 3, 4, 5, 6}, 2, 1, 3, 1)},
		"attention":              {graph.Attention{Decomposable: true}, tensors{real([]float32{0, 1}, 1, 2, 1, 1), real([]float32{0, float32(math.Log(3))}, 1, 1, 2, 1), real([]float32{4, 8}, 1, 1, 2, 1)}, real([]float32{6, 7}, 1, 2, 1, 1)},
		"attention of groups":    {graph.Attention{Decomposable: true}, tensors{real([]float32{1, 1, 1, 1}, 1, 4, 1, 1), real([]float32{1, 1}, 1, 2, 1, 1), real([]float32{4, 8}, 1, 2, 1, 1)}, real([]float32{4, 4, 8, 8}, 1, 4, 1, 1)},
		"attention with a mask":  {graph.Attention{Decomposable: true}, tensors{real([]float32{0, 0}, 1, 1, 2, 1), real([]float32{0, 0}, 1, 1, 2, 1), real([]float32{4, 8}, 1, 1, 2, 1), bools([]int64{1, 0, 1, 1}, 1, 1, 2, 2)}, real([]float32{4, 6}, 1, 1, 2, 1)},
		"attention, mask to add": {graph.Attention{Decomposable: true}, tensors{real([]float32{0}, 1, 1, 1, 1), real([]float32{0, 0}, 1, 1, 2, 1), real([]float32{4, 8}, 1, 1, 2, 1), real([]float32{inf, 0}, 1, 1, 1, 2)}, real([]float32{8}, 1, 1, 1, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := compute(t, false, c.in, false, layer(c.op))
			require.NoError(t, err)
			same(t, c.want, got)
		})
	}
}

func same(t *testing.T, want, got *evaluator.Tensor) {
	t.Helper()
	require.Equal(t, want.Type, got.Type)
	require.Equal(t, want.Shape, append([]int64(nil), got.Shape...))
	require.Equal(t, want.Int, got.Int)
	require.Len(t, got.Float, len(want.Float))
	for i, v := range want.Float {
		require.InDelta(t, v, got.Float[i], 1e-6*max(1, math.Abs(float64(v))), "element %d", i)
	}
}

// What the runtime says only when it runs: sizes of reshapes and slices.
func TestSizesAtRunTime(t *testing.T) {
	x := real([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	n := graph.Dynamic
	for name, c := range map[string]struct {
		op   func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor
		in   []*evaluator.Tensor
		want *evaluator.Tensor
	}{
		"what is left": {func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor {
			return b.Reshape(in[0], n("m"), graph.Fixed(2))
		},
			[]*evaluator.Tensor{x}, real([]float32{1, 2, 3, 4, 5, 6}, 3, 2)},
		"sizes of a tensor": {func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor {
			return b.ReshapeTo(in[0], b.Scalars(graph.Int64, []int64{3}, 1, 3, 2), n("x"), n("y"), n("z"))
		}, []*evaluator.Tensor{x}, real([]float32{1, 2, 3, 4, 5, 6}, 1, 3, 2)},
		"start and size": {func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor {
			op := graph.Slice{Start: []int64{0, 0}, Size: []int64{0, 0}, Stride: []int64{1, 1}, To: graph.Shape{n(""), n("")}}
			return b.Add(op, in[0], b.Scalars(graph.Int64, []int64{2}, 0, 1), b.Scalars(graph.Int64, []int64{2}, 2, 2))[0]
		}, []*evaluator.Tensor{x}, real([]float32{2, 3, 5, 6}, 2, 2)},
		"counting": {func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor {
			return b.Add(graph.Linspace{Type: graph.Int32, To: graph.Shape{n(""), n("")}}, b.ShapeOf(in[0]), b.Scalars(graph.Int32, nil, 5), b.Scalars(graph.Int32, []int64{2}, 10, 1))[0]
		}, []*evaluator.Tensor{x}, ints([]int64{5, 6, 7, 15, 16, 17}, 2, 3)},
		"counting in steps": {func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor {
			return b.Add(graph.Linspace{Type: graph.Float, To: graph.Shape{n(""), n("")}}, b.ShapeOf(in[0]), b.Scalars(graph.Float, nil, 1), b.Scalars(graph.Float, []int64{2}, 0, .5))[0]
		}, []*evaluator.Tensor{x}, real([]float32{1, 1.5, 2, 1, 1.5, 2}, 2, 3)},
		"nothing": {func(b *graph.Builder, in []*graph.Tensor) *graph.Tensor {
			return b.ElementWise(in[0], graph.Sum, b.Scalars(graph.Float, []int64{1, 1}, 1))
		}, []*evaluator.Tensor{real(nil, 0, 3)}, real(nil, 0, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := compute(t, false, c.in, true, c.op)
			require.NoError(t, err)
			require.Len(t, got.Float, len(c.want.Float))
			same(t, &evaluator.Tensor{Type: c.want.Type, Shape: c.want.Shape, Float: got.Float[:len(c.want.Float)], Int: got.Int}, got)
			if len(c.want.Float)+len(c.want.Int) > 0 {
				same(t, c.want, got)
			}
		})
	}
}

// Numbers of 16 bits stay as exact as float32 unless types are asked for.
func TestTyped(t *testing.T) {
	x := evaluator.Floats(graph.BF16, []float32{1.001}, 1)
	got, err := compute(t, false, []*evaluator.Tensor{x, x}, false, layer(graph.ElementWise{Operation: graph.Prod}))
	require.NoError(t, err)
	require.InDelta(t, 1.002001, got.Float[0], 1e-6)
	got, err = compute(t, true, []*evaluator.Tensor{x, x}, false, layer(graph.ElementWise{Operation: graph.Prod}))
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Float[0])
	got, err = compute(t, true, []*evaluator.Tensor{real([]float32{1.0004}, 1)}, false, layer(graph.Cast{To: graph.Half}))
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Float[0])
}

// What the builder cannot see is an error with the layer's name.
func TestLayersRefuse(t *testing.T) {
	x, row := real([]float32{1, 2, 3, 4, 5, 6}, 2, 3), real(make([]float32, 2), 1, 1, 2, 1)
	to := func(sizes ...int64) graph.Shape {
		shape := make(graph.Shape, len(sizes))
		for i, n := range sizes {
			if shape[i] = graph.Fixed(n); n < 0 {
				shape[i] = graph.Dynamic("")
			}
		}
		return shape
	}
	type tensors = []*evaluator.Tensor
	for want, c := range map[string]struct {
		op graph.Op
		in tensors
	}{
		"layer test/ElementWise: [2 3] and [3 3] differ in dimension 0":     {graph.ElementWise{Operation: graph.Sum}, tensors{x, real(make([]float32, 9), 3, 3)}},
		"element 1 is divided by 0":                                         {graph.ElementWise{Operation: graph.Div}, tensors{ints([]int64{1, 1}, 2), ints([]int64{1, 0}, 2)}},
		"the evaluator has no POW of FLOAT":                                 {graph.ElementWise{Operation: "POW"}, tensors{x, x}},
		"the evaluator has no LOG":                                          {graph.Unary{Operation: "LOG"}, tensors{x}},
		"multiplies [2 3] by [2 3]: 3 is not 2":                             {graph.MatrixMultiply{Op0: graph.None, Op1: graph.None}, tensors{x, x}},
		"index 1 is 2, outside 0 … 1":                                       {graph.Gather{Axis: 0}, tensors{x, ints([]int64{0, 2}, 2)}},
		"reshapes [2 3] to [4 -1]: the number of elements differs":          {graph.Shuffle{Reshape: []int64{4, -1}, To: to(4, -1)}, tensors{x}},
		"slices [2 3] from [0 2], [2 2] of them, [1 1] apart: outside":      {graph.Slice{Start: []int64{0, 2}, Size: []int64{2, 2}, Stride: []int64{1, 1}, To: to(2, 2)}, tensors{x}},
		"joins [2 3] and [1 3], input 1":                                    {graph.Concatenation{Axis: 1}, tensors{x, real(make([]float32, 3), 1, 3)}},
		"position 4 is outside the table of 2":                              {graph.RotaryEmbedding{}, tensors{real(make([]float32, 2), 1, 1, 1, 2), real(make([]float32, 2), 2, 1), real(make([]float32, 2), 2, 1), ints([]int64{4}, 1, 1)}},
		"masks scores [1 1 2 2] with [1 1 3 2]":                             {graph.Attention{Decomposable: true}, tensors{row, row, row, bools(make([]int64, 6), 1, 1, 3, 2)}},
		"writes [1 1 2 1] at [2] into [1 1 2 1]":                            {graph.KVCacheUpdate{}, tensors{row, row, ints([]int64{0, 0}, 2)}},
		"scale FLOAT[1] is too small for FLOAT[2 3] along axis 1":           {graph.Quantize{To: graph.FP8, Axis: 1}, tensors{x, real([]float32{1}, 1)}},
		`there is no plugin Lookup version "1" in namespace "tensorrt_llm"`: {graph.Plugin{Creator: "Lookup", Version: "1", Namespace: "tensorrt_llm", Outputs: []graph.Tensor{{Type: graph.Float}}}, tensors{x}},
	} {
		t.Run(want, func(t *testing.T) {
			_, err := compute(t, false, c.in, true, layer(c.op))
			require.ErrorContains(t, err, want)
		})
	}
}
