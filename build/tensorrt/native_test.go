package tensorrt_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

func nativeOptions(changes ...func(o *tensorrt.NativeOptions)) tensorrt.NativeOptions {
	o := tensorrt.NativeOptions{MaxBatchSize: 4, MaxInputLen: 32, MaxSeqLen: 64, LogitsDtype: "float32"}
	for _, c := range changes {
		c(&o)
	}
	return o
}

// lowerNative lowers a tiny model without plugins.
func lowerNative(t testing.TB, name string, change func(c *checkpoint.Config), o tensorrt.NativeOptions) *graph.Network {
	t.Helper()
	c := tinycheckpoint.Config(t, name)
	if change != nil {
		change(c)
	}
	net, err := model.New(c, 0)
	require.NoError(t, err)
	g, err := tensorrt.LowerNative(net, o)
	require.NoError(t, err)
	return g
}

// interfaceOf lists inputs, without weights, and outputs.
func interfaceOf(g *graph.Network) (inputs, outputs []string) {
	for _, in := range g.Inputs {
		if in.Weight == nil {
			inputs = append(inputs, fmt.Sprintf("%s %s%s", in.Tensor.Name, in.Tensor.Type, in.Tensor.Shape))
		}
	}
	for _, out := range g.Outputs {
		outputs = append(outputs, fmt.Sprintf("%s %s%s", out.Name, out.Tensor.Type, out.Tensor.Shape))
	}
	slices.Sort(outputs)
	return inputs, outputs
}

// TestLowerNative: the documented inputs and outputs, no plugin, and the weights where they were asked for.
func TestLowerNative(t *testing.T) {
	two := func(c *checkpoint.Config) { c.NumHiddenLayers = 2 }
	g := lowerNative(t, "llama-gqa", two, nativeOptions())
	inputs, outputs := interfaceOf(g)
	const cache = "BF16[batch_size, 2, 64, 16]"
	require.Equal(t, []string{
		"input_ids INT32[batch_size, sequence_length]", "position_ids INT32[batch_size, sequence_length]", "write_indices INT32[batch_size]",
		"last_token_ids INT32[batch_size]", "k_cache_0 " + cache, "v_cache_0 " + cache, "k_cache_1 " + cache, "v_cache_1 " + cache,
	}, inputs)
	require.Equal(t, []string{
		"logits FLOAT[batch_size, 257]", "updated_k_cache_0 " + cache, "updated_k_cache_1 " + cache, "updated_v_cache_0 " + cache, "updated_v_cache_1 " + cache,
	}, outputs)
	require.Equal(t, []map[string]graph.Range{{"batch_size": {Min: 1, Opt: 4, Max: 4}, "sequence_length": {Min: 1, Opt: 1, Max: 32}}}, g.Profiles)

	// The weights of two layers, the norm behind, the embedding and the head are inputs, in the
	// checkpoint's names and shapes.
	c := tinycheckpoint.Config(t, "llama-gqa")
	two(c)
	stored := map[string][]int64{}
	for _, tensor := range c.RankTensors(0) {
		stored[tensor.Name] = tensor.Shape
	}
	for _, in := range g.Inputs {
		if in.Weight != nil {
			require.Equal(t, stored[in.Tensor.Name], in.Tensor.Shape.Sizes(), in.Tensor.Name)
			delete(stored, in.Tensor.Name)
		}
	}
	require.Empty(t, stored, "weights that are no inputs")
	for _, l := range g.Layers {
		require.NotEqual(t, "Plugin", l.Op.Kind(), l.Name)
	}

	inside := lowerNative(t, "llama-gqa", two, nativeOptions(func(o *tensorrt.NativeOptions) {
		o.WeightsInside, o.GatherContextLogits, o.LogitsDtype = true, true, "float16"
	}))
	inputs, outputs = interfaceOf(inside)
	require.Len(t, inside.Inputs, len(inputs))
	require.NotContains(t, strings.Join(inputs, " "), "last_token_ids")
	require.Equal(t, "logits HALF[batch_size, sequence_length, 257]", outputs[0])
}

// TestNativeTables: what the tables hold, at positions where float32 matters.
func TestNativeTables(t *testing.T) {
	g := lowerNative(t, "nemotron", nil, nativeOptions())
	tables := map[string][]float32{}
	for _, w := range g.Weights() {
		if strings.HasPrefix(w.Name, "rotary") {
			require.Equal(t, []int64{64, 4}, w.Shape, "half of a head of 16 rotates")
			require.Equal(t, graph.Float, w.Type)
			tables[w.Name] = readFloats(t, w)
		}
	}
	require.Len(t, tables, 2, "layers share them")
	for p := range 64 {
		for i := range 4 {
			angle := float64(p) * math.Pow(10000, -float64(2*i)/8)
			require.InDelta(t, math.Cos(angle), tables["rotary_cos"][4*p+i], 1e-5)
			require.InDelta(t, math.Sin(angle), tables["rotary_sin"][4*p+i], 1e-5)
		}
	}
	for _, l := range g.Layers {
		if op, ok := l.Op.(graph.RotaryEmbedding); ok {
			require.Equal(t, graph.RotaryEmbedding{Dim: 8}, op)
			require.Equal(t, graph.Float, l.Inputs[0].Type, "turned in float32")
		}
	}
}

// TestNativeTablesOfYarn: cosines and sines are multiplied by its magnitude.
func TestNativeTablesOfYarn(t *testing.T) {
	g := lowerNative(t, "llama-gqa", func(c *checkpoint.Config) {
		c.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryYarn, Factor: 4, BetaFast: 32, BetaSlow: 1, OriginalMaxPositionEmbeddings: 16}
	}, nativeOptions())
	for _, w := range g.Weights() {
		if w.Name == "rotary_cos" {
			require.InDelta(t, 0.1*math.Log(4)+1, readFloats(t, w)[0], 1e-6)
			return
		}
	}
	require.Fail(t, "no table of cosines")
}

func readFloats(t *testing.T, w *graph.Weights) []float32 {
	t.Helper()
	data, err := w.Values(nil)
	require.NoError(t, err)
	list := make([]float32, len(data)/4)
	for i := range list {
		list[i] = math.Float32frombits(uint32(data[4*i]) | uint32(data[4*i+1])<<8 | uint32(data[4*i+2])<<16 | uint32(data[4*i+3])<<24)
	}
	return list
}

// TestNativeMasks: layers of one window share a mask; one with a window has its lower end too.
func TestNativeMasks(t *testing.T) {
	count := func(windows []int64) (not, and int) {
		g := lowerNative(t, "mistral-window", func(c *checkpoint.Config) {
			c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: windows}
		}, nativeOptions())
		for _, l := range g.Layers {
			switch l.Op {
			case graph.Unary{Operation: graph.Not}:
				not++
			case graph.ElementWise{Operation: graph.And}:
				and++
			}
		}
		return not, and
	}
	not, and := count([]int64{6})
	require.Equal(t, []int{1, 1}, []int{not, and})
	not, and = count([]int64{6, 256, 6})
	require.Equal(t, []int{2, 1}, []int{not, and}, "a window beyond the cache is none")
}

// TestLowerNativeRefuses what has no plugin-free form, by name.
func TestLowerNativeRefuses(t *testing.T) {
	for _, c := range []struct {
		change  func(c *checkpoint.Config)
		options func(o *tensorrt.NativeOptions)
		want    string
	}{
		{change: func(c *checkpoint.Config) { c.Mapping = checkpoint.Mapping{WorldSize: 2, TPSize: 2, PPSize: 1} }, want: "tp_size 2 and pp_size 1 without plugins"},
		{change: func(c *checkpoint.Config) { c.Mapping = checkpoint.Mapping{WorldSize: 2, TPSize: 1, PPSize: 2} }, want: "tp_size 1 and pp_size 2 without plugins"},
		{change: func(c *checkpoint.Config) { c.Quantization.KVCacheQuantAlgo = "FP8" }, want: "layers.0.attention has a quantised KV cache"},
		{change: func(c *checkpoint.Config) { c.HeadSize = 12 },
			want: "layers.0.attention has head_size 12, and TensorRT-RTX's attention in bfloat16 needs a multiple of 8"},
		{options: func(o *tensorrt.NativeOptions) { o.LogitsDtype = "bfloat16" }, want: `logits_dtype is "bfloat16"`},
		{options: func(o *tensorrt.NativeOptions) { o.MaxSeqLen = 31 }, want: "max_batch_size 4, max_input_len 32 and max_seq_len 31"},
		{options: func(o *tensorrt.NativeOptions) { o.MaxBatchSize = 0 }, want: "max_batch_size 0"},
		{options: func(o *tensorrt.NativeOptions) { o.MaxSeqLen = 1 << 30 }, want: "the rotary table of 1073741824 positions has more than 4 GiB"},
	} {
		config, o := tinycheckpoint.Config(t, "llama-gqa"), nativeOptions()
		if c.change != nil {
			c.change(config)
		}
		if c.options != nil {
			c.options(&o)
		}
		net, err := model.New(config, 0)
		require.NoError(t, err)
		_, err = tensorrt.LowerNative(net, o)
		require.ErrorIs(t, err, tensorrt.ErrUnsupported)
		require.ErrorContains(t, err, c.want)
	}
}
