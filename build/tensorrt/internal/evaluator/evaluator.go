package evaluator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// Options say where a network runs.
type Options struct {
	// Source has the tensors of the checkpoint that weights are made of.
	Source graph.Source
	// Typed rounds every tensor to its type. Otherwise Half and BF16 keep float32, so
	// that results can be compared as tightly as float32's; FP8 and integers are
	// always rounded to, because Quantize is.
	Typed bool
	// Memory is what the pool pointers of a paged cache point to.
	Memory *Memory
	// World connects the ranks that are evaluated together, of which this is Rank;
	// nil where there is one.
	World *World
	Rank  int
	// Observe, when not nil, sees what each layer took and gave, Bound what a run begins with.
	Observe func(l *graph.Layer, in, out []*Tensor)
	Bound   func(inputs map[string]*Tensor)
}

// Evaluator computes one network. It is used by one goroutine.
type Evaluator struct {
	Options
	net     *graph.Network
	weights map[*graph.Weights]*Tensor
}

// New reads the weights of a network.
func New(net *graph.Network, o Options) (*Evaluator, error) {
	e := &Evaluator{Options: o, net: net, weights: map[*graph.Weights]*Tensor{}}
	for _, w := range net.Weights() {
		raw, err := w.Values(o.Source)
		if err != nil {
			return nil, err
		}
		if e.weights[w], err = decode(w.Type, w.Shape, raw); err != nil {
			return nil, fmt.Errorf("weights %s: %w", w.Name, err)
		}
	}
	return e, nil
}

// run is one execution.
type run struct {
	*Evaluator
	values map[*graph.Tensor]*Tensor
	sizes  map[string]int64 // of named dimensions
}

// Run computes the outputs. Every input but weights must be there, and no other.
func (e *Evaluator) Run(inputs map[string]*Tensor) (map[string]*Tensor, error) {
	r := &run{Evaluator: e, values: map[*graph.Tensor]*Tensor{}, sizes: map[string]int64{}}
	if err := r.bind(inputs); err != nil {
		return nil, err
	}
	if e.Bound != nil {
		e.Bound(inputs)
	}
	for i := range e.net.Layers {
		if err := r.layer(&e.net.Layers[i]); err != nil {
			return nil, fmt.Errorf("layer %s: %w", e.net.Layers[i].Name, err)
		}
	}
	outputs := map[string]*Tensor{}
	for _, out := range e.net.Outputs {
		outputs[out.Name] = r.values[out.Tensor]
	}
	return outputs, nil
}

// bind checks what the runtime hands over: names, types, ranks, and that a profile has
// room for all shapes.
func (r *run) bind(inputs map[string]*Tensor) error {
	left := maps.Clone(inputs)
	for _, in := range r.net.Inputs {
		t := in.Tensor
		if in.Weight != nil {
			r.values[t] = r.weights[in.Weight]
			continue
		}
		v, ok := inputs[t.Name]
		if !ok {
			return fmt.Errorf("input %s, %s%s, is not bound", t.Name, t.Type, t.Shape)
		}
		delete(left, t.Name)
		if v.Type != t.Type || int64(v.Elements()) != volume(v.Shape) {
			return fmt.Errorf("input %s is %s with %d elements, want %s%s", t.Name, v, v.Elements(), t.Type, t.Shape)
		}
		if err := r.fits(t.Shape, v.Shape); err != nil {
			return fmt.Errorf("input %s: %w", t.Name, err)
		}
		r.values[t] = v
	}
	if len(left) > 0 {
		return fmt.Errorf("the network has no input %s", strings.Join(slices.Sorted(maps.Keys(left)), ", "))
	}
	return r.profile(inputs)
}

// profile looks for a profile that every input fits.
func (r *run) profile(inputs map[string]*Tensor) error {
	var why error
	for p := range r.net.Profiles {
		if why = r.fitsProfile(p, inputs); why == nil {
			return nil
		}
	}
	return why
}

func (r *run) fitsProfile(p int, inputs map[string]*Tensor) error {
	for _, in := range r.net.Inputs {
		if in.Weight != nil {
			continue
		}
		least, _, most, err := r.net.Bounds(p, in)
		if err != nil {
			return err
		}
		for i, n := range inputs[in.Tensor.Name].Shape {
			if n < least[i] || n > most[i] {
				return fmt.Errorf("profile %d: dimension %d of input %s is %d, outside %d … %d", p, i, in.Tensor.Name, n, least[i], most[i])
			}
		}
	}
	return nil
}

// fits compares the sizes that came with those that the network says; a name gets its
// size where it is first seen.
func (r *run) fits(want graph.Shape, got []int64) error {
	if len(want) != len(got) {
		return fmt.Errorf("the shape is %v, want %s", got, want)
	}
	for i, d := range want {
		n, known := d.Size, d.Size >= 0
		if !known && d.Name != "" {
			if n, known = r.sizes[d.Name]; !known {
				r.sizes[d.Name] = got[i]
			}
		}
		if known && n != got[i] {
			return fmt.Errorf("the shape is %v, want %s with %s = %d", got, want, d, n)
		}
	}
	return nil
}

// layer computes one layer and checks what came.
func (r *run) layer(l *graph.Layer) error {
	in := make([]*Tensor, len(l.Inputs))
	for i, t := range l.Inputs {
		if t == nil {
			continue
		}
		if in[i] = r.values[t]; in[i] == nil {
			return fmt.Errorf("input %d, %s, was not written before", i, t)
		}
	}
	out, err := r.compute(l, in)
	if err != nil {
		return err
	}
	if len(out) != len(l.Outputs) {
		return fmt.Errorf("it gives %d outputs, want %d", len(out), len(l.Outputs))
	}
	for i, t := range l.Outputs {
		if out[i].Type != t.Type {
			return fmt.Errorf("output %d is %s, want %s", i, out[i].Type, t.Type)
		}
		if err := r.fits(t.Shape, out[i].Shape); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		if r.Typed {
			out[i] = out[i].rounded()
		}
		r.values[t] = out[i]
	}
	if r.Observe != nil {
		r.Observe(l, in, out)
	}
	return nil
}

// compute chooses by the kind of layer.
func (r *run) compute(l *graph.Layer, in []*Tensor) ([]*Tensor, error) {
	switch o := l.Op.(type) {
	case graph.Constant:
		return []*Tensor{r.weights[o.Weights]}, nil
	case graph.Plugin:
		return r.plugin(l, o, in)
	}
	f, ok := map[string]func(graph.Op, []*Tensor) (*Tensor, error){
		"Cast": cast, "ElementWise": elementWise, "Unary": unary, "Activation": activation, "Select": choose,
		"MatrixMultiply": matrixMultiply, "Reduce": reduce, "Normalization": normalization,
		"Gather": gather, "Shuffle": shuffle, "Slice": slice, "Concatenation": concatenation, "Shape": shapeOf, "Fill": linspace,
		"Quantize": quantize, "Dequantize": dequantize,
		"RotaryEmbedding": rotaryEmbedding, "KVCacheUpdate": kvCacheUpdate, "Attention": attention,
	}[l.Op.Kind()]
	if !ok {
		return nil, fmt.Errorf("the evaluator has no %s", l.Op.Kind())
	}
	out, err := f(l.Op, in)
	if err != nil {
		return nil, err
	}
	return []*Tensor{out}, nil
}
