package inflight

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// TestInvariants runs random load, iteration by iteration, over runners with faults,
// and looks after each whether the KV cache's holders are those that run, who waits is
// in order and the limits are kept.
func TestInvariants(t *testing.T) {
	paused, reused, failed := uint64(0), uint64(0), uint64(0)
	for seed := range uint64(8) {
		stats := runInvariants(t, seed)
		paused += stats.PausedRequests
		reused += stats.ReusedTokens
		failed += stats.FailedRequests
	}
	require.Positive(t, paused)
	require.Positive(t, reused)
	require.Positive(t, failed)
}

func runInvariants(t *testing.T, seed uint64) executor.Stats {
	random := rand.New(rand.NewPCG(seed, 21))
	o := Options{
		Policy: executor.CapacityPolicy(seed % 2), NoBlockReuse: random.IntN(4) == 0, NoPartialReuse: random.IntN(4) == 0,
		ChunkTokens: random.IntN(12), RequestStats: 5,
	}
	now := time.Unix(0, 0)
	o.Now = func() time.Time { // by which the runner is now fast, now slow
		now = now.Add(time.Duration(random.Int64N(int64(time.Second))))
		return now
	}
	d := newDriver(t, o, func(l *executor.Limits) {
		l.BlockSize = 1 + random.IntN(9)
		l.NumBlocks = 192/l.BlockSize + 1 + random.IntN(20)
		l.MaxBatchSize, l.MaxNumTokens = 1+random.IntN(10), 1+random.IntN(60)
		l.SharedBlocks = random.IntN(4) > 0
		if random.IntN(6) == 0 {
			l.StateSlots = 1 + random.IntN(4)
		}
	})
	d.e.runner = executortest.NewFaulty(d.toy, executortest.Faults{Step: 0.01, NaN: 0.005, Copy: 0.02}, seed)
	load := executortest.NewLoad(executortest.Model{
		VocabSize: 97, MaxInputLen: 191, MaxSeqLen: 192,
		Features: executortest.Features{LogProbs: true, Beams: d.e.limits.SharedBlocks && d.e.limits.StateSlots == 0},
	}, 40, seed)
	id, finals := uint64(0), uint64(0)
	iterate := func() {
		d.e.iterate()
		d.check()
		require.True(t, slices.IsSortedFunc(d.waiting, before))
		require.True(t, slices.IsSortedFunc(d.active, before))
		require.LessOrEqual(t, d.seats(), d.e.limits.MaxBatchSize)
		if d.e.limits.StateSlots > 0 {
			require.Equal(t, d.e.limits.StateSlots, len(d.slots)+len(d.active))
		}
		for _, r := range d.e.responses {
			if r.Final {
				finals++
			}
		}
		d.e.responses = nil
	}
	for range 250 {
		if random.IntN(5) == 0 && len(d.e.live) < 12 {
			r := load.Request()
			r.ClientID = id
			if err := d.e.Submit(r); err == nil {
				id++
			} else {
				require.Contains(t, fmt.Sprint(err), "beam", "only beams that do not fit")
			}
		}
		if random.IntN(30) == 0 && id > 0 {
			d.e.Cancel(id - 1 - random.Uint64N(min(id, 5)))
		}
		if random.IntN(30) == 0 && id > 0 {
			d.e.Stop(id-1-random.Uint64N(min(id, 5)), random.IntN(3))
		}
		iterate()
	}
	for len(d.e.live) > 0 {
		iterate()
	}
	require.Equal(t, id, finals, "one final response each")
	stats := d.e.Stats()
	require.Equal(t, id, stats.FinishedRequests)
	require.Zero(t, stats.KVBlocksUsed+stats.ActiveRequests+stats.QueuedRequests)
	require.NoError(t, d.e.dead)
	return stats
}
