package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
)

// buildUpstreamFlags are trtllm-build's flags that need Python.
var buildUpstreamFlags = []upstreamFlag{
	{name: "model-config", kind: valueFlag, refuse: true, why: "the checkpoint has its configuration"},
	{name: "build-config", kind: valueFlag, refuse: true, why: "give the limits as flags"},
	{name: "model-cls-file", kind: valueFlag, refuse: true, why: "there is no Python"},
	{name: "model-cls-name", kind: valueFlag, refuse: true, why: "there is no Python"},
}

func buildCommand() *cli.Command {
	flags := append(buildSizeFlags(), buildRecordedFlags()...)
	flags = append(flags, buildPluginFlags()...)
	return &cli.Command{
		Name:  "build",
		Usage: "TensorRT-LLM checkpoint → engine",
		Description: "The size flags are trtllm-build's and are obeyed. Plugin flags are checked for legal values and recorded; the\n" +
			"CPU backend has no plugins. The output directory appears only when it is complete.",
		Flags:  append(flags, cliFlags(buildUpstreamFlags)...),
		Action: runBuild,
	}
}

func buildSizeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "checkpoint-dir", Usage: "checkpoint that export wrote (required)"},
		&cli.StringFlag{Name: "output-dir", Aliases: []string{"o"}, Value: "engine_outputs", Usage: "directory to write"},
		&cli.StringFlag{Name: "backend", Value: "cpu", Usage: "cpu (tensorrt-llm and tensorrt-rtx come with later releases)"},
		&cli.IntFlag{Name: "max-batch-size", Value: 2048, Usage: "sequences in one step"},
		&cli.IntFlag{Name: "max-input-len", Value: 1024, Usage: "tokens of a prompt"},
		&cli.IntFlag{Name: "max-seq-len", Aliases: []string{"max-decoder-seq-len"}, Usage: "tokens of prompt and output together (default: from the model)"},
		&cli.IntFlag{Name: "max-beam-width", Value: 1, Usage: "beams of a request"},
		&cli.IntFlag{Name: "max-num-tokens", Value: 8192, Usage: "tokens in one step, over all sequences"},
		&cli.IntFlag{Name: "opt-num-tokens", Usage: "recorded"},
		&cli.IntFlag{Name: "max-prompt-embedding-table-size", Aliases: []string{"max-multimodal-len"}, Usage: "only 0: prompt tuning is not supported"},
		&cli.StringFlag{Name: "kv-cache-type", Usage: "continuous, paged or disabled (default: paged)"},
		&cli.StringFlag{Name: "paged-kv-cache", Usage: "enable or disable; deprecated, must agree with --kv-cache-type"},
		&cli.StringFlag{Name: "logits-dtype", Usage: "float16 or float32 (default: the checkpoint's)"},
		&cli.BoolFlag{Name: "gather-context-logits", Usage: "keep the logits of prompt positions"},
		&cli.BoolFlag{Name: "gather-all-token-logits", Usage: "context and generation logits"},
		&cli.IntFlag{Name: "workers", Usage: "parallel writers (default: the CPUs)"},
		&cli.BoolFlag{Name: "dry-run", Usage: "check everything, write nothing"},
		&cli.BoolFlag{Name: "explain", Usage: "print where memory goes for each limit, and write nothing"},
	}
}

// buildRecordedFlags are trtllm-build's flags about TensorRT's own matters: they
// are checked, and recorded in the engine's config.json where upstream does so.
func buildRecordedFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "max-encoder-input-len", Value: 1024, Usage: "recorded", Category: upstreamCategory},
		&cli.StringFlag{Name: "profiling-verbosity", Usage: "layer_names_only, detailed or none; recorded", Category: upstreamCategory},
		&cli.StringFlag{Name: "input-timing-cache", Usage: "recorded", Category: upstreamCategory},
		&cli.StringFlag{Name: "output-timing-cache", Usage: "recorded", Category: upstreamCategory},
		&cli.BoolFlag{Name: "strip-plan", Usage: "recorded", Category: upstreamCategory},
		&cli.BoolFlag{Name: "weight-sparsity", Usage: "recorded", Category: upstreamCategory},
		&cli.BoolFlag{Name: "weight-streaming", Usage: "recorded", Category: upstreamCategory},
		&cli.BoolFlag{Name: "fast-build", Usage: "recorded", Category: upstreamCategory},
		&cli.BoolFlag{Name: "enable-debug-output", Usage: "recorded", Category: upstreamCategory},
		&cli.BoolFlag{Name: "monitor-memory", Usage: "recorded; see --explain", Category: upstreamCategory},
		&cli.StringFlag{Name: "visualize-network", Usage: "refused: there is no TensorRT network to draw", Category: upstreamCategory},
		&cli.BoolFlag{Name: "gather-generation-logits", Usage: "recorded; it is a choice of run now", Category: upstreamCategory},
		&cli.StringSliceFlag{Name: "lora-dir", Usage: "refused: LoRA is not supported yet", Category: upstreamCategory},
		&cli.StringFlag{Name: "lora-ckpt-source", Value: "hf", Usage: "hf or nemo", Category: upstreamCategory},
		&cli.StringSliceFlag{Name: "lora-target-modules", Usage: "refused: LoRA is not supported yet", Category: upstreamCategory},
		&cli.IntFlag{Name: "max-lora-rank", Value: 64, Usage: "recorded", Category: upstreamCategory},
		&cli.StringFlag{Name: "speculative-decoding-mode", Usage: "refused: speculative decoding is not supported", Category: upstreamCategory},
		&cli.IntFlag{Name: "max-draft-len", Usage: "only 0", Category: upstreamCategory},
		&cli.IntFlag{Name: "tokens-per-block", Value: 32, Usage: "recorded; the CPU's blocks are its own", Category: "plugins"},
	}
}

// buildPluginFlags are a string flag for each plugin; the empty value is upstream's default.
func buildPluginFlags() []cli.Flag {
	var flags []cli.Flag
	for _, p := range build.PluginFlags() {
		flags = append(flags, &cli.StringFlag{Name: dashed(p.Flag), Usage: p.Usage, Category: "plugins"})
	}
	return flags
}

// dashed is the form of a flag's name that help shows.
func dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

func runBuild(c *cli.Context) error {
	log, err := newLogger(c)
	if err != nil {
		return err
	}
	if err := firstError(noOperands(c), checkUpstreamFlags(c, buildUpstreamFlags, log)); err != nil {
		return err
	}
	if c.String("checkpoint-dir") == "" {
		return usagef("--checkpoint_dir is required")
	}
	options := buildOptions(c)
	if c.Bool("explain") {
		memory, err := build.Explain(c.Context, options)
		if err != nil {
			return err
		}
		return printf(c, "%v", memory)
	}
	return buildEngine(c, options, log)
}

func buildOptions(c *cli.Context) build.Options {
	o := build.Options{
		CheckpointDir: c.String("checkpoint-dir"), OutputDir: c.String("output-dir"), Backend: c.String("backend"),
		MaxBatchSize: c.Int("max-batch-size"), MaxInputLen: c.Int("max-input-len"), MaxSeqLen: c.Int("max-seq-len"),
		MaxBeamWidth: c.Int("max-beam-width"), MaxNumTokens: c.Int("max-num-tokens"), OptNumTokens: c.Int("opt-num-tokens"),
		MaxEncoderInputLen: c.Int("max-encoder-input-len"), MaxPromptEmbeddingTableSize: c.Int("max-prompt-embedding-table-size"),
		KVCacheType: c.String("kv-cache-type"), PagedKVCache: c.String("paged-kv-cache"), LogitsDtype: c.String("logits-dtype"),
		GatherContextLogits: c.Bool("gather-context-logits"), GatherGenerationLogits: c.Bool("gather-generation-logits"),
		GatherAllTokenLogits: c.Bool("gather-all-token-logits"),
		LoraDir:              listValues(c, "lora-dir"), LoraCkptSource: c.String("lora-ckpt-source"),
		LoraTargetModules: listValues(c, "lora-target-modules"), MaxLoraRank: c.Int("max-lora-rank"),
		SpeculativeDecodingMode: c.String("speculative-decoding-mode"), MaxDraftLen: c.Int("max-draft-len"),
		TokensPerBlock: c.Int("tokens-per-block"), ProfilingVerbosity: c.String("profiling-verbosity"),
		InputTimingCache: c.String("input-timing-cache"), OutputTimingCache: c.String("output-timing-cache"),
		StripPlan: c.Bool("strip-plan"), WeightSparsity: c.Bool("weight-sparsity"), WeightStreaming: c.Bool("weight-streaming"),
		FastBuild: c.Bool("fast-build"), EnableDebugOutput: c.Bool("enable-debug-output"), MonitorMemory: c.Bool("monitor-memory"),
		VisualizeNetwork: c.String("visualize-network"),
		DryRun:           c.Bool("dry-run"), Workers: c.Int("workers"), Version: programVersion(), Plugins: map[string]string{},
	}
	for _, p := range build.PluginFlags() {
		if name := dashed(p.Flag); c.IsSet(name) {
			o.Plugins[p.Flag] = c.String(name)
		}
	}
	return o
}

func buildEngine(c *cli.Context, options build.Options, log *slog.Logger) error {
	start := time.Now()
	bar := newProgress(c, "build", log)
	options.Progress = func(done, total int64, _ string) { bar.set(done, total) }
	report, err := build.Build(c.Context, options)
	bar.end()
	if err != nil {
		return err
	}
	for _, note := range report.Notes {
		log.Warn(note)
	}
	if c.Bool("dry-run") {
		log.Info("dry run: the engine can be built; nothing was written")
		return nil
	}
	log.Info(fmt.Sprintf("built %s engine, %s in %.1f s: %s", report.WeightDtype, humanBytes(report.Bytes),
		time.Since(start).Seconds(), options.OutputDir))
	return nil
}
