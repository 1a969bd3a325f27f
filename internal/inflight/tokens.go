package inflight

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// generation is what a sequence keeps to choose its tokens, and what it made of them
// that did not go out yet.
type generation struct {
	edits *edits
	full  bool                 // ask for whole rows: the candidates did not decide before
	rows  []executor.LogitsRow // of the step; used again

	contextLogits [][]float32
	contextRows   int // prompt positions whose rows were collected
	logProbs      []float32
	cumLogProb    float64
	logits        [][]float32
	sent          int // output tokens that went out
}

func newGeneration(r *executor.Request) generation { return generation{edits: newEdits(r)} }

// asked are the rows that a planned part of a step asks for, in this order.
type asked struct {
	context int                // rows of prompt positions
	row     executor.LogitsRow // of the next token
	sampled bool               // whether row is one of them
}

// count is the number of rows.
func (a *asked) count() int {
	if a.sampled {
		return a.context + 1
	}
	return a.context
}

// wantsPromptRows tells whether q has something to say about each token of its
// prompt, which has to be computed then. It is the same for all sequences of a
// request: the first one delivers it.
func (q *sequence) wantsPromptRows() bool { return q.ContextLogits && q.index == 0 }

// wantsContextRow tells whether the logits of a prompt position are asked for and
// not there yet.
func (q *sequence) wantsContextRow(position int) bool {
	return q.wantsPromptRows() && q.contextRows <= position
}

// ask decides which rows p asks for. They are valid until the sequence's next step.
func (s *scheduler) ask(p *planned) []executor.LogitsRow {
	rows := p.generation.rows[:0]
	for i := range p.n {
		if position := p.computed + i; position < len(p.InputIDs)-1 && p.wantsContextRow(position) {
			rows = append(rows, executor.LogitsRow{Index: i, Logits: true})
			p.context++
		}
	}
	if p.computed+p.n == len(p.tokens) {
		p.row, p.sampled = s.row(p.sequence, p.n-1), true
		rows = append(rows, p.row)
	}
	p.generation.rows = rows
	return rows
}

// row asks for the logits of the next token.
func (s *scheduler) row(q *sequence, index int) executor.LogitsRow {
	candidates, full := candidatesFor(&q.Sampling, &s.e.limits)
	// A second run of the same token would change recurrent state twice.
	undecided := s.e.limits.StateSlots > 0 && q.Sampling.TopK == 0
	wanted := q.GenerationLogits || q.wantsContextRow(len(q.InputIDs)-1)
	return executor.LogitsRow{
		Index: index, Temperature: q.Sampling.Temperature, Edits: q.edits.of(q.tokens, len(q.output())),
		Candidates: candidates, Logits: full || q.full || undecided || wanted,
	}
}

// advance gives a sequence its rows: prompt logits, and the row of its next token.
func (s *scheduler) advance(p *planned, rows []executor.RowResult) {
	q := p.sequence
	for i := range p.context {
		q.contextLogits = append(q.contextLogits, slices.Clone(rows[i].Logits))
		q.contextRows++
	}
	if !p.sampled {
		return
	}
	row := &rows[p.context]
	if err := checkRow(row); err != nil {
		s.failRequests(func(r *request) bool { return r == q.request },
			fmt.Errorf("token %d of sequence %d: %w", len(q.output()), q.index, err))
		return
	}
	if q.wantsContextRow(len(q.InputIDs) - 1) {
		q.contextLogits = append(q.contextLogits, slices.Clone(row.Logits))
		q.contextRows++
	}
	u := uniform(q.Sampling.Seed+uint64(q.index), len(q.output()))
	c, decided := choose(row, &q.Sampling, u)
	if !decided && !p.row.Logits {
		// Once more, in full: the last token is computed again where it stands.
		q.full = true
		q.computed--
		return
	}
	if !decided {
		c = chooseFull(row, p.row, &q.Sampling, u)
	}
	s.accept(q, c, row)
}

// accept appends a token to a sequence and ends the sequence if that is due.
func (s *scheduler) accept(q *sequence, c executor.Candidate, row *executor.RowResult) {
	s.generatedTokens++
	now := s.e.now().Sub(q.submitted)
	if q.timing.FirstToken == 0 {
		q.timing.FirstToken = now
	}
	q.timing.LastToken = now
	if slices.Contains(q.EndIDs, c.Token) {
		s.end(q, executor.FinishEnd)
		return
	}
	q.tokens = append(q.tokens, c.Token)
	q.edits.see(c.Token)
	logProb := float64(c.Raw) - float64(row.RawLogSumExp)
	q.cumLogProb += logProb
	if q.LogProbs {
		q.logProbs = append(q.logProbs, float32(logProb))
	}
	if q.GenerationLogits {
		q.logits = append(q.logits, slices.Clone(row.Logits))
	}
	switch output := q.output(); {
	case len(output) >= q.Sampling.MinTokens && slices.ContainsFunc(q.StopSequences, func(stop []int32) bool { return endsWith(output, stop) }):
		s.end(q, executor.FinishStop)
	case len(output) == q.MaxTokens:
		s.end(q, executor.FinishLength)
	case q.Streaming:
		s.outgoing = append(s.outgoing, q.response())
	}
}

// response carries what q made since the last one. The slices change hands.
func (q *sequence) response() executor.Response {
	output := q.output()
	response := executor.Response{
		ClientID: q.ClientID, Sequence: q.index, OutputIDs: slices.Clone(output[q.sent:]),
		LogProbs: q.logProbs, CumLogProb: float32(q.cumLogProb), Logits: q.logits,
		Timing: q.timing,
	}
	q.sent = len(output)
	q.logProbs, q.logits = nil, nil
	if q.contextRows == len(q.InputIDs) {
		response.ContextLogits, q.contextLogits = q.contextLogits, nil
	}
	return response
}
