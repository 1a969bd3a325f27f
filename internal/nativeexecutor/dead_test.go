package nativeexecutor

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// failing are outputs of requests that fail with a text.
func failing(t *testing.T, e *Executor, f *fake, n int, text string) {
	t.Helper()
	for range n {
		f.mu.Lock()
		id := f.lastID + 1
		f.mu.Unlock()
		require.NoError(t, e.Submit(brief(id)))
		f.push(native.Output{ID: id, ClientID: f.requests[len(f.requests)-1].ClientID, Final: true, Error: text})
		collect(t, e, 1)
	}
}

const stepFailed = "Encountered an error in forwardSync function: the GPU fell off the bus"

func TestFailuresAndDeath(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	failing(t, e, f, maxFailures-1, stepFailed)
	require.NoError(t, e.Submit(brief(100)))
	f.push(last(f.requests[len(f.requests)-1], f.lastID, executor.FinishLength, 3))
	require.NoError(t, collect(t, e, 1)[0].Err, "it goes on")
	failing(t, e, f, maxFailures-1, stepFailed)
	failing(t, e, f, 3*maxFailures, "Encountered an error when fetching new request: Prompt length (9) exceeds maximum input length (8)")
	require.EqualValues(t, 5*maxFailures-2, e.Stats().FailedRequests)
	require.NoError(t, e.Submit(brief(101)), "what is wrong with requests is not wrong with the engine")
	require.NoError(t, e.Submit(brief(102)))
	f.push(native.Output{ID: f.lastID, ClientID: f.requests[len(f.requests)-1].ClientID, Final: true, Error: stepFailed})
	list := collect(t, e, 2)
	require.ErrorIs(t, list[0].Err, executor.ErrFailed)
	require.Equal(t, uint64(102), list[0].ClientID)
	require.ErrorIs(t, list[1].Err, executor.ErrDead)
	require.Equal(t, uint64(101), list[1].ClientID)
	require.ErrorIs(t, e.Submit(brief(102)), executor.ErrDead)
	_, err := e.Await(t.Context())
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, "16 steps failed one after the other")
	require.ErrorContains(t, err, "fell off the bus")
}

func TestOutputErrors(t *testing.T) {
	for text, want := range map[string]error{
		stepFailed: executor.ErrFailed,
		"Encountered an error when fetching new request: Prompt length (9) exceeds maximum input length (8)":  executor.ErrTooLong,
		"Encountered an error when fetching new request: EndId (99) is not within acceptable range [-1, 16).": executor.ErrInvalidRequest,
		"Encountered an error when fetching new request: GuidedDecoder is not setup":                          executor.ErrUnsupported,
	} {
		list, _ := answer(t, options(), executor.Request{MaxTokens: 1}, func(r native.Request, id uint64) []native.Output {
			return []native.Output{tokens(r, id, 3), {ID: id, ClientID: r.ClientID, Final: true, Error: text}}
		})
		require.ErrorIs(t, list[len(list)-1].Err, want)
		require.ErrorContains(t, list[len(list)-1].Err, native.Explain(text))
		require.True(t, list[len(list)-1].Final)
	}
}

// dies waits until the executor is dead.
func dies(t *testing.T, e *Executor, want string) {
	t.Helper()
	for {
		responses, err := e.Await(t.Context())
		if err != nil {
			require.ErrorIs(t, err, executor.ErrDead)
			require.ErrorContains(t, err, want)
			return
		}
		for _, r := range responses {
			require.ErrorIs(t, r.Err, executor.ErrDead)
		}
	}
}

func TestDiesWhenWaitingFails(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	require.NoError(t, e.Submit(brief(1)))
	f.mu.Lock()
	f.awaitErr = errors.New("map::at")
	f.mu.Unlock()
	dies(t, e, "waiting for TensorRT-LLM's outputs fails: map::at")
	require.Zero(t, e.Stats().ActiveRequests+e.Stats().QueuedRequests)
}

func TestDiesWhenTheEngineEnds(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	f.mu.Lock()
	f.awaitErr = native.ErrClosed
	f.mu.Unlock()
	dies(t, e, "ended by itself")
}

func TestDiesWhenNothingMoves(t *testing.T) {
	f := newFake()
	o := options()
	o.MaxSeqIdle = 50 * time.Millisecond
	e := open(t, f, o)
	time.Sleep(2 * o.MaxSeqIdle) // nothing is live: nobody waits
	require.NoError(t, e.Submit(brief(1)))
	dies(t, e, "nothing for its 1 requests in 50ms")
}

// A long prompt has no output, but iterations.
func TestLivesWithIterations(t *testing.T) {
	f := newFake()
	o := options()
	o.MaxSeqIdle = 400 * time.Millisecond
	e := open(t, f, o)
	require.NoError(t, e.Submit(brief(1)))
	for end := time.Now().Add(3 * o.MaxSeqIdle); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		f.mu.Lock()
		f.iterations = `[{"iter":2,"numActiveRequests":1,"inflightBatchingStats":{"numScheduledRequests":1}}]`
		f.mu.Unlock()
	}
	require.NoError(t, e.Submit(brief(2)))
	e.Cancel(1)
	e.Cancel(2)
	collect(t, e, 2)
}

// Native code that never returns holds up nobody but itself.
func TestHangs(t *testing.T) {
	f := newFake()
	o := options()
	o.MaxSeqIdle = 50 * time.Millisecond
	e := open(t, f, o)
	hang := make(chan struct{})
	f.mu.Lock()
	f.hang = hang
	f.mu.Unlock()
	require.Eventually(t, func() bool { // the call before has ended
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.hangs
	}, waitTime, tick)
	require.NoError(t, e.Submit(brief(1)))
	dies(t, e, "nothing for its 1 requests")
	require.ErrorIs(t, e.Close(), executor.ErrDead)
	close(hang)
	require.Eventually(t, func() bool { return e.Close() == nil }, waitTime, tick)
}

func TestShutdownHangs(t *testing.T) {
	f := newFake()
	f.shutdown = make(chan struct{})
	o := options()
	o.MaxSeqIdle = 50 * time.Millisecond
	e := open(t, f, o)
	err := e.Close()
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, "did not end within 50ms")
	require.False(t, f.closed())
	close(f.shutdown)
	require.Eventually(t, func() bool { return e.Close() == nil }, waitTime, tick)
	require.True(t, f.closed())
}

// brokenEngine is a fake whose self-check fails.
type brokenEngine struct {
	*fake
	enqueue func(r native.Request) (uint64, error)
}

func (b *brokenEngine) Enqueue(r native.Request) (uint64, error) { return b.enqueue(r) }

func TestSelfCheck(t *testing.T) {
	release := make(chan struct{})
	for _, c := range []struct {
		name    string
		enqueue func(f *fake) func(native.Request) (uint64, error)
		want    error
		text    string
	}{
		{"an error", func(f *fake) func(native.Request) (uint64, error) {
			return func(r native.Request) (uint64, error) {
				f.push(native.Output{ID: 1, ClientID: r.ClientID, Final: true, Error: stepFailed})
				return 1, nil
			}
		}, executor.ErrFailed, "does not run a request of one token: step failed"},
		{"refused", func(*fake) func(native.Request) (uint64, error) {
			return func(native.Request) (uint64, error) {
				return 0, &native.Error{Status: native.StatusInternal, Text: "no"}
			}
		}, executor.ErrFailed, "TensorRT-LLM did not queue it"},
		{"nothing comes", func(*fake) func(native.Request) (uint64, error) {
			return func(native.Request) (uint64, error) { return 1, nil }
		}, executor.ErrDead, "nothing for its 1 requests"},
		{"a hang", func(*fake) func(native.Request) (uint64, error) {
			return func(native.Request) (uint64, error) {
				<-release
				return 1, nil
			}
		}, executor.ErrDead, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			o := options()
			o.MaxSeqIdle = 100 * time.Millisecond
			_, err := New(&brokenEngine{f, c.enqueue(f)}, o)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
			if c.name == "a hang" {
				close(release)
			}
			require.Eventually(t, f.closed, waitTime, tick, "the engine is freed")
		})
	}
}
