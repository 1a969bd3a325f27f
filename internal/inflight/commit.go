package inflight

import (
	"errors"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// commit takes over what a step computed: prompts grow, sequences that waited
// for a prompt take it, and every sampled row becomes a token.
func (s *scheduler) commit() {
	for i := range s.planned {
		p := &s.planned[i]
		s.contextTokens += uint64(p.contextTokens())
		p.computed += p.n
		done := p.computed
		if p.sampled {
			done-- // it may be computed again where it stands
		}
		s.publish(p.sequence, done)
	}
	s.handOver() // before any sequence ends, for its blocks are wanted here
	s.process()
	rows := s.result.Rows
	for i := range s.planned {
		p := &s.planned[i]
		n := p.count()
		if p.promise != nil { // its request may have failed just now
			s.advance(p, rows[:n])
		}
		rows = rows[n:]
	}
}

// handOver gives sequences the prompts that they wait for, where they are computed.
func (s *scheduler) handOver() {
	for i := 0; i < len(s.active); i++ {
		q := s.active[i]
		if q.donor == nil || q.donor.computed < len(q.InputIDs)-1 {
			continue
		}
		if err := s.takePrompt(q); err != nil {
			s.failRequest(q.request, err)
			i = -1
		}
	}
}

// end takes one running sequence out of the batch and answers it.
func (s *scheduler) end(q *sequence, reason executor.FinishReason) {
	s.active = without(s.active, q)
	s.finish(q, reason)
}

// finish frees what a sequence holds and gives its final response.
func (s *scheduler) finish(q *sequence, reason executor.FinishReason) {
	s.release(q)
	s.leave(q)
	if q.search != nil {
		if q.index == 0 { // for all
			s.answerBeams(q, reason)
		}
		return
	}
	q.open--
	if q.open == 0 {
		s.completed = append(s.completed, q.request)
	}
	response := q.response()
	response.FinishReason, response.SequenceFinal, response.Final = reason, true, q.open == 0
	s.outgoing = append(s.outgoing, response)
}

// reap ends cancelled requests and those whose time is over, running or waiting, and
// the sequences that the caller stopped.
func (s *scheduler) reap(ends ends) {
	if len(ends.requests) > 0 {
		s.finishRequests(func(r *request) executor.FinishReason { return ends.requests[r] })
	}
	for _, stop := range ends.stops {
		s.stop(stop.request, stop.sequence)
	}
}

// stop ends one sequence, running or waiting, if it is still there. Those that wait
// for its prompt start anew.
func (s *scheduler) stop(r *request, index int) {
	is := func(q *sequence) bool { return q.request == r && q.index == index }
	if r.Sampling.BeamWidth > 1 {
		return // what a beam is worth is known at the end
	}
	if i := slices.IndexFunc(s.waiting, is); i >= 0 {
		q := s.waiting[i]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.finish(q, executor.FinishStop)
	}
	if i := slices.IndexFunc(s.active, is); i >= 0 {
		q := s.active[i]
		s.requeue(s.waitingFor(q))
		s.end(q, executor.FinishStop)
	}
}

// finishAll ends every live request.
func (s *scheduler) finishAll(reason executor.FinishReason) {
	s.finishRequests(func(*request) executor.FinishReason { return reason })
}

// finishRequests ends all sequences of the requests for which reason is not
// FinishNone, by priority, then arrival.
func (s *scheduler) finishRequests(reason func(*request) executor.FinishReason) {
	sequences := s.remove(func(r *request) bool { return reason(r) != executor.FinishNone })
	for _, q := range sequences {
		s.finish(q, reason(q.request))
	}
}

// failRequests gives each of the requests one final response with err. Unless that is
// no fault of a step, what they have computed is not to be relied on.
func (s *scheduler) failRequests(fails func(*request) bool, err error) {
	is := func(cause error) bool { return errors.Is(err, cause) }
	doubtful := errors.Is(err, executor.ErrFailed) && !slices.ContainsFunc([]error{errBanned, errEdited, errProcessor, errCopying}, is)
	failed := map[*request]bool{}
	for _, q := range s.remove(fails) {
		if doubtful {
			s.forget(q)
		}
		s.free(q)
		s.leave(q)
		if !failed[q.request] {
			failed[q.request] = true
			s.completed = append(s.completed, q.request)
			s.outgoing = append(s.outgoing, executor.Response{ClientID: q.ClientID, Err: err, Final: true})
		}
	}
}

// failRequest gives a request its final response, with err.
func (s *scheduler) failRequest(r *request, err error) {
	s.failRequests(func(other *request) bool { return other == r }, err)
}

// failPlanned fails every request of the step.
func (s *scheduler) failPlanned(err error) {
	in := map[*request]bool{}
	for _, p := range s.planned {
		in[p.request] = true
	}
	s.failRequests(func(r *request) bool { return in[r] }, err)
}

// remove takes the sequences of some requests out of queue and batch.
func (s *scheduler) remove(of func(*request) bool) []*sequence {
	var removed []*sequence
	take := func(q *sequence) bool {
		if of(q.request) {
			removed = append(removed, q)
			return true
		}
		return false
	}
	s.active = slices.DeleteFunc(s.active, take)
	s.waiting = slices.DeleteFunc(s.waiting, take)
	slices.SortFunc(removed, before)
	return removed
}
