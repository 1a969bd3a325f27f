package inflight

import "slices"

// What beam search needs of the scheduler: a request's beams run together. While
// request.beams is nil its one sequence computes the prompt; fork makes it several,
// reorder lets each go on from any of them, and discard ends the last ones. All beams
// of a request are planned in one step, and paused and resumed together. They need a
// runner whose blocks can be shared and that has no recurrent state.

// together are the sequences that are planned in one step with q.
func (q *sequence) together() []*sequence {
	if q.beams != nil {
		return q.beams
	}
	return q.alone[:]
}

// seats is how many places of the batch are kept for q and those that run with it.
func (q *sequence) seats() int { return max(1, q.Sampling.BeamWidth) }

// fork makes n beams of the request of q, its first: those that there are, and others
// with the tokens of q. Blocks are shared; who writes to a shared block gets a copy.
func (s *scheduler) fork(q *sequence, n int) {
	if q.beams == nil {
		q.beams = []*sequence{q}
	}
	for i := len(q.beams); i < n; i++ {
		beam := newSequence(q.request, i)
		beam.tokens = append(make([]int32, 0, cap(q.tokens)), q.tokens...)
		beam.timing, beam.cache = q.timing, q.cache
		beam.placement = placement{
			table: slices.Clone(q.table), computed: q.computed, chain: q.chain, promise: q.promise, context: q.context,
		}
		for _, b := range beam.table {
			s.cache.hold(b)
		}
		q.promise.holders++
		q.beams = append(q.beams, beam)
		s.active = insert(s.active, beam)
	}
}

// reorder lets beam i of a request go on with what beam parents[i] holds. The tokens
// are the caller's to move. There may be fewer parents than beams: the rest ends.
func (s *scheduler) reorder(r *request, parents []int) {
	next := make([]placement, len(parents))
	for i, parent := range parents {
		next[i] = r.beams[parent].placement
		next[i].table = slices.Clone(next[i].table)
		for _, b := range next[i].table {
			s.cache.hold(b)
		}
	}
	for i, q := range r.beams {
		for _, b := range slices.Backward(q.table) {
			s.drop(q, b)
		}
		q.table = nil
		if i < len(parents) {
			q.table, q.computed, q.chain = next[i].table, next[i].computed, next[i].chain
		}
	}
	s.discard(r, len(parents))
}

// discard ends the beams of a request from number n on, without a response.
func (s *scheduler) discard(r *request, n int) {
	for _, q := range r.beams[n:] {
		s.active = without(s.active, q)
		s.free(q)
	}
	r.beams = r.beams[:n]
}
