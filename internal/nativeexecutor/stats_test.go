package nativeexecutor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// tell makes upstream say something in its statistics.
func (f *fake) tell(iterations, requests string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.iterations, f.reqStats = iterations, requests
}

// Upstream records when nothing is left, and then counts once more what ended, and what
// began before; what the self-check took is taken off.
func TestIterationStats(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	require.Empty(t, e.IterationStats())
	f.tell(`[
		{"iter":2,"numNewActiveRequests":2,"numCompletedRequests":0,"numActiveRequests":2,"inflightBatchingStats":{"numScheduledRequests":2,"numCtxTokens":7},
		 "kvCacheStats":{"maxNumBlocks":10,"usedNumBlocks":4,"freeNumBlocks":6,"tokensPerBlock":4,"allocTotalBlocks":5,"allocNewBlocks":5,"reusedBlocks":1,"missedBlocks":3,"cacheHitRate":0.25}},
		{"iter":3,"numNewActiveRequests":0,"numCompletedRequests":1,"numActiveRequests":1,"inflightBatchingStats":{"numScheduledRequests":1},"kvCacheStats":null},
		{"iter":4,"numNewActiveRequests":2,"numCompletedRequests":1,"numActiveRequests":0,"inflightBatchingStats":{"numScheduledRequests":0},
		 "kvCacheStats":{"maxNumBlocks":10,"usedNumBlocks":0,"freeNumBlocks":10,"tokensPerBlock":4,"allocTotalBlocks":6,"allocNewBlocks":6,"reusedBlocks":1,"missedBlocks":3,"cacheHitRate":0.25}},
		{"iter":4,"numNewActiveRequests":1,"numCompletedRequests":1,"numActiveRequests":1,"inflightBatchingStats":{"numScheduledRequests":1},"staticBatchingStats":null,"specDecodingStats":null}
	]`, "")
	list := e.IterationStats()
	require.Len(t, list, 3)
	var completed, fresh int
	for _, s := range list {
		completed += s.NumCompletedRequests
		fresh += s.NumNewActiveRequests
	}
	require.Equal(t, 2, completed)
	require.Equal(t, 3, fresh)
	require.Zero(t, list[1].NumActiveRequests)
	require.Equal(t, executor.KVCacheStats{
		MaxNumBlocks: 10, FreeNumBlocks: 10, TokensPerBlock: 4, AllocTotalBlocks: 5, AllocNewBlocks: 5, ReusedBlocks: 1, MissedBlocks: 2, CacheHitRate: 1.0 / 3,
	}, *list[1].KVCacheStats)
	require.Equal(t, *list[1].KVCacheStats, e.Stats().KVCache)
	require.EqualValues(t, 3, e.Stats().Iterations)
	require.Zero(t, e.Stats().KVBlocksUsed)

	f.tell(`[{"iter":5,"numCompletedRequests":2,"inflightBatchingStats":{"numScheduledRequests":0}}]`, "")
	list = e.IterationStats()
	require.Len(t, list, 1, "the one before it was taken: what ended is told all the same")
	require.Equal(t, 2, list[0].NumCompletedRequests)
	f.tell(`[{"iter":5,"numCompletedRequests":2,"inflightBatchingStats":{"numScheduledRequests":1}}]`, "")
	require.Zero(t, e.IterationStats()[0].NumCompletedRequests)

	for _, bad := range []string{"", "null", "{}", "[1]", `[{"iter":-1}]`} { // it is logged
		f.tell(bad, "")
		require.Empty(t, e.IterationStats(), bad)
	}
}

func TestIterationStatsAreBounded(t *testing.T) {
	for most, want := range map[int]int{-1: 0, 2: 2} {
		f := newFake()
		o := options()
		o.IterationStats = most
		e := open(t, f, o)
		one := `{"iter":1,"inflightBatchingStats":{"numScheduledRequests":1}}`
		f.tell("["+one+","+one+","+one+"]", "")
		require.Len(t, e.IterationStats(), want)
		require.EqualValues(t, 3, e.Stats().Iterations)
	}
}

// Upstream tells of sequences by ids of its own, and of those that ended once.
func TestRequestStats(t *testing.T) {
	f := newFake()
	o := options()
	o.RequestStats = 100
	e := open(t, f, o)
	r := brief(9)
	r.Sampling.NumReturnSequences = 2
	require.NoError(t, e.Submit(r)) // 2 and 3 for upstream
	f.tell("[]", `[
		{"iter":2,"requestStats":[
			{"id":2,"stage":"CONTEXT_IN_PROGRESS","contextPrefillPosition":1,"numGeneratedTokens":0,"scheduled":true,"paused":false,"disServingStats":null,"allocTotalBlocksPerRequest":2},
			{"id":3,"stage":"QUEUED","scheduled":false},{"id":1,"stage":"GENERATION_COMPLETE","scheduled":false},{"id":77,"stage":"QUEUED"}]},
		{"iter":3,"requestStats":[
			{"id":2,"stage":"GENERATION_IN_PROGRESS","contextPrefillPosition":1,"numGeneratedTokens":2,"scheduled":true,"allocTotalBlocksPerRequest":2,"reusedBlocksPerRequest":1,"missedBlocksPerRequest":1},
			{"id":3,"stage":"GENERATION_IN_PROGRESS","contextPrefillPosition":1,"numGeneratedTokens":1,"scheduled":true,"allocTotalBlocksPerRequest":2,"reusedBlocksPerRequest":0,"missedBlocksPerRequest":2}]},
		{"iter":4,"requestStats":[
			{"id":3,"stage":"GENERATION_IN_PROGRESS","contextPrefillPosition":1,"numGeneratedTokens":2,"scheduled":true},
			{"id":2,"stage":"GENERATION_COMPLETE","contextPrefillPosition":1,"numGeneratedTokens":3,"scheduled":false}]},
		{"iter":5,"requestStats":[{"id":3,"stage":"GENERATION_IN_PROGRESS","contextPrefillPosition":1,"numGeneratedTokens":3,"scheduled":true}]},
		{"iter":5,"requestStats":[{"id":3,"stage":"GENERATION_COMPLETE","contextPrefillPosition":1,"numGeneratedTokens":4,"scheduled":false}]}
	]`)
	got := e.RequestStats()
	require.Empty(t, e.RequestStats())
	type row struct {
		Iter      uint64
		Stage     executor.RequestStage
		Generated int
		Blocks    int
		Rate      float64
		Scheduled bool
	}
	var rows []row
	for _, i := range got {
		require.Len(t, i.RequestStats, 1)
		s := i.RequestStats[0]
		require.EqualValues(t, 9, s.ID)
		require.Equal(t, 1, s.ContextPrefillPosition)
		rows = append(rows, row{i.Iter, s.Stage, s.NumGeneratedTokens, s.AllocTotalBlocks, s.KVCacheHitRate, s.Scheduled})
	}
	require.Equal(t, []row{
		{2, executor.StageContext, 0, 2, 0, true},
		{3, executor.StageGeneration, 3, 4, 0.25, true},
		{4, executor.StageGeneration, 5, 0, 0, true},
		{5, executor.StageComplete, 7, 0, 0, true},
	}, rows)

	// What has ended is forgotten, but not before upstream may have told of it.
	f.push(last(f.requests[0], 2, executor.FinishLength, 1), last(f.requests[1], 3, executor.FinishLength, 1))
	collect(t, e, 1)
	f.tell("[]", `[{"iter":6,"requestStats":[{"id":3,"stage":"GENERATION_COMPLETE","scheduled":false}]}]`)
	require.Len(t, e.RequestStats(), 1)
	for range 3 {
		e.RequestStats()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Empty(t, e.records.known)
}

func TestStages(t *testing.T) {
	var s stage
	for text, want := range map[string]executor.RequestStage{
		`"QUEUED"`: executor.StageQueued, `"CONTEXT_IN_PROGRESS"`: executor.StageContext, `"ANOTHER"`: executor.StageQueued, `3`: executor.StageGeneration,
	} {
		require.NoError(t, s.UnmarshalJSON([]byte(text)))
		require.Equal(t, want, executor.RequestStage(s))
	}
	require.Error(t, s.UnmarshalJSON([]byte(`{}`)))
	require.Error(t, s.UnmarshalJSON([]byte(`"x`)))
}
