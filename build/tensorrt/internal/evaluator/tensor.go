package evaluator

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// Tensor is the value of a graph.Tensor, row-major. Numbers of Float, Half, BF16 and FP8
// are in Float, all others in Int (Bool is 0 or 1). It is not changed once made.
type Tensor struct {
	Type  graph.DataType
	Shape []int64
	Float []float32
	Int   []int64

	raw []byte // a constant as it is stored, for plugins that read it as another type
}

// Floats makes a tensor of real numbers, which are not copied.
func Floats(t graph.DataType, values []float32, shape ...int64) *Tensor {
	return &Tensor{Type: t, Shape: shape, Float: values}
}

// Ints makes a tensor of integers, which are not copied.
func Ints(t graph.DataType, values []int64, shape ...int64) *Tensor {
	return &Tensor{Type: t, Shape: shape, Int: values}
}

// Int32s makes a tensor of Int32.
func Int32s(values []int32, shape ...int64) *Tensor {
	wide := make([]int64, len(values))
	for i, v := range values {
		wide[i] = int64(v)
	}
	return Ints(graph.Int32, wide, shape...)
}

// real tells whether the numbers are in Float.
func real(t graph.DataType) bool {
	return t == graph.Float || t == graph.Half || t == graph.BF16 || t == graph.FP8
}

// newTensor makes a tensor of zeros.
func newTensor(t graph.DataType, shape []int64) *Tensor {
	out := &Tensor{Type: t, Shape: slices.Clone(shape)}
	if real(t) {
		out.Float = make([]float32, volume(shape))
	} else {
		out.Int = make([]int64, volume(shape))
	}
	return out
}

// like makes a tensor that has the type of t and elements of it.
func (t *Tensor) like(shape []int64, elements []int) *Tensor {
	out := newTensor(t.Type, shape)
	for i, from := range elements {
		if from < 0 {
			continue // zero
		}
		if real(t.Type) {
			out.Float[i] = t.Float[from]
		} else {
			out.Int[i] = t.Int[from]
		}
	}
	return out
}

// reshaped shares the numbers of t.
func (t *Tensor) reshaped(shape []int64) *Tensor {
	return &Tensor{Type: t.Type, Shape: shape, Float: t.Float, Int: t.Int}
}

// Elements is how many numbers there are.
func (t *Tensor) Elements() int { return len(t.Float) + len(t.Int) }

// String is type and shape.
func (t *Tensor) String() string { return fmt.Sprintf("%s%v", t.Type, t.Shape) }

func volume(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// decode makes a tensor of stored bytes.
func decode(t graph.DataType, shape []int64, raw []byte) (*Tensor, error) {
	out := newTensor(t, shape)
	if want := t.Bytes(volume(shape)); int64(len(raw)) != want {
		return nil, fmt.Errorf("%s%v has %d bytes, want %d", t, shape, len(raw), want)
	}
	out.raw = raw
	switch t {
	case graph.Float:
		floatformat.Decode(out.Float, raw, "F32")
	case graph.Half:
		floatformat.Decode(out.Float, raw, "F16")
	case graph.BF16:
		floatformat.Decode(out.Float, raw, "BF16")
	case graph.FP8:
		for i, code := range raw {
			out.Float[i] = floatformat.FromE4M3(code)
		}
	case graph.Int32:
		for i := range out.Int {
			out.Int[i] = int64(int32(binary.LittleEndian.Uint32(raw[4*i:])))
		}
	case graph.Int64:
		for i := range out.Int {
			out.Int[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	case graph.Int8:
		for i, b := range raw {
			out.Int[i] = int64(int8(b))
		}
	case graph.Bool:
		for i, b := range raw {
			out.Int[i] = int64(b)
		}
	case graph.Int4: // the first of two is the low half
		for i := range out.Int {
			out.Int[i] = int64(int8(raw[i/2]>>(4*(i%2))<<4) >> 4)
		}
	default:
		return nil, fmt.Errorf("unknown type %s", t)
	}
	return out, nil
}

// rounded has the numbers of t, rounded to those that its type has.
func (t *Tensor) rounded() *Tensor {
	format := map[graph.DataType]string{graph.Half: "F16", graph.BF16: "BF16"}[t.Type]
	if format == "" || t.raw != nil {
		return t
	}
	out := newTensor(t.Type, t.Shape)
	raw := make([]byte, 2*len(t.Float))
	floatformat.Encode(raw, t.Float, format)
	floatformat.Decode(out.Float, raw, format)
	return out
}

// places gives, for each element of a tensor of shape out, the element of a tensor of shape
// in that is repeated there: dimensions of 1 are, and those that in lacks in front.
func places(in, out []int64) []int {
	strides := make([]int, len(out))
	stride := 1
	for i := len(in) - 1; i >= 0; i-- {
		if in[i] != 1 {
			strides[i+len(out)-len(in)] = stride
		}
		stride *= int(in[i])
	}
	return strided(out, strides, 0)
}

// strided lists first + Σ index·stride for each element of a shape.
func strided(shape []int64, strides []int, first int) []int {
	list := []int{first}
	for d, n := range shape {
		next := make([]int, 0, len(list)*int(n))
		for _, base := range list {
			for i := range int(n) {
				next = append(next, base+i*strides[d])
			}
		}
		list = next
	}
	return list
}

// rowMajor gives the strides of a shape.
func rowMajor(shape []int64) []int {
	strides := make([]int, len(shape))
	stride := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = stride
		stride *= int(shape[i])
	}
	return strides
}

// broadcast is the shape of what combines tensors of one rank.
func broadcast(a, b []int64) ([]int64, error) {
	if len(a) != len(b) {
		return nil, fmt.Errorf("%v and %v have different ranks", a, b)
	}
	out := make([]int64, len(a))
	for i := range a {
		switch {
		case a[i] == b[i] || b[i] == 1:
			out[i] = a[i]
		case a[i] == 1:
			out[i] = b[i]
		default:
			return nil, fmt.Errorf("%v and %v differ in dimension %d", a, b, i)
		}
	}
	return out, nil
}
