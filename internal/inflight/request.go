package inflight

import (
	"cmp"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// request is a live request. cancelled belongs to Executor.mu, the rest to the
// loop once it is queued.
type request struct {
	executor.Request
	submitted time.Time
	deadline  time.Time // zero: none
	order     uint64    // of arrival
	open      int       // sequences without their final response
	cancelled bool
}

// sequence is one sequence of a request. Its tokens are the prompt and the
// output so far, of which the first computed have their keys and values in the
// blocks of table.
type sequence struct {
	*request
	index    int
	tokens   []int32
	computed int
	table    []int32
	reserved int       // blocks promised and not yet taken
	slot     int       // recurrent state slot
	donor    *sequence // whose prompt this one takes over once it is computed
	timing   executor.Timing

	generation
}

func newSequence(r *request, index int) *sequence {
	return &sequence{request: r, index: index}
}

// start prepares a sequence that leaves the queue.
func (s *sequence) start(now time.Time) {
	s.tokens = make([]int32, len(s.InputIDs), len(s.InputIDs)+s.MaxTokens)
	copy(s.tokens, s.InputIDs)
	s.generation = newGeneration(&s.Request)
	s.timing.Scheduled = now.Sub(s.submitted)
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
