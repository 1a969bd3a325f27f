package inflight_test

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	greedy = executor.Sampling{TopK: 1}
	nan    = float32(math.NaN())
)

// open opens an executor over a toy whose limits change makes.
func open(t *testing.T, change func(*executor.Limits)) (*inflight.Executor, *executortest.Gate) {
	t.Helper()
	return openWith(t, inflight.Options{}, change)
}

// openWith is open with options.
func openWith(t *testing.T, o inflight.Options, change func(*executor.Limits)) (*inflight.Executor, *executortest.Gate) {
	t.Helper()
	limits := executortest.ToyLimits()
	change(&limits)
	gate := executortest.NewGate(executortest.NewToy(limits))
	e, err := inflight.New(gate, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		gate.Release()
		require.NoError(t, e.Close())
	})
	return e, gate
}

func submit(t *testing.T, e *inflight.Executor, id uint64, priority float32, prompt, tokens int) {
	t.Helper()
	r := executor.Request{ClientID: id, InputIDs: make([]int32, prompt), MaxTokens: tokens, Sampling: greedy, Priority: priority}
	require.NoError(t, e.Submit(r))
}

// finals waits for n final responses and returns them in the order of their coming.
func finals(t *testing.T, e *inflight.Executor, n int) []executor.Response {
	t.Helper()
	var list []executor.Response
	for len(list) < n {
		responses, err := e.Await(t.Context())
		require.NoError(t, err)
		for _, r := range responses {
			if r.Final {
				list = append(list, r)
			}
		}
	}
	return list
}

func ids(responses []executor.Response) []uint64 {
	var list []uint64
	for _, r := range responses {
		list = append(list, r.ClientID)
	}
	return list
}

func TestQueueIsByPriorityThenArrival(t *testing.T) {
	e, gate := open(t, func(l *executor.Limits) { l.MaxBatchSize = 1 })
	gate.Hold()
	submit(t, e, 1, 0, 3, 4)
	require.NoError(t, gate.Arrived(t.Context()))
	for i, priority := range []float32{0.5, 0, 1, 0.5, 1} {
		submit(t, e, uint64(i)+2, priority, 3, 4)
	}
	require.Equal(t, 5, e.Stats().QueuedRequests)
	require.Equal(t, 1, e.Stats().ActiveRequests)
	gate.Release()
	require.Equal(t, []uint64{1, 4, 6, 2, 5, 3}, ids(finals(t, e, 6)))
}

// A large request that waits for room is not overtaken by small ones that would fit.
func TestNothingOvertakesTheFirst(t *testing.T) {
	e, gate := open(t, func(l *executor.Limits) { l.NumBlocks = 10 })
	gate.Hold()
	submit(t, e, 1, 0, 8, 25) // 4 of the 10 blocks
	require.NoError(t, gate.Arrived(t.Context()))
	submit(t, e, 2, 0, 60, 5) // 8 blocks
	for id := range uint64(5) {
		submit(t, e, 3+id, 0, 2, 2)
	}
	gate.Release()
	require.EqualValues(t, 1, finals(t, e, 7)[0].ClientID, "the small ones began after it")
	require.Zero(t, e.Stats().KVBlocksUsed)
}

// What the KV cache can never hold is refused, up to the block.
func TestLargerThanTheCache(t *testing.T) {
	e, _ := open(t, func(l *executor.Limits) { l.NumBlocks = 3 }) // of 8 tokens
	submit(t, e, 1, 0, 20, 5)                                     // the last token needs no room
	require.Len(t, finals(t, e, 1)[0].OutputIDs, 5)
	err := e.Submit(executor.Request{ClientID: 2, InputIDs: make([]int32, 20), MaxTokens: 6, Sampling: greedy})
	require.ErrorIs(t, err, executor.ErrTooLong)
	require.ErrorContains(t, err, "need 4 KV blocks of 8 tokens, the KV cache has 3")
}

// A runner lowers max_seq_len to its cache; the message says whose limit it is.
func TestCacheIsTheLimit(t *testing.T) {
	e, _ := open(t, func(l *executor.Limits) { l.NumBlocks, l.MaxSeqLen = 3, 24 })
	err := e.Submit(executor.Request{ClientID: 1, InputIDs: make([]int32, 20), MaxTokens: 6, Sampling: greedy})
	require.ErrorIs(t, err, executor.ErrTooLong)
	require.ErrorContains(t, err, "max_seq_len is 24, which is all that the KV cache holds")
	require.ErrorContains(t, err, "larger KV cache")
}

func TestBadResults(t *testing.T) {
	all := map[int32]float32{}
	for id := range int32(97) {
		all[id] = float32(math.Inf(-1))
	}
	for _, c := range []struct {
		name     string
		after    func(*executor.StepResult)
		sampling executor.Sampling
		want     string
	}{
		{"too few rows", func(out *executor.StepResult) { out.Rows = out.Rows[:0] }, greedy, "the runner returned 0 rows, 1 were asked for"},
		{"not a number", func(out *executor.StepResult) { out.Rows[0].RawLogSumExp = nan }, greedy, "the model's logits are not numbers"},
		{"all banned", nil, executor.Sampling{Bias: all}, "every token is banned"},
		{"overflow", nil, executor.Sampling{Bias: map[int32]float32{3: math.MaxFloat32}, Temperature: 0.1}, "temperature, bias and penalties"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, gate := open(t, func(*executor.Limits) {})
			gate.After(c.after)
			require.NoError(t, e.Submit(executor.Request{ClientID: 1, InputIDs: []int32{1, 2}, MaxTokens: 4, Sampling: c.sampling}))
			require.ErrorContains(t, finals(t, e, 1)[0].Err, c.want)
			require.Zero(t, e.Stats().KVBlocksUsed)
			gate.After(nil)
			submit(t, e, 1, 0, 2, 2)
			require.NoError(t, finals(t, e, 1)[0].Err)
		})
	}
}

func TestLimitsThatMakeNoExecutor(t *testing.T) {
	for _, change := range []func(*executor.Limits){
		func(l *executor.Limits) { l.VocabSize = 0 }, func(l *executor.Limits) { l.NumBlocks = 0 }, func(l *executor.Limits) { l.BlockSize = -1 },
		func(l *executor.Limits) { l.MaxNumTokens = 0 },
	} {
		limits := executortest.ToyLimits()
		toy := executortest.NewToy(limits)
		change(&limits)
		_, err := inflight.New(limited{toy, limits}, inflight.Options{})
		require.ErrorContains(t, err, "the runner's")
		require.False(t, toy.Closed(), "it is still the caller's")
	}
}

// limited is a runner with other limits.
type limited struct {
	executor.Runner
	limits executor.Limits
}

func (l limited) Limits() executor.Limits { return l.limits }

// With nothing to do nothing is done: nobody looks at the clock.
func TestIdleExecutorSleeps(t *testing.T) {
	var looks atomic.Int64
	e, _ := openWith(t, inflight.Options{Now: func() time.Time { looks.Add(1); return time.Now() }}, func(*executor.Limits) {})
	for id := range uint64(2) {
		require.NoError(t, e.Submit(executor.Request{ClientID: id, InputIDs: count(3, 1), MaxTokens: 4, Sampling: greedy, AllottedTime: time.Hour}))
		finals(t, e, 1)
		before := looks.Load()
		time.Sleep(20 * time.Millisecond)
		require.Equal(t, before, looks.Load())
	}
}
