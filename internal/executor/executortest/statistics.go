package executortest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours of statistics.
var statistics = []behaviour{
	{"counts how requests end", endingsBehaviour},
	{"records iterations, whose sums are those of Stats", iterationStatsBehaviour},
	{"records the requests of iterations", requestStatsBehaviour},
	{"gives statistics upstream's names", statisticsNamesBehaviour},
}

func endingsBehaviour(f *fixture) {
	f.needsSteps()
	f.run(f.short())
	r := f.long()
	f.hold()
	id := f.submit(r)
	f.Cancel(id)
	f.wait(id)
	r.AllottedTime = time.Millisecond
	f.wait(f.submit(r))
	f.gate.Release()
	f.gate.Before(func([]executor.Sequence) error { return ErrFault })
	_, err := f.waitError(f.submit(f.short()))
	f.caused(err, ErrFault)
	f.gate.Before(nil)
	stats := f.Stats()
	require.Equal(f, []uint64{4, 1, 1, 1}, []uint64{stats.FinishedRequests, stats.CancelledRequests, stats.TimedOutRequests, stats.FailedRequests})
}

func iterationStatsBehaviour(f *fixture) {
	require.Empty(f, f.IterationStats(), "iterations without work are not recorded")
	const n = 9
	var ids []uint64
	for i := range n {
		ids = append(ids, f.submit(executor.Request{
			InputIDs: f.prompt(4 + i), MaxTokens: 5, Sampling: executor.Sampling{Temperature: 1, NumReturnSequences: 1 + i%2},
		}))
	}
	for _, id := range ids {
		f.wait(id)
	}
	stats := f.Stats()
	list := f.IterationStats()
	require.Empty(f, f.IterationStats(), "they are taken once")
	require.NotEmpty(f, list)
	var context, completed, active, steps uint64
	for i, s := range list {
		require.NotNil(f, s.KVCacheStats)
		require.NotNil(f, s.InflightBatchingStats)
		steps++
		if f.model.Features.WorkNumbered {
			require.Equal(f, list[0].Iter+uint64(i), s.Iter)
		} else if i > 0 {
			require.Greater(f, s.Iter, list[i-1].Iter)
		}
		context += uint64(s.InflightBatchingStats.NumCtxTokens)
		completed += uint64(s.NumCompletedRequests)
		active += uint64(s.NumNewActiveRequests)
		flight, kv := s.InflightBatchingStats, s.KVCacheStats
		require.Positive(f, flight.NumScheduledRequests)
		require.LessOrEqual(f, flight.NumScheduledRequests, flight.NumContextRequests+flight.NumGenRequests)
		require.LessOrEqual(f, flight.NumCtxTokens, s.MaxNumTokensRuntime)
		require.Equal(f, kv.MaxNumBlocks, kv.UsedNumBlocks+kv.FreeNumBlocks)
		require.Equal(f, stats.KVBlocksTotal, kv.MaxNumBlocks)
		require.Equal(f, stats.TokensPerBlock, kv.TokensPerBlock)
		require.Positive(f, s.MaxBatchSizeStatic)
		require.GreaterOrEqual(f, s.IterLatencyMS, 0.0)
		at, err := time.ParseInLocation("01-02-2006 15:04:05.000000", s.Timestamp, time.Local)
		require.NoError(f, err)
		require.WithinDuration(f, time.Now(), at, time.Hour)
	}
	require.Equal(f, stats.Iterations, steps)
	require.Equal(f, stats.ContextTokens, context)
	want := n
	if !f.model.Features.WholeRequests {
		want += n / 2
	}
	require.EqualValues(f, want, completed)
	require.EqualValues(f, want, active)
	last := list[len(list)-1]
	require.Zero(f, last.NumActiveRequests+last.NumQueuedRequests+last.KVCacheStats.UsedNumBlocks)
	require.Equal(f, stats.KVCache, *last.KVCacheStats)
}

func requestStatsBehaviour(f *fixture) {
	f.run(f.short())
	require.Empty(f, f.RequestStats(), "they are not kept unless asked for")
	f.reopen(Config{RequestStats: 1000})
	prompts := map[uint64]int{}
	for i := range 4 {
		n := 5 + 20*i
		prompts[f.submit(executor.Request{InputIDs: f.prompt(n), MaxTokens: 5, Sampling: greedy})] = n
	}
	for id := range prompts {
		f.wait(id)
	}
	list := f.RequestStats()
	require.Empty(f, f.RequestStats(), "they are taken once")
	require.Len(f, list, int(f.Stats().Iterations))
	generated, stage := map[uint64]int{}, map[uint64]executor.RequestStage{}
	for _, iteration := range list {
		for _, s := range iteration.RequestStats {
			require.Contains(f, prompts, s.ID)
			require.GreaterOrEqual(f, s.Stage, stage[s.ID], "stages go forward where nothing is paused")
			require.GreaterOrEqual(f, s.NumGeneratedTokens, generated[s.ID])
			require.LessOrEqual(f, s.ContextPrefillPosition, prompts[s.ID])
			stage[s.ID], generated[s.ID] = s.Stage, s.NumGeneratedTokens
			if s.Stage == executor.StageComplete {
				require.Equal(f, prompts[s.ID], s.ContextPrefillPosition)
				require.Positive(f, s.AllocTotalBlocks)
			}
		}
	}
	for id := range prompts {
		require.Equal(f, executor.StageComplete, stage[id])
		require.Equal(f, 5, generated[id])
	}
}

// statisticsNamesBehaviour: the names of TensorRT-LLM's JsonSerialization.
func statisticsNamesBehaviour(f *fixture) {
	f.reopen(Config{RequestStats: 10})
	f.run(f.short())
	names := func(v any) []string {
		data, err := json.Marshal(v)
		require.NoError(f, err)
		var object map[string]any
		require.NoError(f, json.Unmarshal(data, &object))
		return slices.Sorted(maps.Keys(object))
	}
	sorted := func(names ...string) []string { return slices.Sorted(slices.Values(names)) }
	s := f.IterationStats()[0]
	require.Equal(f, sorted("timestamp", "iter", "iterLatencyMS", "newActiveRequestsQueueLatencyMS", "numNewActiveRequests", "numActiveRequests",
		"numQueuedRequests", "numCompletedRequests", "maxNumActiveRequests", "maxBatchSizeStatic", "maxBatchSizeTunerRecommended",
		"maxBatchSizeRuntime", "maxNumTokensStatic", "maxNumTokensTunerRecommended", "maxNumTokensRuntime", "gpuMemUsage", "cpuMemUsage",
		"pinnedMemUsage", "kvCacheStats", "inflightBatchingStats"), names(s))
	require.Equal(f, sorted("maxNumBlocks", "freeNumBlocks", "usedNumBlocks", "tokensPerBlock", "allocTotalBlocks", "allocNewBlocks",
		"reusedBlocks", "missedBlocks", "cacheHitRate"), names(s.KVCacheStats))
	require.Equal(f, sorted("numScheduledRequests", "numContextRequests", "numGenRequests", "numPausedRequests", "numCtxTokens", "microBatchId",
		"avgNumDecodedTokensPerIter"), names(s.InflightBatchingStats))
	r := f.RequestStats()[0]
	require.Equal(f, sorted("iter", "requestStats"), names(r))
	require.Equal(f, sorted("id", "stage", "contextPrefillPosition", "numGeneratedTokens", "avgNumDecodedTokensPerIter", "scheduled", "paused",
		"allocTotalBlocksPerRequest", "allocNewBlocksPerRequest", "reusedBlocksPerRequest", "missedBlocksPerRequest", "kvCacheHitRatePerRequest"),
		names(r.RequestStats[0]))
}
