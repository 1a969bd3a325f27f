package inflight

import (
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// contextLogitsChunk bounds the prompt tokens of one step for a request that
// wants the logits of each: a row of logits can be a megabyte.
const contextLogitsChunk = 64

// scheduler holds what waits and what runs, and decides what a step does. It belongs
// to the loop; nothing here is locked.
type scheduler struct {
	e *Executor
	sampler
	cache   *kvCache
	reuse   bool        // whether blocks can be taken over
	slots   []int       // free recurrent state slots
	waiting []*sequence // ordered by before; beams wait as their first
	active  []*sequence // ordered by before

	// The step being built and its result; the slices are used again.
	planned   []planned
	batch     []executor.Sequence
	positions []int32
	rows      int
	result    executor.StepResult
	found     []int32         // of lookUp
	sharers   map[int32]int32 // of wanted
	coming    map[uint64]bool // of comes

	outgoing  []executor.Response
	failures  int // failing steps in a row
	pace      pace
	iteration iteration
	completed []*request // in this iteration
	counters
}

// counters are what a scheduler has done so far.
type counters struct {
	iterations      uint64
	contextTokens   uint64
	generatedTokens uint64
	reusedTokens    uint64
	pausedRequests  uint64

	takenBlocks  uint64 // by requests, reused ones and new ones
	newBlocks    uint64
	reusedBlocks uint64
	missedBlocks uint64
}

// planned is the part of a step that belongs to a sequence: its next n tokens.
type planned struct {
	*sequence
	n int
	asked
}

func (s *scheduler) init(e *Executor) {
	s.e, s.cache = e, newKVCache(e.limits.NumBlocks, e.limits.BlockSize)
	s.sharers, s.coming = map[int32]int32{}, map[uint64]bool{}
	s.pace.bound = e.options.ChunkTime
	s.reuse = !e.options.NoBlockReuse && e.limits.SharedBlocks && e.limits.StateSlots == 0
	for i := range e.limits.StateSlots {
		s.slots = append(s.slots, e.limits.StateSlots-1-i)
	}
}

// submit puts a request into the queue.
func (s *scheduler) submit(r *request) {
	n := r.open
	if r.Sampling.BeamWidth > 1 {
		n = 1 // they fork
		r.search = newBeamSearch(&r.Request)
	}
	first, _ := slices.BinarySearchFunc(s.waiting, newSequence(r, 0), before)
	sequences := make([]*sequence, n)
	for i := range sequences {
		sequences[i] = newSequence(r, i)
	}
	s.waiting = slices.Insert(s.waiting, first, sequences...)
}

// admit moves waiting sequences into the batch while places and blocks last. None
// overtakes the first.
func (s *scheduler) admit() {
	for len(s.waiting) > 0 {
		q := s.waiting[0]
		if s.seats()+q.seats() > s.e.limits.MaxBatchSize {
			return
		}
		q.prepare()
		placed, err := s.place(q)
		if err != nil {
			s.failRequest(q.request, err)
			continue
		}
		if !placed {
			return
		}
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.begin(q)
	}
}

// begin makes a placed sequence active, with the beams that run with it.
func (s *scheduler) begin(q *sequence) {
	for _, q := range q.together() {
		s.active = insert(s.active, q)
		if q.timing.Scheduled == 0 {
			q.timing.Scheduled = s.e.now().Sub(q.submitted)
			s.iteration.enter(q)
		}
	}
}

// seats is how many places in the batch are taken or promised.
func (s *scheduler) seats() int {
	n := 0
	for _, q := range s.active {
		if q.beams == nil || q.beams[0] == q {
			n += q.seats()
		}
	}
	return n
}

// plan builds the next step: the last token of each sequence that has only that
// to compute, then chunks of the others' prompts. It tells whether there is any.
func (s *scheduler) plan() bool {
	s.planned, s.rows = s.planned[:0], 0
	s.handOver()
	s.makeRoom()
	left := s.planGeneration(s.e.limits.MaxNumTokens)
	s.planContext(left, s.pace.tokens(len(s.planned) > 0))
	s.batch, s.positions = s.batch[:0], s.positions[:0]
	for i := range s.planned {
		p := &s.planned[i]
		if err := s.grow(p.sequence, p.n); err != nil {
			s.failRequest(p.request, err)
			return s.plan()
		}
		for j := range p.n {
			s.positions = append(s.positions, int32(p.computed+j))
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

// ready tells whether q has nothing to compute but its last token.
func (q *sequence) ready() bool { return q.donor == nil && q.missing() == 1 }

// planGeneration gives their next token to all that are ready, all beams of a request
// in one step, and returns what is left of the budget.
func (s *scheduler) planGeneration(budget int) int {
	for _, q := range s.active {
		group := q.together()
		if group[0] != q || len(group) > budget || slices.ContainsFunc(group, func(q *sequence) bool { return !q.ready() }) {
			continue
		}
		for _, q := range group {
			s.planned = append(s.planned, planned{sequence: q, n: 1})
		}
		budget -= len(group)
	}
	return budget
}

// planContext gives chunks of what they miss to the others, in order, of budget tokens
// and of most that the step has time for.
func (s *scheduler) planContext(budget, most int) {
	budget = min(budget, most)
	clear(s.coming)
	for _, q := range s.active {
		if budget == 0 {
			return
		}
		if q.donor != nil || q.missing() == 1 {
			continue
		}
		s.extend(q)
		if s.comes(q) {
			continue
		}
		n := min(q.missing(), budget, s.e.chunkTokens)
		if q.needsPrompt() {
			n = min(n, max(0, q.prompt.taken-q.computed)+contextLogitsChunk)
		}
		if len(q.beams) > 1 { // their last tokens go together
			n = min(n, q.missing()-1)
		}
		if n > 0 {
			s.planned = append(s.planned, planned{sequence: q, n: n})
			budget -= n
		}
	}
}

// part is the planned part of a step in the runner's terms.
func (s *scheduler) part(p *planned, positions []int32) executor.Sequence {
	end := p.computed + p.n
	part := executor.Sequence{
		Tokens: p.tokens[p.computed:end], Positions: positions, BlockTable: p.table, SeqLen: end, StateSlot: p.slot,
		Rows: s.ask(p),
	}
	s.rows += len(part.Rows)
	return part
}
