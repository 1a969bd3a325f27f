package build_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// planOf gives what Build decides for a checkpoint, and its notes.
func planOf(t *testing.T, o build.Options) (engineconfig.Build, string) {
	t.Helper()
	build.SetCompiler(t, build.FakeCompiler{Compile: planner, Version: "10.14.1"})
	t.Chdir(t.TempDir())
	o.OutputDir = "engine"
	if o.Backend == "" {
		o.Backend = build.BackendTensorRTLLM
	}
	report := mustBuild(t, o)
	c, err := engineconfig.Read("engine")
	require.NoError(t, err)
	// The tiny models' heads are too small for TensorRT-LLM's kernels, which rankplan_test.go looks at.
	notes := slices.DeleteFunc(report.Notes, func(n string) bool { return strings.HasPrefix(n, "head_size is ") })
	return c.Build, strings.Join(notes, "\n")
}

func plugins(values ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(values); i += 2 {
		m[values[i]] = values[i+1]
	}
	return m
}

// Upstream's rules for the fused attention of prompts: each row is what the checkpoint and the user say, and what becomes of it.
func TestContextFMHA(t *testing.T) {
	const noFP8 = "use_fp8_context_fmha is disabled"
	for name, c := range map[string]struct {
		algo, cache string
		gpu         string
		plugins     map[string]string
		paged, fp8  bool
		note        string // "" is none
	}{
		"plain":                           {paged: true},
		"plain, FP8 asked for":            {plugins: plugins("use_fp8_context_fmha", "enable"), paged: true, note: noFP8 + ": it needs quant_algo FP8, the checkpoint has none"},
		"off":                             {plugins: plugins("context_fmha", "disable"), note: "use_paged_context_fmha is disabled: it needs context_fmha; without it there is no reuse of KV blocks and no chunked prefill"},
		"not paged":                       {plugins: plugins("use_paged_context_fmha", "disable")},
		"cache alone in FP8":              {cache: "FP8", note: "use_paged_context_fmha is disabled: with a KV cache in FP8 it needs use_fp8_context_fmha"},
		"FP8":                             {algo: "FP8", cache: "FP8", paged: true, fp8: true},
		"FP8 without its cache":           {algo: "FP8", paged: true},
		"FP8 without its cache, asked":    {algo: "FP8", plugins: plugins("use_fp8_context_fmha", "enable"), paged: true, note: noFP8 + ": use_paged_context_fmha allows it only with a KV cache in FP8"},
		"FP8, not paged":                  {algo: "FP8", plugins: plugins("use_paged_context_fmha", "disable"), fp8: true},
		"FP8, its attention off":          {algo: "FP8", cache: "FP8", plugins: plugins("use_fp8_context_fmha", "disable"), paged: true, fp8: true, note: "use_fp8_context_fmha is enabled: use_paged_context_fmha needs it with a KV cache in FP8"},
		"FP8 on an older GPU":             {algo: "FP8", cache: "FP8", gpu: "8.6", note: "with a KV cache in FP8 it needs use_fp8_context_fmha, and that compute capability 8.9 or later"},
		"FP8 weights alone, an older GPU": {algo: "FP8", gpu: "86", paged: true},
		"FP8 on a newer GPU":              {algo: "FP8", cache: "FP8", gpu: "9.0", paged: true, fp8: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := build.Options{Plugins: c.plugins}
			if c.algo == "" {
				o.CheckpointDir = tinycheckpoint.Dir(t, "llama-gqa", func(k *checkpoint.Config) { k.Quantization.KVCacheQuantAlgo = c.cache })
			} else {
				o.CheckpointDir = quantised(t, "llama-gqa", "fp8", 1, 1)
				editJSON(t, o.CheckpointDir+"/config.json", func(m map[string]any) {
					m["quantization"].(map[string]any)["kv_cache_quant_algo"] = map[bool]any{true: "FP8"}[c.cache == "FP8"]
				})
				if c.cache == "FP8" {
					require.Equal(t, "FP8", readCache(t, o.CheckpointDir))
				}
			}
			if c.gpu != "" {
				o.ComputeCapabilities = []string{c.gpu}
			}
			b, notes := planOf(t, o)
			require.Equal(t, c.paged, b.Plugins.UsePagedContextFMHA, "paged")
			require.Equal(t, c.fp8, b.Plugins.UseFP8ContextFMHA, "FP8")
			if c.note == "" {
				require.Empty(t, withoutUnused(notes))
			} else {
				require.Contains(t, notes, c.note)
			}
		})
	}
}

func readCache(t *testing.T, dir string) string {
	t.Helper()
	c, err := checkpoint.ReadConfig(dir + "/config.json")
	require.NoError(t, err)
	return c.Quantization.KVCacheQuantAlgo
}

// withoutUnused drops the note about the scales of a cache that is not quantised any more.
func withoutUnused(notes string) string {
	var kept []string
	for _, note := range strings.Split(notes, "\n") {
		if !strings.Contains(note, "kv_cache_scaling_factor") {
			kept = append(kept, note)
		}
	}
	return strings.Join(kept, "\n")
}

// What is asked for in vain, but changes no result, is turned off with a note, as by trtllm-build.
func TestFusions(t *testing.T) {
	o := build.Options{CheckpointDir: tinycheckpoint.Dir(t, "llama-gqa", nil), Plugins: plugins("reduce_fusion", "enable", "user_buffer", "enable", "norm_quant_fusion", "enable")}
	b, notes := planOf(t, o)
	require.False(t, b.Plugins.ReduceFusion || b.Plugins.UserBuffer || b.Plugins.NormQuantFusion)
	require.Equal(t, 3, strings.Count(notes, " is disabled: "))

	o = build.Options{CheckpointDir: quantised(t, "llama-gqa", "int8_wo", 1, 1), ComputeCapabilities: []string{"9.0"}}
	b, notes = planOf(t, o)
	require.False(t, b.Plugins.UseFusedMLP)
	require.Empty(t, notes)
	require.Equal(t, "bfloat16", *b.Plugins.WeightOnlyQuantMatmulPlugin)
	o.Plugins = plugins("use_fused_mlp", "enable")
	_, notes = planOf(t, o)
	require.Contains(t, notes, "use_fused_mlp is disabled: it is for checkpoints in FP8 or not quantised, this has W8A16")
	b, notes = planOf(t, build.Options{CheckpointDir: quantised(t, "llama-gqa", "awq", 1, 1), ComputeCapabilities: []string{"9.0"}})
	require.Contains(t, notes, "quantization.group_size is 4: TensorRT-LLM 1.2.1 has kernels for 64 128 of W4A16_AWQ")
	require.NotNil(t, b.Plugins.WeightOnlyGroupwiseQuantMatmulPlugin)
}

// The plugins of the engine are those of the model's dtype and of its ranks.
func TestPluginTypes(t *testing.T) {
	one, two := tinycheckpoint.Dir(t, "llama-gqa", nil), tinycheckpoint.Dir(t, "llama-gqa", divided(2, 1))
	b, notes := planOf(t, build.Options{CheckpointDir: one, Plugins: plugins("gpt_attention_plugin", "bfloat16", "gemm_plugin", "auto", "bert_attention_plugin", "auto", "moe_plugin", "disable", "nccl_plugin", "disable")})
	require.Equal(t, "bfloat16", *b.Plugins.GPTAttentionPlugin)
	require.Equal(t, "auto", *b.Plugins.GemmPlugin)
	require.Nil(t, b.Plugins.NCCLPlugin)
	require.Empty(t, notes)
	b, _ = planOf(t, build.Options{CheckpointDir: two})
	require.Equal(t, "bfloat16", *b.Plugins.NCCLPlugin)
	require.Nil(t, b.Plugins.GemmPlugin)
	_, notes = planOf(t, build.Options{CheckpointDir: one, WeightStreaming: true, MaxEncoderInputLen: 7, GatherGenerationLogits: true, Plugins: plugins("gemm_plugin", "bfloat16")})
	for _, want := range []string{"weight_streaming: TensorRT streams no weights of plugins", "max_encoder_input_len 7 is recorded", "gather_generation_logits is deprecated"} {
		require.Contains(t, notes, want)
	}
	b, _ = planOf(t, build.Options{CheckpointDir: quantised(t, "llama-gqa", "fp8", 1, 1), Plugins: plugins("gemm_plugin", "fp8")})
	require.Equal(t, "fp8", *b.Plugins.GemmPlugin)
	b, _ = planOf(t, build.Options{CheckpointDir: one, MaxNumTokens: 8, Plugins: plugins("multiple_profiles", "enable")})
	require.Equal(t, 32, b.MaxNumTokens)
	require.Nil(t, b.OptNumTokens)
}

// What a backend has not got is refused by its flag, with a way out.
func TestRefusedFlags(t *testing.T) {
	one, two := tinycheckpoint.Dir(t, "llama-gqa", nil), tinycheckpoint.Dir(t, "llama-gqa", divided(2, 1))
	weightOnly := quantised(t, "llama-gqa", "int4_wo", 1, 1)
	int8Cache := tinycheckpoint.Dir(t, "llama-gqa", func(c *checkpoint.Config) { c.Quantization.KVCacheQuantAlgo = "INT8" })
	float32s := tinycheckpoint.Dir(t, "llama-f32", func(c *checkpoint.Config) { c.Dtype = checkpoint.Float32 })
	llm := func(change func(o *build.Options)) build.Options {
		o := build.Options{Backend: build.BackendTensorRTLLM, CheckpointDir: one}
		change(&o)
		return o
	}
	rtx := func(change func(o *build.Options)) build.Options {
		o := llm(change)
		o.Backend = build.BackendTensorRTRTX
		return o
	}
	plugin := func(values ...string) func(o *build.Options) {
		return func(o *build.Options) { o.Plugins = plugins(values...) }
	}
	for want, o := range map[string]build.Options{
		"--kv_cache_type continuous is not supported by --backend tensorrt-llm: TensorRT-LLM's in-flight batching wants it paged": llm(func(o *build.Options) { o.KVCacheType = "continuous" }),
		"--kv_cache_type disabled is not supported by --backend tensorrt-llm: generation needs the cache":                         llm(func(o *build.Options) { o.KVCacheType = "disabled" }),
		"--kv_cache_type continuous is not supported by --backend tensorrt-llm":                                                   llm(func(o *build.Options) { o.PagedKVCache = "disable" }),
		"--remove_input_padding disable is not supported by --backend tensorrt-llm":                                               llm(plugin("remove_input_padding", "disable")),
		"--gpt_attention_plugin disable is not supported by --backend tensorrt-llm":                                               llm(plugin("gpt_attention_plugin", "disable")),
		"--gpt_attention_plugin float16 on a checkpoint of dtype bfloat16: use auto or bfloat16, or export":                       llm(plugin("gpt_attention_plugin", "float16")),
		"--gpt_attention_plugin int32: no model computes in it; use auto or bfloat16":                                             llm(plugin("gpt_attention_plugin", "int32")),
		"--gemm_plugin float32 on a checkpoint of dtype bfloat16":                                                                 llm(plugin("gemm_plugin", "float32")),
		"--gemm_plugin nvfp4 is not supported":                                                                                    llm(plugin("gemm_plugin", "nvfp4")),
		"--gemm_plugin fp8 needs a checkpoint with quant_algo FP8, this has none; export it with --qformat fp8":                   llm(plugin("gemm_plugin", "fp8")),
		"--nccl_plugin float16 on a checkpoint":                                                                                   llm(plugin("nccl_plugin", "float16")),
		"--nccl_plugin disable is not supported by --backend tensorrt-llm: the 2 ranks of the checkpoint speak by NCCL": llm(func(o *build.Options) {
			o.CheckpointDir, o.Plugins = two, plugins("nccl_plugin", "disable")
		}),
		"--bert_attention_plugin float16 is not supported by --backend tensorrt-llm: the model has no attention of BERT's kind":    llm(plugin("bert_attention_plugin", "float16")),
		"--bert_context_fmha_fp32_acc enable is not supported":                                                                     llm(plugin("bert_context_fmha_fp32_acc", "enable")),
		"--moe_plugin bfloat16 is not supported":                                                                                   llm(plugin("moe_plugin", "bfloat16")),
		"--mamba_conv1d_plugin bfloat16 is not supported":                                                                          llm(plugin("mamba_conv1d_plugin", "bfloat16")),
		"--lora_plugin auto is not supported":                                                                                      llm(plugin("lora_plugin", "auto")),
		"--dora_plugin enable is not supported":                                                                                    llm(plugin("dora_plugin", "enable")),
		"--gemm_swiglu_plugin fp8 is not supported":                                                                                llm(plugin("gemm_swiglu_plugin", "fp8")),
		"--low_latency_gemm_plugin fp8 is not supported":                                                                           llm(plugin("low_latency_gemm_plugin", "fp8")),
		"--low_latency_gemm_swiglu_plugin fp8 is not supported":                                                                    llm(plugin("low_latency_gemm_swiglu_plugin", "fp8")),
		"--fp8_rowwise_gemm_plugin auto is not supported":                                                                          llm(plugin("fp8_rowwise_gemm_plugin", "auto")),
		"--gemm_allreduce_plugin bfloat16 is not supported":                                                                        llm(plugin("gemm_allreduce_plugin", "bfloat16")),
		"--fuse_fp4_quant enable is not supported":                                                                                 llm(plugin("fuse_fp4_quant", "enable")),
		"--streamingllm enable: attention sinks left TensorRT-LLM in 1.2":                                                          llm(plugin("streamingllm", "enable")),
		"--pp_reduce_scatter enable is for Mixtral only":                                                                           llm(plugin("pp_reduce_scatter", "enable")),
		"--multiple_profiles enable and --opt_num_tokens 8 exclude":                                                                llm(func(o *build.Options) { o.OptNumTokens, o.Plugins = 8, plugins("multiple_profiles", "enable") }),
		"--lm_head_dtype is not supported by --backend tensorrt-llm":                                                               llm(func(o *build.Options) { o.HeadDtype = "int8" }),
		"--lora_dir is not supported by --backend tensorrt-llm":                                                                    llm(func(o *build.Options) { o.LoraDir = []string{"x"} }),
		"--speculative_decoding_mode is not supported":                                                                             llm(func(o *build.Options) { o.SpeculativeDecodingMode = "medusa" }),
		"--max_prompt_embedding_table_size is not supported":                                                                       llm(func(o *build.Options) { o.MaxPromptEmbeddingTableSize = 1 }),
		"--enable_debug_output is not supported":                                                                                   llm(func(o *build.Options) { o.EnableDebugOutput = true }),
		"--strip_plan is not supported by --backend tensorrt-llm: with --fast_build the weights are not in the plan but beside it": llm(func(o *build.Options) { o.StripPlan, o.FastBuild = true, true }),
		"--weight_streaming is not supported by --backend tensorrt-llm: with --fast_build":                                         llm(func(o *build.Options) { o.WeightStreaming, o.FastBuild = true, true }),
		"--weight_sparsity is not supported by --backend tensorrt-llm: with --fast_build":                                          llm(func(o *build.Options) { o.WeightSparsity, o.FastBuild = true, true }),
		"use one of strip_plan and weight_streaming":                                                                               llm(func(o *build.Options) { o.StripPlan, o.WeightStreaming = true, true }),
		`--compute_capability "h100" is none, such as 8.9`:                                                                         llm(func(o *build.Options) { o.ComputeCapabilities = []string{"h100"} }),
		"an engine for TensorRT-LLM is for one GPU":                                                                                llm(func(o *build.Options) { o.ComputeCapabilities = []string{"8.6", "8.9"} }),
		"not supported by --backend tensorrt-llm: kv_cache_quant_algo INT8":                                                        llm(func(o *build.Options) { o.CheckpointDir = int8Cache }),
		"compute capability 10.0":                                                                                                  llm(func(o *build.Options) { o.CheckpointDir, o.ComputeCapabilities = weightOnly, []string{"10.0"} }),

		`--target_version is "0.12", want 1.2, 1.1`:                                                                    llm(func(o *build.Options) { o.TargetVersion = "0.12" }),
		"--target_version is not supported by --backend tensorrt-rtx: its engines are not TensorRT-LLM's":              rtx(func(o *build.Options) { o.TargetVersion = "1.1" }),
		"--kv_cache_type paged is not supported by --backend tensorrt-rtx":                                             rtx(func(o *build.Options) { o.KVCacheType = "Paged" }),
		"--max_beam_width is not supported by --backend tensorrt-rtx":                                                  rtx(func(o *build.Options) { o.MaxBeamWidth = 2 }),
		"--max_num_tokens is not supported by --backend tensorrt-rtx":                                                  rtx(func(o *build.Options) { o.MaxNumTokens = 64 }),
		"--opt_num_tokens is not supported by --backend tensorrt-rtx":                                                  rtx(func(o *build.Options) { o.OptNumTokens = 64 }),
		"--tokens_per_block is not supported by --backend tensorrt-rtx":                                                rtx(func(o *build.Options) { o.TokensPerBlock = 64 }),
		"--strip_plan is not supported by --backend tensorrt-rtx":                                                      rtx(func(o *build.Options) { o.StripPlan = true }),
		"--weight_streaming is not supported by --backend tensorrt-rtx":                                                rtx(func(o *build.Options) { o.WeightStreaming = true }),
		"--weight_sparsity is not supported by --backend tensorrt-rtx":                                                 rtx(func(o *build.Options) { o.WeightSparsity = true }),
		"--enable_debug_output is not supported by --backend tensorrt-rtx":                                             rtx(func(o *build.Options) { o.EnableDebugOutput = true }),
		"--input_timing_cache is not supported by --backend tensorrt-rtx":                                              rtx(func(o *build.Options) { o.InputTimingCache = "x" }),
		"--output_timing_cache is not supported by --backend tensorrt-rtx":                                             rtx(func(o *build.Options) { o.OutputTimingCache = "x" }),
		"--workers is not supported by --backend tensorrt-rtx":                                                         rtx(func(o *build.Options) { o.Workers = 2 }),
		"--gemm_plugin auto is not supported by --backend tensorrt-rtx: TensorRT-RTX takes no plugins":                 rtx(plugin("gemm_plugin", "auto")),
		"tp_size 2 and pp_size 1; export the checkpoint with --tp_size 1 --pp_size 1":                                  rtx(func(o *build.Options) { o.CheckpointDir = two }),
		`--compute_capability "9.0" is none that TensorRT-RTX builds for: 7.5, 8.0, 8.6, 8.9, 12.0, 12.1`:              rtx(func(o *build.Options) { o.ComputeCapabilities = []string{"9.0"} }),
		"--compute_capability 7.5: the checkpoint's dtype bfloat16 needs 8.0 or later; export it with --dtype float16": rtx(func(o *build.Options) { o.ComputeCapabilities = []string{"8.6", "7.5"} }),
		"--compute_capability 7.5: the checkpoint's dtype float32 needs 8.0 or later; export it with --dtype float16": rtx(func(o *build.Options) {
			o.CheckpointDir, o.ComputeCapabilities = float32s, []string{"7.5"}
		}),
		"--compute_capability 8.6: the checkpoint's quant_algo FP8 needs 8.9 or later": rtx(func(o *build.Options) {
			o.CheckpointDir, o.ComputeCapabilities = quantised(t, "llama-gqa", "fp8", 1, 1), []string{"8.6"}
		}),
	} {
		o.DryRun = true
		_, err := build.Build(t.Context(), o)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	// Weights in an order that is wrong for the GPU would be noise: an engine of them needs to be told which.
	_, err := build.Build(t.Context(), build.Options{Backend: build.BackendTensorRTLLM, CheckpointDir: weightOnly, OutputDir: t.TempDir()})
	require.ErrorIs(t, err, build.ErrOption)
	require.ErrorContains(t, err, "W4A16 weights are ordered for one kind of GPU: say which by --compute_capability")
	_, report, err := build.Networks(t.Context(), build.Options{Backend: build.BackendTensorRTLLM, CheckpointDir: weightOnly})
	require.NoError(t, err)
	require.Contains(t, strings.Join(report.Notes, "\n"), "without --compute_capability as for 8.0")
}

// Every plugin flag with every value changes the network, is noted, or refused by its name: none is lost but those that say what is so anyway.
func TestNoPluginIsLost(t *testing.T) {
	ckpt := tinycheckpoint.Dir(t, "llama-gqa", nil)
	record := func(o build.Options) (string, *build.Report, error) {
		networks, report, err := build.Networks(t.Context(), o)
		if err != nil {
			return "", nil, err
		}
		var text strings.Builder
		require.NoError(t, networks[0].WriteJSON(&text))
		return text.String(), report, nil
	}
	soAnyway := map[string][]string{
		"gpt_attention_plugin": {"bfloat16"}, "nccl_plugin": {"bfloat16", "disable"}, "bert_attention_plugin": {"disable"}, "moe_plugin": {"disable"}, "mamba_conv1d_plugin": {"disable"},
		"gemm_plugin": {"disable"}, "use_fp8_context_fmha": {"disable"}, "paged_state": {"disable"},
	}
	for _, backend := range []string{build.BackendTensorRTLLM, build.BackendTensorRTRTX} {
		plain, _, err := record(build.Options{Backend: backend, CheckpointDir: ckpt})
		require.NoError(t, err)
		for _, f := range build.PluginFlags() {
			for _, value := range f.Values {
				text, report, err := record(build.Options{Backend: backend, CheckpointDir: ckpt, Plugins: plugins(f.Flag, value)})
				if err != nil {
					require.ErrorContains(t, err, "--"+f.Flag, "%s %s", f.Flag, value)
					continue
				}
				so := value == f.Default || slices.Contains(soAnyway[f.Flag], value) || backend == build.BackendTensorRTRTX && value == "disable"
				if so {
					require.Equal(t, plain, text, "%s: %s %s", backend, f.Flag, value)
				} else {
					require.True(t, text != plain || strings.Contains(fmt.Sprint(report.Notes), f.Flag), "%s: %s %s", backend, f.Flag, value)
				}
			}
		}
	}
}
