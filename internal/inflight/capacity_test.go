package inflight_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// fill submits requests while the first one's step is held, so that all are there at
// once, and returns all their responses in order.
func fill(t *testing.T, e *inflight.Executor, gate *executortest.Gate, requests []executor.Request) map[uint64][]executor.Response {
	t.Helper()
	gate.Hold()
	for _, r := range requests {
		require.NoError(t, e.Submit(r))
	}
	gate.Release()
	all := map[uint64][]executor.Response{}
	for final := 0; final < len(requests); {
		responses, err := e.Await(t.Context())
		require.NoError(t, err)
		for _, r := range responses {
			require.NoError(t, r.Err)
			all[r.ClientID] = append(all[r.ClientID], r)
			if r.Final {
				final++
			}
		}
	}
	return all
}

// long are requests whose outputs outgrow a small KV cache.
func long(random *rand.Rand) []executor.Request {
	var requests []executor.Request
	for id := range uint64(14) {
		r := executor.Request{
			ClientID: id, InputIDs: count(1+random.IntN(30), random.Int32N(3)), MaxTokens: 30 + random.IntN(70), Streaming: id%2 == 0,
			Priority: float32(random.IntN(3)) / 2, LogProbs: true, TopLogProbs: random.IntN(2), GenerationLogits: id == 3,
			ContextLogits: id == 5, PromptLogProbs: id == 6,
			Sampling: executor.Sampling{TopK: 1 + random.IntN(8), Seed: id, FrequencyPenalty: random.Float32(), TopPDecay: 0.9, TopP: 0.95},
		}
		if id%5 == 4 {
			r.Sampling.NumReturnSequences = 3
		}
		requests = append(requests, r)
	}
	return requests
}

// whole is all that came of a request's sequences, without when and how.
func whole(responses []executor.Response) []executor.Response {
	var list []executor.Response
	for _, r := range responses {
		for r.Sequence >= len(list) {
			list = append(list, executor.Response{Sequence: len(list)})
		}
		all := &list[r.Sequence]
		all.OutputIDs = append(all.OutputIDs, r.OutputIDs...)
		all.LogProbs = append(all.LogProbs, r.LogProbs...)
		all.TopLogProbs = append(all.TopLogProbs, r.TopLogProbs...)
		all.Logits = append(all.Logits, r.Logits...)
		all.ContextLogits = append(all.ContextLogits, r.ContextLogits...)
		all.PromptLogProbs = append(all.PromptLogProbs, r.PromptLogProbs...)
		all.CumLogProb, all.FinishReason = r.CumLogProb, r.FinishReason
	}
	return list
}

// Requests that are paused and computed again give what they give in an engine that
// holds all of them, whatever of it they find in the cache afterwards.
func TestPausesChangeNothing(t *testing.T) {
	paused := func(l *executor.Limits) { l.NumBlocks, l.MaxBatchSize = 24, 12 }
	for seed := range uint64(4) {
		requests := long(rand.New(rand.NewPCG(seed, 8)))
		e, gate := open(t, func(l *executor.Limits) { l.NumBlocks, l.MaxBatchSize = 600, 24 })
		want := fill(t, e, gate, requests)
		require.Zero(t, e.Stats().PausedRequests)
		for name, c := range map[string]struct {
			options inflight.Options
			limits  func(*executor.Limits)
		}{
			"reuse":             {inflight.Options{Policy: executor.MaxUtilization}, paused},
			"full blocks":       {inflight.Options{Policy: executor.MaxUtilization, NoPartialReuse: true}, paused},
			"no reuse":          {inflight.Options{Policy: executor.MaxUtilization, NoBlockReuse: true, ChunkTokens: 5}, paused},
			"not shared":        {inflight.Options{Policy: executor.MaxUtilization}, func(l *executor.Limits) { paused(l); l.SharedBlocks = false }},
			"two tokens a step": {inflight.Options{Policy: executor.MaxUtilization}, func(l *executor.Limits) { paused(l); l.MaxNumTokens = 2 }},
		} {
			t.Run(name, func(t *testing.T) {
				e, gate := openWith(t, c.options, c.limits)
				pauses := 0
				for id, got := range fill(t, e, gate, requests) {
					require.Equal(t, whole(want[id]), whole(got), "request %+v", requests[id])
					last := map[int]executor.Response{}
					for _, r := range got {
						before := last[r.Sequence].Timing
						if before.FirstToken > 0 {
							require.Equal(t, before.FirstToken, r.Timing.FirstToken)
							require.Equal(t, before.Scheduled, r.Timing.Scheduled)
						}
						last[r.Sequence] = r
					}
					for _, r := range last {
						pauses += r.KVCache.Paused
					}
				}
				stats := e.Stats()
				require.Positive(t, stats.PausedRequests)
				require.GreaterOrEqual(t, pauses, int(stats.PausedRequests))
				require.Zero(t, stats.KVBlocksUsed)
				require.Zero(t, stats.ActiveRequests+stats.QueuedRequests)
			})
		}
	}
}

// The first by priority, then arrival, is never paused, and the others come back in
// this order.
func TestPausesGoByOrder(t *testing.T) {
	e, gate := openWith(t, inflight.Options{Policy: executor.MaxUtilization}, func(l *executor.Limits) { l.NumBlocks = 24 })
	var requests []executor.Request
	for id, priority := range []float32{0, 0.5, 1, 0.5, 0} {
		requests = append(requests, executor.Request{
			ClientID: uint64(id), InputIDs: count(8, int32(10*id)), MaxTokens: 100, Sampling: greedy, Priority: priority,
		})
	}
	paused := map[uint64]int{}
	var order []uint64
	gate.Hold()
	for _, r := range requests {
		require.NoError(t, e.Submit(r))
	}
	gate.Release()
	for _, r := range finals(t, e, 5) {
		order = append(order, r.ClientID)
		paused[r.ClientID] = r.KVCache.Paused
		require.Len(t, r.OutputIDs, 100)
	}
	require.Equal(t, []uint64{2, 1, 3, 0, 4}, order)
	require.Zero(t, paused[2])
	require.Positive(t, paused[4])
}

// One request whose sequences do not fit together comes to an end all the same.
func TestSequencesThatDoNotFitTogether(t *testing.T) {
	for _, policy := range []executor.CapacityPolicy{executor.GuaranteedNoEvict, executor.MaxUtilization} {
		e, _ := openWith(t, inflight.Options{Policy: policy}, func(l *executor.Limits) { l.NumBlocks = 24 })
		require.NoError(t, e.Submit(executor.Request{
			ClientID: 1, InputIDs: count(20, 1), MaxTokens: 172, Sampling: executor.Sampling{TopK: 4, NumReturnSequences: 6},
		}))
		final := finals(t, e, 1)[0]
		require.NoError(t, final.Err)
		require.EqualValues(t, 6*172, e.Stats().GeneratedTokens)
		require.Zero(t, e.Stats().KVBlocksUsed)
		require.Equal(t, policy == executor.MaxUtilization, e.Stats().PausedRequests > 0)
	}
}

// With guaranteed-no-evict a request starts when all it may need is there; blocks that
// others hold and it takes over need not be.
func TestGuaranteedNoEvictCountsSharedBlocks(t *testing.T) {
	for _, c := range []struct {
		shared bool
		active int
	}{{true, 6}, {false, 2}} {
		e, gate := open(t, func(l *executor.Limits) { l.NumBlocks, l.SharedBlocks = 20, c.shared })
		r := executor.Request{InputIDs: count(57, 1), MaxTokens: 16, Sampling: greedy} // 7 full blocks and 2 others
		var stats executor.Stats
		steps := 0
		gate.Before(func([]executor.Sequence) error {
			switch steps++; steps {
			case 4: // the prompt is computed
				for range 9 {
					r.ClientID++
					require.NoError(t, e.Submit(r))
				}
			case 6:
				stats = e.Stats()
			}
			return nil
		})
		require.NoError(t, e.Submit(r))
		finals(t, e, 10)
		require.Equal(t, c.active, stats.ActiveRequests)
		require.Equal(t, 10-c.active, stats.QueuedRequests)
		require.LessOrEqual(t, stats.KVBlocksUsed, 20)
		require.Zero(t, e.Stats().PausedRequests)
		require.Zero(t, e.Stats().KVBlocksUsed)
	}
}
