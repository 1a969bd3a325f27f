package nativeexecutor

import (
	"fmt"

	"github.com/trtgo/trtgo/internal/executor"
)

// respond sends a response, or holds it while Submit has not returned. The caller holds
// mu.
func (e *Executor) respond(q *request, r executor.Response) {
	if q.submitting {
		q.held = append(q.held, r)
		return
	}
	if e.responses == nil {
		e.responses = make([]executor.Response, 0, e.usual+1)
	}
	e.responses = append(e.responses, r)
	e.publish()
}

// publish makes the responses visible, unless a batch is being handed on, which does it at
// its end. The caller holds mu.
func (e *Executor) publish() {
	if !e.batching && e.published < len(e.responses) {
		e.published = len(e.responses)
		signal(e.ready)
	}
}

// finish gives a sequence its final response and makes upstream end it, unless upstream
// did. The caller holds mu.
func (e *Executor) finish(s *sequence, reason executor.FinishReason) {
	response := s.response()
	response.FinishReason, response.SequenceFinal = reason, true
	if reason == executor.FinishEnd {
		e.stats.GeneratedTokens++ // the end id was one
	}
	e.end(s)
	e.close(s.request, response)
}

// end lets go of a sequence: its client gets no more of it. The caller holds mu.
func (e *Executor) end(s *sequence) {
	if s.ended {
		return
	}
	s.ended, s.output, s.pending = true, nil, pending{}
	if _, runs := e.sequences[s.id]; !runs {
		return
	}
	s.cancel = true
	if s.native != 0 {
		e.cancels = append(e.cancels, s)
	}
}

// close counts off one of a request's sequences and sends its final response. The caller
// holds mu.
func (e *Executor) close(q *request, response executor.Response) {
	q.open--
	response.Final = q.open == 0
	e.respond(q, response)
	if response.Final {
		q.outcome = response
		e.settle(q)
	}
}

// settle counts a request whose final response was sent, and forgets it: its id is free
// then. That is once Submit returns. The caller holds mu.
func (e *Executor) settle(q *request) {
	if q.submitting {
		return
	}
	e.leave(q)
	e.stats.FinishedRequests++
	switch {
	case q.outcome.Err != nil:
		e.stats.FailedRequests++
	case q.outcome.FinishReason == executor.FinishCancelled:
		e.stats.CancelledRequests++
	case q.outcome.FinishReason == executor.FinishTimeout:
		e.stats.TimedOutRequests++
	}
	q.outcome = executor.Response{}
}

// leave forgets a request. The caller holds mu.
func (e *Executor) leave(q *request) {
	delete(e.live, q.ClientID)
	if !q.started {
		e.silent--
	}
	if len(e.live) == 0 { // the last iteration may have said otherwise before they ended
		e.stats.KVBlocksUsed = 0
	}
}

// finishRequest ends what is open of a request. The caller holds mu.
func (e *Executor) finishRequest(q *request, reason executor.FinishReason) {
	for _, s := range q.sequences {
		switch {
		case s.ended:
		case q.beams():
			e.finishEmptyBeams(s, reason)
		default:
			e.finish(s, reason)
		}
	}
}

// fail gives a request one final response, with err. The caller holds mu.
func (e *Executor) fail(q *request, err error) {
	if q.open == 0 {
		return
	}
	for _, s := range q.sequences {
		e.end(s)
	}
	q.open = 0
	q.outcome = executor.Response{ClientID: q.ClientID, Err: err, Final: true}
	e.respond(q, q.outcome)
	e.settle(q)
}

// die gives the executor up: all live requests fail with err, which wraps
// executor.ErrDead. The first reason counts.
func (e *Executor) die(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead != nil {
		return
	}
	e.dead = err
	e.log.Warn("executor gave up", "error", err)
	for _, q := range e.live {
		e.fail(q, err)
	}
	e.cancels = nil    // nobody listens
	e.batching = false // a pump that hangs publishes nothing
	e.publish()
	signal(e.ready)
}

// dead makes an error of an executor that gives up.
func dead(format string, args ...any) error {
	return fmt.Errorf("%w: %w", executor.ErrDead, fmt.Errorf(format, args...))
}
