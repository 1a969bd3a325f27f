package inflight

import (
	"maps"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// edits keeps what a request does to the logits of its next token: standing
// ones (bias, penalties of the tokens seen), updated token by token, and bans
// that hold for one row.
type edits struct {
	request *executor.Request
	counts  map[int32]int        // of each token in prompt and output
	place   map[int32]int        // of each edited token in list
	list    []executor.LogitEdit // one entry a token
	row     []executor.LogitEdit // list and the bans of the row; scratch
}

var banned = float32(math.Inf(-1))

// newEdits returns the edits of r, with its prompt seen; nil when r has none.
func newEdits(r *executor.Request) *edits {
	s := &r.Sampling
	bans := len(r.BadSequences) > 0 || s.NoRepeatNgramSize > 0 || s.MinTokens > 0 && len(r.EndIDs) > 0
	if !bans && len(s.Bias) == 0 && !penalises(s) {
		return nil
	}
	e := &edits{request: r, place: map[int32]int{}}
	for _, id := range slices.Sorted(maps.Keys(s.Bias)) {
		e.place[id] = len(e.list)
		e.list = append(e.list, executor.LogitEdit{Token: id, Bias: s.Bias[id]})
	}
	if penalises(s) {
		e.counts = map[int32]int{}
		for _, id := range r.InputIDs {
			e.see(id)
		}
	}
	return e
}

func penalises(s *executor.Sampling) bool {
	return s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1 || s.PresencePenalty != 0 || s.FrequencyPenalty != 0
}

// see counts a token of the prompt or output.
func (e *edits) see(id int32) {
	if e == nil || e.counts == nil {
		return
	}
	s := &e.request.Sampling
	e.counts[id]++
	at, ok := e.place[id]
	if !ok {
		at = len(e.list)
		e.place[id] = at
		e.list = append(e.list, executor.LogitEdit{Token: id, Bias: s.Bias[id]})
	}
	temperature := s.Temperature
	if temperature == 0 {
		temperature = 1
	}
	// The runner divides by the temperature last; these two come after it.
	after := float64(s.PresencePenalty) + float64(s.FrequencyPenalty)*float64(e.counts[id])
	e.list[at].Penalty = s.RepetitionPenalty
	e.list[at].Subtract = bounded(float64(temperature) * after)
}

// bounded is v as a number that a runner takes: what float32 cannot hold is the
// largest that it can. The products of float32 are finite in float64.
func bounded(v float64) float32 { return float32(max(-math.MaxFloat32, min(v, math.MaxFloat32))) }

// of returns the edits for the token that follows tokens, of which the last
// generated are output. They are valid until the next call.
func (e *edits) of(tokens []int32, generated int) []executor.LogitEdit {
	if e == nil {
		return nil
	}
	e.row = append(e.row[:0], e.list...)
	r := e.request
	if generated < r.Sampling.MinTokens {
		for _, id := range r.EndIDs {
			e.ban(id)
		}
	}
	for _, bad := range r.BadSequences {
		if last := len(bad) - 1; endsWith(tokens, bad[:last]) {
			e.ban(bad[last])
		}
	}
	if n := r.Sampling.NoRepeatNgramSize; n > 0 && len(tokens) >= n {
		tail := tokens[len(tokens)-n+1:]
		for i := 0; i+n <= len(tokens); i++ {
			if slices.Equal(tokens[i:i+n-1], tail) {
				e.ban(tokens[i+n-1])
			}
		}
	}
	return e.row
}

// ban makes a token impossible in this row.
func (e *edits) ban(id int32) {
	if at, ok := e.place[id]; ok {
		e.row[at].Bias = banned
		return
	}
	for _, edit := range e.row[len(e.list):] {
		if edit.Token == id {
			return
		}
	}
	e.row = append(e.row, executor.LogitEdit{Token: id, Bias: banned})
}

// endsWith tells whether tokens end with tail; every list ends with an empty one.
func endsWith(tokens, tail []int32) bool {
	return len(tokens) >= len(tail) && slices.Equal(tokens[len(tokens)-len(tail):], tail)
}
