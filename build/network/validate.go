package network

import (
	"fmt"
	"slices"
	"strings"
)

// Validate checks that every tensor is written once and before it is read, that
// widths and weight shapes agree, and that the last operation is the output.
// The error wraps [ErrInvalid] and names the operation.
func (n *Network) Validate() error {
	if err := n.Mapping.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(n.Ops) == 0 {
		return fmt.Errorf("%w: it has no operations", ErrInvalid)
	}
	known := map[*Weight]bool{}
	names := map[string]bool{}
	for _, w := range n.Weights {
		if names[w.Name] {
			return fmt.Errorf("%w: weight %s is declared twice", ErrInvalid, w.Name)
		}
		names[w.Name], known[w] = true, true
		if err := w.check(); err != nil {
			return fmt.Errorf("%w: weight %s: %w", ErrInvalid, w.Name, err)
		}
	}
	written := map[*Tensor]bool{}
	layer := 0
	for i, op := range n.Ops {
		err := n.checkOp(op, i == len(n.Ops)-1, known, written, &layer)
		if err != nil {
			return fmt.Errorf("%w: operation %d, %s: %w", ErrInvalid, i, op.OpName(), err)
		}
	}
	if layer != n.NumLayers {
		return fmt.Errorf("%w: %d attention operations for %d layers", ErrInvalid, layer, n.NumLayers)
	}
	return nil
}

func (n *Network) checkOp(op Op, last bool, known map[*Weight]bool, written map[*Tensor]bool, layer *int) error {
	for _, t := range op.Inputs() {
		if t == nil {
			return fmt.Errorf("an input is missing")
		}
		if !written[t] {
			return fmt.Errorf("reads %s, which nothing wrote", t)
		}
	}
	for _, w := range op.Parameters() {
		if !known[w] {
			return fmt.Errorf("weight %s is not declared", w.Name)
		}
	}
	switch op.(type) {
	case *Logits, *Send:
		if !last {
			return fmt.Errorf("the output must be the last operation")
		}
	default:
		out := op.Output()
		if last {
			return fmt.Errorf("the last operation must be logits or send")
		}
		if out == nil || out.Width < 1 {
			return fmt.Errorf("the output is missing or has no columns")
		}
		if written[out] {
			return fmt.Errorf("%s is written twice", out)
		}
		if out.ID < 0 || out.ID >= len(n.Tensors) || n.Tensors[out.ID] != out {
			return fmt.Errorf("%s is not a tensor of the network", out)
		}
		written[out] = true
	}
	if l, ok := op.(*Logits); ok && l.In.Width < n.VocabSize {
		return fmt.Errorf("%s has fewer columns than the vocabulary of %d", l.In.describe(), n.VocabSize)
	}
	if a, ok := op.(*Attention); ok {
		if a.Layer != *layer {
			return fmt.Errorf("layer %d where %d is next", a.Layer, *layer)
		}
		*layer++
	}
	return op.check()
}

func (w *Weight) check() error {
	if len(w.Shape) < 1 || len(w.Shape) > 2 {
		return fmt.Errorf("shape %v must have one or two dimensions", w.Shape)
	}
	if slices.Min(w.Shape) < 1 {
		return fmt.Errorf("shape %v has an empty dimension", w.Shape)
	}
	switch w.Dtype {
	case Float32, Float16, BFloat16:
		return nil
	case Float8:
		if len(w.Shape) == 2 {
			return nil
		}
	case Int4:
		if len(w.Shape) == 2 && w.Shape[0]%2 == 0 {
			return nil
		}
	}
	return fmt.Errorf("dtype %q is not %s, %s or %s, nor that of a quantised linear's matrix", w.Dtype, Float32, Float16, BFloat16)
}

func shaped(w *Weight, what string, shape ...int) error {
	if w == nil {
		return fmt.Errorf("%s is missing", what)
	}
	if !slices.Equal(w.Shape, shape) {
		return fmt.Errorf("%s %s has shape %v, want %v", what, w.Name, w.Shape, shape)
	}
	return nil
}

func sameRows(in, out *Tensor) error {
	if in.Rows != out.Rows {
		return fmt.Errorf("%s and %s have rows for different tokens", in.describe(), out.describe())
	}
	return nil
}

func sameShape(in, out *Tensor) error {
	if in.Width != out.Width {
		return fmt.Errorf("%s and %s have different widths", in.describe(), out.describe())
	}
	return sameRows(in, out)
}

func (o *Embedding) check() error {
	if o.Weight == nil || len(o.Weight.Shape) != 2 {
		return fmt.Errorf("the table is missing or not a matrix")
	}
	if o.FirstID < 0 || o.Out.Rows != Tokens {
		return fmt.Errorf("first id %d and %s do not fit an embedding", o.FirstID, o.Out.describe())
	}
	return shaped(o.Weight, "table", o.Weight.Shape[0], o.Out.Width)
}

func (o *Linear) check() error {
	if err := shaped(o.Weight, "weight", o.Out.Width, o.In.Width); err != nil {
		return err
	}
	if o.Bias != nil {
		if err := shaped(o.Bias, "bias", o.Out.Width); err != nil {
			return err
		}
	}
	if err := o.Quantisation.check(o.Out.Width, o.In.Width); err != nil {
		return err
	}
	if plain := o.Weight.Dtype != Float8 && o.Weight.Dtype != Int4; !plain && o.Quantisation == nil {
		return fmt.Errorf("weight %s is %s and has no scales", o.Weight.Name, o.Weight.Dtype)
	}
	return sameRows(o.In, o.Out)
}

func (o *Norm) check() error {
	if err := shaped(o.Weight, "weight", o.In.Width); err != nil {
		return err
	}
	switch o.Kind {
	case RMSNorm:
		if o.Bias != nil {
			return fmt.Errorf("an RMS norm has no bias")
		}
	case LayerNorm:
		if err := shaped(o.Bias, "bias", o.In.Width); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown kind %q", o.Kind)
	}
	if !(o.Epsilon > 0) || !finite(o.Epsilon) {
		return fmt.Errorf("epsilon %g must be positive", o.Epsilon)
	}
	return sameShape(o.In, o.Out)
}

func (o *Attention) check() error {
	if o.Heads < 1 || o.KVHeads < 1 || o.HeadSize < 1 || o.Heads%o.KVHeads != 0 {
		return fmt.Errorf("%d heads of size %d cannot share %d KV heads", o.Heads, o.HeadSize, o.KVHeads)
	}
	if want := (o.Heads + 2*o.KVHeads) * o.HeadSize; o.In.Width != want {
		return fmt.Errorf("q‖k‖v has %d columns, want %d for %d heads, %d KV heads and head size %d", o.In.Width, want, o.Heads, o.KVHeads, o.HeadSize)
	}
	if want := o.Heads * o.HeadSize; o.Out.Width != want {
		return fmt.Errorf("the output has %d columns, want %d", o.Out.Width, want)
	}
	if !(o.Scale > 0) || !finite(o.Scale) {
		return fmt.Errorf("scale %g must be positive", o.Scale)
	}
	if o.Window < 0 {
		return fmt.Errorf("window %d is negative", o.Window)
	}
	if o.Rotary != nil {
		if err := o.Rotary.check(o.HeadSize); err != nil {
			return err
		}
	}
	if o.CacheScale != nil {
		if err := shaped(o.CacheScale, "scale of the cache", 1); err != nil {
			return err
		}
	}
	if o.In.Rows != Tokens {
		return fmt.Errorf("attention needs every token, not the selected ones")
	}
	return sameRows(o.In, o.Out)
}

func (r *Rotary) check(headSize int) error {
	if r.Dim < 2 || r.Dim%2 != 0 || r.Dim > headSize {
		return fmt.Errorf("rotary dimension %d must be even and at most the head size %d", r.Dim, headSize)
	}
	if len(r.InvFreq) != r.Dim/2 {
		return fmt.Errorf("%d inverse frequencies for rotary dimension %d", len(r.InvFreq), r.Dim)
	}
	for i, f := range r.InvFreq {
		if !(f >= 0) || !finite(f) {
			return fmt.Errorf("inverse frequency %d is %g: the rotary base %g or its %s scaling is out of range", i, f, r.Base, r.Scaling)
		}
	}
	if m := float32(r.Magnitude); !(m > 0) || !finite(m) {
		return fmt.Errorf("rotary magnitude %g must be positive", r.Magnitude)
	}
	return nil
}

func (f Function) check() error {
	switch f {
	case Silu, SquaredReLU, ReLU, Gelu, GeluTanh:
		return nil
	}
	return fmt.Errorf("unknown activation function %q", f)
}

func (o *Activation) check() error {
	if err := o.Function.check(); err != nil {
		return err
	}
	return sameShape(o.In, o.Out)
}

func (o *Gated) check() error {
	if err := o.Function.check(); err != nil {
		return err
	}
	if err := sameShape(o.In, o.Gate); err != nil {
		return err
	}
	return sameShape(o.In, o.Out)
}

func (o *Add) check() error {
	if err := sameShape(o.A, o.B); err != nil {
		return err
	}
	return sameShape(o.A, o.Out)
}

func (o *SelectLastTokens) check() error {
	if o.In.Rows != Tokens || o.Out.Rows != Selected || o.In.Width != o.Out.Width {
		return fmt.Errorf("cannot select %s from %s", o.Out.describe(), o.In.describe())
	}
	return nil
}

func (o *Logits) check() error { return nil }

func (o *AllReduce) check() error {
	if len(o.Group) < 2 {
		return fmt.Errorf("a group of %d ranks has nothing to reduce", len(o.Group))
	}
	if o.Bias != nil {
		if err := shaped(o.Bias, "bias", o.Out.Width); err != nil {
			return err
		}
	}
	return sameShape(o.In, o.Out)
}

func (o *AllGather) check() error {
	if len(o.Group) < 2 || o.Out.Width != o.In.Width*len(o.Group) {
		return fmt.Errorf("gathering %s from %d ranks does not give %s", o.In.describe(), len(o.Group), o.Out.describe())
	}
	return sameRows(o.In, o.Out)
}

func (o *Send) check() error {
	if o.To < 0 {
		return fmt.Errorf("rank %d is negative", o.To)
	}
	return nil
}

func (o *Receive) check() error {
	if o.From < 0 {
		return fmt.Errorf("rank %d is negative", o.From)
	}
	return nil
}

// String prints the network, one operation a line.
func (n *Network) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "network %s %s rank %d tp %d pp %d vocab %d hidden %d layers %d positions %d\n",
		n.Architecture, n.Dtype, n.Mapping.Rank, n.Mapping.TPSize, n.Mapping.PPSize, n.VocabSize, n.HiddenSize, n.NumLayers, n.MaxPositionEmbeddings)
	for _, op := range n.Ops {
		if out := op.Output(); out != nil {
			fmt.Fprintf(&s, "%s = ", out.describe())
		}
		s.WriteString(op.describe())
		s.WriteByte('\n')
	}
	return s.String()
}
