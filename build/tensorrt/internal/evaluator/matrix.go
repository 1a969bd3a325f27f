package evaluator

import (
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

func matrixMultiply(op graph.Op, in []*Tensor) (*Tensor, error) {
	o, a, b := op.(graph.MatrixMultiply), in[0], in[1]
	n := len(a.Shape)
	if n < 2 || n != len(b.Shape) {
		return nil, fmt.Errorf("multiplies %v by %v", a.Shape, b.Shape)
	}
	batch, err := broadcast(a.Shape[:n-2], b.Shape[:n-2])
	if err != nil {
		return nil, err
	}
	rows, inner, rowOfA, stepA := matrix(a.Shape, o.Op0)
	columns, innerB, columnOfB, stepB := matrix(b.Shape, transposed(o.Op1))
	if inner != innerB {
		return nil, fmt.Errorf("multiplies %v by %v: %d is not %d", a.Shape, b.Shape, inner, innerB)
	}
	out := newTensor(a.Type, append(slices.Clone(batch), int64(rows), int64(columns)))
	firstA, firstB := places(a.Shape[:n-2], batch), places(b.Shape[:n-2], batch)
	at := 0
	for i := range firstA {
		x, y := a.Float[firstA[i]*rows*inner:], b.Float[firstB[i]*columns*inner:]
		for row := range rows {
			for column := range columns {
				out.Float[at] = float32(dot(x[row*rowOfA:], stepA, y[column*columnOfB:], stepB, inner))
				at++
			}
		}
	}
	return out, nil
}

// matrix gives rows and columns, how far rows are apart, and how far the elements of one.
func matrix(shape []int64, op graph.MatrixOperation) (rows, columns, stride, step int) {
	rows, columns = int(shape[len(shape)-2]), int(shape[len(shape)-1])
	if op == graph.Transpose {
		return columns, rows, 1, columns
	}
	return rows, columns, columns, 1
}

func transposed(op graph.MatrixOperation) graph.MatrixOperation {
	if op == graph.Transpose {
		return graph.None
	}
	return graph.Transpose
}

func dot(x []float32, stepX int, y []float32, stepY, n int) float64 {
	sum := 0.0
	for k := range n {
		sum += float64(x[k*stepX]) * float64(y[k*stepY])
	}
	return sum
}

func reduce(op graph.Op, in []*Tensor) (*Tensor, error) {
	o, x := op.(graph.Reduce), in[0]
	shape := slices.Clone(x.Shape)
	for _, a := range o.Axes {
		shape[a] = 1
	}
	out := newTensor(x.Type, shape)
	to := places(shape, x.Shape)
	if !real(x.Type) {
		return out, reduceInts(o.Operation, out.Int, x.Int, to)
	}
	sums, seen := make([]float64, len(out.Float)), make([]int, len(out.Float))
	for i, at := range to {
		v := float64(x.Float[i])
		switch {
		case o.Operation != graph.ReduceMax:
			sums[at] += v
		case seen[at] == 0 || v > sums[at]:
			sums[at] = v
		}
		seen[at]++
	}
	for i := range out.Float {
		switch o.Operation {
		case graph.ReduceAvg:
			sums[i] /= float64(seen[i])
		case graph.ReduceSum, graph.ReduceMax:
		default:
			return nil, fmt.Errorf("the evaluator has no %s", o.Operation)
		}
		out.Float[i] = float32(sums[i])
	}
	return out, nil
}

func reduceInts(o graph.ReduceOperation, out, x []int64, to []int) error {
	seen := make([]bool, len(out))
	for i, at := range to {
		switch {
		case o == graph.ReduceSum:
			out[at] += x[i]
		case o == graph.ReduceMax && seen[at]:
			out[at] = max(out[at], x[i])
		case o == graph.ReduceMax:
			out[at] = x[i]
		default:
			return fmt.Errorf("the evaluator has no %s of integers", o)
		}
		seen[at] = true
	}
	return nil
}

func normalization(op graph.Op, in []*Tensor) (*Tensor, error) {
	o, x := op.(graph.Normalization), in[0]
	groups := slices.Clone(x.Shape)
	for _, a := range o.Axes {
		groups[a] = 1
	}
	n := volume(groups)
	sums, squares, count := make([]float64, n), make([]float64, n), float64(volume(x.Shape))/float64(n)
	at := places(groups, x.Shape)
	for i, g := range at {
		sums[g] += float64(x.Float[i]) / count
	}
	for i, g := range at {
		d := float64(x.Float[i]) - sums[g]
		squares[g] += d * d / count
	}
	out := newTensor(x.Type, x.Shape)
	scale, bias := places(in[1].Shape, x.Shape), places(in[2].Shape, x.Shape)
	for i, g := range at {
		normal := (float64(x.Float[i]) - sums[g]) / math.Sqrt(squares[g]+float64(o.Epsilon))
		out.Float[i] = float32(normal*float64(in[1].Float[scale[i]]) + float64(in[2].Float[bias[i]]))
	}
	return out, nil
}
