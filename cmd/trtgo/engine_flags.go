package main

import (
	"log/slog"
	"math"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

// engineFlags open an engine: the same for run and summarize.
func engineFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "engine-dir", Value: "engine_outputs", Usage: "directory that build wrote", Category: "engine"},
		&cli.StringFlag{Name: "tokenizer-dir", DefaultText: "--hf-model-dir, else the engine's", Usage: "directory of the tokenizer", Category: "engine"},
		&cli.StringFlag{Name: "hf-model-dir", Aliases: []string{"model-dir"}, Usage: "where the tokenizer is when --tokenizer-dir is not given", Category: "engine"},
		&cli.StringFlag{Name: "vocab-file", Usage: "tokenizer file, tokenizer.model or tokenizer.json", Category: "engine"},
		&cli.BoolFlag{Name: "no-add-special-tokens", Usage: "do not add begin and end tokens to prompts", Category: "engine"},
		&cli.IntFlag{Name: "threads", DefaultText: "the CPUs this process may use", Usage: "CPU threads", Category: "engine"},
		&cli.StringFlag{Name: "precision", DefaultText: "fast, exact with float32 weights", Usage: "exact (float32 activations) or fast (bfloat16); an engine with float32 weights is always exact", Category: "engine"},
		&cli.StringFlag{Name: "load", Value: "mmap", Usage: "mmap or copy; copy also checks the weights' checksums", Category: "engine"},
		&cli.StringFlag{Name: "chat-template", Value: "auto", Usage: "auto, on or off: whether prompts become chat messages; auto: articles do if the model has a template, run's texts do not", Category: "engine"},
		&cli.IntFlag{Name: "max-tokens-in-paged-kv-cache", DefaultText: "by memory", Usage: "tokens that the KV cache holds", Category: "engine"},
	}
}

// samplingFlags choose tokens; names, defaults and meaning are upstream's.
func samplingFlags() []cli.Flag {
	const category = "sampling"
	return []cli.Flag{
		&cli.Float64Flag{Name: "temperature", Value: 1, Usage: "divides the logits; has no effect with --top-k 1", Category: category},
		&cli.IntFlag{Name: "top-k", Value: 1, Usage: "draw from the k best tokens; 1 is greedy, 0 is all", Category: category},
		&cli.Float64Flag{Name: "top-p", Usage: "draw from the best tokens that together have this probability; 0 is all; has no effect with --top-k 1", Category: category},
		&cli.Float64Flag{Name: "min-p", Usage: "leave out tokens below this share of the best one's probability; has no effect with --top-k 1", Category: category},
		&cli.IntFlag{Name: "random-seed", Usage: "seed of drawing (and of summarize's order)", Category: category},
		&cli.IntFlag{Name: "num-beams", Value: 1, Usage: "only 1: there is no beam search yet", Category: category},
		&cli.IntFlag{Name: "num-return-sequences", DefaultText: "1", Usage: "sequences for each prompt", Category: category},
		&cli.Float64Flag{Name: "repetition-penalty", Value: 1, Usage: "divides positive and multiplies negative logits of tokens already there", Category: category},
		&cli.Float64Flag{Name: "presence-penalty", Usage: "taken once from logits of generated tokens", Category: category},
		&cli.Float64Flag{Name: "frequency-penalty", Usage: "taken from logits of generated tokens for each occurrence", Category: category},
		&cli.IntFlag{Name: "no-repeat-ngram-size", DefaultText: "none", Usage: "no n-gram of this size twice", Category: category},
		&cli.IntFlag{Name: "end-id", DefaultText: "the tokenizer's", Usage: "token that ends a sequence; 0 counts as not given, -1 ends none", Category: category},
		&cli.StringSliceFlag{Name: "stop-words", Usage: "words that end a sequence; run's n-th occurrence of the flag is for the n-th prompt, one alone for all", Category: category},
		&cli.StringSliceFlag{Name: "bad-words", Usage: "words never generated; occurrences as with --stop-words", Category: category},
		&cli.BoolFlag{Name: "streaming", Usage: "print text as it comes", Category: category},
		&cli.IntFlag{Name: "streaming-interval", Value: 5, Usage: "taken; text is printed as soon as it is there", Category: upstreamCategory},
	}
}

// checkEngineFlags refuses values that no engine could take, before one is opened.
func checkEngineFlags(c *cli.Context) error {
	if err := oneOf(c, "load", "mmap", "copy"); err != nil {
		return err
	}
	if c.String("precision") != "" {
		if err := oneOf(c, "precision", "exact", "fast"); err != nil {
			return err
		}
	}
	if c.Int("num-beams") > 1 {
		return usagef("--num_beams %d: there is no beam search yet, use 1", c.Int("num-beams"))
	}
	return firstError(
		oneOf(c, "chat-template", "auto", "on", "off"),
		atLeast(c, "num-beams", 1),
		atLeast(c, "threads", 0),
		atLeast(c, "max-tokens-in-paged-kv-cache", 0),
		atLeast(c, "top-k", 0),
		atLeast(c, "num-return-sequences", 0),
		atLeast(c, "no-repeat-ngram-size", 0),
		between(c, "temperature", 0, math.MaxFloat32),
		between(c, "top-p", 0, 1),
		between(c, "min-p", 0, 1),
		checkEndID(c),
	)
}

// checkEndID refuses what is no token of any model.
func checkEndID(c *cli.Context) error {
	if id := c.Int("end-id"); id < -1 || id > math.MaxInt32 {
		return usagef("--end_id is %d, must be a token, or -1 for none", id)
	}
	return nil
}

// openEngine opens the engine of --engine-dir as the flags say.
func openEngine(c *cli.Context) (*trtllm.Engine, error) {
	options := []trtllm.Option{trtllm.WithLoad(c.String("load"))}
	if n := c.Int("threads"); n > 0 {
		options = append(options, trtllm.WithThreads(n))
	}
	if p := c.String("precision"); p != "" {
		options = append(options, trtllm.WithPrecision(p))
	}
	if n := c.Int("max-tokens-in-paged-kv-cache"); n > 0 {
		options = append(options, trtllm.WithKVCacheTokens(n))
	}
	switch {
	case c.String("vocab-file") != "":
		options = append(options, trtllm.WithTokenizerFile(c.String("vocab-file")))
	case c.String("tokenizer-dir") != "":
		options = append(options, trtllm.WithTokenizerDir(c.String("tokenizer-dir")))
	case c.String("hf-model-dir") != "":
		options = append(options, trtllm.WithTokenizerDir(c.String("hf-model-dir")))
	}
	engine, err := trtllm.Open(c.Context, c.String("engine-dir"), options...)
	if err != nil {
		return nil, notEngine(c, err)
	}
	return engine, nil
}

// samplingOf gives the flags' sampling. As upstream, top_k is 1 unless given, so
// temperature or top_p alone stays greedy; that is warned about.
func samplingOf(c *cli.Context, log *slog.Logger) trtllm.Sampling {
	s := trtllm.Sampling{
		TopK:               c.Int("top-k"),
		NumReturnSequences: c.Int("num-return-sequences"),
		Seed:               uint64(c.Int("random-seed")),
		RepetitionPenalty:  float32(c.Float64("repetition-penalty")),
		PresencePenalty:    float32(c.Float64("presence-penalty")),
		FrequencyPenalty:   float32(c.Float64("frequency-penalty")),
		NoRepeatNgramSize:  c.Int("no-repeat-ngram-size"),
	}
	if s.TopK == 1 {
		for _, name := range []string{"temperature", "top-p", "min-p"} {
			if c.IsSet(name) {
				log.Warn("--" + name + " has no effect while --top_k is 1 (greedy); add --top_k 0 to draw from all tokens")
			}
		}
		return s
	}
	s.Temperature = float32(c.Float64("temperature"))
	s.TopP = float32(c.Float64("top-p"))
	s.MinP = float32(c.Float64("min-p"))
	return s
}
