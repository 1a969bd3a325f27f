package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/internal/outputfile"
	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

const (
	comparedLength = 512      // tokens of a window, by default
	rowsMemory     = 64 << 20 // bytes of logits that a model gives at a time
)

func evalCompareCommand() *cli.Command {
	own := []cli.Flag{
		&cli.IntFlag{Name: "max-length", DefaultText: "512, or what both take", Usage: "tokens of a window"},
		&cli.IntFlag{Name: "stride", DefaultText: "half of --max-length", Usage: "tokens from one window's beginning to the next one's"},
		&cli.IntFlag{Name: "largest", Value: 20, Usage: "how many of the largest differences are told with the best tokens of both"},
		&cli.StringFlag{Name: "temp-dir", DefaultText: "the system's", Usage: "where temporary engines are built, and a .nemo that was compressed by gzip is inflated: room for twice the model until the command ends"},
		&cli.StringFlag{Name: "report", Usage: "`FILE`.html for a page with pictures, which needs no other file"},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object on stdout"},
	}
	others := func(f cli.Flag) bool { return f.Names()[0] == "engine-dir" || f.Names()[0] == "temp-dir" }
	opening := slices.DeleteFunc(slices.Concat(openingFlags(), sourceFlags("")), others)
	return &cli.Command{
		Name:      "compare",
		Usage:     "what two models predict of the same texts, token by token",
		ArgsUsage: "A B [FILE…]",
		Description: "A and B are engines, or what engines are made from: a TensorRT-LLM checkpoint, a Hugging Face directory, a .nemo, a GGUF\n" +
			"file …, of which a temporary engine for the CPU is built. Each FILE (- is stdin) is scored by both in windows, as by eval\n" +
			"perplexity; without any a short sample is. Told are the KL divergence of B from A, how often both find the same token\n" +
			"the likeliest, differences of log-probs, both perplexities and where they differ most. One of the two may be an engine for\n" +
			"TensorRT-LLM of one rank that was built with --gather_context_logits.",
		Flags:  append(own, opening...),
		Action: evalCompare,
	}
}

func evalCompare(c *cli.Context) error {
	log := newLogger(c)
	if err := firstError(checkOpeningFlags(c), checkCompareFlags(c)); err != nil {
		return err
	}
	texts := []evaluation.Text{evaluation.SampleText()}
	if paths := c.Args().Slice()[2:]; len(paths) > 0 {
		var err error
		if texts, err = readTexts(c, paths); err != nil {
			return err
		}
	}
	page, err := beginReport(c)
	if err != nil {
		return err
	}
	if page != nil {
		defer page.Discard()
	}
	pair, err := openPair(c, log)
	defer pair.close()
	if err != nil {
		return err
	}
	if !pair.engines[0].Leader() || !pair.engines[1].Leader() {
		return usagef("eval compare runs in one process: engines of several ranks need --orchestrator, which gives no logits; compare the engines of one rank")
	}
	comparison, err := comparePair(c, pair, texts, log)
	if err != nil {
		return err
	}
	pair.close() // now: a broken pipe would end the process while it prints
	return reportComparison(c, pair, comparison, page)
}

// beginReport opens the file of --report before anything is computed: a path that cannot be written should not cost hours. Nil
// where there is none.
func beginReport(c *cli.Context) (*outputfile.File, error) {
	path := c.String("report")
	if path == "" {
		return nil, nil
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	page, err := outputfile.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	return page, nil
}

func checkCompareFlags(c *cli.Context) error {
	if c.Args().Len() < 2 {
		return usagef("which two models? `trtgo eval compare A B [FILE…]`")
	}
	return firstError(checkWindowSizes(c), atLeast(c, "largest", 0))
}

// pair is what is compared.
type pair struct {
	names   [2]string
	engines [2]*trtllm.Engine
	temp    string // of engines that were built for this, "" without any
}

// close closes the engines and removes what was made for them. It may be called again.
func (p *pair) close() {
	for _, engine := range p.engines {
		if engine != nil {
			_ = engine.Close()
		}
	}
	if p.temp != "" {
		_ = os.RemoveAll(p.temp)
	}
}

// openPair opens both engines, after building those that are none yet. What it returns has to be closed, with an error too.
func openPair(c *cli.Context, log *slog.Logger) (*pair, error) {
	p := &pair{names: [2]string{c.Args().Get(0), c.Args().Get(1)}}
	native := 0
	for i, name := range p.names {
		dir, err := p.engineDir(c, i, log)
		if err != nil {
			return p, err
		}
		if engineBackend(dir) == engineconfig.BackendTensorRTLLM {
			if native++; native == 2 {
				return p, fmt.Errorf("%s and %s are both for TensorRT-LLM, of which a process runs one engine at a time: compare each with an engine for the CPU", p.names[0], name)
			}
		}
		if p.engines[i], err = openEngineAt(c, dir, log, trtllm.WithMaxBatchSize(1)); err != nil {
			return p, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

// engineDir is the directory of one engine, which it makes if it has to.
func (p *pair) engineDir(c *cli.Context, i int, log *slog.Logger) (string, error) {
	name := p.names[i]
	d, err := describe(c, name)
	if err != nil {
		return "", err
	}
	switch d.Format {
	case build.FormatEngine, build.FormatRTXEngine, build.FormatCPUEngine:
		return name, nil
	}
	if p.temp == "" {
		if p.temp, err = os.MkdirTemp(c.String("temp-dir"), "trtgo-compare-"); err != nil {
			return "", err
		}
	}
	letter := string("AB"[i])
	checkpoint := name
	if d.Format != export.FormatCheckpoint {
		checkpoint = filepath.Join(p.temp, letter+"-checkpoint")
		if err := exportTemporary(c, name, checkpoint, log); err != nil {
			return "", err
		}
	}
	engine := filepath.Join(p.temp, letter)
	length := cmp.Or(c.Int("max-length"), comparedLength)
	log.Info(fmt.Sprintf("%s is %s: building a temporary engine for the CPU from it", name, d.Format))
	_, err = build.Build(c.Context, build.Options{
		CheckpointDir: checkpoint, OutputDir: engine, MaxBatchSize: 1, MaxInputLen: length, MaxSeqLen: length + 1, MaxNumTokens: min(comparedLength, length), Version: programVersion(),
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if checkpoint != name {
		return engine, os.RemoveAll(checkpoint) // it takes as much room as the engine
	}
	return engine, nil
}

// exportTemporary makes a checkpoint of a source, in the source's own types.
func exportTemporary(c *cli.Context, source, checkpoint string, log *slog.Logger) error {
	options := export.Options{OutputDir: checkpoint, Dtype: "auto", TPSize: 1, PPSize: 1}
	var inflated func()
	options.Source, inflated = sourceOptions(c, source, os.TempDir(), log)
	bars := &progresses{c: c, log: log}
	options.Progress = bars.show("export")
	log.Info(fmt.Sprintf("%s is no engine: exporting it to a temporary checkpoint", source))
	report, err := export.Convert(c.Context, source, options)
	inflated()
	bars.end()
	if err != nil {
		return err
	}
	for _, note := range report.Notes {
		log.Warn(note)
	}
	return nil
}

// comparePair compares the engines on texts.
func comparePair(c *cli.Context, p *pair, texts []evaluation.Text, log *slog.Logger) (evaluation.Comparison, error) {
	var models [2]evaluation.Model
	most, vocabulary := 0, 0
	for i, engine := range p.engines {
		config := engine.Config()
		t, err := engine.Tokenizer()
		if err != nil {
			return evaluation.Comparison{}, fmt.Errorf("%s: %w", p.names[i], err)
		}
		models[i] = evaluation.Model{Name: p.names[i], VocabSize: config.VocabSize, Tokenizer: t, Logits: logitsOfEngine(engine)}
		if length := longestWindow(config); i == 0 || length < most {
			most = length
		}
		vocabulary = max(vocabulary, config.VocabSize)
	}
	length := cmp.Or(c.Int("max-length"), min(comparedLength, most))
	if length > most {
		return evaluation.Comparison{}, fmt.Errorf("--max_length is %d, the engines score up to %d tokens at once: lower it or build with a larger max_input_len and max_seq_len", length, most)
	}
	shown := startProgress(c, "compare: token", log, true)
	defer shown.end()
	return evaluation.Compare(c.Context, models[0], models[1], texts, evaluation.CompareOptions{
		AddSpecialTokens: !c.Bool("no-add-special-tokens"), MaxLength: length, Stride: cmp.Or(c.Int("stride"), (length+1)/2),
		RowsAtOnce: max(1, rowsMemory/4/vocabulary), Largest: c.Int("largest"),
		Progress: func(done, total int) { shown.set(int64(done), int64(total)) },
	})
}

// logitsOfEngine gives rows of an engine's logits.
func logitsOfEngine(engine *trtllm.Engine) evaluation.LogitsSource {
	return func(ctx context.Context, ids []int32, from int) ([][]float32, error) {
		prompt := ids[:len(ids)-1] // the last token is only predicted
		response, err := engine.Generate(ctx, trtllm.Request{InputIDs: prompt, MaxTokens: 1, EndIDs: []int32{}, ContextLogits: true, PromptFrom: from})
		if err != nil {
			return nil, err
		}
		return response.ContextLogits[from-1:], nil
	}
}

// reportComparison prints the numbers and writes the page.
func reportComparison(c *cli.Context, p *pair, comparison evaluation.Comparison, page *outputfile.File) error {
	t, err := p.engines[0].Tokenizer()
	if err != nil {
		return err
	}
	piece := func(id int32) string {
		text, err := t.Decode([]int32{id}, tokenizer.DecodeOptions{})
		if err != nil {
			return fmt.Sprintf("<%d>", id)
		}
		return text
	}
	if page != nil {
		if err := firstError(comparison.WriteReport(page, piece), page.Commit()); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	summary := comparison.Summary(piece)
	if c.Bool("json") {
		return printJSON(c, summary)
	}
	return summary.WriteText(c.App.Writer)
}
