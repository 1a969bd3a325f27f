package graph

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by errors about a network that TensorRT would not take.
var ErrInvalid = errors.New("invalid TensorRT network")

// Range is what a dimension may be in one profile.
type Range struct{ Min, Opt, Max int64 }

// Input is an input of the network.
type Input struct {
	Tensor *Tensor
	// Host tells that the runtime gives memory of the CPU. TensorRT does not know: only
	// plugins may read it.
	Host bool
	// Weight is set where the input is a weight that the runtime binds once.
	Weight *Weights
}

// Output is an output of the network.
type Output struct {
	Name   string
	Tensor *Tensor
}

// Layer is one layer. Op says what it computes.
type Layer struct {
	Name    string
	Op      Op
	Inputs  []*Tensor // nil where an optional one is absent
	Outputs []*Tensor
}

// Network is the TensorRT network of one rank.
type Network struct {
	Name    string
	Inputs  []Input
	Tensors []*Tensor
	Layers  []Layer // in an order in which every input is written before
	Outputs []Output
	// Profiles[p] has the range of every named dynamic dimension of the inputs.
	Profiles []map[string]Range
}

// Weights lists the weights that the network's constants and inputs have, each once.
func (n *Network) Weights() []*Weights {
	var list []*Weights
	seen := map[*Weights]bool{}
	add := func(w *Weights) {
		if w != nil && !seen[w] {
			seen[w] = true
			list = append(list, w)
		}
	}
	for _, in := range n.Inputs {
		add(in.Weight)
	}
	for _, l := range n.Layers {
		if c, ok := l.Op.(Constant); ok {
			add(c.Weights)
		}
	}
	return list
}

// Input finds an input by name.
func (n *Network) Input(name string) (Input, bool) {
	for _, in := range n.Inputs {
		if in.Tensor.Name == name {
			return in, true
		}
	}
	return Input{}, false
}

// Bounds gives the least, best and largest shape of an input in profile p.
func (n *Network) Bounds(p int, in Input) (least, best, most []int64, err error) {
	for _, d := range in.Tensor.Shape {
		r := Range{d.Size, d.Size, d.Size}
		if d.Size < 0 {
			var ok bool
			if r, ok = n.Profiles[p][d.Name]; !ok {
				return nil, nil, nil, fmt.Errorf("%w: profile %d has no range for dimension %s of input %s", ErrInvalid, p, d, in.Tensor.Name)
			}
		}
		least, best, most = append(least, r.Min), append(best, r.Opt), append(most, r.Max)
	}
	return least, best, most, nil
}

// Validate checks what the builder of a network cannot see layer by layer: that
// names are unique, profiles complete and sane, and that there is an output.
func (n *Network) Validate() error {
	names := map[string]bool{}
	for _, in := range n.Inputs {
		if names[in.Tensor.Name] {
			return fmt.Errorf("%w: two inputs are called %s", ErrInvalid, in.Tensor.Name)
		}
		names[in.Tensor.Name] = true
	}
	if err := n.hostInputs(); err != nil {
		return err
	}
	if len(n.Outputs) == 0 {
		return fmt.Errorf("%w: it has no outputs", ErrInvalid)
	}
	if err := n.caches(); err != nil {
		return err
	}
	for _, out := range n.Outputs {
		if names[out.Name] {
			return fmt.Errorf("%w: two inputs or outputs are called %s", ErrInvalid, out.Name)
		}
		names[out.Name] = true
	}
	for p := range n.Profiles {
		for name, r := range n.Profiles[p] {
			if r.Min < 0 || r.Opt < r.Min || r.Max < r.Opt {
				return fmt.Errorf("%w: profile %d: dimension %s has %d, %d and %d as least, best and most", ErrInvalid, p, name, r.Min, r.Opt, r.Max)
			}
		}
		for _, in := range n.Inputs {
			if _, _, _, err := n.Bounds(p, in); err != nil {
				return err
			}
		}
	}
	return nil
}

// hostInputs checks that memory of the CPU goes to plugins only: TensorRT would read it as
// memory of the GPU.
func (n *Network) hostInputs() error {
	host := map[*Tensor]bool{}
	for _, in := range n.Inputs {
		host[in.Tensor] = in.Host
	}
	for _, l := range n.Layers {
		if _, ok := l.Op.(Plugin); ok {
			continue
		}
		for _, t := range l.Inputs {
			if host[t] {
				return fmt.Errorf("%w: layer %s reads %s, which is memory of the CPU: only plugins may", ErrInvalid, l.Name, t.Name)
			}
		}
	}
	return nil
}

// caches checks that what is written in place comes from the runtime and goes back to it.
func (n *Network) caches() error {
	input, output := map[*Tensor]bool{}, map[*Tensor]bool{}
	for _, in := range n.Inputs {
		input[in.Tensor] = true
	}
	for _, out := range n.Outputs {
		output[out.Tensor] = true
	}
	for _, l := range n.Layers {
		if _, ok := l.Op.(KVCacheUpdate); !ok {
			continue
		}
		if !input[l.Inputs[0]] {
			return fmt.Errorf("%w: layer %s: the cache %s is not an input of the network", ErrInvalid, l.Name, l.Inputs[0])
		}
		if !output[l.Outputs[0]] {
			return fmt.Errorf("%w: layer %s: the updated cache %s is not an output of the network", ErrInvalid, l.Name, l.Outputs[0])
		}
	}
	return nil
}

// String prints the network, one input, layer or output a line.
func (n *Network) String() string {
	var s strings.Builder
	for _, in := range n.Inputs {
		fmt.Fprintf(&s, "%s = input %s\n", in.Tensor, in.Tensor.Name)
	}
	for _, l := range n.Layers {
		for i, out := range l.Outputs {
			if i > 0 {
				s.WriteString(", ")
			}
			s.WriteString(out.String())
		}
		fmt.Fprintf(&s, " = %s", l.Op.Kind())
		for _, in := range l.Inputs {
			if in == nil {
				s.WriteString(" -")
			} else {
				fmt.Fprintf(&s, " %%%d", in.ID)
			}
		}
		for _, f := range l.Op.Fields() {
			fmt.Fprintf(&s, " %s", f)
		}
		fmt.Fprintf(&s, "  # %s\n", l.Name)
	}
	for _, out := range n.Outputs {
		fmt.Fprintf(&s, "output %s = %s\n", out.Name, out.Tensor)
	}
	return s.String()
}
