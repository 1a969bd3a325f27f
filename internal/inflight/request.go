package inflight

import (
	"cmp"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// request is a live request. cancelled and stops belong to Executor.mu, the rest
// to the loop once it is queued.
type request struct {
	executor.Request
	submitted time.Time
	deadline  time.Time // zero: none
	order     uint64    // of arrival
	open      int       // sequences without their final response
	cancelled bool
	stops     []int // sequences that the caller ends

	active    bool   // it has left the queue
	scheduled uint64 // the last iteration that it had a part in
	past      tally  // of its sequences that ended; asked is of all
	counted   tally  // scratch of requestStats

	search *beamSearch // nil: no beam search
	beams  []*sequence // that run together; nil without beam search and before fork
}

// sequence is one sequence of a request. Its tokens are the prompt and the output so
// far; they are nil until it was first in the queue.
type sequence struct {
	*request
	index  int
	tokens []int32
	timing executor.Timing
	cache  executor.RequestCache
	blocks blockCounts
	alone  [1]*sequence // itself

	placement
	generation
}

func newSequence(r *request, index int) *sequence {
	q := &sequence{request: r, index: index}
	q.alone[0] = q
	return q
}

// prepare makes what a sequence needs to run; what it has stays.
func (s *sequence) prepare() {
	if s.tokens != nil {
		return
	}
	s.tokens = make([]int32, len(s.InputIDs), len(s.InputIDs)+s.MaxTokens)
	copy(s.tokens, s.InputIDs)
	s.generation = newGeneration(&s.Request)
}

// output is what was generated so far.
func (s *sequence) output() []int32 {
	if s.tokens == nil {
		return nil
	}
	return s.tokens[len(s.InputIDs):]
}

// missing is the number of tokens that must be computed for the next one.
func (s *sequence) missing() int { return len(s.tokens) - s.computed }

// before orders the queue: larger priority, then earlier arrival, then index.
func before(a, b *sequence) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.order, b.order), cmp.Compare(a.index, b.index))
}

// kvTokens is the number of tokens whose keys and values a sequence of r may
// need: the last output token is never computed.
func (r *request) kvTokens() int { return len(r.InputIDs) + r.MaxTokens - 1 }
