package graph

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/internal/floatformat"
)

// Builder appends layers to a network. It goes on after a mistake, with tensors that
// fit anywhere, so that callers need no check after each layer: [Builder.Network] returns the
// first. It is used by one goroutine.
type Builder struct {
	net  Network
	at   string
	used map[string]int
	err  error

	constants map[*Weights]*Tensor
	literals  map[string]*Tensor
}

// NewBuilder starts an empty network.
func NewBuilder(name string) *Builder {
	return &Builder{net: Network{Name: name}, used: map[string]int{}, constants: map[*Weights]*Tensor{}, literals: map[string]*Tensor{}}
}

// Network returns the network, validated, or the first mistake. The builder must not be used after it.
func (b *Builder) Network() (*Network, error) {
	if b.err != nil {
		return nil, b.err
	}
	if err := b.net.Validate(); err != nil {
		return nil, err
	}
	return &b.net, nil
}

// Err returns the first mistake so far, nil for none.
func (b *Builder) Err() error { return b.err }

// At names the layers that follow: name, a slash and the kind.
func (b *Builder) At(name string) { b.at = name }

// Fail records a mistake of the caller's, unless there is one already.
func (b *Builder) Fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Profiles sets the ranges of the named dimensions, a map for each profile.
func (b *Builder) Profiles(profiles ...map[string]Range) { b.net.Profiles = profiles }

func (b *Builder) tensor(t Tensor) *Tensor {
	t.ID = len(b.net.Tensors)
	b.net.Tensors = append(b.net.Tensors, &t)
	return &t
}

// Input adds an input.
func (b *Builder) Input(name string, t DataType, shape ...Dim) *Tensor {
	tensor := b.tensor(Tensor{Name: name, Type: t, Shape: shape})
	b.net.Inputs = append(b.net.Inputs, Input{Tensor: tensor})
	return tensor
}

// HostInput adds an input whose memory is the CPU's: only plugins may read it.
func (b *Builder) HostInput(name string, t DataType, shape ...Dim) *Tensor {
	tensor := b.Input(name, t, shape...)
	b.net.Inputs[len(b.net.Inputs)-1].Host = true
	return tensor
}

// WeightInput adds an input that stands for a weight, once.
func (b *Builder) WeightInput(w *Weights) *Tensor {
	if t, ok := b.constants[w]; ok {
		return t
	}
	t := b.Input(w.Name, w.Type, fixedShape(w.Shape)...)
	b.net.Inputs[len(b.net.Inputs)-1].Weight = w
	b.constants[w] = t
	return t
}

// Output marks a tensor, that a layer wrote, as an output.
func (b *Builder) Output(name string, t *Tensor) {
	if t.Name != "" {
		b.Fail(fmt.Errorf("%w: %s cannot be the output %s too", ErrInvalid, t.Name, name))
	}
	t.Name = name
	b.net.Outputs = append(b.net.Outputs, Output{name, t})
}

// Add appends a layer and returns its outputs.
func (b *Builder) Add(op Op, inputs ...*Tensor) []*Tensor {
	name := b.at + "/" + op.Kind()
	if p, ok := op.(Plugin); ok {
		name = b.at + "/" + p.Creator
	}
	b.used[name]++
	if n := b.used[name]; n > 1 {
		name = fmt.Sprintf("%s_%d", name, n)
	}
	outputs, err := op.infer(inputs)
	if err != nil {
		b.Fail(fmt.Errorf("%w: layer %s: %w", ErrInvalid, name, err))
		outputs = make([]Tensor, 1)
	}
	layer := Layer{Name: name, Op: op, Inputs: slices.Clone(inputs)}
	for _, t := range outputs {
		layer.Outputs = append(layer.Outputs, b.tensor(t))
	}
	b.net.Layers = append(b.net.Layers, layer)
	return layer.Outputs
}

func (b *Builder) add(op Op, inputs ...*Tensor) *Tensor { return b.Add(op, inputs...)[0] }

// Constant appends the values of weights, once.
func (b *Builder) Constant(w *Weights) *Tensor {
	if t, ok := b.constants[w]; ok {
		return t
	}
	t := b.add(Constant{w})
	b.constants[w] = t
	return t
}

// Scalars appends a constant of the given type and shape; equal ones are one.
func (b *Builder) Scalars(t DataType, shape []int64, values ...float64) *Tensor {
	key := fmt.Sprint(t, shape, values)
	if c, ok := b.literals[key]; ok {
		return c
	}
	data, err := encode(t, values)
	if err != nil {
		b.Fail(err)
	}
	at := b.at
	b.at = "literal"
	w := Literal(fmt.Sprintf("literal_%d", len(b.literals)), t, shape, data)
	w.Scalars = slices.Clone(values)
	c := b.add(Constant{w})
	b.at = at
	b.literals[key] = c
	return c
}

// encode gives the bytes of literal values.
func encode(t DataType, values []float64) ([]byte, error) {
	data := make([]byte, t.Bytes(int64(len(values))))
	switch t {
	case Int32:
		for i, v := range values {
			binary.LittleEndian.PutUint32(data[4*i:], uint32(int32(v)))
		}
	case Int64:
		for i, v := range values {
			binary.LittleEndian.PutUint64(data[8*i:], uint64(int64(v)))
		}
	default:
		dtype, ok := map[DataType]string{Float: "F32", Half: "F16", BF16: "BF16"}[t]
		if !ok {
			return nil, fmt.Errorf("%w: a literal of type %s", ErrInvalid, t)
		}
		narrowed := make([]float32, len(values))
		for i, v := range values {
			narrowed[i] = float32(v)
		}
		if floatformat.Encode(data, narrowed, dtype) {
			return nil, fmt.Errorf("%w: a literal of %v is beyond %s", ErrInvalid, values, t)
		}
	}
	return data, nil
}

// Cast appends a [Cast], unless t has the type.
func (b *Builder) Cast(t *Tensor, to DataType) *Tensor {
	if t.Type == to {
		return t
	}
	return b.add(Cast{to}, t)
}

// ElementWise appends an [ElementWise].
func (b *Builder) ElementWise(x *Tensor, op ElementWiseOperation, y *Tensor) *Tensor {
	return b.add(ElementWise{op}, x, y)
}

// Unary appends a [Unary].
func (b *Builder) Unary(op UnaryOperation, x *Tensor) *Tensor { return b.add(Unary{op}, x) }

// Activation appends an [Activation].
func (b *Builder) Activation(t ActivationType, x *Tensor) *Tensor { return b.add(Activation{t}, x) }

// MatrixMultiply appends a [MatrixMultiply].
func (b *Builder) MatrixMultiply(x *Tensor, op0 MatrixOperation, y *Tensor, op1 MatrixOperation) *Tensor {
	return b.add(MatrixMultiply{op0, op1}, x, y)
}

// Gather appends a [Gather].
func (b *Builder) Gather(x *Tensor, axis int, indices *Tensor) *Tensor {
	return b.add(Gather{axis}, x, indices)
}

// Reshape appends a [Shuffle]; one dimension may be dynamic.
func (b *Builder) Reshape(x *Tensor, to ...Dim) *Tensor {
	return b.add(Shuffle{Reshape: Shape(to).Sizes(), To: to}, x)
}

// ReshapeTo appends a [Shuffle] to a shape that sizes, Int64, has at run time.
func (b *Builder) ReshapeTo(x, sizes *Tensor, to ...Dim) *Tensor {
	return b.add(Shuffle{To: to}, x, sizes)
}

// Transpose appends a [Shuffle].
func (b *Builder) Transpose(x *Tensor, order ...int) *Tensor { return b.add(Shuffle{First: order}, x) }

// Concatenate appends a [Concatenation].
func (b *Builder) Concatenate(axis int, x ...*Tensor) *Tensor {
	return b.add(Concatenation{axis}, x...)
}

// Reduce appends a [Reduce].
func (b *Builder) Reduce(op ReduceOperation, x *Tensor, axes ...int) *Tensor {
	return b.add(Reduce{op, axes}, x)
}

// ShapeOf appends a [ShapeOf].
func (b *Builder) ShapeOf(x *Tensor) *Tensor { return b.add(ShapeOf{}, x) }

// Columns appends a [Slice] of the last dimension, n from first; all other dimensions stay. Only the last dimension has to be fixed.
func (b *Builder) Columns(x *Tensor, first, n int64) *Tensor {
	rank := len(x.Shape)
	start, stride, to := make([]int64, rank), make([]int64, rank), slices.Clone(x.Shape)
	for i := range stride {
		stride[i] = 1
	}
	start[rank-1], to[rank-1] = first, Fixed(n)
	op := Slice{Start: start, Size: to.Sizes(), Stride: stride, To: to}
	dynamic := slices.ContainsFunc(to, func(d Dim) bool { return d.Size < 0 })
	if !dynamic {
		return b.add(op, x)
	}
	// Sizes that the runtime says come from the tensor's own shape.
	parts := []*Tensor{b.Scalars(Int64, []int64{1}, float64(n))}
	if rank > 1 {
		leading := b.add(Slice{Start: []int64{0}, Size: []int64{int64(rank - 1)}, Stride: []int64{1}, To: Shape{Fixed(int64(rank - 1))}}, b.ShapeOf(x))
		parts = slices.Insert(parts, 0, leading)
	}
	for i := range op.Size {
		op.Size[i] = max(op.Size[i], 0) // replaced by the input
	}
	return b.add(op, x, nil, b.Concatenate(0, parts...))
}

// PadColumns appends a [Slice] that makes the last dimension n, with zeros; x is [rows, columns].
func (b *Builder) PadColumns(x *Tensor, n int64) *Tensor {
	to := Shape{x.Shape[0], Fixed(n)}
	op := Slice{Start: []int64{0, 0}, Size: []int64{max(x.Shape[0].Size, 0), n}, Stride: []int64{1, 1}, Fill: true, To: to}
	if x.Shape[0].Size >= 0 {
		return b.add(op, x)
	}
	rows := b.add(Slice{Start: []int64{0}, Size: []int64{1}, Stride: []int64{1}, To: Shape{Fixed(1)}}, b.ShapeOf(x))
	return b.add(op, x, nil, b.Concatenate(0, rows, b.Scalars(Int64, []int64{1}, float64(n))))
}
