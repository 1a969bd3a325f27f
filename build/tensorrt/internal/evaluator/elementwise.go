package evaluator

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// cast keeps the value of numbers; a fraction is cut, and what is not 0 is true.
func cast(op graph.Op, in []*Tensor) (*Tensor, error) {
	x, out := in[0], newTensor(op.(graph.Cast).To, in[0].Shape)
	for i := range x.Elements() {
		var v float64
		if real(x.Type) {
			v = float64(x.Float[i])
		} else {
			v = float64(x.Int[i])
		}
		switch {
		case real(out.Type):
			out.Float[i] = float32(v)
		case out.Type == graph.Bool && v != 0:
			out.Int[i] = 1
		case out.Type != graph.Bool:
			out.Int[i] = int64(v)
		}
	}
	return out, nil
}

func elementWise(op graph.Op, in []*Tensor) (*Tensor, error) {
	operation := op.(graph.ElementWise).Operation
	a, b := in[0], in[1]
	shape, err := broadcast(a.Shape, b.Shape)
	if err != nil {
		return nil, err
	}
	t := a.Type
	if operation == graph.Less || operation == graph.Greater || operation == graph.Equal {
		t = graph.Bool
	}
	out := newTensor(t, shape)
	pa, pb := places(a.Shape, shape), places(b.Shape, shape)
	for i := range pa {
		var ok bool
		switch {
		case t == graph.Bool && real(a.Type):
			out.Int[i], ok = compare(operation, a.Float[pa[i]], b.Float[pb[i]])
		case t == graph.Bool:
			out.Int[i], ok = compare(operation, a.Int[pa[i]], b.Int[pb[i]])
		case real(a.Type):
			out.Float[i], ok = combine(operation, a.Float[pa[i]], b.Float[pb[i]])
		default:
			if operation == graph.Div && b.Int[pb[i]] == 0 {
				return nil, fmt.Errorf("element %d is divided by 0", i)
			}
			out.Int[i], ok = combine(operation, a.Int[pa[i]], b.Int[pb[i]])
		}
		if !ok {
			return nil, fmt.Errorf("the evaluator has no %s of %s", operation, a.Type)
		}
	}
	return out, nil
}

func combine[N float32 | int64](operation graph.ElementWiseOperation, a, b N) (N, bool) {
	switch operation {
	case graph.Sum:
		return a + b, true
	case graph.Prod:
		return a * b, true
	case graph.Sub:
		return a - b, true
	case graph.Div:
		return a / b, true
	case graph.Max:
		return max(a, b), true
	case graph.Min:
		return min(a, b), true
	}
	return 0, false
}

// compare gives 1 where it holds. And is of Bool, which is 0 or 1.
func compare[N float32 | int64](operation graph.ElementWiseOperation, a, b N) (int64, bool) {
	var holds bool
	switch operation {
	case graph.Less:
		holds = a < b
	case graph.Greater:
		holds = a > b
	case graph.Equal:
		holds = a == b
	case graph.And:
		holds = a != 0 && b != 0
	default:
		return 0, false
	}
	if holds {
		return 1, true
	}
	return 0, true
}

func unary(op graph.Op, in []*Tensor) (*Tensor, error) {
	operation, x := op.(graph.Unary).Operation, in[0]
	out := newTensor(x.Type, x.Shape)
	for i, v := range x.Int {
		switch operation {
		case graph.Not:
			out.Int[i] = 1 - v
		case graph.Neg:
			out.Int[i] = -v
		default:
			return nil, fmt.Errorf("the evaluator has no %s of %s", operation, x.Type)
		}
	}
	return out, mapped(out.Float, x.Float, string(operation), map[string]func(float64) float64{
		string(graph.Sqrt): math.Sqrt, string(graph.Recip): func(v float64) float64 { return 1 / v },
		string(graph.Exp): math.Exp, string(graph.Neg): func(v float64) float64 { return -v },
	})
}

func activation(op graph.Op, in []*Tensor) (*Tensor, error) {
	x := in[0]
	out := newTensor(x.Type, x.Shape)
	return out, mapped(out.Float, x.Float, string(op.(graph.Activation).Type), map[string]func(float64) float64{
		string(graph.ReLU): func(v float64) float64 { return max(v, 0) }, string(graph.Tanh): math.Tanh,
		string(graph.Sigmoid):  func(v float64) float64 { return 1 / (1 + math.Exp(-v)) },
		string(graph.GeluErf):  func(v float64) float64 { return v / 2 * (1 + math.Erf(v/math.Sqrt2)) },
		string(graph.GeluTanh): func(v float64) float64 { return v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v))) },
	})
}

// mapped applies the function of that name to each number.
func mapped(out, x []float32, name string, functions map[string]func(float64) float64) error {
	f := functions[name]
	if f == nil && len(x) > 0 {
		return fmt.Errorf("the evaluator has no %s", name)
	}
	for i, v := range x {
		out[i] = float32(f(float64(v)))
	}
	return nil
}

// choose is Select.
func choose(_ graph.Op, in []*Tensor) (*Tensor, error) {
	shape, err := broadcast(in[1].Shape, in[2].Shape)
	if err == nil {
		shape, err = broadcast(shape, in[0].Shape)
	}
	if err != nil {
		return nil, err
	}
	condition, yes, no := places(in[0].Shape, shape), places(in[1].Shape, shape), places(in[2].Shape, shape)
	out := newTensor(in[1].Type, shape)
	for i := range condition {
		from, at := in[1], yes[i]
		if in[0].Int[condition[i]] == 0 {
			from, at = in[2], no[i]
		}
		if real(out.Type) {
			out.Float[i] = from.Float[at]
		} else {
			out.Int[i] = from.Int[at]
		}
	}
	return out, nil
}
