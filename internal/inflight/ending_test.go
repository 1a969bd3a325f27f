package inflight_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// The running step is aborted when the last of its requests is cancelled, not before.
func TestCancelAbortsTheStep(t *testing.T) {
	e, gate := open(t, func(*executor.Limits) {})
	gate.Hold()
	submit(t, e, 1, 0, 3, 9)
	submit(t, e, 2, 0, 3, 9)
	submit(t, e, 3, 0, 3, 9)
	require.NoError(t, gate.Arrived(t.Context()))
	if e.Stats().ActiveRequests < 3 { // the step began before all were there
		gate.Release()
		gate.Hold()
		require.NoError(t, gate.Arrived(t.Context()))
	}
	before := e.Stats().Iterations
	e.Cancel(1)
	e.Cancel(3)
	require.Equal(t, before, e.Stats().Iterations)
	require.Equal(t, 3, e.Stats().ActiveRequests, "the step goes on for the second")
	e.Cancel(2)
	for _, r := range finals(t, e, 3) { // the gate is still held
		require.Equal(t, executor.FinishCancelled, r.FinishReason)
	}
	stats := e.Stats()
	require.EqualValues(t, 3, stats.CancelledRequests)
	require.Zero(t, stats.KVBlocksUsed+stats.ActiveRequests)
	gate.Release()
	submit(t, e, 4, 0, 3, 2)
	require.NoError(t, finals(t, e, 1)[0].Err, "the next step has a context of its own")
}

// A step of requests whose time is over is aborted by a timer.
func TestDeadlineAbortsTheStep(t *testing.T) {
	e, gate := open(t, func(*executor.Limits) {})
	gate.Hold()
	r := executor.Request{ClientID: 1, InputIDs: []int32{1, 2}, MaxTokens: 9, Sampling: greedy, AllottedTime: 30 * time.Millisecond}
	require.NoError(t, e.Submit(r))
	final := finals(t, e, 1)[0] // the gate is still held
	require.Equal(t, executor.FinishTimeout, final.FinishReason)
	require.Empty(t, final.OutputIDs)
	require.EqualValues(t, 1, e.Stats().TimedOutRequests)

	// One is cancelled, the other's time runs out.
	r.AllottedTime = time.Hour
	require.NoError(t, e.Submit(r))
	require.NoError(t, gate.Arrived(t.Context()))
	r.ClientID, r.AllottedTime = 2, 30*time.Millisecond
	require.NoError(t, e.Submit(r))
	e.Cancel(1)
	list := finals(t, e, 2)
	require.Equal(t, executor.FinishCancelled, list[0].FinishReason)
	require.Equal(t, executor.FinishTimeout, list[1].FinishReason)
	require.Zero(t, e.Stats().KVBlocksUsed)
}

// Who is overdue while others run leaves after the step, waiting or running.
func TestDeadlineBesideOthers(t *testing.T) {
	now := &clock{now: time.Unix(100, 0)}
	e, gate := openWith(t, inflight.Options{Now: now.Now}, func(l *executor.Limits) { l.MaxBatchSize = 2 })
	steps := 0
	gate.Before(func([]executor.Sequence) error {
		if steps++; steps == 4 {
			now.add(time.Minute)
		}
		return nil
	})
	gate.Hold()
	limited := func(id uint64, limit time.Duration) {
		require.NoError(t, e.Submit(executor.Request{ClientID: id, InputIDs: count(3, 1), MaxTokens: 30, Sampling: greedy, AllottedTime: limit}))
	}
	limited(1, 0)
	limited(2, time.Minute)
	limited(3, 30*time.Second)
	limited(4, 2*time.Minute)
	gate.Release()
	reasons := map[uint64]executor.Response{}
	for _, r := range finals(t, e, 4) {
		reasons[r.ClientID] = r
	}
	require.Equal(t, executor.FinishLength, reasons[1].FinishReason)
	require.Equal(t, executor.FinishTimeout, reasons[2].FinishReason)
	require.NotEmpty(t, reasons[2].OutputIDs)
	require.Equal(t, executor.FinishTimeout, reasons[3].FinishReason)
	require.Empty(t, reasons[3].OutputIDs)
	require.Equal(t, executor.FinishLength, reasons[4].FinishReason)
	require.EqualValues(t, 2, e.Stats().TimedOutRequests)
}

// A stop sequence ends an output from the token on that makes it MinTokens long.
func TestStopSequenceAtMinTokens(t *testing.T) {
	e, _ := open(t, func(*executor.Limits) {})
	want := executortest.Greedy(count(5, 1), 8, 97)
	for minTokens, n := range map[int]int{0: 3, 2: 3, 3: 3, 4: 8} {
		require.NotContains(t, append(want[:2:2], want[3:]...), want[2])
		require.NoError(t, e.Submit(executor.Request{
			ClientID: 1, InputIDs: count(5, 1), MaxTokens: 8, StopSequences: [][]int32{{want[2]}},
			Sampling: executor.Sampling{TopK: 1, MinTokens: minTokens},
		}))
		require.Equal(t, want[:n], finals(t, e, 1)[0].OutputIDs, "at least %d tokens", minTokens)
	}
}

// Who is cancelled and then overdue was cancelled.
func TestCancelledBeforeTheDeadline(t *testing.T) {
	now := &clock{now: time.Unix(100, 0)}
	e, gate := openWith(t, inflight.Options{Now: now.Now}, func(*executor.Limits) {})
	gate.Hold()
	submit(t, e, 1, 0, 3, 2)
	require.NoError(t, gate.Arrived(t.Context()))
	require.NoError(t, e.Submit(executor.Request{ClientID: 2, InputIDs: count(3, 1), MaxTokens: 2, Sampling: greedy, AllottedTime: time.Minute}))
	e.Cancel(2)
	now.add(2 * time.Minute)
	gate.Release()
	reasons := map[uint64]executor.FinishReason{}
	for _, r := range finals(t, e, 2) {
		reasons[r.ClientID] = r.FinishReason
	}
	require.Equal(t, map[uint64]executor.FinishReason{1: executor.FinishLength, 2: executor.FinishCancelled}, reasons)
	require.Zero(t, e.Stats().TimedOutRequests)
}

func TestQueueFull(t *testing.T) {
	e, gate := openWith(t, inflight.Options{MaxQueueSize: 3}, func(l *executor.Limits) { l.MaxBatchSize = 1 })
	gate.Hold()
	submit(t, e, 1, 0, 3, 4)
	require.NoError(t, gate.Arrived(t.Context()))
	for id := range uint64(3) {
		submit(t, e, 2+id, 0, 3, 4)
	}
	err := e.Submit(executor.Request{ClientID: 9, InputIDs: []int32{1}, MaxTokens: 1, Sampling: greedy})
	require.ErrorIs(t, err, executor.ErrQueueFull)
	require.ErrorContains(t, err, "3 requests wait")
	require.Equal(t, 3, e.Stats().QueuedRequests)
	gate.Release()
	finals(t, e, 4)
	submit(t, e, 9, 0, 3, 4)
	finals(t, e, 1)
}

// Stop ends one sequence, running or waiting, and the others go on.
func TestStop(t *testing.T) {
	for name, at := range map[string]int{"prompt": 1, "output": 6} {
		t.Run(name, func(t *testing.T) {
			// Of 4 sequences 3 run, in chunks of 4 tokens of the prompt.
			e, gate := openWith(t, inflight.Options{ChunkTokens: 4}, func(l *executor.Limits) { l.MaxBatchSize = 3 })
			r := executor.Request{ClientID: 1, InputIDs: count(11, 1), MaxTokens: 20, Sampling: executor.Sampling{TopK: 3, Seed: 4, NumReturnSequences: 4}}
			want := map[int][]int32{}
			collect := func(list map[int]executor.Response) {
				for final := false; !final; {
					responses, err := e.Await(t.Context())
					require.NoError(t, err)
					for _, r := range responses {
						require.True(t, r.SequenceFinal)
						list[r.Sequence] = r
						final = r.Final
					}
				}
			}
			alone := map[int]executor.Response{}
			require.NoError(t, e.Submit(r))
			collect(alone)
			for i, r := range alone {
				want[i] = r.OutputIDs
			}
			r.ClientID, r.CacheSalt = 2, 1
			steps := 0
			gate.Before(func([]executor.Sequence) error {
				if steps++; steps == at {
					e.Stop(2, 0) // whose prompt the others wait for
					e.Stop(2, 0)
					e.Stop(2, 3) // waits
					e.Stop(2, 17)
					e.Stop(55, 0)
				}
				return nil
			})
			require.NoError(t, e.Submit(r))
			stopped := map[int]executor.Response{}
			collect(stopped)
			require.Len(t, stopped, 4)
			require.Equal(t, executor.FinishStop, stopped[0].FinishReason)
			require.Equal(t, want[0][:len(stopped[0].OutputIDs)], stopped[0].OutputIDs)
			require.Less(t, len(stopped[0].OutputIDs), 20)
			require.Equal(t, executor.FinishStop, stopped[3].FinishReason)
			require.Empty(t, stopped[3].OutputIDs)
			for _, i := range []int{1, 2} {
				require.Equal(t, executor.FinishLength, stopped[i].FinishReason)
				require.Equal(t, want[i], stopped[i].OutputIDs)
			}
			require.Zero(t, e.Stats().KVBlocksUsed)
			require.EqualValues(t, 2, e.Stats().FinishedRequests)
		})
	}
}

// Close aborts the step and answers everyone, also those that it paused before.
func TestCloseWhilePaused(t *testing.T) {
	e, gate := openWith(t, inflight.Options{Policy: executor.MaxUtilization}, func(l *executor.Limits) { l.NumBlocks = 24 })
	reached := make(chan struct{})
	gate.Before(func([]executor.Sequence) error {
		if e.Stats().PausedRequests == 2 {
			gate.Hold()
			gate.Before(nil)
			close(reached)
		}
		return nil
	})
	for id := range uint64(6) {
		require.NoError(t, e.Submit(executor.Request{ClientID: id, InputIDs: count(8, int32(id)), MaxTokens: 150, Sampling: greedy}))
	}
	<-reached
	require.NoError(t, gate.Arrived(t.Context()))
	require.NoError(t, e.Close())
	for _, r := range finals(t, e, 6) {
		require.Equal(t, executor.FinishCancelled, r.FinishReason)
		require.Equal(t, executortest.Greedy(count(8, int32(r.ClientID)), len(r.OutputIDs), 97), append([]int32{}, r.OutputIDs...))
	}
	require.Zero(t, e.Stats().KVBlocksUsed)
}
