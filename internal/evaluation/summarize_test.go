package evaluation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/internal/numpyrandom"
	"github.com/trtgo/trtgo/rouge"
)

// perfect are the scores of a text against itself.
var perfect = rouge.Score{Precision: 1, Recall: 1, FMeasure: 1}

func rowsOf(samples []evaluation.Sample) (indices, rows []int) {
	for _, s := range samples {
		indices, rows = append(indices, s.Index), append(rows, s.Row)
	}
	return indices, rows
}

func TestSummarizeInNumpysOrder(t *testing.T) {
	p := &parrot{t: t}
	o := options(byteTokenizer{prefix: []int32{bosID}})
	o.BatchSize, o.MaxIterations = 3, 2
	result, err := evaluation.Summarize(t.Context(), articles(10), p.generate, o)
	require.NoError(t, err)

	indices, rows := rowsOf(result.Samples)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, indices, "two batches of three")
	require.Equal(t, []int{4, 6, 2, 7, 3, 5}, rows, "numpy's permutation of 10 with seed 0")
	require.Len(t, p.batches, 3, "a warm-up and two batches")
	prompt := func(row int) string {
		return "<s>" + strings.TrimSpace(articles(10)[row].Text) + "  TL;DR:"
	}
	require.Equal(t, [][]string{{prompt(4)}, {prompt(4), prompt(6), prompt(2)}, {prompt(7), prompt(3), prompt(5)}}, p.batches)
	for _, s := range result.Samples {
		require.Equal(t, articles(10)[s.Row], s.Article)
		require.Equal(t, []string{s.Article.Highlights}, s.Summaries, "the end token is not part of the text")
		require.Equal(t, len(s.Article.Highlights)+1, s.OutputTokens, "but it is counted")
		require.Equal(t, len(prompt(s.Row))-len("<s>")+1, s.PromptTokens)
		require.Equal(t, []rouge.Scores{{Rouge1: perfect, Rouge2: perfect, RougeL: perfect, RougeLsum: perfect}}, s.Scores)
	}
	require.Equal(t, 6*(len(articles(1)[0].Highlights)+1), result.OutputTokens)
	require.Positive(t, result.Latency)
	require.Positive(t, result.TokensPerSecond())
}

func TestSeedChangesTheOrder(t *testing.T) {
	o := options(byteTokenizer{})
	o.Seed = 42
	result, err := evaluation.Summarize(t.Context(), articles(10), (&parrot{t: t}).generate, o)
	require.NoError(t, err)
	_, rows := rowsOf(result.Samples)
	require.Equal(t, numpyrandom.NewGenerator(42).Permutation(10), rows)
}

func TestSummarizeEndsWithTheArticles(t *testing.T) {
	p := &parrot{t: t}
	o := options(byteTokenizer{})
	o.BatchSize = 4
	result, err := evaluation.Summarize(t.Context(), articles(6), p.generate, o)
	require.NoError(t, err)
	require.Len(t, result.Samples, 6)
	require.Len(t, p.batches[2], 2, "the last batch is smaller")
}

// Upstream pairs outputs with the wrong references when a batch is partly skipped.
func TestShortArticlesAreSkipped(t *testing.T) {
	all := articles(10)
	order := numpyrandom.NewGenerator(0).Permutation(10)
	for _, index := range []int{1, 2, 3, 6, 8} { // the whole second batch, and parts of others
		all[order[index]].Text = "tiny"
	}
	p := &parrot{t: t}
	o := options(byteTokenizer{})
	o.BatchSize, o.MaxIterations, o.MinInputLength = 2, 3, len("tiny TL;DR:")
	result, err := evaluation.Summarize(t.Context(), all, p.generate, o)
	require.NoError(t, err)
	indices, _ := rowsOf(result.Samples)
	require.Equal(t, []int{0, 4, 5, 7}, indices, "the skipped batch is no iteration: the third is that of 6 and 7")
	for _, s := range result.Samples {
		require.Equal(t, s.Article.Highlights, s.Summaries[0])
		require.Equal(t, 1.0, s.Scores[0].Rouge1.FMeasure)
	}
}

func TestMinInputLengthMustBeExceeded(t *testing.T) {
	one := []dataset.Article{{Text: "word0", Highlights: "x"}}
	o := options(byteTokenizer{})
	o.MinInputLength = len("word0 TL;DR:")
	_, err := evaluation.Summarize(t.Context(), one, (&parrot{t: t}).generate, o)
	require.ErrorIs(t, err, evaluation.ErrNoSamples)
	require.ErrorContains(t, err, "none of the 1 articles has a prompt of more than 12 tokens")
	o.MinInputLength--
	_, err = evaluation.Summarize(t.Context(), one, (&parrot{t: t}).generate, o)
	require.NoError(t, err)
}

func TestObserverHearsEverythingInOrder(t *testing.T) {
	var heard []string
	note := func(format string, args ...any) { heard = append(heard, fmt.Sprintf(format, args...)) }
	o := options(byteTokenizer{})
	o.BatchSize, o.MaxIterations = 2, 1
	o.Observer = evaluation.Observer{
		WarmUp: func(s evaluation.Sample) { note("warm-up %d %q", s.Row, s.Summaries) },
		Begin:  func(batch []evaluation.Sample) { note("begin %d, %d", batch[0].Row, batch[1].Row) },
		Tokens: func(index int, ids []int32) { note("tokens %d %q", index, textOf(t, ids)) },
		Done:   func(s evaluation.Sample) { note("done %d %v", s.Row, s.Scores[0].Rouge1.FMeasure) },
	}
	_, err := evaluation.Summarize(t.Context(), articles(10), (&parrot{t: t}).generate, o)
	require.NoError(t, err)
	require.Equal(t, []string{
		`warm-up 4 ["highlight4 one\nhighlight4 two"]`,
		"begin 4, 6",
		`tokens 0 "highl"`, `tokens 0 "ight4 one\nhighlight4 two</s>"`,
		`tokens 1 "highl"`, `tokens 1 "ight6 one\nhighlight6 two</s>"`,
		"done 4 1", "done 6 1",
	}, heard)
}

func TestWarmUpIsNeitherTimedNorScored(t *testing.T) {
	p := &parrot{t: t}
	o := options(byteTokenizer{})
	o.MinInputLength = 60
	warm := 0
	o.Observer.WarmUp = func(s evaluation.Sample) {
		warm++
		require.Empty(t, s.Summaries, "the first article is too short")
		require.Equal(t, "word0", s.Article.Text)
	}
	all := []dataset.Article{{Text: "word0"}, articles(9)[8]}
	for seed := uint64(0); ; seed++ {
		if numpyrandom.NewGenerator(seed).Permutation(2)[0] == 0 {
			o.Seed = seed
			break
		}
	}
	result, err := evaluation.Summarize(t.Context(), all, p.generate, o)
	require.NoError(t, err)
	require.Equal(t, 1, warm)
	require.Len(t, result.Samples, 1)
	require.Len(t, p.batches, 1)
}

func TestEachBeamHasItsScore(t *testing.T) {
	p := &parrot{t: t, answer: func(article int) [][]int32 {
		return [][]int32{idsOf(t, articles(10)[article].Highlights), idsOf(t, "nothing"), {eosID}}
	}}
	result, err := evaluation.Summarize(t.Context(), articles(4), p.generate, options(byteTokenizer{}))
	require.NoError(t, err)
	require.Len(t, result.Beams, 3)
	require.Equal(t, perfect, result.Beams[0].Median.Rouge1)
	require.Equal(t, rouge.Scores{}, result.Beams[1].Mean)
	require.Equal(t, []string{"highlight0 one\nhighlight0 two", "nothing", ""}, sampleOf(result, 0).Summaries)
	require.Equal(t, len("highlight0 one\nhighlight0 two")+len("nothing")+1, sampleOf(result, 0).OutputTokens)
}

func sampleOf(r evaluation.Result, row int) evaluation.Sample {
	for _, s := range r.Samples {
		if s.Row == row {
			return s
		}
	}
	return evaluation.Sample{}
}

func TestBadOutputsOfTheGenerator(t *testing.T) {
	run := func(outputs [][][]int32, err error) error {
		o := options(byteTokenizer{})
		o.BatchSize = 2
		calls := 0
		_, got := evaluation.Summarize(t.Context(), articles(2), func(_ context.Context, prompts [][]int32, _ func(int, []int32)) ([][][]int32, error) {
			if calls++; calls == 1 {
				return [][][]int32{{{eosID}}}, nil // the warm-up
			}
			return outputs, err
		}, o)
		return got
	}
	full := errors.New("out of memory")
	require.ErrorIs(t, run(nil, full), full)
	require.ErrorContains(t, run([][][]int32{{{eosID}}}, nil), "answered 1 of 2 prompts")
	require.ErrorContains(t, run([][][]int32{{}, {}}, nil), "0 sequences were generated")
	err := run([][][]int32{{{eosID}, {eosID}}, {{eosID}}}, nil)
	require.ErrorContains(t, err, "1 sequences were generated where the batch's first article has 2")
	require.Regexp(t, `^article \d \(id "id\d"\): `, err.Error())
	require.ErrorIs(t, run([][][]int32{{{9999}}, {{eosID}}}, nil), errBroken)
	require.NoError(t, run([][][]int32{{{eosID}}, {{}}}, nil), "a summary may be empty")
}

func TestAnArticleThatCannotBeEncodedIsNamed(t *testing.T) {
	all := articles(3)
	all[1].Text = "BROKEN"
	_, err := evaluation.Summarize(t.Context(), all, (&parrot{t: t}).generate, options(byteTokenizer{}))
	require.ErrorIs(t, err, errBroken)
	require.ErrorContains(t, err, `article 2 (id "id1")`)
}

func TestCancellationKeepsWhatWasComplete(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	o := options(byteTokenizer{})
	o.Outputs = evaluation.Outputs{File: filepath.Join(dir, "out.jsonl"), Dir: dir}
	o.Observer.Done = func(s evaluation.Sample) {
		if s.Index == 2 {
			cancel()
		}
	}
	result, err := evaluation.Summarize(ctx, articles(10), (&parrot{t: t}).generate, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, result.Samples, 3)
	require.Equal(t, 3, result.Beams[0].Samples)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing that looks finished, and no temporary files")
	require.Equal(t, []string{filepath.Join(dir, "out.jsonl.partial"), filepath.Join(dir, "trtllm.out.partial")}, result.Partial)
	kept, err := os.ReadFile(result.Partial[0])
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(kept), "\n"))
}

// Without a finished article there is nothing to keep.
func TestCancellationBeforeTheFirst(t *testing.T) {
	dir := t.TempDir()
	o := options(byteTokenizer{})
	o.Outputs = evaluation.Outputs{File: filepath.Join(dir, "out.jsonl")}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := evaluation.Summarize(ctx, articles(10), (&parrot{t: t}).generate, o)
	require.ErrorIs(t, err, context.Canceled)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestBadOptions(t *testing.T) {
	generate := (&parrot{t: t}).generate
	for says, change := range map[string]func(*evaluation.SummarizeOptions){
		"batch_size is 0":              func(o *evaluation.SummarizeOptions) { o.BatchSize = 0 },
		"max_ite is -1":                func(o *evaluation.SummarizeOptions) { o.MaxIterations = -1 },
		"max_input_length is 0":        func(o *evaluation.SummarizeOptions) { o.MaxInputLength = 0 },
		"min_input_length is -1":       func(o *evaluation.SummarizeOptions) { o.MinInputLength = -1 },
		"min_input_length 923 leaves":  func(o *evaluation.SummarizeOptions) { o.MinInputLength = 923 },
		"no room for text beside the ": func(o *evaluation.SummarizeOptions) { o.ChatTemplate, o.MaxInputLength = true, 20 },
	} {
		o := options(byteTokenizer{template: true})
		change(&o)
		_, err := evaluation.Summarize(t.Context(), articles(2), generate, o)
		require.ErrorIs(t, err, evaluation.ErrOptions, says)
		require.ErrorContains(t, err, says)
	}
	_, err := evaluation.Summarize(t.Context(), nil, generate, options(byteTokenizer{}))
	require.ErrorIs(t, err, evaluation.ErrNoSamples)
	_, err = evaluation.Summarize(t.Context(), articles(1), nil, options(byteTokenizer{}))
	require.ErrorContains(t, err, "no generator")
	_, err = evaluation.Summarize(t.Context(), articles(1), generate, evaluation.SummarizeOptions{BatchSize: 1, MaxIterations: 1})
	require.ErrorContains(t, err, "no tokenizer")
}

func TestOutputs(t *testing.T) {
	dir := t.TempDir()
	p := &parrot{t: t, answer: func(article int) [][]int32 {
		return [][]int32{idsOf(t, fmt.Sprintf(" <b>&%d\nsecond line", article)), idsOf(t, "other")}
	}}
	o := options(byteTokenizer{})
	o.BatchSize, o.MaxIterations = 3, 2
	o.Outputs = evaluation.Outputs{
		File: filepath.Join(dir, "out.jsonl"), Dir: filepath.Join(dir, "new", "logs"), EngineDir: "engine", TokenizerDir: "tok",
	}
	require.NoError(t, os.WriteFile(o.Outputs.File, []byte("older"), 0o600))
	result, err := evaluation.Summarize(t.Context(), articles(10), p.generate, o)
	require.NoError(t, err)

	upstream, err := os.ReadFile(filepath.Join(o.Outputs.Dir, "trtllm.out"))
	require.NoError(t, err)
	want := "Engine path: engine\nTokenizer path: tok\n"
	for index, row := range []int{4, 6, 2, 7, 3, 5} {
		want += fmt.Sprintf("[%d] [Beam 0]  <b>&%d\nsecond line\n[%d] [Beam 1] other\n", index, row, index)
	}
	require.Equal(t, want, string(upstream))

	content, err := os.ReadFile(o.Outputs.File)
	require.NoError(t, err)
	require.Contains(t, string(content), "<b>&4", "markup is not escaped")
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	require.Len(t, lines, 6)
	for i, line := range lines {
		var got struct {
			Index, Row             int
			ID, Article, Reference string
			Summary                string
			Summaries              []string
			Scores                 []rouge.Scores
			Prompt                 int `json:"prompt_tokens"`
			Output                 int `json:"output_tokens"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &got))
		s := result.Samples[i]
		require.Equal(t, []int{s.Index, s.Row, s.PromptTokens, s.OutputTokens}, []int{got.Index, got.Row, got.Prompt, got.Output})
		require.Equal(t, []string{s.Article.ID, s.Article.Text, s.Article.Highlights, s.Summaries[0]}, []string{got.ID, got.Article, got.Reference, got.Summary})
		require.Equal(t, s.Summaries, got.Summaries)
		require.Equal(t, s.Scores, got.Scores)
	}
}

// A path that cannot be written is an error before anything is generated.
func TestOutputsThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, outputs := range map[string]evaluation.Outputs{
		"file in nowhere":  {File: filepath.Join(dir, "gone", "out.jsonl")},
		"file is a folder": {File: dir},
		"folder is a file": {Dir: file},
		"second fails":     {File: filepath.Join(dir, "out.jsonl"), Dir: file},
	} {
		p := &parrot{t: t}
		o := options(byteTokenizer{})
		o.Outputs = outputs
		_, err := evaluation.Summarize(t.Context(), articles(2), p.generate, o)
		require.ErrorContains(t, err, "keep the summaries", name)
		require.Empty(t, p.batches, name)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary files are left")
}

func TestChatTemplateOfSummarize(t *testing.T) {
	p := &parrot{t: t}
	o := options(byteTokenizer{template: true})
	o.ChatTemplate = true
	_, err := evaluation.Summarize(t.Context(), articles(1), p.generate, o)
	require.NoError(t, err)
	require.Equal(t, "<s><|user|>"+evaluation.Instruction+"article0 word0 word0 word0<|reply|>", p.batches[1][0])
}

// An evaluation of a model that always gives the same answer.
func ExampleSummarize() {
	articles := []dataset.Article{{Text: "A ferry broke down near the coast.", Highlights: "ferry breaks down"}}
	generate := func(_ context.Context, prompts [][]int32, _ func(int, []int32)) ([][][]int32, error) {
		answer := []int32{firstByte + 'f', firstByte + 'e', firstByte + 'r', firstByte + 'r', firstByte + 'y', eosID}
		return [][][]int32{{answer}}, nil
	}
	result, err := evaluation.Summarize(context.Background(), articles, generate, evaluation.SummarizeOptions{
		Prompter:  evaluation.Prompter{Tokenizer: byteTokenizer{}, MaxInputLength: 923},
		BatchSize: 1, MaxIterations: 20,
	})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%q, rouge1 %.1f\n", result.Samples[0].Summaries[0], result.Report().Rouge1)
	// Output: "ferry", rouge1 50.0
}
