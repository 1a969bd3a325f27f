package nativeexecutor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// Executor is TensorRT-LLM's executor behind the contract of [executor.Executor]. Create
// it with New.
type Executor struct {
	engine  Native
	leader  bool
	options Options
	lengths executor.Lengths
	now     func() time.Time
	log     *slog.Logger

	ready  chan struct{} // responses for Await
	pumped chan struct{} // closed when the pump ended
	done   chan struct{} // closed when no response will come
	closed chan struct{} // closed when the engine is freed

	closing  sync.Once
	closeErr error // set before closed is closed
	calls    sync.WaitGroup

	mu        sync.Mutex
	stopping  bool                 // Close was called
	freed     bool                 // no call may reach the engine any more
	dead      error                // why it gave up, in a message that wraps executor.ErrDead
	live      map[uint64]*request  // by client id, until the final response
	sequences map[uint64]*sequence // by upstream's client id, until upstream's last output
	lastID    uint64
	responses []executor.Response
	usual     int         // how many responses were taken last: there will be room for as many
	published int         // of responses, that Await may take; the rest is of the running batch
	batching  bool        // the pump is handing on a batch
	progress  time.Time   // when something came last, or the first of those that wait was submitted
	deadline  time.Time   // no live request's is earlier; zero: there is none
	cancels   []*sequence // that ended here, of which upstream has to be told
	silent    int         // live requests of which no token has come
	running   int         // requests that upstream has begun with, by its last iteration, less those that ended since
	stats     executor.Stats
	records   records

	statistics sync.Mutex // held over calls of the engine's statistics
	failures   failures   // belongs to the pump
}

// New starts an executor over an engine that is loaded, of which it takes ownership, also
// when it fails: the engine is closed then. On the leader it first runs one request of
// one token, which proves that the engine works and tells the size of the KV cache. It
// blocks until that is done, at most for Options.MaxSeqIdle; the error wraps
// executor.ErrFailed when the engine does not work, executor.ErrDead when it hangs, and
// executor.ErrInvalidOption for options that make no sense.
//
// In a process that is not the leader nothing can be submitted, and the executor ends
// when its leader's does; see [Executor.Wait].
func New(engine Native, options Options) (*Executor, error) {
	options = options.withDefaults()
	e := &Executor{
		engine: engine, leader: engine.Leader(), options: options, now: options.Now, log: options.Logger,
		lengths: executor.Lengths{MaxInputLen: options.MaxInputLen, MaxSeqLen: options.MaxSeqLen},
		ready:   make(chan struct{}, 1), pumped: make(chan struct{}), done: make(chan struct{}), closed: make(chan struct{}),
		live: map[uint64]*request{}, sequences: map[uint64]*sequence{},
	}
	e.stats.Memory = options.Memory
	e.records.init(&options)
	if !e.leader {
		close(e.pumped)
		e.closing.Do(func() { go e.finishEngine() })
		return e, nil
	}
	e.progress = e.now()
	go e.pump()
	go e.watch()
	err := options.check()
	if err == nil {
		err = e.selfCheck()
	}
	if err != nil {
		e.stop() // in the background: it may hang
		return nil, err
	}
	return e, nil
}

// Leader tells whether requests can be submitted in this process.
func (e *Executor) Leader() bool { return e.leader }

// Wait blocks until the engine is freed or ctx ends, whose error it returns then. On the
// leader that is after Close; in another process of mpirun when the leader has closed,
// which may take as long as the leader serves: such a process waits here, and closes then.
func (e *Executor) Wait(ctx context.Context) error {
	select {
	case <-e.closed:
		return e.closeErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Submit implements [executor.Executor]. It copies the request's slices and map. Queueing
// takes as long as upstream takes for it, while nothing else waits.
func (e *Executor) Submit(r executor.Request) error {
	if !e.leader {
		return unsupported("this process of mpirun only computes: submit requests in the leader, rank 0 unless participant ids name another")
	}
	if err := e.validate(&r); err != nil {
		return err
	}
	r = e.normalized(r.Clone())
	if err := e.refuse(&r); err != nil {
		return err
	}
	var bias native.Array
	if len(r.Sampling.Bias) > 0 {
		bias = dense(r.Sampling.Bias, e.options.VocabSize, e.options.LogitsType)
	}
	q, err := e.enter(r)
	if err != nil {
		return err
	}
	defer e.calls.Done()
	for _, s := range q.sequences {
		if err := e.enqueue(s, bias); err != nil {
			return e.refused(q, err)
		}
	}
	return e.submitted(q)
}

// enter makes a request live before upstream knows it, for its first output may be there
// before the call of Enqueue returns. The caller must call e.calls.Done.
func (e *Executor) enter(r executor.Request) (*request, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.admits(r.ClientID)
	if errors.Is(err, executor.ErrQueueFull) {
		e.mu.Unlock()
		e.gather() // more may have started
		e.mu.Lock()
		err = e.admits(r.ClientID)
	}
	if err != nil {
		return nil, err
	}
	q := newRequest(r, e.now())
	if len(e.sequences) == 0 {
		e.progress = q.submitted
	}
	for _, s := range q.sequences {
		e.lastID++
		s.id = e.lastID
		e.sequences[s.id] = s
	}
	e.live[r.ClientID] = q
	if !q.deadline.IsZero() && (e.deadline.IsZero() || q.deadline.Before(e.deadline)) {
		e.deadline = q.deadline
	}
	e.silent++
	e.calls.Add(1)
	return q, nil
}

// admits tells why no request of that id can be queued now. The caller holds mu.
func (e *Executor) admits(clientID uint64) error {
	if err := e.stopped(); err != nil {
		return err
	}
	if _, ok := e.live[clientID]; ok {
		return executor.Invalid("client id %d is in use by a live request", clientID)
	}
	if most := e.options.MaxQueueSize; most > 0 && e.waiting() >= most {
		return fmt.Errorf("%w: %d requests wait, as many as may: try again later", executor.ErrQueueFull, most)
	}
	return nil
}

// waiting is how many live requests have not started: those without a token, but no more
// than upstream has not begun with. The caller holds mu.
func (e *Executor) waiting() int { return min(e.silent, max(0, len(e.sequences)-e.running)) }

// enqueue gives upstream a sequence, unless it has ended already.
func (e *Executor) enqueue(s *sequence, bias native.Array) error {
	e.mu.Lock()
	if s.ended {
		delete(e.sequences, s.id)
		e.mu.Unlock()
		return nil
	}
	e.mu.Unlock()
	id, err := e.engine.Enqueue(e.translate(s, bias))
	if err != nil {
		return err
	}
	e.mu.Lock()
	s.native = id
	runs := e.sequences[s.id] == s // it may be over already
	if runs {
		e.records.know(id, s)
	}
	cancel := runs && s.cancel
	e.mu.Unlock()
	if cancel {
		e.tell(id)
	}
	return nil
}

// refused takes back a request of which upstream did not take a sequence.
func (e *Executor) refused(q *request, err error) error {
	e.mu.Lock()
	stopped := e.stopped()
	var cancels []uint64
	for _, s := range q.sequences {
		s.ended = true
		if s.native == 0 {
			delete(e.sequences, s.id)
		} else {
			cancels = append(cancels, s.native)
		}
	}
	e.leave(q)
	e.mu.Unlock()
	for _, id := range cancels {
		e.tell(id)
	}
	if stopped != nil {
		return stopped
	}
	return enqueueError(err)
}

// submitted makes visible what came meanwhile. A request that the executor's death ended
// was not queued.
func (e *Executor) submitted(q *request) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	q.submitting = false
	held := q.held
	q.held = nil
	if e.dead != nil && errors.Is(q.outcome.Err, executor.ErrDead) {
		e.leave(q)
		return e.dead
	}
	e.responses = append(e.responses, held...)
	e.publish()
	if q.open == 0 {
		e.settle(q)
	}
	return nil
}

// stopped is the error of calls that come too late. The caller holds mu.
func (e *Executor) stopped() error {
	if e.dead != nil {
		return e.dead
	}
	if e.stopping {
		return executor.ErrClosed
	}
	return nil
}

// Cancel implements [executor.Executor].
func (e *Executor) Cancel(clientID uint64) {
	e.mu.Lock()
	if q, ok := e.live[clientID]; ok {
		e.finishRequest(q, executor.FinishCancelled)
	}
	e.unlockAndCancel()
}

// Stop implements [executor.Executor].
func (e *Executor) Stop(clientID uint64, sequence int) {
	e.mu.Lock()
	if q, ok := e.live[clientID]; ok && !q.beams() && sequence >= 0 && sequence < len(q.sequences) && !q.sequences[sequence].ended {
		e.finish(q.sequences[sequence], executor.FinishStop)
	}
	e.unlockAndCancel()
}

// unlockAndCancel unlocks mu and cancels what has ended meanwhile, which upstream may
// take its time for.
func (e *Executor) unlockAndCancel() {
	cancels := e.toCancel()
	if len(cancels) == 0 || e.freed {
		e.mu.Unlock()
		return
	}
	e.calls.Add(1)
	defer e.calls.Done()
	e.mu.Unlock()
	for _, id := range cancels {
		e.tell(id)
	}
}

// toCancel are upstream's ids of what has to be cancelled and has not ended there. The
// caller holds mu.
func (e *Executor) toCancel() (ids []uint64) {
	for _, s := range e.cancels {
		if e.sequences[s.id] == s {
			ids = append(ids, s.native)
		}
	}
	e.cancels = nil
	return ids
}

// tell asks upstream to end a request. The caller has a part in e.calls, or is the pump.
func (e *Executor) tell(id uint64) {
	if err := e.engine.Cancel(id); err != nil && !errors.Is(err, native.ErrClosed) {
		e.log.Warn("TensorRT-LLM did not cancel a request", "id", id, "error", err)
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
		responses := e.takePublished()
		err := e.stopped()
		ended = ended || e.dead != nil && e.published == len(e.responses)
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

// takePublished gives away the published responses. The caller holds mu.
func (e *Executor) takePublished() []executor.Response {
	if e.published == 0 {
		return nil
	}
	list := e.responses[:e.published:e.published]
	rest := e.responses[e.published:]
	e.responses, e.published, e.usual = nil, 0, len(list)
	if len(rest) > 0 {
		e.responses = append(e.responses, rest...)
	}
	return list
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
