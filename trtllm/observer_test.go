package trtllm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// watch collects an engine's summaries.
func watch(e *Engine) (summaries func() []RequestSummary, stop func()) {
	var mu sync.Mutex
	var all []RequestSummary
	stop = e.Observe(func(s RequestSummary) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
	})
	return func() []RequestSummary {
		mu.Lock()
		defer mu.Unlock()
		return all
	}, stop
}

func TestObserve(t *testing.T) {
	x := &scripted{}
	e := scriptedEngine(t, x)
	summaries, stop := watch(e)
	last := func() RequestSummary {
		all := summaries()
		return all[len(all)-1]
	}

	// Two sequences, one of them ended by a stop word.
	x.answer = func(executor.Request) ([]executor.Response, error) {
		second := tokens(1, executor.FinishLength, 'x', 'y')
		second[1].Timing = executor.Timing{Scheduled: 3, FirstToken: 5, LastToken: 8}
		second[1].KVCache = executor.RequestCache{ReusedTokens: 2, Paused: 1}
		return final(tokens(0, 0, 'a', '.', 'c'), second), nil
	}
	_, err := e.Generate(t.Context(), Request{InputIDs: []int32{1, 2, 3}, StopWords: []string{"."}, Sampling: Sampling{NumReturnSequences: 2}})
	require.NoError(t, err)
	require.Equal(t, RequestSummary{RequestID: 1, InputTokens: 3, Sequences: []SequenceSummary{
		{OutputTokens: 2, FinishReason: FinishStop},
		{OutputTokens: 2, FinishReason: FinishLength, Timing: Timing{3, 5, 8}, Cache: SequenceCache{2, 1}},
	}}, last())

	// One that fails.
	broken := errors.New("broken")
	x.answer = func(executor.Request) ([]executor.Response, error) {
		return final(tokens(0, 0, 'a'), []executor.Response{{Err: broken}}), nil
	}
	_, err = chunksOf(t.Context(), e, Request{InputIDs: []int32{1}})
	require.ErrorIs(t, err, broken)
	require.Same(t, err, last().Err)
	require.Equal(t, 1, last().Sequences[0].OutputTokens)

	// One that is refused, by the executor and before it.
	x.answer = func(executor.Request) ([]executor.Response, error) { return nil, executor.ErrQueueFull }
	for _, r := range []Request{{InputIDs: []int32{1}}, {InputIDs: []int32{1}, Prompt: "both"}} {
		_, err = e.Generate(t.Context(), r)
		require.Error(t, err)
		require.Equal(t, RequestSummary{Err: err}, last())
	}

	// One whose loop is left.
	x.answer = func(executor.Request) ([]executor.Response, error) { return tokens(0, 0, 'a', 'b'), nil }
	for range e.Stream(t.Context(), Request{InputIDs: []int32{1}}) {
		break
	}
	require.NoError(t, last().Err)
	require.Equal(t, FinishCancelled, last().Sequences[0].FinishReason)
	require.Len(t, summaries(), 5)

	stop()
	stop()
	x.answer = saying("a")
	_, err = e.Generate(t.Context(), Request{InputIDs: []int32{1}})
	require.NoError(t, err)
	require.Len(t, summaries(), 5)
}

// Observers come and go while requests run; each sees every request once.
func TestObserversAtOnce(t *testing.T) {
	e := scriptedEngine(t, &scripted{answer: saying("a")})
	var all atomic.Int64
	defer e.Observe(func(RequestSummary) { all.Add(1) })()
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			_, stop := watch(e)
			defer stop()
			if _, err := e.Generate(t.Context(), Request{InputIDs: []int32{1}}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, 16, all.Load())
	require.Len(t, e.observers, 1)
}

// The engine says what it has opened and, once, what it has done.
func TestLog(t *testing.T) {
	var text strings.Builder
	x := &scripted{stats: executor.Stats{
		KVBlocksTotal: 64, FinishedRequests: 9, CancelledRequests: 2, GeneratedTokens: 70, ReusedTokens: 8,
		Memory: executor.Memory{Available: 4000, Weights: 3000, KVCache: 2000, Activations: 1000},
	}}
	e := scriptedEngine(t, x)
	e.log = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e.logOpened("my-engine")
	require.Equal(t, 1, strings.Count(text.String(), "\n"))
	for _, want := range []string{
		"level=DEBUG", `msg="engine opened"`, "dir=my-engine", "max_seq_len=192", "weights_bytes=3000",
		"kv_cache_tokens=512", "kv_cache_blocks=64", "kv_cache_bytes=2000", "activations_bytes=1000", "available_bytes=4000",
	} {
		require.Contains(t, text.String(), want)
	}
	text.Reset()
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	require.Equal(t, 1, strings.Count(text.String(), "\n"))
	for _, want := range []string{"level=DEBUG", `msg="engine closed"`, "requests=9", "cancelled=2", "generated_tokens=70", "reused_tokens=8"} {
		require.Contains(t, text.String(), want)
	}
}

// A processor gets the executor's rows, changes them in place, and keeps nothing.
func TestLogitsProcessorRows(t *testing.T) {
	var seen []ProcessorRow
	fails := errors.New("mine")
	var kept []ProcessorRow
	leaf := LogitsProcessor(func(rows []ProcessorRow) error {
		kept = rows
		seen = append(seen, rows...)
		for _, r := range rows {
			r.Logits[0] = 7
		}
		if len(rows) == 1 {
			return fails
		}
		return nil
	}).leaf()
	rows := []executor.ProcessorRow{
		{ClientID: 3, Sequence: 1, Data: "a", Tokens: []int32{1, 2}, Generated: 1, Logits: []float32{0, 1}},
		{ClientID: 4, Data: 5, Tokens: []int32{6}, Logits: []float32{0, 2}},
	}
	require.NoError(t, leaf(rows))
	require.Equal(t, []ProcessorRow{
		{RequestID: 3, Sequence: 1, Data: "a", Tokens: []int32{1, 2}, Generated: 1, Logits: []float32{7, 1}},
		{RequestID: 4, Data: 5, Tokens: []int32{6}, Logits: []float32{7, 2}},
	}, seen)
	require.InDelta(t, 7, rows[1].Logits[0], 0)
	require.Zero(t, kept[0], "the rows are the executor's again")
	require.ErrorIs(t, leaf(rows[:1]), fails)
	require.Nil(t, LogitsProcessor(nil).leaf())
}

// With many loops, cancels and ends at once, every request ends once and nothing is
// left in the engine.
func TestManyEndsAtOnce(t *testing.T) {
	e, _ := toyEngine(t)
	summaries, _ := watch(e)
	const n = 60
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := Request{InputIDs: []int32{int32(i), 3}, MaxTokens: 40, EndIDs: []int32{}, StopWords: []string{"e"}, TrimStopWords: i%2 == 0}
			seen := 0
			for _, err := range e.Stream(ctx, r) {
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if seen++; seen > i%11 {
					if i%3 == 0 {
						break
					}
					cancel()
				}
			}
		})
	}
	wait.Wait()
	require.Len(t, summaries(), n)
	ids := map[uint64]bool{}
	for _, s := range summaries() {
		ids[s.RequestID] = true
		if s.Err != nil {
			require.ErrorIs(t, s.Err, context.Canceled, fmt.Sprint(s))
		}
	}
	require.Len(t, ids, n)
	require.Empty(t, e.calls)
	stats := e.Stats()
	require.Zero(t, stats.ActiveRequests+stats.QueuedRequests+stats.KVBlocksUsed)
}
