package trtllm

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// Results come in the order of the requests, whatever order they end in.
func TestBatchKeepsOrder(t *testing.T) {
	x := &scripted{}
	e := scriptedEngine(t, x)
	const n = 20
	requests := make([]Request, n)
	for i := range requests {
		requests[i] = Request{InputIDs: []int32{int32(i)}, MaxTokens: 2}
	}
	done := make(chan []Result)
	go func() { done <- e.GenerateBatch(t.Context(), requests) }()
	x.waitSubmitted(t, n)
	for i := range n {
		require.Equal(t, []int32{int32(i)}, x.requests[i].InputIDs, "they are queued in order, and all before any has ended")
	}
	for i := n - 1; i >= 0; i-- { // the last one ends first
		for _, r := range final(tokens(0, executor.FinishLength, int32('a'+i))) {
			r.ClientID = x.requests[i].ClientID
			x.send(r)
		}
	}
	for i, result := range <-done {
		require.NoError(t, result.Err)
		require.Equal(t, string(rune('a'+i)), result.Response.Text)
		require.Equal(t, []int32{int32(i)}, result.Response.InputIDs)
		require.Equal(t, x.requests[i].ClientID, result.Response.RequestID)
	}
}

// A request that fails, at once or later, loses none of the others.
func TestBatchKeepsTheOthers(t *testing.T) {
	broken := errors.New("broken")
	e := scriptedEngine(t, &scripted{answer: func(r executor.Request) ([]executor.Response, error) {
		switch r.InputIDs[0] {
		case 1:
			return nil, fmt.Errorf("%w: 1 waits", executor.ErrQueueFull)
		case 2:
			return final(tokens(0, 0, 'x'), []executor.Response{{Err: broken}}), nil
		}
		return final(tokens(0, executor.FinishEnd, 'a', 'b')), nil
	}})
	results := e.GenerateBatch(t.Context(), []Request{
		{InputIDs: []int32{0}}, {InputIDs: []int32{1}}, {InputIDs: []int32{2}}, {InputIDs: []int32{3}, Prompt: "both"}, {InputIDs: []int32{4}},
	})
	require.Len(t, results, 5)
	for _, i := range []int{0, 4} {
		require.NoError(t, results[i].Err)
		require.Equal(t, "ab", results[i].Response.Text)
	}
	requireError(t, results[1].Err, "generate", CodeQueueFull, ErrQueueFull)
	require.Nil(t, results[1].Response)
	requireError(t, results[2].Err, "generate", CodeFailed, broken)
	require.Equal(t, "x", results[2].Response.Text, "what was there before")
	requireError(t, results[3].Err, "generate", CodeInvalidRequest, ErrInvalidRequest)
	require.Empty(t, e.calls)
}

// A context's end cancels those that run; what had ended stays.
func TestBatchIsCancelled(t *testing.T) {
	x := &scripted{}
	x.answer = func(r executor.Request) ([]executor.Response, error) {
		if r.InputIDs[0] == 0 {
			return final(tokens(0, executor.FinishEnd, 'a')), nil
		}
		return tokens(0, 0, 'b'), nil
	}
	e := scriptedEngine(t, x)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []Result)
	go func() {
		done <- e.GenerateBatch(ctx, []Request{{InputIDs: []int32{0}}, {InputIDs: []int32{1}}, {InputIDs: []int32{2}}})
	}()
	x.waitSubmitted(t, 3)
	require.Eventually(t, func() bool { // the first one's end was taken
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.calls[1] == nil
	}, testTimeout, testTick)
	cancel()
	results := <-done
	if results[0].Err == nil { // it may not have looked at its end yet
		require.Equal(t, "a", results[0].Response.Text)
	}
	for _, r := range results[1:] {
		requireError(t, r.Err, "generate", CodeCancelled, context.Canceled)
		require.Equal(t, "b", r.Response.Text)
		require.Equal(t, FinishCancelled, r.Response.FinishReason)
	}
	require.Empty(t, e.calls)
	for _, r := range e.GenerateBatch(ctx, make([]Request, 2)) {
		requireError(t, r.Err, "generate", CodeCancelled, context.Canceled)
	}
	require.Len(t, x.requests, 3, "nothing is queued when the context has ended")
}

func TestEmptyBatch(t *testing.T) {
	e := scriptedEngine(t, &scripted{})
	require.Empty(t, e.GenerateBatch(t.Context(), nil))
}

// A batch gives what each request gives alone.
func TestBatchEqualsEachAlone(t *testing.T) {
	e, _ := toyEngine(t)
	var requests []Request
	for i := range int32(30) {
		requests = append(requests, Request{InputIDs: []int32{i, 7, 3 * i}, MaxTokens: 5 + int(i), EndIDs: []int32{}})
	}
	for i, r := range e.GenerateBatch(t.Context(), requests) {
		require.NoError(t, r.Err)
		require.Equal(t, executortest.Greedy(requests[i].InputIDs, requests[i].MaxTokens, testVocabSize), r.Response.OutputIDs)
	}
}
