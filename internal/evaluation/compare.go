package evaluation

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// LogitsSource gives a model's raw logits of the places from which ids[from:] are predicted: len(ids)-from rows of the vocabulary's
// width. from is at least 1. The rows are the caller's.
type LogitsSource func(ctx context.Context, ids []int32, from int) ([][]float32, error)

// Model is one of two that are compared.
type Model struct {
	Name      string
	VocabSize int
	Tokenizer Tokenizer
	Logits    LogitsSource
}

// CompareOptions say how texts are divided, as PerplexityOptions do, and how much is told.
type CompareOptions struct {
	AddSpecialTokens  bool
	MaxLength, Stride int
	// RowsAtOnce bounds how many rows of logits each model gives at a time, at least 1: a row of a large vocabulary is a megabyte.
	RowsAtOnce int
	// Largest is how many of the largest differences are told, with the best tokens of both.
	Largest  int
	Progress func(done, total int) // tokens; may be nil
}

// TokenDifference is how two models differ in predicting one token of a text. Log-probs are natural logarithms.
type TokenDifference struct {
	Text     int     // index of the text
	Position int     // of the token in its text, from 0
	Context  int     // tokens before it in its window
	Token    int32   // that stands there
	KL       float64 // Σ p_A (ln p_A − ln p_B) over the vocabulary
	LogProbA float64 // of the token
	LogProbB float64
	BestA    int32 // the likeliest token
	BestB    int32
}

// Comparison is the outcome of a comparison.
type Comparison struct {
	A, B      Perplexity // of all texts
	Names     [2]string
	Tokens    []TokenDifference // every counted token, in the order of texts and positions
	Texts     [][]int32         // the texts' tokens
	Largest   []LargeDifference // by KL, descending
	VocabSize int
}

// LargeDifference is one of the largest differences, with the best tokens of both models.
type LargeDifference struct {
	TokenDifference
	TopA, TopB []Likely
}

// Likely is a token and its probability.
type Likely struct {
	Token       int32
	Probability float64
}

// topTokens is how many of the best tokens are told beside a large difference.
const topTokens = 5

// Compare compares what two models predict of the same texts, token by token. Both must have one vocabulary: sizes that differ,
// and a text that their tokenizers make different tokens of, are errors. Memory does not grow with the texts but by some tens of
// bytes a token.
//
// Errors wrap ErrOptions or ErrNoSamples, or are those of tokenizers and models.
func Compare(ctx context.Context, a, b Model, texts []Text, o CompareOptions) (Comparison, error) {
	if a.VocabSize != b.VocabSize {
		return Comparison{}, fmt.Errorf("%w: %s has a vocabulary of %d tokens, %s of %d: only models of one vocabulary can be compared", ErrOptions, a.Name, a.VocabSize, b.Name, b.VocabSize)
	}
	if o.RowsAtOnce < 1 {
		return Comparison{}, fmt.Errorf("%w: rows at once is %d, at least 1 is needed", ErrOptions, o.RowsAtOnce)
	}
	p := perplexity{texts: texts, o: PerplexityOptions{
		Tokenizer: a.Tokenizer, AddSpecialTokens: o.AddSpecialTokens, MaxLength: o.MaxLength, Stride: o.Stride, Concurrency: 1,
	}}
	p.result.Texts = make([]Perplexity, len(texts))
	if err := p.o.check(); err != nil {
		return Comparison{}, err
	}
	if err := p.encode(); err != nil {
		return Comparison{}, err
	}
	if err := sameTokens(a, b, texts, p.ids, o.AddSpecialTokens); err != nil {
		return Comparison{}, err
	}
	c := comparison{o: o, models: [2]Model{a, b}, result: Comparison{Names: [2]string{a.Name, b.Name}, Texts: p.ids, VocabSize: a.VocabSize}}
	for _, w := range p.windows {
		c.total += w.end - w.first
	}
	for _, w := range p.windows {
		if err := c.window(ctx, p.ids[w.text], w); err != nil {
			return Comparison{}, fmt.Errorf("%s, tokens %d to %d: %w", texts[w.text].Name, w.begin, w.end, err)
		}
	}
	c.finish(&p)
	return c.result, nil
}

// sameTokens refuses texts of which two tokenizers make different tokens.
func sameTokens(a, b Model, texts []Text, ids [][]int32, addSpecialTokens bool) error {
	q := perplexity{texts: texts, o: PerplexityOptions{Tokenizer: b.Tokenizer, AddSpecialTokens: addSpecialTokens, MaxLength: 2, Stride: 2}}
	q.result.Texts = make([]Perplexity, len(texts))
	if err := q.encode(); err != nil {
		return err
	}
	for i, other := range q.ids {
		if slices.Equal(ids[i], other) {
			continue
		}
		at := 0
		for at < min(len(ids[i]), len(other)) && ids[i][at] == other[at] {
			at++
		}
		return fmt.Errorf("%w: the tokenizers of %s and %s make different tokens of %s, from token %d on: name one tokenizer for both", ErrOptions, a.Name, b.Name, texts[i].Name, at)
	}
	return nil
}

// comparison is one under way.
type comparison struct {
	o      CompareOptions
	models [2]Model
	total  int
	result Comparison
}

// window compares one window, RowsAtOnce tokens at a time: what stands before them is in the models' KV caches.
func (c *comparison) window(ctx context.Context, ids []int32, w window) error {
	for first := w.first; first < w.end; first += c.o.RowsAtOnce {
		end := min(first+c.o.RowsAtOnce, w.end)
		rows, err := c.rows(ctx, ids[w.begin:end], first-w.begin)
		if err != nil {
			return err
		}
		if err := c.compareRows(ids, rows, w, first, end); err != nil {
			return err
		}
		if c.o.Progress != nil {
			c.o.Progress(len(c.result.Tokens), c.total)
		}
	}
	return nil
}

// rows asks both models at once.
func (c *comparison) rows(ctx context.Context, ids []int32, from int) (rows [2][][]float32, err error) {
	group, ctx := errgroup.WithContext(ctx)
	for i, model := range c.models {
		group.Go(func() error {
			var err error
			if rows[i], err = model.Logits(ctx, ids, from); err != nil {
				return fmt.Errorf("%s: %w", model.Name, err)
			}
			if len(rows[i]) != len(ids)-from {
				return fmt.Errorf("%s gave %d rows of logits for %d tokens", model.Name, len(rows[i]), len(ids)-from)
			}
			for _, row := range rows[i] {
				if len(row) != model.VocabSize {
					return fmt.Errorf("%s gave a row of %d logits, its vocabulary has %d", model.Name, len(row), model.VocabSize)
				}
			}
			return nil
		})
	}
	return rows, group.Wait()
}

// compareRows compares the rows of ids[first:end] on all processors: a row of a large vocabulary takes milliseconds.
func (c *comparison) compareRows(ids []int32, rows [2][][]float32, w window, first, end int) error {
	differences, failures := make([]TokenDifference, end-first), make([]error, end-first)
	workers := min(runtime.GOMAXPROCS(0), end-first)
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for i := worker; i < end-first; i += workers {
				differences[i], failures[i] = compareRow(rows[0][i], rows[1][i], ids[first+i])
				differences[i].Text, differences[i].Position, differences[i].Context = w.text, first+i, first+i-w.begin
			}
		})
	}
	wait.Wait()
	for i := range differences {
		if failures[i] != nil {
			return fmt.Errorf("token %d: %w", first+i, failures[i])
		}
		c.result.Tokens = append(c.result.Tokens, differences[i])
		c.keepLargest(&differences[i], rows[0][i], rows[1][i])
	}
	return nil
}

// keepLargest keeps a difference that is among the largest so far.
func (c *comparison) keepLargest(d *TokenDifference, a, b []float32) {
	list := c.result.Largest
	if len(list) == c.o.Largest && (len(list) == 0 || d.KL <= list[len(list)-1].KL) {
		return
	}
	at, _ := slices.BinarySearchFunc(list, d.KL, func(l LargeDifference, kl float64) int {
		if l.KL >= kl {
			return -1
		}
		return 1
	})
	list = slices.Insert(list, at, LargeDifference{*d, likeliest(a), likeliest(b)})
	c.result.Largest = list[:min(len(list), c.o.Largest)]
}

// likeliest are the best tokens of a row.
func likeliest(row []float32) []Likely {
	d := newDistribution(row)
	var best []int32
	for i, l := range row { // insertion into a short list: most are below its last
		if len(best) == topTokens && l <= row[best[topTokens-1]] {
			continue
		}
		at := len(best)
		for at > 0 && row[best[at-1]] < l {
			at--
		}
		best = slices.Insert(best[:min(len(best), topTokens-1)], min(at, topTokens-1), int32(i))
	}
	list := make([]Likely, len(best))
	for i, token := range best {
		list[i] = Likely{token, d.probability(row[token])}
	}
	return list
}

// finish sums up.
func (c *comparison) finish(p *perplexity) {
	a, b := &c.result.A, &c.result.B
	for _, text := range p.result.Texts {
		a.TextTokens += text.TextTokens
		a.Bytes += text.Bytes
		a.Windows += text.Windows
	}
	a.Tokens = len(c.result.Tokens)
	*b = *a
	for i := range c.result.Tokens {
		a.nll -= c.result.Tokens[i].LogProbA
		b.nll -= c.result.Tokens[i].LogProbB
	}
	a.finish(true)
	b.finish(true)
}
