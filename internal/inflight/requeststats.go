package inflight

import "github.com/trtgo/trtgo/internal/executor"

// tally is what sequences of a request add up to.
type tally struct {
	generated int
	asked     int // rows of next tokens
	blocks    blockCounts
}

func (t *tally) add(q *sequence) {
	t.generated += len(q.output())
	t.blocks.taken += q.blocks.taken
	t.blocks.fresh += q.blocks.fresh
	t.blocks.reused += q.blocks.reused
	t.blocks.missed += q.blocks.missed
}

// leave adds up a sequence that ended.
func (s *scheduler) leave(q *sequence) { q.past.add(q) }

// requestStats describes all live requests and those that ended in this iteration.
func (s *scheduler) requestStats() []executor.RequestStats {
	var list []executor.RequestStats
	at := map[*request]int{}
	of := func(r *request) *executor.RequestStats {
		i, ok := at[r]
		if !ok {
			i = len(list)
			at[r] = i
			r.counted = r.past
			list = append(list, executor.RequestStats{ID: r.ClientID, Scheduled: r.scheduled == s.iterations})
		}
		return &list[i]
	}
	for _, r := range s.completed {
		stats := of(r)
		stats.Stage, stats.ContextPrefillPosition = executor.StageComplete, len(r.InputIDs)
	}
	for _, q := range s.active {
		stats := of(q.request)
		q.counted.add(q)
		if q.computed < q.placement.context {
			stats.Stage = executor.StageContext
		} else if stats.Stage == executor.StageQueued {
			stats.Stage = executor.StageGeneration
		}
		stats.ContextPrefillPosition = max(stats.ContextPrefillPosition, min(q.computed, len(q.InputIDs)))
	}
	for _, q := range s.waiting {
		stats := of(q.request)
		q.counted.add(q)
		stats.Paused = stats.Paused || q.cache.Paused > 0
	}
	for r, i := range at {
		r.counted.describe(&list[i])
	}
	return list
}

func (t *tally) describe(stats *executor.RequestStats) {
	stats.NumGeneratedTokens = t.generated
	stats.AvgNumDecodedTokensPerIter = rate(t.generated, t.asked)
	stats.AllocTotalBlocks, stats.AllocNewBlocks = t.blocks.taken, t.blocks.fresh
	stats.ReusedBlocks, stats.MissedBlocks = t.blocks.reused, t.blocks.missed
	stats.KVCacheHitRate = rate(t.blocks.reused, t.blocks.reused+t.blocks.missed)
}
