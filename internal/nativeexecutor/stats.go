package nativeexecutor

import (
	"encoding/json"

	"github.com/trtgo/trtgo/internal/executor"
)

// Stats implements [executor.Executor]. Tokens and requests are counted here; what is said
// of KV blocks is of the last iteration that upstream recorded. KVBlocksCached,
// PausedRequests and tokens computed again after a pause are not known: they stay 0.
func (e *Executor) Stats() executor.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	stats := e.stats
	stats.QueuedRequests = e.waiting()
	stats.ActiveRequests = len(e.live) - stats.QueuedRequests
	return stats
}

// IterationStats implements [executor.Executor]. The requests in them are upstream's: one
// for each sequence.
func (e *Executor) IterationStats() []executor.IterationStats {
	e.gather()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.records.iterations.TakeAll()
}

// RequestStats implements [executor.Executor].
func (e *Executor) RequestStats() []executor.RequestStatsPerIteration {
	e.gather()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.records.requests.TakeAll()
}

// gather takes what upstream has recorded since the last time. Where another goroutine
// does so just now, in native code that may hang, it leaves it at that.
func (e *Executor) gather() {
	e.mu.Lock()
	if e.freed || !e.leader {
		e.mu.Unlock()
		return
	}
	e.calls.Add(1)
	e.mu.Unlock()
	defer e.calls.Done()
	if !e.statistics.TryLock() {
		return
	}
	defer e.statistics.Unlock()
	var iterations []executor.IterationStats
	if text, err := e.engine.IterationStats(); err != nil {
		e.log.Debug("TensorRT-LLM gives no statistics of iterations", "error", err)
	} else if err := json.Unmarshal(text, &iterations); err != nil {
		iterations = nil
		e.log.Warn("TensorRT-LLM's statistics of iterations cannot be read", "error", err)
	}
	var requests []upstreamRequests
	if e.options.RequestStats > 0 {
		if text, err := e.engine.RequestStats(); err != nil {
			e.log.Debug("TensorRT-LLM gives no statistics of requests", "error", err)
		} else if err := json.Unmarshal(text, &requests); err != nil {
			requests = nil
			e.log.Warn("TensorRT-LLM's statistics of requests cannot be read", "error", err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range iterations {
		e.record(&iterations[i])
	}
	for i := range requests {
		e.records.addRequests(&requests[i])
	}
	e.records.forget()
}

// record takes over an iteration. The caller holds mu.
func (e *Executor) record(s *executor.IterationStats) {
	worked := s.InflightBatchingStats != nil && s.InflightBatchingStats.NumScheduledRequests > 0
	if worked {
		e.progress = e.now()
		e.stats.Iterations++
	}
	e.running = s.NumActiveRequests
	if kv := s.KVCacheStats; kv != nil {
		e.records.base.takenOff(kv)
		e.stats.KVBlocksTotal, e.stats.TokensPerBlock, e.stats.KVBlocksUsed = kv.MaxNumBlocks, kv.TokensPerBlock, kv.UsedNumBlocks
		e.stats.KVCache = *kv
		if len(e.live) == 0 { // the next iteration would say so
			e.stats.KVBlocksUsed = 0
		}
	}
	e.records.addIteration(s, worked)
}

// records are the latest iterations and their requests.
type records struct {
	iterations executor.History[executor.IterationStats]
	requests   executor.History[executor.RequestStatsPerIteration]
	base       baseline // what the self-check took
	recounted  int      // requests that upstream will count as completed once more

	known map[uint64]*recorded // by upstream's id
	over  []uint64             // of these, whose last output came before the last look but one
	last  []uint64             // before the last look
}

// baseline is of the KV cache's counters.
type baseline executor.KVCacheStats

// takenOff takes the baseline off.
func (b *baseline) takenOff(kv *executor.KVCacheStats) {
	kv.AllocTotalBlocks -= min(b.AllocTotalBlocks, kv.AllocTotalBlocks)
	kv.AllocNewBlocks -= min(b.AllocNewBlocks, kv.AllocNewBlocks)
	kv.ReusedBlocks -= min(b.ReusedBlocks, kv.ReusedBlocks)
	kv.MissedBlocks -= min(b.MissedBlocks, kv.MissedBlocks)
	kv.CacheHitRate = 0
	if looked := kv.ReusedBlocks + kv.MissedBlocks; looked > 0 {
		kv.CacheHitRate = float64(kv.ReusedBlocks) / float64(looked)
	}
}

func (r *records) init(o *Options) {
	*r = records{known: map[uint64]*recorded{}}
	r.iterations.Most, r.requests.Most = o.IterationStats, o.RequestStats
}

// addIteration keeps an iteration. One without work, which upstream records when all have
// ended, goes into the one before it, if that is still here. Upstream counts what ended
// then once more in the next one, and what began before once more in it.
func (r *records) addIteration(s *executor.IterationStats, worked bool) {
	completed := s.NumCompletedRequests
	if worked {
		s.NumCompletedRequests = max(0, completed-r.recounted)
		r.recounted = 0
		r.iterations.Add(*s)
		return
	}
	r.recounted = completed
	s.NumNewActiveRequests = 0
	before := r.iterations.Newest()
	if before == nil {
		if completed > 0 {
			r.iterations.Add(*s)
		}
		return
	}
	before.NumCompletedRequests += completed
	before.NumActiveRequests, before.NumQueuedRequests = s.NumActiveRequests, s.NumQueuedRequests
	if s.KVCacheStats != nil {
		before.KVCacheStats = s.KVCacheStats
	}
}
