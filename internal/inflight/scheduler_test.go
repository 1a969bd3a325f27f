package inflight

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// stepped is an executor over a toy whose iterations the test runs.
func stepped(t *testing.T, o Options, change func(*executor.Limits)) *Executor {
	t.Helper()
	limits := executortest.ToyLimits()
	change(&limits)
	e, err := newExecutor(executortest.NewToy(limits), o)
	require.NoError(t, err)
	return e
}

func submitPrompt(t *testing.T, e *Executor, id uint64, prompt, tokens int, change func(*executor.Request)) {
	t.Helper()
	r := executor.Request{ClientID: id, InputIDs: make([]int32, prompt), MaxTokens: tokens, CacheSalt: id, Sampling: executor.Sampling{TopK: 1}}
	change(&r)
	require.NoError(t, e.Submit(r))
}

func asItIs(*executor.Request) {}

// Of many deadlines each is noticed when it is over.
func TestDeadlinesInTurn(t *testing.T) {
	now := time.Unix(100, 0)
	e := stepped(t, Options{Now: func() time.Time { return now }}, func(*executor.Limits) {})
	const n = 8
	for id := range uint64(n) {
		submitPrompt(t, e, id, 3, 100, func(r *executor.Request) { r.AllottedTime = time.Duration(1+(id*3)%n) * time.Minute })
	}
	for i := range uint64(n) {
		e.iterate()
		require.Equal(t, i, e.Stats().TimedOutRequests)
		now = now.Add(time.Minute)
		e.iterate()
		require.Equal(t, i+1, e.Stats().TimedOutRequests)
	}
}

// Logits of prompts come in steps of few rows: one can be a megabyte.
func TestContextLogitsComeInPieces(t *testing.T) {
	e := stepped(t, Options{}, func(l *executor.Limits) { l.MaxNumTokens = 200 })
	submitPrompt(t, e, 1, 150, 1, func(r *executor.Request) { r.ContextLogits = true })
	for _, want := range []int{64, 64, 22} {
		e.iterate()
		require.Equal(t, want, e.scheduler.planned[0].n)
	}
	responses, err := e.Await(t.Context())
	require.NoError(t, err)
	require.Len(t, responses[0].ContextLogits, 150)
}

// Under max-utilization a request starts when there are blocks for its prompt and one
// more for each that runs, which would else be paused at once.
func TestRoomForThoseThatRun(t *testing.T) {
	for prompt, active := range map[int]int{16: 2, 17: 1} { // of blocks of 8 tokens
		e := stepped(t, Options{Policy: executor.MaxUtilization}, func(l *executor.Limits) { l.NumBlocks = 4 })
		submitPrompt(t, e, 1, 3, 20, asItIs)
		e.iterate()
		submitPrompt(t, e, 2, prompt, 2, asItIs)
		e.iterate()
		require.Equal(t, active, e.Stats().ActiveRequests, "a prompt of %d tokens", prompt)
	}
}

// Beams that share a block copy it for all of them but one: with exactly the blocks that
// they need none is paused.
func TestBeamsNeedNoMoreThanTheirBlocks(t *testing.T) {
	for width := 2; width < 5; width++ {
		e := stepped(t, Options{Policy: executor.MaxUtilization}, func(l *executor.Limits) { l.NumBlocks = width })
		submitPrompt(t, e, 1, 4, 4, func(r *executor.Request) { r.Sampling.BeamWidth = width })
		for range 4 {
			e.iterate()
		}
		responses, err := e.Await(t.Context())
		require.NoError(t, err)
		require.Len(t, responses, width)
		require.Zero(t, e.Stats().PausedRequests)
	}
}

// The statistics of requests tell who was in the step and who waits.
func TestRequestStatsTellWhoWaits(t *testing.T) {
	e := stepped(t, Options{RequestStats: 1}, func(l *executor.Limits) { l.MaxBatchSize = 1 })
	submitPrompt(t, e, 1, 3, 9, asItIs)
	submitPrompt(t, e, 2, 3, 9, asItIs)
	e.iterate()
	list := e.RequestStats()[0].RequestStats
	require.Len(t, list, 2)
	for i, scheduled := range []bool{true, false} {
		require.EqualValues(t, i+1, list[i].ID)
		require.Equal(t, scheduled, list[i].Scheduled)
		require.Equal(t, scheduled, list[i].Stage == executor.StageGeneration)
		require.Equal(t, !scheduled, list[i].Stage == executor.StageQueued)
	}
}
