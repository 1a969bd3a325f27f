package tensorrt

import (
	"fmt"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// NativeOptions say which plugin-free engine the network becomes. All limits are set and legal.
type NativeOptions struct {
	MaxBatchSize           int
	MaxInputLen, MaxSeqLen int    // tokens of a step's row; rows of a cache
	LogitsDtype            string // float32 or float16
	GatherContextLogits    bool   // logits of every token, not only of the last ones
	WeightsInside          bool   // weights are values in the plan; otherwise inputs
	TiedHead               bool   // the head's matrix is the embedding's
}

// LowerNative returns the network of a model as TensorRT-RTX can build it: no plugins,
// attention by TensorRT's own layers. It is labelled unverified on a GPU until one has run it.
//
// The runtime has MaxBatchSize slots; a sequence stays in its slot, and a step gives each of
// the first B slots a row of S tokens, those of a shorter row padded at its end. B is at most
// MaxBatchSize, S at most MaxInputLen; one profile. T is MaxSeqLen, D the head size, V the
// vocabulary, dtype the model's. Inputs:
//
//	input_ids       INT32 [B, S]       padding: any id of the vocabulary
//	position_ids    INT32 [B, S]       of each token, from 0; padding: any number from 0 to T-1
//	write_indices   INT32 [B]          the cache's row for the first token of each slot, which is its position
//	last_token_ids  INT32 [B]          how many tokens of the row are none of padding, 1 of an idle slot; not with GatherContextLogits
//	k_cache_{i}     dtype [B, KV heads, T, D]  keys of layer i, from 0, turned; v_cache_{i} the values
//	(a weight)      by name, as [WriteManagedWeights] writes it: as in the checkpoint where it is not quantised; not with WeightsInside
//
// Outputs:
//
//	logits               [B, V], or [B, S, V] with GatherContextLogits, of LogitsDtype
//	updated_k_cache_{i}  as k_cache_{i}; updated_v_cache_{i}
//
// What the runtime must do: bind each updated cache to the address of its cache (TensorRT
// writes in place; ICudaEngine::getAliasedInputTensor tells the pair), bind the weights once, and give each
// token at position p the row p of the cache (position_ids[b, s] = write_indices[b] + s). A token
// sees rows 0 to p of its slot, the last window of them where the layer has one: what padding wrote lies
// behind and is overwritten by the token that comes there. A slot that is idle while others run takes a row of
// padding, whose write_indices must be the slot's next position. Nothing of a cache needs to be cleared,
// but its first content must be finite numbers.
//
// A slot with tokens needs write_indices[b] + S <= T, padding counted: NvInfer.h says of an update
// that ends behind the cache only that it is ignored, maybe as a whole. So a sequence near the end of its
// cache runs in a step of short rows; of an idle slot the update may be ignored.
//
// Queries and keys are turned in float32 and rounded once, whatever the dtype: tables of
// bfloat16 would lose the position beyond some hundreds of tokens. Errors wrap [ErrUnsupported].
func LowerNative(net *network.Network, o NativeOptions) (*graph.Network, error) {
	if m := net.Mapping; m.TPSize != 1 || m.PPSize != 1 {
		return nil, fmt.Errorf("%w: tp_size %d and pp_size %d without plugins, whose collectives they need: export the checkpoint with 1 and 1", ErrUnsupported, m.TPSize, m.PPSize)
	}
	if o.LogitsDtype != "float32" && o.LogitsDtype != "float16" {
		return nil, fmt.Errorf("%w: logits_dtype is %q, want float32 or float16", ErrUnsupported, o.LogitsDtype)
	}
	if min(o.MaxBatchSize, o.MaxInputLen) < 1 || o.MaxSeqLen < o.MaxInputLen {
		return nil, fmt.Errorf("%w: max_batch_size %d, max_input_len %d and max_seq_len %d", ErrUnsupported, o.MaxBatchSize, o.MaxInputLen, o.MaxSeqLen)
	}
	for _, op := range net.Ops {
		if a, ok := op.(*network.Attention); ok {
			if err := checkNative(a, net.Dtype); err != nil {
				return nil, err
			}
		}
	}
	l, err := newLowering(net, &engineconfig.Plugin{ManageWeights: !o.WeightsInside})
	if err != nil {
		return nil, err
	}
	l.tiedHead, l.managedAll = o.TiedHead, !o.WeightsInside
	p := &batched{lowering: l, o: o, masks: map[int]*graph.Tensor{}}
	l.form = p
	p.declare()
	return l.network()
}

// checkNative refuses what TensorRT-RTX's attention has not got.
func checkNative(a *network.Attention, dtype network.Dtype) error {
	switch {
	case a.CacheScale != nil:
		return fmt.Errorf("%w: %s has a quantised KV cache, and TensorRT-RTX takes caches of plain numbers only: export the checkpoint with --kv_cache_dtype none", ErrUnsupported, a.Name)
	case a.HeadSize%8 != 0 && dtype != network.Float32:
		return fmt.Errorf("%w: %s has head_size %d, and TensorRT-RTX's attention in %s needs a multiple of 8", ErrUnsupported, a.Name, a.HeadSize, dtype)
	}
	return nil
}

// batched is the plugin-free form: [batch, sequence, columns].
type batched struct {
	*lowering
	o NativeOptions

	inputIDs, positionIDs, writeIndices, lastTokenIDs *graph.Tensor
	caches                                            [][2]*graph.Tensor // keys and values of each layer

	batch, sequence graph.Dim
	sizes           *graph.Tensor         // INT64 [2]: batch and sequence
	masks           map[int]*graph.Tensor // by window
}

// declare adds the inputs, their profile, and what all layers share.
func (p *batched) declare() {
	b := p.b
	p.batch, p.sequence = graph.Dynamic("batch_size"), graph.Dynamic("sequence_length")
	p.inputIDs = b.Input("input_ids", graph.Int32, p.batch, p.sequence)
	p.positionIDs = b.Input("position_ids", graph.Int32, p.batch, p.sequence)
	p.writeIndices = b.Input("write_indices", graph.Int32, p.batch)
	if !p.o.GatherContextLogits {
		p.lastTokenIDs = b.Input("last_token_ids", graph.Int32, p.batch)
	}
	for _, op := range p.net.Ops {
		if a, ok := op.(*network.Attention); ok {
			shape := graph.Shape{p.batch, graph.Fixed(int64(a.KVHeads)), graph.Fixed(int64(p.o.MaxSeqLen)), graph.Fixed(int64(a.HeadSize))}
			p.caches = append(p.caches, [2]*graph.Tensor{
				b.Input(fmt.Sprintf("k_cache_%d", a.Layer), p.dtype, shape...), b.Input(fmt.Sprintf("v_cache_%d", a.Layer), p.dtype, shape...)})
		}
	}
	// Most steps are of one token for each slot.
	b.Profiles(map[string]graph.Range{
		p.batch.Name:    {Min: 1, Opt: int64(p.o.MaxBatchSize), Max: int64(p.o.MaxBatchSize)},
		p.sequence.Name: {Min: 1, Opt: 1, Max: int64(p.o.MaxInputLen)},
	})
	b.At("shape")
	p.sizes = b.ShapeOf(p.inputIDs)
}

func (p *batched) ids() *graph.Tensor { return p.inputIDs }

// multiply is x·wᵀ. TensorRT-RTX accumulates in float32 without being told by casts.
func (p *batched) multiply(x, w *graph.Tensor) *graph.Tensor {
	if n := len(x.Shape); n > len(w.Shape) {
		w = p.b.Reshape(w, append(make1(n-len(w.Shape)), w.Shape...)...)
	}
	return p.b.MatrixMultiply(x, graph.None, w, graph.Transpose)
}

// numbers is an INT64 vector, to be part of a shape.
func (p *batched) numbers(values ...int) *graph.Tensor {
	list := make([]float64, len(values))
	for i, v := range values {
		list[i] = float64(v)
	}
	return p.b.Scalars(graph.Int64, []int64{int64(len(values))}, list...)
}

// size is one element of sizes, [1]: 0 the batch, 1 the sequence.
func (p *batched) size(of int) *graph.Tensor {
	return p.b.Add(graph.Slice{Start: []int64{int64(of)}, Size: []int64{1}, Stride: []int64{1}, To: graph.Shape{graph.Fixed(1)}}, p.sizes)[0]
}

// selectLastTokens keeps the last token of each row that is none of padding.
func (p *batched) selectLastTokens(x *graph.Tensor) *graph.Tensor {
	if p.lastTokenIDs == nil {
		return x
	}
	// Of all tokens behind one another, row b begins with number b·S.
	first := p.b.Add(graph.Linspace{Type: graph.Int64, To: graph.Shape{p.batch}},
		p.size(0), p.b.Scalars(graph.Int64, nil, 0), p.size(1))[0]
	last := p.b.Cast(p.lastTokenIDs, graph.Int64)
	index := p.b.ElementWise(first, graph.Sum, p.b.ElementWise(last, graph.Sub, p.scalar(1, last)))
	return p.b.Gather(p.b.Reshape(x, graph.Dynamic("num_tokens"), x.Shape[2]), 0, index)
}

func (p *batched) logits(x *graph.Tensor) { p.output(x, p.o.LogitsDtype) }

// A network of one rank has none of these.

func (p *batched) allReduce(_ []int, x *graph.Tensor) *graph.Tensor { return p.collective(x) }
func (p *batched) allGather(_ []int, x *graph.Tensor) *graph.Tensor { return p.collective(x) }
func (p *batched) send(int, *graph.Tensor)                          { p.collective(nil) }
func (p *batched) receive(int) *graph.Tensor                        { return p.collective(p.inputIDs) }

func (p *batched) collective(x *graph.Tensor) *graph.Tensor {
	p.b.Fail(fmt.Errorf("%w: a collective of several ranks without plugins", ErrUnsupported))
	return x
}
