package tensorrt_test

import (
	"errors"
	"testing"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// A config that model takes becomes a network in each form, or is refused as what a lowering
// does not have: no inference of ours fails on what our own lowering made. (Packages checkpoint
// and model have the targets that take a config as text.)
func FuzzLower(f *testing.F) {
	f.Add(uint8(0), uint8(0), uint8(8), uint8(4), uint8(2), uint8(8), uint8(16), uint16(257), uint8(3), uint8(1), uint8(1), uint8(0), uint8(0), uint16(0))
	f.Add(uint8(2), uint8(0), uint8(6), uint8(6), uint8(2), uint8(2), uint8(13), uint16(193), uint8(4), uint8(2), uint8(2), uint8(3), uint8(1), uint16(0xffff))
	for algo := range uint8(6) {
		f.Add(uint8(1), algo, uint8(16), uint8(4), uint8(4), uint8(8), uint8(16), uint16(256), uint8(2), uint8(2), uint8(1), uint8(1), algo%5, uint16(1)<<algo)
	}
	f.Fuzz(func(t *testing.T, family, algo, hidden, heads, kvHeads, headSize, intermediate uint8, vocab uint16, layers, tp, pp, rank, scaling uint8, flags uint16) {
		on := func(bit int) bool { return flags>>bit&1 == 1 }
		world := int(tp) * int(pp)
		if world > 16 || world == 0 || layers > 8 {
			return // large ones take long and are lowered alike
		}
		c := &checkpoint.Config{
			Architecture: checkpoint.Architectures()[int(family)%len(checkpoint.Architectures())], LogitsDtype: checkpoint.Float32,
			Dtype:     []string{checkpoint.Float32, checkpoint.Float16, checkpoint.BFloat16}[flags>>13%3],
			VocabSize: int64(vocab), HiddenSize: 8 * int64(hidden), NumHiddenLayers: int64(layers), NumAttentionHeads: int64(heads), NumKeyValueHeads: int64(kvHeads),
			HeadSize: 4 * int64(headSize), IntermediateSize: 8 * int64(intermediate), MaxPositionEmbeddings: 64, HiddenAct: "silu", NormEpsilon: 1e-5,
			PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000, AttnBias: on(7), MLPBias: on(8), UseParallelEmbedding: on(9),
			Mapping: checkpoint.Mapping{TPSize: int(tp), PPSize: int(pp), WorldSize: world},
			RotaryScaling: []*checkpoint.RotaryScaling{
				nil, {Type: checkpoint.RotaryLinear, Factor: 2},
				{Type: checkpoint.RotaryLlama3, Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 16},
				{Type: checkpoint.RotaryYarn, Factor: 4, OriginalMaxPositionEmbeddings: 16, BetaFast: 32, BetaSlow: 1, Truncate: on(11)},
			}[scaling%4],
		}
		if on(10) {
			c.EmbeddingShardingDim = 1
		}
		if c.Family() == checkpoint.GPT {
			c.HiddenAct, c.RotaryPct = "squared-relu", 0.5
		}
		c.Quantization.QuantAlgo = []string{"", checkpoint.FP8, checkpoint.W8A16, checkpoint.W4A16, checkpoint.W4A16AWQ}[algo%5]
		if c.Quantization.QuantAlgo == checkpoint.W4A16AWQ {
			c.Quantization.GroupSize, c.Quantization.PreQuantScale = []int64{16, 64, 128}[algo>>3%3], on(12)
		}
		if algo>>7 == 1 {
			c.Quantization.KVCacheQuantAlgo = checkpoint.KVCacheFP8
		}
		net, err := model.New(c, int(rank)%world)
		if err != nil {
			return
		}
		check(t, func() (*graph.Network, error) {
			return tensorrt.Lower(net, options(func(o *tensorrt.Options) {
				o.GatherContextLogits, o.TiedHead = on(0), on(5)
				o.Plugins.ManageWeights, o.Plugins.MultipleProfiles, o.Plugins.UseFusedMLP, o.Plugins.UseFP8ContextFMHA = on(1), on(2), on(3), on(6)
				if on(4) {
					gemm := []string{"auto", "fp8"}[algo>>6&1]
					o.Plugins.GemmPlugin = &gemm
					o.Scale = func(string) (float32, error) { return 0.5, nil }
				}
			}))
		})
		check(t, func() (*graph.Network, error) {
			return tensorrt.LowerNative(net, nativeOptions(func(o *tensorrt.NativeOptions) {
				o.GatherContextLogits, o.WeightsInside, o.TiedHead = on(0), !on(1), on(5)
			}))
		})
	})
}

// check lowers, and cuts what was lowered.
func check(t *testing.T, lower func() (*graph.Network, error)) {
	t.Helper()
	g, err := lower()
	if err == nil {
		_, err = graph.Cut(g)
	}
	if err != nil && !errors.Is(err, tensorrt.ErrUnsupported) {
		t.Errorf("not a refusal: %v", err)
	}
}
