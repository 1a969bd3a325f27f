package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
)

// buildUpstreamFlags are trtllm-build's flags that a CPU engine has no use for.
var buildUpstreamFlags = []upstreamFlag{
	{name: "model-config", kind: valueFlag, refuse: true, why: "the checkpoint has its configuration"},
	{name: "build-config", kind: valueFlag, refuse: true, why: "give the limits as flags"},
	{name: "model-cls-file", kind: valueFlag, refuse: true, why: "there is no Python"},
	{name: "model-cls-name", kind: valueFlag, refuse: true, why: "there is no Python"},
	{name: "max-encoder-input-len", kind: valueFlag, why: "there are no encoder-decoder models"},
	{name: "input-timing-cache", kind: valueFlag, why: "it belongs to TensorRT"},
	{name: "output-timing-cache", kind: valueFlag, why: "it belongs to TensorRT"},
	{name: "profiling-verbosity", kind: valueFlag, why: "it belongs to TensorRT"},
	{name: "strip-plan", kind: switchFlag, why: "it belongs to TensorRT"},
	{name: "weight-sparsity", kind: switchFlag, why: "it belongs to TensorRT"},
	{name: "weight-streaming", kind: switchFlag, why: "it belongs to TensorRT"},
	{name: "fast-build", kind: switchFlag, why: "it belongs to TensorRT"},
	{name: "enable-debug-output", kind: switchFlag, why: "it belongs to TensorRT"},
	{name: "monitor-memory", kind: switchFlag, why: "it belongs to TensorRT; see --explain"},
	{name: "visualize-network", kind: valueFlag, why: "it belongs to TensorRT"},
	{name: "gather-generation-logits", kind: switchFlag, why: "it is a choice of run now"},
}

func buildCommand() *cli.Command {
	flags := append(buildSizeFlags(), buildPluginFlags()...)
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
		flags = append(flags, &cli.StringFlag{Name: p.Flag, Usage: p.Usage, Category: "plugins"})
	}
	return flags
}

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
		text, err := build.Explain(c.Context, options)
		if err != nil {
			return err
		}
		return printf(c, "%s", text)
	}
	return buildEngine(c, options, log)
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
