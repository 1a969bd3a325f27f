package inflight_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// Three iterations of two requests, number for number.
func TestIterationStats(t *testing.T) {
	now := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	e, gate := openWith(t, inflight.Options{Now: now.Now, RequestStats: 10}, func(l *executor.Limits) {
		l.Memory = executor.Memory{Available: 1000, Weights: 100, KVCache: 20, Activations: 3}
	})
	require.Empty(t, e.IterationStats())
	gate.Before(func([]executor.Sequence) error {
		now.add(10 * time.Millisecond)
		return nil
	})
	gate.Hold()
	submit(t, e, 7, 1, 17, 3)
	require.NoError(t, gate.Arrived(t.Context()))
	submit(t, e, 8, 0, 20, 1) // 16 of its tokens are the other's
	now.add(5 * time.Millisecond)
	gate.Release()
	finals(t, e, 2)
	list := e.IterationStats()
	require.Len(t, list, 3)
	base := executor.IterationStats{
		MaxNumActiveRequests: 8, MaxBatchSizeStatic: 8, MaxBatchSizeRuntime: 8, MaxNumTokensStatic: 48, MaxNumTokensRuntime: 48, CPUMemUsage: 123,
	}
	for i, change := range []func(*executor.IterationStats){
		func(s *executor.IterationStats) {
			s.Timestamp, s.Iter, s.IterLatencyMS = "03-01-2026 12:00:00.015000", 1, 15
			s.NumNewActiveRequests, s.NumActiveRequests, s.NumQueuedRequests = 1, 1, 1
			s.KVCacheStats = &executor.KVCacheStats{
				MaxNumBlocks: 64, FreeNumBlocks: 61, UsedNumBlocks: 3, TokensPerBlock: 8, AllocTotalBlocks: 3, AllocNewBlocks: 3, MissedBlocks: 2,
			}
			s.InflightBatchingStats = &executor.InflightBatchingStats{
				NumScheduledRequests: 1, NumContextRequests: 1, NumCtxTokens: 17, AvgNumDecodedTokensPerIter: 1,
			}
		},
		func(s *executor.IterationStats) {
			s.Timestamp, s.Iter, s.IterLatencyMS = "03-01-2026 12:00:00.025000", 2, 10
			s.NumNewActiveRequests, s.NewActiveRequestsQueueLatencyMS = 1, 15
			s.NumActiveRequests, s.NumCompletedRequests = 1, 1
			s.KVCacheStats = &executor.KVCacheStats{
				MaxNumBlocks: 64, FreeNumBlocks: 61, UsedNumBlocks: 3, TokensPerBlock: 8,
				AllocTotalBlocks: 6, AllocNewBlocks: 4, ReusedBlocks: 2, MissedBlocks: 2, CacheHitRate: 0.5,
			}
			s.InflightBatchingStats = &executor.InflightBatchingStats{
				NumScheduledRequests: 2, NumContextRequests: 1, NumGenRequests: 1, NumCtxTokens: 4, AvgNumDecodedTokensPerIter: 1,
			}
		},
		func(s *executor.IterationStats) {
			s.Timestamp, s.Iter, s.IterLatencyMS = "03-01-2026 12:00:00.035000", 3, 10
			s.NumCompletedRequests = 1
			s.KVCacheStats = &executor.KVCacheStats{
				MaxNumBlocks: 64, FreeNumBlocks: 64, TokensPerBlock: 8,
				AllocTotalBlocks: 6, AllocNewBlocks: 4, ReusedBlocks: 2, MissedBlocks: 2, CacheHitRate: 0.5,
			}
			s.InflightBatchingStats = &executor.InflightBatchingStats{NumScheduledRequests: 1, NumGenRequests: 1, AvgNumDecodedTokensPerIter: 1}
		},
	} {
		want := base
		change(&want)
		require.Equal(t, want, list[i], "iteration %d", i+1)
	}
	require.Empty(t, e.IterationStats(), "each is given once")

	requests := e.RequestStats()
	require.Len(t, requests, 3)
	require.Equal(t, executor.RequestStatsPerIteration{Iter: 1, RequestStats: []executor.RequestStats{{
		ID: 7, Stage: executor.StageGeneration, ContextPrefillPosition: 17, NumGeneratedTokens: 1, AvgNumDecodedTokensPerIter: 1, Scheduled: true,
		AllocTotalBlocks: 3, AllocNewBlocks: 3, MissedBlocks: 2,
	}}}, requests[0], "the other came during the step")
	require.Equal(t, executor.RequestStatsPerIteration{Iter: 2, RequestStats: []executor.RequestStats{{
		ID: 8, Stage: executor.StageComplete, ContextPrefillPosition: 20, NumGeneratedTokens: 1, AvgNumDecodedTokensPerIter: 1, Scheduled: true,
		AllocTotalBlocks: 3, AllocNewBlocks: 1, ReusedBlocks: 2, KVCacheHitRate: 1,
	}, {
		ID: 7, Stage: executor.StageGeneration, ContextPrefillPosition: 17, NumGeneratedTokens: 2, AvgNumDecodedTokensPerIter: 1, Scheduled: true,
		AllocTotalBlocks: 3, AllocNewBlocks: 3, MissedBlocks: 2,
	}}}, requests[1])
	require.Len(t, requests[2].RequestStats, 1)
	require.Equal(t, executor.StageComplete, requests[2].RequestStats[0].Stage)
	_, err := json.Marshal(list)
	require.NoError(t, err)

	stats := e.Stats()
	require.Equal(t, executor.Stats{
		Iterations: 3, ContextTokens: 21, GeneratedTokens: 4, FinishedRequests: 2, ReusedTokens: 16,
		KVBlocksCached: 4, KVBlocksTotal: 64, TokensPerBlock: 8, KVCache: *list[2].KVCacheStats,
		Memory: executor.Memory{Available: 1000, Weights: 100, KVCache: 20, Activations: 3},
	}, stats)
}

// The queue latency of an iteration is the sum of those who begin in it.
func TestQueueLatencyIsSummed(t *testing.T) {
	now := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	e, gate := openWith(t, inflight.Options{Now: now.Now}, func(*executor.Limits) {})
	gate.Hold()
	submit(t, e, 1, 0, 3, 1)
	require.NoError(t, gate.Arrived(t.Context()))
	for id := range uint64(2) {
		submit(t, e, 2+id, 0, 3, 1)
		now.add(5 * time.Millisecond)
	}
	gate.Release()
	finals(t, e, 3)
	list := e.IterationStats()
	require.Len(t, list, 2)
	require.Equal(t, 2, list[1].NumNewActiveRequests)
	require.InDelta(t, 15, list[1].NewActiveRequestsQueueLatencyMS, 1e-9)
}

// An iteration that only ends requests has no work and is not recorded.
func TestIterationsWithoutWork(t *testing.T) {
	e, gate := openWith(t, inflight.Options{RequestStats: 10}, func(*executor.Limits) {})
	gate.Hold()
	submit(t, e, 1, 0, 3, 9)
	require.NoError(t, gate.Arrived(t.Context()))
	e.Cancel(1) // the step is aborted, the next iteration ends the request
	finals(t, e, 1)
	require.Len(t, e.IterationStats(), 1)
	require.Len(t, e.RequestStats(), 1)
}

// What a paused request computes again counts as context tokens, output included: of
// all tokens in steps, the others are at most one for each that was generated.
func TestContextTokensOfPausedRequests(t *testing.T) {
	e, gate := openWith(t, inflight.Options{Policy: executor.MaxUtilization, NoBlockReuse: true}, func(l *executor.Limits) { l.NumBlocks = 24 })
	var tokens uint64
	gate.Before(func(batch []executor.Sequence) error {
		for i := range batch {
			tokens += uint64(len(batch[i].Tokens))
		}
		return nil
	})
	for id := range uint64(5) {
		submit(t, e, id, 0, 8, 150)
	}
	finals(t, e, 5)
	stats := e.Stats()
	require.Positive(t, stats.PausedRequests)
	require.LessOrEqual(t, tokens-stats.ContextTokens, stats.GeneratedTokens)
	listed := 0
	for _, i := range e.IterationStats() {
		listed += i.InflightBatchingStats.NumCtxTokens
	}
	require.EqualValues(t, stats.ContextTokens, listed)
}

// A paused request and one that waits are in the statistics of requests, and of a
// request's sequences the sum.
func TestRequestStatsOfThoseThatWait(t *testing.T) {
	e, _ := openWith(t, inflight.Options{RequestStats: 10000, Policy: executor.MaxUtilization}, func(l *executor.Limits) { l.NumBlocks = 24 })
	for id := range uint64(3) {
		require.NoError(t, e.Submit(executor.Request{
			ClientID: id, InputIDs: count(20, int32(id)), MaxTokens: 100, Sampling: executor.Sampling{TopK: 2, NumReturnSequences: 2},
		}))
	}
	finals(t, e, 3)
	seen := map[string]bool{}
	last := map[uint64]executor.RequestStats{}
	for _, iteration := range e.RequestStats() {
		for _, r := range iteration.RequestStats {
			seen[map[bool]string{true: "paused"}[r.Paused]] = true
			seen[map[executor.RequestStage]string{0: "queued", 2: "context", 3: "generation", 4: "complete"}[r.Stage]] = true
			require.GreaterOrEqual(t, r.NumGeneratedTokens, last[r.ID].NumGeneratedTokens)
			require.GreaterOrEqual(t, r.AllocTotalBlocks, r.AllocNewBlocks)
			last[r.ID] = r
		}
	}
	require.Equal(t, map[string]bool{"": true, "paused": true, "queued": true, "context": true, "generation": true, "complete": true}, seen)
	total := 0
	for _, r := range last {
		require.Equal(t, executor.StageComplete, r.Stage)
		require.Equal(t, 200, r.NumGeneratedTokens)
		total += r.AllocTotalBlocks
	}
	require.EqualValues(t, e.Stats().KVCache.AllocTotalBlocks, total)
	paused := 0
	for _, i := range e.IterationStats() {
		paused += i.InflightBatchingStats.NumPausedRequests
	}
	require.EqualValues(t, e.Stats().PausedRequests, paused)
}

// The latest iterations are kept, and none where none are wanted.
func TestIterationStatsAreBounded(t *testing.T) {
	for keep, want := range map[int]int{0: 100, 7: 7, -1: 0} {
		e, _ := openWith(t, inflight.Options{IterationStats: keep}, func(*executor.Limits) {})
		submit(t, e, 1, 0, 3, 100)
		finals(t, e, 1)
		list := e.IterationStats()
		require.Len(t, list, want)
		for i, s := range list {
			require.EqualValues(t, 100-want+i+1, s.Iter)
		}
		require.Empty(t, e.RequestStats())
	}
}

func TestPausesAreLogged(t *testing.T) {
	var log bytes.Buffer
	limits := executortest.ToyLimits()
	limits.NumBlocks = 24
	e, err := inflight.New(executortest.NewToy(limits), inflight.Options{
		Policy: executor.MaxUtilization, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	for id := range uint64(5) {
		submit(t, e, id, 0, 8, 150)
	}
	finals(t, e, 5)
	require.NoError(t, e.Close())
	require.Contains(t, log.String(), "request paused")
}
