package cpu

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/internal/cpuengine"
)

// layer builds a network of one attention layer; body makes what follows it
// from the residual stream and the attention's output projection.
func layer(t *testing.T, m network.Mapping, body func(b *network.Builder, x, attended *network.Tensor) *network.Tensor) *network.Network {
	t.Helper()
	b := network.NewBuilder(network.Network{Architecture: "Test", Dtype: network.Float32, Mapping: m, VocabSize: 10, HiddenSize: 8, NumLayers: 1, MaxPositionEmbeddings: 16})
	x := b.Embedding("transformer.vocab_embedding", 0, 10, 8)
	qkv := b.Linear("qkv", b.RMSNorm("n1", x, 1e-5), 24, false)
	attended := b.Attention("attention", qkv, network.Attention{Heads: 2, KVHeads: 2, HeadSize: 4, Scale: 1})
	b.Logits(b.Linear("lm_head", body(b, x, attended), 10, false))
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

var single = network.Mapping{TPSize: 1, PPSize: 1}

func TestLowerParallelResidual(t *testing.T) {
	// Attention and MLP read the same norm and both add to the residual.
	net := layer(t, single, func(b *network.Builder, x, attended *network.Tensor) *network.Tensor {
		y := b.Linear("fc", b.RMSNorm("n2", x, 1e-5), 12, false)
		x = b.Add("r1", b.Linear("dense", attended, 8, false), x) // operands in the other order
		x = b.Add("r2", x, b.Linear("proj", b.Activation("act", network.ReLU, y), 8, false))
		return b.SelectLastTokens(b.RMSNorm("ln_f", x, 1e-5))
	})
	program, weights, err := lower(net, cpuengine.DtypeF32, false, inputNumbers{})
	require.NoError(t, err)
	accumulated := 0
	for _, o := range program.Ops {
		if o.Accumulate {
			accumulated++
			require.Equal(t, program.Ops[0].Out, o.Out)
		}
	}
	require.Equal(t, 2, accumulated)
	validate(t, program, weights)
}

// validate checks a program as a reader of the engine file would.
func validate(t *testing.T, program *cpuengine.Program, weights []weight) {
	t.Helper()
	var sections []cpuengine.Section
	for _, w := range weights {
		sections = append(sections, w.section)
	}
	require.NoError(t, program.Validate(sections))
}

func TestLowerRotariesThatDiffer(t *testing.T) {
	b := network.NewBuilder(network.Network{Architecture: "Test", Dtype: network.Float32, Mapping: single, VocabSize: 10, HiddenSize: 8, NumLayers: 3, MaxPositionEmbeddings: 16})
	x := b.Embedding("transformer.vocab_embedding", 0, 10, 8)
	for _, f := range []float32{0.5, 0.25, 0.5} {
		a := b.Attention("attention", b.Linear("qkv", x, 24, false), network.Attention{Heads: 2, KVHeads: 2, HeadSize: 4, Scale: 1,
			Rotary: &network.Rotary{Dim: 2, Base: 10, Scaling: "none", Factor: 1, InvFreq: []float32{f}, Magnitude: 1}})
		x = b.Add("r", x, b.Linear("dense", a, 8, false))
	}
	b.Logits(b.Linear("lm_head", b.SelectLastTokens(x), 10, false))
	net, err := b.Network()
	require.NoError(t, err)
	program, weights, err := lower(net, cpuengine.DtypeF32, false, inputNumbers{})
	require.NoError(t, err)
	validate(t, program, weights)
	var used []float32
	for _, o := range program.Ops {
		if o.Kind == cpuengine.OpAttention {
			used = append(used, weights[o.InvFreq].values...)
		}
	}
	require.Equal(t, []float32{0.5, 0.25, 0.5}, used)
}

// rotating builds a network of one layer whose heads of 4 values rotate.
func rotating(t *testing.T, r *network.Rotary) *network.Network {
	t.Helper()
	b := network.NewBuilder(network.Network{Architecture: "Test", Dtype: network.Float32, Mapping: single, VocabSize: 10, HiddenSize: 8, NumLayers: 1, MaxPositionEmbeddings: 16})
	x := b.Embedding("transformer.vocab_embedding", 0, 10, 8)
	attended := b.Attention("attention", b.Linear("qkv", x, 24, false), network.Attention{Heads: 2, KVHeads: 2, HeadSize: 4, Scale: 0.5, Rotary: r})
	b.Logits(b.Linear("lm_head", b.SelectLastTokens(b.Add("r", x, b.Linear("dense", attended, 8, false))), 10, false))
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

// Queries and keys that rotate whole are both larger by the magnitude, and so are
// their products by its square; values are not.
func TestLowerMagnitude(t *testing.T) {
	net := rotating(t, &network.Rotary{Dim: 4, Base: 10, Scaling: "yarn", Factor: 4, InvFreq: []float32{1, 0.25}, Magnitude: 1.5})
	program, weights, err := lower(net, cpuengine.DtypeF32, false, inputNumbers{})
	require.NoError(t, err)
	validate(t, program, weights)
	i := slices.IndexFunc(program.Ops, func(o cpuengine.Op) bool { return o.Kind == cpuengine.OpAttention })
	require.InDelta(t, 0.5*1.5*1.5, program.Ops[i].Scale, 1e-6)
}

func TestLowerRefuses(t *testing.T) {
	residual := func(b *network.Builder, x, attended *network.Tensor) *network.Tensor {
		return b.Add("r", x, b.Linear("dense", attended, 8, false))
	}
	for want, net := range map[string]*network.Network{
		"r: only the sum of a residual": layer(t, single, func(b *network.Builder, x, attended *network.Tensor) *network.Tensor {
			return b.SelectLastTokens(b.Add("r", b.RMSNorm("n2", x, 1e-5), residual(b, x, attended)))
		}),
		"twice: only the sum": layer(t, single, func(b *network.Builder, x, attended *network.Tensor) *network.Tensor {
			y := residual(b, x, attended)
			return b.SelectLastTokens(b.Add("twice", y, y))
		}),
		"own input: only the sum": layer(t, single, func(b *network.Builder, x, attended *network.Tensor) *network.Tensor {
			y := residual(b, x, attended)
			return b.SelectLastTokens(b.Add("own input", y, b.Linear("fc", y, 8, false)))
		}),
		"gated needs two linears": layer(t, single, func(b *network.Builder, x, attended *network.Tensor) *network.Tensor {
			y := residual(b, x, attended)
			return b.SelectLastTokens(b.Gated("gated", network.Silu, b.Linear("fc", y, 8, false), b.RMSNorm("n2", y, 1e-5)))
		}),
		"selects rows 0 times": layer(t, single, residual),
		"attention: yarn rotary scaling multiplies the 2 of 4 values of a head that rotate by 1.5": rotating(t,
			&network.Rotary{Dim: 2, Base: 10, Scaling: "yarn", Factor: 4, InvFreq: []float32{1}, Magnitude: 1.5}),
		"belongs to tensor or pipeline parallelism": layer(t, network.Mapping{TPSize: 2, PPSize: 1}, func(b *network.Builder, x, attended *network.Tensor) *network.Tensor {
			return b.SelectLastTokens(b.Add("r", x, b.RowParallel("dense", attended, 8, false)))
		}),
	} {
		_, _, err := lower(net, cpuengine.DtypeF32, false, inputNumbers{})
		require.ErrorIs(t, err, ErrUnsupported, want)
		require.ErrorContains(t, err, want)
	}
}
