package network_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
)

// quantised is a network whose linears but the head have one scheme.
func quantised(t *testing.T, s network.Scheme) *network.Network {
	t.Helper()
	b := network.NewBuilder(header(one))
	b.Quantise(func(module string) network.Scheme {
		if module == "lm_head" {
			return network.Scheme{}
		}
		return s
	}, true)
	x := b.Embedding("transformer.vocab_embedding", 0, 10, 8)
	a := b.Attention("transformer.layers.0.attention", b.Linear("transformer.layers.0.attention.qkv", x, 16, true), network.Attention{Heads: 2, KVHeads: 1, HeadSize: 4, Scale: 1})
	b.Logits(b.Linear("lm_head", b.SelectLastTokens(a), 10, false))
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

func TestQuantisedWeights(t *testing.T) {
	type weight struct {
		dtype  network.Dtype
		stored []int
	}
	list := func(net *network.Network) map[string]weight {
		weights := map[string]weight{}
		for _, w := range net.Weights {
			weights[w.Name] = weight{w.Dtype, w.Stored()}
		}
		return weights
	}
	const qkv = "transformer.layers.0.attention.qkv"
	shared := map[string]weight{
		"transformer.vocab_embedding.weight": {network.Float32, []int{10, 8}}, qkv + ".bias": {network.Float32, []int{16}}, "lm_head.weight": {network.Float32, []int{10, 8}},
		"transformer.layers.0.attention.kv_cache_scaling_factor": {network.Float32, []int{1}},
	}
	for _, c := range []struct {
		scheme network.Scheme
		own    map[string]weight
	}{
		{network.Scheme{Algo: "FP8"}, map[string]weight{qkv + ".weight": {network.Float8, []int{16, 8}},
			qkv + ".weights_scaling_factor": {network.Float32, []int{1}}, qkv + ".activation_scaling_factor": {network.Float32, []int{1}}}},
		{network.Scheme{Algo: "W4A16_AWQ", Group: 4, ScalesInput: true}, map[string]weight{qkv + ".weight": {network.Int4, []int{8, 8}},
			qkv + ".weights_scaling_factor": {network.Float32, []int{16, 2}}, qkv + ".prequant_scaling_factor": {network.Float32, []int{8}}}},
		{network.Scheme{Algo: "W8A16"}, map[string]weight{qkv + ".weight": {network.Float32, []int{16, 8}}}},
	} {
		want := map[string]weight{}
		for name, w := range shared {
			want[name] = w
		}
		for name, w := range c.own {
			want[name] = w
		}
		require.Equal(t, want, list(quantised(t, c.scheme)))
	}
}

// Every change makes the network wrong in one place, which the error must name.
func TestValidateQuantised(t *testing.T) {
	fp8, awq := network.Scheme{Algo: "FP8"}, network.Scheme{Algo: "W4A16_AWQ", Group: 4, ScalesInput: true}
	for _, c := range []struct {
		scheme network.Scheme
		change func(o *network.Linear, a *network.Attention)
		want   string
	}{
		{fp8, func(o *network.Linear, _ *network.Attention) { o.Quantisation.Algo = "INT3" }, `unknown quantisation "INT3"`},
		{fp8, func(o *network.Linear, _ *network.Attention) { o.Quantisation.InputScale = nil }, "scales of weight and input"},
		{fp8, func(o *network.Linear, _ *network.Attention) { o.Quantisation.WeightScale.Shape[0] = 2 }, "scale of the weight"},
		{fp8, func(o *network.Linear, _ *network.Attention) { o.Quantisation = nil }, "float8_e4m3 and has no scales"},
		{fp8, func(_ *network.Linear, a *network.Attention) { a.CacheScale.Shape[0] = 2 }, "scale of the cache"},
		{awq, func(o *network.Linear, _ *network.Attention) { o.Quantisation.Group = 3 }, "8 inputs in groups of 3"},
		{awq, func(o *network.Linear, _ *network.Attention) { o.Quantisation.WeightScale = nil }, "need their scales"},
		{awq, func(o *network.Linear, _ *network.Attention) { o.Quantisation.InputFactor.Shape[0] = 7 }, "factor of the input"},
		{awq, func(o *network.Linear, _ *network.Attention) { o.Weight.Shape[0] = 15 }, `dtype "int4"`},
	} {
		net := quantised(t, c.scheme)
		c.change(find[*network.Linear](t, net), find[*network.Attention](t, net))
		err := net.Validate()
		require.ErrorIs(t, err, network.ErrInvalid, c.want)
		require.ErrorContains(t, err, c.want)
	}
}
