//go:build unix

package build_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// upstreamConfig is what the stand-in for trtllm-build writes.
const upstreamConfig = `{
    "version": "1.2.1",
    "pretrained_config": {"architecture": "LlamaForCausalLM", "dtype": "bfloat16", "vocab_size": 257, "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "mapping": {"tp_size": 2, "pp_size": 1}, "quantization": {"quant_algo": "FP8"}, "a_key": 1.0},
    "build_config": {"max_input_len": 10, "max_seq_len": 20, "max_batch_size": 3, "max_beam_width": 1, "max_num_tokens": 60, "plugin_config": {}, "lora_config": {}}
}
`

// upstream puts a program in the place of trtllm-build. $out is its output directory.
func upstream(t *testing.T, script string) build.Options {
	t.Helper()
	ckpt := tinycheckpoint.Dir(t, "llama-text", nil)
	bin := t.TempDir()
	text := "#!/bin/sh\nfor a in \"$@\"; do [ \"$before\" = --output_dir ] && out=$a; before=$a; done\n" + script + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "trtllm-build"), []byte(text), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "config.json"), []byte(upstreamConfig), 0o600))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("BIN", bin)
	t.Chdir(t.TempDir())
	return build.Options{Backend: build.BackendTensorRTLLM, Builder: build.BuilderTRTLLMBuild, CheckpointDir: ckpt, OutputDir: "engine", Version: "v1.2.3"}
}

const writesEngine = `cp "$BIN/config.json" "$out" && printf plan0 >"$out/rank0.engine" && printf plan1 >"$out/rank1.engine"`

func TestUpstreamBuilder(t *testing.T) {
	o := upstream(t, `echo "building"; echo "warned" >&2; printf cache >model.cache; `+writesEngine)
	o.MaxBatchSize, o.MaxSeqLen, o.KVCacheType, o.FastBuild, o.Workers = 3, 20, "paged", true, 2
	o.LoraDir, o.LoraTargetModules, o.SpeculativeDecodingMode, o.MaxDraftLen = []string{"a b", "c"}, []string{"attn_q"}, "medusa", 4
	o.Plugins = map[string]string{"gemm_plugin": "auto", "context_fmha": "enable"}
	o.LogLevel = "verbose"
	var printed bytes.Buffer
	o.UpstreamOutput = &printed
	report := mustBuild(t, o)
	lines := strings.Split(printed.String(), "\n")
	out := strings.Fields(lines[0])[4]
	require.Equal(t, "trtllm-build --checkpoint_dir "+o.CheckpointDir+" --output_dir "+out+" --max_batch_size 3 --max_seq_len 20 --max_draft_len 4 --workers 2"+
		" --kv_cache_type paged --speculative_decoding_mode medusa --log_level verbose --fast_build --context_fmha enable --gemm_plugin auto --lora_dir 'a b' c --lora_target_modules attn_q", lines[0])
	require.Equal(t, []string{"building", "warned", ""}, lines[1:])
	require.NoDirExists(t, out)
	require.ElementsMatch(t, []string{"engine", "model.cache"}, names(t, "."))
	require.FileExists(t, "engine/tokenizer.json")
	require.Equal(t, &build.Report{Dir: "engine", Backend: "tensorrt-llm", WeightDtype: "FP8", Bytes: 10, MaxBatchSize: 3, MaxInputLen: 10, MaxSeqLen: 20, MaxNumTokens: 60,
		Ranks: []build.RankReport{{Rank: 0, Engine: 5}, {Rank: 1, Engine: 5}}}, report)
	text := content(t, "engine/config.json")
	require.True(t, strings.HasPrefix(text, strings.TrimSuffix(upstreamConfig, "\n}\n")), "what trtllm-build wrote stays as it is")
	c, err := engineconfig.Read("engine")
	require.NoError(t, err)
	require.Equal(t, &engineconfig.Trtgo{Backend: "tensorrt-llm", Builder: "trtllm-build", WeightDtype: "FP8", Producer: engineconfig.Producer{Name: "trtgo", Version: "v1.2.3"}}, c.Trtgo)
	mustBuild(t, o) // over its own engine

	o.DryRun = true
	require.Empty(t, mustBuild(t, o).Ranks)
	require.Contains(t, printed.String(), " --dry_run ")
	require.ElementsMatch(t, []string{"engine", "model.cache"}, names(t, "."))
}

// A failure leaves what stood there, and says what trtllm-build said last.
func TestFailedUpstreamBuilder(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"a traceback":      {`echo half >"$out/rank0.engine"; printf 'Traceback:\n  RuntimeError: no GPU' >&2; exit 3`, "trtllm-build failed: exit status 3, its last words: RuntimeError: no GPU"},
		"silence":          {"exit 1", "trtllm-build failed: exit status 1"},
		"no config":        {"true", "trtllm-build ended well, but wrote no config.json"},
		"a missing rank":   {writesEngine + `; rm "$out/rank1.engine"`, "trtllm-build ended well, but wrote no rank1.engine"},
		"an empty rank":    {writesEngine + `; : >"$out/rank0.engine"`, "trtllm-build ended well, but wrote no rank0.engine"},
		"a damaged config": {writesEngine + `; echo "{" >"$out/config.json"`, "trtllm-build wrote a config.json that cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			o := upstream(t, c.script)
			_, err := build.Build(t.Context(), o)
			require.ErrorIs(t, err, build.ErrUpstream)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
			require.Empty(t, names(t, "."))
		})
	}
	o := upstream(t, "true")
	for want, change := range map[string]func(o *build.Options){
		"--builder trtllm-build builds for --backend tensorrt-llm, not tensorrt-rtx":     func(o *build.Options) { o.Backend = build.BackendTensorRTRTX },
		"--compute_capability is not supported":                                          func(o *build.Options) { o.ComputeCapabilities = []string{"8.9"} },
		"--target_version with --builder trtllm-build, which builds for its own version": func(o *build.Options) { o.TargetVersion = "1.1" },
		"--output_dir is required":                                                       func(o *build.Options) { o.OutputDir = "" },
		"--checkpoint_dir is required":                                                   func(o *build.Options) { o.CheckpointDir = "" },
		"contradicts":                                                                    func(o *build.Options) { o.KVCacheType, o.PagedKVCache = "paged", "disable" },
		"none/config.json: no such file":                                                 func(o *build.Options) { o.CheckpointDir = "none" },
	} {
		changed := o
		change(&changed)
		_, err := build.Build(t.Context(), changed)
		require.ErrorContains(t, err, want)
	}
	t.Setenv("PATH", t.TempDir())
	_, err := build.Build(t.Context(), o)
	require.ErrorIs(t, err, build.ErrUpstream)
	require.ErrorContains(t, err, "trtllm-build is not on PATH: install TensorRT-LLM 1.2.1 or use its image, or leave --builder out")
}

// The end of the context reaches trtllm-build and what it started.
func TestCancelledUpstreamBuilder(t *testing.T) {
	o := upstream(t, `sleep 100 & echo $! >child.new; mv child.new child; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat("child"); err == nil {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	_, err := build.Build(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"child"}, names(t, "."))
	child, err := strconv.Atoi(strings.TrimSpace(content(t, "child")))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(child), "stat"))
		return unix.Kill(child, 0) != nil || err == nil && strings.Contains(string(status), ") Z ")
	}, 10*time.Second, 10*time.Millisecond)
}
