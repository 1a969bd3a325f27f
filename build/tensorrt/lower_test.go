package tensorrt_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// options are trtllm-build's defaults for small engines.
func options(changes ...func(o *tensorrt.Options)) tensorrt.Options {
	auto := "auto"
	o := tensorrt.Options{
		MaxBatchSize: 4, MaxBeamWidth: 1, MaxInputLen: 32, MaxSeqLen: 64, MaxNumTokens: 128, OptNumTokens: 4, LogitsDtype: "float32",
		Plugins: engineconfig.Plugin{
			Dtype: "auto", GPTAttentionPlugin: &auto, NCCLPlugin: &auto, ContextFMHA: true, PagedKVCache: true, RemoveInputPadding: true,
			TokensPerBlock: 32, UsePagedContextFMHA: true, UseFP8ContextFMHA: true, UseFusedMLP: true,
		},
	}
	for _, c := range changes {
		c(&o)
	}
	return o
}

// lower lowers a rank of a tiny model.
func lower(t testing.TB, name string, change func(c *checkpoint.Config), rank int, o tensorrt.Options) *graph.Network {
	t.Helper()
	c := tinycheckpoint.Config(t, name)
	if change != nil {
		change(c)
	}
	net, err := model.New(c, rank)
	require.NoError(t, err)
	g, err := tensorrt.Lower(net, o)
	require.NoError(t, err)
	return g
}

func TestLower(t *testing.T) {
	g := lower(t, "llama-gqa", nil, 0, options())
	require.Equal(t, "logits", g.Outputs[0].Name)
	require.Equal(t, graph.Float, g.Outputs[0].Tensor.Type)
	require.Equal(t, "[batch_size_last_token_ids, 257]", g.Outputs[0].Tensor.Shape.String())
}
