package tensorrt_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/floatformat"
)

var update = flag.Bool("update", false, "write the golden networks of testdata")

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

// mapped divides a config over ranks.
func mapped(tp, pp int) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) {
		c.Mapping = checkpoint.Mapping{WorldSize: tp * pp, TPSize: tp, PPSize: pp}
	}
}

// rank makes the network of a rank of a tiny model.
func rank(t testing.TB, name string, rank int, changes ...func(c *checkpoint.Config)) *network.Network {
	t.Helper()
	c := tinycheckpoint.Config(t, name)
	for _, change := range changes {
		change(c)
	}
	net, err := model.New(c, rank)
	require.NoError(t, err)
	return net
}

// lower lowers a network, which must work.
func lower(t testing.TB, net *network.Network, o tensorrt.Options) *graph.Network {
	t.Helper()
	g, err := tensorrt.Lower(net, o)
	require.NoError(t, err)
	return g
}

// golden compares text with a file of testdata, or writes it.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text, "run with -update if the change is meant")
}

// describe prints the layers of a network with inputs by name. Of plugins only those fields
// are printed that differ from usual ones, by creator and name.
func describe(t testing.TB, g *graph.Network, usual map[string]map[string]string) string {
	t.Helper()
	var s strings.Builder
	name := func(t *graph.Tensor) string {
		switch {
		case t == nil:
			return "-"
		case slices.ContainsFunc(g.Inputs, func(in graph.Input) bool { return in.Tensor == t }):
			return t.Name
		}
		return fmt.Sprintf("%%%d", t.ID)
	}
	for _, in := range g.Inputs {
		if in.Weight != nil {
			fmt.Fprintf(&s, "weight input %s %s%s\n", in.Tensor.Name, in.Tensor.Type, in.Tensor.Shape)
		}
	}
	for _, l := range g.Layers {
		fmt.Fprintf(&s, "%s: ", l.Name)
		for _, in := range l.Inputs {
			fmt.Fprintf(&s, "%s ", name(in))
		}
		known := map[string]string{}
		switch op := l.Op.(type) {
		case graph.Constant:
			s.WriteString(origin(t, op.Weights) + " ")
			known = text(op.Fields())
		case graph.Plugin:
			known = usual[op.Creator]
		}
		for _, f := range l.Op.Fields() {
			if known[f.Name] != f.String() {
				fmt.Fprintf(&s, "%s ", f)
			}
		}
		s.WriteString("→")
		for _, out := range l.Outputs {
			fmt.Fprintf(&s, " %s", out)
		}
		s.WriteByte('\n')
	}
	for _, out := range g.Outputs {
		fmt.Fprintf(&s, "output %s = %s\n", out.Name, out.Tensor)
	}
	return strings.NewReplacer("[num_tokens", "[T", "[batch_size_last_token_ids", "[R").Replace(s.String())
}

// origin tells what weights are made of, or literal values.
func origin(t testing.TB, w *graph.Weights) string {
	t.Helper()
	switch {
	case w.Recipe == "as stored":
		require.Equal(t, []string{w.Name}, w.From)
		return w.Name
	case w.Recipe != "literal":
		return strings.Join(append([]string{w.Name + ",", w.Recipe}, w.From...), " ")
	}
	data, err := w.Values(nil)
	require.NoError(t, err)
	values := make([]float64, w.Elements())
	for i := range values {
		switch dtype := map[graph.DataType]string{graph.Float: "F32", graph.Half: "F16", graph.BF16: "BF16"}[w.Type]; {
		case dtype != "":
			one := make([]float32, 1)
			floatformat.Decode(one, data[i*floatformat.Size(dtype):], dtype)
			values[i] = float64(one[0])
		case w.Type == graph.Int32:
			values[i] = float64(int32(binary.LittleEndian.Uint32(data[4*i:])))
		default:
			require.Equal(t, graph.Int64, w.Type)
			values[i] = float64(int64(binary.LittleEndian.Uint64(data[8*i:])))
		}
	}
	return fmt.Sprint(values)
}

// text prints fields, by name.
func text(fields []graph.Field) map[string]string {
	m := map[string]string{}
	for _, f := range fields {
		m[f.Name] = f.String()
	}
	return m
}

// firstPlugins are the fields of a network's first plugin of each creator.
func firstPlugins(g *graph.Network) map[string][]graph.Field {
	m := map[string][]graph.Field{}
	for _, l := range g.Layers {
		if op, ok := l.Op.(graph.Plugin); ok && m[op.Creator] == nil {
			m[op.Creator] = op.Attributes
		}
	}
	return m
}

// Changes of options and configs that the cases below combine.
func gemmPlugin(o *tensorrt.Options)    { auto := "auto"; o.Plugins.GemmPlugin = &auto }
func unfused(o *tensorrt.Options)       { o.Plugins.UseFusedMLP = false }
func managed(o *tensorrt.Options)       { o.Plugins.ManageWeights = true }
func contextLogits(o *tensorrt.Options) { o.GatherContextLogits = true }
func halfLogits(o *tensorrt.Options)    { o.LogitsDtype = "float16" }
func beams(o *tensorrt.Options)         { o.MaxBeamWidth = 3 }
func streaming(o *tensorrt.Options)     { o.Plugins.StreamingLLM = true }
func bareFMHA(o *tensorrt.Options) {
	o.Plugins.ContextFMHA, o.Plugins.UsePagedContextFMHA = false, false
}
func tied(o *tensorrt.Options)       { o.TiedHead = true }
func oldRelease(o *tensorrt.Options) { o.Release = tensorrt.Releases[1] }
func wideNCCL(o *tensorrt.Options)   { float := "float32"; o.Plugins.NCCLPlugin = &float }
func manyProfiles(o *tensorrt.Options) {
	o.Plugins.MultipleProfiles, o.OptNumTokens = true, 0
}

func layers(n int64) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) { c.NumHiddenLayers = n }
}
func act(name string) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) { c.HiddenAct = name }
}
func gpt(c *checkpoint.Config) { c.Architecture, c.RotaryPct = "GPTForCausalLM", 0.5 }
func parallelEmbedding(dim int64) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) { c.UseParallelEmbedding, c.EmbeddingShardingDim = true, dim }
}
func quantised(algo string) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) {
		c.Quantization.QuantAlgo = algo
		if algo == checkpoint.W4A16AWQ {
			c.Quantization.GroupSize, c.Quantization.PreQuantScale = 8, true
		}
	}
}
func quantisedCache(c *checkpoint.Config) { c.Quantization.KVCacheQuantAlgo = checkpoint.FP8 }
func yarn(c *checkpoint.Config) {
	c.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryYarn, Factor: 4, BetaFast: 32, BetaSlow: 1, OriginalMaxPositionEmbeddings: 32, Truncate: true}
}

type configs []func(c *checkpoint.Config)
type choices []func(o *tensorrt.Options)

// cases have each family, way of dividing and plugin choice with each other's values, pairwise.
var cases = []struct {
	name, model string
	rank        int
	config      configs
	options     choices
}{
	{"llama", "llama-gqa", 0, configs{layers(2)}, nil},
	{"llama-unfused-plugin-context", "llama-gqa", 0, configs{layers(1)}, choices{unfused, gemmPlugin, contextLogits, manyProfiles}},
	{"llama-bias-tp2", "llama-bias", 1, configs{layers(1), mapped(2, 1)}, choices{gemmPlugin, halfLogits, beams}},
	{"llama-f16-tp2-pp2-first", "llama-f16", 1, configs{layers(2), mapped(2, 2)}, choices{wideNCCL, oldRelease}},
	{"llama-f16-tp2-pp2-last", "llama-f16", 3, configs{layers(2), mapped(2, 2)}, choices{beams}},
	{"llama-tied-llama3-managed", "llama-tied-llama3", 0, configs{layers(1)}, choices{managed, tied}},
	{"llama-sharded-vocab", "llama-sharded", 1, configs{layers(1), mapped(2, 1), parallelEmbedding(0)}, choices{managed, streaming}},
	{"llama-sharded-hidden", "llama-sharded", 0, configs{layers(1), mapped(2, 1), parallelEmbedding(1)}, choices{gemmPlugin, unfused}},
	{"llama-linear-rope-pp3-middle", "llama-linear-rope", 1, configs{layers(3), mapped(1, 3)}, choices{gemmPlugin}},
	{"llama-yarn-cache", "llama-headdim", 0, configs{layers(1), yarn, quantisedCache}, choices{bareFMHA}},
	{"mistral-window-tp4-pp3-last", "mistral-window", 11, configs{layers(3), mapped(4, 3)}, choices{unfused, halfLogits}},
	{"mistral-tp4-pp2-repeated-kv", "mistral-headdim", 7, configs{layers(2), mapped(4, 2)}, choices{gemmPlugin, managed, oldRelease}},
	{"nemotron", "nemotron", 0, configs{layers(1)}, nil},
	{"nemotron-tp2-pp2-last", "nemotron", 3, configs{layers(2), mapped(2, 2)}, choices{gemmPlugin, managed}},
	{"nemotron-f32", "nemotron-f32", 0, configs{layers(1)}, choices{contextLogits, beams}},
	{"gpt-gelu-cache", "nemotron", 0, configs{layers(1), gpt, act("gelu"), quantisedCache}, choices{managed}},
	{"gpt-geglu-tp2", "nemotron", 1, configs{layers(1), gpt, act("geglu"), mapped(2, 1)}, nil},
	{"gpt-gelu-new-pp2-first", "nemotron", 0, configs{layers(2), gpt, act("gelu_new"), mapped(1, 2)}, choices{gemmPlugin}},
	{"gpt-relu", "nemotron", 0, configs{layers(1), gpt, act("relu")}, choices{unfused}},
}

// TestGoldens pins the layers of each case, and that all weights of the rank are in them.
// The usual fields of plugins are those that TestPluginFields pins.
func TestGoldens(t *testing.T) {
	usual := map[string]map[string]string{}
	for creator, fields := range firstPlugins(lower(t, rank(t, "llama-gqa", 0), options(gemmPlugin))) {
		usual[creator] = text(fields)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			net := rank(t, c.model, c.rank, c.config...)
			g := lower(t, net, options(c.options...))
			golden(t, filepath.Join("networks", c.name+".txt"), describe(t, g, usual))

			used := map[string]bool{}
			for _, w := range g.Weights() {
				for _, name := range w.From {
					used[name] = true
				}
			}
			for _, w := range net.Weights {
				o := options(c.options...)
				shared := w.Name == "lm_head.weight" && o.TiedHead && !o.Plugins.ManageWeights
				require.NotEqual(t, shared, used[w.Name], w.Name)
				delete(used, w.Name)
			}
			require.Empty(t, used, "tensors that the rank has not")
		})
	}
}

// TestOnlyPluginsReadHostMemory: the runtime gives host_… as memory of the CPU.
func TestOnlyPluginsReadHostMemory(t *testing.T) {
	g := lower(t, rank(t, "llama-gqa", 0), options())
	host := 0
	for _, in := range g.Inputs {
		require.Equal(t, strings.HasPrefix(in.Tensor.Name, "host_"), in.Host, in.Tensor.Name)
		if !in.Host {
			continue
		}
		host++
		for _, l := range g.Layers {
			if slices.Contains(l.Inputs, in.Tensor) {
				require.Equal(t, "Plugin", l.Op.Kind(), "%s reads %s", l.Name, in.Tensor.Name)
			}
		}
	}
	require.Equal(t, 10, host)
}

// TestRefusals: what is not lowered is refused by name.
func TestRefusals(t *testing.T) {
	on, half := "auto", "float16"
	for want, change := range map[string]func(o *tensorrt.Options){
		"gpt_attention_plugin is off":                                        func(o *tensorrt.Options) { o.Plugins.GPTAttentionPlugin = nil },
		"gpt_attention_plugin is float16 for activations of bfloat16":        func(o *tensorrt.Options) { o.Plugins.GPTAttentionPlugin = &half },
		"gemm_plugin is float16 for activations of bfloat16":                 func(o *tensorrt.Options) { o.Plugins.GemmPlugin = &half },
		"remove_input_padding is off":                                        func(o *tensorrt.Options) { o.Plugins.RemoveInputPadding = false },
		"paged_kv_cache is off":                                              func(o *tensorrt.Options) { o.Plugins.PagedKVCache = false },
		"tokens_per_block is 48, want a power of two":                        func(o *tensorrt.Options) { o.Plugins.TokensPerBlock = 48 },
		"tokens_per_block is 0":                                              func(o *tensorrt.Options) { o.Plugins.TokensPerBlock = 0 },
		`logits_dtype is "bfloat16", want float32 or float16`:                func(o *tensorrt.Options) { o.LogitsDtype = "bfloat16" },
		"lora_plugin is on":                                                  func(o *tensorrt.Options) { o.Plugins.LoraPlugin = &on },
		"gemm_swiglu_plugin is on":                                           func(o *tensorrt.Options) { o.Plugins.GemmSwigluPlugin = &on },
		"fp8_rowwise_gemm_plugin is on":                                      func(o *tensorrt.Options) { o.Plugins.FP8RowwiseGemmPlugin = &on },
		"low_latency_gemm_plugin or low_latency_gemm_swiglu_plugin is on":    func(o *tensorrt.Options) { o.Plugins.LowLatencyGemmPlugin = &on },
		"low_latency_gemm_swiglu_plugin is on":                               func(o *tensorrt.Options) { o.Plugins.LowLatencyGemmSwigluPlugin = &on },
		"gemm_allreduce_plugin is on":                                        func(o *tensorrt.Options) { o.Plugins.GemmAllreducePlugin = &on },
		"norm_quant_fusion is on":                                            func(o *tensorrt.Options) { o.Plugins.NormQuantFusion = true },
		"reduce_fusion is on":                                                func(o *tensorrt.Options) { o.Plugins.ReduceFusion = true },
		"user_buffer is on":                                                  func(o *tensorrt.Options) { o.Plugins.UserBuffer = true },
		"fuse_fp4_quant is on":                                               func(o *tensorrt.Options) { o.Plugins.FuseFP4Quant = true },
		"pp_reduce_scatter is on":                                            func(o *tensorrt.Options) { o.Plugins.PPReduceScatter = true },
		"the rotary table of 1073741824 positions has more than 4 GiB":       func(o *tensorrt.Options) { o.MaxSeqLen = 1 << 30 },
		"a limit is below 1":                                                 func(o *tensorrt.Options) { o.MaxBeamWidth = 0 },
		"tp_size 2 and pp_size 1 need nccl_plugin auto, float32, float16 or": func(o *tensorrt.Options) { o.Plugins.NCCLPlugin = nil },
	} {
		t.Run(want, func(t *testing.T) {
			_, err := tensorrt.Lower(rank(t, "llama-sharded", 0, mapped(2, 1)), options(change))
			require.ErrorIs(t, err, tensorrt.ErrUnsupported)
			require.ErrorContains(t, err, want)
		})
	}
	net := rank(t, "llama-sharded", 0)
	net.Dtype = network.Float8
	_, err := tensorrt.Lower(net, options())
	require.ErrorIs(t, err, tensorrt.ErrUnsupported)
	require.ErrorContains(t, err, "activations of dtype float8_e4m3")
	alone := options(func(o *tensorrt.Options) { o.Plugins.NCCLPlugin = nil })
	lower(t, rank(t, "llama-sharded", 0), alone)
}

// TestVocabulary: the runtime allots logits for a vocabulary that all ranks divide.
func TestVocabulary(t *testing.T) {
	for _, c := range []struct {
		vocab   int64
		tp, pp  int
		columns string
	}{{256, 1, 1, "256"}, {257, 1, 1, "257"}, {257, 2, 1, "258"}, {256, 1, 3, "258"}, {257, 2, 2, "260"}, {258, 2, 2, "260"}, {260, 2, 2, "260"}} {
		vocabulary := func(config *checkpoint.Config) { config.VocabSize = c.vocab }
		g := lower(t, rank(t, "llama-sharded", c.tp*c.pp-1, layers(3), mapped(c.tp, c.pp), vocabulary), options())
		require.Equal(t, "[batch_size_last_token_ids, "+c.columns+"]", g.Outputs[0].Tensor.Shape.String(), "%+v", c)
	}
}
