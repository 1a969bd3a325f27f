package build_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// runtimeConfig is what TensorRT-LLM's C++ runtime takes from an engine's config.json
// (cpp/tensorrt_llm/runtime/gptJsonConfig.cpp of 1.x), for models that are transformers. Numbers of a rank are divided as it divides them.
type runtimeConfig struct {
	architecture, dtype, logitsDtype        string
	layers, heads, kvHeads, headSize        int // heads of a rank
	vocabSize, hiddenSize, intermediateSize int // hidden and intermediate of a rank
	tp, pp                                  int
	quantAlgo, kvCacheQuantAlgo             string
	maxBatch, maxBeam, maxInput, maxSeq     int
	maxTokens, tokensPerBlock               int
	contextLogits, contextFMHA, pagedFMHA   bool
	attentionPlugin, packed, paged, managed bool
	maxAttentionWindow                      []int
}

// reader takes keys from an object as nlohmann's JSON library gives them. It remembers the first error.
type reader struct {
	path string
	m    map[string]any
	err  *error
}

func (r reader) fail(format string, args ...any) {
	if *r.err == nil {
		*r.err = fmt.Errorf(format, args...)
	}
}

// at is a key that has to be there.
func (r reader) at(key string) any {
	v, ok := r.m[key]
	if !ok {
		r.fail("%s%s is missing", r.path, key)
	}
	return v
}

func (r reader) object(key string) reader {
	m, ok := r.at(key).(map[string]any)
	if !ok {
		r.fail("%s%s is no object", r.path, key)
	}
	return reader{r.path + key + ".", m, r.err}
}

// value converts v, without what would be rounded.
func value[T any](r reader, key string, v any) T {
	t, ok := v.(T)
	if n, isNumber := v.(json.Number); isNumber {
		i, err := n.Int64()
		t, ok = any(int(i)).(T)
		ok = ok && err == nil
	}
	if !ok {
		r.fail("%s%s is %v, of another type", r.path, key, v)
	}
	return t
}

func required[T any](r reader, key string) T { return value[T](r, key, r.at(key)) }

// optional is also null for the default.
func optional[T any](r reader, key string, otherwise T) T {
	if v := r.m[key]; v != nil {
		return value[T](r, key, v)
	}
	return otherwise
}

var runtimeQuantAlgos = []string{"", "W8A16", "W4A16", "W4A16_AWQ", "W4A8_AWQ", "W4A16_GPTQ", "FP8", "FP8_PER_CHANNEL_PER_TOKEN", "NVFP4"}

// parseRuntime reads a config as the runtime does, and refuses besides what it would take silently: unknown
// algorithms, limits of 0.
func parseRuntime(text string) (*runtimeConfig, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var m map[string]any
	if err := decoder.Decode(&m); err != nil {
		return nil, err
	}
	var err error
	root := reader{"", m, &err}
	c := &runtimeConfig{}
	if optional(root, "version", "none") == "none" {
		return nil, errors.New("without a version it is read as of an old release")
	}
	c.pretrained(root.object("pretrained_config"))
	c.build(root.object("build_config"))
	return c, err
}

func (c *runtimeConfig) pretrained(p reader) {
	c.architecture, c.dtype = required[string](p, "architecture"), required[string](p, "dtype")
	if !slices.Contains([]string{"float32", "float16", "bfloat16"}, c.dtype) {
		p.fail("dtype %s is not supported", c.dtype)
	}
	if strings.Contains(c.architecture, "GLM") || c.architecture == "MambaForCausalLM" || c.architecture == "RecurrentGemmaForCausalLM" {
		p.fail("architecture %s is another kind of model", c.architecture)
	}
	mapping := p.object("mapping")
	c.tp, c.pp = required[int](mapping, "tp_size"), optional(mapping, "pp_size", 1)
	cp := optional(mapping, "cp_size", 1)
	if n := required[int](mapping, "gpus_per_node"); n != 8 { // absent it is 8 too, but trtllm-build writes it
		p.fail("gpus_per_node is %d", n)
	}
	if _, ok := mapping.m["rank"]; ok {
		p.fail("the config of all ranks has a rank")
	}
	if *p.err != nil {
		return
	}
	c.layers, c.vocabSize = required[int](p, "num_hidden_layers"), required[int](p, "vocab_size")
	heads := required[int](p, "num_attention_heads")
	c.heads, c.hiddenSize = heads/(c.tp*cp), required[int](p, "hidden_size")/c.tp
	c.headSize = optional(p, "head_size", c.hiddenSize/max(c.heads, 1))
	c.kvHeads = max(optional(p, "num_key_value_heads", heads)/(c.tp*cp), 1)
	c.intermediateSize = optional(p, "intermediate_size", 0) / c.tp
	c.logitsDtype = optional(p, "logits_dtype", "float32")
	if c.logitsDtype != "float32" && c.logitsDtype != "float16" {
		p.fail("logits_dtype %s is not supported", c.logitsDtype)
	}
	for _, key := range []string{"layer_types", "num_kv_heads_per_layer", "num_kv_heads_per_cross_attn_layer"} {
		if len(optional(p, key, []any{})) > 0 {
			p.fail("%s makes another kind of model", key)
		}
	}
	for _, key := range []string{"cross_attention", "has_position_embedding", "has_token_type_embedding"} {
		if optional(p, key, false) {
			p.fail("%s makes another kind of model", key)
		}
	}
	_, _ = optional(p, "max_position_embeddings", 0), optional(p, "rotary_embedding_dim", 0)
	q := p.object("quantization")
	c.quantAlgo, c.kvCacheQuantAlgo = optional(q, "quant_algo", ""), optional(q, "kv_cache_quant_algo", "")
	if !slices.Contains(runtimeQuantAlgos, c.quantAlgo) || !slices.Contains([]string{"", "FP8", "INT8"}, c.kvCacheQuantAlgo) {
		p.fail("quantisation %s, %s is not known", c.quantAlgo, c.kvCacheQuantAlgo)
	}
	if p.m["runtime_defaults"] != nil {
		for _, w := range optional(p.object("runtime_defaults"), "max_attention_window", []any{}) {
			c.maxAttentionWindow = append(c.maxAttentionWindow, value[int](p, "max_attention_window", w))
		}
	}
}

func (c *runtimeConfig) build(b reader) {
	for key, to := range map[string]*int{
		"max_batch_size": &c.maxBatch, "max_beam_width": &c.maxBeam, "max_input_len": &c.maxInput, "max_seq_len": &c.maxSeq, "max_num_tokens": &c.maxTokens,
	} {
		if *to = optional(b, key, 0); *to < 1 {
			b.fail("%s is %d", key, *to)
		}
	}
	if optional(b, "max_prompt_embedding_table_size", 0) != 0 || optional(b, "max_draft_len", 0) != 0 || optional(b, "speculative_decoding_mode", 1) != 1 || optional(b, "use_mrope", false) {
		b.fail("it asks for what is not there")
	}
	c.contextLogits = optional(b, "gather_context_logits", false)
	_ = optional(b, "gather_generation_logits", false)
	kind := strings.ToUpper(required[string](b, "kv_cache_type")) // absent is an error in the log
	if !slices.Contains([]string{"CONTINUOUS", "PAGED", "DISABLED"}, kind) {
		b.fail("kv_cache_type is %s", kind)
	}
	p := b.object("plugin_config")
	c.attentionPlugin = p.at("gpt_attention_plugin") != nil
	c.packed, c.contextFMHA, c.pagedFMHA = required[bool](p, "remove_input_padding"), required[bool](p, "context_fmha"), required[bool](p, "use_paged_context_fmha")
	c.paged = required[bool](p, "paged_kv_cache") || kind == "PAGED"
	c.tokensPerBlock = required[int](p, "tokens_per_block")
	c.managed = optional(p, "manage_weights", false)
	_, _, _ = optional(p, "paged_state", false), optional(p, "pp_reduce_scatter", false), optional(p, "mamba_conv1d_plugin", "")
	if optional(p, "gemm_allreduce_plugin", "") != "" {
		p.fail("gemm_allreduce_plugin asks for what is not there")
	}
	if p.at("lora_plugin") != nil {
		p.fail("lora_plugin asks for what is not there")
	}
	lora := b.object("lora_config")
	_ = optional(lora, "max_lora_rank", 0)
	if len(optional(lora, "lora_target_modules", []any{})) != 0 {
		lora.fail("lora_target_modules asks for what is not there")
	}
}

// inflight tells whether the executor may batch in flight, reuse whether it may reuse KV blocks and chunk prompts.
func (c *runtimeConfig) inflight() bool { return c.attentionPlugin && c.packed && c.paged }
func (c *runtimeConfig) reuse() bool    { return c.pagedFMHA && !c.contextLogits }

// logitsWidth is how wide the runtime takes the logits to be.
func (c *runtimeConfig) logitsWidth() int {
	ranks := c.tp * c.pp
	return (c.vocabSize + ranks - 1) / ranks * ranks
}

// layersOf is how many layers the runtime takes a pipeline stage to have: the first ones take what is over.
func (c *runtimeConfig) layersOf(stage int) int {
	n := c.layers / c.pp
	if stage < c.layers%c.pp {
		n++
	}
	return n
}

// agree compares a rank's network with what the runtime believes.
func (c *runtimeConfig) agree(t *testing.T, rank int, net *graph.Network) {
	t.Helper()
	attentions := 0
	for _, l := range net.Layers {
		p, ok := l.Op.(graph.Plugin)
		if !ok || p.Creator != "GPTAttention" {
			continue
		}
		fields := map[string]int64{}
		for _, f := range p.Attributes {
			if len(f.Ints) == 1 {
				fields[f.Name] = f.Ints[0]
			}
		}
		require.EqualValues(t, attentions, fields["layer_idx"])
		attentions++
		for name, want := range map[string]int{
			"num_heads": c.heads, "num_kv_heads": c.kvHeads, "head_size": c.headSize, "tokens_per_block": c.tokensPerBlock, "max_context_length": c.maxInput,
			"tp_size": c.tp, "tp_rank": rank % c.tp, "type_id": map[string]int{"float32": 0, "float16": 1, "bfloat16": 7}[c.dtype],
		} {
			require.EqualValues(t, want, fields[name], name)
		}
		require.Equal(t, c.pagedFMHA, fields["use_paged_context_fmha"] == 1)
		// Of the bits of QuantMode, 6 is a cache of INT8 and 7 one of FP8.
		require.EqualValues(t, map[string]int{"": 0, "INT8": 1 << 6, "FP8": 1 << 7}[c.kvCacheQuantAlgo], fields["kv_cache_quant_mode"]&(3<<6))
	}
	require.Equal(t, c.layersOf(rank/c.tp), attentions)
	for _, in := range net.Inputs {
		require.False(t, in.Weight != nil && !c.managed, "%s", in.Tensor.Name)
	}
	if first := rank < c.tp; first {
		ids, ok := net.Input("input_ids")
		require.True(t, ok)
		_, _, most, err := net.Bounds(len(net.Profiles)-1, ids)
		require.NoError(t, err)
		require.Equal(t, []int64{int64(c.maxTokens)}, most)
	}
	if last := rank >= c.tp*(c.pp-1); last {
		require.Equal(t, "logits", net.Outputs[0].Name)
		logits := net.Outputs[0].Tensor
		require.EqualValues(t, c.logitsWidth(), logits.Shape[1].Size)
		require.Equal(t, map[string]graph.DataType{"float32": graph.Float, "float16": graph.Half}[c.logitsDtype], logits.Type)
	}
}

// quantised makes a checkpoint in a quantised form.
func quantised(t *testing.T, model, form string, tp, pp int) string {
	t.Helper()
	if cache, plain := map[string]string{"": "", "FP8 cache": "FP8"}[form]; plain {
		return tinycheckpoint.Dir(t, model, func(c *checkpoint.Config) {
			divided(tp, pp)(c)
			c.Quantization.KVCacheQuantAlgo = cache
		})
	}
	source := testmodel.Dir(t, model)
	o := export.Options{Dtype: "bfloat16", TPSize: tp, PPSize: pp, OutputDir: filepath.Join(t.TempDir(), "checkpoint")}
	switch form {
	case "fp8":
		source = testmodel.QuantisedDir(t, model+".fp8")
	case "awq":
		return testmodel.QuantisedDir(t, model+".awq")
	default:
		o.QFormat = form
	}
	_, err := export.Convert(t.Context(), source, o)
	require.NoError(t, err)
	return o.OutputDir
}

// The runtime's parser takes the config of every engine, allows what the engine can, and
// believes of it what its networks are.
func TestRuntimeTakesConfigs(t *testing.T) {
	build.SetCompiler(t, build.FakeCompiler{Compile: planner})
	models := map[string][]string{
		"llama-gqa": {"", "FP8 cache", "fp8", "int8_wo", "int4_wo", "awq"}, "nemotron": {"", "fp8", "int8_wo", "int4_wo"},
		"mistral-window": {""}, "llama-tied-llama3": {""}, "llama-bias": {""}, "llama-headdim": {""}, "llama-f16": {""},
	}
	for model, forms := range models {
		for _, form := range forms {
			for _, mapping := range [][2]int{{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}} {
				tp, pp := mapping[0], mapping[1]
				if form != "" && (tp == 4 || (tp == 1) != (pp == 1)) {
					continue // to save time: all divisions of what is not quantised, two of each form
				}
				if model == "llama-gqa" && pp == 2 {
					pp = 3 // export wants equal stages, and it has three layers
				}
				if form == "awq" && tp*pp > 1 || tinycheckpoint.Config(t, model).NumAttentionHeads%int64(tp) != 0 {
					continue // that checkpoint is of one rank; heads cannot be divided
				}
				t.Run(fmt.Sprintf("%s %s %dx%d", model, form, tp, pp), func(t *testing.T) {
					o := build.Options{
						Backend: build.BackendTensorRTLLM, CheckpointDir: quantised(t, model, form, tp, pp), OutputDir: "engine",
						MaxBatchSize: 3, MaxBeamWidth: 2, ComputeCapabilities: []string{"8.9"}, FastBuild: tp == 2, GatherContextLogits: pp > 1, LogitsDtype: []string{"float16", "float32"}[tp%2],
					}
					t.Chdir(t.TempDir())
					networks, _, err := build.Networks(t.Context(), o)
					require.NoError(t, err)
					mustBuild(t, o)
					c, err := parseRuntime(content(t, "engine/config.json"))
					require.NoError(t, err)
					require.True(t, c.inflight())
					require.Equal(t, pp == 1 && !strings.HasSuffix(form, " cache"), c.reuse())
					require.Equal(t, []int{tp, pp}, []int{c.tp, c.pp})
					require.Equal(t, []int{3, 2}, []int{c.maxBatch, c.maxBeam})
					require.Equal(t, map[string]string{"": "", "fp8": "FP8", "int8_wo": "W8A16", "int4_wo": "W4A16", "awq": "W4A16_AWQ"}[form], c.quantAlgo)
					require.Equal(t, map[string]string{"FP8 cache": "FP8", "fp8": c.kvCacheQuantAlgo}[form], c.kvCacheQuantAlgo)
					require.Equal(t, model == "mistral-window", c.maxAttentionWindow != nil)
					for rank, net := range networks {
						c.agree(t, rank, net)
					}
				})
			}
		}
	}
}

// The parser of this test refuses what the runtime refuses.
func TestRuntimeParserRefuses(t *testing.T) {
	build.SetCompiler(t, build.FakeCompiler{Compile: planner})
	mustBuild(t, trtllm(t, 1, 1))
	text := content(t, "engine/config.json")
	_, err := parseRuntime(text)
	require.NoError(t, err)
	for _, path := range []string{
		"version", "pretrained_config", "build_config", "pretrained_config.architecture", "pretrained_config.dtype", "pretrained_config.num_hidden_layers",
		"pretrained_config.num_attention_heads", "pretrained_config.vocab_size", "pretrained_config.hidden_size", "pretrained_config.mapping", "pretrained_config.mapping.tp_size",
		"pretrained_config.quantization", "build_config.plugin_config", "build_config.lora_config", "build_config.max_num_tokens", "build_config.max_seq_len",
		"build_config.kv_cache_type", "build_config.plugin_config.gpt_attention_plugin", "build_config.plugin_config.remove_input_padding", "build_config.plugin_config.paged_kv_cache",
		"build_config.plugin_config.tokens_per_block", "build_config.plugin_config.context_fmha", "build_config.plugin_config.use_paged_context_fmha", "build_config.plugin_config.lora_plugin",
	} {
		var m map[string]any
		require.NoError(t, json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&m))
		at := m
		keys := strings.Split(path, ".")
		for _, key := range keys[:len(keys)-1] {
			at = at[key].(map[string]any)
		}
		require.Contains(t, at, keys[len(keys)-1])
		delete(at, keys[len(keys)-1])
		changed, err := json.Marshal(m)
		require.NoError(t, err)
		_, err = parseRuntime(string(changed))
		require.Error(t, err, path)
		if path == "build_config.plugin_config.gpt_attention_plugin" {
			continue // which may be anything but null
		}
		at[keys[len(keys)-1]] = []any{"another type"}
		changed, err = json.Marshal(m)
		require.NoError(t, err)
		_, err = parseRuntime(string(changed))
		require.Error(t, err, path)
	}
}
