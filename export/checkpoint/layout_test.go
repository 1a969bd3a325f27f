package checkpoint_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export/checkpoint"
)

func llamaConfig() *checkpoint.Config {
	return &checkpoint.Config{
		Architecture: "LlamaForCausalLM", Dtype: checkpoint.BFloat16, LogitsDtype: checkpoint.Float32,
		VocabSize: 37, HiddenSize: 24, NumHiddenLayers: 5, NumAttentionHeads: 8, NumKeyValueHeads: 2, HeadSize: 6,
		IntermediateSize: 40, MaxPositionEmbeddings: 64, HiddenAct: "silu", NormEpsilon: 1e-5,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
		Mapping:  checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
		Producer: &checkpoint.Producer{Name: checkpoint.ProducerName, Version: "test"},
	}
}

func divided(c *checkpoint.Config, tp, pp int) *checkpoint.Config {
	c = c.Clone()
	c.Mapping = checkpoint.Mapping{WorldSize: tp * pp, TPSize: tp, PPSize: pp}
	return c
}

func TestRankTensorsOfMinitron8B(t *testing.T) {
	c := llamaConfig()
	c.Architecture, c.HiddenAct, c.RotaryPct = "GPTForCausalLM", "squared-relu", 0.5
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.IntermediateSize = 256000, 4096, 32, 16384
	c.NumAttentionHeads, c.NumKeyValueHeads, c.HeadSize = 48, 8, 128
	for tp, want := range map[int][5][2]int64{
		1:  {{8192, 4096}, {4096, 6144}, {16384, 4096}, {4096, 16384}, {256000, 4096}},
		2:  {{4096, 4096}, {4096, 3072}, {8192, 4096}, {4096, 8192}, {128000, 4096}},
		4:  {{2048, 4096}, {4096, 1536}, {4096, 4096}, {4096, 4096}, {64000, 4096}},
		8:  {{1024, 4096}, {4096, 768}, {2048, 4096}, {4096, 2048}, {32000, 4096}},
		16: {{640, 4096}, {4096, 384}, {1024, 4096}, {4096, 1024}, {16000, 4096}},
	} {
		d := divided(c, tp, 1)
		require.NoError(t, d.Validate())
		shapes := map[string][]int64{}
		parameters := int64(0)
		for _, tensor := range d.RankTensors(tp - 1) {
			shapes[tensor.Name] = tensor.Shape
			n := int64(1)
			for _, s := range tensor.Shape {
				n *= s
			}
			parameters += n
		}
		for i, name := range []string{"attention.qkv", "attention.dense", "mlp.fc", "mlp.proj"} {
			require.Equal(t, want[i][:], shapes["transformer.layers.31."+name+".weight"], "tp %d %s", tp, name)
		}
		require.Equal(t, want[4][:], shapes["lm_head.weight"])
		require.NotContains(t, shapes, "transformer.layers.0.mlp.gate.weight")
		require.Contains(t, shapes, "transformer.layers.0.input_layernorm.bias")
		if tp == 1 { // the published model's size
			require.Equal(t, int64(8_271_699_968), parameters)
		}
	}
}

// Every element of every rank's tensor comes from exactly one place of exactly
// one weight, or is vocabulary padding.
func TestPlacementsCoverTheRanks(t *testing.T) {
	gpt := llamaConfig()
	gpt.Architecture, gpt.HiddenAct, gpt.AttnBias, gpt.MLPBias = "GPTForCausalLM", "relu", true, true
	biased := llamaConfig()
	biased.AttnBias, biased.MLPBias = true, true
	for _, base := range []*checkpoint.Config{llamaConfig(), gpt, biased} {
		for _, tp := range []int{1, 2, 4, 8} {
			for _, pp := range []int{1, 2, 5} {
				for embedding := -1; embedding <= 1; embedding++ {
					c := divided(base, tp, pp)
					c.UseParallelEmbedding, c.EmbeddingShardingDim = embedding >= 0, int64(max(embedding, 0))
					require.NoError(t, c.Validate())
					checkCoverage(t, c)
				}
			}
		}
	}
}

func checkCoverage(t *testing.T, c *checkpoint.Config) {
	t.Helper()
	type rows struct{ covered, want int64 }
	seen := map[string]*rows{}
	for r := range c.Mapping.WorldSize {
		for _, tensor := range c.RankTensors(r) {
			key := fmt.Sprint(r, tensor.Name)
			require.Nil(t, seen[key], key)
			n := int64(1)
			for _, s := range tensor.Shape {
				n *= s
			}
			seen[key] = &rows{want: n}
		}
	}
	type span struct{ at, to int64 }
	spans := map[string][]span{}
	padded := (c.VocabSize + int64(c.Mapping.TPSize) - 1) / int64(c.Mapping.TPSize) * int64(c.Mapping.TPSize)
	for _, w := range c.Weights() {
		for _, p := range w.Placements {
			key := fmt.Sprint(p.Rank, p.Tensor)
			require.NotNil(t, seen[key], key)
			seen[key].covered += p.Rows * p.Columns
			require.LessOrEqual(t, p.Row+p.Rows, w.Shape[0])
			for _, other := range spans[key] {
				require.True(t, p.At+p.Rows <= other.at || other.to <= p.At, "%s: rows overlap", key)
			}
			spans[key] = append(spans[key], span{p.At, p.At + p.Rows})
			if w.Shape[0] == c.VocabSize && p.Row+p.Rows == c.VocabSize && p.Tensor == "lm_head.weight" {
				seen[key].covered += (padded - c.VocabSize) % (padded / int64(c.Mapping.TPSize)) * p.Columns
			}
		}
	}
	for key, r := range seen {
		if c.UseParallelEmbedding && c.EmbeddingShardingDim == 0 && r.covered < r.want {
			require.Contains(t, key, "vocab_embedding", "only a vocabulary is padded")
			continue
		}
		require.Equal(t, r.want, r.covered, key)
	}
}

// The reference gives KV head floor(r·K/tp) to rank r.
func TestKVHeadsAreRepeatedInPlace(t *testing.T) {
	c := divided(llamaConfig(), 8, 1) // 2 KV heads of 6 rows on 8 ranks
	for _, w := range c.Weights() {
		if w.Name != "transformer.layers.3.attention.v.weight" {
			continue
		}
		require.Equal(t, []int64{12, 24}, w.Shape)
		require.Len(t, w.Placements, 8)
		for r, p := range w.Placements {
			require.Equal(t, checkpoint.Placement{
				Rank: r, Tensor: "transformer.layers.3.attention.qkv.weight",
				Row: int64(r / 4 * 6), Rows: 6, Columns: 24, At: 12,
			}, p)
		}
		return
	}
	t.Fatal("no such weight")
}

func TestLayersOfPipelineStages(t *testing.T) {
	c := divided(llamaConfig(), 1, 3) // 5 layers: 2, 2, 1
	names := func(rank int) (list []string) {
		for _, tensor := range c.RankTensors(rank) {
			list = append(list, tensor.Name)
		}
		return list
	}
	require.Contains(t, names(1), "transformer.layers.1.mlp.gate.weight")
	require.NotContains(t, names(1), "transformer.layers.2.mlp.gate.weight")
	require.NotContains(t, names(1), "transformer.vocab_embedding.weight")
	require.NotContains(t, names(2), "transformer.layers.1.mlp.gate.weight")
	require.Contains(t, names(2), "transformer.ln_f.weight")
	require.NotContains(t, names(0), "lm_head.weight")
	for _, w := range c.Weights() {
		if w.Name == "transformer.layers.4.mlp.fc.weight" {
			require.Equal(t, 2, w.Placements[0].Rank)
			require.Equal(t, "transformer.layers.0.mlp.fc.weight", w.Placements[0].Tensor)
		}
	}
}
