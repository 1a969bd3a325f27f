package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// released are the shapes of released models, by their config.json.
var released = []struct {
	name   string
	config func(c *checkpoint.Config)
}{
	{"Minitron-4B", nemotron(3072, 24, 9216)},
	{"Minitron-8B", nemotron(4096, 48, 16384)},
	{"Llama-3.1-Minitron-4B-Width", llama31(3072, 32, 9216)},
	{"Llama-3.1-Minitron-4B-Depth", llama31(4096, 16, 14336)},
	{"Mistral-NeMo-Minitron-8B", func(c *checkpoint.Config) {
		sizes(c, 4096, 40, 32, 11520, 131072, 8192)
		c.Architecture, c.RotaryBase = "MistralForCausalLM", 1e6
		c.RuntimeDefaults = nil
	}},
}

func sizes(c *checkpoint.Config, hidden, layers, heads, intermediate, vocab, positions int64) {
	c.HiddenSize, c.NumHiddenLayers, c.NumAttentionHeads, c.NumKeyValueHeads, c.HeadSize = hidden, layers, heads, 8, 128
	c.IntermediateSize, c.VocabSize, c.MaxPositionEmbeddings = intermediate, vocab, positions
}

func nemotron(hidden, heads, intermediate int64) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) {
		sizes(c, hidden, 32, heads, intermediate, 256000, 4096)
		c.Architecture, c.HiddenAct, c.RotaryPct = "NemotronForCausalLM", "squared-relu", 0.5
	}
}

func llama31(hidden, layers, intermediate int64) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) {
		sizes(c, hidden, layers, 32, intermediate, 128256, 131072)
		c.RotaryBase = 500000
		c.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryLlama3, Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192}
	}
}

// weightless is a source of none: it fails where a weight is read after all.
type weightless struct{ t *testing.T }

func (w weightless) Tensor(name string) (graph.Stored, error) {
	w.t.Errorf("weight %s is read", name)
	return graph.Stored{}, graph.ErrInvalid
}

// TestReleased: the shapes of released models build in both forms, with the weights as inputs, and
// none is read for it. The plan has the tables of the rotary embedding and little more.
func TestReleased(t *testing.T) {
	library(t)
	for _, r := range released {
		t.Run(r.name, func(t *testing.T) {
			c := tiny("llama")
			r.config(c)
			net, err := model.New(c, 0)
			require.NoError(t, err)

			g, err := tensorrt.LowerNative(net, tensorrt.NativeOptions{MaxBatchSize: 8, MaxInputLen: 2048, MaxSeqLen: 4096, LogitsDtype: "float32"})
			require.NoError(t, err)
			buildReleased(t, g)

			auto := "auto"
			o := plain().options()
			o.MaxBatchSize, o.MaxInputLen, o.MaxSeqLen, o.MaxNumTokens = 64, 2048, 4096, 8192
			o.Plugins.GemmPlugin, o.Plugins.ManageWeights = &auto, true
			g, err = tensorrt.Lower(net, o)
			require.NoError(t, err)
			cut, err := graph.Cut(g)
			require.NoError(t, err)
			buildReleased(t, outside(cut))
		})
	}
}

// outside makes inputs of the weights that TensorRT-LLM keeps in the plan even if it manages the
// others outside, as the embedding.
func outside(g *graph.Network) *graph.Network {
	layers := g.Layers
	g.Layers = nil
	for _, l := range layers {
		if c, ok := l.Op.(graph.Constant); ok && len(c.Weights.From) > 0 {
			l.Outputs[0].Name = c.Weights.Name
			g.Inputs = append(g.Inputs, graph.Input{Tensor: l.Outputs[0], Weight: c.Weights})
			continue
		}
		g.Layers = append(g.Layers, l)
	}
	return g
}

func buildReleased(t *testing.T, g *graph.Network) {
	t.Helper()
	plan := planFile(t)
	err := tensorrt.Compile(t.Context(), library(t), g, weightless{t}, tensorrt.CompileOptions{Capabilities: []int{86, 89, 120}}, plan)
	require.NoError(t, err)
	info, err := plan.Stat()
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(100<<20))
	t.Logf("%d layers, plan of %d MiB", len(g.Layers), info.Size()>>20)
}
