package inflight_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// TestSoak puts random load on executors of all kinds, for as long as
// TRTGO_SOAK_TIME says.
func TestSoak(t *testing.T) {
	totals := executortest.Soak{Duration: executortest.SoakTime(t), Seed: executortest.SoakSeed(t), Open: openSoaked}.Run(t)
	t.Logf("%+v", totals)
	require.Positive(t, totals.Accepted)
	require.Positive(t, totals.Refused)
	require.Positive(t, totals.Cancelled)
}

// openSoaked opens an executor with random limits and options.
func openSoaked(t *testing.T, random *rand.Rand) (executor.Executor, executortest.Model, *executortest.Faulty) {
	limits := executortest.ToyLimits()
	limits.NumBlocks = 24 + random.IntN(30)
	limits.MaxBatchSize = 1 + random.IntN(12)
	limits.MaxNumTokens = 1 + random.IntN(64)
	limits.MaxCandidates = []int{0, 1, 4, 10, 97}[random.IntN(5)]
	limits.SharedBlocks = random.IntN(4) > 0
	if random.IntN(5) == 0 {
		limits.StateSlots = 1 + random.IntN(8)
	}
	o := inflight.Options{
		MaxInputLen: 190, ChunkTokens: random.IntN(20), RequestStats: random.IntN(2) * 100,
		Policy: executor.CapacityPolicy(random.IntN(2)), NoBlockReuse: random.IntN(4) == 0, NoPartialReuse: random.IntN(4) == 0,
	}
	if random.IntN(3) == 0 {
		o.MaxQueueSize = 1 + random.IntN(30)
	}
	model := toyModel(limits)
	model.Features.Beams = model.Features.Beams && min(limits.MaxBatchSize, limits.MaxNumTokens) > 2 // there may be three
	var runner executor.Runner = executortest.NewToy(limits)
	var faulty *executortest.Faulty
	if random.IntN(3) == 0 {
		faults := executortest.Faults{Step: 0.01, NaN: 0.01, Copy: 0.02, Slow: 0.01, SlowBy: 3 * time.Millisecond}
		if random.IntN(3) == 0 {
			faults.Panic = 1e-3
		}
		faulty = executortest.NewFaulty(runner, faults, random.Uint64())
		runner = faulty
	}
	x, err := inflight.New(runner, o)
	require.NoError(t, err)
	return x, model, faulty
}
