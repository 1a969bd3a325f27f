package evaluator

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

func gather(op graph.Op, in []*Tensor) (*Tensor, error) {
	axis, x, indices := op.(graph.Gather).Axis, in[0], in[1]
	n := x.Shape[axis]
	before, after := volume(x.Shape[:axis]), volume(x.Shape[axis+1:])
	var elements []int
	for b := range before {
		for i, index := range indices.Int {
			if index < 0 || index >= n {
				return nil, fmt.Errorf("index %d is %d, outside 0 … %d", i, index, n-1)
			}
			for a := range after {
				elements = append(elements, int((b*n+index)*after+a))
			}
		}
	}
	return x.like(slices.Concat(x.Shape[:axis], indices.Shape, x.Shape[axis+1:]), elements), nil
}

func shuffle(op graph.Op, in []*Tensor) (*Tensor, error) {
	o := op.(graph.Shuffle)
	x := permuted(in[0], o.First)
	sizes := o.Reshape
	if len(in) == 2 {
		sizes = in[1].Int
	}
	if sizes != nil {
		shape, err := resolved(sizes, x.Shape)
		if err != nil {
			return nil, err
		}
		x = x.reshaped(shape)
	}
	return permuted(x, o.Second), nil
}

// resolved puts sizes into a reshape: 0 is the size that was there, -1 what is left.
func resolved(sizes, from []int64) ([]int64, error) {
	shape, wild, rest := slices.Clone(sizes), -1, int64(1)
	for i, n := range sizes {
		switch {
		case n == 0 && i < len(from):
			shape[i] = from[i]
		case n == -1 && wild < 0:
			wild = i
			continue
		case n < 0:
			return nil, fmt.Errorf("reshapes %v to %v", from, sizes)
		}
		rest *= shape[i]
	}
	if wild >= 0 && rest > 0 {
		shape[wild] = volume(from) / rest
	}
	if volume(shape) != volume(from) {
		return nil, fmt.Errorf("reshapes %v to %v: the number of elements differs", from, sizes)
	}
	return shape, nil
}

func permuted(x *Tensor, order []int) *Tensor {
	if order == nil {
		return x
	}
	strides, shape, to := rowMajor(x.Shape), make([]int64, len(order)), make([]int, len(order))
	for i, from := range order {
		shape[i], to[i] = x.Shape[from], strides[from]
	}
	return x.like(shape, strided(shape, to, 0))
}

func slice(op graph.Op, in []*Tensor) (*Tensor, error) {
	o, x := op.(graph.Slice), in[0]
	dynamic := [3][]int64{o.Start, o.Size, o.Stride}
	for i := 1; i < len(in); i++ {
		if in[i] != nil {
			dynamic[i-1] = in[i].Int
		}
	}
	start, size, stride := dynamic[0], dynamic[1], dynamic[2]
	if len(start) != len(x.Shape) || len(size) != len(x.Shape) || len(stride) != len(x.Shape) {
		return nil, fmt.Errorf("slices %v with %v, %v and %v", x.Shape, start, size, stride)
	}
	elements := []int{0}
	for d, n := range x.Shape {
		var next []int
		for _, base := range elements {
			for i := range size[d] {
				at := start[d] + i*stride[d]
				inside := at >= 0 && at < n
				switch {
				case !inside && !o.Fill:
					return nil, fmt.Errorf("slices %v from %v, %v of them, %v apart: outside in dimension %d", x.Shape, start, size, stride, d)
				case !inside || base < 0:
					next = append(next, -1)
				default:
					next = append(next, base*int(n)+int(at))
				}
			}
		}
		elements = next
	}
	return x.like(size, elements), nil
}

func concatenation(op graph.Op, in []*Tensor) (*Tensor, error) {
	axis := op.(graph.Concatenation).Axis
	shape := slices.Clone(in[0].Shape)
	shape[axis] = 0
	for i, x := range in {
		for d, n := range x.Shape {
			if d != axis && n != shape[d] {
				return nil, fmt.Errorf("joins %v and %v, input %d", in[0].Shape, x.Shape, i)
			}
		}
		shape[axis] += x.Shape[axis]
	}
	out := newTensor(in[0].Type, shape)
	before, after, at := int(volume(shape[:axis])), int(volume(shape[axis+1:])), 0
	for b := range before {
		for _, x := range in {
			n := int(x.Shape[axis]) * after
			if real(out.Type) {
				copy(out.Float[at:], x.Float[b*n:(b+1)*n])
			} else {
				copy(out.Int[at:], x.Int[b*n:(b+1)*n])
			}
			at += n
		}
	}
	return out, nil
}

func shapeOf(_ graph.Op, in []*Tensor) (*Tensor, error) {
	return Ints(graph.Int64, slices.Clone(in[0].Shape), int64(len(in[0].Shape))), nil
}

// linspace is start + Σ index·delta.
func linspace(op graph.Op, in []*Tensor) (*Tensor, error) {
	out := newTensor(op.(graph.Linspace).Type, in[0].Int)
	steps := rowMajor(out.Shape)
	for i := range out.Elements() {
		for d, n := range out.Shape {
			index := int64(i/steps[d]) % n
			if real(out.Type) {
				out.Float[i] += float32(index) * in[2].Float[d]
			} else {
				out.Int[i] += index * in[2].Int[d]
			}
		}
		if real(out.Type) {
			out.Float[i] += in[1].Float[0]
		} else {
			out.Int[i] += in[1].Int[0]
		}
	}
	return out, nil
}
