package tensorrt_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/compatibility"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// engine is a checkpoint whose ranks were lowered.
type engine struct {
	config   *checkpoint.Config
	options  tensorrt.Options
	networks []*graph.Network
	sources  []graph.Source
}

// lowered lowers all ranks of the checkpoint in dir.
func lowered(t testing.TB, dir string, o tensorrt.Options) *engine {
	t.Helper()
	ckpt, err := checkpoint.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ckpt.Close()) })
	e := &engine{config: ckpt.Config(), options: o}
	for rank := range e.config.Mapping.WorldSize {
		net, err := model.New(e.config, rank)
		require.NoError(t, err)
		source, err := tensorrt.OpenSource(ckpt, rank)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, source.Close()) })
		o.Scale = source.Scale
		g, err := tensorrt.Lower(net, o)
		require.NoError(t, err)
		e.networks, e.sources = append(e.networks, g), append(e.sources, source)
	}
	return e
}

// runtime loads the networks; what the test then compares with others' numbers is shown to be right.
func (e *engine) runtime(t testing.TB, typed bool) *evaluator.Runtime {
	t.Helper()
	shown.Passed(t, compatibility.Plugins(e.config, e.options))
	return e.load(t, typed)
}

// load loads the networks as the runtime loads engines.
func (e *engine) load(t testing.TB, typed bool) *evaluator.Runtime {
	t.Helper()
	c, o := e.config, e.options
	config := evaluator.Config{
		TPSize: c.Mapping.TPSize, PPSize: c.Mapping.PPSize, NumLayers: int(c.NumHiddenLayers), NumKVHeads: int(c.NumKeyValueHeads),
		HeadSize: int(c.HeadSize), HiddenSize: int(c.HiddenSize), VocabSize: int(c.VocabSize), TokensPerBlock: o.Plugins.TokensPerBlock,
		MaxBatchSize: o.MaxBatchSize, MaxBeamWidth: o.MaxBeamWidth, MaxSeqLen: o.MaxSeqLen, GatherContextLogits: o.GatherContextLogits,
		CacheBytes: map[string]int64{"float32": 4, "float16": 2, "bfloat16": 2}[c.Dtype],
		LogitsType: map[string]graph.DataType{"float32": graph.Float, "float16": graph.Half}[o.LogitsDtype],
	}
	if c.Quantization.KVCacheQuantAlgo != "" {
		config.CacheBytes = 1
	}
	if c.RuntimeDefaults != nil {
		for _, w := range c.RuntimeDefaults.MaxAttentionWindow {
			config.MaxAttentionWindow = append(config.MaxAttentionWindow, int(w))
		}
	}
	r, err := evaluator.NewRuntime(e.networks, e.sources, config, typed, o.MaxBatchSize*o.MaxBeamWidth*(o.MaxSeqLen/o.Plugins.TokensPerBlock+2))
	require.NoError(t, err)
	return r
}

// server is the runtime's side of an engine, with or without plugins.
type server interface {
	Add(prompt []int32) *evaluator.Sequence
	Step(batch []evaluator.Work) ([][][]float32, error)
}

// rows are logits, by prompt and position.
type rows []map[int][]float32

// serve runs prompts and a few given tokens behind each, several at a time: prompts come one
// step after another, in chunks of random length, while those before generate.
func serve(r server, prompts, output [][]int32, steps int) (rows, error) {
	chance := rand.New(rand.NewPCG(3, 4))
	var running []*evaluator.Sequence
	logits, generated := make(rows, len(prompts)), make([]int, len(prompts))
	for step := 0; ; step++ {
		if len(running) < len(prompts) {
			running = append(running, r.Add(prompts[len(running)]))
			logits[len(running)-1] = map[int][]float32{}
		}
		var contexts, generations []evaluator.Work
		var who, whoGenerates []int
		for i, s := range running {
			switch left := s.Left(); {
			case left > 0:
				contexts, who = append(contexts, evaluator.Work{Sequence: s, Tokens: min(left, 3+chance.IntN(12))}), append(who, i)
			case generated[i] < steps:
				s.Append(output[i][generated[i]:generated[i]+1], nil)
				generated[i]++
				generations, whoGenerates = append(generations, evaluator.Work{Sequence: s}), append(whoGenerates, i)
			}
		}
		batch := append(contexts, generations...)
		if len(batch) == 0 {
			return logits, nil
		}
		got, err := r.Step(batch)
		if err != nil {
			return nil, err
		}
		for k, i := range append(who, whoGenerates...) {
			next := len(prompts[i]) + generated[i] // tokens in the cache
			if batch[k].Tokens > 0 {
				next = len(prompts[i]) - running[i].Left()
			}
			for j, row := range got[k] {
				logits[i][next-len(got[k])+j] = row
			}
		}
	}
}

// difference is how far logits are from transformers', and log-probs of its output.
type difference struct {
	most, rms, logProb float64
	compared           int
}

func (d difference) within(t *testing.T, most, rms, logProb float64) {
	t.Helper()
	t.Logf("greatest difference %.2g, rms %.2g, of log-probs %.2g, %d rows", d.most, d.rms, d.logProb, d.compared)
	require.LessOrEqual(t, d.most, most)
	require.LessOrEqual(t, d.rms, rms)
	require.LessOrEqual(t, d.logProb, logProb)
}

// against compares every row that there is.
func (got rows) against(want testmodel.Reference, steps int) difference {
	var d difference
	n := 0
	for p, prompt := range want.Prompts[:len(got)] {
		for position, row := range got[p] {
			d.compared++
			if step := position - len(prompt) + 1; step >= 0 && step <= steps {
				d.logProb = max(d.logProb, math.Abs(logProb(row, want.GreedyIDs[p][step])-float64(want.LogProbs[p][step])))
			}
			if position >= len(prompt) {
				continue
			}
			for v, x := range want.Logits[p][position] {
				difference := math.Abs(float64(row[v]) - float64(x))
				if math.IsNaN(difference) {
					difference = math.Inf(1)
				}
				d.most, d.rms, n = max(d.most, difference), d.rms+difference*difference, n+1
			}
		}
	}
	d.rms = math.Sqrt(d.rms / float64(n))
	return d
}

func logProb(row []float32, id int32) float64 {
	sum := 0.0
	for _, v := range row {
		sum += math.Exp(float64(v))
	}
	return float64(row[id]) - math.Log(sum)
}

// Steps of output that are compared.
const steps = 4

// compared serves a model's prompts and compares with transformers.
func compared(t testing.TB, r *evaluator.Runtime, name string) (difference, error) {
	t.Helper()
	want := testmodel.Golden(t, name)
	got, err := serve(r, want.Prompts, want.GreedyIDs, steps)
	if err != nil {
		return difference{}, err
	}
	return got.against(want, steps), nil
}

// small are limits that the tiny models' prompts fit.
func small(o *tensorrt.Options) {
	o.MaxBatchSize, o.MaxSeqLen, o.MaxInputLen, o.MaxNumTokens, o.Plugins.TokensPerBlock = 4, 128, 96, 64, 8
}

func gather(o *tensorrt.Options) { o.GatherContextLogits = true }

// Every tiny model, lowered for TensorRT-LLM and computed layer by layer, gives transformers'
// float32 logits at all positions of prompts that come in chunks, beside generations.
func TestNumbers(t *testing.T) {
	for _, name := range testmodel.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := lowered(t, tinycheckpoint.Dir(t, name, nil), options(small, gather))
			d, err := compared(t, e.runtime(t, false), name)
			require.NoError(t, err)
			require.Greater(t, d.compared, 20)
			d.within(t, 1.5e-4, 2e-5, 3e-4)
		})
	}
}

// divided divides a checkpoint among ranks.
func divided(tp, pp int, changes ...func(c *checkpoint.Config)) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) {
		c.Mapping.TPSize, c.Mapping.PPSize, c.Mapping.WorldSize = tp, pp, tp*pp
		for _, change := range changes {
			change(c)
		}
	}
}

func embeddingDivided(dim int64) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) { c.UseParallelEmbedding, c.EmbeddingShardingDim = true, dim }
}

func dtype(name string) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) { c.Dtype = name }
}

// plugins changes the plugin flags.
func plugins(change func(p *engineconfig.Plugin)) func(o *tensorrt.Options) {
	return func(o *tensorrt.Options) { change(&o.Plugins) }
}

// Ranks that work together, and each choice of layers, give the same logits.
func TestNumbersOfVariants(t *testing.T) {
	auto := "auto"
	gemm := plugins(func(p *engineconfig.Plugin) { p.GemmPlugin = &auto })
	unfused := plugins(func(p *engineconfig.Plugin) { p.UseFusedMLP = false })
	managed := plugins(func(p *engineconfig.Plugin) { p.ManageWeights = true })
	for name, c := range map[string]struct {
		model  string
		change func(c *checkpoint.Config)
		with   []func(o *tensorrt.Options)
	}{
		// 257 tokens are no multiple of any number of ranks; 2 KV heads are fewer than 4 ranks.
		"tp 2":                            {"llama-gqa", divided(2, 1), nil},
		"tp 4":                            {"llama-gqa", divided(4, 1), nil},
		"tp 2 of all tokens":              {"llama-gqa", divided(2, 1), []func(o *tensorrt.Options){gather}},
		"tp 2, embedding by vocabulary":   {"llama-gqa", divided(2, 1, embeddingDivided(0)), nil},
		"tp 4, embedding by vocabulary":   {"llama-gqa", divided(4, 1, embeddingDivided(0)), nil},
		"tp 2, embedding by hidden size":  {"llama-gqa", divided(2, 1, embeddingDivided(1)), nil},
		"pp 2":                            {"nemotron", divided(1, 2), nil},
		"pp 2, 3 layers":                  {"llama-gqa", divided(1, 2), nil},
		"tp 2, pp 2":                      {"nemotron", divided(2, 2), nil},
		"tp 2, pp 2, GEMM plugin":         {"llama-gqa", divided(2, 2, embeddingDivided(0)), []func(o *tensorrt.Options){gemm}},
		"tp 2 with biases":                {"llama-bias", divided(2, 1), nil},
		"tp 4 of 4 KV heads":              {"mistral-headdim", divided(4, 1), nil},
		"windows by stage":                {"mistral-window", divided(1, 3), nil},
		"GEMM plugin":                     {"llama-bias", nil, []func(o *tensorrt.Options){gemm}},
		"GEMM plugin, squared ReLU":       {"nemotron", nil, []func(o *tensorrt.Options){gemm}},
		"MLP not fused":                   {"llama-bias", nil, []func(o *tensorrt.Options){unfused}},
		"MLP not fused, GEMM plugin":      {"llama-gqa", divided(2, 1), []func(o *tensorrt.Options){unfused, gemm}},
		"weights as inputs":               {"llama-gqa", nil, []func(o *tensorrt.Options){managed}},
		"weights as inputs, GEMM plugin":  {"nemotron", divided(2, 1), []func(o *tensorrt.Options){managed, gemm}},
		"weights as inputs, tied":         {"llama-tied-llama3", nil, []func(o *tensorrt.Options){managed, func(o *tensorrt.Options) { o.TiedHead = true }}},
		"tied":                            {"llama-tied-llama3", nil, []func(o *tensorrt.Options){func(o *tensorrt.Options) { o.TiedHead = true }}},
		"half precision":                  {"llama-f16", dtype("float16"), nil},
		"float32, divided":                {"nemotron-f32", divided(2, 1), nil},
		"logits of half precision":        {"llama-gqa", nil, []func(o *tensorrt.Options){func(o *tensorrt.Options) { o.LogitsDtype = "float16" }}},
		"contexts from their own step":    {"llama-gqa", nil, []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.UsePagedContextFMHA = false })}},
		"blocks of 64":                    {"llama-gqa", nil, []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.TokensPerBlock = 64 })}},
		"several profiles":                {"llama-gqa", nil, []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.MultipleProfiles = true }), func(o *tensorrt.Options) { o.MaxNumTokens = 300 }}},
		"release 1.1.0":                   {"nemotron", nil, []func(o *tensorrt.Options){func(o *tensorrt.Options) { o.Release = tensorrt.Releases[1] }}},
		"no fused attention for contexts": {"llama-gqa", nil, []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.ContextFMHA, p.UsePagedContextFMHA = false, false })}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(append([]func(o *tensorrt.Options){small}, c.with...)...)
			e := lowered(t, tinycheckpoint.Dir(t, c.model, c.change), o)
			d, err := compared(t, e.runtime(t, false), c.model)
			require.NoError(t, err)
			require.Greater(t, d.compared, 15)
			d.within(t, 1.5e-4, 2e-5, 3e-4)
		})
	}
}

// Families, types and divisions: more of them than the tests above have.
func TestNumbersByFamily(t *testing.T) {
	for _, c := range []struct {
		name, dtype string
		parallel    [][2]int
	}{
		{"llama-gqa", "bfloat16", [][2]int{{2, 2}, {4, 2}}},
		{"llama-gqa", "float32", [][2]int{{1, 1}, {2, 1}, {4, 1}, {1, 2}, {2, 2}}},
		{"llama-gqa", "float16", [][2]int{{2, 1}, {4, 1}, {1, 2}, {2, 2}}},
		{"mistral-window", "bfloat16", [][2]int{{2, 1}, {1, 2}, {2, 2}, {4, 2}}},
		{"mistral-window", "float32", [][2]int{{1, 1}, {4, 1}, {1, 2}, {2, 2}}},
		{"mistral-window", "float16", [][2]int{{1, 1}, {2, 1}, {1, 2}}},
		{"nemotron", "bfloat16", [][2]int{{2, 1}}},
		{"nemotron", "float32", [][2]int{{1, 2}, {2, 2}}},
		{"nemotron", "float16", [][2]int{{1, 1}, {2, 1}, {1, 2}, {2, 2}}},
	} {
		for _, p := range c.parallel {
			t.Run(fmt.Sprintf("%s %s tp %d, pp %d", c.name, c.dtype, p[0], p[1]), func(t *testing.T) {
				t.Parallel()
				e := lowered(t, tinycheckpoint.Dir(t, c.name, divided(p[0], p[1], dtype(c.dtype))), options(small))
				d, err := compared(t, e.runtime(t, false), c.name)
				require.NoError(t, err)
				d.within(t, 1.5e-4, 2e-5, 3e-4)
			})
		}
	}
}

// With every tensor rounded to its type, logits are as close to float32's as transformers' own
// run in bfloat16 is; half precision is closer.
func TestNumbersOfSixteenBits(t *testing.T) {
	for _, c := range []struct{ model, dtype string }{
		{"llama-gqa", "bfloat16"}, {"nemotron", "bfloat16"}, {"mistral-window", "bfloat16"}, {"llama-tied-llama3", "bfloat16"}, {"llama-f16", "float16"},
	} {
		t.Run(c.model, func(t *testing.T) {
			t.Parallel()
			e := lowered(t, tinycheckpoint.Dir(t, c.model, dtype(c.dtype)), options(small, gather))
			d, err := compared(t, e.runtime(t, true), c.model)
			require.NoError(t, err)
			want := testmodel.Golden(t, c.model).BF16RMSAll
			t.Logf("rms %.2g, transformers' %.2g", d.rms, want)
			require.Greater(t, d.rms, 1e-4, "types are rounded to")
			if c.dtype == "float16" {
				want /= 4
			}
			require.LessOrEqual(t, d.rms, 1.25*want)
		})
	}
}
