package inflight

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// Executor is an in-flight batching executor. Create it with New.
type Executor struct {
	runner      executor.Runner
	limits      executor.Limits // the runner's, lowered by Options
	options     Options
	maxInputLen int
	chunkTokens int
	now         func() time.Time
	log         *slog.Logger

	ctx   context.Context // ends with Close, and with it a running step
	abort context.CancelFunc
	wake  chan struct{} // work or an end for the loop
	ready chan struct{} // responses for Await
	done  chan struct{} // closed when the loop ended

	mu        sync.Mutex
	closing   bool
	dead      error // why it gave up, in a message that wraps executor.ErrDead
	live      map[uint64]*request
	incoming  []*request // not yet in the scheduler's queue
	ending    []*request // cancelled, or with sequences to stop, since the last iteration
	deadline  time.Time  // no live request's is earlier; zero: there is none
	order     uint64
	responses []executor.Response
	stats     executor.Stats
	records   records
	step      runningStep

	dying     sync.Once
	closeOnce sync.Once
	closeErr  error

	scheduler scheduler // belongs to the loop
}

// New starts an executor over runner and takes ownership of it: Close closes
// both. An error means that the runner's limits make no executor; the runner
// is then still the caller's.
func New(runner executor.Runner, options Options) (*Executor, error) {
	e, err := newExecutor(runner, options)
	if err != nil {
		return nil, err
	}
	go e.loop()
	return e, nil
}

// newExecutor makes an executor whose loop does not run yet.
func newExecutor(runner executor.Runner, options Options) (*Executor, error) {
	options = options.withDefaults()
	limits, err := options.lowered(runner.Limits())
	if err != nil {
		return nil, err
	}
	e := &Executor{
		runner: runner, limits: limits, options: options, now: options.Now, log: options.Logger,
		maxInputLen: limits.MaxSeqLen - 1, chunkTokens: limits.MaxNumTokens,
		wake: make(chan struct{}, 1), ready: make(chan struct{}, 1), done: make(chan struct{}),
		live: map[uint64]*request{},
	}
	lower(&e.maxInputLen, options.MaxInputLen)
	lower(&e.chunkTokens, options.ChunkTokens)
	e.stats.KVBlocksTotal, e.stats.TokensPerBlock, e.stats.Memory = limits.NumBlocks, limits.BlockSize, limits.Memory
	e.records.init(&options)
	e.ctx, e.abort = context.WithCancel(context.Background())
	e.step.init(e)
	e.scheduler.init(e)
	e.scheduler.count()
	return e, nil
}

// Submit implements [executor.Executor]. The request's slices and map are
// copied where they are needed later.
func (e *Executor) Submit(r executor.Request) error {
	if err := e.validate(&r); err != nil {
		return err
	}
	r = r.Clone()
	if r.Sampling.TopK >= e.limits.VocabSize && !r.Sampling.Greedy() {
		r.Sampling.TopK = 0
	}
	if r.Sampling.Temperature > 0 { // smaller ones draw no differently
		r.Sampling.Temperature = max(r.Sampling.Temperature, executor.MinTemperature)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.stopped(); err != nil {
		return err
	}
	if _, ok := e.live[r.ClientID]; ok {
		return executor.Invalid("client id %d is in use by a live request", r.ClientID)
	}
	if most := e.options.MaxQueueSize; most > 0 && e.stats.QueuedRequests >= most {
		return fmt.Errorf("%w: %d requests wait, as many as may: try again later", executor.ErrQueueFull, most)
	}
	q := &request{Request: r, submitted: e.now(), order: e.order, open: max(1, r.Sampling.NumReturnSequences)}
	if r.AllottedTime > 0 {
		q.deadline = q.submitted.Add(r.AllottedTime)
		if e.deadline.IsZero() || q.deadline.Before(e.deadline) {
			e.deadline = q.deadline
		}
	}
	e.order++
	e.live[r.ClientID] = q
	e.incoming = append(e.incoming, q)
	e.stats.QueuedRequests++
	signal(e.wake)
	return nil
}

// stopped is the error of calls that come too late. The caller holds mu.
func (e *Executor) stopped() error {
	if e.dead != nil {
		return e.dead
	}
	if e.closing {
		return executor.ErrClosed
	}
	return nil
}

// Cancel implements [executor.Executor].
func (e *Executor) Cancel(clientID uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.live[clientID]; ok && !r.cancelled {
		r.cancelled = true
		e.ending = append(e.ending, r)
		e.step.reconsider()
		signal(e.wake)
	}
}

// Stop implements [executor.Executor]. Beams are not stopped: which of them are
// returned is known at the end only.
func (e *Executor) Stop(clientID uint64, sequence int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.live[clientID]; ok {
		r.stops = append(r.stops, sequence)
		e.ending = append(e.ending, r)
		signal(e.wake)
	}
}

// Await implements [executor.Executor].
func (e *Executor) Await(ctx context.Context) ([]executor.Response, error) {
	for {
		ended := false
		select {
		case <-e.done: // before looking: nothing comes after it
			ended = true
		default:
		}
		e.mu.Lock()
		responses := e.responses
		e.responses = nil
		err := e.stopped()
		ended = ended || e.dead != nil
		e.mu.Unlock()
		if len(responses) > 0 {
			return responses, nil
		}
		if ended {
			return nil, err
		}
		select {
		case <-e.ready:
		case <-e.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Stats implements [executor.Executor].
func (e *Executor) Stats() executor.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// IterationStats implements [executor.Executor].
func (e *Executor) IterationStats() []executor.IterationStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.records.takeIterations()
}

// RequestStats implements [executor.Executor].
func (e *Executor) RequestStats() []executor.RequestStatsPerIteration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.records.requests.TakeAll()
}

// closeGrace is how long Close waits for a step that it aborted, where MaxSeqIdle is
// not shorter.
const closeGrace = 10 * time.Second

// Close implements [executor.Executor]. It aborts the running step, so it returns as
// soon as the runner does. When the runner does not, Close returns an error after a
// while that wraps executor.ErrDead, and the runner is closed once its step has ended.
func (e *Executor) Close() error {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.abort()
	grace := min(closeGrace, e.options.MaxSeqIdle)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-e.done:
		return e.closeRunner()
	case <-timer.C:
	}
	e.die(fmt.Errorf("%w: it was closed, and the runner's step did not end within %v", executor.ErrDead, grace))
	go func() {
		<-e.done
		_ = e.closeRunner()
	}()
	return fmt.Errorf("%w: the runner's step did not end within %v after it was aborted; the runner is closed when it does", executor.ErrDead, grace)
}

func (e *Executor) closeRunner() error {
	e.closeOnce.Do(func() { e.closeErr = e.runner.Close() })
	return e.closeErr
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
