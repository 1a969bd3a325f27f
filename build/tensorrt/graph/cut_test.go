package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// plugged is norm, plugin, plugin, sum; the first plugin reads an input of the host's, a constant
// and a computed tensor that the second one reads too. What the last plugin gives is an output.
func plugged(t *testing.T) *graph.Network {
	t.Helper()
	b := graph.NewBuilder("rank0")
	tokens, sequences := graph.Dynamic("num_tokens"), graph.Dynamic("batch_size")
	x := b.Input("hidden_states_input", graph.BF16, tokens, graph.Fixed(8))
	host := b.HostInput("host_request_types", graph.Int32, sequences)
	b.At("first")
	y := b.ElementWise(x, graph.Sum, x)
	table := b.Constant(graph.Literal("table", graph.Float, []int64{1, 4}, make([]byte, 16)))
	wide := graph.Plugin{Creator: "GPTAttention", Version: "1", Namespace: "tensorrt_llm",
		Outputs: []graph.Tensor{{Type: graph.BF16, Shape: graph.Shape{tokens, graph.Fixed(4)}}}}
	z := b.Add(wide, y, nil, host, table)[0]
	b.At("second")
	same := graph.Plugin{Creator: "AllReduce", Version: "1", Namespace: "tensorrt_llm",
		Outputs: []graph.Tensor{{Type: graph.BF16, Shape: graph.Shape{tokens, graph.Fixed(4)}}}}
	sent := b.Add(same, z, y)[0]
	b.Output("sum", b.ElementWise(z, graph.Sum, sent))
	b.Output("hidden_states_output", sent)
	b.Profiles(map[string]graph.Range{"num_tokens": {Min: 1, Opt: 8, Max: 16}, "batch_size": {Min: 1, Opt: 2, Max: 4}})
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

func TestCut(t *testing.T) {
	net := plugged(t)
	before := net.String()
	cut, err := graph.Cut(net)
	require.NoError(t, err)
	require.Equal(t, `%0 BF16[num_tokens, 8] = input hidden_states_input
%1 INT32[batch_size] = input host_request_types
%4 BF16[num_tokens, 4] = input cut0.out0
%5 BF16[num_tokens, 4] = input cut1.out0
%2 BF16[num_tokens, 8] = ElementWise %0 %0 operation=SUM  # first/ElementWise
%3 FLOAT[1, 4] = Constant type=FLOAT dims=[1,4]  # first/Constant
%6 BF16[num_tokens, 4] = ElementWise %4 %5 operation=SUM  # second/ElementWise
output cut0.in0 = %2 BF16[num_tokens, 8]
output sum = %6 BF16[num_tokens, 4]
`, cut.String())
	require.True(t, cut.Inputs[1].Host)
	require.Equal(t, net.Profiles, cut.Profiles)
	require.Equal(t, before, net.String(), "the network itself was changed")
	for i, tensor := range cut.Tensors {
		require.Equal(t, i, tensor.ID)
	}

	// A network without plugins is cut nowhere.
	whole, err := tiny().Network()
	require.NoError(t, err)
	same, err := graph.Cut(whole)
	require.NoError(t, err)
	require.Equal(t, whole.String(), same.String())
}

// TestCutGathered: what an AllGather gives has its rows once for each rank.
func TestCutGathered(t *testing.T) {
	b := graph.NewBuilder("rank0")
	x := b.Input("x", graph.BF16, graph.Dynamic("num_tokens"), graph.Fixed(8))
	b.At("lm_head")
	gather := graph.Plugin{Creator: "AllGather", Version: "1", Namespace: "tensorrt_llm", Attributes: []graph.Field{graph.Int32Field("group", 0, 1, 2)},
		Outputs: []graph.Tensor{{Type: graph.BF16, Shape: graph.Shape{graph.Dynamic(""), graph.Fixed(8)}}}}
	b.Output("y", b.Cast(b.Add(gather, x)[0], graph.Float))
	b.Profiles(map[string]graph.Range{"num_tokens": {Min: 1, Opt: 8, Max: 16}})
	net, err := b.Network()
	require.NoError(t, err)
	cut, err := graph.Cut(net)
	require.NoError(t, err)
	least, best, most, err := cut.Bounds(0, cut.Inputs[1])
	require.NoError(t, err)
	require.Equal(t, [][]int64{{3, 8}, {24, 8}, {48, 8}}, [][]int64{least, best, most})
	require.Equal(t, "num_tokens_of_3_ranks", cut.Inputs[1].Tensor.Shape[0].Name)
	require.Len(t, net.Profiles[0], 1, "the network itself was changed")
}

// TestCutUnknown: an output of a plugin whose dimension has no range cannot become an input.
func TestCutUnknown(t *testing.T) {
	b := graph.NewBuilder("rank0")
	x := b.Input("x", graph.BF16, graph.Dynamic("num_tokens"))
	b.At("odd")
	y := b.Add(graph.Plugin{Creator: "Odd", Version: "1", Outputs: []graph.Tensor{{Type: graph.BF16, Shape: graph.Shape{graph.Dynamic("")}}}}, x)[0]
	b.Output("y", b.Cast(y, graph.Float))
	b.Profiles(map[string]graph.Range{"num_tokens": {Min: 1, Opt: 8, Max: 16}})
	net, err := b.Network()
	require.NoError(t, err)
	_, err = graph.Cut(net)
	require.ErrorIs(t, err, graph.ErrInvalid)
	require.ErrorContains(t, err, "profile 0 has no range for dimension ? of input cut0.out0")
}
