package evaluation_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
)

// scoreByPosition gives the token at position i the log-prob −i/8.
func scoreByPosition(_ context.Context, ids []int32, from int) ([]float32, error) {
	var out []float32
	for i := from; i < len(ids); i++ {
		out = append(out, -float32(i)/8)
	}
	return out, nil
}

// withTwoBeams answers every article with two texts, of 3 and of 1 token.
func withTwoBeams(t *testing.T) *parrot {
	p := &parrot{t: t}
	p.answer = func(int) [][]int32 { return [][]int32{idsOf(t, "abc"), idsOf(t, "d")} }
	return p
}

func TestPerplexityOfPromptAndOutput(t *testing.T) {
	o := options(byteTokenizer{})
	o.BatchSize, o.Score = 2, scoreByPosition
	dir := t.TempDir()
	o.Outputs.File = filepath.Join(dir, "kept.jsonl")
	result, err := evaluation.Summarize(t.Context(), articles(5), withTwoBeams(t).generate, o)
	require.NoError(t, err)
	require.Len(t, result.Perplexities, 2)
	var sums [2]float64
	for _, s := range result.Samples {
		for beam, added := range []int{3, 1} {
			n := s.PromptTokens + added // positions 1 to n−1, of a mean of n/2
			require.InDelta(t, math.Exp(float64(n)/16), s.Perplexities[beam], 1e-6*s.Perplexities[beam])
			sums[beam] += s.Perplexities[beam]
		}
	}
	require.InDelta(t, sums[0]/5, result.Perplexities[0], 1e-9*sums[0])

	report := result.Report()
	require.Equal(t, result.Perplexities[0], *report.Perplexity)
	require.Len(t, report.Beams, 2)
	require.Equal(t, result.Perplexities[1], *report.Beams[1].Perplexity)
	require.Equal(t, report.Fmeasures, report.Beams[0].Fmeasures)
	var text bytes.Buffer
	require.NoError(t, result.WriteText(&text, false))
	require.Equal(t, 2, strings.Count(text.String(), "\n  Per-token perplexity: "))
	kept, err := os.ReadFile(o.Outputs.File)
	require.NoError(t, err)
	require.Equal(t, 5, strings.Count(string(kept), `"perplexities":[`))

	require.NoError(t, result.CheckPerplexity(result.Perplexities[0]+1))
	err = result.CheckPerplexity(result.Perplexities[0])
	require.ErrorIs(t, err, evaluation.ErrAccuracy)
	require.ErrorContains(t, err, "[FAILED] the mean perplexity (")
	require.ErrorIs(t, (&evaluation.Result{}).CheckPerplexity(1), evaluation.ErrNoSamples)
}

func TestPerplexityFails(t *testing.T) {
	broken := errors.New("scoring broke")
	for says, score := range map[string]evaluation.Scorer{
		"scoring broke":             func(context.Context, []int32, int) ([]float32, error) { return nil, broken },
		"the engine told 1 log-pro": func(context.Context, []int32, int) ([]float32, error) { return []float32{1}, nil },
	} {
		o := options(byteTokenizer{})
		o.Score = score
		_, err := evaluation.Summarize(t.Context(), articles(2), withTwoBeams(t).generate, o)
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, "perplexity: ")
		require.ErrorContains(t, err, `(id "id`)
	}
}

func TestPage(t *testing.T) {
	all := articles(3)
	all[1].Text += " <script>alert('x')</script> & \"q\""
	all[1].ID = "<b>id</b>"
	all[2].ID = ""
	p := &parrot{t: t, answer: func(int) [][]int32 {
		return [][]int32{idsOf(t, "</div><img src=x onerror=1> highlight1"), idsOf(t, "d")}
	}}
	o := options(byteTokenizer{})
	o.Score = scoreByPosition
	result, err := evaluation.Summarize(t.Context(), all, p.generate, o)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "page.html")
	page, err := evaluation.CreatePage(path)
	require.NoError(t, err)
	defer page.Close()
	require.NoFileExists(t, path)
	require.NoError(t, page.Commit(&result, []evaluation.Setting{{Name: "--num_beams", Value: "2 <&>"}}))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	text := string(data)
	for _, want := range []string{
		"&lt;script&gt;alert(", "&lt;b&gt;id&lt;/b&gt;", "&lt;/div&gt;&lt;img src=x onerror=1&gt; highlight1", "2 &lt;&amp;&gt;",
		"highlight0 one\nhighlight0 two", "article 3", "beam 1", "perplexity", "prefers-color-scheme: dark", "@media print", `aria-label="rougeLsum of 3 samples`,
	} {
		require.Contains(t, text, want)
	}
	require.Equal(t, 3, strings.Count(text, "<article "))
	require.Equal(t, 4, strings.Count(text, "<svg "))
	for _, never := range []string{"<script", "<img", "http://", "https://", "url(", "@import", "ZgotmplZ"} {
		require.NotContains(t, text, never)
	}
	// Well-formed but for the two tags of the head that HTML leaves open.
	wellFormed := strings.NewReplacer(`<meta charset="utf-8">`, "", `<meta name="viewport" content="width=device-width, initial-scale=1">`, "", "<!DOCTYPE html>", "").Replace(text)
	decoder := xml.NewDecoder(strings.NewReader(wellFormed))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
	_, err = evaluation.CreatePage(filepath.Join(t.TempDir(), "none", "page.html"))
	require.ErrorContains(t, err, "the report: ")
}

func TestTasks(t *testing.T) {
	for name, want := range map[string]dataset.ArticleSource{
		"summarize": dataset.CNNDailyMail, "code_completion": {Text: "prompt", Highlights: "canonical_solution"},
		"summarize_long": {Text: "input", Highlights: "output"}, "eval_context_ppl": {Text: "text", Highlights: "text"},
	} {
		task, err := evaluation.TaskNamed(name)
		require.NoError(t, err)
		require.Equal(t, []string{want.Text, want.Highlights}, []string{task.Source.Text, task.Source.Highlights})
		require.Equal(t, name != "summarize", task.Plain)
	}
	_, err := evaluation.TaskNamed("poetry")
	require.ErrorIs(t, err, evaluation.ErrOptions)
	require.ErrorContains(t, err, `"poetry"; there are summarize, summarize_long, code_completion, eval_context_ppl`)

	plain := evaluation.Prompter{Tokenizer: byteTokenizer{}, MaxInputLength: 100, Plain: true}
	ids, err := plain.Prompt(" def f(): n't\n")
	require.NoError(t, err)
	require.Equal(t, "def f():n't", textOf(t, ids))
}
