package network

import (
	"fmt"
	"math"
	"strings"
)

// Embedding writes the row of each token's id. Ids outside
// [FirstID, FirstID+rows of Weight) give zeros: that is how a table that is
// divided over the vocabulary works, followed by an [AllReduce].
type Embedding struct {
	Name    string
	Weight  *Weight // [ids, width]
	FirstID int
	Out     *Tensor
}

// Linear is In·Weightᵀ + Bias.
type Linear struct {
	Name   string
	In     *Tensor
	Weight *Weight // [out, in]
	Bias   *Weight // [out] or nil
	Out    *Tensor

	Quantisation *Quantisation // nil for a weight of plain numbers
}

// NormKind tells [Norm] what to compute.
type NormKind string

const (
	RMSNorm   NormKind = "rms_norm"   // x/sqrt(mean(x²)+ε)·w
	LayerNorm NormKind = "layer_norm" // (x-mean)/sqrt(var+ε)·w+b
)

// Norm normalises each row.
type Norm struct {
	Name    string
	Kind    NormKind
	In      *Tensor
	Weight  *Weight // [width]
	Bias    *Weight // [width]; nil for RMSNorm
	Epsilon float32
	Out     *Tensor
}

// Rotary is rotary position embedding in the rotate-half form: the first Dim
// values of a head are two halves, and pair j turns by position·InvFreq[j].
type Rotary struct {
	Dim     int
	Base    float64
	Scaling string // "none", "linear", "llama3" or "yarn"
	Factor  float64
	InvFreq []float32 // Dim/2 frequencies with the scaling applied
	// Magnitude is what cosines and sines are multiplied by: 1 but for yarn, and
	// above 0.
	Magnitude float64
}

// Attention is causal attention over the KV cache of Layer: rows of In are
// q‖k‖v, query head h uses KV head h/(Heads/KVHeads), scores are multiplied by
// Scale. With Window w > 0 a query sees the last w positions only.
type Attention struct {
	Name       string
	Layer      int // on this rank, from 0
	In, Out    *Tensor
	Heads      int
	KVHeads    int
	KVHeadsAll int // of the whole model, before division and duplication
	HeadSize   int
	Scale      float32
	Window     int
	Rotary     *Rotary // nil: no position embedding
	// CacheScale [1] is what the keys and values of a quantised cache are multiplied
	// by; nil for a plain one.
	CacheScale *Weight
}

// Function is an activation function.
type Function string

const (
	Silu        Function = "silu"
	SquaredReLU Function = "squared-relu"
	ReLU        Function = "relu"
	Gelu        Function = "gelu"      // by the error function
	GeluTanh    Function = "gelu-tanh" // by the hyperbolic tangent
)

// Activation is Function(In).
type Activation struct {
	Name     string
	Function Function
	In, Out  *Tensor
}

// Gated is Function(In)·Gate: the middle of a gated MLP. In the checkpoint's
// names In comes from mlp.fc and Gate from mlp.gate.
type Gated struct {
	Name     string
	Function Function
	In, Gate *Tensor
	Out      *Tensor
}

// Add is A+B.
type Add struct {
	Name      string
	A, B, Out *Tensor
}

// SelectLastTokens keeps the rows whose logits are wanted.
type SelectLastTokens struct {
	Name    string
	In, Out *Tensor
}

// Logits marks In as the model's output.
type Logits struct {
	Name string
	In   *Tensor // [rows, vocab_size or more]
}

// AllReduce sums over the tensor-parallel group, then adds Bias once.
type AllReduce struct {
	Name    string
	Group   []int
	In, Out *Tensor
	Bias    *Weight // [width] or nil
}

// AllGather concatenates the columns of the tensor-parallel group's ranks.
type AllGather struct {
	Name    string
	Group   []int
	In, Out *Tensor
}

// Send hands rows to the next pipeline stage.
type Send struct {
	Name string
	To   int
	In   *Tensor
}

// Receive takes rows from the previous pipeline stage.
type Receive struct {
	Name string
	From int
	Out  *Tensor
}

func (o *Embedding) OpName() string        { return o.Name }
func (o *Linear) OpName() string           { return o.Name }
func (o *Norm) OpName() string             { return o.Name }
func (o *Attention) OpName() string        { return o.Name }
func (o *Activation) OpName() string       { return o.Name }
func (o *Gated) OpName() string            { return o.Name }
func (o *Add) OpName() string              { return o.Name }
func (o *SelectLastTokens) OpName() string { return o.Name }
func (o *Logits) OpName() string           { return o.Name }
func (o *AllReduce) OpName() string        { return o.Name }
func (o *AllGather) OpName() string        { return o.Name }
func (o *Send) OpName() string             { return o.Name }
func (o *Receive) OpName() string          { return o.Name }

func (o *Embedding) Inputs() []*Tensor        { return nil }
func (o *Linear) Inputs() []*Tensor           { return []*Tensor{o.In} }
func (o *Norm) Inputs() []*Tensor             { return []*Tensor{o.In} }
func (o *Attention) Inputs() []*Tensor        { return []*Tensor{o.In} }
func (o *Activation) Inputs() []*Tensor       { return []*Tensor{o.In} }
func (o *Gated) Inputs() []*Tensor            { return []*Tensor{o.In, o.Gate} }
func (o *Add) Inputs() []*Tensor              { return []*Tensor{o.A, o.B} }
func (o *SelectLastTokens) Inputs() []*Tensor { return []*Tensor{o.In} }
func (o *Logits) Inputs() []*Tensor           { return []*Tensor{o.In} }
func (o *AllReduce) Inputs() []*Tensor        { return []*Tensor{o.In} }
func (o *AllGather) Inputs() []*Tensor        { return []*Tensor{o.In} }
func (o *Send) Inputs() []*Tensor             { return []*Tensor{o.In} }
func (o *Receive) Inputs() []*Tensor          { return nil }

func (o *Embedding) Output() *Tensor        { return o.Out }
func (o *Linear) Output() *Tensor           { return o.Out }
func (o *Norm) Output() *Tensor             { return o.Out }
func (o *Attention) Output() *Tensor        { return o.Out }
func (o *Activation) Output() *Tensor       { return o.Out }
func (o *Gated) Output() *Tensor            { return o.Out }
func (o *Add) Output() *Tensor              { return o.Out }
func (o *SelectLastTokens) Output() *Tensor { return o.Out }
func (o *Logits) Output() *Tensor           { return nil }
func (o *AllReduce) Output() *Tensor        { return o.Out }
func (o *AllGather) Output() *Tensor        { return o.Out }
func (o *Send) Output() *Tensor             { return nil }
func (o *Receive) Output() *Tensor          { return o.Out }

func (o *Embedding) Parameters() []*Weight { return present(o.Weight) }
func (o *Linear) Parameters() []*Weight {
	return append(present(o.Weight, o.Bias), o.Quantisation.parameters()...)
}
func (o *Norm) Parameters() []*Weight             { return present(o.Weight, o.Bias) }
func (o *Attention) Parameters() []*Weight        { return present(o.CacheScale) }
func (o *Activation) Parameters() []*Weight       { return nil }
func (o *Gated) Parameters() []*Weight            { return nil }
func (o *Add) Parameters() []*Weight              { return nil }
func (o *SelectLastTokens) Parameters() []*Weight { return nil }
func (o *Logits) Parameters() []*Weight           { return nil }
func (o *AllReduce) Parameters() []*Weight        { return present(o.Bias) }
func (o *AllGather) Parameters() []*Weight        { return nil }
func (o *Send) Parameters() []*Weight             { return nil }
func (o *Receive) Parameters() []*Weight          { return nil }

func present(weights ...*Weight) []*Weight {
	var list []*Weight
	for _, w := range weights {
		if w != nil {
			list = append(list, w)
		}
	}
	return list
}

func (o *Embedding) describe() string {
	s := "embedding " + o.Weight.String()
	if o.FirstID > 0 {
		s += fmt.Sprintf(" from id %d", o.FirstID)
	}
	return s
}

func (o *Linear) describe() string {
	s := fmt.Sprintf("linear %s %s", o.In, o.Weight)
	if o.Bias != nil {
		s += " + " + o.Bias.String()
	}
	return s + o.Quantisation.describe()
}

func (o *Norm) describe() string {
	s := fmt.Sprintf("%s %s %s", o.Kind, o.In, o.Weight)
	if o.Bias != nil {
		s += " + " + o.Bias.String()
	}
	return s + fmt.Sprintf(" epsilon %g", o.Epsilon)
}

func (o *Attention) describe() string {
	var s strings.Builder
	fmt.Fprintf(&s, "attention %s layer %d heads %d kv_heads %d head_size %d scale %g", o.In, o.Layer, o.Heads, o.KVHeads, o.HeadSize, o.Scale)
	if o.Window > 0 {
		fmt.Fprintf(&s, " window %d", o.Window)
	}
	if r := o.Rotary; r != nil {
		fmt.Fprintf(&s, " rotary %d base %g", r.Dim, r.Base)
		if r.Scaling != "none" {
			fmt.Fprintf(&s, " %s %g", r.Scaling, r.Factor)
		}
		if r.Magnitude != 1 {
			fmt.Fprintf(&s, " magnitude %g", r.Magnitude)
		}
	}
	if o.CacheScale != nil {
		s.WriteString(" cache " + o.CacheScale.String())
	}
	return s.String()
}

func (o *Activation) describe() string       { return fmt.Sprintf("%s %s", o.Function, o.In) }
func (o *Gated) describe() string            { return fmt.Sprintf("gated %s %s * %s", o.Function, o.In, o.Gate) }
func (o *Add) describe() string              { return fmt.Sprintf("add %s %s", o.A, o.B) }
func (o *SelectLastTokens) describe() string { return fmt.Sprintf("select_last_tokens %s", o.In) }
func (o *Logits) describe() string           { return fmt.Sprintf("logits %s", o.In) }
func (o *AllGather) describe() string        { return fmt.Sprintf("all_gather %s group %v", o.In, o.Group) }
func (o *Send) describe() string             { return fmt.Sprintf("send %s to rank %d", o.In, o.To) }
func (o *Receive) describe() string          { return fmt.Sprintf("receive from rank %d", o.From) }

func (o *AllReduce) describe() string {
	s := fmt.Sprintf("all_reduce %s group %v", o.In, o.Group)
	if o.Bias != nil {
		s += " + " + o.Bias.String()
	}
	return s
}

// finite is for numbers of a config that arithmetic made infinite or NaN.
func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }
