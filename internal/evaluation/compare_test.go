package evaluation_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/evaluation"
)

const vocabulary = firstByte + 256

// randomModel has logits that depend on all tokens before a place, and a little on the model.
type randomModel struct {
	noise float64 // how far it is from the model without any
	mu    sync.Mutex
	most  int // rows in one call
	calls int
	spoil func(rows [][]float32) [][]float32
}

func (m *randomModel) row(before []int32) []float32 {
	hash := uint64(len(before))
	for _, id := range before {
		hash = hash*31 + uint64(id)
	}
	shared, own := rand.New(rand.NewPCG(hash, 1)), rand.New(rand.NewPCG(hash, 2))
	row := make([]float32, vocabulary)
	for i := range row {
		row[i] = float32(3*shared.NormFloat64() + m.noise*own.NormFloat64())
	}
	return row
}

func (m *randomModel) logits(ctx context.Context, ids []int32, from int) ([][]float32, error) {
	var rows [][]float32
	for i := from; i < len(ids); i++ {
		rows = append(rows, m.row(ids[:i]))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most, m.calls = max(m.most, len(rows)), m.calls+1
	if m.spoil != nil {
		rows = m.spoil(rows)
	}
	return rows, ctx.Err()
}

func (m *randomModel) model(name string) evaluation.Model {
	return evaluation.Model{Name: name, VocabSize: vocabulary, Tokenizer: byteTokenizer{}, Logits: m.logits}
}

func compareOptions(length, stride, rows int) evaluation.CompareOptions {
	return evaluation.CompareOptions{MaxLength: length, Stride: stride, RowsAtOnce: rows, Largest: 3}
}

func softmax(row []float32) []float64 {
	p, sum := make([]float64, len(row)), 0.0
	for i, l := range row {
		p[i] = math.Exp(float64(l))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func best(row []float64) int32 {
	at := 0
	for i, v := range row {
		if v > row[at] {
			at = i
		}
	}
	return int32(at)
}

// Each number against its definition, whatever the windows and how many rows come at a time.
func TestCompare(t *testing.T) {
	texts := []evaluation.Text{{Name: "a", Content: "The river rose in the night and the ferry waited."}, {Name: "b", Content: "Snow."}}
	for _, c := range []struct{ length, stride, rows int }{{100, 50, 100}, {20, 5, 7}, {20, 20, 1}, {10, 3, 4}} {
		a, b := &randomModel{}, &randomModel{noise: 0.3}
		o := compareOptions(c.length, c.stride, c.rows)
		heard := 0
		o.Progress = func(done, total int) { heard = total - done }
		got, err := evaluation.Compare(t.Context(), a.model("A"), b.model("B"), texts, o)
		require.NoError(t, err)
		require.LessOrEqual(t, a.most, c.rows)
		require.Equal(t, a.calls, b.calls)
		require.Zero(t, heard)
		reference, err := evaluation.EvaluatePerplexity(t.Context(), texts, func(_ context.Context, ids []int32, from int) ([]float32, error) {
			var list []float32
			for i := from; i < len(ids); i++ {
				list = append(list, float32(math.Log(softmax(b.row(ids[:i]))[ids[i]])))
			}
			return list, nil
		}, perplexityOptions(c.length, c.stride))
		require.NoError(t, err)
		require.Equal(t, reference.Total.Tokens, got.B.Tokens)
		require.InDelta(t, reference.Total.NLLPerToken, got.B.NLLPerToken, 1e-6)
		require.InDelta(t, reference.Total.BitsPerByte, got.B.BitsPerByte, 1e-6)
		require.Len(t, got.Tokens, got.A.Tokens)
		for _, d := range got.Tokens {
			ids := idsOf(t, texts[d.Text].Content)
			require.Equal(t, ids[d.Position], d.Token)
			before := ids[d.Position-d.Context : d.Position]
			p, q := softmax(a.row(before)), softmax(b.row(before))
			kl := 0.0
			for i := range p {
				kl += p[i] * math.Log(p[i]/q[i])
			}
			require.InDelta(t, kl, d.KL, 1e-9)
			require.InDelta(t, math.Log(p[d.Token]), d.LogProbA, 1e-9)
			require.InDelta(t, math.Log(q[d.Token]), d.LogProbB, 1e-9)
			require.Equal(t, []int32{best(p), best(q)}, []int32{d.BestA, d.BestB})
		}
		requireLargest(t, got, a, texts)
	}
}

// requireLargest compares the largest differences with all of them.
func requireLargest(t *testing.T, got evaluation.Comparison, a *randomModel, texts []evaluation.Text) {
	t.Helper()
	require.Len(t, got.Largest, 3)
	for i, l := range got.Largest {
		larger := 0
		for _, d := range got.Tokens {
			if d.KL > l.KL {
				larger++
			}
		}
		require.Equal(t, i, larger)
		ids := idsOf(t, texts[l.Text].Content)
		p := softmax(a.row(ids[l.Position-l.Context : l.Position]))
		require.Len(t, l.TopA, 5)
		for n, choice := range l.TopA {
			better := 0
			for _, v := range p {
				if v > p[choice.Token] {
					better++
				}
			}
			require.Equal(t, n, better)
			require.InDelta(t, p[choice.Token], choice.Probability, 1e-9)
		}
		require.Equal(t, l.BestB, l.TopB[0].Token)
	}
}

func pieceOf(id int32) string {
	if id < firstByte {
		return "<special>"
	}
	return string(rune(id - firstByte))
}

func TestCompareSummary(t *testing.T) {
	texts := []evaluation.Text{{Name: "a", Content: strings.Repeat("<b>The & river</b> rose. ", 4)}}
	a, b := &randomModel{}, &randomModel{noise: 0.5}
	got, err := evaluation.Compare(t.Context(), a.model("first <model>"), b.model("second"), texts, compareOptions(40, 10, 16))
	require.NoError(t, err)
	s := got.Summary(pieceOf)
	n := len(got.Tokens)
	var sum, squares, most, difference, same float64
	for _, d := range got.Tokens {
		sum += d.KL
		most = max(most, d.KL)
		difference += (d.LogProbB - d.LogProbA) / float64(n)
		squares += (d.LogProbB - d.LogProbA) * (d.LogProbB - d.LogProbA) / float64(n)
		if d.BestA == d.BestB {
			same++
		}
	}
	require.Equal(t, []int{n, vocabulary}, []int{s.Tokens, s.VocabSize})
	require.InDelta(t, sum/float64(n), s.KL.Mean, 1e-12)
	require.InDelta(t, most, s.KL.Max, 0)
	require.InDelta(t, same/float64(n), s.SameBest, 1e-12)
	require.InDelta(t, difference, s.LogProb.Mean, 1e-12)
	require.InDelta(t, math.Sqrt(squares), s.LogProb.RMS, 1e-12)
	require.True(t, s.KL.Median < s.KL.P90 && s.KL.P90 < s.KL.P95 && s.KL.P95 < s.KL.P99 && s.KL.P99 < s.KL.Max)
	for _, parts := range [][]evaluation.ByContext{s.ByContext, s.ByPosition} {
		tokens, kl := 0, 0.0
		for i, p := range parts {
			tokens += p.Tokens
			kl += p.KL * float64(p.Tokens)
			require.LessOrEqual(t, p.From, p.To)
			if i > 0 {
				require.Equal(t, parts[i-1].To+1, p.From)
			}
		}
		require.Equal(t, n, tokens)
		require.InDelta(t, sum, kl, 1e-9)
	}
	require.Equal(t, 1, s.ByContext[0].From)
	require.Equal(t, 39, s.ByContext[len(s.ByContext)-1].To)
	require.Equal(t, pieceOf(s.Largest[0].TopB[0].Token), s.Largest[0].TopB[0].Piece)

	var text strings.Builder
	require.NoError(t, s.WriteText(&text))
	require.Contains(t, text.String(), "\nKL divergence of B from A, nats: mean ")
	require.Contains(t, text.String(), "\nthe same likeliest token: ")
	require.Regexp(t, `(?m)^B  second +[0-9.]+ +[0-9.]+ +[0-9.]+ +$`, text.String())

	var page strings.Builder
	require.NoError(t, got.WriteReport(&page, pieceOf))
	require.Contains(t, page.String(), "<h1>first &lt;model&gt; <small>(A)")
	require.Contains(t, page.String(), "@media (prefers-color-scheme: dark)")
	require.NotContains(t, page.String(), "<b>The", "text is escaped")
	require.NotContains(t, page.String(), "ZgotmplZ", "no value was refused by the template")
	require.NotRegexp(t, `(src|href)=|url\(|@import`, page.String(), "it needs nothing else")
	require.NotContains(t, page.String(), "NaN")
	require.Equal(t, 4, strings.Count(page.String(), "<svg "))
	require.Equal(t, n, strings.Count(page.String(), "<circle "))
	require.Equal(t, len(idsOf(t, texts[0].Content)), strings.Count(page.String(), "<i "))
}

// A model compared with itself, of which both the summary and the page have to make something.
func TestCompareWithItself(t *testing.T) {
	a := &randomModel{}
	texts := []evaluation.Text{{Name: "a", Content: "ab"}}
	got, err := evaluation.Compare(t.Context(), a.model("A"), a.model("A"), texts, evaluation.CompareOptions{MaxLength: 2, Stride: 1, RowsAtOnce: 1})
	require.NoError(t, err)
	s := got.Summary(pieceOf)
	require.Zero(t, s.KL)
	require.Zero(t, s.LogProb)
	require.Equal(t, 1.0, s.SameBest)
	require.Empty(t, s.Largest)
	require.Equal(t, got.A, got.B)
	var page strings.Builder
	require.NoError(t, got.WriteReport(&page, pieceOf))
	require.NotContains(t, page.String(), "NaN")
	require.NotContains(t, page.String(), "Inf")
}

func TestWhatCannotBeCompared(t *testing.T) {
	texts := []evaluation.Text{{Name: "a", Content: "The river."}}
	compare := func(change func(a, b *evaluation.Model, o *evaluation.CompareOptions)) error {
		a, b, o := (&randomModel{}).model("A"), (&randomModel{}).model("B"), compareOptions(8, 4, 2)
		change(&a, &b, &o)
		_, err := evaluation.Compare(t.Context(), a, b, texts, o)
		return err
	}
	err := compare(func(_, b *evaluation.Model, _ *evaluation.CompareOptions) { b.VocabSize = 1000 })
	require.ErrorIs(t, err, evaluation.ErrOptions)
	require.ErrorContains(t, err, "A has a vocabulary of 266 tokens, B of 1000: only models of one vocabulary can be compared")
	err = compare(func(_, b *evaluation.Model, _ *evaluation.CompareOptions) { b.Tokenizer = upperTokenizer{} })
	require.ErrorIs(t, err, evaluation.ErrOptions)
	require.ErrorContains(t, err, "the tokenizers of A and B make different tokens of a, from token 1 on: name one tokenizer for both")
	require.ErrorContains(t, compare(func(_, _ *evaluation.Model, o *evaluation.CompareOptions) { o.RowsAtOnce = 0 }), "rows at once is 0")
	require.ErrorContains(t, compare(func(_, _ *evaluation.Model, o *evaluation.CompareOptions) { o.Stride = 9 }), "stride is 9")
	broken := errors.New("power cut")
	for says, spoil := range map[string]func([][]float32) [][]float32{
		"B gave 1 rows of logits for 2 tokens":                        func(rows [][]float32) [][]float32 { return rows[1:] },
		"B gave a row of 3 logits, its vocabulary has 266":            func([][]float32) [][]float32 { return [][]float32{{1, 2, 3}, {1, 2, 3}} },
		"a, tokens 0 to 8: token 1: a model's logits are not numbers": func(rows [][]float32) [][]float32 { rows[0][5] = float32(math.NaN()); return rows },
		"a, tokens 0 to 8: token 2: a model's logits are not numbers": func(rows [][]float32) [][]float32 { rows[1][5] = float32(math.Inf(1)); return rows },
	} {
		b := &randomModel{spoil: spoil}
		require.ErrorContains(t, compare(func(_, other *evaluation.Model, _ *evaluation.CompareOptions) { other.Logits = b.logits }), says)
	}
	err = compare(func(a, _ *evaluation.Model, _ *evaluation.CompareOptions) {
		a.Logits = func(context.Context, []int32, int) ([][]float32, error) { return nil, broken }
	})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "a, tokens 0 to 8: A: power cut")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = evaluation.Compare(ctx, (&randomModel{}).model("A"), (&randomModel{}).model("B"), texts, compareOptions(8, 4, 2))
	require.ErrorIs(t, err, context.Canceled)
}

func TestSampleTextIsScorable(t *testing.T) {
	sample := evaluation.SampleText()
	require.Greater(t, len(sample.Content), 2000)
	_, err := evaluation.EvaluatePerplexity(t.Context(), []evaluation.Text{sample}, (&scorer{}).score, perplexityOptions(256, 128))
	require.NoError(t, err)
}
