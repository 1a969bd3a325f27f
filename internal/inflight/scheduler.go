package inflight

import (
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// contextLogitsChunk bounds the prompt tokens of one step for a request that
// wants the logits of each: a row of logits can be a megabyte.
const contextLogitsChunk = 64

// scheduler holds what runs and decides what a step does. It belongs to the
// loop; nothing here is locked but e.queue.
type scheduler struct {
	e *Executor
	sampler
	blocks *blockPool
	slots  []int // free recurrent state slots
	active []*sequence

	// The step being built and its result; the slices are used again.
	planned   []planned
	batch     []executor.Sequence
	positions []int32
	rows      int
	result    executor.StepResult

	outgoing        []executor.Response
	iterations      uint64
	contextTokens   uint64
	generatedTokens uint64
}

// planned is the part of a step that belongs to a sequence: its next n tokens.
type planned struct {
	*sequence
	n int
	asked
}

func (s *scheduler) init(e *Executor) {
	s.e, s.blocks = e, newBlockPool(e.limits.NumBlocks)
	for i := range e.limits.StateSlots {
		s.slots = append(s.slots, e.limits.StateSlots-1-i)
	}
}

// reap ends cancelled requests and those whose time is over, running or waiting.
func (s *scheduler) reap() {
	now := s.e.now()
	over := map[*request]executor.FinishReason{}
	s.e.mu.Lock()
	for _, r := range s.e.live {
		if r.cancelled {
			over[r] = executor.FinishCancelled
		} else if !r.deadline.IsZero() && !now.Before(r.deadline) {
			over[r] = executor.FinishTimeout
		}
	}
	s.e.mu.Unlock()
	if len(over) > 0 {
		s.finishRequests(func(r *request) executor.FinishReason { return over[r] })
	}
}

// finishAll ends every live request.
func (s *scheduler) finishAll(reason executor.FinishReason) {
	s.finishRequests(func(*request) executor.FinishReason { return reason })
}

// finishRequests ends all sequences of the requests for which reason is not
// FinishNone, in the order of arrival.
func (s *scheduler) finishRequests(reason func(*request) executor.FinishReason) {
	sequences := s.remove(func(r *request) bool { return reason(r) != executor.FinishNone })
	for _, q := range sequences {
		s.finish(q, reason(q.request))
	}
}

// failRequests gives each of the requests one final response with err.
func (s *scheduler) failRequests(fails func(*request) bool, err error) {
	failed := map[*request]bool{}
	for _, q := range s.remove(fails) {
		s.free(q)
		if !failed[q.request] {
			failed[q.request] = true
			s.outgoing = append(s.outgoing, executor.Response{ClientID: q.ClientID, Err: err, Final: true})
		}
	}
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
	s.e.mu.Lock()
	s.e.queue = slices.DeleteFunc(s.e.queue, take)
	s.e.mu.Unlock()
	slices.SortFunc(removed, before)
	return removed
}

// admit moves waiting sequences into the batch while places and blocks last.
func (s *scheduler) admit() {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	now := s.e.now()
	n := 0
	for n < len(s.e.queue) && len(s.active) < s.e.limits.MaxBatchSize && s.enter(s.e.queue[n]) {
		s.e.queue[n].start(now)
		n++
	}
	clear(s.e.queue[:n])
	s.e.queue = s.e.queue[n:]
	s.count()
}

// count brings the statistics of who runs and who waits up to date. The caller
// holds e.mu. A live request of which nothing runs waits.
func (s *scheduler) count() {
	active := map[*request]bool{}
	for _, q := range s.active {
		active[q.request] = true
	}
	s.e.stats.ActiveRequests, s.e.stats.QueuedRequests = len(active), len(s.e.live)-len(active)
	s.e.stats.KVBlocksUsed = s.blocks.used()
}

// enter reserves what a sequence needs and makes it active, if all of that is free.
func (s *scheduler) enter(q *sequence) bool {
	need := blocksFor(q.kvTokens(), s.e.limits.BlockSize)
	donor := s.donorOf(q)
	if donor != nil && s.e.limits.SharedBlocks {
		need -= (len(q.InputIDs) - 1) / s.e.limits.BlockSize
	}
	if !s.blocks.reserve(need) {
		return false
	}
	q.reserved, q.donor = need, donor
	if last := len(s.slots) - 1; last >= 0 {
		q.slot, s.slots = s.slots[last], s.slots[:last]
	}
	s.active = append(s.active, q)
	return true
}

// donorOf finds a running sequence of the same request, whose prompt q can take
// over. There is no way to copy recurrent state.
func (s *scheduler) donorOf(q *sequence) *sequence {
	if s.e.limits.StateSlots > 0 || len(q.InputIDs) < 2 {
		return nil
	}
	for _, a := range s.active {
		if a.request == q.request && a.donor == nil {
			return a
		}
	}
	return nil
}

// plan builds the next step: the last token of each sequence that has only that
// to compute, then chunks of the others' prompts. It tells whether there is any.
func (s *scheduler) plan() bool {
	s.planned, s.rows = s.planned[:0], 0
	budget := s.e.limits.MaxNumTokens
	for _, q := range s.active {
		if q.donor == nil && q.missing() == 1 && budget > 0 {
			s.planned = append(s.planned, planned{sequence: q, n: 1})
			budget--
		}
	}
	for _, q := range s.active {
		if q.donor != nil || q.missing() == 1 {
			continue
		}
		n := min(q.missing(), budget, s.e.chunkTokens)
		if q.wantsPromptRows() {
			n = min(n, contextLogitsChunk)
		}
		if n > 0 {
			s.planned = append(s.planned, planned{sequence: q, n: n})
			budget -= n
		}
	}
	s.batch, s.positions = s.batch[:0], s.positions[:0]
	for i := range s.planned {
		for range s.planned[i].n {
			s.positions = append(s.positions, 0)
		}
	}
	at := 0
	for i := range s.planned {
		n := s.planned[i].n
		s.batch = append(s.batch, s.part(&s.planned[i], s.positions[at:at+n]))
		at += n
	}
	return len(s.planned) > 0
}

// part is the planned part of a step in the runner's terms.
func (s *scheduler) part(p *planned, positions []int32) executor.Sequence {
	end := p.computed + p.n
	for len(p.table)*s.e.limits.BlockSize < end {
		p.table = append(p.table, s.blocks.take())
		p.reserved--
	}
	for i := range positions {
		positions[i] = int32(p.computed + i)
	}
	part := executor.Sequence{
		Tokens: p.tokens[p.computed:end], Positions: positions, BlockTable: p.table, SeqLen: end, StateSlot: p.slot,
	}
	part.Rows = s.ask(p)
	s.rows += len(part.Rows)
	return part
}
