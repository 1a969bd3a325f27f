package inflight

import (
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// request is a live request and its sequences.
type request struct {
	executor.Request
	sequences []*sequence
	unended   int
	submitted time.Time
	cancelled bool
}

// sequence is one continuation of a request's prompt.
type sequence struct {
	request  *request
	index    int
	tokens   []int32 // prompt and output
	computed int     // tokens whose keys and values are in the cache
	blocks   []int32 // nil until admitted
	counts   map[int32]int
	ended    bool

	cumLogProb float64
	pending    executor.Response // what was not yet sent
	timing     executor.Timing
}

func newRequest(r executor.Request, now time.Time) *request {
	live := &request{Request: r, submitted: now}
	live.InputIDs = append([]int32(nil), r.InputIDs...)
	for i := range max(r.Sampling.NumReturnSequences, 1) {
		s := &sequence{request: live, index: i, tokens: append(make([]int32, 0, len(r.InputIDs)+r.MaxTokens), r.InputIDs...)}
		if penalised(&r.Sampling) {
			s.counts = make(map[int32]int)
			for _, id := range r.InputIDs {
				s.counts[id]++
			}
		}
		live.sequences = append(live.sequences, s)
	}
	live.unended = len(live.sequences)
	return live
}

// output is what was generated so far.
func (s *sequence) output() []int32 { return s.tokens[len(s.request.InputIDs):] }

// overdue tells whether the request has used its time.
func (r *request) overdue(now time.Time) bool {
	return r.AllottedTime > 0 && now.Sub(r.submitted) >= r.AllottedTime
}

// append adds a generated token.
func (s *sequence) append(token int32, logProb float32, now time.Time) {
	s.tokens = append(s.tokens, token)
	if s.counts != nil {
		s.counts[token]++
	}
	s.cumLogProb += float64(logProb)
	s.pending.OutputIDs = append(s.pending.OutputIDs, token)
	if s.request.LogProbs {
		s.pending.LogProbs = append(s.pending.LogProbs, logProb)
	}
	if s.timing.FirstToken == 0 {
		s.timing.FirstToken = now.Sub(s.request.submitted)
	}
	s.timing.LastToken = now.Sub(s.request.submitted)
}

// finish tells whether the token that was just appended, or the end id that was
// not, ends the sequence.
func (s *sequence) finish() executor.FinishReason {
	output := s.output()
	if len(output) >= s.request.Sampling.MinTokens {
		for _, stop := range s.request.StopSequences {
			if hasSuffix(output, stop) {
				return executor.FinishStop
			}
		}
	}
	if len(output) >= s.request.MaxTokens {
		return executor.FinishLength
	}
	return executor.FinishNone
}

func hasSuffix(ids, suffix []int32) bool {
	if len(suffix) == 0 || len(suffix) > len(ids) {
		return false
	}
	tail := ids[len(ids)-len(suffix):]
	for i := range suffix {
		if tail[i] != suffix[i] {
			return false
		}
	}
	return true
}
