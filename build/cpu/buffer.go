package cpu

import (
	"slices"
	"strings"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/internal/cpuengine"
)

// pass gives from's buffer to to.
func (l *lowering) pass(from, to *network.Tensor) {
	b := l.buffer[from]
	l.buffer[to], l.owner[b] = b, to
}

// allocate returns a buffer for t: one that is free and of the same kind, or a new one.
func (l *lowering) allocate(name string, t *network.Tensor) int {
	return l.allocateWidth(name, t, t.Width)
}

func (l *lowering) allocateWidth(name string, t *network.Tensor, width int) int {
	want := cpuengine.Buffer{Width: width, Selected: l.selected, LinearInput: l.linearInput(t)}
	b := slices.IndexFunc(l.program.Buffers, func(b cpuengine.Buffer) bool {
		b.Name = ""
		return b == want
	})
	for ; b >= 0 && b < len(l.program.Buffers); b++ {
		have := l.program.Buffers[b]
		have.Name = ""
		if have == want && l.owner[b] == nil {
			break
		}
	}
	if b < 0 || b == len(l.program.Buffers) {
		b = len(l.program.Buffers)
		want.Name = bufferName(name)
		l.program.Buffers = append(l.program.Buffers, want)
	}
	l.buffer[t], l.owner[b] = b, t
	return b
}

// bufferName drops the layer's number: layers share buffers.
func bufferName(name string) string {
	var parts []string
	for _, part := range strings.Split(name, "|") {
		if fields := strings.SplitN(part, ".", 3); len(fields) == 3 && fields[0] == "layers" {
			part = fields[2]
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "|")
}

// linearInput tells whether only linears read t and what writes it may round.
func (l *lowering) linearInput(t *network.Tensor) bool {
	if !l.linearsOnly(t) {
		return false
	}
	switch l.writers[t].(type) {
	case *network.Norm, *network.Attention, *network.Activation, *network.Gated:
		return t != l.carrier
	}
	return false
}

func (l *lowering) linearsOnly(t *network.Tensor) bool {
	for _, reader := range l.readers[t] {
		switch o := l.net.Ops[reader].(type) {
		case *network.Linear:
		case *network.SelectLastTokens: // the same buffer under another name
			if !l.linearsOnly(o.Out) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// release frees the buffers of tensors that operation i was the last to read.
func (l *lowering) release(i int) {
	for _, t := range l.net.Ops[i].Inputs() {
		if l.lastUse(t) == i {
			l.free(t)
		}
	}
}

func (l *lowering) free(t *network.Tensor) {
	if b := l.buffer[t]; l.owner[b] == t {
		delete(l.owner, b)
	}
}

// matrix, vector and frequencies return the index of a section, declared when it
// is new; a vector that is absent has -1.

func (l *lowering) matrix(layout string, tensors ...*network.Weight) int {
	rows := 0
	for _, t := range tensors {
		rows += t.Shape[0]
	}
	return l.declare(weight{tensors: tensors, section: cpuengine.Section{Dtype: l.dtype, Layout: layout, Rows: rows, Cols: tensors[0].Shape[1]}})
}

// linearMatrix declares the weights of linears that are computed as one.
func (l *lowering) linearMatrix(linears ...*network.Linear) int {
	var tensors []*network.Weight
	quantised := false
	for _, o := range linears {
		tensors = append(tensors, o.Weight)
		quantised = quantised || o.Quantisation != nil
	}
	i := l.matrix(cpuengine.LayoutPanel, tensors...)
	if !quantised {
		return i
	}
	w := &l.weights[i]
	w.linears = linears
	if format := l.keeps(linears); format.Dtype != "" {
		w.kept = true
		w.section.Dtype, w.section.Group, w.section.ScaleDtype = format.Dtype, format.Group, format.ScaleDtype
	}
	return i
}

func (l *lowering) vector(tensors ...*network.Weight) int {
	if tensors[0] == nil {
		return -1
	}
	cols := 0
	for _, t := range tensors {
		cols += t.Shape[0]
	}
	return l.declare(weight{tensors: tensors, section: cpuengine.Section{Dtype: cpuengine.DtypeF32, Layout: cpuengine.LayoutRows, Rows: 1, Cols: cols}})
}

func (l *lowering) frequencies(values []float32) int {
	s := cpuengine.Section{Name: "rotary_inv_freq", Dtype: cpuengine.DtypeF32, Layout: cpuengine.LayoutRows, Rows: 1, Cols: len(values)}
	for i, w := range l.weights { // layers may differ
		if w.values != nil && slices.Equal(w.values, values) {
			return i
		}
	}
	l.weights = append(l.weights, weight{section: s, values: values})
	return len(l.weights) - 1
}

const (
	embeddingWeight = "transformer.vocab_embedding.weight"
	headWeight      = "lm_head.weight"
)

func (l *lowering) declare(w weight) int {
	var names []string
	for _, t := range w.tensors {
		name := t.Name
		if l.tied && name == headWeight {
			name = embeddingWeight
		}
		names = append(names, name)
	}
	w.section.Name = strings.Join(names, "|")
	if i, ok := l.section[w.section.Name]; ok {
		return i
	}
	l.section[w.section.Name] = len(l.weights)
	l.weights = append(l.weights, w)
	return len(l.weights) - 1
}
