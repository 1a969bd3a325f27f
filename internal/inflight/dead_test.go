package inflight_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// deaf is a runner whose steps end when they are let go, whatever their context says.
type deaf struct {
	executor.Runner
	inside chan struct{} // receives when a step begins
	let    chan struct{}
	closed atomic.Bool
}

func newDeaf() *deaf {
	return &deaf{Runner: executortest.NewToy(executortest.ToyLimits()), inside: make(chan struct{}, 1), let: make(chan struct{})}
}

func (d *deaf) Step(_ context.Context, batch []executor.Sequence, out *executor.StepResult) error {
	d.inside <- struct{}{}
	<-d.let
	return d.Runner.Step(context.Background(), batch, out)
}

func (d *deaf) Close() error {
	d.closed.Store(true)
	return d.Runner.Close()
}

// dies asserts that an executor says of itself that it is dead, everywhere.
func dies(t *testing.T, e *inflight.Executor, cause string) {
	t.Helper()
	_, err := e.Await(t.Context())
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, cause)
	err = e.Submit(executor.Request{ClientID: 99, InputIDs: []int32{1}, MaxTokens: 1})
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, cause)
	e.Cancel(1)
	e.Stop(1, 0)
	stats := e.Stats()
	require.Zero(t, stats.ActiveRequests+stats.QueuedRequests+stats.KVBlocksUsed+stats.KVCache.UsedNumBlocks)
	require.Equal(t, stats.KVBlocksTotal, stats.KVCache.FreeNumBlocks)
}

// All live requests of a runner that hangs get an error, in the queue or not, and the
// runner is closed only when its step has ended.
func TestHangingRunner(t *testing.T) {
	runner := newDeaf()
	var log bytes.Buffer
	e, err := inflight.New(runner, inflight.Options{
		MaxSeqIdle: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	for id := range uint64(20) {
		submit(t, e, id, 0, 3, 4)
	}
	<-runner.inside
	for _, r := range finals(t, e, 20) {
		require.ErrorIs(t, r.Err, executor.ErrDead)
		require.ErrorContains(t, r.Err, "hangs: a step has not ended within 20ms")
	}
	dies(t, e, "the runner hangs")
	require.EqualValues(t, 20, e.Stats().FailedRequests)
	require.Contains(t, log.String(), "level=WARN msg=\"executor dead\"")

	err = e.Close()
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, "did not end within 20ms")
	require.False(t, runner.closed.Load(), "its step runs")
	close(runner.let)
	require.Eventually(t, runner.closed.Load, 10*time.Second, time.Millisecond)
	require.NoError(t, e.Close())
	dies(t, e, "the runner hangs")
}

// A logits processor that hangs, for instance because it calls the engine that waits
// for it, holds nobody for ever.
func TestHangingProcessor(t *testing.T) {
	let := make(chan struct{})
	e, err := inflight.New(executortest.NewToy(executortest.ToyLimits()), inflight.Options{
		MaxSeqIdle: 20 * time.Millisecond, LogitsProcessor: func([]executor.ProcessorRow) error { <-let; return nil },
	})
	require.NoError(t, err)
	for id := range uint64(3) {
		require.NoError(t, e.Submit(executor.Request{ClientID: id, InputIDs: []int32{1, 2}, MaxTokens: 3, ProcessorData: id}))
	}
	for _, r := range finals(t, e, 3) {
		require.ErrorIs(t, r.Err, executor.ErrDead)
		require.ErrorContains(t, r.Err, "the logits processor hangs: it has not returned within 20ms")
	}
	dies(t, e, "the logits processor hangs")
	require.ErrorIs(t, e.Close(), executor.ErrDead)
	close(let)
	require.Eventually(t, func() bool { return e.Close() == nil }, 10*time.Second, time.Millisecond)
}

// Close does not wait for ever either.
func TestCloseWithHangingRunner(t *testing.T) {
	runner := newDeaf()
	e, err := inflight.New(runner, inflight.Options{MaxSeqIdle: 50 * time.Millisecond})
	require.NoError(t, err)
	submit(t, e, 1, 0, 3, 4)
	<-runner.inside
	err = e.Close()
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, "the runner is closed when it does")
	require.ErrorIs(t, finals(t, e, 1)[0].Err, executor.ErrDead)
	_, err = e.Await(t.Context())
	require.ErrorIs(t, err, executor.ErrDead)
	close(runner.let)
	require.Eventually(t, runner.closed.Load, 10*time.Second, time.Millisecond)
}

// asking is a log handler that looks at the executor whose log it gets.
type asking struct {
	slog.Handler
	executor atomic.Pointer[inflight.Executor]
	heard    chan executor.Stats
}

func (a *asking) Enabled(context.Context, slog.Level) bool { return true }

func (a *asking) Handle(context.Context, slog.Record) error {
	a.heard <- a.executor.Load().Stats()
	return nil
}

// Who takes the log of an executor that dies may ask it: nothing is locked.
func TestLogOfDeath(t *testing.T) {
	runner := newDeaf()
	handler := &asking{heard: make(chan executor.Stats, 1)}
	e, err := inflight.New(runner, inflight.Options{MaxSeqIdle: 20 * time.Millisecond, Logger: slog.New(handler)})
	require.NoError(t, err)
	handler.executor.Store(e)
	submit(t, e, 1, 0, 3, 4)
	<-runner.inside
	require.Equal(t, 1, (<-handler.heard).ActiveRequests)
	require.ErrorIs(t, finals(t, e, 1)[0].Err, executor.ErrDead)
	close(runner.let)
	if err := e.Close(); err != nil { // it may still have found the step running
		require.ErrorIs(t, err, executor.ErrDead)
	}
	require.Eventually(t, runner.closed.Load, 10*time.Second, time.Millisecond)
}

// A slow step that ends in time is none that hangs.
func TestSlowRunnerLives(t *testing.T) {
	e, gate := openWith(t, inflight.Options{MaxSeqIdle: time.Minute}, func(*executor.Limits) {})
	gate.Before(func([]executor.Sequence) error { time.Sleep(time.Millisecond); return nil })
	submit(t, e, 1, 0, 3, 4)
	require.NoError(t, finals(t, e, 1)[0].Err)
}

var errBroken = errors.New("broken")

// Steps that fail one after the other are the end, one that does not is a new beginning.
func TestFailingSteps(t *testing.T) {
	e, gate := open(t, func(*executor.Limits) {})
	fails := true
	gate.Before(func([]executor.Sequence) error {
		if fails {
			return errBroken
		}
		return nil
	})
	run := func() error {
		submit(t, e, 1, 0, 3, 2)
		return finals(t, e, 1)[0].Err
	}
	for range 3 {
		fails = true
		for range 15 {
			err := run()
			require.ErrorIs(t, err, executor.ErrFailed)
			require.ErrorIs(t, err, errBroken)
			require.NotErrorIs(t, err, executor.ErrDead)
		}
		fails = false
		require.NoError(t, run())
	}
	fails = true
	for range 15 {
		require.ErrorIs(t, run(), executor.ErrFailed)
	}
	err := run()
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorIs(t, err, errBroken)
	dies(t, e, "16 steps failed one after the other, the last with: broken")
	require.EqualValues(t, 61, e.Stats().FailedRequests)
	require.NoError(t, e.Close())
}

// Nobody waits for ever for an executor whose runner panics.
func TestPanickingRunner(t *testing.T) {
	var log bytes.Buffer
	e, gate := openWith(t, inflight.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(*executor.Limits) {})
	gate.Before(func([]executor.Sequence) error { panic("the runner is broken") })
	submit(t, e, 1, 0, 3, 4)
	err := finals(t, e, 1)[0].Err
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, "it panicked: the runner is broken")
	dies(t, e, "the runner is broken")
	require.NoError(t, e.Close())
	require.Contains(t, log.String(), "dead_test.go", "the stack")
}
