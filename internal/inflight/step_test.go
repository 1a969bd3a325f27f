package inflight

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// A watchdog's timer may fire late: between steps, or in the next one. Only a step that
// has taken too long is the end.
func TestLateWatchdog(t *testing.T) {
	e, err := newExecutor(executortest.NewToy(executortest.ToyLimits()), Options{MaxSeqIdle: time.Hour})
	require.NoError(t, err)
	parts := []planned{{sequence: newSequence(&request{}, 0)}}
	ctx := e.step.begin(parts)
	e.step.bark()
	require.NoError(t, e.dead, "the step has just begun")
	require.NoError(t, ctx.Err())
	e.step.started = time.Now().Add(-2 * time.Hour)
	e.step.end()
	e.step.bark()
	require.NoError(t, e.dead, "no step runs")
	require.Equal(t, ctx, e.step.begin(parts), "it serves as long as none is aborted")
	e.step.started = time.Now().Add(-2 * time.Hour)
	e.step.bark()
	require.ErrorIs(t, e.dead, executor.ErrDead)
	require.Error(t, ctx.Err(), "the step is aborted")
	e.step.stop()
}
