package inflight

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// commit takes over what a step computed: prompts grow, sequences that waited
// for a prompt take it, and every sampled row becomes a token.
func (s *scheduler) commit() {
	s.iterations++
	for _, p := range s.planned {
		s.contextTokens += uint64(max(0, min(p.computed+p.n, len(p.InputIDs))-p.computed))
		p.computed += p.n
	}
	// Before any sequence ends, for its blocks are wanted here.
	for _, q := range slices.Clone(s.active) {
		if q.donor == nil || q.donor.computed < len(q.InputIDs)-1 || !slices.Contains(s.active, q) {
			continue
		}
		if err := s.takePrompt(q); err != nil {
			s.failRequests(func(r *request) bool { return r == q.request }, err)
		}
	}
	rows := s.result.Rows
	for i := range s.planned {
		p := &s.planned[i]
		n := p.context
		if p.sampled {
			n++
		}
		if slices.Contains(s.active, p.sequence) { // its request may have failed just now
			s.advance(p, rows[:n])
		}
		rows = rows[n:]
	}
}

// takePrompt gives q the keys and values of its donor's prompt, all but those of
// the last token: q computes that one itself, to get the logits after it.
func (s *scheduler) takePrompt(q *sequence) error {
	n, size := len(q.InputIDs)-1, s.e.limits.BlockSize
	for i, b := range q.donor.table[:blocksFor(n, size)] {
		if s.e.limits.SharedBlocks && (i+1)*size <= n {
			s.blocks.share(b)
			q.table = append(q.table, b)
			continue
		}
		own := s.blocks.take()
		q.reserved--
		q.table = append(q.table, own)
		if err := s.e.runner.CopyBlock(int(b), int(own), min(size, n-i*size)); err != nil {
			return fmt.Errorf("copying KV block %d to %d: %w", b, own, err)
		}
	}
	q.computed, q.donor = n, nil
	return nil
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
	if !decided && !p.asked.Logits {
		// Once more, in full: the last token is computed again where it stands.
		q.full = true
		q.computed--
		return
	}
	if !decided {
		c = chooseFull(row, p.asked, &q.Sampling, u)
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

// end takes one sequence out of the batch and answers it.
func (s *scheduler) end(q *sequence, reason executor.FinishReason) {
	s.active = slices.DeleteFunc(s.active, func(a *sequence) bool { return a == q })
	s.finish(q, reason)
}

// finish frees what a sequence holds and gives its final response.
func (s *scheduler) finish(q *sequence, reason executor.FinishReason) {
	s.free(q)
	q.open--
	response := q.response()
	response.FinishReason, response.SequenceFinal, response.Final = reason, true, q.open == 0
	s.outgoing = append(s.outgoing, response)
}

// free gives back the blocks and the slot of a sequence that was removed.
func (s *scheduler) free(q *sequence) {
	if q.tokens == nil {
		return // it never left the queue
	}
	for _, b := range q.table {
		s.blocks.drop(b)
	}
	s.blocks.unreserve(q.reserved)
	q.table, q.reserved = nil, 0
	if s.e.limits.StateSlots > 0 {
		s.slots = append(s.slots, q.slot)
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
