package nativeexecutor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

func brief(id uint64) executor.Request {
	return executor.Request{ClientID: id, InputIDs: []int32{1}, MaxTokens: 5, Streaming: true}
}

// Where upstream does not take all sequences, nothing was queued and nothing comes.
func TestRefusedSequence(t *testing.T) {
	f := newFake()
	f.enqueued = func(r native.Request, id uint64) error {
		if id == 4 {
			return &native.Error{Status: native.StatusInvalid, Operation: "enqueueRequest", Text: "no"}
		}
		f.push(tokens(r, id, 3))
		time.Sleep(5 * time.Millisecond) // it has come by now
		return nil
	}
	e := open(t, f, options())
	r := brief(1)
	r.Sampling.NumReturnSequences = 4
	err := e.Submit(r)
	require.ErrorIs(t, err, executor.ErrInvalidRequest)
	require.ErrorContains(t, err, "no")
	require.Equal(t, []uint64{2, 3}, f.told())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = e.Await(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	stats := e.Stats()
	require.Zero(t, stats.ActiveRequests+stats.QueuedRequests)
	require.Zero(t, stats.FinishedRequests)
	f.enqueued = nil
	require.NoError(t, e.Submit(brief(1)), "the id is free")
}

func TestEnqueueErrors(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{native.ErrClosed, executor.ErrClosed},
		{&native.Error{Status: native.StatusInvalid, Text: "x"}, executor.ErrInvalidRequest},
		{&native.Error{Status: native.StatusMemory, Text: "x"}, executor.ErrFailed},
		{&native.Error{Status: native.StatusInternal, Text: "x"}, executor.ErrFailed},
		{&native.Error{Status: native.StatusInternal, Text: "Maximum queue size of 3 has been reached, please try again later"}, executor.ErrQueueFull},
		{errors.New("x"), executor.ErrFailed},
	} {
		f := newFake()
		f.enqueued = func(native.Request, uint64) error { return c.err }
		require.ErrorIs(t, open(t, f, options()).Submit(brief(1)), c.want)
	}
}

// An Enqueue that blocks holds up nobody else, and what happens meanwhile counts.
func TestBlockedEnqueue(t *testing.T) {
	f := newFake()
	blocked, release := make(chan struct{}), make(chan struct{})
	f.enqueued = func(_ native.Request, id uint64) error {
		if id == 2 {
			close(blocked)
			<-release
		}
		return nil
	}
	e := open(t, f, options())
	submitted := make(chan error)
	go func() {
		r := brief(1)
		r.Sampling.NumReturnSequences = 2
		submitted <- e.Submit(r)
	}()
	<-blocked
	require.NoError(t, e.Submit(brief(2)))
	f.push(last(f.requests[1], 3, executor.FinishLength, 7))
	require.Equal(t, []int32{7}, collect(t, e, 1)[0].OutputIDs)
	e.Cancel(1)
	require.ErrorIs(t, e.Submit(brief(1)), executor.ErrInvalidRequest, "its id is in use")
	close(release)
	require.NoError(t, <-submitted)
	list := collect(t, e, 1)
	require.Len(t, list, 2)
	for i, r := range list {
		require.Equal(t, executor.Response{ClientID: 1, Sequence: i, FinishReason: executor.FinishCancelled, SequenceFinal: true, Final: i == 1}, r)
	}
	require.Equal(t, []uint64{2}, f.told(), "the second sequence was never queued")
	f.push(last(f.requests[0], 2, executor.FinishCancelled))
	require.EqualValues(t, 1, e.Stats().CancelledRequests)
}

func TestCancelAndStop(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	r := brief(1)
	r.Sampling.NumReturnSequences = 3
	require.NoError(t, e.Submit(r))
	f.push(tokens(f.requests[0], 2, 5))
	require.Equal(t, []int32{5}, first(t, e).OutputIDs)
	e.Stop(1, 1)
	e.Stop(1, 1)
	e.Stop(1, 3)
	e.Stop(1, -1)
	e.Stop(2, 0)
	require.Equal(t, executor.Response{ClientID: 1, Sequence: 1, FinishReason: executor.FinishStop, SequenceFinal: true}, first(t, e))
	e.Cancel(1)
	e.Cancel(1)
	e.Cancel(2)
	list := collect(t, e, 1)
	require.Len(t, list, 2)
	for i, r := range list {
		require.Equal(t, 2*i, r.Sequence)
		require.Equal(t, executor.FinishCancelled, r.FinishReason)
		require.Empty(t, r.OutputIDs)
	}
	require.Equal(t, []uint64{3, 2, 4}, f.told())
	f.push(tokens(f.requests[0], 2, 6), last(f.requests[0], 2, executor.FinishCancelled), last(f.requests[2], 4, executor.FinishCancelled))
	require.EqualValues(t, 1, e.Stats().FinishedRequests)

	b := brief(2)
	b.Sampling.BeamWidth = 2
	require.NoError(t, e.Submit(b))
	e.Stop(2, 0) // of beams nothing is known before the end
	e.Cancel(2)
	require.Len(t, collect(t, e, 1), 2)
}

// Upstream ends beams that nobody waits for any more with all of them, and then it has
// nothing of theirs that could hang.
func TestEndedBeams(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	beam := func(i, token int) native.Output {
		o := last(f.requests[len(f.requests)-1], f.lastID, executor.FinishCancelled)
		o.Beam, o.NumBeams = i, 3
		if token > 0 {
			o.Tokens = []int32{int32(token)}
		}
		return o
	}
	r := brief(1)
	r.Sampling.BeamWidth = 3
	require.NoError(t, e.Submit(r))
	e.Cancel(1)
	require.Len(t, collect(t, e, 1), 3)
	f.push(beam(0, 0), beam(1, 0))
	require.Never(t, func() bool { return !e.busy() }, 10*tick, tick)
	f.push(beam(2, 0))
	require.Eventually(t, func() bool { return !e.busy() }, waitTime, tick)

	require.NoError(t, e.Submit(r))
	f.push(beam(0, 1), beam(1, 99), beam(2, 1)) // 99 is no token
	require.ErrorIs(t, collect(t, e, 1)[0].Err, executor.ErrFailed)
	require.Eventually(t, func() bool { return !e.busy() }, waitTime, tick)
}

// first takes one response, without its timing.
func first(t *testing.T, e *Executor) executor.Response {
	t.Helper()
	responses, err := e.Await(t.Context())
	require.NoError(t, err)
	require.Len(t, responses, 1)
	responses[0].Timing = executor.Timing{}
	return responses[0]
}

// Requests whose time is over end here, whether or not upstream has begun with them.
func TestTimeouts(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	r := brief(1)
	r.AllottedTime = 5 * time.Millisecond
	require.NoError(t, e.Submit(r))
	later := brief(2)
	later.AllottedTime = time.Hour
	require.NoError(t, e.Submit(later))
	require.Equal(t, executor.Response{ClientID: 1, FinishReason: executor.FinishTimeout, SequenceFinal: true, Final: true}, first(t, e))
	require.Eventually(t, func() bool { return len(f.told()) == 1 }, waitTime, tick)
	f.push(last(f.requests[1], 3, executor.FinishLength, 3))
	require.Equal(t, executor.FinishLength, first(t, e).FinishReason)
	require.EqualValues(t, 1, e.Stats().TimedOutRequests)

	r.ClientID, r.AllottedTime = 3, time.Nanosecond
	f.enqueued = func(r native.Request, id uint64) error {
		f.push(tokens(r, id, 3), tokens(r, id, 4), last(r, id, executor.FinishLength, 5))
		return nil
	}
	require.NoError(t, e.Submit(r))
	list := collect(t, e, 1)
	require.Equal(t, executor.FinishTimeout, list[len(list)-1].FinishReason, "all of it came at once, too late")
	require.LessOrEqual(t, len(list[0].OutputIDs), 1)
}

func TestQueueLimit(t *testing.T) {
	f := newFake()
	o := options()
	o.MaxQueueSize = 2
	e := open(t, f, o)
	require.NoError(t, e.Submit(brief(1)))
	require.NoError(t, e.Submit(brief(2)))
	require.ErrorIs(t, e.Submit(brief(3)), executor.ErrQueueFull)
	// Upstream has begun with one, though it has no token yet.
	f.mu.Lock()
	f.iterations = `[{"iter":2,"numActiveRequests":1,"inflightBatchingStats":{"numScheduledRequests":1}}]`
	f.mu.Unlock()
	require.NoError(t, e.Submit(brief(3)))
	require.Equal(t, 2, e.Stats().QueuedRequests)
	require.Equal(t, 1, e.Stats().ActiveRequests)
	require.ErrorIs(t, e.Submit(brief(4)), executor.ErrQueueFull)
	e.Cancel(3)
	collect(t, e, 1)
	f.mu.Lock()
	f.iterations = `[{"iter":3,"numActiveRequests":1,"inflightBatchingStats":{"numScheduledRequests":1}}]`
	f.mu.Unlock()
	f.push(last(f.requests[2], 4, executor.FinishCancelled))
	require.Eventually(t, func() bool {
		stats := e.Stats()
		return stats.QueuedRequests == 1 && stats.ActiveRequests == 1
	}, waitTime, tick)
	require.NoError(t, e.Submit(brief(4)))
}

// Close answers what is live at once, and ends the engine in order.
func TestClose(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	require.NoError(t, e.Submit(brief(1)))
	require.NoError(t, e.Close())
	require.Equal(t, []string{"drain", "shutdown", "close"}, f.calls)
	require.Equal(t, executor.FinishCancelled, first(t, e).FinishReason)
	_, err := e.Await(t.Context())
	require.ErrorIs(t, err, executor.ErrClosed)
	require.ErrorIs(t, e.Submit(brief(2)), executor.ErrClosed)
	e.Cancel(1)
	e.Stop(1, 0)
	require.Empty(t, e.IterationStats())
	require.NoError(t, e.Wait(t.Context()))
	require.Empty(t, f.told(), "draining cancels all")
}

// A process that is not the leader waits until the leader ends.
func TestFollower(t *testing.T) {
	f := newFake()
	f.follower, f.shutdown = true, make(chan struct{})
	e, err := New(f, options())
	require.NoError(t, err)
	require.False(t, e.Leader())
	err = e.Submit(brief(1))
	require.ErrorIs(t, err, executor.ErrUnsupported)
	require.ErrorContains(t, err, "submit requests in the leader, rank 0")
	e.Cancel(1)
	require.Zero(t, e.Stats())
	require.Empty(t, e.IterationStats())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, e.Wait(ctx), context.DeadlineExceeded)
	_, err = e.Await(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	closed := make(chan error)
	go func() { closed <- e.Close() }()
	close(f.shutdown)
	require.NoError(t, e.Wait(t.Context()))
	require.NoError(t, <-closed)
	_, err = e.Await(t.Context())
	require.ErrorIs(t, err, executor.ErrClosed)
	require.True(t, f.closed())
}
