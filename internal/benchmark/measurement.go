package benchmark

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

const (
	seedTokens = cpuengine.KVBlockTokens // of the context that are computed; the others are copies

	leastLimitBytes      = 64 << 20
	leastLimitOperations = 1e9
	// limitShare is how long a limit is measured for the time of a step: longer steps
	// are compared with a longer look at the machine.
	limitShare = 0.05
)

// A measurement runs cases on an open runner.
type measurement struct {
	model    *model
	runner   *cpu.Runner
	ceilings *cpu.Limits
	options  *Options
	progress *progress

	out   executor.StepResult
	works []work
	batch []executor.Sequence
}

func (m *measurement) run(ctx context.Context, c Case) (*Result, error) {
	if err := m.prepare(ctx, c); err != nil {
		return nil, fmt.Errorf("%s of %d tokens, batch size %d, context %d: %w", c.Phase, c.Tokens, c.BatchSize, c.Context, err)
	}
	m.works = m.model.works(c)
	warm, err := m.step(ctx) // pages in, threads awake
	if err != nil {
		return nil, err
	}
	m.progress.add(1)
	r := &Result{Case: c, Cost: sum(m.works)}
	r.BytesPerToken, r.OperationsPerToken = r.Bytes()/float64(c.Tokens), r.Cost.Operations()/float64(c.Tokens)
	if err := m.rounds(ctx, r, warm); err != nil {
		return nil, err
	}
	return r, m.profile(ctx, r)
}

// rounds measures steps in turns with the limits.
func (m *measurement) rounds(ctx context.Context, r *Result, warm float64) error {
	before, err := m.limits(ctx, warm)
	if err != nil {
		return err
	}
	var s samples
	for begin := time.Now(); r.Rounds < m.options.Rounds && (r.Rounds < leastRounds || time.Since(begin) < m.options.MaxTime); r.Rounds++ {
		seconds, err := m.step(ctx)
		if err != nil {
			return err
		}
		after, err := m.limits(ctx, seconds)
		if err != nil {
			return err
		}
		s.add(seconds, before.mean(after), m.works)
		before = after
		m.progress.add(1)
	}
	m.progress.add(int64(m.options.Rounds - r.Rounds))
	s.summarize(r)
	return nil
}

// step runs the batch and gives its seconds.
func (m *measurement) step(ctx context.Context) (float64, error) {
	begin := time.Now()
	err := m.runner.Step(ctx, m.batch, &m.out)
	return time.Since(begin).Seconds(), err
}

// limits measures what memory and arithmetic give, beside a step of so many seconds.
func (m *measurement) limits(ctx context.Context, seconds float64) (*limits, error) {
	l := &limits{peak: map[cpu.Arithmetic]float64{}}
	look := limitShare * seconds
	bytes, took, err := m.ceilings.Read(ctx, int64(min(max(look*20e9, leastLimitBytes), 2<<30)))
	if err != nil {
		return nil, err
	}
	l.stream = float64(bytes) / took.Seconds()
	for _, w := range m.works {
		if _, known := l.peak[w.arithmetic]; known || w.Operations() == 0 {
			continue
		}
		done, took, err := m.ceilings.Multiply(ctx, w.arithmetic, min(max(look*100e9, leastLimitOperations), 100e9))
		if err != nil {
			return nil, err
		}
		l.peak[w.arithmetic] = done / took.Seconds()
	}
	return l, nil
}

// tokens are those of the step.
func (m *measurement) tokens() int {
	n := 0
	for i := range m.batch {
		n += len(m.batch[i].Tokens)
	}
	return n
}

// prepare makes the batch of a case, and keys and values for its contexts: those of the
// first block are computed, the others are copies of it. What they hold makes no
// difference to the time, that they are in memory of their own does.
func (m *measurement) prepare(ctx context.Context, c Case) error {
	limits, blocks := m.runner.Limits(), blocksOf(c)
	if need := blocks * c.BatchSize; need > limits.NumBlocks || c.seqLen() > limits.MaxSeqLen || c.Tokens > limits.MaxNumTokens {
		return fmt.Errorf("%w: it takes a KV cache of %d tokens and steps of %d, the memory is enough for %d and %d", executor.ErrOutOfMemory,
			need*cpuengine.KVBlockTokens, c.Tokens, limits.NumBlocks*cpuengine.KVBlockTokens, limits.MaxNumTokens)
	}
	tokens := make([]int32, c.Tokens)
	for i := range tokens {
		tokens[i] = int32((i*7919 + 17) % m.model.program.VocabSize)
	}
	if c.Context > 0 {
		n := min(c.Context, seedTokens)
		seed := make([]int32, n)
		for i := range seed {
			seed[i] = int32((i*104729 + 5) % m.model.program.VocabSize)
		}
		if err := m.runner.Step(ctx, []executor.Sequence{sequence(seed, 0, []int32{0})}, &m.out); err != nil {
			return err
		}
		for b := 1; b < blocks*c.BatchSize; b++ {
			if err := errors.Join(m.runner.CopyBlock(0, b, n), ctx.Err()); err != nil {
				return err
			}
		}
	}
	m.batch = m.batch[:0]
	per := c.Tokens / c.BatchSize
	for i := range c.BatchSize {
		table := make([]int32, blocks)
		for b := range table {
			table[b] = int32(i*blocks + b)
		}
		m.batch = append(m.batch, sequence(tokens[i*per:(i+1)*per], c.Context, table))
	}
	return nil
}

// blocksOf is how many KV blocks each sequence of a case has.
func blocksOf(c Case) int {
	return (c.seqLen() + cpuengine.KVBlockTokens - 1) / cpuengine.KVBlockTokens
}

// sequence wants the best token behind its last one.
func sequence(tokens []int32, first int, blocks []int32) executor.Sequence {
	s := executor.Sequence{Tokens: tokens, BlockTable: blocks, SeqLen: first + len(tokens)}
	for i := range tokens {
		s.Positions = append(s.Positions, int32(first+i))
	}
	s.Rows = []executor.LogitsRow{{Index: len(tokens) - 1, Candidates: 1}}
	return s
}

// samples are the rounds of a case.
type samples struct {
	seconds, stream, peak, ofStream, ofPeak, ofLimit []float64
	memory                                           int // rounds that memory bounds
}

func (s *samples) add(seconds float64, l *limits, works []work) {
	memory, arithmetic := l.memorySeconds(works), l.arithmeticSeconds(works)
	s.seconds = append(s.seconds, seconds)
	s.stream = append(s.stream, l.stream/1e9)
	s.peak = append(s.peak, sum(works).Operations()/arithmetic/1e9)
	s.ofStream = append(s.ofStream, memory/seconds)
	s.ofPeak = append(s.ofPeak, arithmetic/seconds)
	s.ofLimit = append(s.ofLimit, max(memory, arithmetic)/seconds)
	if memory >= arithmetic {
		s.memory++
	}
}

func (s *samples) summarize(r *Result) {
	rate := func(amount float64) benchdoc.Spread {
		var rates []float64
		for _, seconds := range s.seconds {
			rates = append(rates, amount/seconds)
		}
		return benchdoc.SpreadOf(rates)
	}
	r.Seconds, r.TokensPerSecond = benchdoc.SpreadOf(s.seconds), rate(float64(r.Tokens))
	r.MeanSeconds = 0
	for _, seconds := range s.seconds {
		r.MeanSeconds += seconds / float64(len(s.seconds))
	}
	r.GBPerSecond, r.GFLOPPerSecond = rate(r.Bytes()/1e9), rate(r.Cost.Operations()/1e9)
	r.Stream, r.Peak = benchdoc.SpreadOf(s.stream), benchdoc.SpreadOf(s.peak)
	r.OfStream, r.OfPeak, r.OfLimit = benchdoc.SpreadOf(s.ofStream), benchdoc.SpreadOf(s.ofPeak), benchdoc.SpreadOf(s.ofLimit)
	r.Bound = BoundArithmetic
	if 2*s.memory > len(s.seconds) {
		r.Bound = BoundMemory
	}
}

// What bounds a step.
const (
	BoundMemory     = "memory"
	BoundArithmetic = "arithmetic"
)
