package inflight

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

func TestPace(t *testing.T) {
	p := pace{bound: 50 * time.Millisecond}
	require.Equal(t, 128, p.tokens(true), "nothing is known")
	require.Equal(t, 1024, p.tokens(false))
	steps := func(n, prompt, generating int, took time.Duration) {
		parts := []planned{{n: prompt}}
		for range generating {
			parts = append(parts, planned{n: 1})
		}
		for range n {
			p.observe(parts, took)
		}
	}
	steps(1, 100, 0, 10*time.Millisecond) // 0.1 ms a token
	require.Equal(t, 500, p.tokens(true))
	steps(1, 90, 10, 20*time.Millisecond) // slower: a quarter of the way
	require.Equal(t, 400, p.tokens(true))
	steps(40, 90, 10, 20*time.Millisecond)
	require.InDelta(t, 250, p.tokens(true), 1)
	steps(10, 31, 4, time.Second)
	steps(10, 100, 0, 0)
	require.InDelta(t, 250, p.tokens(true), 1, "steps that tell nothing")
	steps(40, 100, 0, 10*time.Second)
	require.Equal(t, 32, p.tokens(true), "fewer would take as long")
	require.Equal(t, 256, p.tokens(false))
	steps(80, 1000, 0, 1)
	require.Greater(t, p.tokens(true), 1<<20)
}

// timed is a runner that takes a fixed time for each token, by a clock of its own.
type timed struct {
	executor.Runner
	clock    func(time.Duration)
	perToken time.Duration
}

func (r *timed) Step(ctx context.Context, batch []executor.Sequence, out *executor.StepResult) error {
	for _, s := range batch {
		r.clock(time.Duration(len(s.Tokens)) * r.perToken)
	}
	return r.Runner.Step(ctx, batch, out)
}

// A long prompt comes in chunks that take as long as ChunkTime says, and larger ones
// while nothing is generated.
func TestChunksAreBoundedByTime(t *testing.T) {
	limits := executortest.ToyLimits()
	limits.MaxSeqLen, limits.MaxNumTokens, limits.NumBlocks = 4000, 4000, 1000
	now := time.Unix(0, 0)
	runner := &timed{executortest.NewToy(limits), func(d time.Duration) { now = now.Add(d) }, time.Millisecond}
	e, err := newExecutor(runner, Options{ChunkTime: 60 * time.Millisecond, Now: func() time.Time { return now }})
	require.NoError(t, err)
	s := &e.scheduler
	submit := func(id uint64, prompt int) {
		require.NoError(t, e.Submit(executor.Request{ClientID: id, InputIDs: make([]int32, prompt), CacheSalt: id, MaxTokens: 1000, Sampling: executor.Sampling{TopK: 1}}))
	}
	chunks := func(steps int) (list []int) {
		for range steps {
			e.iterate()
			for _, p := range s.planned {
				if p.n > 1 {
					list = append(list, p.n)
				}
			}
		}
		return list
	}
	submit(1, 90)
	require.Equal(t, []int{90}, chunks(3), "all at once, and then it generates")
	submit(2, 95)
	require.Equal(t, []int{60, 35}, chunks(3))
	require.NotEmpty(t, e.IterationStats())
}
