package inflight

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// maxFailures is how many steps may fail one after the other before the executor gives
// up.
const maxFailures = 16

// loop runs iterations until Close, and sleeps while there is nothing to do.
func (e *Executor) loop() {
	defer close(e.done)
	defer e.step.stop()
	ended := false
	defer func() {
		if p := recover(); p != nil || !ended { // a logits processor may end its goroutine
			// Whatever is broken here, nobody may wait for it for ever.
			e.log.Warn("executor panicked", "panic", p, "stack", string(debug.Stack()))
			e.die(fmt.Errorf("%w: it panicked: %v", executor.ErrDead, p))
		}
	}()
	for e.work() {
		e.iterate()
	}
	e.receive()
	e.scheduler.finishAll(executor.FinishCancelled)
	e.publish()
	ended = true
}

// work blocks until there is something to do; false means the end.
func (e *Executor) work() bool {
	for {
		e.mu.Lock()
		busy, dead := len(e.live) > 0, e.dead != nil
		e.mu.Unlock()
		if dead || e.ctx.Err() != nil {
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
	start := e.now()
	s.begins()
	s.reap(e.receive())
	s.admit()
	if s.plan() {
		s.describe()
		e.note()
		e.doStep()
		s.finishRecord(start)
	} else if len(s.active)+len(s.waiting) > 0 && len(s.outgoing) == 0 { // it would be so for ever
		panic("nothing can be done for those that wait")
	}
	e.publish()
}

// doStep does the planned step and takes over what it gives.
func (e *Executor) doStep() {
	s := &e.scheduler
	start := e.now()
	ctx := e.step.begin(s.planned)
	err := e.runner.Step(ctx, s.batch, &s.result)
	e.step.end()
	if err == nil && len(s.result.Rows) != s.rows {
		err = fmt.Errorf("the runner returned %d rows, %d were asked for", len(s.result.Rows), s.rows)
	}
	switch {
	case err == nil:
		s.failures = 0
		s.pace.observe(s.planned, e.now().Sub(start))
		s.commit()
	case errors.Is(err, executor.ErrAborted) && ctx.Err() != nil:
		// By Close: the loop ends and answers all. Or because all whose step it was are
		// cancelled or overdue: they end next. Nothing was computed.
	default:
		s.failures++
		s.failPlanned(fmt.Errorf("%w: %w", executor.ErrFailed, err))
		if s.failures == maxFailures {
			e.die(fmt.Errorf("%w: %d steps failed one after the other, the last with: %w", executor.ErrDead, maxFailures, err))
		}
	}
}

// ends are the requests, and single sequences, that are to end now.
type ends struct {
	requests map[*request]executor.FinishReason
	stops    []stop
}

type stop struct {
	*request
	sequence int
}

// receive takes over what callers did since the last iteration.
func (e *Executor) receive() ends {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.incoming {
		e.scheduler.submit(r)
	}
	clear(e.incoming)
	e.incoming = e.incoming[:0]
	var over ends
	for _, r := range e.ending {
		if e.live[r.ClientID] != r {
			continue
		}
		if r.cancelled {
			over.add(r, executor.FinishCancelled)
		}
		for _, i := range r.stops {
			over.stops = append(over.stops, stop{r, i})
		}
		r.stops = nil
	}
	clear(e.ending)
	e.ending = e.ending[:0]
	if !e.deadline.IsZero() {
		e.overdue(&over)
	}
	return over
}

func (o *ends) add(r *request, reason executor.FinishReason) {
	if o.requests == nil {
		o.requests = map[*request]executor.FinishReason{}
	}
	o.requests[r] = reason
}

// overdue adds the requests whose time is over, and finds the next deadline.
func (e *Executor) overdue(over *ends) {
	now := e.now()
	if now.Before(e.deadline) {
		return
	}
	e.deadline = time.Time{}
	for _, r := range e.live {
		switch {
		case r.deadline.IsZero() || r.cancelled:
		case !now.Before(r.deadline):
			over.add(r, executor.FinishTimeout)
		case e.deadline.IsZero() || r.deadline.Before(e.deadline):
			e.deadline = r.deadline
		}
	}
}

// note brings the statistics up to date before a step.
func (e *Executor) note() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead == nil {
		e.scheduler.count()
	}
}

// publish makes the iteration's responses and statistics visible, at once.
func (e *Executor) publish() {
	s := &e.scheduler
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead != nil {
		return // all have their answer
	}
	for i := range s.outgoing {
		if r := &s.outgoing[i]; r.Final {
			delete(e.live, r.ClientID)
			e.ended(r)
		}
	}
	s.count()
	e.records.add(s)
	if len(s.outgoing) > 0 {
		e.responses = append(e.responses, s.outgoing...)
		clear(s.outgoing)
		s.outgoing = s.outgoing[:0]
		signal(e.ready)
	}
}

// ended counts a request by its final response.
func (e *Executor) ended(r *executor.Response) {
	e.stats.FinishedRequests++
	switch {
	case r.Err != nil:
		e.stats.FailedRequests++
	case r.FinishReason == executor.FinishCancelled:
		e.stats.CancelledRequests++
	case r.FinishReason == executor.FinishTimeout:
		e.stats.TimedOutRequests++
	}
}

// die gives the executor up: every live request fails with err, which wraps
// executor.ErrDead, and so does what comes later.
func (e *Executor) die(err error) {
	e.dying.Do(func() {
		e.log.Warn("executor dead", "error", err, "live_requests", e.liveRequests()) // mu is free: the log may ask the executor
		e.mu.Lock()
		defer e.mu.Unlock()
		e.failAll(err)
	})
}

func (e *Executor) liveRequests() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.live)
}

// failAll is what die does to those that live and to those that come. The caller holds mu.
func (e *Executor) failAll(err error) {
	e.dead = err
	for _, id := range slices.Sorted(maps.Keys(e.live)) {
		e.responses = append(e.responses, executor.Response{ClientID: id, Err: err, Final: true})
		e.ended(&e.responses[len(e.responses)-1])
	}
	clear(e.live)
	e.incoming, e.ending = nil, nil
	e.stats.ActiveRequests, e.stats.QueuedRequests, e.stats.KVBlocksUsed = 0, 0, 0
	kv := &e.stats.KVCache
	kv.UsedNumBlocks, kv.FreeNumBlocks = 0, kv.MaxNumBlocks
	signal(e.ready)
	signal(e.wake)
}
