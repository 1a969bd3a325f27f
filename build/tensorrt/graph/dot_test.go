package graph_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

func TestWriteDOT(t *testing.T) {
	net, err := tiny().Network()
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, net.WriteDOT(&text))
	require.Equal(t, `digraph "rank0" {
  node [shape=box, fontname="monospace", fontsize=10];
  edge [fontname="monospace", fontsize=9];
  input0 [shape=ellipse, label="hidden_states_input"];
  subgraph cluster1 {
    label="lm_head";
    layer1 [label="MatrixMultiply\nop0=NONE\nop1=TRANSPOSE\nlm_head.weight BF16[96, 64]"];
    layer2 [label="Cast\nto_type=FLOAT"];
  }
  input0 -> layer1 [label="BF16[num_tokens, 64]"];
  layer1 -> layer2 [label="BF16[num_tokens, 96]"];
  output0 [shape=ellipse, label="logits"];
  layer2 -> output0 [label="FLOAT[num_tokens, 96]"];
}
`, text.String())
	require.Error(t, net.WriteDOT(fullDisk{}))
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no room") }

// A weight that is an input is drawn as one that is a constant; a name's quotes are escaped.
func TestWriteDOTOfInputs(t *testing.T) {
	b := graph.NewBuilder(`a "network" \`)
	x := b.Input("x", graph.BF16, graph.Dynamic("n"), graph.Fixed(4))
	w := b.WeightInput(&graph.Weights{Name: "w", Type: graph.BF16, Shape: []int64{1, 4}})
	b.At("sum")
	b.Output("y", b.ElementWise(x, graph.Sum, w))
	b.Profiles(map[string]graph.Range{"n": {Min: 1, Opt: 1, Max: 1}})
	net, err := b.Network()
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, net.WriteDOT(&text))
	require.Contains(t, text.String(), `digraph "a \"network\" \\" {`)
	require.Contains(t, text.String(), `layer0 [label="ElementWise\noperation=SUM\nw BF16[1, 4]"];`)
	require.NotContains(t, text.String(), "input1")
}
