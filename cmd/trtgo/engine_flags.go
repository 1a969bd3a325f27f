package main

import (
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/trtllm"
)

// engineFlags open an engine and make prompts for it: the same for run, chat and summarize.
func engineFlags() []cli.Flag {
	return append(openingFlags(), inCategory("engine", []cli.Flag{
		&cli.StringFlag{Name: "chat-template", Value: "auto", Usage: "auto, on or off: whether prompts become chat messages; auto: chat's do, articles if the model has a template, run's texts do not"},
	})...)
}

// openingFlags open an engine.
func openingFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "engine-dir", Value: "engine_outputs", Usage: "directory that build wrote"},
		&cli.StringFlag{Name: "tokenizer-dir", DefaultText: "--hf-model-dir, else the engine's", Usage: "directory of the tokenizer"},
		&cli.StringFlag{Name: "hf-model-dir", Aliases: []string{"model-dir"}, Usage: "where the tokenizer is when --tokenizer-dir is not given"},
		&cli.StringFlag{Name: "vocab-file", Usage: "tokenizer file, tokenizer.model or tokenizer.json"},
		&cli.BoolFlag{Name: "no-add-special-tokens", Usage: "do not add begin and end tokens to prompts"},
		&cli.IntFlag{Name: "threads", DefaultText: "the CPUs this process may use", Usage: "CPU threads; engines for TensorRT-LLM refuse this and the next two"},
		&cli.StringFlag{Name: "precision", DefaultText: "fast, exact with float32 and float16 weights", Usage: "exact (float32 activations) or fast (bfloat16); an engine with float32 weights is always exact"},
		&cli.StringFlag{Name: "load", Value: "mmap", Usage: "mmap or copy; copy also checks the weights' checksums"},
	}
	return append(inCategory("engine", append(flags, schedulingFlags()...)), nativeFlags()...)
}

// schedulingFlags say what the engine has for requests, and how it divides that.
func schedulingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "max-batch-size", DefaultText: "the engine's", Usage: "sequences in a step, at most the engine's own limit"},
		&cli.IntFlag{Name: "max-num-tokens", DefaultText: "the engine's", Usage: "tokens in a step, at most the engine's own limit"},
		&cli.IntFlag{Name: "max-tokens-in-paged-kv-cache", DefaultText: "by memory", Usage: "tokens that the KV cache holds"},
		&cli.Float64Flag{Name: "kv-cache-free-gpu-memory-fraction", DefaultText: "CPU: what the limits need, at most 0.5; GPU: 0.9", Usage: "share that the KV cache takes of the memory beside the weights: on the CPU the machine's, used as it fills"},
		&cli.BoolFlag{Name: reuseFlag, Value: true, Usage: "keep KV blocks of what was computed, for prompts that begin alike"},
		// Never set: the command line's form of it sets the one above to false.
		&cli.BoolFlag{Name: "no-" + reuseFlag, Usage: "compute every prompt from its beginning"},
		&cli.StringFlag{Name: "scheduler-policy", Value: "guaranteed_no_evict", Usage: "guaranteed_no_evict: start a request when there is room for all its output; max_utilization: for its prompt, and pause it when room runs out"},
		&cli.IntFlag{Name: "max-queue-size", DefaultText: "no limit", Usage: "requests that may wait; one more fails"},
	}
}

const reuseFlag = "kv-cache-enable-block-reuse"

// checkEngineFlags refuses values of engineFlags and samplingFlags that no engine could take, before one is opened.
func checkEngineFlags(c *cli.Context) error {
	return firstError(checkOpeningFlags(c), oneOf(c, "chat-template", "auto", "on", "off"), checkSamplingFlags(c))
}

// checkOpeningFlags does that for openingFlags.
func checkOpeningFlags(c *cli.Context) error {
	if err := oneOf(c, "load", "mmap", "copy"); err != nil {
		return err
	}
	if c.String("precision") != "" {
		if err := oneOf(c, "precision", "exact", "fast"); err != nil {
			return err
		}
	}
	return firstError(
		oneOf(c, "scheduler-policy", "guaranteed_no_evict", "max_utilization"),
		atLeast(c, "threads", 0),
		atLeast(c, "max-batch-size", 0),
		atLeast(c, "max-num-tokens", 0),
		atLeast(c, "max-tokens-in-paged-kv-cache", 0),
		atLeast(c, "max-queue-size", 0),
		checkKVCacheFraction(c),
		checkNativeFlags(c),
	)
}

func checkKVCacheFraction(c *cli.Context) error {
	f := c.Float64("kv-cache-free-gpu-memory-fraction")
	if c.IsSet("kv-cache-free-gpu-memory-fraction") && !(f > 0 && f < 1) {
		return usagef("--kv-cache-free-gpu-memory-fraction is %v, must be above 0 and below 1", f)
	}
	return nil
}

// withEngine opens the engine of --engine-dir as the flags say, uses it and closes it. Where mpirun started several processes only the leader
// uses it; the others return when the leader has.
func withEngine(c *cli.Context, log *slog.Logger, use func(*trtllm.Engine) error, more ...trtllm.Option) error {
	engine, err := openEngineAt(c, c.String("engine-dir"), log, more...)
	if err != nil {
		return notEngine(c, err)
	}
	if !engine.Leader() {
		return follow(c, engine)
	}
	defer engine.Close()
	return use(engine)
}

// openEngineAt opens the engine in a directory as the flags say.
func openEngineAt(c *cli.Context, dir string, log *slog.Logger, more ...trtllm.Option) (*trtllm.Engine, error) {
	native := engineBackend(dir) == engineconfig.BackendTensorRTLLM
	options := append(more, trtllm.WithLogger(log), trtllm.WithBlockReuse(c.Bool(reuseFlag)))
	options = append(options, ownNativeOptions(c)...)
	if native {
		options = append(options, upstreamNativeOptions(c)...)
		if err := prepareNative(c); err != nil {
			return nil, err
		}
		defer tellOfLoading(log)()
	}
	if c.IsSet("load") {
		options = append(options, trtllm.WithLoad(c.String("load")))
	}
	if n := c.Int("threads"); n > 0 {
		options = append(options, trtllm.WithThreads(n))
	}
	if p := c.String("precision"); p != "" {
		options = append(options, trtllm.WithPrecision(p))
	}
	if n := c.Int("max-batch-size"); n > 0 {
		options = append(options, trtllm.WithMaxBatchSize(n))
	}
	if n := c.Int("max-num-tokens"); n > 0 {
		options = append(options, trtllm.WithMaxNumTokens(n))
	}
	if n := c.Int("max-tokens-in-paged-kv-cache"); n > 0 {
		options = append(options, trtllm.WithKVCacheTokens(n))
	}
	if f := c.Float64("kv-cache-free-gpu-memory-fraction"); f > 0 {
		options = append(options, trtllm.WithKVCacheFraction(f))
	}
	if n := c.Int("max-queue-size"); n > 0 {
		options = append(options, trtllm.WithMaxQueueSize(n))
	}
	if c.String("scheduler-policy") == "max_utilization" {
		options = append(options, trtllm.WithCapacityPolicy(trtllm.MaxUtilization))
	}
	switch {
	case c.String("vocab-file") != "":
		options = append(options, trtllm.WithTokenizerFile(c.String("vocab-file")))
	case c.String("tokenizer-dir") != "":
		options = append(options, trtllm.WithTokenizerDir(c.String("tokenizer-dir")))
	case c.String("hf-model-dir") != "":
		options = append(options, trtllm.WithTokenizerDir(c.String("hf-model-dir")))
	}
	engine, err := trtllm.Open(c.Context, dir, options...)
	if err != nil && native && c.Context.Err() != nil {
		log.Warn(err.Error()) // what was waited for
	}
	return engine, err
}
