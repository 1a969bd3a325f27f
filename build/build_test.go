package build_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

func TestMain(m *testing.M) {
	build.SetDevices(nil) // whatever the machine has
	if dir := os.Getenv("TRTGO_TEST_BUILD_AND_HANG"); dir != "" {
		buildAndHang(dir)
	}
	goleak.VerifyTestMain(m)
}

// names lists a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func mustBuild(t *testing.T, o build.Options) *build.Report {
	t.Helper()
	report, err := build.Build(context.Background(), o)
	require.NoError(t, err)
	return report
}

func TestBuild(t *testing.T) {
	ckpt := tinycheckpoint.Dir(t, "llama-text", nil)
	parent := t.TempDir()
	out := filepath.Join(parent, "deep", "engine")
	var done, total int64
	report := mustBuild(t, build.Options{CheckpointDir: ckpt, OutputDir: out, MaxBatchSize: 4, Version: "v1.2.3",
		Progress: func(d, n int64, _ string) { done, total = d, n }})
	require.Equal(t, total, done)
	require.Equal(t, report.Bytes, total)
	require.Equal(t, "bfloat16", report.WeightDtype)
	require.Equal(t, []string{"engine"}, names(t, filepath.Dir(out)), "no temporary directory is left")

	want := []string{"config.json", "rank0.engine"}
	files, err := checkpoint.TokenizerFiles(ckpt)
	require.NoError(t, err)
	require.Greater(t, len(files), 2)
	for _, f := range files {
		want = append(want, filepath.Base(f))
		a, err := os.ReadFile(f)
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(out, filepath.Base(f)))
		require.NoError(t, err)
		require.Equal(t, a, b)
	}
	require.ElementsMatch(t, want, names(t, out))

	engine, err := cpuengine.Open(filepath.Join(out, "rank0.engine"))
	require.NoError(t, err)
	require.NoError(t, engine.Verify(context.Background(), nil))

	c, err := engineconfig.Read(out)
	require.NoError(t, err)
	require.Equal(t, &engineconfig.Trtgo{Backend: "cpu", FormatVersion: cpuengine.FormatVersion, Producer: engineconfig.Producer{Name: "trtgo", Version: "v1.2.3"},
		WeightDtype: "bfloat16", WeightBytes: report.Bytes, TiedHead: true}, c.Trtgo)
	require.Equal(t, "LlamaForCausalLM", c.Pretrained.Architecture)
	require.Equal(t, 4, c.Build.MaxBatchSize)
	require.Equal(t, report.MaxSeqLen, c.Build.MaxSeqLen)
}

// The keys that TensorRT-LLM's C++ runtime requires, and types it insists on.
func TestConfigHasTheRuntimesKeys(t *testing.T) {
	out := filepath.Join(t.TempDir(), "engine")
	mustBuild(t, build.Options{CheckpointDir: tinycheckpoint.Dir(t, "mistral-window", nil), OutputDir: out, LogitsDtype: "float16",
		Plugins: map[string]string{"gpt_attention_plugin": "bfloat16", "gemm_plugin": "bfloat16"}})
	text, err := os.ReadFile(filepath.Join(out, "config.json"))
	require.NoError(t, err)
	var c map[string]any
	require.NoError(t, json.Unmarshal(text, &c))
	require.Equal(t, "1.2.1", c["version"])

	pretrained := c["pretrained_config"].(map[string]any)
	for _, key := range []string{"architecture", "dtype", "num_hidden_layers", "num_attention_heads", "vocab_size", "hidden_size", "quantization", "head_size"} {
		require.Contains(t, pretrained, key)
	}
	require.Equal(t, "float16", pretrained["logits_dtype"])
	require.Equal(t, 1.0, pretrained["mapping"].(map[string]any)["tp_size"])
	require.NotContains(t, pretrained["mapping"], "rank")
	require.Equal(t, []any{12.0}, pretrained["runtime_defaults"].(map[string]any)["max_attention_window"])

	b := c["build_config"].(map[string]any)
	require.Equal(t, map[string]any{"lora_dir": []any{}, "lora_ckpt_source": "hf", "max_lora_rank": 64.0, "lora_target_modules": []any{},
		"trtllm_modules_to_hf_modules": map[string]any{}, "max_loras": nil, "max_cpu_loras": nil, "swap_gate_up_proj_lora_b_weight": true}, b["lora_config"])
	require.Equal(t, "PAGED", b["kv_cache_type"])
	require.Equal(t, 1.0, b["speculative_decoding_mode"])
	for _, key := range []string{"max_batch_size", "max_beam_width", "max_input_len", "max_seq_len", "max_num_tokens", "opt_num_tokens"} {
		require.Positive(t, b[key], key)
	}
	plugins := b["plugin_config"].(map[string]any)
	for key, want := range map[string]any{
		"gpt_attention_plugin": "bfloat16", "gemm_plugin": "bfloat16", "lora_plugin": nil, "remove_input_padding": true, "paged_kv_cache": true,
		"tokens_per_block": 32.0, "context_fmha": true, "use_paged_context_fmha": true, "manage_weights": false, "paged_state": false, "gemm_allreduce_plugin": nil,
	} {
		require.Contains(t, plugins, key)
		require.Equal(t, want, plugins[key], key)
	}
	require.NotContains(t, b, "dry_run")
	require.NotContains(t, b, "auto_parallel_config")
}

func TestLimits(t *testing.T) {
	ckpt := tinycheckpoint.Dir(t, "llama-gqa", nil) // 128 positions
	linear := tinycheckpoint.Dir(t, "llama-linear-rope", nil)
	positions := func(dir string) int {
		c, err := checkpoint.ReadConfig(filepath.Join(dir, "config.json"))
		require.NoError(t, err)
		return int(c.MaxPositionEmbeddings)
	}
	require.Equal(t, 128, positions(ckpt))
	type limits struct{ batch, input, seq, tokens int }
	for name, c := range map[string]struct {
		options build.Options
		want    limits
		opt     int
		note    string
	}{
		"defaults":                  {build.Options{}, limits{2048, 128, 128, 8192}, 2048, ""},
		"all given":                 {build.Options{MaxBatchSize: 8, MaxInputLen: 64, MaxSeqLen: 96, MaxNumTokens: 512, OptNumTokens: 100}, limits{8, 64, 96, 512}, 100, ""},
		"tokens cut to the product": {build.Options{MaxBatchSize: 2, MaxSeqLen: 100}, limits{2, 100, 100, 200}, 2, ""},
		"input cut to the model":    {build.Options{MaxInputLen: 500}, limits{2048, 128, 128, 8192}, 2048, "max_input_len 500 is cut to max_seq_len 128"},
		"default input cut":         {build.Options{MaxSeqLen: 60, MaxInputLen: 1024}, limits{2048, 60, 60, 8192}, 2048, ""},
		"beyond the model":          {build.Options{MaxSeqLen: 4096}, limits{2048, 1024, 4096, 8192}, 2048, "more than the 128 positions"},
		"beams":                     {build.Options{MaxBeamWidth: 7, MaxBatchSize: 5}, limits{5, 128, 128, 640}, 35, "each beam is a sequence of a step, of which max_batch_size 5 are allowed"},
		"opt cut":                   {build.Options{OptNumTokens: 9000}, limits{2048, 128, 128, 8192}, 8192, "opt_num_tokens 9000 is cut"},
		"tokens raised to a block":  {build.Options{MaxNumTokens: 8}, limits{2048, 128, 128, 32}, 32, "raised to 32"},
		"tokens raised to an input": {build.Options{MaxNumTokens: 8, Plugins: map[string]string{"context_fmha": "disable"}}, limits{2048, 128, 128, 128}, 128, "raised to 128"},
		"many tokens":               {build.Options{MaxNumTokens: 20000}, limits{2048, 128, 128, 20000}, 2048, "more than 16384"},
		"profiles":                  {build.Options{Plugins: map[string]string{"multiple_profiles": "enable"}}, limits{2048, 128, 128, 8192}, 0, ""},
		"padding":                   {build.Options{MaxBatchSize: 4, Plugins: map[string]string{"remove_input_padding": "disable"}}, limits{4, 128, 128, 512}, 0, "remove_input_padding"},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.options
			o.CheckpointDir, o.OutputDir = ckpt, filepath.Join(t.TempDir(), "engine")
			report := mustBuild(t, o)
			require.Equal(t, c.want, limits{report.MaxBatchSize, report.MaxInputLen, report.MaxSeqLen, report.MaxNumTokens})
			config, err := engineconfig.Read(o.OutputDir)
			require.NoError(t, err)
			b := config.Build
			require.Equal(t, c.want, limits{b.MaxBatchSize, b.MaxInputLen, b.MaxSeqLen, b.MaxNumTokens})
			if c.opt == 0 {
				require.Nil(t, b.OptNumTokens)
			} else {
				require.Equal(t, c.opt, *b.OptNumTokens)
			}
			if c.note == "" {
				require.Empty(t, report.Notes)
			} else {
				require.Contains(t, strings.Join(report.Notes, "\n"), c.note)
			}
		})
	}
	report := mustBuild(t, build.Options{CheckpointDir: linear, DryRun: true})
	require.Equal(t, 4*positions(linear), report.MaxSeqLen, "linear scaling stretches the model")
	for original, want := range map[int64]int{32: 128, 64: 256} { // 128 positions are stretched already, or are not
		yarn := tinycheckpoint.Dir(t, "llama-gqa", func(c *checkpoint.Config) {
			c.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryYarn, Factor: 4, OriginalMaxPositionEmbeddings: original, BetaFast: 32, BetaSlow: 1, Truncate: true}
		})
		require.Equal(t, want, mustBuild(t, build.Options{CheckpointDir: yarn, DryRun: true}).MaxSeqLen)
	}
	llama3 := tinycheckpoint.Dir(t, "llama-tied-llama3", nil)
	require.Equal(t, positions(llama3), mustBuild(t, build.Options{CheckpointDir: llama3, DryRun: true}).MaxSeqLen, "llama3 does not")
}

func TestPlugins(t *testing.T) {
	ckpt := tinycheckpoint.Dir(t, "llama-gqa", nil)
	flags := build.PluginFlags()
	require.Len(t, flags, 27)
	for _, f := range flags {
		require.Contains(t, f.Usage, f.Values[0])
		for _, value := range f.Values {
			_, err := build.Build(context.Background(), build.Options{CheckpointDir: ckpt, DryRun: true, Plugins: map[string]string{f.Flag: value}})
			if value == "enable" && (f.Flag == "streamingllm" || f.Flag == "pp_reduce_scatter") {
				require.ErrorIs(t, err, build.ErrOption, f.Flag)
				require.ErrorContains(t, err, f.Flag)
				continue
			}
			require.NoError(t, err, "%s %s", f.Flag, value)
		}
		_, err := build.Build(context.Background(), build.Options{CheckpointDir: ckpt, DryRun: true, Plugins: map[string]string{f.Flag: "int5"}})
		require.ErrorIs(t, err, build.ErrOption)
		require.ErrorContains(t, err, `--`+f.Flag+` is "int5", want `+f.Values[0])
	}
	// Every flag is recorded: each value leaves another plugin_config.
	for _, f := range flags {
		seen := map[string]bool{}
		for _, value := range f.Values {
			if value == "enable" && (f.Flag == "streamingllm" || f.Flag == "pp_reduce_scatter") || f.Flag == "paged_state" {
				continue
			}
			out := filepath.Join(t.TempDir(), "engine")
			mustBuild(t, build.Options{CheckpointDir: ckpt, OutputDir: out, Plugins: map[string]string{f.Flag: value}})
			c, err := engineconfig.Read(out)
			require.NoError(t, err)
			text, err := json.Marshal(c.Build.Plugins)
			require.NoError(t, err)
			require.False(t, seen[string(text)], "%s %s", f.Flag, value)
			seen[string(text)] = true
		}
	}
}

func TestOptionErrors(t *testing.T) {
	ckpt := tinycheckpoint.Dir(t, "llama-gqa", nil)
	for _, c := range []struct {
		options build.Options
		is      error
		want    string
	}{
		{build.Options{CheckpointDir: ""}, build.ErrOption, "--checkpoint_dir is required"},
		{build.Options{Backend: "tensorrt"}, build.ErrOption, `--backend is "tensorrt", want cpu, tensorrt-llm, tensorrt-rtx`},
		{build.Options{MaxBatchSize: -1}, build.ErrOption, "--max_batch_size is -1"},
		{build.Options{MaxSeqLen: 1 << 40}, build.ErrOption, "--max_seq_len"},
		{build.Options{MaxInputLen: 100, MaxSeqLen: 50}, build.ErrOption, "--max_input_len 100 is more than --max_seq_len 50"},
		{build.Options{TokensPerBlock: 48}, build.ErrOption, "power of two"},
		{build.Options{LogitsDtype: "int8"}, build.ErrOption, "--logits_dtype"},
		{build.Options{KVCacheType: "quilted"}, build.ErrOption, "want continuous, paged, disabled"},
		{build.Options{KVCacheType: "DISABLED"}, build.ErrUnsupported, "generation needs the cache"},
		{build.Options{KVCacheType: "Paged", PagedKVCache: "disable"}, build.ErrOption, "--paged_kv_cache disable contradicts --kv_cache_type paged"},
		{build.Options{PagedKVCache: "on"}, build.ErrOption, "--paged_kv_cache"},
		{build.Options{LoraDir: []string{"lora"}}, build.ErrUnsupported, "--lora_dir"},
		{build.Options{HeadDtype: "fp8"}, build.ErrOption, `--lm_head_dtype is "fp8", want int8`},
		{build.Options{LoraCkptSource: "ggml"}, build.ErrOption, "--lora_ckpt_source"},
		{build.Options{LoraTargetModules: []string{"attn_q"}}, build.ErrUnsupported, "--lora_target_modules"},
		{build.Options{SpeculativeDecodingMode: "medusa"}, build.ErrUnsupported, "--speculative_decoding_mode"},
		{build.Options{SpeculativeDecodingMode: "guess"}, build.ErrOption, "--speculative_decoding_mode"},
		{build.Options{MaxDraftLen: 4}, build.ErrUnsupported, "--max_draft_len"},
		{build.Options{MaxDraftLen: 4, GatherAllTokenLogits: true}, build.ErrOption, "needs --max_draft_len 0"},
		{build.Options{MaxPromptEmbeddingTableSize: 8}, build.ErrUnsupported, "--max_prompt_embedding_table_size"},
		{build.Options{VisualizeNetwork: "dir"}, build.ErrUnsupported, "--visualize_network"},
		{build.Options{ProfilingVerbosity: "loud"}, build.ErrOption, "--profiling_verbosity"},
		{build.Options{OptNumTokens: 4, Plugins: map[string]string{"multiple_profiles": "enable"}}, build.ErrOption, "exclude each other"},
		{build.Options{Plugins: map[string]string{"warp_plugin": "enable"}}, build.ErrOption, "--warp_plugin"},
	} {
		o := c.options
		if c.want != "--checkpoint_dir is required" {
			o.CheckpointDir = ckpt
		}
		o.OutputDir = filepath.Join(t.TempDir(), "engine")
		_, err := build.Build(context.Background(), o)
		require.ErrorIs(t, err, c.is, c.want)
		require.ErrorContains(t, err, c.want)
		require.NoDirExists(t, o.OutputDir)
	}
	_, err := build.Build(context.Background(), build.Options{CheckpointDir: ckpt})
	require.ErrorContains(t, err, "--output_dir is required")
}

func TestNotes(t *testing.T) {
	report := mustBuild(t, build.Options{CheckpointDir: tinycheckpoint.Dir(t, "llama-f16", nil), DryRun: true, KVCacheType: "continuous",
		LogitsDtype: "float16", GatherGenerationLogits: true, StripPlan: true, FastBuild: true, Plugins: map[string]string{"gpt_attention_plugin": "bfloat16", "lora_plugin": "auto"}})
	all := strings.Join(report.Notes, "\n")
	for _, want := range []string{"always paged", "logits in float32", "deprecated", "strip_plan is recorded", "fast_build is recorded", "differs from the checkpoint's dtype float16",
		"LoRA"} {
		require.Contains(t, all, want)
	}
	require.Equal(t, "float16", report.WeightDtype)
}

func TestCheckpointErrors(t *testing.T) {
	out := filepath.Join(t.TempDir(), "engine")
	_, err := build.Build(context.Background(), build.Options{CheckpointDir: filepath.Join(t.TempDir(), "none"), OutputDir: out})
	require.ErrorIs(t, err, fs.ErrNotExist)

	sharded := tinycheckpoint.Dir(t, "llama-gqa", func(c *checkpoint.Config) { c.Mapping = checkpoint.Mapping{WorldSize: 2, TPSize: 1, PPSize: 2} })
	_, err = build.Build(context.Background(), build.Options{CheckpointDir: sharded, OutputDir: out})
	require.ErrorIs(t, err, cpu.ErrSharded)

	quantised := tinycheckpoint.Dir(t, "llama-gqa", nil)
	path := filepath.Join(quantised, "config.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"quant_algo": null`, `"quant_algo": "W4A8_AWQ"`, 1)), 0o644))
	_, err = build.Build(context.Background(), build.Options{CheckpointDir: quantised, OutputDir: out})
	require.ErrorIs(t, err, checkpoint.ErrUnsupported)
	require.ErrorContains(t, err, "W4A8_AWQ")

	truncated := tinycheckpoint.Dir(t, "llama-gqa", nil)
	require.NoError(t, os.Truncate(filepath.Join(truncated, "rank0.safetensors"), 5000))
	_, err = build.Build(context.Background(), build.Options{CheckpointDir: truncated, OutputDir: out})
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.NoDirExists(t, out)
}

func TestExistingOutput(t *testing.T) {
	ckpt := tinycheckpoint.Dir(t, "llama-gqa", nil)
	out := filepath.Join(t.TempDir(), "engine")
	o := build.Options{CheckpointDir: ckpt, OutputDir: out, MaxBatchSize: 3}
	require.NoError(t, os.Mkdir(out, 0o755))
	mustBuild(t, o) // over an empty directory
	o.MaxBatchSize = 5
	mustBuild(t, o) // over an engine
	c, err := engineconfig.Read(out)
	require.NoError(t, err)
	require.Equal(t, 5, c.Build.MaxBatchSize)
	require.Equal(t, []string{"engine"}, names(t, filepath.Dir(out)))

	o.MaxBatchSize = 7
	note := filepath.Join(out, "notes.txt")
	require.NoError(t, os.WriteFile(note, []byte("mine"), 0o644))
	_, err = build.Build(context.Background(), o)
	require.ErrorIs(t, err, build.ErrExists)
	require.ErrorContains(t, err, "notes.txt")
	require.FileExists(t, note)

	_, err = build.Build(context.Background(), build.Options{CheckpointDir: ckpt, OutputDir: ckpt})
	require.ErrorIs(t, err, build.ErrExists, "the checkpoint is not overwritten")
	require.FileExists(t, filepath.Join(ckpt, "rank0.safetensors"))
	mustBuild(t, build.Options{CheckpointDir: ckpt, OutputDir: ckpt, DryRun: true})
}

// A build that is cancelled, at whatever section, leaves nothing, and an engine
// that stood there stays as it was.
func TestCancel(t *testing.T) {
	ckpt := tinycheckpoint.Dir(t, "llama-gqa", nil)
	parent := t.TempDir()
	out := filepath.Join(parent, "engine")
	sections := 0
	mustBuild(t, build.Options{CheckpointDir: ckpt, OutputDir: out, Progress: func(int64, int64, string) { sections++ }})
	before, err := os.ReadFile(filepath.Join(out, "config.json"))
	require.NoError(t, err)
	for stop := range sections + 1 {
		ctx, cancel := context.WithCancel(context.Background())
		seen := 0
		if stop == 0 {
			cancel()
		}
		_, err := build.Build(ctx, build.Options{CheckpointDir: ckpt, OutputDir: out, MaxBatchSize: 3, Progress: func(int64, int64, string) {
			if seen++; seen == stop {
				cancel()
			}
		}})
		cancel()
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []string{"engine"}, names(t, parent))
	}
	after, err := os.ReadFile(filepath.Join(out, "config.json"))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// buildAndHang is what the killed process runs: it stops forever in the middle.
func buildAndHang(dir string) {
	_, err := build.Build(context.Background(), build.Options{CheckpointDir: filepath.Join(dir, "checkpoint"), OutputDir: filepath.Join(dir, "engine"),
		Progress: func(done, total int64, _ string) {
			if 2*done >= total {
				os.Stdout.WriteString("half\n")
				select {}
			}
		}})
	os.Stdout.WriteString("ended: " + errors.Join(err).Error() + "\n")
	os.Exit(1)
}

// What a killed build leaves is accepted by nothing, and is no hindrance.
func TestKilledBuild(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Rename(tinycheckpoint.Dir(t, "llama-gqa", nil), filepath.Join(dir, "checkpoint")))
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "TRTGO_TEST_BUILD_AND_HANG="+dir)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, 5)
	_, err = stdout.Read(line)
	require.NoError(t, err)
	require.Equal(t, "half\n", string(line))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	require.NoDirExists(t, filepath.Join(dir, "engine"))
	left, err := filepath.Glob(filepath.Join(dir, ".engine.partial-*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, err = engineconfig.Read(left[0])
	require.ErrorIs(t, err, engineconfig.ErrInvalid)
	require.ErrorContains(t, err, "interrupted build")
	require.NoFileExists(t, filepath.Join(left[0], "config.json"), "the config is written last")
	require.False(t, engineconfig.IsEngine(left[0]))
	_, err = cpuengine.Open(filepath.Join(left[0], "rank0.engine"))
	require.ErrorIs(t, err, cpuengine.ErrFormat, "the header is written last")
	_, err = build.Inspect(context.Background(), left[0], false)
	require.Error(t, err)

	mustBuild(t, build.Options{CheckpointDir: filepath.Join(dir, "checkpoint"), OutputDir: filepath.Join(dir, "engine")})
	require.True(t, engineconfig.IsEngine(filepath.Join(dir, "engine")))
}
