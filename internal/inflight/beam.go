package inflight

import (
	"cmp"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// beamSearch is the search of one request: which beams live, which have ended, and
// whether anything is left to find. It knows nothing of batches and KV blocks.
//
// The rules are those of TensorRT-LLM's beamStage3Kernel (beamSearchKernelsTemplate.h
// of 2025, the kernels for beam widths up to 8), and of insertUnfinishedPathKernel and
// finalizeKernel (decodingKernels.cu) for the end; they were read, not run. Upstream
// has one end id and flags stop words in another kernel; here a beam ends with any of
// several end ids or stop sequences, by the rule of the end id.
type beamSearch struct {
	width         int
	maxTokens     int     // generated tokens at which every beam ends
	lengthPenalty float64 // 0 is upstream's default
	earlyStopping int     // 1 is upstream's default
	diversity     float64

	live  []beam // by rank, at most width
	ended []beam // at most width, in no order
	done  bool   // nothing that lives can become one of ended

	rows []beamRow // of the step, until those of all beams are there
}

// beam is one hypothesis. Its score is cumLogProb / length^lengthPenalty.
type beam struct {
	cumLogProb float64 // under the edited logits divided by the temperature, the end id included
	length     int     // generated tokens, the end id included
	score      float64 // once it has ended
	reason     executor.FinishReason
	last       *beamToken // nil: no tokens yet
}

// beamToken is a generated token, chained to the one before: beams share their past.
type beamToken struct {
	before  *beamToken
	token   int32
	logProb float32 // under the model
	top     []executor.LogProb
	logits  []float32
}

// beamRow is what the model says about the next token of a live beam.
type beamRow struct {
	candidates   []executor.Candidate // the best, descending; see beamCandidates
	logSumExp    float32
	rawLogSumExp float32
	top          []executor.LogProb
	logits       []float32
}

// extension is a live beam and one candidate for its next token.
type extension struct {
	parent    int
	candidate executor.Candidate
	cum       float64
	rank      float64 // cum with the diversity; what extensions are ordered by
}

func newBeamSearch(r *executor.Request) *beamSearch {
	s := &beamSearch{
		width: r.Sampling.BeamWidth, maxTokens: r.MaxTokens, lengthPenalty: float64(r.Sampling.LengthPenalty),
		earlyStopping: 1, diversity: float64(r.Sampling.BeamSearchDiversityRate), live: []beam{{}},
	}
	if r.Sampling.EarlyStopping != nil {
		s.earlyStopping = *r.Sampling.EarlyStopping
	}
	return s
}

// beamCandidates is the number of candidates that a row needs: all of width beams may
// come from it, and before them as many as can end it.
func beamCandidates(r *executor.Request) int {
	ending := map[int32]bool{}
	for _, id := range r.EndIDs {
		ending[id] = true
	}
	for _, stop := range r.StopSequences {
		ending[stop[len(stop)-1]] = true
	}
	return r.Sampling.BeamWidth + len(ending)
}

// advance gives each live beam its next token; rows are those of live, in order.
// ends tells how a token would end a beam. It returns the parent of each beam that
// lives now. Afterwards the search may be done, or have no beam that lives.
func (s *beamSearch) advance(rows []beamRow, ends func(parent int, token int32) executor.FinishReason) []int {
	length := s.live[0].length + 1
	ranked := s.rank(rows)
	var next []beam
	var parents []int
	for i, x := range ranked {
		if len(next) == s.width {
			break
		}
		b := s.extend(x, &rows[x.parent], ends(x.parent, x.candidate.Token))
		switch {
		case b.reason == executor.FinishNone:
			next, parents = append(next, b), append(parents, x.parent)
		case i < s.width: // a worse one that ends is dropped
			s.keep(b)
		}
	}
	s.live = next
	s.done = s.isDone(ranked, length)
	return parents
}

// rank returns the extensions of all beams, best first. Where they are equal, the
// better parent comes first and then, as among candidates, the smaller token id:
// upstream's arg-max takes the smaller index.
func (s *beamSearch) rank(rows []beamRow) []extension {
	var list []extension
	for parent := range rows {
		row := &rows[parent]
		for _, c := range row.candidates {
			if c.Logit == banned {
				continue
			}
			cum := s.live[parent].cumLogProb + float64(c.Logit) - float64(row.logSumExp)
			// The diversity moves ranks, not scores. (Upstream's kernels for more than 8
			// beams add it to the cumulative log-prob, where it adds up.)
			list = append(list, extension{parent: parent, candidate: c, cum: cum, rank: cum + s.diversity*float64(parent)})
		}
	}
	slices.SortStableFunc(list, func(a, b extension) int { return cmp.Compare(b.rank, a.rank) })
	return list
}

// extend makes the beam that x stands for.
func (s *beamSearch) extend(x extension, row *beamRow, reason executor.FinishReason) beam {
	parent := &s.live[x.parent]
	b := beam{cumLogProb: x.cum, length: parent.length + 1, reason: reason, last: parent.last}
	if reason != executor.FinishEnd { // an end id counts, but is not part of the output
		b.last = &beamToken{
			before: parent.last, token: x.candidate.Token, top: row.top, logits: row.logits,
			logProb: float32(float64(x.candidate.Raw) - float64(row.rawLogSumExp)),
		}
	}
	return b
}

// keep adds a beam that ends to the best width of these. One that equals the worst
// replaces it.
func (s *beamSearch) keep(b beam) {
	b.score = s.scoreOf(b.cumLogProb, b.length)
	if len(s.ended) < s.width {
		s.ended = append(s.ended, b)
		return
	}
	// Upstream leaves the loop here unless early stopping is 0, which with another
	// value than 1 leaves beams without a next token; transformers goes on, as this.
	if worst := s.worst(); b.score >= s.ended[worst].score {
		s.ended[worst] = b
	}
}

// worst is the index of the first of the worst beams that have ended.
func (s *beamSearch) worst() int {
	at := 0
	for i := range s.ended {
		if s.ended[i].score < s.ended[at].score {
			at = i
		}
	}
	return at
}

// isDone tells whether the search is over: enough beams have ended, and with early
// stopping that is all; without, the best extension of this step could not be among
// them, with early stopping 0 by its score at the present length, with any other
// value by the best that its cumulative log-prob could still be worth. Upstream takes
// the engine's max_seq_len for the latter; the request's own limit finds the same
// beams sooner.
func (s *beamSearch) isDone(ranked []extension, length int) bool {
	switch {
	case len(s.live) == 0:
		return true
	case len(s.ended) < s.width:
		return false
	case s.earlyStopping == 1:
		return true
	case s.earlyStopping != 0 && s.lengthPenalty > 0:
		length = s.maxTokens
	}
	return s.ended[s.worst()].score >= s.scoreOf(ranked[0].rank, length)
}

// scoreOf is applyLengthPenalty of decodingCommon.h.
func (s *beamSearch) scoreOf(cumLogProb float64, length int) float64 {
	if s.lengthPenalty == 0 || length == 1 {
		return cumLogProb
	}
	return cumLogProb / math.Pow(float64(length), s.lengthPenalty)
}

// best returns the n best beams in descending order of their scores: of those that
// have ended and, unless the search is done, of those that live, which then end by
// reason. There may be fewer than n.
func (s *beamSearch) best(n int, reason executor.FinishReason) []beam {
	list := slices.Clone(s.ended)
	if !s.done {
		for _, b := range s.live {
			b.score, b.reason = s.scoreOf(b.cumLogProb, max(1, b.length)), reason
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b beam) int { return cmp.Compare(b.score, a.score) })
	return list[:min(n, len(list))]
}

// tokens returns the tokens of b in order.
func (b *beam) tokens() []*beamToken {
	n := 0
	for t := b.last; t != nil; t = t.before {
		n++
	}
	list := make([]*beamToken, n)
	for t := b.last; t != nil; t = t.before {
		n--
		list[n] = t
	}
	return list
}
