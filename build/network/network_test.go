package network_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
)

var one = network.Mapping{TPSize: 1, PPSize: 1}

func header(m network.Mapping) network.Network {
	return network.Network{Architecture: "Test", Dtype: network.Float32, Mapping: m, VocabSize: 10, HiddenSize: 8, NumLayers: 1, MaxPositionEmbeddings: 16}
}

// small is a network with every operation that one rank has.
func small(t *testing.T) *network.Network {
	t.Helper()
	b := network.NewBuilder(header(one))
	x := b.Embedding("transformer.vocab_embedding", 0, 10, 8)
	qkv := b.Linear("transformer.layers.0.attention.qkv", b.LayerNorm("transformer.layers.0.input_layernorm", x, 1e-5), 16, true)
	a := b.Attention("transformer.layers.0.attention", qkv, network.Attention{Heads: 2, KVHeads: 1, KVHeadsAll: 1, HeadSize: 4, Scale: 0.5, Window: 3,
		Rotary: &network.Rotary{Dim: 4, Base: 10000, Scaling: "linear", Factor: 2, InvFreq: []float32{0.5, 0.005}, Magnitude: 1}})
	x = b.Add("transformer.layers.0.attention.residual", x, b.RowParallel("transformer.layers.0.attention.dense", a, 8, true))
	y := b.RMSNorm("transformer.layers.0.post_layernorm", x, 1e-6)
	g := b.Gated("transformer.layers.0.mlp.activation", network.Silu, b.Linear("transformer.layers.0.mlp.fc", y, 12, false), b.Linear("transformer.layers.0.mlp.gate", y, 12, false))
	x = b.Add("transformer.layers.0.mlp.residual", x, b.Linear("transformer.layers.0.mlp.proj", b.Activation("relu", network.ReLU, g), 8, false))
	x = b.AllReduce("none", b.AllGather("none", x), false)
	b.Logits(b.Linear("lm_head", b.SelectLastTokens(x), 10, false))
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

func TestPrint(t *testing.T) {
	require.Equal(t, `network Test float32 rank 0 tp 1 pp 1 vocab 10 hidden 8 layers 1 positions 16
%0[T, 8] = embedding transformer.vocab_embedding.weight[10 8]
%1[T, 8] = layer_norm %0 transformer.layers.0.input_layernorm.weight[8] + transformer.layers.0.input_layernorm.bias[8] epsilon 1e-05
%2[T, 16] = linear %1 transformer.layers.0.attention.qkv.weight[16 8] + transformer.layers.0.attention.qkv.bias[16]
%3[T, 8] = attention %2 layer 0 heads 2 kv_heads 1 head_size 4 scale 0.5 window 3 rotary 4 base 10000 linear 2
%4[T, 8] = linear %3 transformer.layers.0.attention.dense.weight[8 8] + transformer.layers.0.attention.dense.bias[8]
%5[T, 8] = add %0 %4
%6[T, 8] = rms_norm %5 transformer.layers.0.post_layernorm.weight[8] epsilon 1e-06
%7[T, 12] = linear %6 transformer.layers.0.mlp.fc.weight[12 8]
%8[T, 12] = linear %6 transformer.layers.0.mlp.gate.weight[12 8]
%9[T, 12] = gated silu %7 * %8
%10[T, 12] = relu %9
%11[T, 8] = linear %10 transformer.layers.0.mlp.proj.weight[8 12]
%12[T, 8] = add %5 %11
%13[R, 8] = select_last_tokens %12
%14[R, 10] = linear %13 lm_head.weight[10 8]
logits %14
`, small(t).String())
}

func TestWeightsAreDeclaredOnce(t *testing.T) {
	net := small(t)
	names := map[string]bool{}
	for _, w := range net.Weights {
		require.False(t, names[w.Name], w.Name)
		require.Equal(t, network.Float32, w.Dtype)
		names[w.Name] = true
	}
	require.Len(t, names, 12)

	b := network.NewBuilder(header(one))
	x := b.Embedding("transformer.vocab_embedding", 0, 10, 8)
	b.Logits(b.Linear("transformer.vocab_embedding", x, 9, false)) // a table of another shape
	_, err := b.Network()
	require.ErrorIs(t, err, network.ErrInvalid)
	require.ErrorContains(t, err, "transformer.vocab_embedding.weight is used with shapes [10 8] and [9 8]")
}

func TestMapping(t *testing.T) {
	m := network.Mapping{TPSize: 4, PPSize: 3, Rank: 6}
	require.NoError(t, m.Validate())
	require.Equal(t, 2, m.TPRank())
	require.Equal(t, 1, m.PPRank())
	require.Equal(t, []int{4, 5, 6, 7}, m.TPGroup())
	require.False(t, m.First() || m.Last())
	require.True(t, network.Mapping{TPSize: 4, PPSize: 3, Rank: 11}.Last())
	for _, bad := range []network.Mapping{{}, {TPSize: 1}, {TPSize: 1, PPSize: 1, Rank: 1}, {TPSize: 1, PPSize: 1, Rank: -1}, {TPSize: -1, PPSize: -1}} {
		require.Error(t, bad.Validate(), "%+v", bad)
	}
}

// Collectives appear where a mapping divides the model, and a bias behind a
// row-parallel linear is added after the sum.
func TestCollectives(t *testing.T) {
	m := network.Mapping{TPSize: 2, PPSize: 2, Rank: 3}
	b := network.NewBuilder(header(m))
	x := b.RowParallel("transformer.layers.0.attention.dense", b.Receive(), 8, true)
	a := b.Attention("transformer.layers.0.attention", b.Linear("transformer.layers.0.attention.qkv", x, 12, false), network.Attention{Heads: 1, KVHeads: 1, HeadSize: 4, Scale: 1})
	b.Send(b.AllGather("gather", a))
	net, err := b.Network()
	require.NoError(t, err)
	require.Equal(t, `network Test float32 rank 3 tp 2 pp 2 vocab 10 hidden 8 layers 1 positions 16
%0[T, 8] = receive from rank 1
%1[T, 8] = linear %0 transformer.layers.0.attention.dense.weight[8 8]
%2[T, 8] = all_reduce %1 group [2 3] + transformer.layers.0.attention.dense.bias[8]
%3[T, 12] = linear %2 transformer.layers.0.attention.qkv.weight[12 8]
%4[T, 4] = attention %3 layer 0 heads 1 kv_heads 1 head_size 4 scale 1
%5[T, 8] = all_gather %4 group [2 3]
send %5 to rank 5
`, net.String())
}

func find[T network.Op](t *testing.T, net *network.Network) T {
	t.Helper()
	for _, op := range net.Ops {
		if o, ok := op.(T); ok {
			return o
		}
	}
	t.Fatalf("no %T", *new(T))
	panic("unreachable")
}

// Every change makes the network wrong in one place, which the error must name.
func TestValidate(t *testing.T) {
	for i, c := range []struct {
		change func(t *testing.T, n *network.Network)
		want   string
	}{
		{func(t *testing.T, n *network.Network) { n.Ops = nil }, "no operations"},
		{func(t *testing.T, n *network.Network) { n.Ops = n.Ops[1:] }, "reads %0, which nothing wrote"},
		{func(t *testing.T, n *network.Network) { n.Ops = n.Ops[:5] }, "must be logits or send"},
		{func(t *testing.T, n *network.Network) { n.Ops = append(n.Ops, n.Ops[len(n.Ops)-1]) }, "must be the last"},
		{func(t *testing.T, n *network.Network) { n.Ops = append(n.Ops[:1:1], n.Ops...) }, "%0 is written twice"},
		{func(t *testing.T, n *network.Network) { n.Mapping.Rank = 1 }, "rank 1"},
		{func(t *testing.T, n *network.Network) { n.NumLayers = 2 }, "1 attention operations for 2 layers"},
		{func(t *testing.T, n *network.Network) { n.VocabSize = 11 }, "fewer columns than the vocabulary of 11"},
		{func(t *testing.T, n *network.Network) { n.Weights = n.Weights[1:] }, "transformer.vocab_embedding.weight is not declared"},
		{func(t *testing.T, n *network.Network) { n.Weights = append(n.Weights, n.Weights[0]) }, "declared twice"},
		{func(t *testing.T, n *network.Network) { n.Weights[0].Dtype = "int8" }, `dtype "int8"`},
		{func(t *testing.T, n *network.Network) { n.Weights[0].Shape = []int{10, 0} }, "empty dimension"},
		{func(t *testing.T, n *network.Network) { n.Weights[0].Shape = []int{1, 2, 3} }, "one or two dimensions"},
		{func(t *testing.T, n *network.Network) { n.Weights[0].Shape = []int{10} }, "not a matrix"},
		{func(t *testing.T, n *network.Network) { n.Weights[0].Shape = []int{10, 9} }, "want [10 8]"},
		{func(t *testing.T, n *network.Network) { find[*network.Embedding](t, n).FirstID = -1 }, "first id -1"},
		{func(t *testing.T, n *network.Network) { find[*network.Embedding](t, n).Out.Width = 0 }, "no columns"},
		{func(t *testing.T, n *network.Network) { find[*network.Embedding](t, n).Out.ID = 3 }, "not a tensor of the network"},
		{func(t *testing.T, n *network.Network) { find[*network.Linear](t, n).Weight.Shape[1] = 7 }, "weight transformer.layers.0.attention.qkv.weight has shape [16 7], want [16 8]"},
		{func(t *testing.T, n *network.Network) { find[*network.Linear](t, n).Bias.Shape[0] = 7 }, "bias"},
		{func(t *testing.T, n *network.Network) { find[*network.Linear](t, n).In = nil }, "input is missing"},
		{func(t *testing.T, n *network.Network) { find[*network.Norm](t, n).Bias = nil }, "bias is missing"},
		{func(t *testing.T, n *network.Network) { find[*network.Norm](t, n).Kind = network.RMSNorm }, "has no bias"},
		{func(t *testing.T, n *network.Network) { find[*network.Norm](t, n).Kind = "batch" }, "unknown kind"},
		{func(t *testing.T, n *network.Network) { find[*network.Norm](t, n).Epsilon = 0 }, "epsilon 0"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).Heads = 3 }, "q‖k‖v has 16 columns, want 20"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).KVHeads = 0 }, "cannot share"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).Scale = 0 }, "scale 0"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).Window = -1 }, "window -1"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).Layer = 1 }, "layer 1 where 0 is next"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).Rotary.Dim = 6 }, "rotary dimension 6"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).Rotary.Magnitude = 0 }, "rotary magnitude 0"},
		{func(t *testing.T, n *network.Network) {
			find[*network.Attention](t, n).Rotary.InvFreq = []float32{1, float32(math.NaN())}
		}, "inverse frequency 1 is NaN"},
		{func(t *testing.T, n *network.Network) { find[*network.Attention](t, n).Rotary.InvFreq = nil }, "0 inverse frequencies"},
		{func(t *testing.T, n *network.Network) { find[*network.Activation](t, n).Function = "sin" }, `unknown activation function "sin"`},
		{func(t *testing.T, n *network.Network) { find[*network.Gated](t, n).Gate.Width = 13 }, "want [13 8]"},
		{func(t *testing.T, n *network.Network) { g := find[*network.Gated](t, n); g.Gate = n.Tensors[0] }, "different widths"},
		{func(t *testing.T, n *network.Network) { find[*network.Add](t, n).A = n.Tensors[2] }, "different widths"},
		{func(t *testing.T, n *network.Network) {
			find[*network.SelectLastTokens](t, n).Out.Rows = network.Tokens
		}, "cannot select"},
		{func(t *testing.T, n *network.Network) { n.Tensors[14].Rows = network.Tokens }, "rows for different tokens"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			net := small(t)
			c.change(t, net)
			err := net.Validate()
			require.ErrorIs(t, err, network.ErrInvalid)
			require.ErrorContains(t, err, c.want)
		})
	}
}
