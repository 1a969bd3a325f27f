package graph

// Op is what a layer computes: one of the structs below.
type Op interface {
	// Kind is the name of the layer without "add", e.g. "MatrixMultiply".
	Kind() string
	// Fields are the attributes, in a fixed order.
	Fields() []Field
	// infer returns type and shape of each output; in has as many inputs as there are,
	// nil where an optional one is absent.
	infer(in []*Tensor) ([]Tensor, error)
}

// Constant gives the values of Weights.
type Constant struct{ Weights *Weights }

// Cast converts elements.
type Cast struct{ To DataType }

// ElementWise combines two tensors of one rank; dimensions of 1 are repeated.
type ElementWise struct{ Operation ElementWiseOperation }

// ElementWiseOperation is an enumerator of nvinfer1::ElementWiseOperation.
type ElementWiseOperation string

// The operations that are known here. Less, Greater, Equal give Bool; And takes it.
const (
	Sum     ElementWiseOperation = "SUM"
	Prod    ElementWiseOperation = "PROD"
	Sub     ElementWiseOperation = "SUB"
	Div     ElementWiseOperation = "DIV"
	Max     ElementWiseOperation = "MAX"
	Min     ElementWiseOperation = "MIN"
	Less    ElementWiseOperation = "LESS"
	Greater ElementWiseOperation = "GREATER"
	Equal   ElementWiseOperation = "EQUAL"
	And     ElementWiseOperation = "AND"
)

// Unary is a function of each element.
type Unary struct{ Operation UnaryOperation }

// UnaryOperation is an enumerator of nvinfer1::UnaryOperation.
type UnaryOperation string

// The operations that are known here.
const (
	Sqrt  UnaryOperation = "SQRT"
	Recip UnaryOperation = "RECIP"
	Exp   UnaryOperation = "EXP"
	Neg   UnaryOperation = "NEG"
	Not   UnaryOperation = "NOT" // of Bool
)

// Activation is a function of each element.
type Activation struct{ Type ActivationType }

// ActivationType is an enumerator of nvinfer1::ActivationType.
type ActivationType string

// The types that are known here.
const (
	ReLU     ActivationType = "RELU"
	Sigmoid  ActivationType = "SIGMOID"
	Tanh     ActivationType = "TANH"
	GeluErf  ActivationType = "GELU_ERF"
	GeluTanh ActivationType = "GELU_TANH"
)

// MatrixMultiply multiplies the last two dimensions; those before are repeated where 1.
type MatrixMultiply struct{ Op0, Op1 MatrixOperation }

// MatrixOperation is an enumerator of nvinfer1::MatrixOperation.
type MatrixOperation string

// What a matrix is taken as.
const (
	None      MatrixOperation = "NONE"
	Transpose MatrixOperation = "TRANSPOSE"
)

// Gather takes slices of input 0 along Axis, those that input 1 (Int32 or Int64) numbers.
type Gather struct{ Axis int }

// Shuffle transposes (First, nil for not), then reshapes (one size may be -1: what is left), then
// transposes (Second). A reshape that depends on the runtime is input 1, Int64.
type Shuffle struct {
	First   []int
	Reshape []int64
	Second  []int
	// To is the shape that Reshape or input 1 gives, with names.
	To Shape
}

// Slice takes elements from Start, Size of them, Stride apart, in each dimension. Inputs 1 to 3
// (Int64, or nil) are used instead of Start, Size and Stride.
type Slice struct {
	Start, Size, Stride []int64
	// Fill: elements beyond the input are zero. Otherwise they are a mistake.
	Fill bool
	To   Shape // the shape that comes, with names
}

// Concatenation joins inputs along Axis.
type Concatenation struct{ Axis int }

// Reduce combines the elements along Axes, which are kept with 1 element.
type Reduce struct {
	Operation ReduceOperation
	Axes      []int
}

// ReduceOperation is an enumerator of nvinfer1::ReduceOperation.
type ReduceOperation string

// The operations that are known here.
const (
	ReduceAvg ReduceOperation = "AVG"
	ReduceSum ReduceOperation = "SUM"
	ReduceMax ReduceOperation = "MAX"
)

// Normalization is (x-mean)/sqrt(var+Epsilon)·scale+bias over Axes; inputs are x, scale and bias.
type Normalization struct {
	Axes    []int
	Epsilon float32
}

// Select is input 1 where input 0 (Bool) holds, otherwise input 2.
type Select struct{}

// Quantize divides by the scale of input 1, rounds to nearest even and clamps to To. The scale
// has one element, or one for each place of Axis.
type Quantize struct {
	To   DataType
	Axis int // -1 where the scale has one element
}

// Dequantize multiplies by the scale of input 1 and gives To. The scale has one element, or one
// for each place of Axis, or as many dimensions as the input and one element a block.
type Dequantize struct {
	To   DataType
	Axis int
}

// ShapeOf gives the shape of a tensor, Int64.
type ShapeOf struct{}

// Linspace is start + i·delta along each dimension: inputs are the shape (Int64), start (a scalar)
// and delta (one value a dimension), all of type To.
type Linspace struct {
	Type DataType
	To   Shape
}

// Plugin is a layer of a plugin library.
type Plugin struct {
	Creator, Version, Namespace string
	Attributes                  []Field
	// Outputs are what the plugin gives: TensorRT asks the plugin, we know.
	Outputs []Tensor
}

// RotaryEmbedding turns the pairs of each head of x [B, N, S, D]. Inputs are x, cos and sin
// ([positions, dim/2]), and position ids [B, S]; or cos and sin [B, S, dim/2] without ids.
type RotaryEmbedding struct {
	Interleaved bool
	Dim         int // that rotate; 0 is all of the head
}

// KVCacheUpdate writes update [B, N, S, D] into cache [B, N, max, D], for each sequence from its place in
// input 2, Int32 [B]. The cache must be an input of the network and the result an output.
type KVCacheUpdate struct{}

// Attention is softmax(q·kᵀ + mask)·v; inputs are q [B, Nq, S, D], k and v [B, Nkv, T, D], and a mask
// [B, Nq, S, T] (dimensions of 1 are repeated): Bool (true may be attended to) or what is added.
type Attention struct {
	// Decomposable lets TensorRT use several kernels where no fused one exists.
	Decomposable bool
}

// Kind and the methods of the same name below are TensorRT's names.
func (Constant) Kind() string        { return "Constant" }
func (Cast) Kind() string            { return "Cast" }
func (ElementWise) Kind() string     { return "ElementWise" }
func (Unary) Kind() string           { return "Unary" }
func (Activation) Kind() string      { return "Activation" }
func (MatrixMultiply) Kind() string  { return "MatrixMultiply" }
func (Gather) Kind() string          { return "Gather" }
func (Shuffle) Kind() string         { return "Shuffle" }
func (Slice) Kind() string           { return "Slice" }
func (Concatenation) Kind() string   { return "Concatenation" }
func (Reduce) Kind() string          { return "Reduce" }
func (Normalization) Kind() string   { return "Normalization" }
func (Select) Kind() string          { return "Select" }
func (Quantize) Kind() string        { return "Quantize" }
func (Dequantize) Kind() string      { return "Dequantize" }
func (ShapeOf) Kind() string         { return "Shape" }
func (Linspace) Kind() string        { return "Fill" }
func (Plugin) Kind() string          { return "Plugin" }
func (RotaryEmbedding) Kind() string { return "RotaryEmbedding" }
func (KVCacheUpdate) Kind() string   { return "KVCacheUpdate" }
func (Attention) Kind() string       { return "Attention" }

// Fields and the methods of the same name below list attributes as csrc/native/trtgo.h documents them.
func (o Constant) Fields() []Field {
	return []Field{TextField("type", string(o.Weights.Type)), Int64Field("dims", o.Weights.Shape...)}
}
func (o Cast) Fields() []Field        { return []Field{TextField("to_type", string(o.To))} }
func (o ElementWise) Fields() []Field { return []Field{TextField("operation", string(o.Operation))} }
func (o Unary) Fields() []Field       { return []Field{TextField("operation", string(o.Operation))} }
func (o Activation) Fields() []Field  { return []Field{TextField("type", string(o.Type))} }
func (o MatrixMultiply) Fields() []Field {
	return []Field{TextField("op0", string(o.Op0)), TextField("op1", string(o.Op1))}
}
func (o Gather) Fields() []Field { return []Field{Int64Field("axis", int64(o.Axis))} }
func (o Shuffle) Fields() []Field {
	var fields []Field
	if o.First != nil {
		fields = append(fields, Int64Field("first_transpose", wide(o.First)...))
	}
	if o.Reshape != nil {
		fields = append(fields, Int64Field("reshape", o.Reshape...))
	}
	if o.Second != nil {
		fields = append(fields, Int64Field("second_transpose", wide(o.Second)...))
	}
	return fields
}
func (o Slice) Fields() []Field {
	mode := "STRICT_BOUNDS"
	if o.Fill {
		mode = "FILL"
	}
	return []Field{Int64Field("start", o.Start...), Int64Field("size", o.Size...), Int64Field("stride", o.Stride...), TextField("mode", mode)}
}
func (o Concatenation) Fields() []Field { return []Field{Int64Field("axis", int64(o.Axis))} }
func (o Reduce) Fields() []Field {
	return []Field{TextField("operation", string(o.Operation)), Int64Field("axes", wide(o.Axes)...)}
}
func (o Normalization) Fields() []Field {
	return []Field{Int64Field("axes", wide(o.Axes)...), Float32Field("epsilon", o.Epsilon)}
}
func (Select) Fields() []Field { return nil }
func (o Quantize) Fields() []Field {
	return []Field{TextField("to_type", string(o.To)), Int64Field("axis", int64(o.Axis))}
}
func (o Dequantize) Fields() []Field {
	return []Field{TextField("to_type", string(o.To)), Int64Field("axis", int64(o.Axis))}
}
func (ShapeOf) Fields() []Field { return nil }
func (o Linspace) Fields() []Field {
	return []Field{TextField("type", string(o.Type)), Int64Field("rank", int64(len(o.To)))}
}
func (o Plugin) Fields() []Field { return o.Attributes }
func (o RotaryEmbedding) Fields() []Field {
	interleaved := int64(0)
	if o.Interleaved {
		interleaved = 1
	}
	return []Field{Int64Field("interleaved", interleaved), Int64Field("dim", int64(o.Dim))}
}
func (KVCacheUpdate) Fields() []Field { return nil }
func (o Attention) Fields() []Field {
	decomposable := int64(0)
	if o.Decomposable {
		decomposable = 1
	}
	return []Field{Int64Field("decomposable", decomposable)}
}

func wide(values []int) []int64 {
	list := make([]int64, len(values))
	for i, v := range values {
		list[i] = int64(v)
	}
	return list
}
