package benchmark

import (
	"math"
	"strconv"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// Shape is a model without weights.
type Shape struct {
	Name                                  string
	VocabSize, HiddenSize, NumLayers      int
	NumAttentionHeads, NumKeyValueHeads   int
	HeadSize, IntermediateSize, RotaryDim int
	Tied                                  bool // the head is the embedding
	Nemotron                              bool // layer norms and squared ReLU; else RMS norms and gated SiLU
}

// madeUpPositions is what engines of made-up weights are long enough for.
const madeUpPositions = 32768

// Shapes are those of models that the project is about; sizes are those of their
// config.json at Hugging Face.
var Shapes = []Shape{
	{Name: "smollm2-135m", VocabSize: 49152, HiddenSize: 576, NumLayers: 30, NumAttentionHeads: 9, NumKeyValueHeads: 3, HeadSize: 64, IntermediateSize: 1536, RotaryDim: 64, Tied: true},
	{Name: "minitron-4b", VocabSize: 256000, HiddenSize: 3072, NumLayers: 32, NumAttentionHeads: 24, NumKeyValueHeads: 8, HeadSize: 128, IntermediateSize: 9216, RotaryDim: 64, Nemotron: true},
	{Name: "minitron-8b", VocabSize: 256000, HiddenSize: 4096, NumLayers: 32, NumAttentionHeads: 48, NumKeyValueHeads: 8, HeadSize: 128, IntermediateSize: 16384, RotaryDim: 64, Nemotron: true},
	{Name: "llama-3.1-8b", VocabSize: 128256, HiddenSize: 4096, NumLayers: 32, NumAttentionHeads: 32, NumKeyValueHeads: 8, HeadSize: 128, IntermediateSize: 14336, RotaryDim: 128},
}

// Weights say how made-up weights are stored. The head and what is no linear layer is
// never quantised, as in TensorRT-LLM's checkpoints; it is bfloat16 beside quantised weights.
type Weights struct {
	Dtype string // cpuengine's
	Group int    // of int4; 0 is a scale for each output
}

// plain is the dtype of what is not quantised.
func (w Weights) plain() string {
	switch w.Dtype {
	case cpuengine.DtypeInt8, cpuengine.DtypeInt4, cpuengine.DtypeFP8:
		return cpuengine.DtypeBF16
	}
	return w.Dtype
}

func (w Weights) section(name string, rows, cols int) cpuengine.Section {
	s := cpuengine.Section{Name: name, Dtype: w.Dtype, Layout: cpuengine.LayoutPanel, Rows: rows, Cols: cols}
	if w.Group > 0 {
		s.Group, s.ScaleDtype = w.Group, cpuengine.DtypeBF16
	}
	return s
}

// A lowering collects the program and the sections of a shape, as build/cpu makes them.
type lowering struct {
	shape    Shape
	weights  Weights
	program  *cpuengine.Program
	sections []cpuengine.Section
}

// The buffers of a made-up program.
const (
	hidden = iota
	normed
	qkv
	attended
	inner
	activated
	selected
	normedSelected
	innerSelected
	activatedSelected
	logits
)

// lower gives the program of a shape.
func lower(s Shape, w Weights) *lowering {
	innerWidth := s.IntermediateSize
	if !s.Nemotron {
		innerWidth *= 2
	}
	l := &lowering{shape: s, weights: w, program: &cpuengine.Program{
		VocabSize: s.VocabSize, HiddenSize: s.HiddenSize, NumLayers: s.NumLayers, MaxPositionEmbeddings: madeUpPositions, WeightDtype: w.plain(),
		Buffers: []cpuengine.Buffer{
			hidden: {Name: "hidden", Width: s.HiddenSize}, normed: {Name: "normed", Width: s.HiddenSize, LinearInput: true},
			qkv:      {Name: "qkv", Width: (s.NumAttentionHeads + 2*s.NumKeyValueHeads) * s.HeadSize},
			attended: {Name: "attended", Width: s.NumAttentionHeads * s.HeadSize, LinearInput: true},
			inner:    {Name: "inner", Width: innerWidth}, activated: {Name: "activated", Width: s.IntermediateSize, LinearInput: true},
			selected:          {Name: "selected", Width: s.HiddenSize, Selected: true},
			normedSelected:    {Name: "normed selected", Width: s.HiddenSize, Selected: true, LinearInput: true},
			innerSelected:     {Name: "inner selected", Width: innerWidth, Selected: true},
			activatedSelected: {Name: "activated selected", Width: s.IntermediateSize, Selected: true, LinearInput: true},
			logits:            {Name: "logits", Width: s.VocabSize, Selected: true},
		},
	}}
	embedding := cpuengine.Section{Name: "transformer.vocab_embedding.weight", Dtype: w.plain(), Layout: cpuengine.LayoutRows, Rows: s.VocabSize, Cols: s.HiddenSize}
	if s.Tied {
		embedding.Layout = cpuengine.LayoutPanel
	}
	table := l.add(embedding)
	l.op(cpuengine.Op{Kind: cpuengine.OpEmbedding, Name: "vocab_embedding", In: -1, Out: hidden, Weight: table, Width: s.HiddenSize})
	frequencies := l.add(cpuengine.Section{Name: "rotary_inv_freq", Dtype: cpuengine.DtypeF32, Layout: cpuengine.LayoutRows, Rows: 1, Cols: s.RotaryDim / 2})
	for i := range s.NumLayers {
		l.layer(i, frequencies)
	}
	l.norm("ln_f", selected, normedSelected)
	head := table
	if !s.Tied {
		head = l.add(cpuengine.Section{Name: "lm_head.weight", Dtype: w.plain(), Layout: cpuengine.LayoutPanel, Rows: s.VocabSize, Cols: s.HiddenSize})
	}
	l.op(cpuengine.Op{Kind: cpuengine.OpLinear, Name: "lm_head", In: normedSelected, Out: logits, Weight: head, N: s.VocabSize, K: s.HiddenSize})
	return l
}

// layer adds a decoder layer. Behind the last attention only the wanted rows go on.
func (l *lowering) layer(i, frequencies int) {
	s, name := &l.shape, "layers."+strconv.Itoa(i)+"."
	width := s.NumAttentionHeads * s.HeadSize
	l.norm(name+"input_layernorm", hidden, normed)
	l.linear(name+"attention.qkv", normed, qkv, l.program.Buffers[qkv].Width, s.HiddenSize, false)
	l.op(cpuengine.Op{
		Kind: cpuengine.OpAttention, Name: name + "attention", In: qkv, Out: attended, Weight: -1, InvFreq: frequencies, Layer: i,
		Heads: s.NumAttentionHeads, KVHeads: s.NumKeyValueHeads, HeadSize: s.HeadSize, RotaryDim: s.RotaryDim, Scale: float32(1 / math.Sqrt(float64(s.HeadSize))),
	})
	l.linear(name+"attention.dense", attended, hidden, s.HiddenSize, width, true)
	x, n, in, out := hidden, normed, inner, activated
	if i == s.NumLayers-1 {
		l.op(cpuengine.Op{Kind: cpuengine.OpSelect, Name: "select", In: hidden, Out: selected, Weight: -1, Width: s.HiddenSize})
		x, n, in, out = selected, normedSelected, innerSelected, activatedSelected
	}
	l.norm(name+"post_layernorm", x, n)
	activation := cpuengine.Op{Kind: cpuengine.OpActivation, Name: name + "mlp", In: in, Out: out, Weight: -1, Function: cpuengine.FunctionSquaredReLU, Width: s.IntermediateSize}
	fc := name + "mlp.fc"
	if !s.Nemotron {
		activation.Function, activation.Gated = cpuengine.FunctionSilu, true
		fc += "|" + name + "mlp.gate"
	}
	l.linear(fc, n, in, l.program.Buffers[in].Width, s.HiddenSize, false)
	l.op(activation)
	l.linear(name+"mlp.proj", out, x, s.HiddenSize, s.IntermediateSize, true)
}

func (l *lowering) norm(name string, in, out int) {
	vector := cpuengine.Section{Name: name + ".weight", Dtype: cpuengine.DtypeF32, Layout: cpuengine.LayoutRows, Rows: 1, Cols: l.shape.HiddenSize}
	op := cpuengine.Op{Kind: cpuengine.OpNorm, Name: name, In: in, Out: out, Weight: l.add(vector), Norm: cpuengine.NormRMS, Epsilon: 1e-5}
	if l.shape.Nemotron {
		vector.Name = name + ".bias"
		op.Norm, op.Bias = cpuengine.NormLayer, l.add(vector)
	}
	l.op(op)
}

func (l *lowering) linear(name string, in, out, n, k int, accumulate bool) {
	l.op(cpuengine.Op{Kind: cpuengine.OpLinear, Name: name, In: in, Out: out, Weight: l.add(l.weights.section(name+".weight", n, k)), N: n, K: k, Accumulate: accumulate})
}

// op adds an operation; what it does not say is none.
func (l *lowering) op(o cpuengine.Op) {
	o.OutFactor = -1
	if o.Norm != cpuengine.NormLayer {
		o.Bias = -1
	}
	if o.Kind != cpuengine.OpAttention {
		o.InvFreq = -1
	}
	l.program.Ops = append(l.program.Ops, o)
}

func (l *lowering) add(s cpuengine.Section) int {
	l.sections = append(l.sections, s)
	return len(l.sections) - 1
}
