//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// endingContext ends as soon as it has been asked once whether it did and once for its
// end: after the runner has looked at it and has its CPUs, and while the step runs.
type endingContext struct {
	context.Context
	asked, waited atomic.Bool
}

func (c *endingContext) Done() <-chan struct{} {
	done := make(chan struct{})
	if c.waited.Swap(true) {
		close(done)
	}
	return done
}

func (c *endingContext) Err() error {
	if c.asked.Swap(true) {
		return context.Canceled
	}
	return nil
}

// mediumModel has steps long enough to be aborted.
func mediumModel() *modelShape {
	m := smallModel(bf16)
	m.layers, m.hidden, m.ffn, m.vocab, m.maxPositions = 3, 96, 500, 1500, 600
	return m
}

// TestAbortedStepsMayBeRepeated aborts a step of a decoded token and a prompt chunk
// at many moments. What was there before the step stays, and the step, repeated, gives
// the bits of a runner that was never aborted.
func TestAbortedStepsMayBeRepeated(t *testing.T) {
	m := mediumModel()
	path := m.write(t)
	one, other := randomTokens(1, 41, m.vocab), randomTokens(2, 300, m.vocab)
	batch := []executor.Sequence{
		wantingLast(piece(one, 40, 1, 0), 3),
		wanting(piece(other, 50, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), 3),
	}
	before := func(r *Runner) { step(t, r, piece(one[:40], 0, 1, 0), piece(other[:50], 0, 2, 3)) }
	undisturbed := openEngine(t, path, Options{})
	before(undisturbed)
	start := time.Now()
	want := rowLogits(step(t, undisturbed, batch...))
	whole := time.Since(start)
	for threads := 1; threads <= 3; threads++ {
		t.Run(fmt.Sprintf("%d threads", threads), func(t *testing.T) {
			r := openEngine(t, path, Options{Threads: threads})
			before(r)
			aborted := 0
			for attempt := range 12 {
				var ctx context.Context = &endingContext{Context: context.Background()}
				if attempt > 3 {
					timed, cancel := context.WithTimeout(context.Background(), whole*time.Duration(attempt-3)/10)
					defer cancel()
					ctx = timed
				}
				var out executor.StepResult
				err := r.Step(ctx, batch, &out)
				if err == nil { // it was faster than the context's end
					sameRows(t, want, rowLogits(out.Rows), "a step that was not aborted")
					continue
				}
				require.Equal(t, executor.ErrAborted, err)
				aborted++
				if attempt%3 == 0 {
					sameRows(t, want, rowLogits(step(t, r, batch...)), "repeated after an abort, attempt", attempt)
				}
			}
			require.Positive(t, aborted, "no step was aborted")
			sameRows(t, want, rowLogits(step(t, r, batch...)), "repeated after all aborts")
			// Positions before the step, read by a step that writes behind them.
			last := rowLogits(step(t, undisturbed, wantingLast(piece(one[:40], 39, 1, 0), 0)))
			sameRows(t, last, rowLogits(step(t, r, wantingLast(piece(one[:40], 39, 1, 0), 0))), "before the step")
		})
	}
}

// A context that has ended before the step runs nothing: neither keys nor values are
// written, and the observer hears nothing.
func TestEndedContextRunsNothing(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{})
	tokens, others := randomTokens(1, 33, m.vocab), randomTokens(2, 32, m.vocab)
	want := rowLogits(step(t, r, wanting(piece(tokens, 0, 0, 1), 0)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.SetObserver(func(executor.Observation) { require.Fail(t, "observed") })
	out := executor.StepResult{Rows: []executor.RowResult{{Max: 5}}}
	require.Equal(t, executor.ErrAborted, r.Step(ctx, []executor.Sequence{wanting(piece(others, 0, 0), 0)}, &out))
	require.Equal(t, executor.StepResult{Rows: []executor.RowResult{{Max: 5}}}, out)
	r.SetObserver(nil)
	sameRows(t, want[32:], rowLogits(step(t, r, wantingLast(piece(tokens, 32, 0, 1), 0))))
}

// An aborted step reports no operation, and the next one all of them.
func TestAbortedStepsAreNotObserved(t *testing.T) {
	m := mediumModel()
	r := openEngine(t, m.write(t), Options{Threads: 2})
	tokens := randomTokens(1, 300, m.vocab)
	batch := []executor.Sequence{wanting(piece(tokens, 0, blocksFrom(0, 300)...), 0)}
	observed := 0
	r.SetObserver(func(executor.Observation) { observed++ })
	var out executor.StepResult
	for range 10 {
		before := observed
		if r.Step(&endingContext{Context: context.Background()}, batch, &out) == nil {
			continue
		}
		require.Equal(t, before, observed)
		require.NoError(t, r.Step(t.Context(), batch, &out))
		require.Equal(t, before+len(m.program.Ops), observed)
		return
	}
	require.Fail(t, "no step was aborted")
}

// Cancelling after a step is of no consequence to the next one.
func TestLateCancelsAreForgotten(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{Threads: 2})
	tokens := randomTokens(1, 20, m.vocab)
	batch := []executor.Sequence{wanting(piece(tokens, 0, 0), 0)}
	want := rowLogits(step(t, r, batch...))
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		var out executor.StepResult
		if err := r.Step(ctx, batch, &out); err != nil {
			require.Equal(t, executor.ErrAborted, err)
		}
		cancel()
		require.NoError(t, r.Step(context.Background(), batch, &out))
		sameRows(t, want, rowLogits(out.Rows))
	}
}
