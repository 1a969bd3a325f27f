package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/trtllm"
)

// maxTextBytes bounds the memory for a text, its tokens and its log-probs.
const maxTextBytes = 1 << 30

func evalPerplexityCommand() *cli.Command {
	own := []cli.Flag{
		&cli.IntFlag{Name: "max-length", DefaultText: "all that the engine takes", Usage: "tokens of a window"},
		&cli.IntFlag{Name: "stride", DefaultText: "half of --max-length", Usage: "tokens from one window's beginning to the next one's"},
		&cli.StringFlag{Name: "output", Usage: "file for a line of JSON about each window; a run that was interrupted goes on from FILE.partial"},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object for each file, and for several one of all"},
	}
	return &cli.Command{
		Name:      "perplexity",
		Usage:     "perplexity of a model on texts, in overlapping windows",
		ArgsUsage: "FILE…",
		Description: "Each FILE (- is stdin) is encoded as a whole, with special tokens as the tokenizer adds them, and scored in windows\n" +
			"that overlap: only tokens that no window before has counted are counted, the first of the text never. A smaller\n" +
			"--stride gives tokens more context, and takes longer.\n\n" +
			nativeDescription,
		Flags:  append(own, openingFlags()...),
		Action: evalPerplexity,
	}
}

func evalPerplexity(c *cli.Context) error {
	log := newLogger(c)
	if err := firstError(checkOpeningFlags(c), checkWindowFlags(c)); err != nil {
		return err
	}
	texts, err := readTexts(c, c.Args().Slice())
	if err != nil {
		return err
	}
	return withEngine(c, log, func(engine *trtllm.Engine) error {
		options, err := perplexityOptions(c, engine)
		if err != nil {
			return err
		}
		shown := startProgress(c, "perplexity: window", log, true)
		options.Progress = func(done, total int) { shown.set(int64(done), int64(total)) }
		result, err := evaluation.EvaluatePerplexity(c.Context, texts, scorerOf(engine), options)
		shown.end()
		if err != nil {
			logUnfinishedWindows(c, log, result)
			return err
		}
		return printPerplexity(c, texts, result)
	})
}

func checkWindowFlags(c *cli.Context) error {
	if !c.Args().Present() {
		return usagef("which text? `trtgo eval perplexity --engine_dir ENGINE FILE…`")
	}
	return checkWindowSizes(c)
}

func checkWindowSizes(c *cli.Context) error {
	for name, least := range map[string]int{"max-length": 2, "stride": 1} {
		if !c.IsSet(name) {
			continue
		}
		if err := atLeast(c, name, least); err != nil {
			return err
		}
	}
	if stride, length := c.Int("stride"), c.Int("max-length"); c.IsSet("max-length") && stride > length {
		return usagef("--stride is %d, must be at most --max_length, which is %d", stride, length)
	}
	return nil
}

// readTexts reads the files of the command line.
func readTexts(c *cli.Context, paths []string) ([]evaluation.Text, error) {
	texts := make([]evaluation.Text, len(paths))
	for i, path := range paths {
		var content []byte
		var err error
		if path == "-" {
			path = "stdin"
			content, err = io.ReadAll(io.LimitReader(c.App.Reader, maxTextBytes+1))
			if err == nil && len(content) > maxTextBytes {
				err = fmt.Errorf("stdin has more than %d bytes", maxTextBytes)
			}
		} else {
			content, err = regularfile.Read(path, maxTextBytes)
		}
		if err != nil {
			return nil, err
		}
		texts[i] = evaluation.Text{Name: path, Content: string(content)}
	}
	return texts, nil
}

// longestWindow is how many tokens an engine can score at once: a prompt and the token that it makes after it.
func longestWindow(engine trtllm.Config) int { return min(engine.MaxInputLen, engine.MaxSeqLen-1) }

// windowLength is --max_length, or all that the engine takes.
func windowLength(c *cli.Context, engine trtllm.Config) (int, error) {
	most := longestWindow(engine)
	length := cmp.Or(c.Int("max-length"), most)
	if length > most {
		return 0, fmt.Errorf("--max_length is %d, the engine scores up to %d tokens at once (max_input_len %d, max_seq_len %d): lower it or build with larger ones",
			length, most, engine.MaxInputLen, engine.MaxSeqLen)
	}
	if stride := c.Int("stride"); stride > length {
		return 0, usagef("--stride is %d, must be at most the window, which has %d tokens", stride, length)
	}
	return length, nil
}

func perplexityOptions(c *cli.Context, engine *trtllm.Engine) (evaluation.PerplexityOptions, error) {
	t, err := engine.Tokenizer()
	if err != nil {
		return evaluation.PerplexityOptions{}, err
	}
	config := engine.Config()
	length, err := windowLength(c, config)
	if err != nil {
		return evaluation.PerplexityOptions{}, err
	}
	settings, err := engineSettings(c.String("engine-dir"), config)
	return evaluation.PerplexityOptions{
		Tokenizer: t, AddSpecialTokens: !c.Bool("no-add-special-tokens"),
		MaxLength: length, Stride: cmp.Or(c.Int("stride"), (length+1)/2), Concurrency: requestsAtOnce(config, length),
		Journal: c.String("output"), Engine: settings,
	}, err
}

// scorerOf scores tokens by an engine.
func scorerOf(engine *trtllm.Engine) evaluation.Scorer {
	return func(ctx context.Context, ids []int32, from int) ([]float32, error) {
		response, err := engine.Generate(ctx, trtllm.Request{InputIDs: ids, MaxTokens: 1, EndIDs: []int32{}, PromptLogProbs: true, PromptFrom: from})
		if err != nil {
			return nil, err
		}
		return response.PromptLogProbs[from:], nil
	}
}

// logUnfinishedWindows tells what an evaluation that ended early has done: it may have taken hours.
func logUnfinishedWindows(c *cli.Context, log *slog.Logger, result evaluation.PerplexityResult) {
	if result.Done == 0 {
		return
	}
	log.Warn(fmt.Sprintf("%d of %d windows were scored before, perplexity %.4f; %s", result.Done, result.Total.Windows, result.Total.Perplexity, whereKept(c)))
}

// jsonPerplexity is a line of --json: of one file, or of several together.
type jsonPerplexity struct {
	File  string `json:"file,omitempty"`
	Files int    `json:"files,omitempty"`
	evaluation.Perplexity
}

func printPerplexity(c *cli.Context, texts []evaluation.Text, result evaluation.PerplexityResult) error {
	lines := make([]jsonPerplexity, 0, len(texts)+1)
	for i, text := range texts {
		lines = append(lines, jsonPerplexity{File: text.Name, Perplexity: result.Texts[i]})
	}
	if len(texts) > 1 {
		lines = append(lines, jsonPerplexity{Files: len(texts), Perplexity: result.Total})
	}
	if c.Bool("json") {
		for _, line := range lines {
			if err := printJSON(c, line); err != nil {
				return err
			}
		}
		return nil
	}
	w := newTable(c.App.Writer)
	fmt.Fprintln(w, "text\tperplexity\tnats/token\tbits/token\tbits/byte\ttokens\tbytes\twindows\t")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.4f\t%d\t%d\t%d\t\n", cmp.Or(l.File, "all"), l.Perplexity.Perplexity, l.NLLPerToken, l.BitsPerToken, l.BitsPerByte, l.Tokens, l.Bytes, l.Windows)
	}
	return w.Flush()
}
