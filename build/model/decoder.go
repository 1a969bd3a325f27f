package model

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// decoder is what families of decoder-only transformers differ in.
type decoder struct {
	*checkpoint.Config
	mapping    network.Mapping
	rotaryDim  int
	activation activation
	norm       func(b *network.Builder, name string, x *network.Tensor) *network.Tensor

	// Sizes of the whole model, from the config.
	vocab, hidden, heads, kvHeads, headSize, intermediate, positions int
	rotary                                                           *network.Rotary
}

// network is the pre-norm transformer: embedding, layers of attention and MLP
// each with a residual, final norm, head.
func (d *decoder) network() (*network.Network, error) {
	d.vocab, d.hidden, d.heads, d.kvHeads = int(d.VocabSize), int(d.HiddenSize), int(d.NumAttentionHeads), int(d.NumKeyValueHeads)
	d.headSize, d.intermediate, d.positions = int(d.HeadSize), int(d.IntermediateSize), int(d.MaxPositionEmbeddings)
	d.rotary = rotary(d.rotaryDim, d.RotaryBase, d.RotaryScaling)

	first, layers := d.stage()
	b := network.NewBuilder(network.Network{
		Architecture: d.Architecture, Dtype: network.Dtype(d.Dtype), Mapping: d.mapping, VocabSize: d.vocab, HiddenSize: d.hidden,
		NumLayers: layers, MaxPositionEmbeddings: d.positions,
	})
	q := &d.Quantization
	b.Quantise(func(module string) network.Scheme {
		s := network.Scheme{Algo: d.LinearAlgo(module)}
		if s.Algo == checkpoint.W4A16AWQ {
			s.Group, s.ScalesInput = int(q.Group()), q.PreQuantScale
		}
		return s
	}, q.KVCacheQuantAlgo != "")
	var x *network.Tensor
	if d.mapping.First() {
		x = d.embedding(b)
	} else {
		x = b.Receive()
	}
	for i := range layers {
		x = d.layer(b, x, i, d.window(first+i))
	}
	if !d.mapping.Last() {
		b.Send(x)
		return b.Network()
	}
	x = b.SelectLastTokens(d.norm(b, "transformer.ln_f", x))
	rows := (d.vocab + d.mapping.TPSize - 1) / d.mapping.TPSize // the last rank's are padded
	b.Logits(b.AllGather("lm_head", b.Linear("lm_head", x, rows, false)))
	return b.Network()
}

// stage returns the first layer of the rank's pipeline stage and how many there
// are: the first layers%pp stages have one more.
func (d *decoder) stage() (first, layers int) {
	pp, stage := d.mapping.PPSize, d.mapping.PPRank()
	each, more := int(d.NumHiddenLayers)/pp, int(d.NumHiddenLayers)%pp
	if stage < more {
		return stage * (each + 1), each + 1
	}
	return stage*each + more, each
}

// window is the attention window of a layer; 0 is none. A list that is shorter
// than the model is repeated, as the runtime does.
func (d *decoder) window(layer int) int {
	if d.RuntimeDefaults == nil || len(d.RuntimeDefaults.MaxAttentionWindow) == 0 {
		return 0
	}
	windows := d.RuntimeDefaults.MaxAttentionWindow
	// max_position_embeddings is how a list says that a layer has none. A larger
	// one counts: max_seq_len may be larger still.
	if w := windows[layer%len(windows)]; w != d.MaxPositionEmbeddings && w <= math.MaxInt32 {
		return int(w)
	}
	return 0
}

func (d *decoder) embedding(b *network.Builder) *network.Tensor {
	const name = "transformer.vocab_embedding"
	tp := d.mapping.TPSize
	switch {
	case tp == 1 || !d.UseParallelEmbedding:
		return b.Embedding(name, 0, d.vocab, d.hidden)
	case d.EmbeddingShardingDim == 1:
		return b.AllGather(name, b.Embedding(name, 0, d.vocab, d.hidden/tp))
	default:
		rows := (d.vocab + tp - 1) / tp
		return b.AllReduce(name, b.Embedding(name, d.mapping.TPRank()*rows, rows, d.hidden), false)
	}
}

// layer appends layer i of this rank.
func (d *decoder) layer(b *network.Builder, x *network.Tensor, i, window int) *network.Tensor {
	name := fmt.Sprintf("transformer.layers.%d.", i)
	tp := d.mapping.TPSize
	heads, kvHeads := d.heads/tp, max(1, d.kvHeads/tp)

	qkv := b.Linear(name+"attention.qkv", d.norm(b, name+"input_layernorm", x), (heads+2*kvHeads)*d.headSize, d.AttnBias)
	attended := b.Attention(name+"attention", qkv, network.Attention{
		Heads: heads, KVHeads: kvHeads, KVHeadsAll: d.kvHeads, HeadSize: d.headSize,
		Scale: float32(1 / math.Sqrt(float64(d.headSize))), Window: window, Rotary: d.rotary,
	})
	x = b.Add(name+"attention.residual", x, b.RowParallel(name+"attention.dense", attended, d.hidden, d.AttnBias))

	normed := d.norm(b, name+"post_layernorm", x)
	hidden := b.Linear(name+"mlp.fc", normed, d.intermediate/tp, d.MLPBias)
	if d.activation.gated {
		gate := b.Linear(name+"mlp.gate", normed, d.intermediate/tp, d.MLPBias)
		hidden = b.Gated(name+"mlp.activation", d.activation.function, hidden, gate)
	} else {
		hidden = b.Activation(name+"mlp.activation", d.activation.function, hidden)
	}
	return b.Add(name+"mlp.residual", x, b.RowParallel(name+"mlp.proj", hidden, d.hidden, d.MLPBias))
}
