package graph

import (
	"fmt"
	"slices"
)

// The rules of types and shapes are those of a strongly typed network, as NvInfer.h
// documents them and as the compiler of TensorRT-RTX enforces them.

func one(t DataType, s Shape) []Tensor { return []Tensor{{Type: t, Shape: s}} }

// want checks how many inputs there are; those from optional on may be absent.
func want(in []*Tensor, least, most int) error {
	if len(in) < least || len(in) > most {
		return fmt.Errorf("has %d inputs, want %d to %d", len(in), least, most)
	}
	for i := range least {
		if in[i] == nil {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	return nil
}

// given tells whether there is an optional input.
func given(in []*Tensor, i int) bool { return i < len(in) && in[i] != nil }

func (o Constant) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 0, 0); err != nil {
		return nil, err
	}
	for _, n := range o.Weights.Shape {
		if n < 0 {
			return nil, fmt.Errorf("weights %s have shape %v", o.Weights.Name, o.Weights.Shape)
		}
	}
	return one(o.Weights.Type, fixedShape(o.Weights.Shape)), nil
}

func (o Cast) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, 1); err != nil {
		return nil, err
	}
	if narrow(in[0].Type) || narrow(o.To) {
		return nil, fmt.Errorf("cannot cast %s to %s: quantise or dequantise", in[0].Type, o.To)
	}
	return one(o.To, in[0].Shape), nil
}

func narrow(t DataType) bool { return t == FP8 || t == Int4 }

func (o ElementWise) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 2, 2); err != nil {
		return nil, err
	}
	if in[0].Type != in[1].Type {
		return nil, fmt.Errorf("%s of %s and %s", o.Operation, in[0].Type, in[1].Type)
	}
	shape, err := broadcast(in[0].Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	t := in[0].Type
	switch o.Operation {
	case And:
		if t != Bool {
			return nil, fmt.Errorf("AND of %s", t)
		}
	case Less, Greater, Equal:
		t = Bool
	default:
		if !t.floating() && !t.integer() {
			return nil, fmt.Errorf("%s of %s", o.Operation, t)
		}
	}
	return one(t, shape), nil
}

func broadcast(a, b Shape) (Shape, error) {
	if len(a) != len(b) {
		return nil, fmt.Errorf("%s and %s have different ranks", a, b)
	}
	shape := make(Shape, len(a))
	for i := range a {
		switch {
		case a[i].Size == 1:
			shape[i] = b[i]
		case b[i].Size == 1 || a[i].agrees(b[i]):
			shape[i] = a[i]
			if b[i].Size != 1 && a[i].Size < 0 && (b[i].Size >= 0 || a[i].Name == "") {
				shape[i] = b[i]
			}
		default:
			return nil, fmt.Errorf("%s and %s differ in dimension %d", a, b, i)
		}
	}
	return shape, nil
}

func (o Unary) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, 1); err != nil {
		return nil, err
	}
	if bad := !in[0].Type.floating() && !(o.Operation == Neg && in[0].Type.integer()); o.Operation == Not && in[0].Type != Bool || o.Operation != Not && bad {
		return nil, fmt.Errorf("%s of %s", o.Operation, in[0].Type)
	}
	return one(in[0].Type, in[0].Shape), nil
}

func (o Activation) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, 1); err != nil {
		return nil, err
	}
	if !in[0].Type.floating() {
		return nil, fmt.Errorf("%s of %s", o.Type, in[0].Type)
	}
	return one(in[0].Type, in[0].Shape), nil
}

func (o MatrixMultiply) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 2, 2); err != nil {
		return nil, err
	}
	a, b := in[0].Shape, in[1].Shape
	if in[0].Type != in[1].Type || !in[0].Type.floating() {
		return nil, fmt.Errorf("multiplies %s by %s", in[0].Type, in[1].Type)
	}
	if len(a) < 2 || len(a) != len(b) {
		return nil, fmt.Errorf("multiplies %s by %s: ranks differ or are below 2", a, b)
	}
	n := len(a)
	m, k := matrix(a, o.Op0)
	k1, c := matrix(b, o.Op1)
	if !k.agrees(k1) {
		return nil, fmt.Errorf("multiplies %s by %s: %s is not %s", a, b, k, k1)
	}
	shape, err := broadcast(a[:n-2], b[:n-2])
	if err != nil {
		return nil, err
	}
	return one(in[0].Type, append(shape, m, c)), nil
}

func matrix(s Shape, op MatrixOperation) (rows, columns Dim) {
	rows, columns = s[len(s)-2], s[len(s)-1]
	if op == Transpose {
		rows, columns = columns, rows
	}
	return rows, columns
}

func (o Gather) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 2, 2); err != nil {
		return nil, err
	}
	if !in[1].Type.integer() {
		return nil, fmt.Errorf("indices are %s", in[1].Type)
	}
	if o.Axis < 0 || o.Axis >= len(in[0].Shape) {
		return nil, fmt.Errorf("axis %d of %s", o.Axis, in[0].Shape)
	}
	return one(in[0].Type, slices.Concat(in[0].Shape[:o.Axis], in[1].Shape, in[0].Shape[o.Axis+1:])), nil
}

func (o Shuffle) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, 2); err != nil {
		return nil, err
	}
	shape, err := permuted(in[0].Shape, o.First)
	if err != nil {
		return nil, err
	}
	switch {
	case given(in, 1):
		if err := shapeTensor(in[1], len(o.To)); err != nil {
			return nil, err
		}
		shape = o.To
	case o.Reshape != nil:
		if shape, err = o.reshaped(shape); err != nil {
			return nil, err
		}
	}
	if shape, err = permuted(shape, o.Second); err != nil {
		return nil, err
	}
	return one(in[0].Type, shape), nil
}

// reshaped checks what can be known: the elements, where all sizes are.
func (o Shuffle) reshaped(from Shape) (Shape, error) {
	if len(o.To) != len(o.Reshape) {
		return nil, fmt.Errorf("reshapes %s to %v, called %s", from, o.Reshape, o.To)
	}
	have, rest, wild := int64(1), int64(1), -1
	dynamic := false
	for _, d := range from {
		if d.Size < 0 {
			dynamic = true
		} else {
			have *= d.Size
		}
	}
	for i, n := range o.Reshape {
		switch {
		case n == -1 && wild < 0:
			wild = i
		case n < 0 || n != o.To[i].Size:
			return nil, fmt.Errorf("reshapes %s to %v, called %s", from, o.Reshape, o.To)
		default:
			rest *= n
		}
	}
	switch {
	case dynamic:
		if wild < 0 {
			return nil, fmt.Errorf("reshapes %s, whose size the runtime says, to %v", from, o.Reshape)
		}
	case wild < 0 && have != rest, wild >= 0 && (rest == 0 || have%rest != 0 || o.To[wild].Size != have/rest):
		return nil, fmt.Errorf("reshapes %s to %v, called %s: the number of elements differs", from, o.Reshape, o.To)
	}
	return o.To, nil
}

func permuted(s Shape, order []int) (Shape, error) {
	if order == nil {
		return s, nil
	}
	sorted := slices.Sorted(slices.Values(order))
	for i, n := range sorted {
		if i != n || len(order) != len(s) {
			return nil, fmt.Errorf("transposes %s by %v", s, order)
		}
	}
	to := make(Shape, len(s))
	for i, n := range order {
		to[i] = s[n]
	}
	return to, nil
}

// shapeTensor checks an input that gives one number for each dimension.
func shapeTensor(t *Tensor, rank int) error {
	if t.Type != Int64 || len(t.Shape) != 1 || t.Shape[0].Size != int64(rank) {
		return fmt.Errorf("a shape of %d dimensions cannot be %s%s", rank, t.Type, t.Shape)
	}
	return nil
}

func (o Slice) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, 4); err != nil {
		return nil, err
	}
	rank := len(in[0].Shape)
	dynamic := false
	for i := 1; i < len(in); i++ {
		if in[i] != nil {
			dynamic = true
			if err := shapeTensor(in[i], rank); err != nil {
				return nil, err
			}
		}
	}
	if len(o.Start) != rank || len(o.Size) != rank || len(o.Stride) != rank || len(o.To) != rank {
		return nil, fmt.Errorf("slices %s with %v, %v and %v", in[0].Shape, o.Start, o.Size, o.Stride)
	}
	for i := range rank {
		if dynamic {
			break
		}
		last := o.Start[i] + (o.Size[i]-1)*o.Stride[i]
		if n := in[0].Shape[i].Size; !o.Fill && n >= 0 && (o.Start[i] < 0 || last >= n) || o.Size[i] != o.To[i].Size {
			return nil, fmt.Errorf("slices %s from %v, %v of them: outside", in[0].Shape, o.Start, o.Size)
		}
	}
	return one(in[0].Type, o.To), nil
}

func (o Concatenation) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, len(in)); err != nil {
		return nil, err
	}
	shape := slices.Clone(in[0].Shape)
	if o.Axis < 0 || o.Axis >= len(shape) {
		return nil, fmt.Errorf("axis %d of %s", o.Axis, shape)
	}
	for i, t := range in[1:] {
		if t == nil {
			return nil, fmt.Errorf("input %d is missing", i+1)
		}
		if t.Type != in[0].Type || len(t.Shape) != len(shape) {
			return nil, fmt.Errorf("joins %s%s and %s%s", in[0].Type, in[0].Shape, t.Type, t.Shape)
		}
		for d := range shape {
			switch {
			case d != o.Axis:
				if !shape[d].agrees(t.Shape[d]) {
					return nil, fmt.Errorf("joins %s and %s", in[0].Shape, t.Shape)
				}
			case shape[d].Size < 0 || t.Shape[d].Size < 0:
				shape[d] = Dynamic("")
			default:
				shape[d].Size += t.Shape[d].Size
			}
		}
	}
	return one(in[0].Type, shape), nil
}

func (o Reduce) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, 1); err != nil {
		return nil, err
	}
	if !in[0].Type.floating() && !(in[0].Type.integer() && o.Operation != ReduceAvg) {
		return nil, fmt.Errorf("%s of %s", o.Operation, in[0].Type)
	}
	shape := slices.Clone(in[0].Shape)
	for _, a := range o.Axes {
		if a < 0 || a >= len(shape) {
			return nil, fmt.Errorf("axis %d of %s", a, shape)
		}
		shape[a] = Fixed(1)
	}
	return one(in[0].Type, shape), nil
}

func (o Normalization) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 3, 3); err != nil {
		return nil, err
	}
	for _, t := range in[1:] {
		if t.Type != in[0].Type || len(t.Shape) != len(in[0].Shape) {
			return nil, fmt.Errorf("normalises %s%s with %s%s", in[0].Type, in[0].Shape, t.Type, t.Shape)
		}
		for i, d := range t.Shape {
			if over := slices.Contains(o.Axes, i); over && !d.agrees(in[0].Shape[i]) || !over && d.Size != 1 {
				return nil, fmt.Errorf("normalises %s with %s", in[0].Shape, t.Shape)
			}
		}
	}
	if !in[0].Type.floating() {
		return nil, fmt.Errorf("normalises %s", in[0].Type)
	}
	return one(in[0].Type, in[0].Shape), nil
}

func (Select) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 3, 3); err != nil {
		return nil, err
	}
	if in[0].Type != Bool || in[1].Type != in[2].Type {
		return nil, fmt.Errorf("selects by %s from %s and %s", in[0].Type, in[1].Type, in[2].Type)
	}
	shape, err := broadcast(in[1].Shape, in[2].Shape)
	if err == nil {
		shape, err = broadcast(shape, in[0].Shape)
	}
	if err != nil {
		return nil, err
	}
	return one(in[1].Type, shape), nil
}

func (o Quantize) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 2, 2); err != nil {
		return nil, err
	}
	if o.To != FP8 && o.To != Int8 || !in[0].Type.floating() || in[1].Type != in[0].Type {
		return nil, fmt.Errorf("quantises %s with a scale of %s to %s", in[0].Type, in[1].Type, o.To)
	}
	if err := scaleFits(in[0].Shape, in[1].Shape, o.Axis); err != nil {
		return nil, err
	}
	return one(o.To, in[0].Shape), nil
}

func (o Dequantize) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 2, 2); err != nil {
		return nil, err
	}
	if t := in[0].Type; t != FP8 && t != Int8 && t != Int4 || !o.To.floating() || in[1].Type != o.To {
		return nil, fmt.Errorf("dequantises %s with a scale of %s to %s", t, in[1].Type, o.To)
	}
	if err := scaleFits(in[0].Shape, in[1].Shape, o.Axis); err != nil {
		return nil, err
	}
	return one(o.To, in[0].Shape), nil
}

// scaleFits: one number, one for each place of an axis, or blocks.
func scaleFits(x, scale Shape, axis int) error {
	switch {
	case len(scale) == 0 && axis < 0:
		return nil
	case len(scale) == 1 && axis >= 0 && axis < len(x) && scale[0].agrees(x[axis]):
		return nil
	case len(scale) == len(x) && axis < 0 && len(x) > 1:
		for i := range x {
			if scale[i].Size < 1 || x[i].Size%scale[i].Size != 0 {
				return fmt.Errorf("blocks of scales %s do not divide %s", scale, x)
			}
		}
		return nil
	}
	return fmt.Errorf("scale %s does not fit %s along axis %d", scale, x, axis)
}

func (ShapeOf) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 1, 1); err != nil {
		return nil, err
	}
	return one(Int64, Shape{Fixed(int64(len(in[0].Shape)))}), nil
}

func (o Linspace) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 3, 3); err != nil {
		return nil, err
	}
	if err := shapeTensor(in[0], len(o.To)); err != nil {
		return nil, err
	}
	if in[1].Type != o.Type || in[2].Type != o.Type || len(in[1].Shape) != 0 || len(in[2].Shape) != 1 || in[2].Shape[0].Size != int64(len(o.To)) {
		return nil, fmt.Errorf("counts from %s%s by %s%s in %s", in[1].Type, in[1].Shape, in[2].Type, in[2].Shape, o.To)
	}
	return one(o.Type, o.To), nil
}

func (o Plugin) infer([]*Tensor) ([]Tensor, error) {
	if len(o.Outputs) == 0 {
		return nil, fmt.Errorf("plugin %s gives nothing", o.Creator)
	}
	return slices.Clone(o.Outputs), nil
}
