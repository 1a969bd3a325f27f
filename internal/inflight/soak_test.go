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

// TestSoak puts random load on executors of all kinds, for half as long as
// TRTGO_SOAK_TIME says.
func TestSoak(t *testing.T) {
	totals := executortest.Soak{Duration: executortest.SoakTime(t) / 2, Seed: executortest.SoakSeed(t), Open: openSoaked}.Run(t)
	t.Logf("%+v", totals)
	require.Positive(t, totals.Accepted)
	if totals.Accepted > 30000 { // each of these comes to some of so many
		require.Positive(t, totals.Refused)
		require.Positive(t, totals.Cancelled)
		require.Positive(t, totals.TimedOut)
		require.Positive(t, totals.Failed)
		require.Positive(t, totals.Dead)
		require.Positive(t, totals.Pauses)
	}
}

// TestSoakEquivalence compares random requests together with each alone, on executors
// of all kinds, for the other half.
func TestSoakEquivalence(t *testing.T) {
	seed := executortest.SoakSeed(t)
	random := rand.New(rand.NewPCG(seed, 2))
	rounds := 0
	for end := time.Now().Add(executortest.SoakTime(t) / 2); time.Now().Before(end) && !t.Failed(); rounds++ {
		limits, o := randomOptions(random)
		// The same model, with what the other can do, for itself.
		plain := executortest.ToyLimits()
		plain.StateSlots = limits.StateSlots
		alone, err := inflight.New(executortest.NewToy(plain), inflight.Options{NoBlockReuse: true})
		require.NoError(t, err)
		equivalence := executortest.NewEquivalence(t, alone, executortest.NewLoad(soakedModel(limits), 1+random.IntN(48), random.Uint64()), 8+random.IntN(40))
		require.NoError(t, alone.Close())
		x, err := inflight.New(executortest.NewToy(limits), o)
		require.NoError(t, err)
		for range 2 {
			equivalence.Run(t, x, random.Uint64())
		}
		require.NoError(t, x.Close())
	}
	t.Logf("%d rounds", rounds)
}

// randomOptions are limits and options of any kind.
func randomOptions(random *rand.Rand) (executor.Limits, inflight.Options) {
	limits := executortest.ToyLimits()
	limits.BlockSize = []int{1, 4, 8, 8, 16, 64}[random.IntN(6)]
	limits.NumBlocks = (192 + random.IntN(300) + limits.BlockSize - 1) / limits.BlockSize
	limits.MaxBatchSize = 1 + random.IntN(12)
	limits.MaxNumTokens = 1 + random.IntN(64)
	limits.MaxCandidates = []int{0, 1, 4, 10, 97}[random.IntN(5)]
	limits.SharedBlocks = random.IntN(4) > 0
	if random.IntN(5) == 0 {
		limits.StateSlots = 1 + random.IntN(8)
	}
	return limits, inflight.Options{
		MaxInputLen: 190, ChunkTokens: random.IntN(20), RequestStats: random.IntN(2) * 100,
		Policy: executor.CapacityPolicy(random.IntN(2)), NoBlockReuse: random.IntN(4) == 0, NoPartialReuse: random.IntN(4) == 0,
	}
}

// soakedModel is what a toy can do of what Load asks for: three beams.
func soakedModel(limits executor.Limits) executortest.Model {
	model := toyModel(limits)
	model.Features.Beams = model.Features.Beams && min(limits.MaxBatchSize, limits.MaxNumTokens) > 2
	return model
}

// openSoaked opens an executor with random limits and options.
func openSoaked(t *testing.T, random *rand.Rand) (executor.Executor, executortest.Model, *executortest.Faulty) {
	limits, o := randomOptions(random)
	if random.IntN(3) == 0 {
		o.MaxQueueSize = 1 + random.IntN(30)
	}
	var runner executor.Runner = executortest.NewToy(limits)
	var faulty *executortest.Faulty
	if random.IntN(3) == 0 {
		faults := executortest.Faults{Step: 0.01, NaN: 0.01, Copy: 0.02, Slow: 0.01, SlowBy: 3 * time.Millisecond}
		if random.IntN(3) == 0 {
			faults.Panic = 4e-3
		}
		if random.IntN(3) == 0 {
			faults.Hang, o.MaxSeqIdle = 4e-3, 50*time.Millisecond
		}
		faulty = executortest.NewFaulty(runner, faults, random.Uint64())
		runner = faulty
	}
	x, err := inflight.New(runner, o)
	require.NoError(t, err)
	return x, soakedModel(limits), faulty
}
