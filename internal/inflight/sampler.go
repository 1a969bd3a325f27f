package inflight

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/internal/executor"
)

var negativeInfinity = float32(math.Inf(-1))

// checkSampling has the bounds of TensorRT-LLM's SamplingConfig.
func checkSampling(s *executor.Sampling) error {
	if s.BeamWidth > 1 {
		return fmt.Errorf("%w: beam search (beam width %d)", executor.ErrUnsupported, s.BeamWidth)
	}
	for _, limit := range []struct {
		name     string
		value    float64
		ok       bool
		expected string
	}{
		{"beam width", float64(s.BeamWidth), s.BeamWidth >= 0, "at least 1"},
		{"top_k", float64(s.TopK), s.TopK >= 0, "at least 0"},
		{"top_p", float64(s.TopP), s.TopP >= 0 && s.TopP <= 1, "between 0 and 1"},
		{"min_p", float64(s.MinP), s.MinP >= 0 && s.MinP <= 1, "between 0 and 1"},
		{"temperature", float64(s.Temperature), s.Temperature >= 0 && !math.IsInf(float64(s.Temperature), 0), "at least 0 and finite"},
		{"min tokens", float64(s.MinTokens), s.MinTokens >= 0, "at least 0"},
		{"repetition penalty", float64(s.RepetitionPenalty), s.RepetitionPenalty >= 0 && !math.IsInf(float64(s.RepetitionPenalty), 0), "above 0 and finite"},
		{"presence penalty", float64(s.PresencePenalty), finite(s.PresencePenalty), "finite"},
		{"frequency penalty", float64(s.FrequencyPenalty), finite(s.FrequencyPenalty), "finite"},
		{"no-repeat n-gram size", float64(s.NoRepeatNgramSize), s.NoRepeatNgramSize >= 0, "at least 0"},
		{"number of sequences", float64(s.NumReturnSequences), s.NumReturnSequences >= 0, "at least 1"},
	} {
		if !limit.ok {
			return fmt.Errorf("%w: %s is %v, must be %s", executor.ErrInvalidRequest, limit.name, limit.value, limit.expected)
		}
	}
	return nil
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }

func penalised(s *executor.Sampling) bool {
	return (s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1) || s.PresencePenalty != 0 || s.FrequencyPenalty != 0
}

// samplingRow asks the runner for what sample needs.
func (s *sequence) samplingRow(index, maxCandidates int) executor.LogitsRow {
	sampling := &s.request.Sampling
	row := executor.LogitsRow{
		Index: index, Temperature: sampling.Temperature, Edits: s.edits(),
		Candidates: maxCandidates, Logits: s.request.GenerationLogits,
	}
	switch k := sampling.TopK; {
	case k == 1:
		row.Candidates = 1
	case k > 1 && k <= maxCandidates:
		row.Candidates = k
	default:
		// All tokens may be drawn: the row itself is needed when the draw falls
		// beyond the candidates.
		row.Logits = true
	}
	return row
}

// edits are the changes of the next row. As in TensorRT-LLM, penalties count the
// tokens of prompt and output.
func (s *sequence) edits() []executor.LogitEdit {
	sampling := &s.request.Sampling
	edits := make(map[int32]executor.LogitEdit)
	for token, n := range s.counts {
		edits[token] = executor.LogitEdit{
			Token: token, Penalty: sampling.RepetitionPenalty,
			Bias: -sampling.PresencePenalty - sampling.FrequencyPenalty*float32(n),
		}
	}
	bias := func(token int32, by float32) {
		edit := edits[token]
		edit.Token = token
		edit.Bias += by
		edits[token] = edit
	}
	for token, by := range sampling.Bias {
		bias(token, by)
	}
	for _, token := range s.banned() {
		bias(token, negativeInfinity)
	}
	list := make([]executor.LogitEdit, 0, len(edits))
	for _, edit := range edits {
		list = append(list, edit)
	}
	return list
}

// banned are the tokens that may not come next.
func (s *sequence) banned() []int32 {
	var banned []int32
	output, sampling := s.output(), &s.request.Sampling
	if len(output) < sampling.MinTokens {
		banned = append(banned, s.request.EndIDs...)
	}
	for _, bad := range s.request.BadSequences {
		if n := len(bad); n == 1 || n > 1 && hasSuffix(output, bad[:n-1]) {
			banned = append(banned, bad[n-1])
		}
	}
	if n := sampling.NoRepeatNgramSize; n > 0 && len(s.tokens) >= n {
		last := s.tokens[len(s.tokens)-(n-1):]
		for i := 0; i+n <= len(s.tokens); i++ {
			if hasSuffix(s.tokens[:i+n-1], last) || n == 1 {
				banned = append(banned, s.tokens[i+n-1])
			}
		}
	}
	return banned
}

// sample chooses the next token: the best one when top_k is 1, else one drawn
// with a probability in proportion to its own among the top_k best, of these the
// fewest that reach top_p, of these the ones of at least min_p times the best.
func (s *sequence) sample(row *executor.RowResult) executor.Candidate {
	sampling := &s.request.Sampling
	if sampling.TopK == 1 || len(row.Candidates) == 1 {
		return row.Candidates[0]
	}
	draw := uniform(sampling.Seed+uint64(s.index), uint64(len(s.output())))
	weights := make([]float64, 0, len(row.Candidates))
	total := 0.0
	for _, c := range row.Candidates {
		weights = append(weights, math.Exp(float64(c.Logit)-float64(row.LogSumExp)))
		total += weights[len(weights)-1]
	}
	nucleus := 1.0
	if sampling.TopP > 0 {
		nucleus = float64(sampling.TopP)
	}
	if sampling.TopK == 0 {
		if nucleus > total && float64(sampling.MinP)*weights[0] <= weights[len(weights)-1] {
			return s.sampleRow(row, draw, nucleus)
		}
		total = 1
	} else if sampling.TopK > len(row.Candidates) && len(row.Logits) > len(row.Candidates) {
		return s.sampleRow(row, draw, nucleus)
	}
	kept, sum := 0, 0.0
	for kept < len(weights) && (kept == 0 || sum < nucleus*total) && weights[kept] >= float64(sampling.MinP)*weights[0] {
		sum += weights[kept]
		kept++
	}
	return row.Candidates[pick(weights[:kept], draw*sum)]
}

// pick returns the index in which the running sum passes at.
func pick(weights []float64, at float64) int {
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}
