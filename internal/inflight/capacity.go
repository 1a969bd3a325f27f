package inflight

import (
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// need is how many blocks must be there for q to start, beside those of which it
// takes over the donor's.
func (s *scheduler) need(q *sequence, donor *sequence) int {
	tokens := len(q.tokens)
	if s.e.options.Policy == executor.GuaranteedNoEvict {
		tokens = q.kvTokens()
	}
	n := q.KVBlocks(tokens, s.cache.size)
	if donor != nil && s.e.limits.SharedBlocks {
		n -= (len(q.InputIDs) - 1) / s.cache.size
	}
	return n
}

// room is how many blocks the next sequence may find to start. With pauses it leaves
// one to each that runs, so that it is not paused again at once.
func (s *scheduler) room() int {
	n := s.cache.available()
	if s.e.options.Policy == executor.MaxUtilization {
		n -= len(s.active)
	}
	return n
}

// makeRoom pauses sequences until there are blocks for the next token of all others
// that generate. The first in order never gives way to another, so it comes to an end.
func (s *scheduler) makeRoom() {
	if s.e.options.Policy != executor.MaxUtilization {
		return
	}
	for s.wanted() > s.cache.available() {
		s.pause(s.victims())
	}
}

// wanted is how many unpromised blocks the sequences that generate need for their
// next tokens.
func (s *scheduler) wanted() int {
	n := 0
	clear(s.sharers)
	for _, q := range s.active {
		group := q.together()
		if group[0] != q {
			continue
		}
		m := 0
		for _, q := range group {
			if q.ready() && s.wants(q) {
				m++
			}
		}
		n += max(0, m-q.promise.blocks)
	}
	return n
}

// wants tells whether q needs a block for its next token: it has none there, or has to
// copy one that others hold, which all but the last of its holders do.
func (s *scheduler) wants(q *sequence) bool {
	i := q.computed / s.cache.size
	if i == len(q.table) {
		return true
	}
	b := q.table[i]
	if q.computed%s.cache.size == 0 || !s.cache.shared(b) {
		return false
	}
	s.sharers[b]++
	return s.sharers[b] < s.cache.blocks[b].refs
}

// victims are who is paused next: all that runs of the last request in order. Where
// there is no other request, its last sequence.
func (s *scheduler) victims() []*sequence {
	last := s.active[len(s.active)-1]
	first := len(s.active) - 1
	for first > 0 && s.active[first-1].request == last.request {
		first--
	}
	if first == 0 && last.beams == nil {
		first = len(s.active) - 1
	}
	return slices.Clone(s.active[first:])
}

// pause takes what sequences of one request hold and puts them back in the queue. What
// they have computed stays findable as long as there is room; the rest is computed again.
func (s *scheduler) pause(sequences []*sequence) {
	s.pausedRequests++
	s.iteration.inflight.NumPausedRequests++
	s.e.log.Debug("request paused: its KV blocks go to others", "client_id", sequences[0].ClientID, "sequences", len(sequences),
		"tokens", len(sequences[0].tokens), "waiting", len(s.waiting))
	for _, q := range sequences {
		q.cache.Paused++
		s.requeue(s.waitingFor(q))
	}
	s.requeue(sequences)
}

// waitingFor are the running sequences that wait for q's prompt.
func (s *scheduler) waitingFor(q *sequence) []*sequence {
	var list []*sequence
	for _, a := range s.active {
		if a.donor == q {
			list = append(list, a)
		}
	}
	return list
}

// requeue moves running sequences back into the queue.
func (s *scheduler) requeue(sequences []*sequence) {
	for _, q := range sequences {
		if q.promise == nil {
			continue
		}
		s.active = without(s.active, q)
		s.release(q)
		if q.beams == nil || q.beams[0] == q { // beams wait as one
			s.enqueue(q)
		}
	}
}

// enqueue puts a sequence in its place in the queue.
func (s *scheduler) enqueue(q *sequence) { s.waiting = insert(s.waiting, q) }

// insert puts a sequence in its place in an ordered list.
func insert(list []*sequence, q *sequence) []*sequence {
	at, _ := slices.BinarySearchFunc(list, q, before)
	return slices.Insert(list, at, q)
}

// without takes a sequence out of a list.
func without(list []*sequence, q *sequence) []*sequence {
	if at := slices.Index(list, q); at >= 0 {
		return slices.Delete(list, at, at+1)
	}
	return list
}
