package inflight

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// commit takes over what a step computed: prompts grow, sequences that waited
// for a prompt take it, and every sampled row becomes a token.
func (s *scheduler) commit() {
	s.iterations++
	for _, p := range s.planned {
		s.contextTokens += uint64(max(0, min(p.computed+p.n, len(p.InputIDs))-p.computed))
		p.computed += p.n
	}
	// Before any sequence ends, for its blocks are wanted here.
	for _, q := range slices.Clone(s.active) {
		if q.donor == nil || q.donor.computed < len(q.InputIDs)-1 || !slices.Contains(s.active, q) {
			continue
		}
		if err := s.takePrompt(q); err != nil {
			s.failRequests(func(r *request) bool { return r == q.request }, err)
		}
	}
	s.process()
	rows := s.result.Rows
	for i := range s.planned {
		p := &s.planned[i]
		n := p.count()
		if slices.Contains(s.active, p.sequence) { // its request may have failed just now
			s.advance(p, rows[:n])
		}
		rows = rows[n:]
	}
}

// takePrompt gives q the keys and values of its donor's prompt, all but those of
// the last token: q computes that one itself, to get the logits after it.
func (s *scheduler) takePrompt(q *sequence) error {
	n, size := len(q.InputIDs)-1, s.e.limits.BlockSize
	for i, b := range q.donor.table[:blocksFor(n, size)] {
		if s.e.limits.SharedBlocks && (i+1)*size <= n {
			s.blocks.share(b)
			q.table = append(q.table, b)
			continue
		}
		own := s.blocks.take()
		q.reserved--
		q.table = append(q.table, own)
		if err := s.e.runner.CopyBlock(int(b), int(own), min(size, n-i*size)); err != nil {
			return fmt.Errorf("copying KV block %d to %d: %w", b, own, err)
		}
	}
	q.computed, q.donor = n, nil
	return nil
}

// end takes one sequence out of the batch and answers it.
func (s *scheduler) end(q *sequence, reason executor.FinishReason) {
	s.active = slices.DeleteFunc(s.active, func(a *sequence) bool { return a == q })
	s.finish(q, reason)
}

// finish frees what a sequence holds and gives its final response.
func (s *scheduler) finish(q *sequence, reason executor.FinishReason) {
	s.free(q)
	q.open--
	response := q.response()
	response.FinishReason, response.SequenceFinal, response.Final = reason, true, q.open == 0
	s.outgoing = append(s.outgoing, response)
}

// free gives back the blocks and the slot of a sequence that was removed.
func (s *scheduler) free(q *sequence) {
	if q.tokens == nil {
		return // it never left the queue
	}
	for _, b := range q.table {
		s.blocks.drop(b)
	}
	s.blocks.unreserve(q.reserved)
	q.table, q.reserved = nil, 0
	if s.e.limits.StateSlots > 0 {
		s.slots = append(s.slots, q.slot)
	}
}
