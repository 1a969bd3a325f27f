package nativeexecutor

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// beam is one of a request's beams.
type beam struct {
	ids      []int32
	logProbs []float32
	cum      float32
	reason   executor.FinishReason
	score    float64
}

// takeBeam takes one beam, and answers the request with the last. The caller holds mu.
func (e *Executor) takeBeam(s *sequence, o *native.Output) {
	e.time(s, o, true)
	if !o.Final {
		return // upstream was not asked to stream these
	}
	b, err := s.beam(o, e.options.VocabSize)
	if err != nil {
		e.fail(s.request, fmt.Errorf("%w: beam %d: %w", executor.ErrFailed, o.Beam, err))
		return
	}
	s.taken = append(s.taken, b)
	if len(s.taken) < o.NumBeams {
		return
	}
	if o.NumBeams < s.open {
		e.fail(s.request, fmt.Errorf("%w: TensorRT-LLM gave %d beams, %d were asked for", executor.ErrFailed, o.NumBeams, s.open))
		return
	}
	list := s.taken
	slices.SortStableFunc(list, func(a, b beam) int { return cmp.Compare(b.score, a.score) })
	e.finishBeams(s, list[:s.open])
}

// beam reads a beam. Upstream's finish reasons are those of the first beam at best, so
// the tokens tell.
func (s *sequence) beam(o *native.Output, vocabSize int) (b beam, err error) {
	ids := o.Tokens
	for i, token := range ids {
		if token < 0 || int(token) >= vocabSize {
			return b, fmt.Errorf("TensorRT-LLM gave token %d, the vocabulary has %d", token, vocabSize)
		}
		if slices.Contains(s.EndIDs, token) {
			ids, b.reason = ids[:i], executor.FinishEnd
			break
		}
	}
	ids = ids[:min(len(ids), s.MaxTokens)]
	if b.reason == executor.FinishNone {
		switch b.reason = s.ending(ids); {
		case b.reason != executor.FinishNone:
		case len(ids) == s.MaxTokens:
			b.reason = executor.FinishLength
		default:
			b.reason = s.reason(o)
		}
	}
	b.ids, b.cum = slices.Clone(ids), o.CumLogProb
	length := len(ids)
	if b.reason == executor.FinishEnd {
		length++
	}
	b.score = score(b.cum, length, s.Sampling.LengthPenalty)
	if s.LogProbs {
		if len(o.LogProbs) < len(ids) {
			return b, fmt.Errorf("TensorRT-LLM gave %d log-probs for %d tokens", len(o.LogProbs), len(ids))
		}
		b.logProbs = slices.Clone(o.LogProbs[:len(ids)])
	}
	if s.wantsContextLogits() && !s.prompted && (len(ids) > 0 || o.ContextLogits.Data != nil) { // its time may have been over before
		s.prompted = true
		if err := s.promptLogits(o, &s.pending, vocabSize); err != nil {
			return b, err
		}
	}
	return b, nil
}

// finishBeams answers a request with its beams, the best first. The caller holds mu.
func (e *Executor) finishBeams(s *sequence, list []beam) {
	first := s.response() // what belongs to the prompt
	e.end(s)
	for i, b := range list {
		r := first
		if i > 0 {
			r = executor.Response{ClientID: s.ClientID, Timing: s.timing, KVCache: s.cache}
		}
		r.Sequence, r.OutputIDs, r.LogProbs, r.CumLogProb = i, b.ids, b.logProbs, b.cum
		r.FinishReason, r.SequenceFinal = b.reason, true
		e.stats.GeneratedTokens += uint64(len(b.ids))
		if b.reason == executor.FinishEnd {
			e.stats.GeneratedTokens++
		}
		e.close(s.request, r)
	}
}

// finishEmptyBeams ends a request whose beams nobody has seen. The caller holds mu.
func (e *Executor) finishEmptyBeams(s *sequence, reason executor.FinishReason) {
	list := make([]beam, s.open)
	for i := range list {
		list[i].reason = reason
	}
	e.finishBeams(s, list)
}
