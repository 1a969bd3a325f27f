package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/trtllm"
)

// The methods of --method.
const (
	methodBoth       = "both"
	methodGenerate   = "generate"
	methodLikelihood = "likelihood"
)

// mmluUpstreamFlags are mmlu.py's own flags that eval mmlu has no use for. It takes those of sampling and stays greedy.
var mmluUpstreamFlags = slices.Concat([]upstreamFlag{
	{name: "test-hf", kind: switchFlag, refuse: true, why: "there is no Hugging Face run beside"},
	{name: "test-trt-llm", kind: switchFlag, why: "the engine is always what is evaluated"},
	{name: "max-input-length", kind: valueFlag, why: "upstream has it and does not use it; the engine's limits count"},
}, greedyFlags("num-beams", "num-return-sequences", "temperature", "top-k", "top-p", "min-p", "length-penalty", "repetition-penalty", "presence-penalty",
	"frequency-penalty", "beam-search-diversity-rate", "random-seed", "early-stopping", "no-repeat-ngram-size", "streaming-interval"), sharedUpstreamFlags)

// greedyFlags are flags of sampling where upstream always takes the likeliest token.
func greedyFlags(names ...string) []upstreamFlag {
	var flags []upstreamFlag
	for _, name := range names {
		flags = append(flags, upstreamFlag{name: name, kind: valueFlag, why: "answers are greedy, as upstream's are"})
	}
	return flags
}

func evalMMLUCommand() *cli.Command {
	own := []cli.Flag{
		&cli.StringFlag{Name: "data-dir", Value: "data/mmlu", Usage: "directory of the MMLU data set: dev/ and test/ with a CSV file for each subject, or the hub's parquet files"},
		&cli.IntFlag{Name: "ntrain", Value: 5, Usage: "questions with answers that stand before each"},
		&cli.IntFlag{Name: "max-ite", Value: 10_000_000, Usage: "questions of each subject"},
		&cli.StringFlag{Name: "method", Value: methodBoth, Usage: "generate (upstream's), likelihood (lm-evaluation-harness's) or both"},
		&cli.BoolFlag{Name: "add-bos-token", Usage: "likelihood: begin prompts with the tokenizer's special tokens, as the harness's option of that name"},
		&cli.IntFlag{Name: "end-id", DefaultText: "the tokenizer's", Usage: "token that ends an answer; 0 counts as not given, -1 ends none"},
		&cli.BoolFlag{Name: "check-accuracy", Usage: "exit with status 1 unless the weighted accuracy reaches the threshold"},
		&cli.Float64Flag{Name: "accuracy-threshold", Value: 30, Usage: "percent, for --check-accuracy"},
		&cli.StringFlag{Name: "output", Usage: "file for a line of JSON about each question; a run that was interrupted goes on from FILE.partial"},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object for each subject, and one of all"},
	}
	return &cli.Command{
		Name:  "mmlu",
		Usage: "multiple-choice questions of the MMLU data set, by two methods",
		Description: "generate: as TensorRT-LLM's mmlu.py, five questions with answers, then two greedy tokens whose stripped text must begin\n" +
			"with the letter. likelihood: as lm-evaluation-harness, the likeliest of the letters after its own prompt. Both are\n" +
			"told for each subject, sub-category and category, and for all, weighted by question.\n\n" +
			nativeDescription,
		Flags:  append(append(own, openingFlags()...), cliFlags(mmluUpstreamFlags)...),
		Action: evalMMLU,
	}
}

func evalMMLU(c *cli.Context) error {
	log := newLogger(c)
	if err := firstError(noOperands(c), checkUpstreamFlags(c, mmluUpstreamFlags, log), checkMMLUFlags(c)); err != nil {
		return err
	}
	subjects, err := evaluation.ReadMMLU(c.String("data-dir"))
	if err != nil {
		return err
	}
	return withEngine(c, log, func(engine *trtllm.Engine) error {
		options, err := mmluOptions(c, engine)
		if err != nil {
			return err
		}
		shown := startProgress(c, "mmlu: question", log, true)
		options.Progress = func(done, total int) { shown.set(int64(done), int64(total)) }
		result, err := evaluation.EvaluateMMLU(c.Context, subjects, options)
		shown.end()
		if err != nil {
			logUnfinishedQuestions(c, log, result)
			return err
		}
		if len(result.Unclassified) > 0 {
			log.Warn("no subjects of the MMLU data set, counted in the total only: " + strings.Join(result.Unclassified, ", "))
		}
		return reportMMLU(c, result)
	})
}

func checkMMLUFlags(c *cli.Context) error {
	return firstError(checkOpeningFlags(c), atLeast(c, "ntrain", 0), atLeast(c, "max-ite", 1), between(c, "accuracy-threshold", 0, 100), checkEndID(c),
		oneOf(c, "method", methodGenerate, methodLikelihood, methodBoth))
}

func mmluOptions(c *cli.Context, engine *trtllm.Engine) (evaluation.MMLUOptions, error) {
	t, err := engine.Tokenizer()
	if err != nil {
		return evaluation.MMLUOptions{}, err
	}
	config := engine.Config()
	settings, err := engineSettings(c.String("engine-dir"), config)
	options := evaluation.MMLUOptions{
		Tokenizer: t, NTrain: c.Int("ntrain"), MaxQuestions: c.Int("max-ite"),
		AddSpecialTokens: !c.Bool("no-add-special-tokens"), AddBOSToken: c.Bool("add-bos-token"),
		MaxInputLen: config.MaxInputLen, MaxSeqLen: config.MaxSeqLen, Concurrency: requestsAtOnce(config, 64), // few tokens of a prompt are new
		Journal: c.String("output"), Engine: append(settings, evaluation.Setting{Name: "end_id", Value: fmt.Sprint(c.Int("end-id"))}),
	}
	if method := c.String("method"); method != methodLikelihood {
		options.Generate = greedyGenerator(engine, 2, endIDs(c))
	}
	if c.String("method") != methodGenerate {
		options.Score = scorerOf(engine)
	}
	return options, err
}

// greedyGenerator continues prompts by the likeliest tokens.
func greedyGenerator(engine *trtllm.Engine, maxTokens int, end []int32) evaluation.Generator {
	return func(ctx context.Context, prompts [][]int32, _ func(int, []int32)) ([][][]int32, error) {
		requests := make([]trtllm.Request, len(prompts))
		for i, ids := range prompts {
			requests[i] = trtllm.Request{InputIDs: ids, MaxTokens: maxTokens, EndIDs: end}
		}
		outputs := make([][][]int32, len(prompts))
		for i, result := range engine.GenerateBatch(ctx, requests) {
			if result.Err != nil {
				return nil, result.Err
			}
			outputs[i] = [][]int32{result.Response.OutputIDs}
		}
		return outputs, nil
	}
}

// logUnfinishedQuestions tells what an evaluation that ended early has done: it may have taken hours.
func logUnfinishedQuestions(c *cli.Context, log *slog.Logger, result evaluation.MMLUResult) {
	if len(result.Answers) == 0 {
		return
	}
	var scores []string
	for name, p := range map[string]*float64{"accuracy": result.Total.Accuracy, "log-likelihood accuracy": result.Total.LikelihoodAccuracy} {
		if p != nil {
			scores = append(scores, fmt.Sprintf("%s %.2f", name, 100**p))
		}
	}
	log.Warn(fmt.Sprintf("%d of %d questions were answered before, %s; %s", len(result.Answers), result.Wanted, strings.Join(sorted(scores), ", "), whereKept(c)))
}

// jsonMMLU is the last line of --json.
type jsonMMLU struct {
	evaluation.MMLUScore
	LikelihoodStderr float64                `json:"likelihood_stderr,omitempty"`
	Subcategories    []evaluation.MMLUScore `json:"subcategories"`
	Categories       []evaluation.MMLUScore `json:"categories"`
}

type jsonSubject struct {
	Subject string `json:"subject"`
	evaluation.MMLUScore
}

// reportMMLU prints the scores and checks them against the threshold.
func reportMMLU(c *cli.Context, result evaluation.MMLUResult) error {
	var err error
	if c.Bool("json") {
		err = printMMLUJSON(c, result)
	} else {
		err = result.WriteText(c.App.Writer)
	}
	if err != nil || !c.Bool("check-accuracy") {
		return err
	}
	return result.CheckAccuracy(c.Float64("accuracy-threshold"))
}

func printMMLUJSON(c *cli.Context, result evaluation.MMLUResult) error {
	for _, s := range result.Subjects {
		line := jsonSubject{s.Name, s}
		line.Name = ""
		if err := printJSON(c, line); err != nil {
			return err
		}
	}
	return printJSON(c, jsonMMLU{result.Total, result.LikelihoodStderr(), append([]evaluation.MMLUScore{}, result.Subcategories...), append([]evaluation.MMLUScore{}, result.Categories...)})
}
