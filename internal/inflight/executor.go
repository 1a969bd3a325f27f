package inflight

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// Options bound an executor below its runner's limits. The zero value takes
// the runner's.
type Options struct {
	// MaxInputLen is the longest prompt in tokens. 0: MaxSeqLen - 1.
	MaxInputLen int

	// MaxSeqLen, MaxBatchSize and MaxNumTokens lower the runner's limits of the
	// same name. 0, and what is larger than the runner's: the runner's.
	MaxSeqLen    int
	MaxBatchSize int
	MaxNumTokens int

	// ChunkTokens bounds the prompt tokens of one sequence in one step. 0: no
	// bound but MaxNumTokens.
	ChunkTokens int

	// ChunkTime bounds the time that the prompt tokens of a step should take, so that
	// a long prompt does not hold up those that generate. 0: 50 ms.
	ChunkTime time.Duration

	// Policy says when a request may start. The zero value is guaranteed-no-evict.
	Policy executor.CapacityPolicy

	// MaxQueueSize is how many requests may wait. 0: no limit.
	MaxQueueSize int

	// NoBlockReuse computes every prompt anew; NoPartialReuse takes over full blocks only.
	NoBlockReuse, NoPartialReuse bool

	// MaxSeqIdle is how long a step may take before the executor gives itself up as
	// dead. 0: 3 minutes, as upstream's maxSeqIdleMicroseconds.
	MaxSeqIdle time.Duration

	// LogitsProcessor is called for requests with ProcessorData.
	LogitsProcessor executor.LogitsProcessor

	// IterationStats and RequestStats are how many iterations are kept for the
	// methods of the same name. 0: 1000, and none; negative: none.
	IterationStats, RequestStats int

	// Logger gets the executor's log. nil: none.
	Logger *slog.Logger

	// Now is the clock of time limits and timings. nil: time.Now.
	Now func() time.Time
}

// Executor is an in-flight batching executor. Create it with New.
type Executor struct {
	runner      executor.Runner
	limits      executor.Limits // the runner's, lowered by Options
	maxInputLen int
	chunkTokens int
	processor   executor.LogitsProcessor
	now         func() time.Time

	ctx   context.Context // ends with Close, and with it a running step
	abort context.CancelFunc
	wake  chan struct{} // work or an end for the loop
	ready chan struct{} // responses for Await
	done  chan struct{} // closed when the loop ended

	mu        sync.Mutex
	closing   bool
	dead      error // why the loop ended without Close
	live      map[uint64]*request
	queue     []*sequence // ordered by before
	order     uint64
	responses []executor.Response
	stats     executor.Stats

	closeOnce sync.Once
	closeErr  error

	scheduler scheduler // belongs to the loop
}

// New starts an executor over runner and takes ownership of it: Close closes
// both. An error means that the runner's limits make no executor; the runner
// is then still the caller's.
func New(runner executor.Runner, options Options) (*Executor, error) {
	limits := runner.Limits()
	lower := func(limit *int, to int) {
		if to > 0 {
			*limit = min(*limit, to)
		}
	}
	lower(&limits.MaxSeqLen, options.MaxSeqLen)
	lower(&limits.MaxBatchSize, options.MaxBatchSize)
	lower(&limits.MaxNumTokens, options.MaxNumTokens)
	if limits.StateSlots > 0 {
		lower(&limits.MaxBatchSize, limits.StateSlots)
	}
	for _, l := range []struct {
		name  string
		value int
	}{
		{"vocab size", limits.VocabSize}, {"max_seq_len", limits.MaxSeqLen}, {"max_batch_size", limits.MaxBatchSize},
		{"max_num_tokens", limits.MaxNumTokens}, {"block size", limits.BlockSize}, {"number of KV blocks", limits.NumBlocks},
	} {
		if l.value < 1 {
			return nil, fmt.Errorf("inflight: the runner's %s is %d", l.name, l.value)
		}
	}
	e := &Executor{
		runner: runner, limits: limits, processor: options.LogitsProcessor, now: options.Now,
		maxInputLen: limits.MaxSeqLen - 1, chunkTokens: limits.MaxNumTokens,
		wake: make(chan struct{}, 1), ready: make(chan struct{}, 1), done: make(chan struct{}),
		live: map[uint64]*request{},
	}
	lower(&e.maxInputLen, options.MaxInputLen)
	lower(&e.chunkTokens, options.ChunkTokens)
	if e.now == nil {
		e.now = time.Now
	}
	e.stats.KVBlocksTotal, e.stats.TokensPerBlock = limits.NumBlocks, limits.BlockSize
	e.ctx, e.abort = context.WithCancel(context.Background())
	e.scheduler.init(e)
	go e.loop()
	return e, nil
}

// Submit implements [executor.Executor]. The request's slices and map are
// copied where they are needed later.
func (e *Executor) Submit(r executor.Request) error {
	if err := e.validate(&r); err != nil {
		return err
	}
	r = clone(r)
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
		return invalid("client id %d is in use by a live request", r.ClientID)
	}
	q := &request{Request: r, submitted: e.now(), order: e.order, open: max(1, r.Sampling.NumReturnSequences)}
	if r.AllottedTime > 0 {
		q.deadline = q.submitted.Add(r.AllottedTime)
	}
	e.order++
	e.live[r.ClientID] = q
	sequences := make([]*sequence, q.open)
	for i := range sequences {
		sequences[i] = newSequence(q, i)
	}
	at, _ := slices.BinarySearchFunc(e.queue, sequences[0], before)
	e.queue = slices.Insert(e.queue, at, sequences...)
	e.stats.QueuedRequests++
	signal(e.wake)
	return nil
}

// clone copies what the caller may change after Submit.
func clone(r executor.Request) executor.Request {
	r.InputIDs = slices.Clone(r.InputIDs)
	r.EndIDs = slices.Clone(r.EndIDs)
	r.Sampling.Bias = maps.Clone(r.Sampling.Bias)
	r.Sampling.TopPResetIDs = slices.Clone(r.Sampling.TopPResetIDs)
	lists := func(list [][]int32) [][]int32 {
		list = slices.Clone(list)
		for i := range list {
			list[i] = slices.Clone(list[i])
		}
		return list
	}
	r.StopSequences, r.BadSequences = lists(r.StopSequences), lists(r.BadSequences)
	return r
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
	if r, ok := e.live[clientID]; ok {
		r.cancelled = true
		signal(e.wake)
	}
}

// Stop implements [executor.Executor].
func (e *Executor) Stop(clientID uint64, sequence int) {}

// IterationStats implements [executor.Executor].
func (e *Executor) IterationStats() []executor.IterationStats { return nil }

// RequestStats implements [executor.Executor].
func (e *Executor) RequestStats() []executor.RequestStatsPerIteration { return nil }

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

// Close implements [executor.Executor]. It aborts the running step, so it
// returns as soon as the runner does.
func (e *Executor) Close() error {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.abort()
	<-e.done
	e.closeOnce.Do(func() { e.closeErr = e.runner.Close() })
	return e.closeErr
}

// loop runs iterations until Close, and sleeps while there is nothing to do.
func (e *Executor) loop() {
	defer close(e.done)
	defer func() {
		if p := recover(); p != nil {
			// Whatever is broken here, nobody may wait for it for ever.
			e.die(fmt.Errorf("inflight: the executor stopped: %v\n%s", p, debug.Stack()))
		}
	}()
	for e.work() {
		e.iterate()
	}
	e.scheduler.finishAll(executor.FinishCancelled)
	e.publish()
}

// work blocks until there is something to do; false means Close.
func (e *Executor) work() bool {
	for {
		e.mu.Lock()
		busy := len(e.queue) > 0 || len(e.scheduler.active) > 0
		e.mu.Unlock()
		if e.ctx.Err() != nil {
			return false
		}
		if busy {
			return true
		}
		select {
		case <-e.wake:
		case <-e.ctx.Done():
		}
	}
}

// iterate does one iteration: who leaves, who enters, one step, its tokens.
func (e *Executor) iterate() {
	s := &e.scheduler
	s.reap()
	s.admit()
	if s.plan() {
		err := e.runner.Step(e.ctx, s.batch, &s.result)
		switch {
		case err == nil && len(s.result.Rows) != s.rows:
			s.failPlanned(fmt.Errorf("inflight: the runner returned %d rows, %d were asked for", len(s.result.Rows), s.rows))
		case err == nil:
			s.commit()
		case errors.Is(err, executor.ErrAborted) && e.ctx.Err() != nil:
			// Close: the loop ends and answers all.
		default:
			s.failPlanned(err)
		}
	}
	e.publish()
}

// publish makes the iteration's responses and statistics visible, at once.
func (e *Executor) publish() {
	s := &e.scheduler
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range s.outgoing {
		if s.outgoing[i].Final {
			delete(e.live, s.outgoing[i].ClientID)
			e.stats.FinishedRequests++
		}
	}
	s.count()
	e.stats.Iterations, e.stats.ContextTokens, e.stats.GeneratedTokens = s.iterations, s.contextTokens, s.generatedTokens
	if len(s.outgoing) > 0 {
		e.responses = append(e.responses, s.outgoing...)
		clear(s.outgoing)
		s.outgoing = s.outgoing[:0]
		signal(e.ready)
	}
}

// die fails every live request with err, for good.
func (e *Executor) die(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dead = err
	for _, id := range slices.Sorted(maps.Keys(e.live)) {
		e.responses = append(e.responses, executor.Response{ClientID: id, Err: err, Final: true})
		e.stats.FinishedRequests++
	}
	clear(e.live)
	e.queue = nil
	e.stats.ActiveRequests, e.stats.QueuedRequests = 0, 0
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
