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
	topP  float32              // of the next token
	full  bool                 // ask for whole rows: the candidates did not decide before
	rows  []executor.LogitsRow // of the step; used again

	prompt      promptRows
	logProbs    []float32
	topLogProbs [][]executor.LogProb
	cumLogProb  float64
	logits      [][]float32
	sent        int // output tokens that went out
}

func newGeneration(r *executor.Request) generation {
	return generation{edits: newEdits(r), topP: topPOf(&r.Sampling), prompt: promptRows{taken: r.FirstRow()}}
}

// asked are the rows that a planned part of a step asks for, in this order.
type asked struct {
	context int                // rows of prompt positions
	row     executor.LogitsRow // of the next token; see nextRow
	sampled bool               // whether row is one of them
	model   bool               // whether a row of the same token follows, without edits

	processed []float32 // what the logits processor made of the row's logits; nil without one
}

// count is the number of rows.
func (a *asked) count() int {
	n := a.context
	if a.sampled {
		n++
	}
	if a.model {
		n++
	}
	return n
}

// sampler is what the scheduler needs to choose tokens: memory that is used again.
type sampler struct {
	candidates []executor.Candidate // of one row, whole
	processor  processorRows
}

// ask decides which rows p asks for. They are valid until the sequence's next step.
func (s *scheduler) ask(p *planned) []executor.LogitsRow {
	rows := p.generation.rows[:0]
	for i := range p.n {
		if position := p.computed + i; position < len(p.InputIDs)-1 && p.wantsPromptRow(position) {
			rows = append(rows, p.promptRow(i, position))
			p.context++
		}
	}
	if p.computed+p.n == len(p.tokens) {
		p.row, p.sampled = s.nextRow(p.sequence, p.n-1), true
		if p.ProcessorData != nil { // edits and choice come after the processor
			rows = append(rows, executor.LogitsRow{Index: p.n - 1, Candidates: p.TopLogProbs, Logits: true})
		} else {
			rows = append(rows, p.row)
			if p.model = p.TopLogProbs > 0 && changes(&p.row); p.model {
				rows = append(rows, executor.LogitsRow{Index: p.n - 1, Candidates: p.TopLogProbs})
			}
		}
	}
	p.generation.rows = rows
	return rows
}

// changes tells whether a row's candidates may have another order than the model's.
func changes(row *executor.LogitsRow) bool {
	return len(row.Edits) > 0 || row.Temperature != 0 && row.Temperature != 1
}

// nextRow is the row that the next token is chosen from.
func (s *scheduler) nextRow(q *sequence, index int) executor.LogitsRow {
	row := executor.LogitsRow{Index: index, Temperature: q.Sampling.Temperature, Edits: q.edits.of(q.tokens, len(q.output()))}
	candidates, full := candidatesFor(&q.Sampling, &s.e.limits)
	if q.search != nil {
		candidates, full = beamCandidatesFor(&q.Request, &s.e.limits)
	}
	row.Candidates = candidates
	if !changes(&row) {
		row.Candidates = max(candidates, q.TopLogProbs)
	}
	// A second run of the same token would change recurrent state twice.
	undecided := s.e.limits.StateSlots > 0 && q.Sampling.TopK == 0
	wanted := q.GenerationLogits || q.ContextLogits && q.wantsPromptRow(len(q.InputIDs)-1)
	row.Logits = full || q.full || undecided || wanted
	return row
}

// advance gives a sequence its rows: those of its prompt, and that of its next token.
func (s *scheduler) advance(p *planned, rows []executor.RowResult) {
	q := p.sequence
	if err := q.takePromptRows(rows[:p.context]); err != nil {
		s.failSequence(q, err)
		return
	}
	if !p.sampled {
		return
	}
	row, model := &rows[p.context], &rows[p.count()-1]
	if q.search != nil {
		q.completePrompt(row)
		if err := s.takeBeamRow(p, row, model); err != nil {
			s.failSequence(q, fmt.Errorf("token %d of beam %d: %w", len(q.output()), q.index, err))
		}
		return
	}
	c, decided, err := s.pick(p, row)
	if err != nil {
		s.failSequence(q, fmt.Errorf("token %d of sequence %d: %w", len(q.output()), q.index, err))
		return
	}
	q.completePrompt(row)
	if !decided {
		// Once more, in full: the last token is computed again where it stands.
		q.full = true
		q.computed--
		return
	}
	s.accept(q, c, row, model)
}

// failSequence fails the request of q, whose step or logits are to blame.
func (s *scheduler) failSequence(q *sequence, err error) {
	s.failRequest(q.request, fmt.Errorf("%w: %w", executor.ErrFailed, err))
}

// pick chooses the next token of p from its row. decided is false when the row must
// be asked for in full.
func (s *scheduler) pick(p *planned, row *executor.RowResult) (c executor.Candidate, decided bool, err error) {
	q := p.sequence
	if err := checkRow(row); err != nil {
		return c, false, err
	}
	u := uniform(q.Sampling.Seed+uint64(q.index), len(q.output()))
	if p.processed != nil {
		c, err = s.pickProcessed(p, row, u)
		return c, true, err
	}
	if c, decided = choose(row, &q.Sampling, q.topP, u); !decided && p.row.Logits {
		s.candidates = editedRow(s.candidates, row.Logits, &p.row)
		c, decided = chooseFull(s.candidates, row.LogSumExp, &q.Sampling, q.topP, u), true
	}
	return c, decided, nil
}

// accept appends a token to a sequence and ends the sequence if that is due. model is
// the row that tells the best tokens under the model.
func (s *scheduler) accept(q *sequence, c executor.Candidate, row, model *executor.RowResult) {
	s.generatedTokens++
	now := s.e.now().Sub(q.submitted)
	if q.timing.FirstToken == 0 {
		q.timing.FirstToken = now
	}
	q.timing.LastToken = now
	reason := q.ending(q.output(), c.Token)
	if reason == executor.FinishEnd {
		s.end(q, reason)
		return
	}
	q.take(c, row, model)
	switch {
	case reason != executor.FinishNone:
		s.end(q, reason)
	case len(q.output()) == q.MaxTokens:
		s.end(q, executor.FinishLength)
	case q.Streaming:
		s.outgoing = append(s.outgoing, q.response())
	}
}

// ending tells how a token would end an output.
func (r *request) ending(output []int32, token int32) executor.FinishReason {
	if slices.Contains(r.EndIDs, token) {
		return executor.FinishEnd
	}
	if len(output)+1 < r.Sampling.MinTokens {
		return executor.FinishNone
	}
	for _, stop := range r.StopSequences {
		if last := len(stop) - 1; stop[last] == token && endsWith(output, stop[:last]) {
			return executor.FinishStop
		}
	}
	return executor.FinishNone
}

// take makes c the next token of q.
func (q *sequence) take(c executor.Candidate, row, model *executor.RowResult) {
	q.tokens = append(q.tokens, c.Token)
	q.edits.see(q.tokens)
	q.topP = topPAfter(&q.Sampling, q.topP, c.Token)
	p := logProb(c.Raw, row.RawLogSumExp)
	q.cumLogProb += p
	if q.LogProbs {
		q.logProbs = append(q.logProbs, float32(p))
	}
	if q.TopLogProbs > 0 {
		q.topLogProbs = append(q.topLogProbs, topLogProbs(model, q.TopLogProbs))
	}
	if q.GenerationLogits {
		q.logits = append(q.logits, slices.Clone(row.Logits))
	}
}

// response carries what q made since the last one. The slices change hands.
func (q *sequence) response() executor.Response {
	output := q.output()
	response := executor.Response{
		ClientID: q.ClientID, Sequence: q.index, OutputIDs: slices.Clone(output[q.sent:]),
		LogProbs: q.logProbs, TopLogProbs: q.topLogProbs, CumLogProb: float32(q.cumLogProb), Logits: q.logits,
		Timing: q.timing, KVCache: q.cache,
	}
	q.sent = len(output)
	q.logProbs, q.topLogProbs, q.logits = nil, nil, nil
	q.deliverPrompt(&response)
	return response
}
