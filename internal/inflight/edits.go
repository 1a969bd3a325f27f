package inflight

import (
	"maps"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

var banned = float32(math.Inf(-1))

// edits is what a request does to the logits of a sequence's next token: bias,
// penalties and bans. It grows by what each token adds and never looks at all
// tokens again. nil changes nothing.
type edits struct {
	request *executor.Request

	// list has one entry for each token with a bias, a penalty or a ban for good, and
	// after these the bans of the row asked for last.
	list    []executor.LogitEdit
	place   map[int32]int32 // of a token among the entries that stay
	counts  []int32         // what presence and frequency penalty count, one for each entry that stays
	changed []changedBias   // entries that the row asked for last bans

	bad    map[int32][][]int32 // bad sequences of two tokens and more, by the last but one
	ngrams *ngrams
}

// changedBias is what the bias of an entry is without the row's ban.
type changedBias struct {
	at   int32
	bias float32
}

func newEdits(r *executor.Request) *edits {
	s := &r.Sampling
	if len(s.Bias) == 0 && !penalises(s) && s.NoRepeatNgramSize == 0 && s.MinTokens == 0 && len(r.BadSequences) == 0 {
		return nil
	}
	e := &edits{request: r, place: map[int32]int32{}}
	for _, id := range slices.Sorted(maps.Keys(s.Bias)) {
		e.list[e.entry(id)].Bias = s.Bias[id]
	}
	for _, bad := range r.BadSequences {
		if len(bad) == 1 {
			e.list[e.entry(bad[0])].Bias = banned
			continue
		}
		if e.bad == nil {
			e.bad = map[int32][][]int32{}
		}
		before := bad[len(bad)-2]
		e.bad[before] = append(e.bad[before], bad)
	}
	if s.NoRepeatNgramSize > 0 {
		e.ngrams = newNgrams(s.NoRepeatNgramSize, ngramBase)
	}
	for i := range r.InputIDs {
		e.add(r.InputIDs[:i+1], i >= s.PromptIgnoreLength)
	}
	return e
}

// clone returns edits that grow apart from e.
func (e *edits) clone() *edits {
	if e == nil {
		return nil
	}
	e.restore()
	c := *e
	c.list, c.place, c.counts, c.changed = slices.Clone(e.list), maps.Clone(e.place), slices.Clone(e.counts), nil
	if e.ngrams != nil {
		c.ngrams = e.ngrams.clone()
	}
	return &c
}

func penalises(s *executor.Sampling) bool {
	return repeats(s) || s.PresencePenalty != 0 || s.FrequencyPenalty != 0
}

// repeats tells whether there is a repetition penalty.
func repeats(s *executor.Sampling) bool { return s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1 }

// see takes the last of tokens, prompt and output, into account.
func (e *edits) see(tokens []int32) {
	if e != nil {
		e.restore()
		e.add(tokens, true)
	}
}

// add is see for a list without the bans of a row. counted is false for what
// presence and frequency penalty ignore.
func (e *edits) add(tokens []int32, counted bool) {
	if e.ngrams != nil {
		e.ngrams.add(tokens)
	}
	s := &e.request.Sampling
	if !penalises(s) || !counted && !repeats(s) {
		return
	}
	at := e.entry(tokens[len(tokens)-1])
	edit := &e.list[at]
	edit.Penalty = s.RepetitionPenalty
	if counted {
		e.counts[at]++
		// The runner divides by the temperature last; these two come after it.
		after := float64(s.PresencePenalty) + float64(s.FrequencyPenalty)*float64(e.counts[at])
		edit.Subtract = bounded(temperatureOf(s) * after)
	}
}

// entry finds or makes the entry of a token.
func (e *edits) entry(id int32) int32 {
	at, ok := e.place[id]
	if !ok {
		at = int32(len(e.list))
		e.place[id] = at
		e.list = append(e.list, executor.LogitEdit{Token: id})
		e.counts = append(e.counts, 0)
	}
	return at
}

// temperatureOf is what the runner divides by.
func temperatureOf(s *executor.Sampling) float64 {
	if s.Temperature == 0 {
		return 1
	}
	return float64(s.Temperature)
}

// bounded is v as a number that a runner takes: what float32 cannot hold is the
// largest that it can. The products of float32 are finite in float64.
func bounded(v float64) float32 { return float32(max(-math.MaxFloat32, min(v, math.MaxFloat32))) }

// of returns the edits for the token that follows tokens, of which the last
// generated are output. They are valid until the next call of a method.
func (e *edits) of(tokens []int32, generated int) []executor.LogitEdit {
	if e == nil {
		return nil
	}
	e.restore()
	if generated < e.request.Sampling.MinTokens {
		for _, id := range e.request.EndIDs {
			e.ban(id)
		}
	}
	if len(tokens) > 0 {
		for _, bad := range e.bad[tokens[len(tokens)-1]] {
			if last := len(bad) - 1; endsWith(tokens, bad[:last]) {
				e.ban(bad[last])
			}
		}
	}
	if e.ngrams != nil {
		for at := range e.ngrams.followers(tokens) {
			e.ban(tokens[at])
		}
	}
	return e.list
}

// ban makes a token impossible in this row.
func (e *edits) ban(id int32) {
	at, ok := e.place[id]
	if !ok {
		e.list = append(e.list, executor.LogitEdit{Token: id, Bias: banned})
		return
	}
	e.changed = append(e.changed, changedBias{at: at, bias: e.list[at].Bias})
	e.list[at].Bias = banned
}

// restore takes the bans of the row back.
func (e *edits) restore() {
	for _, c := range slices.Backward(e.changed) { // an entry may be banned twice
		e.list[c.at].Bias = c.bias
	}
	e.changed = e.changed[:0]
	e.list = e.list[:len(e.counts)]
}

// endsWith tells whether tokens end with tail; every list ends with an empty one.
func endsWith(tokens, tail []int32) bool {
	return len(tokens) >= len(tail) && slices.Equal(tokens[len(tokens)-len(tail):], tail)
}
