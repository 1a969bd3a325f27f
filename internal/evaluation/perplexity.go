package evaluation

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/trtgo/trtgo/tokenizer"
)

// Scorer gives the log-probs of ids[from:] under the model, each given all that stands before it in ids; from is at least 1. It
// is called by several goroutines at once.
type Scorer func(ctx context.Context, ids []int32, from int) ([]float32, error)

// Text is a text to be scored.
type Text struct{ Name, Content string }

// PerplexityOptions say how texts are divided into windows.
type PerplexityOptions struct {
	Tokenizer Tokenizer
	// AddSpecialTokens encodes each text with what the model wants around it, such as a token at its beginning. A window in the
	// middle of a text gets none.
	AddSpecialTokens bool
	// MaxLength is the number of tokens in a window, at least 2; Stride how far the next one begins behind, 1 to MaxLength.
	MaxLength, Stride int
	// Concurrency is how many windows are scored at once, at least 1.
	Concurrency int
	// Journal is a file that keeps finished windows, and from which a later run goes on; empty is none. Engine says what else
	// their numbers depend on.
	Journal string
	Engine  []Setting
	// Progress hears how many windows are done, from one goroutine at a time. It may be nil.
	Progress func(done, total int)
}

// Perplexity is what a model makes of a text, or of several.
type Perplexity struct {
	Perplexity   float64 `json:"perplexity"`     // e to the power of NLLPerToken
	NLLPerToken  float64 `json:"nll_per_token"`  // the mean of -ln p
	BitsPerToken float64 `json:"bits_per_token"` // the same by logarithms of base 2
	BitsPerByte  float64 `json:"bits_per_byte"`  // all bits over all bytes of UTF-8; 0 while windows are missing
	Tokens       int     `json:"tokens"`         // that were counted
	TextTokens   int     `json:"text_tokens"`    // that the text has
	Bytes        int     `json:"bytes"`
	Windows      int     `json:"windows"`
	nll          float64
}

// PerplexityResult is the outcome of an evaluation. What is not complete counts the windows that are done.
type PerplexityResult struct {
	Texts []Perplexity // in the order of the texts
	Total Perplexity   // of all texts together
	// Done of Total.Windows are scored.
	Done int
}

// window is a part of a text: tokens from begin to end, of which those from first on are counted.
type window struct{ text, begin, first, end int }

// windowRecord is a window's line in the journal.
type windowRecord struct {
	Text   int     `json:"text"`
	Begin  int     `json:"begin"`
	End    int     `json:"end"`
	Tokens int     `json:"tokens"`
	NLL    float64 `json:"nll"`
}

// EvaluatePerplexity scores texts in windows that overlap: each begins Stride tokens after the one before, and counts the tokens that
// none before has counted. The first token of a text has nothing before it and is not counted, nor is that of a window which
// does not overlap with the one before.
//
// With an error the result tells what was scored until then. Errors wrap ErrOptions, ErrNoSamples or ErrOtherRun, or are the
// tokenizer's, the scorer's or the file system's.
func EvaluatePerplexity(ctx context.Context, texts []Text, score Scorer, o PerplexityOptions) (PerplexityResult, error) {
	if err := o.check(); err != nil {
		return PerplexityResult{}, err
	}
	p := perplexity{o: o, score: score, texts: texts, result: PerplexityResult{Texts: make([]Perplexity, len(texts))}}
	if err := p.encode(); err != nil {
		return PerplexityResult{}, err
	}
	journal, err := openJournal(o.Journal, "perplexity", p.settings())
	if err != nil {
		return PerplexityResult{}, err
	}
	p.journal = journal
	err = p.run(ctx)
	p.summarise()
	if err != nil {
		_ = journal.close() // every line is written
		return p.result, err
	}
	return p.result, journal.complete()
}

func (o *PerplexityOptions) check() error {
	switch {
	case o.MaxLength < 2:
		return fmt.Errorf("%w: max_length is %d: a window needs 2 tokens, for the first has nothing before it", ErrOptions, o.MaxLength)
	case o.Stride < 1 || o.Stride > o.MaxLength:
		return fmt.Errorf("%w: stride is %d, 1 to %d is allowed, which is max_length", ErrOptions, o.Stride, o.MaxLength)
	case o.Concurrency < 1:
		return fmt.Errorf("%w: concurrency is %d, at least 1 is needed", ErrOptions, o.Concurrency)
	}
	return nil
}

// perplexity is an evaluation under way.
type perplexity struct {
	o       PerplexityOptions
	score   Scorer
	texts   []Text
	ids     [][]int32
	windows []window

	mu      sync.Mutex // guards what follows
	journal *journal
	nll     []float64 // of each window; NaN where it is not scored
	result  PerplexityResult
}

// encode makes the windows of all texts.
func (p *perplexity) encode() error {
	for i, text := range p.texts {
		if !utf8.ValidString(text.Content) {
			return fmt.Errorf("%s is not UTF-8: byte %d begins no character", text.Name, invalidAt(text.Content))
		}
		ids, err := p.o.Tokenizer.Encode(text.Content, tokenizer.EncodeOptions{AddSpecialTokens: p.o.AddSpecialTokens})
		if err != nil {
			return fmt.Errorf("%s: %w", text.Name, err)
		}
		if len(ids) < 2 {
			return fmt.Errorf("%w: %s has %d bytes, which are %d tokens: at least 2 are needed, for the first is not counted", ErrNoSamples, text.Name, len(text.Content), len(ids))
		}
		p.ids = append(p.ids, ids)
		windows := slide(i, len(ids), p.o.MaxLength, p.o.Stride)
		p.windows = append(p.windows, windows...)
		p.result.Texts[i] = Perplexity{TextTokens: len(ids), Bytes: len(text.Content), Windows: len(windows)}
	}
	if len(p.windows) == 0 {
		return fmt.Errorf("%w: there is no text", ErrNoSamples)
	}
	p.nll = slices.Repeat([]float64{math.NaN()}, len(p.windows))
	return nil
}

// invalidAt is the place of the first byte that is not UTF-8.
func invalidAt(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return len(text)
}

// slide divides n tokens into windows.
func slide(text, n, length, stride int) []window {
	var windows []window
	counted := 0
	for begin := 0; counted < n; begin += stride {
		end := min(begin+length, n)
		if first := max(counted, begin+1); first < end {
			windows = append(windows, window{text, begin, first, end})
		}
		counted = end
	}
	return windows
}

// settings are what a window's numbers depend on.
func (p *perplexity) settings() []Setting {
	settings := []Setting{
		{"max_length", strconv.Itoa(p.o.MaxLength)}, {"stride", strconv.Itoa(p.o.Stride)}, {"add_special_tokens", strconv.FormatBool(p.o.AddSpecialTokens)},
		{"texts", strconv.Itoa(len(p.texts))},
	}
	for i, text := range p.texts {
		settings = append(settings,
			Setting{fmt.Sprintf("SHA-256 of text %d", i+1), digest([]byte(text.Content))},
			Setting{fmt.Sprintf("SHA-256 of its tokens (text %d)", i+1), digest(bytesOf(p.ids[i]))})
	}
	return append(settings, p.o.Engine...)
}

// digest is the beginning of a SHA-256, enough to tell texts apart.
func digest(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content))[:16] }

func bytesOf(ids []int32) []byte {
	content := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		content = binary.LittleEndian.AppendUint32(content, uint32(id))
	}
	return content
}

// run scores what no earlier run has scored.
func (p *perplexity) run(ctx context.Context) error {
	if err := p.takeEarlier(); err != nil {
		return err
	}
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(p.o.Concurrency)
	for i := range p.windows {
		if each.Err() != nil {
			break
		}
		if math.IsNaN(p.at(i)) {
			group.Go(func() error { return p.scoreWindow(each, i) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// at is what is known of a window.
func (p *perplexity) at(i int) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nll[i]
}

// takeEarlier takes the windows of the journal.
func (p *perplexity) takeEarlier() error {
	if p.journal == nil {
		return nil
	}
	indices := map[windowRecord]int{}
	for i, w := range p.windows {
		indices[w.record(0)] = i
	}
	for line, text := range p.journal.records {
		var record windowRecord
		err := json.Unmarshal(text, &record)
		nll := record.NLL
		record.NLL = 0
		i, known := indices[record]
		if err != nil || !known || !isFinite(nll) {
			return fmt.Errorf("%s, line %d is no window of these texts: remove the file to begin anew", p.journal.path, line+2)
		}
		p.count(i, nll)
	}
	return nil
}

func (w window) record(nll float64) windowRecord {
	return windowRecord{w.text, w.begin, w.end, w.end - w.first, nll}
}

// scoreWindow scores one window and keeps it.
func (p *perplexity) scoreWindow(ctx context.Context, i int) error {
	w := p.windows[i]
	logProbs, err := p.score(ctx, p.ids[w.text][w.begin:w.end], w.first-w.begin)
	if err != nil {
		return err
	}
	if len(logProbs) != w.end-w.first {
		return fmt.Errorf("%d log-probs came for %d tokens", len(logProbs), w.end-w.first)
	}
	nll := 0.0
	for _, l := range logProbs {
		nll -= float64(l)
	}
	if !isFinite(nll) {
		return fmt.Errorf("%s, tokens %d to %d: the log-probs add up to %v: the model's numbers overflow", p.texts[w.text].Name, w.begin, w.end, -nll)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.journal.add(w.record(nll)); err != nil {
		return err
	}
	p.count(i, nll)
	return nil
}

// count notes what a window gave. Nobody else does so at the same time.
func (p *perplexity) count(i int, nll float64) {
	if math.IsNaN(p.nll[i]) {
		p.result.Done++
	}
	p.nll[i] = nll
	if p.o.Progress != nil {
		p.o.Progress(p.result.Done, len(p.windows))
	}
}

// summarise adds up in the order of the windows, so that the sum does not depend on which was done first.
func (p *perplexity) summarise() {
	missing := make([]int, len(p.texts))
	for i, w := range p.windows {
		text := &p.result.Texts[w.text]
		if math.IsNaN(p.nll[i]) {
			missing[w.text]++
			continue
		}
		text.nll += p.nll[i]
		text.Tokens += w.end - w.first
	}
	total := &p.result.Total
	for i := range p.result.Texts {
		text := &p.result.Texts[i]
		text.finish(missing[i] == 0)
		total.nll += text.nll
		total.Tokens += text.Tokens
		total.TextTokens += text.TextTokens
		total.Bytes += text.Bytes
		total.Windows += text.Windows
	}
	total.finish(p.result.Done == len(p.windows))
}

// finish computes the means of the sums; complete says that all of the text is in them.
func (p *Perplexity) finish(complete bool) {
	if p.Tokens == 0 {
		return
	}
	p.NLLPerToken = p.nll / float64(p.Tokens)
	p.Perplexity = min(math.Exp(p.NLLPerToken), math.MaxFloat64)
	p.BitsPerToken = p.NLLPerToken / math.Ln2
	if complete {
		p.BitsPerByte = p.nll / math.Ln2 / float64(p.Bytes)
	}
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
