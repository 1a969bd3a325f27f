package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// summarizeUpstreamFlags are summarize.py's own flags that summarize has no use for.
var summarizeUpstreamFlags = append([]upstreamFlag{
	{name: "test-hf", kind: switchFlag, refuse: true, why: "there is no Hugging Face run beside"},
	{name: "dataset-cache-dir", kind: valueFlag, why: "data sets are read where they are"},
	{name: "rouge-dir", kind: valueFlag, why: "ROUGE is part of the program"},
	{name: "use-gpu-direct-storage", kind: switchFlag, why: "weights are read as files are"},
}, sharedUpstreamFlags...)

func summarizeCommand() *cli.Command {
	own := []cli.Flag{
		&cli.StringFlag{Name: "dataset", Usage: "articles with the columns article, highlights, id: JSON lines, CSV or parquet, or a directory of them (this or --dataset-dir is required)"},
		&cli.StringFlag{Name: "dataset-dir", Usage: "directory that holds them, itself or in cnn_dailymail or ccdv/cnn_dailymail, shards as the hub lays them out"},
		&cli.StringFlag{Name: "eval-task", Value: "summarize", Usage: "summarize, or upstream's summarize_long (columns input, output), code_completion (prompt, canonical_solution), eval_context_ppl (text)"},
		&cli.BoolFlag{Name: "test-trt-llm", Usage: "upstream's raw prompt (article, then TL;DR:) instead of the chat template"},
		&cli.IntFlag{Name: "max-ite", Value: 20, Usage: "batches"},
		&cli.IntFlag{Name: "batch-size", Value: 1, Usage: "articles in a batch"},
		&cli.IntFlag{Name: "output-len", Value: 100, Usage: "tokens of a summary; 1 with --eval-task eval_context_ppl"},
		&cli.IntFlag{Name: "max-input-length", Value: 923, Usage: "tokens of a prompt; a longer article loses its beginning"},
		&cli.IntFlag{Name: "min-input-length", Usage: "leave out articles whose prompts have no more tokens than this"},
		&cli.StringFlag{Name: "output", Usage: "file for each article, summary and reference, JSON lines"},
		&cli.StringFlag{Name: "output-dir", Usage: "directory for upstream's trtllm.out"},
		&cli.StringFlag{Name: "report", Usage: "file for a page of HTML: scores, their distribution, settings, reference and summary side by side"},
		&cli.BoolFlag{Name: "eval-ppl", Usage: "also the perplexity of each prompt and its summary together; computes both once more"},
		&cli.BoolFlag{Name: "check-accuracy", Usage: "exit with status 1 unless rouge1 is above, and with --eval-ppl the perplexity below, its threshold"},
		&cli.Float64Flag{Name: "tensorrt-llm-rouge1-threshold", Value: 15, Usage: "for --check-accuracy"},
		&cli.Float64Flag{Name: "tensorrt-llm-ppl-threshold", Value: 15, Usage: "for --check-accuracy with --eval-ppl"},
		&cli.BoolFlag{Name: "estimate-accuracy-std-dev", Usage: "mean and deviation instead of the bootstrap median"},
		&cli.BoolFlag{Name: "json", Usage: "end with one JSON object on stdout"},
	}
	flags := append(own, engineFlags()...)
	flags = append(flags, samplingFlags()...)
	return &cli.Command{
		Name:  "summarize",
		Usage: "summarise articles and score them with ROUGE",
		Description: "Articles are taken in upstream's order: numpy's default_rng(random_seed).permutation. The scores are upstream's\n" +
			"bootstrap median, without stemmer, and the mean beside it.\n\n" +
			nativeDescription,
		Flags:  append(flags, cliFlags(summarizeUpstreamFlags)...),
		Action: summarize,
	}
}

func summarize(c *cli.Context) error {
	log := newLogger(c)
	if err := firstError(noOperands(c), checkUpstreamFlags(c, summarizeUpstreamFlags, log), checkSummarizeFlags(c)); err != nil {
		return err
	}
	task, err := evaluation.TaskNamed(c.String("eval-task"))
	if err != nil {
		return err
	}
	articles, err := readArticles(c, task)
	if err != nil {
		return err
	}
	return withEngine(c, log, func(engine *trtllm.Engine) error {
		t, err := engine.Tokenizer()
		if err != nil {
			return err
		}
		page, err := createPage(c)
		if err != nil {
			return err
		}
		defer page.close()
		result, err := summarizeArticles(c, engine, t, task, articles, log)
		if err != nil {
			logUnfinished(log, result)
			return err
		}
		if err := page.commit(c, engine.Config(), result); err != nil {
			return err
		}
		return reportSummaries(c, task, result)
	})
}

// logUnfinished tells what an evaluation that ended early has done: it may have taken hours.
func logUnfinished(log *slog.Logger, result evaluation.Result) {
	if len(result.Samples) == 0 {
		return
	}
	mean := result.Beams[0].Mean
	text := fmt.Sprintf("%d articles were summarised before: mean rouge1 %.2f, rouge2 %.2f, rougeL %.2f", len(result.Samples),
		100*mean.Rouge1.FMeasure, 100*mean.Rouge2.FMeasure, 100*mean.RougeL.FMeasure)
	if len(result.Partial) > 0 {
		text += "; kept in " + strings.Join(result.Partial, " and ")
	}
	log.Warn(text)
}

func checkSummarizeFlags(c *cli.Context) error {
	for _, name := range []string{"stop-words", "bad-words"} {
		if len(listGroups(c, name)) > 1 {
			return usagef("--%s is given %d times; here one list serves all articles", name, len(listGroups(c, name)))
		}
	}
	if c.String("dataset") != "" && c.String("dataset-dir") != "" {
		return usagef("--dataset and --dataset_dir exclude each other")
	}
	if c.String("dataset") == "" && c.String("dataset-dir") == "" {
		return usagef("--dataset is required: a file or directory of articles (JSON lines, CSV, parquet) with article, highlights and id")
	}
	return firstError(checkEngineFlags(c), oneOf(c, "eval-task", "summarize", "summarize_long", "code_completion", "eval_context_ppl"), atLeast(c, "output-len", 1), atLeast(c, "batch-size", 1), atLeast(c, "max-ite", 1),
		atLeast(c, "max-input-length", 1), atLeast(c, "min-input-length", 0), atLeast(c, "random-seed", 0))
}

func readArticles(c *cli.Context, task evaluation.Task) ([]dataset.Article, error) {
	return dataset.ReadArticles(cmp.Or(c.String("dataset"), c.String("dataset-dir")), task.Source)
}

func summarizeArticles(c *cli.Context, engine *trtllm.Engine, t *tokenizer.Tokenizer, task evaluation.Task, articles []dataset.Article, log *slog.Logger) (evaluation.Result, error) {
	chat, err := evaluation.UseChatTemplate(c.String("chat-template"), t, c.Bool("test-trt-llm"))
	if err != nil {
		return evaluation.Result{}, err
	}
	output := outputLength(c, task)
	if err := checkLengths(c, engine.Config(), task, output); err != nil {
		return evaluation.Result{}, err
	}
	generate, err := generatorOf(c, engine, output, log)
	if err != nil {
		return evaluation.Result{}, err
	}
	var score evaluation.Scorer
	if evaluatesPerplexity(c, task) {
		score = scorerOf(engine)
	}
	s := &summaryPrinter{c: c, tokenizer: t, log: log}
	return evaluation.Summarize(c.Context, articles, generate, evaluation.SummarizeOptions{
		Prompter: evaluation.Prompter{
			Tokenizer: t, MaxInputLength: c.Int("max-input-length"), AddSpecialTokens: !c.Bool("no-add-special-tokens"), ChatTemplate: chat,
			Plain: task.Plain,
		},
		Score: score,
		Seed:  uint64(c.Int("random-seed")), BatchSize: c.Int("batch-size"), MaxIterations: c.Int("max-ite"),
		MinInputLength: c.Int("min-input-length"),
		Observer:       s.observer(),
		Outputs: evaluation.Outputs{
			File: c.String("output"), Dir: c.String("output-dir"), EngineDir: c.String("engine-dir"), TokenizerDir: tokenizerPlace(c),
		},
	})
}

// checkLengths refuses, as upstream, prompts that the engine might not take before the first of them is generated.
func checkLengths(c *cli.Context, engine trtllm.Config, task evaluation.Task, output int) error {
	input := c.Int("max-input-length")
	if input > engine.MaxInputLen {
		return fmt.Errorf("--max_input_length is %d, the engine's max_input_len %d: lower the one or build with a larger other", input, engine.MaxInputLen)
	}
	if input+output > engine.MaxSeqLen {
		return fmt.Errorf("--max_input_length %d and --output_len %d need %d tokens, the engine's max_seq_len is %d: lower them or build with a larger one",
			input, output, input+output, engine.MaxSeqLen)
	}
	if most := longestWindow(engine); evaluatesPerplexity(c, task) && input+output > most {
		return fmt.Errorf("--eval_ppl scores a prompt and its output at once: --max_input_length %d and --output_len %d need %d tokens, the engine scores %d (max_input_len %d, max_seq_len %d): lower them or build with larger ones",
			input, output, input+output, most, engine.MaxInputLen, engine.MaxSeqLen)
	}
	return nil
}

// outputLength is --output_len, or the task's own.
func outputLength(c *cli.Context, task evaluation.Task) int {
	if task.PerplexityOnly && !c.IsSet("output-len") {
		return 1
	}
	return c.Int("output-len")
}

func evaluatesPerplexity(c *cli.Context, task evaluation.Task) bool {
	return c.Bool("eval-ppl") || task.PerplexityOnly
}

// tokenizerPlace is where the tokenizer came from, for trtllm.out.
func tokenizerPlace(c *cli.Context) string {
	for _, name := range []string{"vocab-file", "tokenizer-dir", "hf-model-dir"} {
		if place := c.String(name); place != "" {
			return place
		}
	}
	return c.String("engine-dir")
}

// generatorOf continues a batch of prompts, all at once.
func generatorOf(c *cli.Context, engine *trtllm.Engine, output int, log *slog.Logger) (evaluation.Generator, error) {
	sampling, err := samplingOf(c, log)
	if err != nil {
		return nil, err
	}
	request := trtllm.Request{MaxTokens: output, Sampling: sampling, EndIDs: endIDs(c)}
	request.StopWords, request.BadWords = listValues(c, "stop-words"), listValues(c, "bad-words")
	return func(ctx context.Context, prompts [][]int32, onTokens func(int, []int32)) ([][][]int32, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		outputs, failures := make([][][]int32, len(prompts)), make([]error, len(prompts))
		var wait sync.WaitGroup
		for i, ids := range prompts {
			wait.Go(func() {
				r := request
				r.InputIDs = ids
				if outputs[i], failures[i] = generateIDs(ctx, engine, r, func(ids []int32) { onTokens(i, ids) }); failures[i] != nil {
					cancel()
				}
			})
		}
		wait.Wait()
		return outputs, batchFailure(failures)
	}, nil
}

// batchFailure is the first failure that is not only the cancelling by another.
func batchFailure(failures []error) error {
	var cancelled error
	for _, err := range failures {
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled):
			cancelled = err
		default:
			return err
		}
	}
	return cancelled
}

func generateIDs(ctx context.Context, engine *trtllm.Engine, r trtllm.Request, first func([]int32)) ([][]int32, error) {
	sequences := make([][]int32, r.Sampling.NumReturnSequences)
	for chunk, err := range engine.Stream(ctx, r) {
		if err != nil {
			return nil, err
		}
		sequences[chunk.Sequence] = append(sequences[chunk.Sequence], chunk.OutputIDs...)
		if chunk.Sequence == 0 {
			first(chunk.OutputIDs)
		}
	}
	return sequences, nil
}

// reportSummaries prints the scores and checks them against the thresholds.
func reportSummaries(c *cli.Context, task evaluation.Task, result evaluation.Result) error {
	var err error
	if c.Bool("json") {
		err = printJSON(c, result.Report())
	} else {
		err = result.WriteText(c.App.Writer, c.Bool("estimate-accuracy-std-dev"))
	}
	if err != nil || !c.Bool("check-accuracy") {
		return err
	}
	if !task.PerplexityOnly {
		err = result.CheckAccuracy(c.Float64("tensorrt-llm-rouge1-threshold"), c.Bool("estimate-accuracy-std-dev"))
	}
	if evaluatesPerplexity(c, task) {
		err = errors.Join(err, result.CheckPerplexity(c.Float64("tensorrt-llm-ppl-threshold")))
	}
	return err
}
