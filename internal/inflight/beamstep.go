package inflight

import (
	"errors"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// returnedBeams is how many beams a request gets.
func returnedBeams(s *executor.Sampling) int {
	if s.NumReturnSequences == 0 {
		return s.BeamWidth
	}
	return s.NumReturnSequences
}

// beamCandidatesFor is candidatesFor of a request with beams.
func beamCandidatesFor(r *executor.Request, limits *executor.Limits) (candidates int, full bool) {
	need := min(beamCandidates(r), limits.VocabSize)
	return min(need, limits.MaxCandidates), need > limits.MaxCandidates
}

// takeBeamRow takes the row of one beam's next token. With that of the last beam the
// search goes on.
func (s *scheduler) takeBeamRow(p *planned, row, model *executor.RowResult) error {
	b, err := s.beamRow(p, row, model)
	if err != nil {
		return err
	}
	p.search.rows = append(p.search.rows, b)
	if beams := p.together(); beams[len(beams)-1] == p.sequence {
		return s.advanceBeams(beams)
	}
	return nil
}

// beamRow is the row of p as a search sees it. A beam whose tokens are all banned is a
// dead end, without candidates.
func (s *scheduler) beamRow(p *planned, row, model *executor.RowResult) (beamRow, error) {
	b := beamRow{candidates: row.Candidates, logSumExp: row.LogSumExp, rawLogSumExp: row.RawLogSumExp}
	err := checkRow(row)
	switch need := beamCandidates(&p.Request); {
	case err != nil:
	case p.processed != nil:
		if b.logSumExp, err = s.editProcessed(p); err == nil {
			b.candidates = bestOf(s.candidates, need)
			for i := range b.candidates {
				b.candidates[i].Raw = row.Logits[b.candidates[i].Token]
			}
		}
	case len(b.candidates) < need && p.row.Logits:
		s.candidates = editedRow(s.candidates, row.Logits, &p.row)
		b.candidates = bestOf(s.candidates, need)
	}
	if errors.Is(err, errBanned) || errors.Is(err, errProcessedBanned) {
		b.candidates, err = nil, nil
	}
	if p.TopLogProbs > 0 {
		b.top = topLogProbs(model, p.TopLogProbs)
	}
	if p.GenerationLogits {
		b.logits = slices.Clone(row.Logits)
	}
	return b, err
}

// bestOf returns the best n of an unsorted list, in order.
func bestOf(list []executor.Candidate, n int) []executor.Candidate {
	best := make([]executor.Candidate, 0, n+1)
	for _, c := range list {
		if len(best) == n && descending(best[n-1], c) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, c, descending)
		best = slices.Insert(best, at, c)
		best = best[:min(n, len(best))]
	}
	return best
}

// advanceBeams gives the beams of a request their next tokens.
func (s *scheduler) advanceBeams(beams []*sequence) error {
	q := beams[0]
	s.generatedTokens += uint64(len(beams))
	now := s.e.now().Sub(q.submitted)
	if q.timing.FirstToken == 0 {
		q.timing.FirstToken = now
	}
	q.timing.LastToken = now
	parents := q.search.advance(q.search.rows, func(parent int, token int32) executor.FinishReason {
		return q.ending(beams[parent].output(), token)
	})
	clear(q.search.rows)
	q.search.rows = q.search.rows[:0]
	switch {
	case len(parents) == 0 && len(q.search.ended) == 0:
		return errBanned
	case len(parents) == 0 || q.search.done || q.search.live[0].length == q.MaxTokens:
		for _, b := range slices.Clone(beams) {
			s.end(b, executor.FinishLength)
		}
	default:
		s.moveBeams(q, parents)
	}
	return nil
}

// moveBeams makes beam i go on from what was beam parents[i], with the next token of
// the search.
func (s *scheduler) moveBeams(q *sequence, parents []int) {
	s.fork(q, len(parents))
	type past struct {
		tokens []int32
		edits  *edits
	}
	moved := make([]past, len(parents))
	for i, parent := range parents {
		from := q.beams[parent]
		moved[i] = past{from.tokens, from.edits}
		if i != parent { // which may go on itself, or be another's
			moved[i] = past{append(make([]int32, 0, cap(from.tokens)), from.tokens...), from.edits.clone()}
		}
	}
	s.reorder(q.request, parents)
	for i, b := range q.beams {
		b.tokens, b.edits = append(moved[i].tokens, q.search.live[i].last.token), moved[i].edits
		b.edits.see(b.tokens)
	}
}

// answerBeams gives the final responses of a search, the best beam's first. A search
// that was cut short has not found out which beams are the best: all end by its reason.
func (s *scheduler) answerBeams(q *sequence, reason executor.FinishReason) {
	s.completed = append(s.completed, q.request)
	n := returnedBeams(&q.Sampling)
	best := q.search.best(n, reason)
	for i := range n {
		response := executor.Response{
			ClientID: q.ClientID, Sequence: i, Timing: q.timing, KVCache: q.cache,
			FinishReason: reason, SequenceFinal: true, Final: i == n-1, CumLogProb: -math.MaxFloat32,
		}
		if i < len(best) {
			best[i].deliver(&response, &q.Request)
			if reason == executor.FinishLength {
				response.FinishReason = best[i].reason
			}
		}
		if i == 0 {
			q.deliverPrompt(&response)
		}
		s.outgoing = append(s.outgoing, response)
	}
}

// deliver writes a beam into a response. Beams share their past, responses nothing.
func (b *beam) deliver(response *executor.Response, r *executor.Request) {
	response.CumLogProb = float32(b.cumLogProb)
	for _, t := range b.tokens() {
		response.OutputIDs = append(response.OutputIDs, t.token)
		if r.LogProbs {
			response.LogProbs = append(response.LogProbs, t.logProb)
		}
		if r.TopLogProbs > 0 {
			response.TopLogProbs = append(response.TopLogProbs, slices.Clone(t.top))
		}
		if r.GenerationLogits {
			response.Logits = append(response.Logits, slices.Clone(t.logits))
		}
	}
}
