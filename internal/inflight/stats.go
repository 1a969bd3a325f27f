package inflight

import (
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// count brings the statistics up to date. The caller holds e.mu. A live request of
// which nothing runs waits.
func (s *scheduler) count() {
	stats := &s.e.stats
	active := 0
	for i, q := range s.active {
		if i == 0 || s.active[i-1].request != q.request {
			active++
		}
	}
	stats.ActiveRequests, stats.QueuedRequests = active, len(s.e.live)-active
	stats.KVBlocksUsed, stats.KVBlocksCached = s.cache.used(), s.cache.unused
	stats.Iterations, stats.ContextTokens, stats.GeneratedTokens = s.iterations, s.contextTokens, s.generatedTokens
	stats.ReusedTokens, stats.PausedRequests = s.reusedTokens, s.pausedRequests
	stats.KVCache = s.kvCacheStats()
}

func (s *scheduler) kvCacheStats() executor.KVCacheStats {
	free := len(s.cache.free) + s.cache.unused
	return executor.KVCacheStats{
		MaxNumBlocks: len(s.cache.blocks), FreeNumBlocks: free, UsedNumBlocks: len(s.cache.blocks) - free, TokensPerBlock: s.cache.size,
		AllocTotalBlocks: s.takenBlocks, AllocNewBlocks: s.newBlocks, ReusedBlocks: s.reusedBlocks, MissedBlocks: s.missedBlocks,
		CacheHitRate: rate(s.reusedBlocks, s.reusedBlocks+s.missedBlocks),
	}
}

func rate[T int | uint64](part, all T) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// iteration is what is recorded of one.
type iteration struct {
	worked    bool // a step was tried
	at        time.Time
	stats     executor.IterationStats
	inflight  executor.InflightBatchingStats
	kv        executor.KVCacheStats
	sampled   int    // sequences whose next token was asked for
	generated uint64 // tokens before
}

// enter counts a sequence that left the queue for the first time.
func (i *iteration) enter(q *sequence) {
	if q.active {
		return
	}
	q.active = true
	i.stats.NumNewActiveRequests++
	i.stats.NewActiveRequestsQueueLatencyMS += milliseconds(q.timing.Scheduled)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// begins starts the record of an iteration.
func (s *scheduler) begins() {
	s.iteration = iteration{generated: s.generatedTokens}
	clear(s.completed)
	s.completed = s.completed[:0]
}

// describe records the planned step, in requests. One with sequences in both phases
// counts for both.
func (s *scheduler) describe() {
	s.iterations++
	s.iteration.worked = true
	flight := &s.iteration.inflight
	var context, generation *request
	for i := range s.planned {
		p := &s.planned[i]
		if p.sampled {
			s.iteration.sampled++
			p.past.asked++
		}
		if p.scheduled != s.iterations {
			p.scheduled = s.iterations
			flight.NumScheduledRequests++
		}
		if n := p.contextTokens(); n > 0 {
			flight.NumCtxTokens += n
			if p.request != context {
				context = p.request
				flight.NumContextRequests++
			}
		} else if p.request != generation {
			generation = p.request
			flight.NumGenRequests++
		}
	}
}

// contextTokens is how many of a part's tokens are of the prompt, or computed again.
func (p *planned) contextTokens() int {
	return max(0, min(p.computed+p.n, p.placement.context)-p.computed)
}

// finishRecord completes the record of an iteration that began at start.
func (s *scheduler) finishRecord(start time.Time) {
	i, e := &s.iteration, s.e
	i.at = e.now()
	i.kv = s.kvCacheStats()
	i.inflight.AvgNumDecodedTokensPerIter = rate(int(s.generatedTokens-i.generated), i.sampled)
	memory := e.limits.Memory
	stats := &i.stats
	stats.Iter, stats.IterLatencyMS = s.iterations, milliseconds(i.at.Sub(start))
	stats.NumCompletedRequests = len(s.completed)
	stats.MaxNumActiveRequests = e.limits.MaxBatchSize
	stats.MaxBatchSizeStatic, stats.MaxBatchSizeRuntime = e.limits.MaxBatchSize, e.limits.MaxBatchSize
	stats.MaxNumTokensStatic, stats.MaxNumTokensRuntime = e.limits.MaxNumTokens, e.limits.MaxNumTokens
	stats.CPUMemUsage = memory.Weights + memory.KVCache + memory.Activations
}

// records are the latest iterations and their requests.
type records struct {
	iterations executor.History[iteration]
	requests   executor.History[executor.RequestStatsPerIteration]
}

func (r *records) init(o *Options) {
	r.iterations.Most, r.requests.Most = o.IterationStats, o.RequestStats
}

// add keeps the record of s's iteration, if it had work. The statistics are counted.
func (r *records) add(s *scheduler) {
	if !s.iteration.worked {
		return
	}
	stats := &s.iteration.stats
	stats.NumActiveRequests, stats.NumQueuedRequests = s.e.stats.ActiveRequests, s.e.stats.QueuedRequests
	r.iterations.Add(s.iteration)
	if r.requests.Most > 0 {
		r.requests.Add(executor.RequestStatsPerIteration{Iter: s.iterations, RequestStats: s.requestStats()})
	}
}

// takeIterations returns the iterations and forgets them.
func (r *records) takeIterations() []executor.IterationStats {
	list := r.iterations.TakeAll()
	stats := make([]executor.IterationStats, len(list))
	for i := range list {
		stats[i] = list[i].stats
		stats[i].Timestamp = executor.IterationTime(list[i].at)
		stats[i].KVCacheStats, stats[i].InflightBatchingStats = &list[i].kv, &list[i].inflight
	}
	return stats
}
