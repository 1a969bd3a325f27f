package verify_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// claimed is a network that is written down without inference: each layer's output is what
// somebody claims. So a wrong one can be shown to the library, which our builder would refuse.
type claimed struct{ graph.Network }

func (c *claimed) input(name string, t graph.DataType, shape ...graph.Dim) *graph.Tensor {
	x := c.tensor(graph.Tensor{Name: name, Type: t, Shape: shape})
	c.Inputs = append(c.Inputs, graph.Input{Tensor: x})
	return x
}

func (c *claimed) tensor(t graph.Tensor) *graph.Tensor {
	t.ID = len(c.Tensors)
	c.Tensors = append(c.Tensors, &t)
	return &t
}

// layer adds a layer that gives t[shape].
func (c *claimed) layer(op graph.Op, t graph.DataType, shape graph.Shape, inputs ...*graph.Tensor) *graph.Tensor {
	out := c.tensor(graph.Tensor{Type: t, Shape: shape})
	c.Layers = append(c.Layers, graph.Layer{Name: fmt.Sprintf("layer%d/%s", len(c.Layers), op.Kind()), Op: op, Inputs: inputs, Outputs: []*graph.Tensor{out}})
	return out
}

func (c *claimed) output(name string, t *graph.Tensor) {
	t.Name = name
	c.Outputs = append(c.Outputs, graph.Output{Name: name, Tensor: t})
}

// values is a constant of bytes.
func (c *claimed) values(t graph.DataType, data []byte, shape ...int64) *graph.Tensor {
	dims := make(graph.Shape, len(shape))
	for i, n := range shape {
		dims[i] = graph.Fixed(n)
	}
	return c.layer(graph.Constant{Weights: graph.Literal(fmt.Sprintf("literal_%d", len(c.Layers)), t, shape, data)}, t, dims)
}

// infer adds everything again through the builder, as a lowering would have.
func (c *claimed) infer() error {
	b := graph.NewBuilder(c.Name)
	tensors := map[*graph.Tensor]*graph.Tensor{nil: nil}
	for _, in := range c.Inputs {
		add := b.Input
		if in.Host {
			add = b.HostInput
		}
		tensors[in.Tensor] = add(in.Tensor.Name, in.Tensor.Type, in.Tensor.Shape...)
	}
	for i, l := range c.Layers {
		var inputs []*graph.Tensor
		for _, in := range l.Inputs {
			inputs = append(inputs, tensors[in])
		}
		b.At(fmt.Sprintf("layer%d", i))
		tensors[l.Outputs[0]] = b.Add(l.Op, inputs...)[0]
		if b.Err() != nil {
			return b.Err()
		}
	}
	for _, out := range c.Outputs {
		b.Output(out.Name, tensors[out.Tensor])
	}
	b.Profiles(c.Profiles...)
	_, err := b.Network()
	return err
}

// stage is where the library refuses a malformed network.
type stage string

const (
	inputs  stage = "input"
	layers  stage = "layer"
	outputs stage = "output"
	profile stage = "profile"
	build   stage = "build"
	never   stage = "never" // the library takes it: why our inference does not stands with the case
)

// malformed is a network with one mistake.
type malformed struct {
	name    string
	make    func(c *claimed)
	ours    string // what our inference says, beside the layer
	library stage
	theirs  string // what the library says; empty where it says nothing
	built   bool   // only a network that is built cannot be so: tensorrt.Compile refuses it
}

var (
	rows  = graph.Dynamic("n")
	fixed = graph.Fixed
	bf16  = graph.BF16
)

func shape(d ...graph.Dim) graph.Shape { return d }

// finish ends a network with an output and a profile of its dimensions.
func finish(c *claimed, x *graph.Tensor) {
	c.output("y", x)
	ranges := map[string]graph.Range{}
	for _, in := range c.Inputs {
		for _, d := range in.Tensor.Shape {
			if d.Size < 0 {
				ranges[d.Name] = graph.Range{Min: 1, Opt: 4, Max: 8}
			}
		}
	}
	c.Profiles = []map[string]graph.Range{ranges}
}

// arithmetic are mistakes in layers of matrices and elements.
var arithmetic = []malformed{
	{"inner size of a product", func(c *claimed) {
		x, w := c.input("x", bf16, rows, fixed(64)), c.input("w", bf16, fixed(8), fixed(32))
		finish(c, c.layer(graph.MatrixMultiply{Op0: graph.None, Op1: graph.Transpose}, bf16, shape(rows, fixed(8)), x, w))
	}, "multiplies [n, 64] by [8, 32]: 64 is not 32", layers, "last dimension of input0 = 64 and last dimension of input1 = 32", false},
	{"types of a product", func(c *claimed) {
		x, w := c.input("x", bf16, rows, fixed(64)), c.input("w", graph.Float, fixed(8), fixed(64))
		finish(c, c.layer(graph.MatrixMultiply{Op0: graph.None, Op1: graph.Transpose}, bf16, shape(rows, fixed(8)), x, w))
	}, "multiplies BF16 by FLOAT", layers, "must have same input types", false},
	{"ranks of a product", func(c *claimed) {
		x, w := c.input("x", bf16, rows, fixed(2), fixed(64)), c.input("w", bf16, fixed(8), fixed(64))
		finish(c, c.layer(graph.MatrixMultiply{Op0: graph.None, Op1: graph.Transpose}, bf16, shape(rows, fixed(2), fixed(8)), x, w))
	}, "ranks differ", layers, "must have same number of dimensions", false},
	{"types of a sum", func(c *claimed) {
		x, y := c.input("x", bf16, rows), c.input("z", graph.Float, rows)
		finish(c, c.layer(graph.ElementWise{Operation: graph.Sum}, bf16, shape(rows), x, y))
	}, "SUM of BF16 and FLOAT", layers, "must have same input types", false},
	{"ranks of a sum", func(c *claimed) {
		x, y := c.input("x", bf16, rows), c.input("z", bf16, rows, fixed(4))
		finish(c, c.layer(graph.ElementWise{Operation: graph.Sum}, bf16, shape(rows, fixed(4)), x, y))
	}, "[n] and [n, 4] have different ranks", layers, "x.nbDims == y.nbDims", false},
	{"sizes of a sum", func(c *claimed) {
		x, y := c.input("x", bf16, rows, fixed(4)), c.input("z", bf16, rows, fixed(3))
		finish(c, c.layer(graph.ElementWise{Operation: graph.Sum}, bf16, shape(rows, fixed(4)), x, y))
	}, "[n, 4] and [n, 3] differ in dimension 1", layers, "broadcast dimensions must be conformable", false},
	{"logic of numbers", func(c *claimed) {
		x := c.input("x", graph.Int32, rows)
		finish(c, c.layer(graph.ElementWise{Operation: graph.And}, graph.Int32, shape(rows), x, x))
	}, "AND of INT32", layers, "AND requires boolean inputs", false},
	{"root of integers", func(c *claimed) {
		finish(c, c.layer(graph.Unary{Operation: graph.Sqrt}, graph.Int32, shape(rows), c.input("x", graph.Int32, rows)))
	}, "SQRT of INT32", layers, "input has type Int32", false},
	{"activation of integers", func(c *claimed) {
		finish(c, c.layer(graph.Activation{Type: graph.Sigmoid}, graph.Int32, shape(rows), c.input("x", graph.Int32, rows)))
	}, "SIGMOID of INT32", layers, "input has type Int32", false},
	{"indices that are no integers", func(c *claimed) {
		x, i := c.input("x", bf16, fixed(8), fixed(4)), c.input("i", graph.Float, rows)
		finish(c, c.layer(graph.Gather{Axis: 0}, bf16, shape(rows, fixed(4)), x, i))
	}, "indices are FLOAT", layers, "indices input has type Float", false},
	{"axis of a gather", func(c *claimed) {
		x, i := c.input("x", bf16, fixed(8), fixed(4)), c.input("i", graph.Int32, rows)
		finish(c, c.layer(graph.Gather{Axis: 2}, bf16, shape(rows, fixed(4)), x, i))
	}, "axis 2 of [8, 4]", layers, "`axis` must be in the range", false},
	{"condition of numbers", func(c *claimed) {
		x := c.input("x", graph.Int32, rows)
		finish(c, c.layer(graph.Select{}, graph.Int32, shape(rows), x, x, x))
	}, "selects by INT32", layers, "condition input has type Int32", false},
	{"axis of a mean", func(c *claimed) {
		x := c.input("x", bf16, rows, fixed(4))
		finish(c, c.layer(graph.Reduce{Operation: graph.ReduceAvg, Axes: []int{2}}, bf16, shape(rows, fixed(4)), x))
	}, "axis 2 of [n, 4]", layers, "invalid reduction dimension 2", false},
	{"scale of a norm", func(c *claimed) {
		x, w := c.input("x", bf16, rows, fixed(4)), c.input("w", bf16, fixed(1), fixed(3))
		finish(c, c.layer(graph.Normalization{Axes: []int{1}, Epsilon: 1e-5}, bf16, shape(rows, fixed(4)), x, w, w))
	}, "normalises [n, 4] with [1, 3]", build, "scale is not broadcast-compatible", false},
	{"type of a norm's scale", func(c *claimed) {
		x, w := c.input("x", bf16, rows, fixed(4)), c.input("w", graph.Float, fixed(1), fixed(4))
		finish(c, c.layer(graph.Normalization{Axes: []int{1}, Epsilon: 1e-5}, bf16, shape(rows, fixed(4)), x, w, w))
	}, "normalises BF16[n, 4] with FLOAT[1, 4]", layers, "`input` and `scale` must have identical types", false},
}

// shapes are mistakes in what moves elements.
var shapes = []malformed{
	{"elements of a reshape", func(c *claimed) {
		to := shape(fixed(4), fixed(2))
		finish(c, c.layer(graph.Shuffle{Reshape: to.Sizes(), To: to}, bf16, to, c.input("x", bf16, fixed(6))))
	}, "the number of elements differs", layers, "reshape changes volume", false},
	{"order of a transposition", func(c *claimed) {
		finish(c, c.layer(graph.Shuffle{First: []int{0, 0}}, bf16, shape(rows, rows), c.input("x", bf16, rows, fixed(4))))
	}, "transposes [n, 4] by [0 0]", layers, "`first_transpose` is not valid", false},
	{"slice beyond the end", func(c *claimed) {
		to := shape(fixed(4))
		finish(c, c.layer(graph.Slice{Start: []int64{3}, Size: []int64{4}, Stride: []int64{1}, To: to}, bf16, to, c.input("x", bf16, fixed(6))))
	}, "slices [6] from [3], [4] of them: outside", build, "out of bounds slice", false},
	{"ranks of a slice", func(c *claimed) {
		to := shape(fixed(4))
		finish(c, c.layer(graph.Slice{Start: []int64{0, 0}, Size: []int64{4, 4}, Stride: []int64{1, 1}, To: to}, bf16, to, c.input("x", bf16, fixed(6))))
	}, "slices [6] with", layers, "mismatch in number of dimensions for start", false},
	{"columns of a concatenation", func(c *claimed) {
		x, y := c.input("x", bf16, rows, fixed(4)), c.input("z", bf16, rows, fixed(3))
		finish(c, c.layer(graph.Concatenation{Axis: 0}, bf16, shape(graph.Dynamic(""), fixed(4)), x, y))
	}, "joins [n, 4] and [n, 3]", layers, "must have the same dimensions except on the concatenation axis", false},
	{"types of a concatenation", func(c *claimed) {
		x, y := c.input("x", bf16, rows, fixed(4)), c.input("z", graph.Half, rows, fixed(4))
		finish(c, c.layer(graph.Concatenation{Axis: 1}, bf16, shape(rows, fixed(8)), x, y))
	}, "joins BF16[n, 4] and HALF[n, 4]", layers, "must all be of the same type", false},
	{"a shape of floats", func(c *claimed) {
		x, to := c.input("x", bf16, rows), c.input("to", graph.Float, fixed(2))
		finish(c, c.layer(graph.Shuffle{To: shape(rows, fixed(1))}, bf16, shape(rows, fixed(1)), x, to))
	}, "a shape of 2 dimensions cannot be FLOAT[2]", layers, "must have type Int32 or Int64", false},
}

// quantisation are mistakes around scales.
var quantisation = []malformed{
	// NvInfer.h asks that a scale of HALF or BF16 has the input's type, and allows FLOAT with any. The
	// library takes each; TensorRT-LLM's networks have scales of the input's type, so
	// another one is a mistake of the lowering.
	{"type of a scale", func(c *claimed) {
		x, s := c.input("x", bf16, rows, fixed(16)), c.input("s", graph.Half)
		finish(c, c.layer(graph.Quantize{To: graph.Int8, Axis: -1}, graph.Int8, shape(rows, fixed(16)), x, s))
	}, "quantises BF16 with a scale of HALF to INT8", never, "", false},
	{"type of a scale that is multiplied by", func(c *claimed) {
		x, s := c.input("x", graph.Int8, rows, fixed(16)), c.input("s", graph.Half)
		finish(c, c.layer(graph.Dequantize{To: bf16, Axis: -1}, bf16, shape(rows, fixed(16)), x, s))
	}, "dequantises INT8 with a scale of HALF to BF16", never, "", false},
	{"scales of the wrong axis", func(c *claimed) {
		w, s := c.input("w", graph.Int8, fixed(16), fixed(8)), c.input("s", bf16, fixed(8))
		finish(c, c.layer(graph.Dequantize{To: bf16, Axis: 0}, bf16, shape(fixed(16), fixed(8)), w, s))
	}, "scale [8] does not fit [16, 8] along axis 0", layers, "ScaleMode is illegal", false},
	{"blocks that do not divide", func(c *claimed) {
		w := c.values(graph.Int4, make([]byte, 64*128/2), 64, 128)
		s := c.values(bf16, make([]byte, 2*64*3), 64, 3)
		finish(c, c.layer(graph.Dequantize{To: bf16, Axis: -1}, bf16, shape(fixed(64), fixed(128)), w, s))
	}, "blocks of scales [64, 3] do not divide [64, 128]", layers, "block size is not an integer", false},
	{"cast to a type that needs a scale", func(c *claimed) {
		finish(c, c.layer(graph.Cast{To: graph.Int4}, graph.Int4, shape(rows, fixed(16)), c.input("x", bf16, rows, fixed(16))))
	}, "cannot cast BF16 to INT4", build, "has datatype Int4 but is not produced by", false},
	{"dequantised floats", func(c *claimed) {
		x, s := c.input("x", bf16, rows, fixed(16)), c.input("s", bf16)
		finish(c, c.layer(graph.Dequantize{To: bf16, Axis: -1}, bf16, shape(rows, fixed(16)), x, s))
	}, "dequantises BF16 with a scale of BF16 to BF16", layers, "input has type BFloat16", false},
}

// TestMalformedOurs: our inference refuses each, with the layer's name where it is a layer's mistake.
func TestMalformedOurs(t *testing.T) {
	for _, list := range [][]malformed{arithmetic, shapes, quantisation, attention, interfaces} {
		for _, m := range list {
			t.Run(m.name, func(t *testing.T) {
				var c claimed
				m.make(&c)
				err := c.infer()
				if m.built {
					require.NoError(t, err)
					err = tensorrt.Compile(t.Context(), nil, &c.Network, nil, tensorrt.CompileOptions{}, nil) // refuses before it needs a library
				}
				require.ErrorIs(t, err, graph.ErrInvalid)
				require.ErrorContains(t, err, m.ours)
				if m.library == layers {
					last := c.Layers[len(c.Layers)-1]
					require.ErrorContains(t, err, "layer "+last.Name+": ")
				}
			})
		}
	}
}
