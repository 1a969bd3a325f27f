package network

import (
	"fmt"
	"slices"
	"strings"
)

// Builder appends operations to a network. The names it takes are those of
// modules in the checkpoint ("transformer.layers.0.attention.qkv"); weights are
// name+".weight" and name+".bias". It is used by one goroutine.
type Builder struct {
	net     Network
	weights map[string]*Weight
	layers  int
	err     error

	scheme func(module string) Scheme // nil where nothing is quantised
	cache  bool
}

// NewBuilder starts from the sizes of header; its Tensors, Weights and Ops are ignored.
func NewBuilder(header Network) *Builder {
	header.Tensors, header.Weights, header.Ops = nil, nil, nil
	return &Builder{net: header, weights: map[string]*Weight{}}
}

// Network returns the validated network. The builder must not be used after it.
func (b *Builder) Network() (*Network, error) {
	if b.err != nil {
		return nil, b.err
	}
	if err := b.net.Validate(); err != nil {
		return nil, err
	}
	return &b.net, nil
}

// weight returns the declared weight of that name, so that a weight that two
// operations share is one.
func (b *Builder) weight(name string, shape ...int) *Weight {
	if w, ok := b.weights[name]; ok {
		if !slices.Equal(w.Shape, shape) && b.err == nil {
			b.err = fmt.Errorf("%w: weight %s is used with shapes %v and %v", ErrInvalid, name, w.Shape, shape)
		}
		return w
	}
	w := &Weight{Name: name, Dtype: b.net.Dtype, Shape: shape}
	b.weights[name] = w
	b.net.Weights = append(b.net.Weights, w)
	return w
}

func (b *Builder) tensor(rows Rows, width int) *Tensor {
	t := &Tensor{ID: len(b.net.Tensors), Rows: rows, Width: width}
	b.net.Tensors = append(b.net.Tensors, t)
	return t
}

func (b *Builder) add(op Op) *Tensor {
	b.net.Ops = append(b.net.Ops, op)
	return op.Output()
}

func opName(name string) string { return strings.TrimPrefix(name, "transformer.") }

// Embedding appends an [Embedding] with a table of ids rows, the first being firstID.
func (b *Builder) Embedding(name string, firstID, ids, width int) *Tensor {
	return b.add(&Embedding{Name: opName(name), Weight: b.weight(name+".weight", ids, width), FirstID: firstID, Out: b.tensor(Tokens, width)})
}

// Linear appends a [Linear] with width outputs.
func (b *Builder) Linear(name string, in *Tensor, width int, bias bool) *Tensor {
	op := &Linear{Name: opName(name), In: in, Weight: b.weight(name+".weight", width, in.Width), Out: b.tensor(in.Rows, width)}
	if bias {
		op.Bias = b.weight(name+".bias", width)
	}
	b.quantised(name, op)
	return b.add(op)
}

// RMSNorm appends a [Norm] of that kind.
func (b *Builder) RMSNorm(name string, in *Tensor, epsilon float32) *Tensor {
	return b.add(&Norm{Name: opName(name), Kind: RMSNorm, In: in, Weight: b.weight(name+".weight", in.Width), Epsilon: epsilon, Out: b.tensor(in.Rows, in.Width)})
}

// LayerNorm appends a [Norm] of that kind.
func (b *Builder) LayerNorm(name string, in *Tensor, epsilon float32) *Tensor {
	return b.add(&Norm{Name: opName(name), Kind: LayerNorm, In: in, Weight: b.weight(name+".weight", in.Width), Bias: b.weight(name+".bias", in.Width),
		Epsilon: epsilon, Out: b.tensor(in.Rows, in.Width)})
}

// Attention appends a copy of op with its layer number, input and output set.
func (b *Builder) Attention(name string, in *Tensor, op Attention) *Tensor {
	op.Name, op.In, op.Out = opName(name), in, b.tensor(in.Rows, op.Heads*op.HeadSize)
	op.Layer = b.layers
	b.layers++
	if b.cache {
		op.CacheScale = b.scaleWeight(name+".kv_cache_scaling_factor", 1)
	}
	return b.add(&op)
}

// Activation appends an [Activation].
func (b *Builder) Activation(name string, f Function, in *Tensor) *Tensor {
	return b.add(&Activation{Name: opName(name), Function: f, In: in, Out: b.tensor(in.Rows, in.Width)})
}

// Gated appends a [Gated].
func (b *Builder) Gated(name string, f Function, in, gate *Tensor) *Tensor {
	return b.add(&Gated{Name: opName(name), Function: f, In: in, Gate: gate, Out: b.tensor(in.Rows, in.Width)})
}

// Add appends an [Add].
func (b *Builder) Add(name string, x, y *Tensor) *Tensor {
	return b.add(&Add{Name: opName(name), A: x, B: y, Out: b.tensor(x.Rows, x.Width)})
}

// SelectLastTokens appends a [SelectLastTokens].
func (b *Builder) SelectLastTokens(in *Tensor) *Tensor {
	return b.add(&SelectLastTokens{Name: "select_last_tokens", In: in, Out: b.tensor(Selected, in.Width)})
}

// Logits appends the output.
func (b *Builder) Logits(in *Tensor) { b.add(&Logits{Name: "logits", In: in}) }

// AllReduce appends an [AllReduce] over the rank's tensor-parallel group; bias
// adds name+".bias" after it. With one rank and no bias it returns in.
func (b *Builder) AllReduce(name string, in *Tensor, bias bool) *Tensor {
	if b.net.Mapping.TPSize == 1 && !bias {
		return in
	}
	op := &AllReduce{Name: opName(name), Group: b.net.Mapping.TPGroup(), In: in, Out: b.tensor(in.Rows, in.Width)}
	if bias {
		op.Bias = b.weight(name+".bias", in.Width)
	}
	return b.add(op)
}

// AllGather appends an [AllGather] over the rank's tensor-parallel group. With
// one rank it returns in.
func (b *Builder) AllGather(name string, in *Tensor) *Tensor {
	group := b.net.Mapping.TPGroup()
	if len(group) == 1 {
		return in
	}
	return b.add(&AllGather{Name: opName(name), Group: group, In: in, Out: b.tensor(in.Rows, in.Width*len(group))})
}

// Receive appends a [Receive] of hidden states from the previous pipeline stage.
func (b *Builder) Receive() *Tensor {
	m := b.net.Mapping
	return b.add(&Receive{Name: "receive", From: m.Rank - m.TPSize, Out: b.tensor(Tokens, b.net.HiddenSize)})
}

// Send appends a [Send] of hidden states to the next pipeline stage.
func (b *Builder) Send(in *Tensor) {
	b.add(&Send{Name: "send", To: b.net.Mapping.Rank + b.net.Mapping.TPSize, In: in})
}

// RowParallel appends a linear whose input columns are divided over the
// tensor-parallel group, and the all-reduce behind it; the bias is added once.
func (b *Builder) RowParallel(name string, in *Tensor, width int, bias bool) *Tensor {
	if b.net.Mapping.TPSize == 1 {
		return b.Linear(name, in, width, bias)
	}
	return b.AllReduce(name, b.Linear(name, in, width, false), bias)
}
