package inflight_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// A schedule is a way to run the same requests.
type schedule struct {
	inflight.Options
	blocks int // of the KV cache
}

// schedules cut prompts and leave them whole, take blocks over and do not, and have a
// KV cache that holds all that run and one so small that blocks are evicted and
// requests paused.
func schedules() map[string]schedule {
	list := map[string]schedule{}
	for _, chunk := range []int{1, 7, 32, 0} {
		for _, blocks := range []int{28, 200} {
			for name, o := range map[string]inflight.Options{
				"no reuse":         {NoBlockReuse: true},
				"no partial reuse": {NoPartialReuse: true},
				"reuse":            {},
			} {
				for _, policy := range []executor.CapacityPolicy{executor.GuaranteedNoEvict, executor.MaxUtilization} {
					o.ChunkTokens, o.Policy = chunk, policy
					list[fmt.Sprintf("chunks of %d, %d blocks, %s, policy %d", chunk, blocks, name, policy)] = schedule{o, blocks}
				}
			}
		}
	}
	return list
}

// 64 requests of all kinds give together what each gives alone, however they are
// scheduled: also where blocks are evicted and requests paused.
func TestEquivalence(t *testing.T) {
	model := toyModel(executortest.ToyLimits())
	openWith := func(t *testing.T, blocks int, o inflight.Options) *inflight.Executor {
		limits := executortest.ToyLimits()
		limits.NumBlocks = blocks
		e, err := inflight.New(executortest.NewToy(limits), o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	}
	const seed = 2
	alone := openWith(t, 200, inflight.Options{NoBlockReuse: true})
	equivalence := executortest.NewEquivalence(t, alone, executortest.NewLoad(model, 32, seed), 64)
	cancelled, pauses := 0, uint64(0)
	for name, s := range schedules() {
		t.Run(name, func(t *testing.T) {
			x := openWith(t, s.blocks, s.Options)
			cancelled += equivalence.Run(t, x, seed)
			stats, small := x.Stats(), s.blocks == 28
			// The sequences of one request share their prompt in any case.
			require.Equal(t, !s.NoBlockReuse, stats.KVBlocksCached > 0, "%d blocks cached", stats.KVBlocksCached)
			require.Positive(t, stats.ReusedTokens)
			if !s.NoBlockReuse {
				require.Positive(t, stats.KVCache.ReusedBlocks)
			}
			if small && !s.NoBlockReuse {
				require.Greater(t, stats.KVCache.MissedBlocks, uint64(s.blocks), "blocks were evicted")
			}
			if s.Policy == executor.GuaranteedNoEvict {
				require.Zero(t, stats.PausedRequests)
			}
			pauses += stats.PausedRequests
		})
	}
	require.Positive(t, cancelled)
	require.Positive(t, pauses, "no request was paused")
}
