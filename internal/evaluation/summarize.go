package evaluation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/numpyrandom"
	"github.com/trtgo/trtgo/rouge"
	"github.com/trtgo/trtgo/tokenizer"
)

// SummarizeOptions say what is summarised and how. Names and meaning are upstream's; zero values are not its defaults, which are
// the command line's matter.
type SummarizeOptions struct {
	Prompter
	// Seed orders the articles: numpy's default_rng(seed).permutation.
	Seed uint64
	// BatchSize is the number of articles that are generated at once, MaxIterations the largest number of batches.
	BatchSize, MaxIterations int
	// MinInputLength leaves out articles whose prompts have no more tokens than this. A batch that is left without any does not
	// count as an iteration.
	MinInputLength int
	// Score gives log-probs for the perplexity of prompt and output, nil: none is computed.
	Score Scorer
	// Observer hears of progress; its zero value is deaf.
	Observer Observer
	// Outputs keep what was generated; the zero value keeps nothing.
	Outputs Outputs
}

// Observer is called as an evaluation goes on. Each function may be nil. Calls come one at a time.
type Observer struct {
	// WarmUp follows the warm-up on the first article. Its sample has no summaries if the article was too short.
	WarmUp func(Sample)
	// Begin precedes the generation of a batch; its samples have no summaries yet.
	Begin func(batch []Sample)
	// Tokens brings ids as they are generated, of the first sequence of the sample with this Index.
	Tokens func(index int, ids []int32)
	// Done follows each sample, in order, when its batch is complete.
	Done func(Sample)
}

// Sample is one article and what the model made of it.
type Sample struct {
	// Index is the article's position in the order of evaluation, Row that in the data set.
	Index, Row int
	Article    dataset.Article
	// PromptTokens is the length of the prompt.
	PromptTokens int
	// Summaries has one text for each beam or sequence, as the model wrote it: not even stripped.
	Summaries []string
	// OutputTokens is the number of generated tokens of all sequences together.
	OutputTokens int
	// Scores has the ROUGE of each summary.
	Scores []rouge.Scores
	// Perplexities has that of prompt and output together for each summary, if it was asked for: e to the power of the mean of
	// -ln p of all tokens but the first.
	Perplexities []float64
	sequences    [][]int32 // prompt and output of each, kept until they are scored
}

// Summarize generates a summary of each article and scores it against the article's highlights.
//
// The first article is generated once before, neither timed nor scored. Then batches of BatchSize articles follow in the order
// of the permutation until MaxIterations of them were generated or the articles are used up. An error ends the evaluation, as
// does the end of ctx; the result then holds the samples that were complete, and Partial the names under which they are kept.
func Summarize(ctx context.Context, articles []dataset.Article, generate Generator, options SummarizeOptions) (Result, error) {
	if err := options.validate(articles, generate); err != nil {
		return Result{}, err
	}
	s := summarizer{
		SummarizeOptions: options, articles: articles, generate: generate,
		scorer: rouge.New(rouge.Options{}), // upstream leaves the stemmer off
		order:  numpyrandom.NewGenerator(options.Seed).Permutation(len(articles)),
	}
	outputs, err := options.Outputs.open()
	if err != nil {
		return Result{}, err
	}
	defer outputs.discard()
	if err := s.warmUp(ctx); err != nil {
		return Result{}, fmt.Errorf("warm-up: %w", err)
	}
	err = s.run(ctx, outputs)
	s.result.aggregate()
	if err != nil && len(s.result.Samples) > 0 {
		var failed error
		s.result.Partial, failed = outputs.keep()
		return s.result, errors.Join(err, failed)
	}
	if err != nil {
		return s.result, err
	}
	if len(s.result.Samples) == 0 {
		return s.result, fmt.Errorf("%w: none of the %d articles has a prompt of more than %d tokens", ErrNoSamples, len(articles), options.MinInputLength)
	}
	return s.result, outputs.commit()
}

func (o *SummarizeOptions) validate(articles []dataset.Article, generate Generator) error {
	switch {
	case generate == nil:
		return errors.New("evaluation: no generator given")
	case len(articles) == 0:
		return fmt.Errorf("%w: no articles", ErrNoSamples)
	case o.BatchSize < 1:
		return fmt.Errorf("%w: batch_size is %d, at least 1 is needed", ErrOptions, o.BatchSize)
	case o.MaxIterations < 1:
		return fmt.Errorf("%w: max_ite is %d, at least 1 is needed", ErrOptions, o.MaxIterations)
	case o.MinInputLength < 0:
		return fmt.Errorf("%w: min_input_length is %d, it cannot be negative", ErrOptions, o.MinInputLength)
	case o.MinInputLength >= o.MaxInputLength && o.MaxInputLength > 0:
		return fmt.Errorf("%w: min_input_length %d leaves no prompt of at most max_input_length %d tokens", ErrOptions, o.MinInputLength, o.MaxInputLength)
	}
	return o.Prompter.validate()
}

// summarizer is one evaluation under way.
type summarizer struct {
	SummarizeOptions
	articles []dataset.Article
	generate Generator
	scorer   *rouge.Scorer
	order    []int
	result   Result
}

func (s *summarizer) warmUp(ctx context.Context) error {
	// Nobody listens to its tokens: they are not part of the evaluation.
	quiet := *s
	quiet.Observer = Observer{}
	batch, err := quiet.batch(ctx, 0, 1)
	if err != nil {
		return err
	}
	if s.Observer.WarmUp != nil {
		sample := Sample{Row: s.order[0], Article: s.articles[s.order[0]]}
		if len(batch) > 0 {
			sample = batch[0]
		}
		s.Observer.WarmUp(sample)
	}
	return nil
}

func (s *summarizer) run(ctx context.Context, outputs *outputWriter) error {
	iterations := 0
	for start := 0; start < len(s.order) && iterations < s.MaxIterations; start += s.BatchSize {
		began := time.Now()
		batch, err := s.batch(ctx, start, min(start+s.BatchSize, len(s.order)))
		if err != nil {
			return err
		}
		s.result.Latency += time.Since(began)
		if len(batch) > 0 {
			iterations++
		}
		if err := s.measure(ctx, batch); err != nil {
			return err
		}
		for i := range batch {
			s.score(&batch[i])
			s.result.Samples = append(s.result.Samples, batch[i])
			s.result.OutputTokens += batch[i].OutputTokens
			if err := outputs.add(batch[i]); err != nil {
				return err
			}
			if s.Observer.Done != nil {
				s.Observer.Done(batch[i])
			}
		}
	}
	return nil
}

// batch generates the summaries of the articles at positions start to end of the order, those with too short prompts left out.
func (s *summarizer) batch(ctx context.Context, start, end int) ([]Sample, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var samples []Sample
	var prompts [][]int32
	for index := start; index < end; index++ {
		sample := Sample{Index: index, Row: s.order[index], Article: s.articles[s.order[index]]}
		prompt, err := s.Prompt(sample.Article.Text)
		if err != nil {
			return nil, sample.errorf("%w", err)
		}
		if len(prompt) <= s.MinInputLength {
			continue
		}
		sample.PromptTokens = len(prompt)
		samples, prompts = append(samples, sample), append(prompts, prompt)
	}
	if len(samples) == 0 {
		return nil, nil
	}
	if s.Observer.Begin != nil {
		s.Observer.Begin(samples)
	}
	outputs, err := s.generate(ctx, prompts, s.onTokens(samples))
	if err != nil {
		return nil, err
	}
	if len(outputs) != len(prompts) {
		return nil, fmt.Errorf("the engine answered %d of %d prompts", len(outputs), len(prompts))
	}
	for i := range samples {
		if err := s.decode(&samples[i], outputs[i], len(outputs[0])); err != nil {
			return nil, err
		}
		if s.Score != nil {
			for _, ids := range outputs[i] {
				samples[i].sequences = append(samples[i].sequences, slices.Concat(prompts[i], ids))
			}
		}
	}
	return samples, nil
}

// onTokens passes ids on to the observer, one call at a time.
func (s *summarizer) onTokens(samples []Sample) func(int, []int32) {
	observe := s.Observer.Tokens
	if observe == nil {
		return func(int, []int32) {}
	}
	var mu sync.Mutex
	return func(prompt int, ids []int32) {
		mu.Lock()
		defer mu.Unlock()
		observe(samples[prompt].Index, ids)
	}
}

func (s *summarizer) decode(sample *Sample, sequences [][]int32, beams int) error {
	if len(sequences) == 0 || len(sequences) != beams {
		return sample.errorf("%d sequences were generated where the batch's first article has %d", len(sequences), beams)
	}
	for _, ids := range sequences {
		text, err := s.Tokenizer.Decode(ids, tokenizer.DecodeOptions{SkipSpecialTokens: true})
		if err != nil {
			return sample.errorf("decode the summary: %w", err)
		}
		sample.Summaries = append(sample.Summaries, text)
		sample.OutputTokens += len(ids)
	}
	return nil
}

// measure computes the perplexities of a batch, its sequences side by side.
func (s *summarizer) measure(ctx context.Context, batch []Sample) error {
	if s.Score == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range batch {
		sample := &batch[i]
		sample.Perplexities = make([]float64, len(sample.sequences))
		for beam, ids := range sample.sequences {
			group.Go(func() (err error) {
				if sample.Perplexities[beam], err = perplexityOf(ctx, s.Score, ids); err != nil {
					return sample.errorf("perplexity: %w", err)
				}
				return nil
			})
		}
	}
	err := group.Wait()
	for i := range batch {
		batch[i].sequences = nil
	}
	return err
}

// perplexityOf is that of a sequence; of one token alone, which nothing stands before, it is 1.
func perplexityOf(ctx context.Context, score Scorer, ids []int32) (float64, error) {
	if len(ids) < 2 {
		return 1, nil
	}
	logProbs, err := score(ctx, ids, 1)
	if err != nil {
		return 0, err
	}
	if len(logProbs) != len(ids)-1 {
		return 0, fmt.Errorf("the engine told %d log-probs of %d tokens", len(logProbs), len(ids)-1)
	}
	sum := 0.0
	for _, p := range logProbs {
		sum -= float64(p)
	}
	return math.Exp(sum / float64(len(logProbs))), nil
}

func (s *summarizer) score(sample *Sample) {
	for _, summary := range sample.Summaries {
		sample.Scores = append(sample.Scores, s.scorer.Score(summary, sample.Article.Highlights))
	}
}

// errorf makes an error that names the article.
func (s *Sample) errorf(format string, args ...any) error {
	id := ""
	if s.Article.ID != "" {
		id = fmt.Sprintf(" (id %q)", s.Article.ID)
	}
	return fmt.Errorf("article %d%s: %w", s.Row+1, id, fmt.Errorf(format, args...))
}
