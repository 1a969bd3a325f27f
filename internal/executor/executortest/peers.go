package executortest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The bugs of other programs around an executor, each as a behaviour that would
// show it here. A name is the bug, then what is right.
var peers = []behaviour{
	{"error value taken for an id: a failing submit leaves no id and no entry", submitErrorBehaviour},
	{"use after erase: cancel and stop race with the end", eraseBehaviour},
	{"entry removed only when the client leaves: the table is empty after normal completions", tableBehaviour},
	{"empty final response indexed: the last response may have no tokens", emptyFinalBehaviour},
	{"unknown finish reason: it is called unknown", finishReasonBehaviour},
	{"assert on shape: a beam 2 response has two sequences", beamBehaviour},
	{"lock held over enqueue: slow submits do not block responses", slowSubmitBehaviour},
	{"shared last error: two goroutines get two errors", twoErrorsBehaviour},
	{"unguarded shutdown: closes twice, while awaiting, with requests in flight", shutdownBehaviour},
	{"already terminated reported as failure: cancel after finish is silent", cancelFinishedBehaviour},
}

// short is a request that ends by itself, soon.
func (f *fixture) short() executor.Request {
	return executor.Request{InputIDs: f.prompt(4), MaxTokens: 3, Sampling: greedy}
}

// empty asserts that nothing is left of any request.
func (f *fixture) empty() {
	f.Helper()
	stats := f.Stats()
	require.Zero(f, stats.ActiveRequests, "active requests")
	require.Zero(f, stats.QueuedRequests, "queued requests")
	require.Zero(f, stats.KVBlocksUsed, "KV blocks used")
}

// silent asserts that no response is there.
func (f *fixture) silent() {
	f.Helper()
	ctx, cancel := context.WithCancel(f.T.Context())
	cancel()
	responses, err := f.Await(ctx)
	require.ErrorIs(f, err, context.Canceled)
	require.Empty(f, responses)
	require.Empty(f, f.early)
}

func submitErrorBehaviour(f *fixture) {
	const id = 5
	before := f.Stats()
	refuse := func() {
		f.Helper()
		for _, change := range []func(*executor.Request){
			func(r *executor.Request) { r.MaxTokens = 0 },
			func(r *executor.Request) { r.InputIDs = f.prompt(f.model.MaxInputLen + 1) },
			func(r *executor.Request) { r.Sampling.TopP = 2 },
			func(r *executor.Request) { r.Sampling.BeamWidth = 1 << 30 },
		} {
			r := f.short()
			r.ClientID = id
			change(&r)
			require.Error(f, f.Submit(r))
		}
	}
	refuse()
	f.silent()
	require.Equal(f, before, f.Stats())
	// The id is free, and bad requests with it do nothing to the live one.
	r := f.short()
	r.ClientID, r.MaxTokens = id, 20
	held := f.hold()
	require.NoError(f, f.Submit(r))
	refuse()
	if held {
		f.gate.Release()
	}
	require.Len(f, f.wait(id)[0].ids, 20)
	require.Equal(f, before.FinishedRequests+1, f.Stats().FinishedRequests)
	f.empty()
}

func eraseBehaviour(f *fixture) {
	const n = 40
	var newest atomic.Uint64
	done := make(chan struct{})
	var wait sync.WaitGroup
	for i := range uint64(3) {
		wait.Go(func() {
			for k := uint64(0); ; k++ {
				select {
				case <-done:
					return
				default:
				}
				id := newest.Load() - (k+i)%4 // the newest and some that are over
				switch i {
				case 0:
					f.Cancel(id)
				case 1:
					f.Stop(id, int(k%3))
				default:
					f.Stats()
				}
				runtime.Gosched()
			}
		})
	}
	for i := range n {
		newest.Add(1)
		id := f.submit(executor.Request{
			InputIDs: f.prompt(3), MaxTokens: 1 + i%5, Streaming: i%2 == 0,
			Sampling: executor.Sampling{NumReturnSequences: 1 + i%3, Temperature: 1, Seed: uint64(i)},
		})
		outputs := f.wait(id)
		require.Len(f, outputs, 1+i%3)
		for _, o := range outputs {
			require.Contains(f, []executor.FinishReason{executor.FinishCancelled, executor.FinishStop, executor.FinishLength}, o.reason)
		}
	}
	close(done)
	wait.Wait()
	f.silent()
	f.empty()
}

func tableBehaviour(f *fixture) {
	const n = 60
	before := f.Stats()
	var ids []uint64
	for i := range n {
		r := f.short()
		r.MaxTokens, r.Streaming = 1+i%4, i%3 == 0
		ids = append(ids, f.submit(r))
	}
	for _, id := range ids {
		require.Equal(f, executor.FinishLength, f.wait(id)[0].reason)
	}
	// At once, without the client's doing.
	f.empty()
	f.silent()
	after := f.Stats()
	require.Equal(f, before.FinishedRequests+n, after.FinishedRequests)
	require.Equal(f, []uint64{before.CancelledRequests, before.TimedOutRequests, before.FailedRequests},
		[]uint64{after.CancelledRequests, after.TimedOutRequests, after.FailedRequests})
	for _, id := range ids { // every id is free
		r := f.short()
		r.ClientID, r.MaxTokens = id, 1
		require.NoError(f, f.Submit(r))
	}
	for _, id := range ids {
		f.wait(id)
	}
	f.empty()
}

func emptyFinalBehaviour(f *fixture) {
	// The first token ends it.
	r := executor.Request{
		InputIDs: f.prompt(5), MaxTokens: 8, Sampling: executor.Sampling{TopK: 1, NumReturnSequences: 2},
		LogProbs: true, GenerationLogits: true,
	}
	free := f.wait(f.submit(r))
	r.EndIDs = []int32{free[0].ids[0]}
	for _, r.Streaming = range []bool{false, true} {
		for _, o := range f.wait(f.submit(r)) {
			require.Equal(f, output{reason: executor.FinishEnd, responses: 1}, o.generated())
		}
	}
	if !f.hold() {
		return
	}
	// Cancelled while it waits, and in its first step.
	r.EndIDs = nil
	running := f.submit(r)
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	waiting := f.submit(r)
	f.Cancel(waiting)
	f.Cancel(running)
	f.gate.Release()
	for _, o := range f.wait(waiting) {
		require.Equal(f, output{reason: executor.FinishCancelled, responses: 1}, o.generated())
	}
	for _, o := range f.wait(running) {
		require.Equal(f, executor.FinishCancelled, o.reason)
		require.Len(f, o.logProbs, len(o.ids))
		require.Len(f, o.logits, len(o.ids))
	}
}

func finishReasonBehaviour(f *fixture) {
	for reason, want := range map[executor.FinishReason]string{
		executor.FinishNone: "", executor.FinishEnd: "end", executor.FinishStop: "stop", executor.FinishLength: "length",
		executor.FinishTimeout: "timeout", executor.FinishCancelled: "cancelled", 6: "unknown", 99: "unknown", -1: "unknown", -1 << 62: "unknown",
	} {
		require.Equal(f, want, reason.String())
	}
	require.NotEqual(f, "unknown", f.run(f.short()).reason.String())
}

func slowSubmitBehaviour(f *fixture) {
	// A long stream comes to its end while others submit what takes long to look at.
	large := f.short()
	for i := range 400 {
		large.StopSequences = append(large.StopSequences, f.prompt(1+i%20))
		large.BadSequences = append(large.BadSequences, f.prompt(5+i%20))
	}
	large.MaxTokens = f.model.MaxSeqLen // refused, after all has been looked at
	long := f.long()
	id := f.submit(long)
	done := make(chan struct{})
	var wait sync.WaitGroup
	for i := range uint64(3) {
		wait.Go(func() {
			r := large
			r.ClientID = 1000 + i
			for {
				if err := f.Submit(r); !errors.Is(err, executor.ErrTooLong) {
					f.Errorf("submit: %v", err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	require.Len(f, f.wait(id)[0].ids, long.MaxTokens)
	close(done)
	wait.Wait()

	// A response may be there before Submit has returned to the one who stores the id.
	for range 50 {
		r := f.short()
		f.lastID++
		r.ClientID, r.MaxTokens = f.lastID, 1
		var submitted atomic.Bool
		wait.Go(func() {
			if err := f.Submit(r); err != nil {
				f.Errorf("submit: %v", err)
			}
			submitted.Store(true)
		})
		require.Len(f, f.wait(r.ClientID)[0].ids, 1)
		wait.Wait()
		require.True(f, submitted.Load())
	}
}

func twoErrorsBehaviour(f *fixture) {
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for range 200 {
				r := executor.Request{ClientID: uint64(i + 1), InputIDs: []int32{int32(-100 - i)}, MaxTokens: 1}
				err := f.Submit(r)
				if !errors.Is(err, executor.ErrInvalidRequest) {
					f.Errorf("submit: %v", err)
					return
				}
				if want := fmt.Sprint(-100 - i); !slices.Contains(words(err.Error()), want) {
					f.Errorf("%q is another's error: it does not tell of token %s", err, want)
					return
				}
			}
		})
	}
	wait.Wait()
	f.silent()
}

// words cuts a message at everything that is no part of a number or word.
func words(text string) []string {
	var list []string
	word := ""
	for _, c := range text + " " {
		if c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			word += string(c)
			continue
		}
		if word != "" {
			list = append(list, word)
		}
		word = ""
	}
	return list
}

func shutdownBehaviour(f *fixture) {
	// With nothing to do, somebody awaits.
	awaiting := make(chan error, 1)
	go func() {
		_, err := f.Await(context.Background())
		awaiting <- err
	}()
	time.Sleep(time.Millisecond) // most likely it awaits by now
	require.NoError(f, f.Close())
	require.ErrorIs(f, <-awaiting, executor.ErrClosed)
	require.NoError(f, f.Close())

	// With requests running, waiting, and just coming.
	f.reopen(Config{})
	for range 20 {
		f.submit(f.long())
	}
	var wait sync.WaitGroup
	ended := map[uint64]int{}
	wait.Go(func() {
		for {
			responses, err := f.Await(context.Background())
			if err != nil {
				if !errors.Is(err, executor.ErrClosed) {
					f.Errorf("await: %v", err)
				}
				return
			}
			for _, r := range responses {
				if r.Final {
					ended[r.ClientID]++
				}
			}
		}
	})
	var late atomic.Int64
	for i := range uint64(4) {
		wait.Go(func() {
			for k := uint64(0); ; k++ {
				r := executor.Request{ClientID: (i+1)<<32 + k, InputIDs: []int32{1, 2}, MaxTokens: 2, Sampling: greedy}
				if err := f.Submit(r); err != nil {
					if !errors.Is(err, executor.ErrClosed) {
						f.Errorf("submit: %v", err)
					}
					return
				}
				late.Add(1)
				runtime.Gosched()
			}
		})
	}
	time.Sleep(time.Millisecond)
	require.NoError(f, f.Close())
	require.NoError(f, f.Close())
	wait.Wait()
	require.Len(f, ended, 20+int(late.Load()), "what was queued has its end")
	for id, n := range ended {
		require.Equal(f, 1, n, "ends of request %d", id)
	}
	f.empty()
}

func cancelFinishedBehaviour(f *fixture) {
	before := f.Stats()
	id := f.submit(f.short())
	f.wait(id)
	for range 3 {
		f.Cancel(id)
		f.Stop(id, 0)
	}
	f.silent()
	after := f.Stats()
	require.Equal(f, before.CancelledRequests, after.CancelledRequests)
	require.Equal(f, before.FailedRequests, after.FailedRequests)
	require.Equal(f, executor.FinishLength, f.run(f.short()).reason)
}
