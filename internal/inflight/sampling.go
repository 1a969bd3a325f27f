package inflight

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

var (
	errNaN    = errors.New("the model's logits are not numbers")
	errEdited = errors.New("temperature, bias and penalties make logits that are not numbers: choose smaller ones")
	errBanned = errors.New("every token is banned: loosen bad words, bias or min tokens")
)

// defaultTopPMin is TensorRT-LLM's.
const defaultTopPMin = 1e-6

// candidatesFor is the number of candidates to ask for, and whether the whole
// row is needed from the start.
func candidatesFor(s *executor.Sampling, limits *executor.Limits) (candidates int, full bool) {
	most := min(limits.MaxCandidates, limits.VocabSize)
	if s.TopK == 0 {
		return most, most == 0 // unbounded: as many as there are
	}
	return min(s.TopK, most), s.TopK > most
}

// choose takes one token from a row by the rule of the package comment, with the
// top-p of now and u uniform in [0,1). decided is false when the row's candidates do
// not settle it and the row must be asked for in full.
func choose(row *executor.RowResult, s *executor.Sampling, topP float32, u float64) (c executor.Candidate, decided bool) {
	list := row.Candidates
	bounded := s.TopK > 0 && s.TopK <= len(list) // whether what is kept ends inside list
	if bounded {
		list = list[:s.TopK]
	}
	if s.MinP > 0 {
		if n := minPCount(list, s.MinP); n < len(list) {
			list, bounded = list[:n], true
		}
	}
	if !bounded && (s.TopK > 0 || s.MinP > 0) {
		return c, false
	}
	mass := 1.0
	if bounded {
		mass = massOf(list, row.LogSumExp)
	}
	target := u * float64(topP) * mass
	cumulative := 0.0
	for i := range list {
		cumulative += probability(list[i].Logit, row.LogSumExp)
		if cumulative > target {
			return list[i], true
		}
	}
	if bounded { // rounding at the very end
		return lastPossible(list), true
	}
	return c, false
}

// chooseFull does what choose does on a whole row: every token that is not banned,
// as editedRow gives it. list is put in another order.
func chooseFull(list []executor.Candidate, logSumExp float32, s *executor.Sampling, topP float32, u float64) executor.Candidate {
	mass := 1.0
	if s.MinP > 0 {
		list = list[:keepMinP(list, s.MinP)]
		mass = massOf(list, logSumExp)
	}
	if s.TopK == 1 {
		return slices.MinFunc(list, descending)
	}
	if s.TopK > 0 && s.TopK < len(list) {
		selectTop(list, s.TopK)
		list = list[:s.TopK]
		mass = massOf(list, logSumExp)
	}
	return at(list, logSumExp, u*float64(topP)*mass)
}

// selectTop moves the first k of list, in descending order, to its front, in any
// order. k is less than the length.
func selectTop(list []executor.Candidate, k int) {
	for len(list) > 64 {
		n := precede(list, median(list[0], list[len(list)/2], list[len(list)-1]))
		switch {
		case k <= n:
			list = list[:n]
		case k == n+1:
			return
		default:
			list, k = list[n+1:], k-n-1
		}
	}
	slices.SortFunc(list, descending)
}

// precede moves what comes before pivot, one of list, to the front, pivot behind it,
// and returns the number of those before it.
func precede(list []executor.Candidate, pivot executor.Candidate) int {
	n, at := 0, 0
	for i, c := range list {
		switch {
		case descending(c, pivot) < 0:
			list[n], list[i] = list[i], list[n]
			if at == n { // the pivot stood there
				at = i
			}
			n++
		case c.Token == pivot.Token:
			at = i
		}
	}
	list[n], list[at] = list[at], list[n]
	return n
}

// narrowBins is how many parts narrow makes of a list, and the least length of which
// it makes any.
const narrowBins = 1024

// narrow is the first step of at for a long list: the candidates of one of many ranges
// of logits, in which the token is, and what is left of target there. It takes half of
// the time that halving takes.
func narrow(list []executor.Candidate, logSumExp float32, target float64) ([]executor.Candidate, float64) {
	top, bottom := list[0].Logit, list[0].Logit
	for i := range list {
		top, bottom = max(top, list[i].Logit), min(bottom, list[i].Logit)
	}
	bottom = max(bottom, top-32) // below is next to nothing
	scale := (narrowBins - 1) / (top - bottom)
	if math.IsInf(float64(scale), 0) { // all are as good as equal
		return list, target
	}
	bin := func(logit float32) int { return int(min((top-logit)*scale, narrowBins-1)) } // falls with logit
	var mass [narrowBins]float64
	for i := range list {
		mass[bin(list[i].Logit)] += probability(list[i].Logit, logSumExp)
	}
	wanted, left := 0, target
	for wanted < narrowBins-1 && left >= mass[wanted] {
		left -= mass[wanted]
		wanted++
	}
	n := 0
	for i, c := range list {
		if bin(c.Logit) == wanted {
			list[n], list[i] = c, list[n]
			n++
		}
	}
	if n == 0 { // rounding at the very end
		return list, target
	}
	return list[:n], left
}

// at returns the token of list at which the probability, cumulated in descending
// order, exceeds target. It halves the list around a pivot as quickselect does:
// sorting a vocabulary would cost as much as a step.
func at(list []executor.Candidate, logSumExp float32, target float64) executor.Candidate {
	if len(list) >= narrowBins {
		list, target = narrow(list, logSumExp, target)
	}
	for len(list) > 64 {
		pivot := median(list[0], list[len(list)/2], list[len(list)-1])
		n := precede(list, pivot)
		mass := massOf(list[:n], logSumExp)
		if target < mass {
			list = list[:n]
			continue
		}
		target -= mass
		p := probability(pivot.Logit, logSumExp)
		if target < p || n == len(list)-1 {
			return pivot
		}
		target -= p
		list = list[n+1:]
	}
	slices.SortFunc(list, descending)
	for _, c := range list {
		p := probability(c.Logit, logSumExp)
		if target < p {
			return c
		}
		target -= p
	}
	return list[len(list)-1] // rounding at the very end: the sum of all is 1 up to float32
}

// editedRow applies the edits and the temperature that a row is asked with to its raw
// logits, as the runner does, and leaves banned tokens out. The list is made in what
// scratch holds.
func editedRow(scratch []executor.Candidate, logits []float32, asked *executor.LogitsRow) []executor.Candidate {
	list := slices.Grow(scratch[:0], len(logits))[:len(logits)]
	for i, l := range logits {
		list[i] = executor.Candidate{Token: int32(i), Logit: l, Raw: l}
	}
	for _, edit := range asked.Edits {
		c := &list[edit.Token]
		c.Logit += edit.Bias
		if edit.Penalty != 0 && edit.Penalty != 1 {
			if c.Logit > 0 {
				c.Logit /= edit.Penalty
			} else {
				c.Logit *= edit.Penalty
			}
		}
		c.Logit -= edit.Subtract
	}
	if t := asked.Temperature; t != 0 && t != 1 {
		for i := range list {
			list[i].Logit /= t
		}
	}
	return slices.DeleteFunc(list, func(c executor.Candidate) bool { return c.Logit == banned })
}

// minPCount is the number of leading candidates with at least minP times the
// probability of the first.
func minPCount(sorted []executor.Candidate, minP float32) int {
	if len(sorted) == 0 {
		return 0
	}
	threshold := minPThreshold(sorted[0].Logit, minP)
	for i, c := range sorted {
		if float64(c.Logit) < threshold {
			return i
		}
	}
	return len(sorted)
}

// keepMinP moves the candidates that min-p keeps to the front of an unsorted
// list and returns their number.
func keepMinP(list []executor.Candidate, minP float32) int {
	top := slices.MinFunc(list, descending)
	threshold := minPThreshold(top.Logit, minP)
	n := 0
	for i, c := range list {
		if float64(c.Logit) >= threshold {
			list[n], list[i] = list[i], list[n]
			n++
		}
	}
	return n
}

func minPThreshold(top, minP float32) float64 { return float64(top) + math.Log(float64(minP)) }

// massOf is the probability of all of list.
func massOf(list []executor.Candidate, logSumExp float32) float64 {
	sum := 0.0
	for _, c := range list {
		sum += probability(c.Logit, logSumExp)
	}
	return sum
}

func probability(logit, logSumExp float32) float64 {
	return math.Exp(float64(logit) - float64(logSumExp))
}

// lastPossible is the last candidate that is not banned.
func lastPossible(sorted []executor.Candidate) executor.Candidate {
	for i := len(sorted) - 1; i > 0; i-- {
		if sorted[i].Logit > banned {
			return sorted[i]
		}
	}
	return sorted[0]
}

// topPOf is the top-p of the first token.
func topPOf(s *executor.Sampling) float32 { return cmp.Or(s.TopP, 1) }

// topPAfter is the top-p of the token after one, by the rule of TensorRT-LLM's
// computeToppDecay (Lee et al. 2022, "Factuality Enhanced Language Models for
// Open-Ended Text Generation").
func topPAfter(s *executor.Sampling, topP float32, token int32) float32 {
	if slices.Contains(s.TopPResetIDs, token) {
		return topPOf(s)
	}
	return max(topP*cmp.Or(s.TopPDecay, 1), cmp.Or(s.TopPMin, defaultTopPMin))
}

// descending is the order of candidates: larger logit, then smaller token id.
func descending(a, b executor.Candidate) int {
	switch {
	case a.Logit > b.Logit:
		return -1
	case a.Logit < b.Logit:
		return 1
	}
	return cmp.Compare(a.Token, b.Token)
}

func median(a, b, c executor.Candidate) executor.Candidate {
	three := [3]executor.Candidate{a, b, c}
	slices.SortFunc(three[:], descending)
	return three[1]
}

// checkRow refuses a row from which nothing can be chosen.
func checkRow(row *executor.RowResult) error {
	switch {
	case !isNumber(row.RawLogSumExp):
		return errNaN
	case row.Max == banned:
		return errBanned
	case !isNumber(row.LogSumExp):
		return errEdited
	}
	return nil
}
