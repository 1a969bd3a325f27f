//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/trtllm"
)

// prompts are n prompts that begin differently, of a length each.
func prompts(n, length int) []trtllm.Request {
	list := make([]trtllm.Request, n)
	for i := range list {
		ids := make([]int32, length)
		for j := range ids {
			ids[j] = int32((7*i + 3*j + i*j) % 250)
		}
		list[i] = trtllm.Request{InputIDs: ids, MaxTokens: 80, EndIDs: []int32{}}
	}
	return list
}

func outputs(t *testing.T, results []trtllm.Result) (ids [][]int32, paused int) {
	t.Helper()
	for _, r := range results {
		require.NoError(t, r.Err)
		ids = append(ids, r.Response.OutputIDs)
		paused += r.Response.Cache.Paused
	}
	return ids, paused
}

// Both policies give the same tokens; where blocks run out, only one pauses.
func TestCapacityPolicies(t *testing.T) {
	dir := engineDir(t, "llama-gqa", "bfloat16")
	requests := prompts(8, 20)
	want, paused := outputs(t, open(t, dir).GenerateBatch(t.Context(), requests))
	require.Zero(t, paused)

	kept := open(t, dir, trtllm.WithKVCacheTokens(128))
	got, paused := outputs(t, kept.GenerateBatch(t.Context(), requests))
	require.Equal(t, want, got)
	require.Zero(t, paused)

	packed := open(t, dir, trtllm.WithKVCacheTokens(128), trtllm.WithCapacityPolicy(trtllm.MaxUtilization))
	got, paused = outputs(t, packed.GenerateBatch(t.Context(), requests))
	require.Equal(t, want, got)
	require.Positive(t, paused)
	require.GreaterOrEqual(t, packed.Stats().PausedRequests, uint64(1))
	require.Zero(t, packed.Stats().KVBlocksUsed)
}

// A prompt that was there is not computed again: unless it has another salt, or nothing
// is taken over at all. Tokens and log-probs are the same.
func TestBlockReuse(t *testing.T) {
	dir := engineDir(t, "llama-gqa", "bfloat16")
	e := open(t, dir)
	r := prompts(1, 80)[0]
	r.LogProbs, r.MaxTokens = true, 20
	generate := func(e *trtllm.Engine, salt uint64) *trtllm.Response {
		r.CacheSalt = salt
		response, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		return response
	}
	first := generate(e, 0)
	require.Zero(t, first.Cache.ReusedTokens)
	again := generate(e, 0)
	require.GreaterOrEqual(t, again.Cache.ReusedTokens, 64)
	require.EqualValues(t, again.Cache.ReusedTokens, e.Stats().ReusedTokens)
	require.Zero(t, generate(e, 5).Cache.ReusedTokens, "another salt")
	require.Positive(t, generate(e, 5).Cache.ReusedTokens)
	require.Positive(t, e.Stats().KVBlocksCached)
	without := open(t, dir, trtllm.WithBlockReuse(false))
	for range 2 {
		response := generate(without, 0)
		require.Zero(t, response.Cache.ReusedTokens)
		require.Equal(t, first.OutputIDs, response.OutputIDs)
		require.Equal(t, first.LogProbs, response.LogProbs)
	}
	require.Zero(t, without.Stats().KVBlocksCached)
	require.Equal(t, untimed(first.Sequence), untimed(again.Sequence))
}

// One more request than the queue holds is refused, at once and alone.
func TestQueueLimit(t *testing.T) {
	e := open(t, engineDir(t, "llama-text", "bfloat16"), trtllm.WithMaxBatchSize(1), trtllm.WithMaxQueueSize(2))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	running := make(chan struct{})
	r := trtllm.Request{InputIDs: []int32{1, 2, 3}, EndIDs: []int32{}}
	wait.Go(func() {
		first := true
		for range e.Stream(ctx, r) {
			if first {
				close(running)
			}
			first = false
		}
	})
	<-running
	for range 2 {
		wait.Go(func() {
			if _, err := e.Generate(ctx, r); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return e.Stats().QueuedRequests == 2 }, 20*time.Second, time.Millisecond)
	_, err := e.Generate(ctx, r)
	require.ErrorIs(t, err, trtllm.ErrQueueFull)
	var failed *trtllm.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, trtllm.CodeQueueFull, failed.Code)
	cancel()
	wait.Wait()
	r.MaxTokens = 2
	_, err = e.Generate(t.Context(), r)
	require.NoError(t, err, "there is room again")
}

// A processor sees the rows of the requests that want it, in one call for a step, and
// its failure is theirs alone.
func TestLogitsProcessor(t *testing.T) {
	broken := errors.New("broken")
	most := 0
	dir := engineDir(t, "llama-gqa", "bfloat16")
	e := open(t, dir, trtllm.WithLogitsProcessor(func(rows []trtllm.ProcessorRow) error {
		most = max(most, len(rows))
		for _, row := range rows {
			switch data := row.Data.(type) {
			case int32: // only this token, and then the next ones
				for id := range row.Logits {
					if id != int(data)+row.Generated {
						row.Logits[id] -= 1e6
					}
				}
			case error:
				return data
			case string:
				panic(data)
			}
		}
		return nil
	}))
	plain := trtllm.Request{InputIDs: []int32{1, 2, 3}, MaxTokens: 4, EndIDs: []int32{}, LogProbs: true}
	want, err := open(t, dir).Generate(t.Context(), plain)
	require.NoError(t, err)
	with := func(data any) trtllm.Request {
		r := plain
		r.ProcessorData = data
		return r
	}
	results := e.GenerateBatch(t.Context(), []trtllm.Request{plain, with(int32(10)), with(int32(100)), with(int32(200))})
	for i, ids := range [][]int32{want.OutputIDs, {10, 11, 12, 13}, {100, 101, 102, 103}, {200, 201, 202, 203}} {
		require.NoError(t, results[i].Err)
		require.Equal(t, ids, results[i].Response.OutputIDs)
	}
	require.Equal(t, want.LogProbs, results[0].Response.LogProbs)
	require.Greater(t, most, 1)

	for data, is := range map[any]error{error(broken): broken, "a panic": nil} {
		var wait sync.WaitGroup
		wait.Go(func() {
			if r, err := e.Generate(t.Context(), plain); err != nil || !slices.Equal(r.OutputIDs, want.OutputIDs) {
				t.Error("disturbed", err)
			}
		})
		_, err = e.Generate(t.Context(), with(data))
		var failed *trtllm.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, trtllm.CodeFailed, failed.Code)
		require.ErrorIs(t, err, trtllm.ErrFailed)
		if is != nil {
			require.ErrorIs(t, err, is)
		} else {
			require.ErrorContains(t, err, "a panic")
		}
		wait.Wait()
	}
	_, err = open(t, dir).Generate(t.Context(), with(int32(1)))
	require.ErrorIs(t, err, trtllm.ErrInvalidRequest, "an engine without a processor")
}

// Records of iterations and requests are kept as the options say.
func TestRecordedStats(t *testing.T) {
	dir := engineDir(t, "llama-gqa", "bfloat16")
	e := open(t, dir, trtllm.WithIterationStats(3), trtllm.WithRequestStats(100))
	r := trtllm.Request{InputIDs: []int32{1, 2, 3}, MaxTokens: 6, EndIDs: []int32{}}
	response, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	iterations := e.IterationStats()
	require.Len(t, iterations, 3, "the last ones")
	require.Empty(t, e.IterationStats())
	require.Equal(t, iterations[0].Iter+2, iterations[2].Iter)
	require.NotNil(t, iterations[0].KVCacheStats)
	generated := 0
	for _, iteration := range e.RequestStats() {
		for _, s := range iteration.RequestStats {
			require.Equal(t, response.RequestID, s.ID)
			require.GreaterOrEqual(t, s.NumGeneratedTokens, generated)
			generated = s.NumGeneratedTokens
		}
	}
	require.Positive(t, generated)

	none := open(t, dir, trtllm.WithIterationStats(0))
	_, err = none.Generate(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, none.IterationStats())
	require.Empty(t, none.RequestStats(), "the default")
}

// The log tells the memory plan that Stats tells.
func TestMemoryPlan(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e := open(t, engineDir(t, "llama-gqa", "bfloat16"), trtllm.WithLogger(log), trtllm.WithKVCacheTokens(256), trtllm.WithMaxNumTokens(40))
	require.Equal(t, 40, e.Config().MaxNumTokens)
	memory := e.Stats().Memory
	require.Positive(t, memory.Weights)
	require.Positive(t, memory.KVCache)
	require.Positive(t, memory.Activations)
	require.Contains(t, text.String(), `"msg":"engine opened"`)
	require.Contains(t, text.String(), `"kv_cache_tokens":256`)
	require.NoError(t, e.Close())
	require.Equal(t, 1, strings.Count(text.String(), `"msg":"engine closed"`))
	require.NotContains(t, text.String(), `"level":"WARN"`)
	smaller := open(t, engineDir(t, "llama-gqa", "bfloat16"), trtllm.WithKVCacheTokens(128), trtllm.WithMaxNumTokens(20)).Stats().Memory
	require.Equal(t, memory.KVCache, 2*smaller.KVCache)
	require.Less(t, smaller.Activations, memory.Activations)
}

// A stop word stops computing for its sequence, and its siblings go on.
func TestStopWordStopsComputing(t *testing.T) {
	e := open(t, engineDir(t, "llama-text", "bfloat16"))
	r := trtllm.Request{
		Prompt: "Once upon a time", MaxTokens: 200, EndIDs: []int32{},
		Sampling: trtllm.Sampling{Temperature: 1, NumReturnSequences: 2, Seed: 3},
	}
	free, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	a, b := free.Sequences[0], free.Sequences[1]
	// A word of the first one's text that the second one does not have.
	word := ""
	for at := 20; at+12 < len(a.Text) && word == ""; at++ {
		if w := strings.ToValidUTF8(a.Text[at:at+12], ""); len(w) == 12 && !strings.Contains(b.Text, w) && strings.Index(a.Text, w) == at {
			word = w
		}
	}
	require.NotEmpty(t, word)
	before := e.Stats().GeneratedTokens
	r.StopWords, r.TrimStopWords = []string{word}, true
	stopped, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, trtllm.FinishStop, stopped.FinishReason)
	require.Equal(t, a.Text[:strings.Index(a.Text, word)], stopped.Text)
	n := len(stopped.OutputIDs)
	require.Equal(t, a.OutputIDs[:n], stopped.OutputIDs)
	require.Equal(t, untimed(b), untimed(stopped.Sequences[1]))
	// The step that was on its way may have had one more, and a slow reader some.
	require.Less(t, e.Stats().GeneratedTokens-before, uint64(200+n+100))
	require.Zero(t, e.Stats().CancelledRequests)
}
