package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/trtllm"
)

const defaultPrompt = "Born in north-east France, Soyer trained as a"

// runUpstreamFlags are run.py's own flags that run has no use for.
var runUpstreamFlags = append([]upstreamFlag{
	{name: "multimodal-input-file", kind: valueFlag, refuse: true, why: "multimodal models are not supported"},
	{name: "draft-engine-dir", kind: valueFlag, refuse: true, why: "speculative decoding is not supported"},
	{name: "input-token-extra-ids", kind: listFlag, refuse: true, why: "prompt tuning is not supported"},
	{name: "input-token-extra-ids-file", kind: valueFlag, refuse: true, why: "prompt tuning is not supported"},
	{name: "fail-fast-on-attention-window-too-large", kind: switchFlag, why: "the window is the engine's own"},
	{name: "run-profiling", kind: switchFlag, refuse: true, why: "speeds are measured by a later command"},
}, sharedUpstreamFlags...)

func runCommand() *cli.Command {
	own := []cli.Flag{
		&cli.IntFlag{Name: "max-output-len", DefaultText: "none", Usage: "tokens to generate for each prompt (required)"},
		&cli.IntFlag{Name: "max-input-length", Value: 923, Usage: "a longer prompt keeps its last tokens; special tokens count and are kept"},
		&cli.StringSliceFlag{Name: "input-text", Usage: "prompts: several after one flag, or the flag repeated", DefaultText: fmt.Sprintf("%q", defaultPrompt)},
		&cli.StringFlag{Name: "input-file", Usage: "prompts: .txt (one a line), .csv or .npy (token ids), .json or .jsonl; with the two others, ids come first, then the file's, then texts"},
		&cli.StringSliceFlag{Name: "input-ids", Usage: "a prompt as token ids, 1,2,3; repeatable"},
		&cli.StringFlag{Name: "output-csv", Usage: "write prompt and output ids, one row for each sequence"},
		&cli.StringFlag{Name: "output-npy", Usage: "write prompt and output ids as int32"},
		&cli.StringFlag{Name: "output-logits-npy", Usage: "X.npy: write X_context.npy (with --gather_context_logits, or an engine built with it) and X_generation.npy (with --output_generation_logits)"},
		&cli.BoolFlag{Name: "output-generation-logits", Usage: "keep the logits of generated tokens for --output_logits_npy"},
		&cli.BoolFlag{Name: "gather-context-logits", Usage: "keep the logits of prompt positions for --output_logits_npy"},
		&cli.StringFlag{Name: "output-log-probs-npy", Usage: "write log-probs of generated tokens, float32, one row for each sequence"},
		&cli.StringFlag{Name: "output-cum-log-probs-npy", Usage: "write their sums, float32"},
		&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "end each request after this time, e.g. 90s, with what there is by then"},
		&cli.BoolFlag{Name: "trim-stop-words", Usage: "leave the stop word that ends a sequence out of its text"},
		&cli.BoolFlag{Name: "return-log-probs", Usage: "add log-probs to --json"},
		&cli.IntFlag{Name: "top-log-probs", Usage: "add the log-probs of this many best tokens at each generated one to --json"},
		&cli.BoolFlag{Name: "prompt-log-probs", Usage: "add the prompt tokens' log-probs to --json"},
		&cli.IntFlag{Name: "prompt-top-log-probs", Usage: "add the log-probs of this many best tokens at each prompt token to --json"},
		&cli.StringSliceFlag{Name: "priority", DefaultText: "0.5", Usage: "from 0 to 1: which of waiting prompts starts first; one for all, or one for each prompt"},
		&cli.StringSliceFlag{Name: "cache-salt", DefaultText: "none", Usage: "whole number: only prompts with the same one share KV blocks; one for all, or one for each prompt"},
		&cli.StringFlag{Name: "iteration-stats", Usage: fmt.Sprintf("file for a line of JSON about each step, with TensorRT-LLM's names; the last %d", statsKept)},
		&cli.StringFlag{Name: "request-stats", Usage: fmt.Sprintf("file for a line of JSON about the requests of each step, with TensorRT-LLM's names; the last %d", statsKept)},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object for each sequence"},
	}
	flags := append(own, engineFlags()...)
	flags = append(flags, samplingFlags()...)
	return &cli.Command{
		Name:  "run",
		Usage: "generate text with an engine",
		Description: "Prints prompt and output of each text. With --json one object for each sequence; a request that failed has\n" +
			"\"error\", the others are printed all the same, and the exit status is 1.\n\n" +
			nativeDescription,
		Flags:  append(flags, cliFlags(runUpstreamFlags)...),
		Action: generate,
	}
}

// sequence is one generated sequence, or the error of its request.
type sequence struct {
	prompt   *prompt
	sequence int
	trtllm.Sequence
	hasText       bool // the engine has a tokenizer
	contextLogits [][]float32
	err           error

	// Of the prompt, in its first sequence.
	promptLogProbs    []float32
	promptTopLogProbs [][]trtllm.LogProb
}

func generate(c *cli.Context) error {
	log := newLogger(c)
	if err := firstError(noOperands(c), checkUpstreamFlags(c, runUpstreamFlags, log), checkRunFlags(c, log)); err != nil {
		return err
	}
	return withEngine(c, log, func(engine *trtllm.Engine) error {
		logits, err := logitsOf(c)
		if err != nil {
			return err
		}
		prompts, err := readPrompts(c, engine)
		if err != nil {
			return err
		}
		requests, err := runRequests(c, prompts, logits, log)
		if err != nil {
			return err
		}
		sequences, err := runAll(c, engine, prompts, requests)
		if err != nil {
			return err
		}
		if err := printSequences(c, engine, sequences); err != nil {
			return err
		}
		if err := c.Context.Err(); err != nil {
			return err // what there was is printed; files would look finished
		}
		if err := writeFiles(c, engine, prompts, sequences); err != nil {
			return err
		}
		return failedRequests(c, sequences, log)
	}, statsOptions(c)...)
}

func checkRunFlags(c *cli.Context, log *slog.Logger) error {
	if !c.IsSet("max-output-len") {
		return usagef("--max_output_len is required")
	}
	if c.IsSet("output-logits-npy") && c.Bool("streaming") {
		return usagef("--output_logits_npy and --streaming exclude each other")
	}
	if n := sequencesOf(c); c.IsSet("output-logits-npy") && n > 1 {
		return usagef("--output_logits_npy writes one sequence a prompt, not %d; use --num_return_sequences 1", n)
	}
	if c.Duration("timeout") < 0 {
		return usagef("--timeout is %v, must not be negative", c.Duration("timeout"))
	}
	warnWithoutJSON(c, log)
	return firstError(checkEngineFlags(c), atLeast(c, "max-output-len", 1), atLeast(c, "max-input-length", 1),
		atLeast(c, "top-log-probs", 0), atLeast(c, "prompt-top-log-probs", 0))
}

// warnWithoutJSON names the flags that only add fields to --json.
func warnWithoutJSON(c *cli.Context, log *slog.Logger) {
	for _, name := range []string{"return-log-probs", "top-log-probs", "prompt-log-probs", "prompt-top-log-probs"} {
		if c.IsSet(name) && !c.Bool("json") {
			log.Warn("--" + name + " has no effect without --json")
		}
	}
}

// wantedLogits are the parts of --output_logits_npy.
type wantedLogits struct{ context, generation bool }

// logitsOf tells which logits to write. As upstream, an engine that was built with
// context logits gives them without being told.
func logitsOf(c *cli.Context) (wantedLogits, error) {
	if c.String("output-logits-npy") == "" {
		return wantedLogits{}, nil
	}
	engine, err := engineconfig.Read(c.String("engine-dir"))
	if err != nil {
		return wantedLogits{}, err
	}
	w := wantedLogits{
		context:    c.Bool("gather-context-logits") || engine.Build.GatherContextLogits,
		generation: c.Bool("output-generation-logits"),
	}
	if !w.context && !w.generation {
		return w, usagef("--output_logits_npy needs --gather_context_logits, --output_generation_logits or both")
	}
	return w, nil
}

// runAll runs the requests at once and returns their sequences in order. With
// --streaming each text is printed as it comes, one prompt after the other.
func runAll(c *cli.Context, engine *trtllm.Engine, prompts []*prompt, requests []trtllm.Request) ([]sequence, error) {
	results := make([][]sequence, len(prompts))
	streams := newTextStreams(c, engine, prompts)
	var wait sync.WaitGroup
	for i := range requests {
		wait.Go(func() {
			results[i] = runOne(c.Context, engine, prompts[i], requests[i], streams.of(i))
		})
	}
	printed := streams.print()
	wait.Wait()
	var all []sequence
	for _, r := range results {
		all = append(all, r...)
	}
	return all, printed
}

// runOne runs one request. The texts of its sequences go to streams as they come,
// when there are any. An interrupted request keeps what it had.
func runOne(ctx context.Context, engine *trtllm.Engine, p *prompt, r trtllm.Request, streams []*textStream) []sequence {
	if streams != nil {
		return streamOne(ctx, engine, p, r, streams)
	}
	response, err := engine.Generate(ctx, r)
	switch {
	case err != nil && ctx.Err() == nil:
		return []sequence{{prompt: p, err: err}}
	case response == nil: // interrupted before it began
		response = &trtllm.Response{Sequences: make([]trtllm.Sequence, r.Sampling.NumReturnSequences)}
	}
	_, noText := engine.Tokenizer()
	sequences := make([]sequence, 0, len(response.Sequences))
	for n, s := range response.Sequences {
		if s.FinishReason == trtllm.FinishNone {
			s.FinishReason = trtllm.FinishCancelled
		}
		sequences = append(sequences, sequence{
			prompt: p, sequence: n, Sequence: s, hasText: noText == nil, contextLogits: response.ContextLogits,
		})
	}
	sequences[0].promptLogProbs, sequences[0].promptTopLogProbs = response.PromptLogProbs, response.PromptTopLogProbs
	return sequences
}

func streamOne(ctx context.Context, engine *trtllm.Engine, p *prompt, r trtllm.Request, streams []*textStream) []sequence {
	ended := streamFailed
	defer func() {
		for _, stream := range streams {
			stream.close(ended)
		}
	}()
	sequences := make([]sequence, len(streams))
	for i := range sequences {
		sequences[i] = sequence{prompt: p, sequence: i, hasText: true}
	}
	for chunk, err := range engine.Stream(ctx, r) {
		if err != nil {
			return []sequence{{prompt: p, err: err}}
		}
		s := &sequences[chunk.Sequence]
		s.Text += chunk.Text
		s.OutputIDs = append(s.OutputIDs, chunk.OutputIDs...)
		s.LogProbs = append(s.LogProbs, chunk.LogProbs...)
		s.CumLogProb, s.FinishReason = chunk.CumLogProb, chunk.FinishReason
		streams[chunk.Sequence].write(chunk.Text)
		if s.FinishReason != trtllm.FinishNone {
			streams[chunk.Sequence].close(streamDone)
		}
	}
	ended = streamDone
	return sequences
}

// failedRequests logs the errors that --json has already printed, and tells the
// exit status.
func failedRequests(c *cli.Context, sequences []sequence, log *slog.Logger) error {
	failed := 0
	for _, s := range sequences {
		if s.err != nil {
			failed++
			if !c.Bool("json") {
				log.Error(fmt.Sprintf("text %d: %v", s.prompt.index, s.err))
			}
		}
	}
	if failed > 0 {
		return errReported
	}
	return nil
}
