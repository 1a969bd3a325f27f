package verify_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// tiny is a config whose heads have a size that TensorRT's attention has kernels for.
func tiny(family string) *checkpoint.Config {
	c := &checkpoint.Config{
		Architecture: "LlamaForCausalLM", Dtype: "bfloat16", LogitsDtype: "float32", VocabSize: 257, HiddenSize: 128, NumHiddenLayers: 3,
		NumAttentionHeads: 4, NumKeyValueHeads: 2, HeadSize: 64, IntermediateSize: 256, MaxPositionEmbeddings: 64, HiddenAct: "silu", NormEpsilon: 1e-5,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000, Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
		Producer: &checkpoint.Producer{Name: checkpoint.ProducerName, Version: "test"},
	}
	switch family {
	case "mistral":
		c.Architecture = "MistralForCausalLM"
		c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{16}}
	case "gpt":
		c.Architecture, c.HiddenAct, c.NumKeyValueHeads = "GPTForCausalLM", "squared-relu", 4
	case "nemotron":
		c.Architecture, c.HiddenAct, c.RotaryPct = "NemotronForCausalLM", "squared-relu", 0.5
	}
	return c
}

// config is the tiny config of a choice.
func (c choice) config() (config *checkpoint.Config, rank int) {
	config = tiny(c["family"])
	config.Dtype, config.LogitsDtype = c["dtype"], c["logits_dtype"]
	config.AttnBias, config.MLPBias = c["bias"] == "on", c["bias"] == "on"
	switch c["rope"] {
	case "linear":
		config.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryLinear, Factor: 2}
	case "llama3":
		config.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryLlama3, Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 32}
	case "yarn":
		config.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryYarn, Factor: 4, BetaFast: 32, BetaSlow: 1, OriginalMaxPositionEmbeddings: 16}
	}
	q := &config.Quantization
	switch c["quantisation"] {
	case "fp8", "fp8+kv":
		q.QuantAlgo = checkpoint.FP8
		if c["quantisation"] == "fp8+kv" {
			q.KVCacheQuantAlgo = checkpoint.FP8
		}
	case "int8":
		q.QuantAlgo = checkpoint.W8A16
	case "int4":
		q.QuantAlgo = checkpoint.W4A16
	case "awq":
		q.QuantAlgo, q.GroupSize, q.PreQuantScale = checkpoint.W4A16AWQ, 64, true
	}
	if q.QuantAlgo != "" {
		q.ExcludeModules = []string{"lm_head"}
	}
	if e := c["parallel_embedding"]; e != "off" {
		config.UseParallelEmbedding = true
		if e == "columns" {
			config.EmbeddingShardingDim = 1
		}
	}
	var tpRank, stage int
	m := &config.Mapping
	fmt.Sscanf(c["rank"], "%d/%d", &tpRank, &m.TPSize)
	fmt.Sscanf(c["stage"], "%d/%d", &stage, &m.PPSize)
	m.WorldSize = m.TPSize * m.PPSize
	return config, (stage-1)*m.TPSize + tpRank - 1
}

// lower makes the network of a choice, in its form, and gives the source of its weights.
func (c choice) lower(t testing.TB) (*graph.Network, graph.Source) {
	t.Helper()
	config, rank := c.config()
	net, err := model.New(config, rank)
	require.NoError(t, err)
	source := uniform{config, rank}
	if c["form"] == "native" {
		g, err := tensorrt.LowerNative(net, tensorrt.NativeOptions{MaxBatchSize: 4, MaxInputLen: 32, MaxSeqLen: 64, LogitsDtype: c["logits_dtype"],
			GatherContextLogits: c["gather_context_logits"] == "on", WeightsInside: c["weights"] == "inside"})
		require.NoError(t, err)
		return g, source
	}
	g, err := tensorrt.Lower(net, c.options())
	require.NoError(t, err)
	cut, err := graph.Cut(g)
	require.NoError(t, err)
	return cut, source
}

// options are trtllm-build's of the form with plugins.
func (c choice) options() tensorrt.Options {
	auto := "auto"
	beams := 1
	if c["max_beam_width"] == "2" {
		beams = 2
	}
	o := tensorrt.Options{
		MaxBatchSize: 4, MaxBeamWidth: beams, MaxInputLen: 32, MaxSeqLen: 64, MaxNumTokens: 128, LogitsDtype: c["logits_dtype"],
		GatherContextLogits: c["gather_context_logits"] == "on",
		Scale:               func(string) (float32, error) { return 0.5, nil },
		Plugins: engineconfig.Plugin{
			Dtype: "auto", GPTAttentionPlugin: &auto, NCCLPlugin: &auto, ContextFMHA: true, PagedKVCache: true, RemoveInputPadding: true,
			TokensPerBlock: 32, UsePagedContextFMHA: true, UseFP8ContextFMHA: c["quantisation"] == "fp8+kv", UseFusedMLP: c["use_fused_mlp"] == "on",
			MultipleProfiles: c["multiple_profiles"] == "on", ManageWeights: c["weights"] == "inputs",
		},
	}
	if gemm := c["gemm_plugin"]; gemm != "off" {
		o.Plugins.GemmPlugin = &gemm
	}
	return o
}

// capabilities are those that the choice's types allow, of cards from the 30 series on.
func (c choice) capabilities() []int {
	if c["quantisation"] == "fp8" || c["quantisation"] == "fp8+kv" {
		return []int{89, 120}
	}
	return []int{86, 89, 120}
}

// uniform is a checkpoint in which all numbers are 1/2: the compiler looks at scales only.
type uniform struct {
	config *checkpoint.Config
	rank   int
}

// halves has 1/2 in each dtype, or some number of an integer's.
var halves = map[string][]byte{
	"F32": {0, 0, 0, 0x3f}, "BF16": {0, 0x3f}, "F16": {0, 0x38}, "F8_E4M3": {0x30}, "I8": {0x11},
}

func (u uniform) Tensor(name string) (graph.Stored, error) {
	for _, tensor := range u.config.RankTensors(u.rank) {
		if tensor.Name != name {
			continue
		}
		s := graph.Stored{Dtype: tensor.Dtype, Shape: tensor.Shape}
		if s.Dtype == "" {
			s.Dtype = map[string]string{"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[u.config.Dtype]
		}
		n := int64(1)
		for _, d := range s.Shape {
			n *= d
		}
		s.Bytes = bytes.Repeat(halves[s.Dtype], int(n))
		return s, nil
	}
	return graph.Stored{}, fmt.Errorf("the checkpoint of rank %d has no tensor %s", u.rank, name)
}
