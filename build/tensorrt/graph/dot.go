package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteDOT writes the network in the language of Graphviz, to be drawn by dot -Tsvg: a box for
// each layer, in a frame for each module of the model, and an arrow for each tensor, with type and shape.
// Constants stand inside the layers that read them.
func (n *Network) WriteDOT(w io.Writer) error {
	d := &drawing{w: bufio.NewWriter(w), writer: map[*Tensor]string{}, constants: map[*Tensor]string{}}
	fmt.Fprintf(d.w, "digraph %s {\n  node [shape=box, fontname=\"monospace\", fontsize=10];\n  edge [fontname=\"monospace\", fontsize=9];\n", quote(n.Name))
	for i, in := range n.Inputs {
		id := fmt.Sprintf("input%d", i)
		if in.Weight != nil { // as a constant
			d.constants[in.Tensor] = in.Tensor.Name
			continue
		}
		d.writer[in.Tensor] = id
		fmt.Fprintf(d.w, "  %s [shape=ellipse, label=%s];\n", id, quote(in.Tensor.Name))
	}
	for _, l := range n.Layers {
		if c, ok := l.Op.(Constant); ok {
			d.constants[l.Outputs[0]] = c.Weights.Name
		}
	}
	for first := 0; first < len(n.Layers); {
		last := first + 1
		for last < len(n.Layers) && module(n.Layers[last].Name) == module(n.Layers[first].Name) {
			last++
		}
		d.module(n.Layers, first, last)
		first = last
	}
	for i, l := range n.Layers {
		d.arrows(i, l)
	}
	for i, out := range n.Outputs {
		fmt.Fprintf(d.w, "  output%d [shape=ellipse, label=%s];\n", i, quote(out.Name))
		d.arrow(out.Tensor, fmt.Sprintf("output%d", i))
	}
	fmt.Fprintln(d.w, "}")
	return d.w.Flush() // the first error of all
}

type drawing struct {
	w         *bufio.Writer
	writer    map[*Tensor]string // node
	constants map[*Tensor]string // name
}

// module is a layer's name without its kind.
func module(layer string) string { return layer[:max(strings.LastIndexByte(layer, '/'), 0)] }

// module writes a frame with the layers from first to before last.
func (d *drawing) module(layers []Layer, first, last int) {
	begun := false
	for i := first; i < last; i++ {
		l := layers[i]
		if _, ok := l.Op.(Constant); ok {
			continue
		}
		if !begun {
			fmt.Fprintf(d.w, "  subgraph cluster%d {\n    label=%s;\n", first, quote(module(l.Name)))
			begun = true
		}
		for _, out := range l.Outputs {
			d.writer[out] = fmt.Sprintf("layer%d", i)
		}
		label := []string{l.Op.Kind()}
		if p, ok := l.Op.(Plugin); ok {
			label[0] = p.Creator
		} else {
			for _, f := range l.Op.Fields() {
				label = append(label, f.String())
			}
		}
		for _, in := range l.Inputs {
			if name, ok := d.constants[in]; ok {
				label = append(label, fmt.Sprintf("%s %s%s", name, in.Type, in.Shape))
			}
		}
		fmt.Fprintf(d.w, "    layer%d [label=%s];\n", i, quote(strings.Join(label, "\n")))
	}
	if begun {
		fmt.Fprintln(d.w, "  }")
	}
}

func (d *drawing) arrows(i int, l Layer) {
	for _, in := range l.Inputs {
		if in != nil {
			d.arrow(in, fmt.Sprintf("layer%d", i))
		}
	}
}

func (d *drawing) arrow(t *Tensor, to string) {
	if _, ok := d.constants[t]; !ok {
		fmt.Fprintf(d.w, "  %s -> %s [label=%s];\n", d.writer[t], to, quote(string(t.Type)+t.Shape.String()))
	}
}

// quote makes a string of DOT's, whose only escapes are these.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
