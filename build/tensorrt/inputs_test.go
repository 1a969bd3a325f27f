package tensorrt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

func withoutRotary(net *network.Network) {
	for _, op := range net.Ops {
		if a, ok := op.(*network.Attention); ok {
			a.Rotary = nil
		}
	}
}

// TestInputs pins name, type, shape and bounds of every input, for the first, a middle and the
// last stage.
func TestInputs(t *testing.T) {
	pinned := map[string]bool{}
	for name, c := range map[string]struct {
		rank    int
		pp      int
		options choices
	}{
		"only":         {0, 1, nil},
		"only-context": {0, 1, choices{contextLogits, beams}},
		"first":        {0, 3, choices{manyProfiles}},
		"middle":       {1, 3, nil},
		"last":         {2, 3, choices{beams, streaming}},
	} {
		g := lower(t, rank(t, "llama-gqa", c.rank, mapped(1, c.pp)), options(c.options...))
		var s strings.Builder
		for _, in := range g.Inputs {
			pinned[in.Tensor.Name] = true
			place := "device"
			if in.Host {
				place = "host"
			}
			fmt.Fprintf(&s, "%s %s%s %s", in.Tensor.Name, in.Tensor.Type, in.Tensor.Shape, place)
			for p := range g.Profiles {
				least, best, most, err := g.Bounds(p, in)
				require.NoError(t, err)
				fmt.Fprintf(&s, " %v…%v…%v", least, best, most)
			}
			s.WriteByte('\n')
		}
		golden(t, "inputs-"+name+".txt", s.String())
	}
	for _, name := range tensorrt.InputNames() {
		require.True(t, pinned[name], "no golden has the input %s", name)
	}
}

// TestTokenProfiles: the values follow from upstream's rules.
func TestTokenProfiles(t *testing.T) {
	for _, c := range []struct {
		tokens, best int
		many         bool
		want         [][3]int64
	}{
		{8192, 0, false, [][3]int64{{1, 4, 8192}}},
		{8192, 100, false, [][3]int64{{1, 100, 8192}}},
		{3, 0, false, [][3]int64{{1, 3, 3}}},
		{40, 0, true, [][3]int64{{1, 40, 40}}},
		{64, 0, true, [][3]int64{{1, 64, 64}}},
		{65, 0, true, [][3]int64{{1, 64, 64}, {64, 65, 65}}},
		{256, 0, true, [][3]int64{{1, 64, 64}, {64, 128, 128}, {128, 256, 256}}},
		{1025, 0, true, [][3]int64{{1, 64, 64}, {64, 128, 128}, {128, 256, 256}, {256, 512, 512}, {512, 1024, 1024}, {1024, 1025, 1025}}},
		{8192, 0, true, [][3]int64{{1, 64, 64}, {64, 128, 128}, {128, 256, 256}, {256, 512, 512}, {512, 1024, 1024}, {1024, 8192, 8192}}},
	} {
		g := lower(t, rank(t, "llama-gqa", 0, layers(1)), options(func(o *tensorrt.Options) {
			o.MaxNumTokens, o.OptNumTokens, o.Plugins.MultipleProfiles = c.tokens, c.best, c.many
		}))
		var got [][3]int64
		for _, p := range g.Profiles {
			require.Equal(t, p["num_tokens"], p["position_ids_num_tokens_range"])
			r := p["num_tokens"]
			got = append(got, [3]int64{r.Min, r.Opt, r.Max})
		}
		require.Equal(t, c.want, got)
	}
}

// TestBlocks: a sequence has a block more with beams, and room for a bubble where it streams.
func TestBlocks(t *testing.T) {
	for _, c := range []struct {
		length, beams int
		streaming     bool
		want          graph.Range
	}{
		{64, 1, false, graph.Range{Min: 1, Opt: 1, Max: 2}},     // 1, 32, 64 tokens
		{65, 1, false, graph.Range{Min: 1, Opt: 2, Max: 3}},     // 1, 33, 65
		{64, 2, false, graph.Range{Min: 1, Opt: 2, Max: 3}},     // 1, 48, 96
		{64, 1, true, graph.Range{Min: 1, Opt: 2, Max: 3}},      // 1, 48, 95
		{65, 1, true, graph.Range{Min: 1, Opt: 2, Max: 3}},      // 1, 48, 96
		{64, 2, true, graph.Range{Min: 1, Opt: 2, Max: 4}},      // 1, 64, 127
		{1000, 1, false, graph.Range{Min: 1, Opt: 16, Max: 32}}, // 1, 500, 1000
	} {
		g := lower(t, rank(t, "llama-gqa", 0, layers(1)), options(func(o *tensorrt.Options) {
			o.MaxSeqLen, o.MaxBeamWidth, o.Plugins.StreamingLLM = c.length, c.beams, c.streaming
		}))
		require.Equal(t, c.want, g.Profiles[0]["max_blocks_per_seq"], "%+v", c)
	}
}

// TestUnevenStages: the first stages have a layer more, and each counts its own from 0.
func TestUnevenStages(t *testing.T) {
	for r, want := range []string{"[2, 2]", "[1, 2]"} {
		g := lower(t, rank(t, "llama-gqa", r, layers(3), mapped(1, 2)), options())
		in, ok := g.Input("host_kv_cache_pool_mapping")
		require.True(t, ok)
		require.Equal(t, want, in.Tensor.Shape.String())
		require.Equal(t, "layer_idx=0", text(firstPlugins(g)["GPTAttention"])["layer_idx"])
	}
}

// TestManagedWeights: with manage_weights the matrix of every linear is an input once, as upstream
// has it, and everything else is in the plan; a head that is tied is an input of its own.
func TestManagedWeights(t *testing.T) {
	g := lower(t, rank(t, "llama-tied-llama3", 0), options(managed, tied))
	var names []string
	for _, in := range g.Inputs {
		if in.Weight != nil {
			require.Equal(t, in.Weight.Name, in.Tensor.Name)
			require.NotEmpty(t, in.Weight.From)
			names = append(names, in.Tensor.Name)
		}
	}
	require.Contains(t, names, "lm_head.weight")
	require.Contains(t, names, "transformer.layers.0.mlp.fused_fc.weight")
	for _, l := range g.Layers {
		if m, ok := l.Op.(graph.MatrixMultiply); ok {
			require.Equal(t, graph.MatrixMultiply{Op0: graph.None, Op1: graph.Transpose}, m)
			require.Contains(t, names, l.Inputs[1].Name, l.Name)
		}
	}
	sorted := slices.Sorted(slices.Values(names))
	require.Equal(t, len(names), len(slices.Compact(sorted)))
	for _, w := range g.Weights() {
		if i := slices.Index(names, w.Name); i < 0 {
			require.True(t, len(w.Shape) < 2 || len(w.From) == 0 || w.Name == "transformer.vocab_embedding.weight", w.Name)
		}
	}
}
