//go:build cgo && linux && (amd64 || arm64)

package trtllm

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// clock is a runner that takes the time of its steps. It may run each of them a second
// time, which changes nothing, to see how long a step takes while nothing else of the
// process runs: answers of the step before are decoded and read during the first.
type clock struct {
	executor.Runner
	running, twice bool // changed only while no request is live
	steps          []timedStep
}

// timedStep is one step that succeeded.
type timedStep struct {
	begin, end        time.Time     // of all of it
	first, again      time.Duration // again is 0 when it ran once
	sequences, tokens int
	single            int // sequences with one token
}

// Step implements executor.Runner.
func (c *clock) Step(ctx context.Context, batch []executor.Sequence, out *executor.StepResult) error {
	if !c.running {
		return c.Runner.Step(ctx, batch, out)
	}
	s := timedStep{begin: time.Now(), sequences: len(batch)}
	err := c.Runner.Step(ctx, batch, out)
	s.end = time.Now()
	s.first = s.end.Sub(s.begin)
	if err == nil && c.twice {
		err = c.Runner.Step(ctx, batch, out)
		s.again = time.Since(s.end)
		s.end = s.end.Add(s.again)
	}
	for i := range batch {
		s.tokens += len(batch[i].Tokens)
		if len(batch[i].Tokens) == 1 {
			s.single++
		}
	}
	if err == nil {
		c.steps = append(c.steps, s)
	}
	return err
}

func (c *clock) start(twice bool) {
	c.running, c.twice, c.steps = true, twice, make([]timedStep, 0, 4096)
}

func (c *clock) stop() []timedStep {
	c.running = false
	return c.steps
}

// overhead is what rounds of decoding cost beside their steps. Shares are percent of
// the time that a step takes by itself.
type overhead struct {
	steps, loops []float64 // of all rounds, in seconds
	loop, all    []float64 // median shares of each round
	again        float64   // how many steps each token took beyond one, on average over the rounds
	rounds       int
}

// add takes the steps of a round of n streams with so many tokens each. The loop is
// what lies between two steps; all is the loop and what a step takes longer while
// answers are read.
func (o *overhead) add(steps []timedStep, n, tokens int) {
	var step, loop, all []float64
	single := 0
	for i := range steps {
		single += steps[i].single
		full := func(s timedStep) bool { return s.sequences == n && s.tokens == n }
		if i == 0 || !full(steps[i-1]) || !full(steps[i]) {
			continue
		}
		gap := steps[i].begin.Sub(steps[i-1].end)
		step = append(step, steps[i].again.Seconds())
		loop = append(loop, gap.Seconds())
		all = append(all, (gap + steps[i].first - steps[i].again).Seconds())
	}
	if len(step) == 0 { // so few steps that all streams never ran together
		return
	}
	o.steps, o.loops = append(o.steps, step...), append(o.loops, loop...)
	o.loop = append(o.loop, 100*quantile(loop, 0.5)/quantile(step, 0.5))
	o.all = append(o.all, 100*quantile(all, 0.5)/quantile(step, 0.5))
	extra := float64(single)/float64(n*(tokens-1)) - 1
	o.again = (o.again*float64(o.rounds) + extra) / float64(o.rounds+1)
	o.rounds++
}

// gapsOf gives the times between steps of one stream and the steps' own, in seconds.
func gapsOf(list []timedStep) (gaps, steps []float64) {
	for i := 1; i < len(list); i++ {
		gaps = append(gaps, list[i].begin.Sub(list[i-1].end).Seconds())
		steps = append(steps, list[i].first.Seconds())
	}
	return gaps, steps
}

// quantile is the value below which the share q of all lies.
func quantile(values []float64, q float64) float64 {
	list := slices.Sorted(slices.Values(values))
	return list[min(len(list)-1, int(q*float64(len(list))))]
}

// The arithmetic of the benchmark: a round of two streams whose steps take 100 ms and
// 4 ms more while answers are read, with 1 ms between them.
func TestOverheadOfSteps(t *testing.T) {
	const ms = time.Millisecond
	at := time.Unix(0, 0)
	step := func(sequences, tokens, single int) timedStep {
		s := timedStep{begin: at.Add(ms), first: 104 * ms, again: 100 * ms, sequences: sequences, tokens: tokens, single: single}
		s.end = s.begin.Add(s.first + s.again)
		at = s.end
		return s
	}
	steps := []timedStep{step(1, 30, 0), step(2, 31, 1)}
	for range 9 {
		steps = append(steps, step(2, 2, 2))
	}
	steps = append(steps, step(1, 1, 1)) // 20 tokens in single steps
	var o overhead
	o.add(steps, 2, 11)
	o.add(steps, 2, 9)
	o.add(steps[:2], 2, 11) // nothing to learn from it
	require.Equal(t, 2, o.rounds)
	require.Len(t, o.steps, 16)
	require.InDeltaSlice(t, []float64{1, 1}, o.loop, 1e-9)
	require.InDeltaSlice(t, []float64{5, 5}, o.all, 1e-9)
	require.InDelta(t, (0+0.25)/2, o.again, 1e-9)
	gaps, single := gapsOf(steps)
	require.Len(t, gaps, len(steps)-1)
	require.InDelta(t, 0.001, quantile(gaps, 0.99), 1e-9)
	require.InDelta(t, 0.104, quantile(single, 0), 1e-9)
}

// A clock counts what the runner did, and running a step twice changes no answer.
func TestClock(t *testing.T) {
	limits := executortest.ToyLimits()
	limits.VocabSize = testVocabSize
	c := &clock{Runner: executortest.NewToy(limits)}
	x, err := inflight.New(c, inflight.Options{})
	require.NoError(t, err)
	e := newEngine(x, Config{VocabSize: limits.VocabSize}, openByteTokenizer(t), nil, slog.New(slog.DiscardHandler))
	defer func() { require.NoError(t, e.Close()) }()
	var r Request
	for i, twice := range []bool{false, true} {
		r = Request{InputIDs: []int32{int32(i), 6, 7}, MaxTokens: 6, EndIDs: []int32{}}
		want := executortest.Greedy(r.InputIDs, 6, testVocabSize)
		c.start(twice)
		response, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, want, response.OutputIDs)
		steps := c.stop()
		require.Len(t, steps, 6)
		require.Equal(t, 3, steps[0].tokens)
		for _, s := range steps {
			require.Equal(t, twice, s.again > 0)
			require.Equal(t, s.end.Sub(s.begin), s.first+s.again)
		}
	}
	_, err = e.Generate(t.Context(), r)
	require.NoError(t, err)
	require.Len(t, c.steps, 6, "it does not count when it was stopped")
}
