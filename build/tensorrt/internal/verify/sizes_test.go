package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// TestSizes: networks without plugins build at the ends of what sizes may be, where the compiler has no
// kernel of one piece too.
func TestSizes(t *testing.T) {
	heads := func(n, kv, size int64) func(*checkpoint.Config, *tensorrt.NativeOptions) {
		return func(c *checkpoint.Config, _ *tensorrt.NativeOptions) {
			c.NumAttentionHeads, c.NumKeyValueHeads, c.HeadSize = n, kv, size
		}
	}
	quantised := func(algo string, hidden, intermediate int64) func(*checkpoint.Config, *tensorrt.NativeOptions) {
		return func(c *checkpoint.Config, _ *tensorrt.NativeOptions) {
			c.HiddenSize, c.IntermediateSize = hidden, intermediate
			c.Quantization = checkpoint.Quantization{QuantAlgo: algo, ExcludeModules: []string{"lm_head"}}
		}
	}
	for name, change := range map[string]func(*checkpoint.Config, *tensorrt.NativeOptions){
		"one head":           heads(1, 1, 64),
		"one KV head":        heads(8, 1, 64),
		"heads of 8":         heads(4, 2, 8),
		"heads of 16":        heads(4, 2, 16),
		"heads of 80":        heads(6, 2, 80),
		"heads of 256":       heads(2, 1, 256),
		"heads of 264":       heads(2, 1, 264),
		"one position":       func(_ *checkpoint.Config, o *tensorrt.NativeOptions) { o.MaxSeqLen, o.MaxInputLen = 1, 1 },
		"an odd cache":       func(_ *checkpoint.Config, o *tensorrt.NativeOptions) { o.MaxSeqLen = 4097 },
		"one token a row":    func(_ *checkpoint.Config, o *tensorrt.NativeOptions) { o.MaxInputLen = 1 },
		"one slot":           func(_ *checkpoint.Config, o *tensorrt.NativeOptions) { o.MaxBatchSize = 1 },
		"odd widths":         func(c *checkpoint.Config, _ *tensorrt.NativeOptions) { c.HiddenSize, c.IntermediateSize = 66, 33 },
		"int8 of odd widths": quantised(checkpoint.W8A16, 66, 34),
		"int4 in blocks":     quantised(checkpoint.W4A16, 96, 160),
	} {
		t.Run(name, func(t *testing.T) {
			c, o := tiny("llama"), tensorrt.NativeOptions{MaxBatchSize: 4, MaxInputLen: 32, MaxSeqLen: 64, LogitsDtype: "float32"}
			c.NumHiddenLayers = 1
			change(c, &o)
			net, err := model.New(c, 0)
			require.NoError(t, err)
			g, err := tensorrt.LowerNative(net, o)
			require.NoError(t, err)
			require.NoError(t, tensorrt.Compile(t.Context(), library(t), g, uniform{c, 0}, tensorrt.CompileOptions{Capabilities: []int{80, 86, 89, 120, 121}}, planFile(t)))
		})
	}
}

// TestOddHeads: heads that are no multiple of 8 are refused by the lowering because the compiler fails
// at them where there is a mask, even if it may use several kernels.
func TestOddHeads(t *testing.T) {
	for _, size := range []int64{12, 20, 100} {
		var c claimed
		q, k := shape(batch, fixed(heads), sequence, fixed(size)), shape(batch, fixed(kvHeads), fixed(positions), fixed(size))
		inputs := []*graph.Tensor{c.input("q", bf16, q...), c.input("k", bf16, k...), c.input("v", bf16, k...),
			c.input("mask", graph.Bool, batch, fixed(1), sequence, fixed(positions))}
		finish(&c, c.layer(graph.Attention{Decomposable: true}, bf16, q, inputs...))
		require.NoError(t, c.infer())
		where, err := c.submit(t, []int{86, 89, 120})
		require.Equal(t, build, where)
		require.ErrorContains(t, err, "MyelinCheckException")
	}
}
