package executortest

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours of the executor itself: what it refuses, cancelling, closing.

func invalidBehaviour(f *fixture) {
	vocabulary := int32(f.model.VocabSize)
	nan := float32(math.NaN())
	for _, change := range []func(*executor.Request){
		func(r *executor.Request) { r.InputIDs = nil },
		func(r *executor.Request) { r.InputIDs = []int32{1, -1} },
		func(r *executor.Request) { r.InputIDs = []int32{vocabulary} },
		func(r *executor.Request) { r.MaxTokens = 0 },
		func(r *executor.Request) { r.MaxTokens = -1 },
		func(r *executor.Request) { r.EndIDs = []int32{vocabulary} },
		func(r *executor.Request) { r.StopSequences = [][]int32{{}} },
		func(r *executor.Request) { r.StopSequences = [][]int32{{-5}} },
		func(r *executor.Request) { r.BadSequences = [][]int32{nil} },
		func(r *executor.Request) { r.BadSequences = [][]int32{{0, vocabulary}} },
		func(r *executor.Request) { r.Priority = -0.1 },
		func(r *executor.Request) { r.Priority = 1.1 },
		func(r *executor.Request) { r.Priority = nan },
		func(r *executor.Request) { r.AllottedTime = -time.Second },
		func(r *executor.Request) { r.Sampling.BeamWidth = -1 },
		func(r *executor.Request) { r.Sampling.NumReturnSequences = -1 },
		func(r *executor.Request) { r.Sampling.NumReturnSequences = 1 << 40 },
		func(r *executor.Request) { r.Sampling.TopK = -1 },
		func(r *executor.Request) { r.Sampling.TopP = -0.5 },
		func(r *executor.Request) { r.Sampling.TopP = 1.5 },
		func(r *executor.Request) { r.Sampling.TopP = nan },
		func(r *executor.Request) { r.Sampling.MinP = 2 },
		func(r *executor.Request) { r.Sampling.Temperature = -1 },
		func(r *executor.Request) { r.Sampling.Temperature = float32(math.Inf(1)) },
		func(r *executor.Request) { r.Sampling.MinTokens = -1 },
		func(r *executor.Request) { r.Sampling.RepetitionPenalty = -1 },
		func(r *executor.Request) { r.Sampling.PresencePenalty = nan },
		func(r *executor.Request) { r.Sampling.FrequencyPenalty = nan },
		func(r *executor.Request) { r.Sampling.NoRepeatNgramSize = -1 },
		func(r *executor.Request) { r.Sampling.Bias = map[int32]float32{vocabulary: 1} },
		func(r *executor.Request) { r.Sampling.Bias = map[int32]float32{0: nan} },
	} {
		r := executor.Request{ClientID: 1, InputIDs: f.prompt(4), MaxTokens: 4}
		change(&r)
		require.ErrorIs(f, f.Submit(r), executor.ErrInvalidRequest, "%+v", r)
	}
	// Nothing was queued, and the id is free.
	require.Len(f, f.run(executor.Request{InputIDs: f.prompt(4), MaxTokens: 4, Sampling: greedy}).ids, 4)
}

func tooLongBehaviour(f *fixture) {
	contains := func(err error, numbers ...int) {
		require.ErrorIs(f, err, executor.ErrTooLong)
		for _, n := range numbers {
			require.Contains(f, err.Error(), strconv.Itoa(n))
		}
	}
	long := f.model.MaxInputLen + 1
	contains(f.Submit(executor.Request{ClientID: 1, InputIDs: f.prompt(long), MaxTokens: 1}), long, f.model.MaxInputLen)
	contains(f.Submit(executor.Request{ClientID: 1, InputIDs: f.prompt(9), MaxTokens: f.model.MaxSeqLen - 8}), 9, f.model.MaxSeqLen-8, f.model.MaxSeqLen)
	contains(f.Submit(executor.Request{ClientID: 1, InputIDs: f.prompt(9), MaxTokens: math.MaxInt}), 9, f.model.MaxSeqLen)
}

func idBehaviour(f *fixture) {
	r := executor.Request{ClientID: 77, InputIDs: f.prompt(4), MaxTokens: 3, Sampling: greedy}
	if f.hold() {
		require.NoError(f, f.Submit(r))
		require.ErrorIs(f, f.Submit(r), executor.ErrInvalidRequest)
		f.gate.Release()
		f.wait(77)
	}
	for range 100 { // nothing is kept of what has ended
		require.NoError(f, f.Submit(r))
		f.wait(77)
	}
}

// long is a request that runs until it is stopped.
func (f *fixture) long() executor.Request {
	return executor.Request{InputIDs: f.prompt(4), MaxTokens: f.model.MaxSeqLen - 4, Sampling: greedy, Streaming: true}
}

func cancelBehaviour(f *fixture) {
	f.needsGate()
	other := f.long()
	other.MaxTokens = 20
	want := f.run(other)

	f.hold()
	id, stays := f.submit(f.long()), f.submit(other)
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	f.Cancel(id) // within its first step
	f.Cancel(id)
	f.gate.Release()
	outputs := f.wait(id)
	require.Equal(f, executor.FinishCancelled, outputs[0].reason)
	require.LessOrEqual(f, len(outputs[0].ids), 1, "it ends after the running step")
	require.Equal(f, want.ids, f.wait(stays)[0].ids, "the others go on")
}

func cancelWaitingBehaviour(f *fixture) {
	f.needsGate()
	f.hold()
	running := f.submit(f.long())
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	waiting := f.submit(f.long())
	f.Cancel(waiting)
	f.Cancel(running)
	f.gate.Release()
	outputs := f.wait(waiting)
	require.Equal(f, executor.FinishCancelled, outputs[0].reason)
	require.Empty(f, outputs[0].ids)
	f.wait(running)
}

func cancelUnknownBehaviour(f *fixture) {
	f.Cancel(12345)
	id := f.submit(executor.Request{InputIDs: f.prompt(4), MaxTokens: 3, Sampling: greedy})
	f.wait(id)
	f.Cancel(id)
	f.Cancel(id)
	// Not remembered against a later request either.
	require.NoError(f, f.Submit(executor.Request{ClientID: id, InputIDs: f.prompt(4), MaxTokens: 3, Sampling: greedy}))
	require.Equal(f, executor.FinishLength, f.wait(id)[0].reason)
}

func cancelRaceBehaviour(f *fixture) {
	for i := range 50 {
		id := f.submit(executor.Request{InputIDs: f.prompt(4), MaxTokens: 1 + i%4, Sampling: greedy, Streaming: i%2 == 0})
		var wait sync.WaitGroup
		wait.Go(func() { f.Cancel(id) })
		reason := f.wait(id)[0].reason
		require.Contains(f, []executor.FinishReason{executor.FinishCancelled, executor.FinishLength}, reason)
		wait.Wait()
	}
}

func awaitBehaviour(f *fixture) {
	ctx, cancel := context.WithCancel(f.T.Context())
	cancel()
	_, err := f.Await(ctx)
	require.ErrorIs(f, err, context.Canceled)

	id := f.submit(executor.Request{InputIDs: f.prompt(4), MaxTokens: 30, Sampling: greedy, Streaming: true})
	tokens := 0
	for final := false; !final; { // responses that come while Await gives up are not lost
		ctx, cancel := context.WithTimeout(f.T.Context(), 10*time.Microsecond)
		responses, err := f.Await(ctx)
		cancel()
		if err != nil {
			require.ErrorIs(f, err, context.DeadlineExceeded)
		}
		for _, r := range responses {
			require.Equal(f, id, r.ClientID)
			tokens += len(r.OutputIDs)
			final = r.Final
		}
	}
	require.Equal(f, 30, tokens)
}

func closeBehaviour(f *fixture) {
	f.run(executor.Request{InputIDs: f.prompt(4), MaxTokens: 3, Sampling: greedy})
	require.NoError(f, f.Close())
	require.NoError(f, f.Close())
	require.ErrorIs(f, f.Submit(executor.Request{InputIDs: f.prompt(4), MaxTokens: 3, Sampling: greedy}), executor.ErrClosed)
	_, err := f.Await(f.T.Context())
	require.ErrorIs(f, err, executor.ErrClosed)
	f.Cancel(1)
	require.Zero(f, f.Stats().ActiveRequests)
}

func closeLiveBehaviour(f *fixture) {
	held := f.model.Features.Aborts && f.hold() // otherwise they run
	live := map[uint64]bool{}
	for range 20 {
		live[f.submit(f.long())] = true
	}
	if held {
		require.NoError(f, f.gate.Arrived(f.T.Context()))
	}
	var wait sync.WaitGroup
	wait.Go(func() { require.NoError(f, f.Close()) })
	for {
		responses, err := f.Await(f.T.Context())
		if err != nil {
			require.ErrorIs(f, err, executor.ErrClosed)
			break
		}
		for _, r := range responses {
			if r.Final {
				require.True(f, live[r.ClientID], "one final response each")
				delete(live, r.ClientID)
			}
			if held {
				require.Equal(f, executor.FinishCancelled, r.FinishReason)
				require.Empty(f, r.OutputIDs, "the step was aborted")
			}
		}
	}
	wait.Wait()
	require.Empty(f, live)
}

func closeManyBehaviour(f *fixture) {
	for range 10 {
		f.submit(f.long())
	}
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() { require.NoError(f, f.Close()) })
		wait.Go(func() { f.Cancel(uint64(i)) })
		wait.Go(func() {
			err := f.Submit(executor.Request{ClientID: uint64(1000 + i), InputIDs: []int32{1}, MaxTokens: 1, Sampling: greedy})
			if err != nil {
				require.ErrorIs(f, err, executor.ErrClosed)
			}
		})
		wait.Go(func() { f.Stats() })
	}
	wait.Wait()
}

func statsBehaviour(f *fixture) {
	before := f.Stats()
	require.Zero(f, before.ActiveRequests+before.QueuedRequests+before.KVBlocksUsed)
	require.Positive(f, before.KVBlocksTotal)
	require.Positive(f, before.TokensPerBlock)
	var ids []uint64
	for range 5 {
		ids = append(ids, f.submit(executor.Request{InputIDs: f.prompt(10), MaxTokens: 7, Sampling: greedy}))
	}
	for _, id := range ids {
		f.wait(id)
	}
	after := f.Stats()
	require.Equal(f, uint64(50), after.ContextTokens-before.ContextTokens)
	require.Equal(f, uint64(35), after.GeneratedTokens-before.GeneratedTokens)
	require.Equal(f, uint64(5), after.FinishedRequests-before.FinishedRequests)
	require.Greater(f, after.Iterations, before.Iterations)
	require.Zero(f, after.ActiveRequests+after.QueuedRequests+after.KVBlocksUsed, "nothing is held when all have ended")
}

func failureBehaviour(f *fixture) {
	f.needsSteps()
	broken := errors.New("broken")
	r := executor.Request{InputIDs: f.prompt(4), MaxTokens: 8, Sampling: greedy}
	want := f.run(r)
	f.gate.Before(func([]executor.Sequence) error { return broken })
	id := f.submit(r)
	_, err := f.waitError(id)
	f.caused(err, broken)
	f.gate.Before(nil)
	require.Equal(f, want.ids, f.run(r).ids)
	require.Zero(f, f.Stats().KVBlocksUsed)
}
