package tensorrt_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// Without plugins weights are dequantised: the same numbers, row by row.
func TestNativeIntegers(t *testing.T) {
	for _, c := range []struct {
		name, form string
		bits       int
	}{{"nemotron", "int8_wo", 8}, {"llama-gqa", "int4_wo", 4}, {"llama-gqa", "awq", 4}} {
		t.Run(c.name+"."+c.form, func(t *testing.T) {
			dir := quantisedCheckpoint(t, c.name, c.form, "bfloat16", 1)
			net := networkOf(t, dir, 0)
			g, err := tensorrt.LowerNative(net, tensorrt.NativeOptions{MaxBatchSize: 2, MaxInputLen: 8, MaxSeqLen: 16, LogitsDtype: "float32", WeightsInside: c.bits == 8})
			require.NoError(t, err)
			source := openSource(t, dir, 0)
			for _, op := range net.Ops {
				l, ok := op.(*network.Linear)
				if !ok || l.Quantisation == nil {
					continue
				}
				name := strings.TrimSuffix(l.Weight.Name, ".weight")
				out, in := l.Weight.Shape[0], l.Weight.Shape[1]
				w, data := values(t, g, source, l.Weight.Name)
				require.Equal(t, []int64{int64(out), int64(in)}, w.Shape)
				require.Equal(t, map[int]graph.DataType{8: graph.Int8, 4: graph.Int4}[c.bits], w.Type)
				s, raw := values(t, g, source, name+checkpoint.WeightScale)
				scales := numbers(s, raw)
				blocks := len(scales) / out
				stored, err := source.Tensor(l.Weight.Name)
				require.NoError(t, err)
				for n := range out {
					var codes []int8
					var want float32
					if c.form != "awq" {
						codes, want = roundedByDefinition(storedNumbers(t, source, l.Weight.Name)[n*in:][:in], float32(int(1)<<(c.bits-1)))
					}
					for k := range in {
						code := int8(data[n*in*c.bits/8+k*c.bits/8])
						if c.bits == 4 {
							code = code << (4 - 4*(k%2)) >> 4
						}
						if c.form == "awq" {
							require.Equal(t, nibble(stored.Bytes, n, k, in), code)
							continue
						}
						require.Equal(t, codes[k], code)
						require.InEpsilon(t, want, scales[n*blocks+k*blocks/in], 1.0/256)
					}
				}
			}
		})
	}
}

func TestNativeOddInputs(t *testing.T) {
	b := network.NewBuilder(network.Network{
		Architecture: "LlamaForCausalLM", Dtype: network.BFloat16, Mapping: network.Mapping{TPSize: 1, PPSize: 1},
		VocabSize: 8, HiddenSize: 33, NumLayers: 0, MaxPositionEmbeddings: 8,
	})
	b.Quantise(func(module string) network.Scheme { return network.Scheme{Algo: checkpoint.W4A16} }, false)
	b.Logits(b.Linear("lm_head", b.SelectLastTokens(b.Embedding("transformer.vocab_embedding", 0, 8, 33)), 8, false))
	net, err := b.Network()
	require.NoError(t, err)
	_, err = tensorrt.LowerNative(net, nativeOptions())
	require.ErrorIs(t, err, tensorrt.ErrUnsupported)
	require.ErrorContains(t, err, "lm_head has 33 inputs")
}
