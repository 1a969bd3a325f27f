package inflight_test

import (
	"math/rand/v2"
	"testing"

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
	limits.NumBlocks = 24 + random.IntN(60)
	limits.MaxBatchSize = 1 + random.IntN(12)
	limits.MaxNumTokens = 1 + random.IntN(64)
	limits.MaxCandidates = random.IntN(40)
	limits.SharedBlocks = random.IntN(4) > 0
	if random.IntN(5) == 0 {
		limits.StateSlots = 1 + random.IntN(8)
	}
	o := inflight.Options{
		ChunkTokens: random.IntN(20), RequestStats: random.IntN(2) * 100, Policy: executor.CapacityPolicy(random.IntN(2)),
		NoBlockReuse: random.IntN(4) == 0, NoPartialReuse: random.IntN(4) == 0,
	}
	model := executortest.Model{
		VocabSize: limits.VocabSize, MaxInputLen: limits.MaxSeqLen - 1, MaxSeqLen: limits.MaxSeqLen,
		Features: executortest.Features{LogProbs: limits.MaxCandidates >= 5}, // as many as are asked for
	}
	var runner executor.Runner = executortest.NewToy(limits)
	x, err := inflight.New(runner, o)
	require.NoError(t, err)
	return x, model, nil
}
