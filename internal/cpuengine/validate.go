package cpuengine

import (
	"errors"
	"fmt"
	"math"
)

// MaxHeadSize is the largest head that the kernels take.
const MaxHeadSize = 512

// ErrProgram is wrapped by every error of [Program.Validate].
var ErrProgram = errors.New("invalid program")

// Validate checks that the program may be run without looking again: indices
// and widths agree with buffers and sections, no buffer is read before it is
// written, the KV caches are each written by one operation, rows are selected
// once and the last operation writes the logits. Errors wrap [ErrProgram].
func (p *Program) Validate(sections []Section) error {
	v := validator{Program: p, sections: sections, written: make([]bool, len(p.Buffers)), rounded: make(map[int]float32), layers: make(map[int]bool)}
	if err := v.sizes(); err != nil {
		return fmt.Errorf("%w: %w", ErrProgram, err)
	}
	for i := range p.Ops {
		if err := v.op(&p.Ops[i]); err != nil {
			return fmt.Errorf("%w: operation %d, %s %q: %w", ErrProgram, i, p.Ops[i].Kind, p.Ops[i].Name, err)
		}
	}
	if err := v.end(); err != nil {
		return fmt.Errorf("%w: %w", ErrProgram, err)
	}
	return nil
}

type validator struct {
	*Program
	sections []Section
	written  []bool
	rounded  map[int]float32 // InputScale of what last read a LinearInput buffer
	layers   map[int]bool
	selected bool
}

func (v *validator) sizes() error {
	for _, s := range []struct {
		name  string
		value int
	}{
		{"vocab_size", v.VocabSize}, {"hidden_size", v.HiddenSize}, {"num_layers", v.NumLayers}, {"max_position_embeddings", v.MaxPositionEmbeddings},
	} {
		if s.value < 1 || s.value > math.MaxInt32 {
			return fmt.Errorf("%s is %d, want 1 … %d", s.name, s.value, math.MaxInt32)
		}
	}
	if plainSize(v.WeightDtype) == 0 {
		return fmt.Errorf("weight_dtype %q is not %s, %s or %s", v.WeightDtype, DtypeF32, DtypeBF16, DtypeF16)
	}
	switch v.KVCacheDtype {
	case "", DtypeInt8, DtypeFP8:
	default:
		return fmt.Errorf("kv_cache_dtype %q is not %s or %s", v.KVCacheDtype, DtypeInt8, DtypeFP8)
	}
	if len(v.Ops) == 0 {
		return errors.New("there are no operations")
	}
	for i, b := range v.Buffers {
		if b.Width < 1 || b.Width > math.MaxInt32-PanelRows {
			return fmt.Errorf("buffer %d %q has width %d", i, b.Name, b.Width)
		}
	}
	return nil
}

func (v *validator) end() error {
	last := &v.Ops[len(v.Ops)-1]
	if last.Kind != OpLinear || !v.selected || v.Buffers[last.Out].Width != v.VocabSize || last.Accumulate {
		return fmt.Errorf("the last operation is %s %q, want a linear that writes %d logits for selected rows", last.Kind, last.Name, v.VocabSize)
	}
	if v.Buffers[last.Out].LinearInput {
		return fmt.Errorf("the logits are in a linear_input buffer")
	}
	if len(v.layers) != v.NumLayers {
		return fmt.Errorf("%d attention operations for %d layers", len(v.layers), v.NumLayers)
	}
	return nil
}

func (v *validator) op(o *Op) error {
	if err := v.buffers(o); err != nil {
		return err
	}
	var err error
	switch o.Kind {
	case OpEmbedding:
		err = v.embedding(o)
	case OpNorm:
		err = v.norm(o)
	case OpLinear:
		err = v.linear(o)
	case OpAttention:
		err = v.attention(o)
	case OpActivation:
		err = v.activation(o)
	case OpSelect:
		err = v.selection(o)
	default:
		err = errors.New("unknown kind")
	}
	if err != nil {
		return err
	}
	v.written[o.Out] = true
	delete(v.rounded, o.Out)
	return nil
}

// buffers checks what all kinds have in common.
func (v *validator) buffers(o *Op) error {
	if o.Out < 0 || o.Out >= len(v.Buffers) {
		return fmt.Errorf("out is %d, there are %d buffers", o.Out, len(v.Buffers))
	}
	if o.Kind == OpEmbedding {
		if o.In != -1 {
			return fmt.Errorf("in is %d, an embedding has none (-1)", o.In)
		}
	} else {
		if o.In < 0 || o.In >= len(v.Buffers) {
			return fmt.Errorf("in is %d, there are %d buffers", o.In, len(v.Buffers))
		}
		if o.In == o.Out {
			return fmt.Errorf("in and out are both buffer %d", o.In)
		}
		if !v.written[o.In] {
			return fmt.Errorf("buffer %d %q is read before it is written", o.In, v.Buffers[o.In].Name)
		}
		if o.Kind != OpSelect && v.Buffers[o.In].Selected != v.selected {
			return fmt.Errorf("buffer %d %q is on the other side of the selection", o.In, v.Buffers[o.In].Name)
		}
		if o.Kind != OpLinear && v.Buffers[o.In].LinearInput {
			return fmt.Errorf("buffer %d %q is a linear_input", o.In, v.Buffers[o.In].Name)
		}
	}
	if err := v.outFactor(o); err != nil {
		return err
	}
	if v.Buffers[o.Out].Selected != (v.selected || o.Kind == OpSelect) {
		return fmt.Errorf("buffer %d %q is on the other side of the selection", o.Out, v.Buffers[o.Out].Name)
	}
	if v.Buffers[o.Out].LinearInput && (o.Kind == OpEmbedding || o.Kind == OpLinear || o.Kind == OpSelect) {
		return fmt.Errorf("buffer %d %q is a linear_input, which this kind does not write", o.Out, v.Buffers[o.Out].Name)
	}
	return nil
}

func (v *validator) outFactor(o *Op) error {
	if o.OutFactor == -1 {
		return nil
	}
	if o.Kind != OpActivation && o.Kind != OpAttention {
		return fmt.Errorf("out_factor is %d, only an attention and an activation have one", o.OutFactor)
	}
	if err := v.vector(o.OutFactor, v.Buffers[o.Out].Width); err != nil {
		return fmt.Errorf("out_factor: %w", err)
	}
	return nil
}

// section returns section i after checking its kind and shape.
func (v *validator) section(i int, dtype string, rows, cols int, layouts ...string) error {
	if i < 0 || i >= len(v.sections) {
		return fmt.Errorf("section is %d, there are %d", i, len(v.sections))
	}
	s := &v.sections[i]
	if s.Dtype != dtype || s.Rows != rows || s.Cols != cols {
		return fmt.Errorf("section %d %q is %s [%d, %d], want %s [%d, %d]", i, s.Name, s.Dtype, s.Rows, s.Cols, dtype, rows, cols)
	}
	for _, l := range layouts {
		if s.Layout == l {
			return nil
		}
	}
	return fmt.Errorf("section %d %q has layout %s, want %v", i, s.Name, s.Layout, layouts)
}

func (v *validator) vector(i, n int) error { return v.section(i, DtypeF32, 1, n, LayoutRows) }

func width(what string, b Buffer, want int) error {
	if b.Width != want {
		return fmt.Errorf("%s %q has width %d, want %d", what, b.Name, b.Width, want)
	}
	return nil
}

func (v *validator) embedding(o *Op) error {
	if err := width("out", v.Buffers[o.Out], o.Width); err != nil {
		return err
	}
	return v.section(o.Weight, v.WeightDtype, v.VocabSize, o.Width, LayoutRows, LayoutPanel)
}

func (v *validator) norm(o *Op) error {
	n := v.Buffers[o.In].Width
	if err := width("out", v.Buffers[o.Out], n); err != nil {
		return err
	}
	if !(o.Epsilon > 0) || math.IsInf(float64(o.Epsilon), 0) {
		return fmt.Errorf("epsilon is %g, want a positive number", o.Epsilon)
	}
	switch o.Norm {
	case NormRMS:
	case NormLayer:
		if err := v.vector(o.Bias, n); err != nil {
			return fmt.Errorf("bias: %w", err)
		}
	default:
		return fmt.Errorf("norm %q is not %s or %s", o.Norm, NormRMS, NormLayer)
	}
	return v.vector(o.Weight, n)
}

func (v *validator) linear(o *Op) error {
	if err := width("in", v.Buffers[o.In], o.K); err != nil {
		return err
	}
	if err := width("out", v.Buffers[o.Out], o.N); err != nil {
		return err
	}
	if err := v.inputScale(o); err != nil {
		return err
	}
	if o.Accumulate && !v.written[o.Out] {
		return fmt.Errorf("buffer %d %q is added to before it is written", o.Out, v.Buffers[o.Out].Name)
	}
	if o.Bias != -1 {
		if err := v.vector(o.Bias, o.N); err != nil {
			return fmt.Errorf("bias: %w", err)
		}
	}
	return v.section(o.Weight, v.linearDtype(o.Weight), o.N, o.K, LayoutPanel)
}

// linearDtype is the dtype that the weight of a linear should have: any quantised one,
// or that of the program.
func (v *validator) linearDtype(section int) string {
	if section >= 0 && section < len(v.sections) {
		switch dtype := v.sections[section].Dtype; dtype {
		case DtypeInt8, DtypeInt4, DtypeFP8:
			return dtype
		}
	}
	return v.WeightDtype
}

// inputScale checks that an input is rounded in one way, and where it may be: the
// runner does it in place.
func (v *validator) inputScale(o *Op) error {
	if !(o.InputScale >= 0) || math.IsInf(float64(o.InputScale), 0) {
		return fmt.Errorf("input_scale is %g, want 0 or a positive number", o.InputScale)
	}
	in := v.Buffers[o.In]
	if o.InputScale > 0 && !in.LinearInput {
		return fmt.Errorf("input_scale rounds buffer %d %q, which is no linear_input", o.In, in.Name)
	}
	if other, read := v.rounded[o.In]; read && other != o.InputScale {
		return fmt.Errorf("buffer %d %q is read with input_scale %g and %g", o.In, in.Name, other, o.InputScale)
	}
	v.rounded[o.In] = o.InputScale
	return nil
}

func (v *validator) attention(o *Op) error {
	if o.Layer < 0 || o.Layer >= v.NumLayers || v.layers[o.Layer] {
		return fmt.Errorf("layer is %d, want each of 0 … %d once", o.Layer, v.NumLayers-1)
	}
	v.layers[o.Layer] = true
	if v.selected {
		return errors.New("attention stands behind the selection of rows")
	}
	if o.HeadSize < 2 || o.HeadSize > MaxHeadSize || o.HeadSize%2 != 0 {
		return fmt.Errorf("head_size is %d, want an even number up to %d", o.HeadSize, MaxHeadSize)
	}
	const most = math.MaxInt32 / MaxHeadSize / 4
	if o.Heads < 1 || o.KVHeads < 1 || o.Heads > most || o.KVHeads > most || o.Heads%o.KVHeads != 0 {
		return fmt.Errorf("%d heads cannot share %d kv_heads", o.Heads, o.KVHeads)
	}
	if err := width("in", v.Buffers[o.In], (o.Heads+2*o.KVHeads)*o.HeadSize); err != nil {
		return err
	}
	if err := width("out", v.Buffers[o.Out], o.Heads*o.HeadSize); err != nil {
		return err
	}
	if !(o.Scale > 0) || math.IsInf(float64(o.Scale), 0) {
		return fmt.Errorf("scale is %g, want a positive number", o.Scale)
	}
	if quantised := v.KVCacheDtype != ""; quantised != (o.KVScale > 0) || math.IsInf(float64(o.KVScale), 0) || o.KVScale != o.KVScale {
		return fmt.Errorf("kv_scale is %g with kv_cache_dtype %q, want a positive number with one and 0 without", o.KVScale, v.KVCacheDtype)
	}
	if o.Window < 0 || o.Window > math.MaxInt32 {
		return fmt.Errorf("window is %d", o.Window)
	}
	if o.RotaryDim < 0 || o.RotaryDim > o.HeadSize || o.RotaryDim%2 != 0 {
		return fmt.Errorf("rotary_dim is %d, want an even number up to head_size %d", o.RotaryDim, o.HeadSize)
	}
	if o.RotaryDim == 0 {
		return nil
	}
	return v.vector(o.InvFreq, o.RotaryDim/2)
}

func (v *validator) activation(o *Op) error {
	switch o.Function {
	case FunctionSilu, FunctionSquaredReLU, FunctionReLU, FunctionGelu, FunctionGeluTanh:
	default:
		return fmt.Errorf("unknown function %q", o.Function)
	}
	in := o.Width
	if o.Gated {
		in = 2 * o.Width
	}
	if err := width("out", v.Buffers[o.Out], o.Width); err != nil {
		return err
	}
	return width("in", v.Buffers[o.In], in)
}

func (v *validator) selection(o *Op) error {
	if v.selected {
		return errors.New("rows are selected a second time")
	}
	if v.Buffers[o.In].Selected {
		return fmt.Errorf("buffer %d %q has selected rows already", o.In, v.Buffers[o.In].Name)
	}
	v.selected = true
	if err := width("in", v.Buffers[o.In], o.Width); err != nil {
		return err
	}
	return width("out", v.Buffers[o.Out], o.Width)
}
