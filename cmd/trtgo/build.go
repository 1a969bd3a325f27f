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
		&cli.IntFlag{Name: "max-seq-len", Aliases: []string{"max-decoder-seq-len"}, DefaultText: "from the model", Usage: "tokens of prompt and output together"},
		&cli.IntFlag{Name: "max-beam-width", Value: 1, Usage: "beams of a request; recorded, the CPU backend takes up to max-batch-size"},
		&cli.IntFlag{Name: "max-num-tokens", Value: 8192, Usage: "tokens in one step, over all sequences"},
		&cli.IntFlag{Name: "opt-num-tokens", DefaultText: "max-batch-size · max-beam-width", Usage: "recorded"},
		&cli.IntFlag{Name: "max-prompt-embedding-table-size", Aliases: []string{"max-multimodal-len"}, Usage: "only 0: prompt tuning is not supported"},
		&cli.StringFlag{Name: "kv-cache-type", DefaultText: "paged", Usage: "paged, or continuous, which is recorded only; disabled is refused"},
		&cli.StringFlag{Name: "paged-kv-cache", Usage: "enable or disable; deprecated, must agree with --kv-cache-type"},
		&cli.StringFlag{Name: "logits-dtype", DefaultText: "the checkpoint's", Usage: "float16 or float32, recorded; the CPU computes float32"},
		&cli.BoolFlag{Name: "gather-context-logits", Usage: "run --output_logits_npy writes the logits of prompt positions without being told"},
		&cli.BoolFlag{Name: "gather-all-token-logits", Usage: "--gather_context_logits and --gather_generation_logits"},
		&cli.IntFlag{Name: "workers", DefaultText: "the CPUs", Usage: "goroutines that read and pack weights"},
		&cli.BoolFlag{Name: "dry-run", Usage: "check everything, write nothing"},
		&cli.BoolFlag{Name: "explain", Usage: "print where memory goes for each limit, and write nothing"},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object on stdout: what was built, or with --explain where memory goes"},
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
	log := newLogger(c)
	if err := firstError(noOperands(c), checkUpstreamFlags(c, buildUpstreamFlags, log)); err != nil {
		return err
	}
	if err := checkBuildFlags(c); err != nil {
		return err
	}
	options := buildOptions(c)
	if !c.Bool("explain") {
		return buildEngine(c, options, log)
	}
	memory, err := build.Explain(c.Context, options)
	switch {
	case err != nil:
		return notCheckpoint(c, err)
	case c.Bool("json"):
		return printJSON(c, memory)
	}
	return printf(c, "%v", memory)
}

// checkBuildFlags refuses what build.Options could not tell from a flag that was
// left out, and the backends to come.
func checkBuildFlags(c *cli.Context) error {
	if c.String("checkpoint-dir") == "" {
		return usagef("--checkpoint_dir is required")
	}
	if err := oneOf(c, "backend", "cpu", "tensorrt-llm", "tensorrt-rtx"); err != nil {
		return err
	}
	if backend := c.String("backend"); backend != "cpu" {
		return usagef("--backend %s cannot be used here: it comes with a later release; use cpu", backend)
	}
	for _, f := range buildSizeFlags() {
		if f, isNumber := f.(*cli.IntFlag); isNumber && c.IsSet(f.Name) {
			least := 1
			if f.Name == "max-prompt-embedding-table-size" || f.Name == "workers" {
				least = 0
			}
			if err := atLeast(c, f.Name, least); err != nil {
				return err
			}
		}
	}
	return firstError(atLeast(c, "tokens-per-block", 1), atLeast(c, "max-lora-rank", 1))
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
		return notCheckpoint(c, err)
	}
	for _, note := range report.Notes {
		log.Warn(note)
	}
	if c.Bool("dry-run") {
		log.Info("dry run: the engine can be built; nothing was written")
	} else {
		log.Info(fmt.Sprintf("built %s engine, %s in %.1f s: %s", report.WeightDtype, humanBytes(report.Bytes),
			time.Since(start).Seconds(), options.OutputDir))
	}
	if c.Bool("json") {
		return printJSON(c, jsonEngine{
			options.OutputDir, report.WeightDtype, report.Bytes, report.MaxBatchSize, report.MaxInputLen, report.MaxSeqLen,
			report.MaxNumTokens, c.Bool("dry-run"), report.Notes,
		})
	}
	return nil
}

// jsonEngine is the line of build --json.
type jsonEngine struct {
	OutputDir    string   `json:"output_dir"`
	WeightDtype  string   `json:"weight_dtype"`
	WeightBytes  int64    `json:"weight_bytes"`
	MaxBatchSize int      `json:"max_batch_size"` // these four as obeyed
	MaxInputLen  int      `json:"max_input_len"`
	MaxSeqLen    int      `json:"max_seq_len"`
	MaxNumTokens int      `json:"max_num_tokens"`
	DryRun       bool     `json:"dry_run,omitempty"` // nothing was written
	Notes        []string `json:"notes,omitempty"`
}
