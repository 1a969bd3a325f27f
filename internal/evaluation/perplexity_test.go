package evaluation_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/tokenizer"
)

// scorer is a model whose log-prob of a token depends on the token and on how many stand before it. It keeps what it was asked.
type scorer struct {
	mu    sync.Mutex
	asked [][2]int          // length and from of each call
	fail  func(n int) error // of the n-th call
}

func logProbOf(id int32, before int) float32 {
	return -float32(id%7+1) / float32(1+before)
}

func (s *scorer) score(ctx context.Context, ids []int32, from int) ([]float32, error) {
	s.mu.Lock()
	s.asked = append(s.asked, [2]int{len(ids), from})
	n := len(s.asked)
	s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(n); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var list []float32
	for i := from; i < len(ids); i++ {
		list = append(list, logProbOf(ids[i], i))
	}
	return list, nil
}

func perplexityOptions(length, stride int) evaluation.PerplexityOptions {
	return evaluation.PerplexityOptions{
		Tokenizer: byteTokenizer{}, MaxLength: length, Stride: stride, Concurrency: 1,
		Engine: []evaluation.Setting{{Name: "engine", Value: "e"}},
	}
}

// Every token but the first is counted once, each with what stands before it in the first window that has it.
func TestPerplexityCountsEachTokenOnce(t *testing.T) {
	const text = "The river rose in the night and the ferry waited."
	ids := idsOf(t, text)
	for _, c := range []struct{ length, stride, windows, lost int }{
		{100, 50, 1, 0}, {len(text), 1, 1, 0}, {20, 5, 7, 0}, {20, 20, 3, 2}, {7, 3, 15, 0}, {2, 1, len(text) - 1, 0}, {2, 2, 24, 24}, {48, 48, 1, 1},
	} {
		s := &scorer{}
		o := perplexityOptions(c.length, c.stride)
		o.Concurrency = 3
		result, err := evaluation.EvaluatePerplexity(t.Context(), []evaluation.Text{{Name: "a", Content: text}}, s.score, o)
		require.NoError(t, err)
		nll, counted, begin := 0.0, 0, 0
		for i := 1; i < len(ids); i++ {
			for begin+c.length <= i {
				begin += c.stride
			}
			if begin < i {
				nll -= float64(logProbOf(ids[i], i-begin))
				counted++
			}
		}
		require.Equal(t, len(ids)-1-c.lost, counted, "%+v", c)
		got := result.Texts[0]
		require.Equal(t, counted, got.Tokens, "%+v", c)
		require.Equal(t, c.windows, got.Windows, "%+v", c)
		require.Len(t, s.asked, c.windows)
		require.InDelta(t, nll/float64(counted), got.NLLPerToken, 1e-12)
		require.InDelta(t, math.Exp(nll/float64(counted)), got.Perplexity, 1e-9)
		require.InDelta(t, nll/float64(counted)/math.Ln2, got.BitsPerToken, 1e-12)
		require.InDelta(t, nll/math.Ln2/float64(len(text)), got.BitsPerByte, 1e-12)
		require.Equal(t, []int{len(ids), len(text)}, []int{got.TextTokens, got.Bytes})
		require.Equal(t, got, result.Total)
	}
}

func TestPerplexityOfSeveralTexts(t *testing.T) {
	texts := []evaluation.Text{{Name: "a", Content: "one two three"}, {Name: "b", Content: "four"}}
	o := perplexityOptions(8, 4)
	o.AddSpecialTokens, o.Tokenizer = true, byteTokenizer{prefix: []int32{bosID}}
	result, err := evaluation.EvaluatePerplexity(t.Context(), texts, (&scorer{}).score, o)
	require.NoError(t, err)
	a, b := result.Texts[0], result.Texts[1]
	require.Equal(t, []int{14, 5, 13, 4, 13, 4}, []int{a.TextTokens, b.TextTokens, a.Tokens, b.Tokens, a.Bytes, b.Bytes}, "the token at the beginning is the first")
	require.InDelta(t, (13*a.NLLPerToken+4*b.NLLPerToken)/17, result.Total.NLLPerToken, 1e-12)
	require.Equal(t, a.Windows+b.Windows, result.Total.Windows)
	require.Equal(t, 17, result.Total.Bytes)
}

// A run that ended early is continued from what it kept, to the same numbers.
func TestPerplexityGoesOn(t *testing.T) {
	texts := []evaluation.Text{{Name: "a", Content: strings.Repeat("The river rose. ", 9)}, {Name: "b", Content: "Another text."}}
	dir := t.TempDir()
	o := perplexityOptions(16, 8)
	whole, err := evaluation.EvaluatePerplexity(t.Context(), texts, (&scorer{}).score, o)
	require.NoError(t, err)

	o.Journal = filepath.Join(dir, "windows.jsonl")
	broken := errors.New("power cut")
	s := &scorer{fail: func(n int) error {
		if n > 5 {
			return broken
		}
		return nil
	}}
	part, err := evaluation.EvaluatePerplexity(t.Context(), texts, s.score, o)
	require.ErrorIs(t, err, broken)
	require.Equal(t, 5, part.Done)
	require.Zero(t, part.Total.BitsPerByte, "of a part of the tokens it would say nothing")
	require.NoFileExists(t, o.Journal)
	partial := o.Journal + ".partial"
	content, err := os.ReadFile(partial)
	require.NoError(t, err)
	require.Equal(t, 6, strings.Count(string(content), "\n"))

	// Interrupted, and cut within a line, as by a kill.
	require.NoError(t, os.WriteFile(partial, append(content, `{"text":0,"beg`...), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	s = &scorer{fail: func(n int) error {
		if n > 3 {
			cancel()
		}
		return nil
	}}
	part, err = evaluation.EvaluatePerplexity(ctx, texts, s.score, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 8, part.Done)

	var heard []int
	o.Progress = func(done, total int) {
		heard = append(heard, done)
		require.Equal(t, whole.Total.Windows, total)
	}
	s = &scorer{}
	result, err := evaluation.EvaluatePerplexity(t.Context(), texts, s.score, o)
	require.NoError(t, err)
	require.Equal(t, whole, result)
	require.Len(t, s.asked, whole.Total.Windows-8)
	require.Equal(t, whole.Total.Windows, heard[len(heard)-1])
	require.NoFileExists(t, partial)

	// What is complete is not computed again.
	s = &scorer{}
	result, err = evaluation.EvaluatePerplexity(t.Context(), texts, s.score, o)
	require.NoError(t, err)
	require.Equal(t, whole, result)
	require.Empty(t, s.asked)
}

func TestAnotherJournalIsRefused(t *testing.T) {
	texts := []evaluation.Text{{Name: "a", Content: "The river rose."}}
	path := filepath.Join(t.TempDir(), "windows.jsonl")
	evaluate := func(change func(*evaluation.PerplexityOptions, []evaluation.Text) []evaluation.Text) error {
		o := perplexityOptions(8, 4)
		o.Journal = path
		_, err := evaluation.EvaluatePerplexity(t.Context(), change(&o, texts), (&scorer{}).score, o)
		return err
	}
	require.NoError(t, evaluate(func(_ *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text { return texts }))
	for says, change := range map[string]func(*evaluation.PerplexityOptions, []evaluation.Text) []evaluation.Text{
		"was begun with stride 4, now it is 3: run with the former to go on": func(o *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text {
			o.Stride = 3
			return texts
		},
		"was begun with max_length 8, now it is 9": func(o *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text {
			o.MaxLength = 9
			return texts
		},
		"was begun with engine e, now it is other": func(o *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text {
			o.Engine[0].Value = "other"
			return texts
		},
		"was begun with SHA-256 of text 1 ": func(_ *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text {
			return []evaluation.Text{{Name: "a", Content: texts[0].Content + " "}}
		},
		"was begun with texts 1, now it is 2": func(_ *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text {
			return append(texts, texts[0])
		},
		"was begun with SHA-256 of its tokens (text 1)": func(o *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text {
			o.AddSpecialTokens = false
			o.Tokenizer = upperTokenizer{}
			return texts
		},
	} {
		err := evaluate(change)
		require.ErrorIs(t, err, evaluation.ErrOtherRun, says)
		require.ErrorContains(t, err, path+" "+says)
	}
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	same := func(_ *evaluation.PerplexityOptions, texts []evaluation.Text) []evaluation.Text { return texts }
	for content, says := range map[string]string{
		"":                        "does not begin as a file that `trtgo eval perplexity` wrote: remove it or name another",
		"a summary\n":             "does not begin as a file",
		`{"evaluation":"mmlu"}`:   "is of mmlu, not of perplexity",
		string(whole) + "x\n":     "line 5 is not JSON: remove the file to begin anew",
		string(whole) + "{}\n":    "line 5 is no window of these texts",
		string(whole) + "[1,2]\n": "line 5 is no window of these texts",
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.ErrorContains(t, evaluate(same), says)
	}
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o755))
	require.ErrorContains(t, evaluate(same), "not a regular file")
}

// upperTokenizer has other tokens than byteTokenizer.
type upperTokenizer struct{ byteTokenizer }

func (u upperTokenizer) Encode(text string, o tokenizer.EncodeOptions) ([]int32, error) {
	return u.byteTokenizer.Encode(strings.ToUpper(text), o)
}

func TestBadTextsForPerplexity(t *testing.T) {
	for content, says := range map[string]string{
		"":               `bad has 0 bytes, which are 0 tokens: at least 2 are needed`,
		"x":              "bad has 1 bytes, which are 1 tokens",
		"fine \xff text": "bad is not UTF-8: byte 5 begins no character",
		"\ufffd\xc3":     "bad is not UTF-8: byte 3 begins no character",
		"BROKEN":         "bad: broken tokenizer",
	} {
		_, err := evaluation.EvaluatePerplexity(t.Context(), []evaluation.Text{{Name: "good", Content: "good"}, {Name: "bad", Content: content}}, (&scorer{}).score, perplexityOptions(4, 2))
		require.ErrorContains(t, err, says)
	}
	_, err := evaluation.EvaluatePerplexity(t.Context(), nil, (&scorer{}).score, perplexityOptions(4, 2))
	require.ErrorIs(t, err, evaluation.ErrNoSamples)
	for says, change := range map[string]func(*evaluation.PerplexityOptions){
		"max_length is 1":      func(o *evaluation.PerplexityOptions) { o.MaxLength, o.Stride = 1, 1 },
		"stride is 0, 1 to 4":  func(o *evaluation.PerplexityOptions) { o.Stride = 0 },
		"stride is 5, 1 to 4":  func(o *evaluation.PerplexityOptions) { o.Stride = 5 },
		"concurrency is 0, at": func(o *evaluation.PerplexityOptions) { o.Concurrency = 0 },
	} {
		o := perplexityOptions(4, 2)
		change(&o)
		_, err := evaluation.EvaluatePerplexity(t.Context(), []evaluation.Text{{Name: "a", Content: "text"}}, (&scorer{}).score, o)
		require.ErrorIs(t, err, evaluation.ErrOptions)
		require.ErrorContains(t, err, says)
	}
}

// A model that gives no numbers, or too few, is told about and not averaged.
func TestBadLogProbs(t *testing.T) {
	texts := []evaluation.Text{{Name: "a", Content: "text of some length"}}
	for says, list := range map[string][]float32{
		"3 log-probs came for 7 tokens":                                             {-1, -1, -1},
		"a, tokens 0 to 8: the log-probs add up to NaN":                             {-1, -1, float32(math.NaN()), -1, -1, -1, -1},
		"a, tokens 0 to 8: the log-probs add up to -Inf: the model's numbers overf": {-1, -1, -1, float32(math.Inf(-1)), -1, -1, -1},
	} {
		_, err := evaluation.EvaluatePerplexity(t.Context(), texts, func(context.Context, []int32, int) ([]float32, error) { return list, nil }, perplexityOptions(8, 8))
		require.ErrorContains(t, err, says)
	}
}

// Whatever stands in a file that should be a journal, it is read, refused or gone on with, and numbers come of whole windows only.
func FuzzJournal(f *testing.F) {
	texts := []evaluation.Text{{Name: "a", Content: "The river rose."}}
	path := filepath.Join(f.TempDir(), "windows.jsonl")
	evaluate := func() (evaluation.PerplexityResult, error) {
		o := perplexityOptions(8, 4)
		o.Journal = path
		return evaluation.EvaluatePerplexity(context.Background(), texts, (&scorer{}).score, o)
	}
	want, err := evaluate()
	require.NoError(f, err)
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	for _, cut := range []int{0, 10, len(whole) / 2, len(whole) - 1, len(whole)} {
		f.Add(whole[:cut])
	}
	f.Add([]byte(`{"evaluation":"perplexity","settings":null}` + "\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path+".partial", content, 0o600))
		got, err := evaluate()
		if err != nil {
			return
		}
		require.Equal(t, want.Total.Tokens, got.Total.Tokens)
		require.NoFileExists(t, path+".partial")
	})
}
