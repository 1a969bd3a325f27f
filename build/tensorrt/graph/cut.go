package graph

import (
	"fmt"
	"maps"
	"slices"
)

// Cut takes the plugins out of a network, so that a library without them can check and
// compile all that lies between: what the plugins read become outputs, cutN.inK for input K
// of plugin N, and what they give become inputs, cutN.outK, of the types and shapes that were
// inferred. Dynamic dimensions keep their names, so that they remain equal; the rows that an
// AllGather gives get the name of its input's and a range that is as many times larger as it has ranks. Inputs of the
// network stay, also those that only plugins read: their names, types and profiles are checked too.
// The plugins' own fields and outputs are what no cut network can check.
//
// The network is not changed; the cut one shares its ops and weights.
func Cut(net *Network) (*Network, error) {
	c := cutter{tensors: map[*Tensor]*Tensor{}, given: map[*Tensor]bool{}, named: map[*Tensor]bool{}}
	c.net.Name = net.Name + ".cut"
	for _, ranges := range net.Profiles {
		c.net.Profiles = append(c.net.Profiles, maps.Clone(ranges))
	}
	for _, in := range net.Inputs {
		in.Tensor = c.tensor(in.Tensor)
		c.given[in.Tensor] = true
		c.net.Inputs = append(c.net.Inputs, in)
	}
	plugins := 0
	for _, l := range net.Layers {
		if _, ok := l.Op.(Plugin); ok {
			c.cut(plugins, l)
			plugins++
			continue
		}
		c.net.Layers = append(c.net.Layers, c.layer(l))
	}
	// An output that a plugin gave is an input now.
	for _, out := range net.Outputs {
		if t := c.tensors[out.Tensor]; !c.given[t] {
			c.output(out.Name, t)
		}
	}
	if err := c.net.Validate(); err != nil {
		return nil, err
	}
	return &c.net, nil
}

type cutter struct {
	net     Network
	tensors map[*Tensor]*Tensor // of the network to those of the cut one
	given   map[*Tensor]bool    // inputs and constants: nothing is computed that could be an output
	named   map[*Tensor]bool    // outputs already
}

// tensor copies a tensor.
func (c *cutter) tensor(from *Tensor) *Tensor {
	to := *from
	to.ID, to.Shape = len(c.net.Tensors), slices.Clone(from.Shape)
	c.net.Tensors = append(c.net.Tensors, &to)
	c.tensors[from] = &to
	return &to
}

func (c *cutter) layer(l Layer) Layer {
	_, constant := l.Op.(Constant)
	to := Layer{Name: l.Name, Op: l.Op}
	for _, in := range l.Inputs {
		to.Inputs = append(to.Inputs, c.tensors[in]) // nil stays nil
	}
	for _, out := range l.Outputs {
		t := c.tensor(out)
		t.Name = ""
		c.given[t] = constant
		to.Outputs = append(to.Outputs, t)
	}
	return to
}

func (c *cutter) output(name string, t *Tensor) {
	if c.named[t] {
		return
	}
	c.named[t] = true
	t.Name = name
	c.net.Outputs = append(c.net.Outputs, Output{name, t})
}

// cut ends the network before plugin n and lets it begin again behind.
func (c *cutter) cut(n int, l Layer) {
	for k, in := range l.Inputs {
		if t := c.tensors[in]; in != nil && !c.given[t] {
			c.output(fmt.Sprintf("cut%d.in%d", n, k), t)
		}
	}
	for k, out := range l.Outputs {
		t := c.tensor(out)
		t.Name = fmt.Sprintf("cut%d.out%d", n, k)
		if len(t.Shape) > 0 && t.Shape[0].Size < 0 && t.Shape[0].Name == "" {
			t.Shape[0] = c.gathered(l)
		}
		c.given[t] = true
		c.net.Inputs = append(c.net.Inputs, Input{Tensor: t})
	}
}

// gathered is the first dimension of what an AllGather gives: its input's, once for each rank.
func (c *cutter) gathered(l Layer) Dim {
	ranks := int64(0)
	for _, f := range l.Op.Fields() {
		if f.Name == "group" {
			ranks = int64(f.Length())
		}
	}
	if ranks == 0 || l.Inputs[0] == nil || len(l.Inputs[0].Shape) == 0 {
		return Dynamic("") // has no range, which Validate tells
	}
	rows := l.Inputs[0].Shape[0].Name
	name := fmt.Sprintf("%s_of_%d_ranks", rows, ranks)
	for _, ranges := range c.net.Profiles {
		if r, ok := ranges[rows]; ok {
			ranges[name] = Range{r.Min * ranks, r.Opt * ranks, r.Max * ranks}
		}
	}
	return Dynamic(name)
}
