package nativeexecutor

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// TestSoak puts random load on executors over upstream in plain Go, for as long as
// TRTGO_SOAK_TIME says.
func TestSoak(t *testing.T) {
	var opened []*Executor
	open := func(t *testing.T, random *rand.Rand) (executor.Executor, executortest.Model, *executortest.Faulty) {
		e, model, faulty := openSoaked(t, random)
		opened = append(opened, e.(*Executor))
		return e, model, faulty
	}
	totals := executortest.Soak{Duration: executortest.SoakTime(t), Seed: executortest.SoakSeed(t), Open: open}.Run(t)
	t.Logf("%+v", totals)
	for _, e := range opened {
		if e.dead == nil {
			require.Empty(t, e.live)
			require.Empty(t, e.sequences, "what upstream has ended is let go")
		}
	}
	require.Positive(t, totals.Accepted)
}

// openSoaked opens an executor with random limits, options and faults.
func openSoaked(t *testing.T, random *rand.Rand) (executor.Executor, executortest.Model, *executortest.Faulty) {
	limits := executortest.ToyLimits()
	limits.MaxBatchSize, limits.NumBlocks = 4+random.IntN(12), 24+random.IntN(60)
	var runner executor.Runner = executortest.NewToy(limits)
	var faulty *executortest.Faulty
	o := toyOptions(executortest.Config{RequestStats: random.IntN(2) * 100})
	o.MaxBeamWidth = 4
	if random.IntN(3) == 0 {
		o.MaxQueueSize = 1 + random.IntN(30)
	}
	if random.IntN(3) == 0 {
		faulty = executortest.NewFaulty(runner, executortest.Faults{Step: 0.01, NaN: 0.01, Slow: 0.01, SlowBy: 3 * time.Millisecond}, random.Uint64())
		runner = faulty
	}
	u, err := newUpstream(runner, inflight.Options{
		RequestStats: o.RequestStats, Policy: executor.CapacityPolicy(random.IntN(2)), NoBlockReuse: random.IntN(4) == 0,
	})
	require.NoError(t, err)
	e, err := New(u, o)
	if faulty != nil && err != nil { // the self-check had a fault: once more
		require.ErrorIs(t, err, executor.ErrFailed)
		return openSoaked(t, random)
	}
	require.NoError(t, err)
	m := toyModel()
	m.Refuses = func(r *executor.Request) bool { return refusesToy(r) || r.Sampling.BeamWidth > o.MaxBeamWidth }
	return e, m, faulty
}
