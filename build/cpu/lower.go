package cpu

import (
	"errors"
	"fmt"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/internal/cpuengine"
)

// ErrUnsupported is wrapped by errors about what the CPU backend cannot run.
var ErrUnsupported = errors.New("the CPU backend cannot run this")

// weight is a section of the engine and where its values come from.
type weight struct {
	section cpuengine.Section
	tensors []*network.Weight // of the checkpoint, one below the other
	linears []*network.Linear // those that the tensors belong to, where one is quantised
	kept    bool              // the section has the linears' numbers, with their scales
	factor  []float32         // what the values of a vector are multiplied by; nil for nothing
	values  []float32         // in place of tensors: the rotary frequencies
}

// lowering turns a network into a program. Tensors are written once, buffers
// again and again: owner tells which tensor a buffer holds at the moment.
type lowering struct {
	net     *network.Network
	dtype   string // of linear weights that are not kept as numbers
	inputs  inputNumbers
	tied    bool // embedding and head are equal
	program cpuengine.Program
	weights []weight
	section map[string]int // by name

	writers map[*network.Tensor]network.Op
	readers map[*network.Tensor][]int // indices of operations
	buffer  map[*network.Tensor]int
	owner   map[int]*network.Tensor
	done    map[network.Op]bool // lowered together with an earlier one

	cut      int             // the selection stands behind this operation …
	carrier  *network.Tensor // … which is the last use of all tensors but this
	selected bool
}

// lower makes the program and lists its weights. dtype is that of linear weights which
// are not quantised.
func lower(net *network.Network, dtype string, tied bool, inputs inputNumbers) (*cpuengine.Program, []weight, error) {
	l := &lowering{
		net: net, dtype: dtype, tied: tied, inputs: inputs, section: map[string]int{}, readers: map[*network.Tensor][]int{}, writers: map[*network.Tensor]network.Op{},
		buffer: map[*network.Tensor]int{}, owner: map[int]*network.Tensor{}, done: map[network.Op]bool{},
		program: cpuengine.Program{
			VocabSize: net.VocabSize, HiddenSize: net.HiddenSize, NumLayers: net.NumLayers,
			MaxPositionEmbeddings: net.MaxPositionEmbeddings, WeightDtype: dtype,
		},
	}
	for i, op := range net.Ops {
		for _, t := range op.Inputs() {
			l.readers[t] = append(l.readers[t], i)
		}
		if t := op.Output(); t != nil {
			l.writers[t] = op
		}
	}
	if err := l.placeSelection(); err != nil {
		return nil, nil, err
	}
	for i, op := range net.Ops {
		if err := l.op(i, op); err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrUnsupported, op.OpName(), err)
		}
		if i == l.cut {
			l.selectRows()
		}
		l.release(i)
	}
	return &l.program, l.weights, nil
}

// placeSelection finds the first operation from the last attention on behind
// which a single tensor is still needed. All that follows works row by row, so
// the rows may be selected there.
func (l *lowering) placeSelection() error {
	selections, last := 0, 0
	for i, op := range l.net.Ops {
		switch op.(type) {
		case *network.Attention:
			last = i
			if selections > 0 {
				return fmt.Errorf("%w: %s stands behind the selection of rows", ErrUnsupported, op.OpName())
			}
		case *network.SelectLastTokens:
			selections++
		}
	}
	if selections != 1 {
		return fmt.Errorf("%w: the network selects rows %d times, want once", ErrUnsupported, selections)
	}
	for i := last; i < len(l.net.Ops); i++ {
		var alive []*network.Tensor
		for _, op := range l.net.Ops[:i+1] {
			if t := op.Output(); t != nil && l.lastUse(t) > i {
				alive = append(alive, t)
			}
		}
		if len(alive) == 1 {
			l.cut, l.carrier = i, alive[0]
			return nil
		}
	}
	return fmt.Errorf("%w: no single tensor leads to the logits", ErrUnsupported)
}

func (l *lowering) lastUse(t *network.Tensor) int {
	if r := l.readers[t]; len(r) > 0 {
		return r[len(r)-1]
	}
	return -1
}

func (l *lowering) op(i int, op network.Op) error {
	if l.done[op] {
		return nil
	}
	switch o := op.(type) {
	case *network.Embedding:
		return l.embedding(o)
	case *network.Norm:
		l.norm(o)
		return nil
	case *network.Linear:
		return l.linear(i, o)
	case *network.Attention:
		return l.attention(o)
	case *network.Activation:
		op := l.emit(cpuengine.OpActivation, o.Name, l.buffer[o.In], l.allocate(o.Name, o.Out))
		op.Function, op.Width, op.OutFactor = string(o.Function), o.In.Width, l.outFactor(o.Out)
		return nil
	case *network.Gated: // the twins' linear wrote both inputs to one buffer
		op := l.emit(cpuengine.OpActivation, o.Name, l.buffer[o.In], l.allocate(o.Name, o.Out))
		op.Function, op.Gated, op.Width, op.OutFactor = string(o.Function), true, o.In.Width, l.outFactor(o.Out)
		return nil
	case *network.Add:
		return errors.New("only the sum of a residual and a linear's output can be computed, in place")
	case *network.SelectLastTokens:
		l.pass(o.In, o.Out)
		return nil
	case *network.Logits:
		if o.In.Width != l.net.VocabSize {
			return fmt.Errorf("%d logits for a vocabulary of %d", o.In.Width, l.net.VocabSize)
		}
		return nil
	}
	return errors.New("it belongs to tensor or pipeline parallelism")
}

// emit appends an operation with nothing but kind, name and buffers set.
func (l *lowering) emit(kind cpuengine.OpKind, name string, in, out int) *cpuengine.Op {
	l.program.Ops = append(l.program.Ops, cpuengine.Op{Kind: kind, Name: name, In: in, Out: out, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1})
	return &l.program.Ops[len(l.program.Ops)-1]
}

func (l *lowering) embedding(o *network.Embedding) error {
	if rows := o.Weight.Shape[0]; rows != l.net.VocabSize || o.FirstID != 0 {
		return fmt.Errorf("the table has %d rows for a vocabulary of %d", rows, l.net.VocabSize)
	}
	layout := cpuengine.LayoutRows
	if l.tied {
		layout = cpuengine.LayoutPanel
	}
	op := l.emit(cpuengine.OpEmbedding, o.Name, -1, l.allocate(o.Name, o.Out))
	op.Weight, op.Width = l.matrix(layout, o.Weight), o.Out.Width
	return nil
}

func (l *lowering) norm(o *network.Norm) {
	op := l.emit(cpuengine.OpNorm, o.Name, l.buffer[o.In], l.allocate(o.Name, o.Out))
	var factor []float32
	if reader := l.moved(o.Out); reader != nil {
		factor = l.factor(reader)
	}
	op.Norm, op.Weight, op.Epsilon = cpuengine.NormRMS, l.scaled(l.vector(o.Weight), factor), o.Epsilon
	if o.Kind == network.LayerNorm {
		op.Norm, op.Bias = cpuengine.NormLayer, l.scaled(l.vector(o.Bias), factor)
	}
}

// scaled makes a vector's section hold its values times a factor, unless that is nil.
func (l *lowering) scaled(section int, factor []float32) int {
	if section >= 0 {
		l.weights[section].factor = factor
	}
	return section
}

// outFactor is the section of the factor that an activation or attention applies to t, or -1.
func (l *lowering) outFactor(t *network.Tensor) int {
	reader := l.moved(t)
	if reader == nil {
		return -1
	}
	return l.vector(reader.Quantisation.InputFactor)
}

func (l *lowering) attention(o *network.Attention) error {
	op := l.emit(cpuengine.OpAttention, o.Name, l.buffer[o.In], l.allocate(o.Name, o.Out))
	op.Layer, op.Heads, op.KVHeads, op.HeadSize, op.Scale, op.Window = o.Layer, o.Heads, o.KVHeads, o.HeadSize, o.Scale, o.Window
	op.OutFactor, op.KVScale = l.outFactor(o.Out), l.inputs.scales[o.CacheScale]
	r := o.Rotary
	if r == nil {
		return nil
	}
	op.RotaryDim, op.InvFreq = r.Dim, l.frequencies(r.InvFreq)
	if r.Magnitude == 1 {
		return nil
	}
	if r.Dim != o.HeadSize {
		return fmt.Errorf("%s rotary scaling multiplies the %d of %d values of a head that rotate by %g; only whole heads can be multiplied", r.Scaling, r.Dim, o.HeadSize, r.Magnitude)
	}
	op.Scale = float32(float64(o.Scale) * r.Magnitude * r.Magnitude) // once for the query, once for the key
	return nil
}

// linear lowers o alone, or with the residual's addition behind it, or with its
// twin that the same gated activation reads.
func (l *lowering) linear(i int, o *network.Linear) error {
	fc, gate, err := l.twins(o)
	if err != nil {
		return err
	}
	in := l.buffer[o.In]
	var op *cpuengine.Op
	switch add, residual := l.residual(i, o); {
	case fc != nil:
		name := fc.Name + "|" + gate.Name
		op = l.emit(cpuengine.OpLinear, name, in, l.allocateWidth(name, fc.Out, 2*fc.Out.Width))
		op.Weight, op.Bias = l.linearMatrix(fc, gate), l.vector(fc.Bias, gate.Bias)
		op.N, op.K = 2*fc.Out.Width, o.In.Width
		op.InputScale = max(l.inputScale(fc), l.inputScale(gate))
		l.done[fc], l.done[gate] = true, true
		return nil
	case add != nil:
		op = l.emit(cpuengine.OpLinear, o.Name, in, l.buffer[residual])
		op.Accumulate = true
		l.pass(residual, add.Out)
		l.done[add] = true
	default:
		op = l.emit(cpuengine.OpLinear, o.Name, in, l.allocate(o.Name, o.Out))
	}
	op.Weight, op.Bias = l.linearMatrix(o), l.vector(o.Bias)
	op.N, op.K = o.Out.Width, o.In.Width
	op.InputScale = l.inputScale(o)
	return nil
}

// inputScale is that of a linear's input, 0 where it is not rounded. Twins have one,
// though a checkpoint may give them two: the larger one loses nothing but precision.
func (l *lowering) inputScale(o *network.Linear) float32 {
	if o.Quantisation == nil || o.Quantisation.InputScale == nil {
		return 0
	}
	return l.inputs.scales[o.Quantisation.InputScale]
}

// residual returns the addition that alone reads o's output and is the last to
// read its other operand, or nil.
func (l *lowering) residual(i int, o *network.Linear) (*network.Add, *network.Tensor) {
	readers := l.readers[o.Out]
	if len(readers) != 1 {
		return nil, nil
	}
	add, ok := l.net.Ops[readers[0]].(*network.Add)
	if !ok || add.A == add.B {
		return nil, nil
	}
	other := add.A
	if other == o.Out {
		other = add.B
	}
	if _, written := l.buffer[other]; !written || other == o.In {
		return nil, nil // the other operand is still to come, or read by o itself
	}
	for _, reader := range l.readers[other] {
		if reader > i && reader != readers[0] {
			return nil, nil // it is needed unchanged
		}
	}
	return add, other
}

// twins returns the two linears that a gated activation reads when o is one of
// them, and nil when no gated activation reads o.
func (l *lowering) twins(o *network.Linear) (fc, gate *network.Linear, err error) {
	for _, reader := range l.readers[o.Out] {
		g, ok := l.net.Ops[reader].(*network.Gated)
		if !ok {
			continue
		}
		fc, gate = l.writer(g.In), l.writer(g.Gate)
		if fc == nil || gate == nil || fc == gate || fc.In != gate.In || (fc.Bias == nil) != (gate.Bias == nil) ||
			len(l.readers[g.In]) != 1 || len(l.readers[g.Gate]) != 1 {
			return nil, nil, fmt.Errorf("%s needs two linears of one tensor that nothing else reads", g.Name)
		}
		return fc, gate, nil
	}
	return nil, nil, nil
}

func (l *lowering) writer(t *network.Tensor) *network.Linear {
	o, _ := l.writers[t].(*network.Linear)
	return o
}

// selectRows appends the selection: the carrier moves to a buffer of selected rows.
func (l *lowering) selectRows() {
	from := l.buffer[l.carrier]
	l.selected = true
	l.free(l.carrier)
	l.emit(cpuengine.OpSelect, "select_last_tokens", from, l.allocate("selected", l.carrier)).Width = l.carrier.Width
}
