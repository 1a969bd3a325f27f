package nativeexecutor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// fake is a [Native] whose outputs a test makes. It answers the self-check by itself.
type fake struct {
	follower bool
	enqueued func(r native.Request, id uint64) error // called by Enqueue without lock; nil takes all

	mu         sync.Mutex
	lastID     uint64
	requests   []native.Request // without the self-check
	cancelled  []uint64
	outputs    []native.Output
	awaitErr   error
	drained    bool
	live       map[uint64]bool // by id
	iterations string          // JSON, given once
	reqStats   string
	calls      []string // of the end

	wake     chan struct{}
	hang     chan struct{} // while not nil and open, Await does not return
	hangs    bool          // it does so
	shutdown chan struct{} // Shutdown waits for it, if not nil
}

func newFake() *fake {
	return &fake{wake: make(chan struct{}, 1), live: map[uint64]bool{}, iterations: selfCheckStats}
}

// selfCheckStats are of the iteration of the self-check: 10 blocks of 4 tokens, one of
// which it took.
const selfCheckStats = `[{"iter":1,"kvCacheStats":{"maxNumBlocks":10,"freeNumBlocks":10,"usedNumBlocks":0,"tokensPerBlock":4,
	"allocTotalBlocks":1,"allocNewBlocks":1,"reusedBlocks":0,"missedBlocks":1,"cacheHitRate":0},
	"inflightBatchingStats":{"numScheduledRequests":1,"numContextRequests":1,"numGenRequests":0,"numPausedRequests":0,"numCtxTokens":1,
	"microBatchId":0,"avgNumDecodedTokensPerIter":1}}]`

func (f *fake) Leader() bool { return !f.follower }

func (f *fake) Enqueue(r native.Request) (uint64, error) {
	f.mu.Lock()
	f.lastID++
	id := f.lastID
	first := id == 1
	if f.drained {
		f.mu.Unlock()
		return 0, native.ErrClosed
	}
	f.live[id] = true
	if !first {
		f.requests = append(f.requests, r)
	}
	enqueued := f.enqueued
	f.mu.Unlock()
	if first {
		f.push(native.Output{ID: id, ClientID: r.ClientID, Tokens: []int32{1}, Final: true, FinishReason: 3, Scheduled: -1, FirstToken: -1, LastToken: -1})
		return id, nil
	}
	if enqueued != nil {
		if err := enqueued(r, id); err != nil {
			f.mu.Lock()
			delete(f.live, id)
			f.mu.Unlock()
			return 0, err
		}
	}
	return id, nil
}

// push makes outputs come.
func (f *fake) push(outputs ...native.Output) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range outputs {
		if o.Final {
			delete(f.live, o.ID)
		}
		f.outputs = append(f.outputs, o)
	}
	f.signal()
}

func (f *fake) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fake) Cancel(id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancelled = append(f.cancelled, id)
	return nil
}

func (f *fake) Await(timeout time.Duration, each func(*native.Output)) error {
	f.mu.Lock()
	hang := f.hang
	f.hangs = hang != nil
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		f.mu.Lock()
		outputs, err := f.outputs, f.awaitErr
		f.outputs = nil
		if len(outputs) == 0 && err == nil && f.drained && len(f.live) == 0 {
			err = native.ErrClosed
		}
		f.mu.Unlock()
		for i := range outputs {
			each(&outputs[i])
		}
		if len(outputs) > 0 || err != nil {
			return err
		}
		select {
		case <-f.wake:
		case <-timer.C:
			return nil
		}
	}
}

func (f *fake) IterationStats() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := f.iterations
	f.iterations = "[]"
	return []byte(text), nil
}

func (f *fake) RequestStats() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := f.reqStats
	f.reqStats = ""
	if text == "" {
		text = "[]"
	}
	return []byte(text), nil
}

// Drain ends what is live, as upstream's cancelling does.
func (f *fake) Drain() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "drain")
	f.drained = true
	clear(f.live)
	f.signal()
	return nil
}

func (f *fake) Shutdown() error {
	f.mu.Lock()
	f.calls = append(f.calls, "shutdown")
	wait := f.shutdown
	f.mu.Unlock()
	if wait != nil {
		<-wait
	}
	return nil
}

func (f *fake) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "close")
}

// setting is what upstream was told by a name; nil is nothing.
func setting(r native.Request, name string) any {
	for _, s := range r.Settings {
		switch {
		case s.Name != name:
		case s.Type == native.Int64:
			return s.Ints
		case s.Type == native.Float32:
			return s.Floats[0]
		}
	}
	return nil
}

// options are those of a tiny engine.
func options() Options {
	return Options{VocabSize: 16, MaxInputLen: 30, MaxSeqLen: 32, MaxBeamWidth: 4, ContextLogits: true, GenerationLogits: true}
}

// open opens an executor over f, which is closed at the end, when no goroutine is left.
func open(t *testing.T, f *fake, o Options) *Executor {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	e, err := New(f, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, e.Close())
		goleak.VerifyNone(t, ignore)
	})
	return e
}

// collect takes responses until n requests are final.
func collect(t *testing.T, e *Executor, n int) (list []executor.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n > 0 {
		responses, err := e.Await(ctx)
		require.NoError(t, err)
		for _, r := range responses {
			r.Timing = executor.Timing{}
			list = append(list, r)
			if r.Final {
				n--
			}
		}
	}
	return list
}

// tokens is an output with tokens.
func tokens(r native.Request, id uint64, ids ...int32) native.Output {
	return native.Output{ID: id, ClientID: r.ClientID, Tokens: ids, NumBeams: 1, Scheduled: -1, FirstToken: -1, LastToken: -1}
}

// last is a final output with tokens.
func last(r native.Request, id uint64, reason executor.FinishReason, ids ...int32) native.Output {
	o := tokens(r, id, ids...)
	o.Final, o.FinishReason = true, int(reason)
	return o
}

const waitTime, tick = 30 * time.Second, time.Millisecond

// closed tells whether the engine was freed, after all that comes before.
func (f *fake) closed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls) > 0 && f.calls[len(f.calls)-1] == "close"
}
