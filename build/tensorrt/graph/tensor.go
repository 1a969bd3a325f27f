package graph

import (
	"fmt"
	"strings"
)

// DataType is a type of elements by TensorRT's name.
type DataType string

// The types that are used here.
const (
	Float DataType = "FLOAT" // 32 bits
	Half  DataType = "HALF"
	BF16  DataType = "BF16"
	Int8  DataType = "INT8"
	Int32 DataType = "INT32"
	Int64 DataType = "INT64"
	Bool  DataType = "BOOL"
	FP8   DataType = "FP8" // E4M3
	Int4  DataType = "INT4"
)

// types has TensorRT's number and the width in bits of each type.
var types = map[DataType]struct {
	number int32
	bits   int64
}{
	Float: {0, 32}, Half: {1, 16}, Int8: {2, 8}, Int32: {3, 32}, Bool: {4, 8}, FP8: {6, 8}, BF16: {7, 16}, Int64: {8, 64}, Int4: {9, 4},
}

// Number is nvinfer1::DataType's number, which plugins take as type_id.
func (t DataType) Number() int32 { return types[t].number }

// Bytes is the size of n elements; two elements of 4 bits share a byte.
func (t DataType) Bytes(n int64) int64 { return (n*types[t].bits + 7) / 8 }

func (t DataType) floating() bool { return t == Float || t == Half || t == BF16 }

func (t DataType) integer() bool { return t == Int32 || t == Int64 }

// Dim is a dimension: Size elements, or with Size -1 as many as the runtime says.
// Dimensions of one Name are equal at run time; "" is known to equal nothing.
type Dim struct {
	Size int64
	Name string
}

// Fixed is a dimension of n elements.
func Fixed(n int64) Dim { return Dim{Size: n} }

// Dynamic is a dimension of the runtime's; inputs that share a name share the size.
func Dynamic(name string) Dim { return Dim{Size: -1, Name: name} }

// String returns size or name.
func (d Dim) String() string {
	switch {
	case d.Size >= 0:
		return fmt.Sprint(d.Size)
	case d.Name != "":
		return d.Name
	}
	return "?"
}

// agrees tells whether both may be equal at run time.
func (d Dim) agrees(o Dim) bool {
	if d.Size >= 0 && o.Size >= 0 {
		return d.Size == o.Size
	}
	return d.Size >= 0 || o.Size >= 0 || d.Name == o.Name || d.Name == "" || o.Name == ""
}

// Shape is a list of dimensions, outermost first.
type Shape []Dim

// Sizes has -1 where the runtime says, as TensorRT's getDimensions.
func (s Shape) Sizes() []int64 {
	sizes := make([]int64, len(s))
	for i, d := range s {
		sizes[i] = d.Size
	}
	return sizes
}

// String is the shape in brackets.
func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// fixedShape makes a shape of known sizes.
func fixedShape(sizes []int64) Shape {
	s := make(Shape, len(sizes))
	for i, n := range sizes {
		s[i] = Fixed(n)
	}
	return s
}

// Tensor is what a layer or an input gives.
type Tensor struct {
	ID    int // place in Network.Tensors
	Name  string
	Type  DataType
	Shape Shape
}

// String returns number, type and shape.
func (t *Tensor) String() string { return fmt.Sprintf("%%%d %s%s", t.ID, t.Type, t.Shape) }
