package inflight

import (
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// uniform gives the number of a token's draw in [0, 1): a pure function of the
// sequence's seed and the token's number, so that it does not depend on what
// else runs. It is SplitMix64's output function (Steele, Lea, Flood, 2014) over
// both.
func uniform(seed, n uint64) float64 {
	return float64(mix(mix(seed)+n*0x9e3779b97f4a7c15)>>11) / (1 << 53)
}

func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// sampleRow draws from the whole row, for the rare draw that the candidates do
// not cover. It edits the raw logits as the runner does.
func (s *sequence) sampleRow(row *executor.RowResult, draw, nucleus float64) executor.Candidate {
	sampling := &s.request.Sampling
	temperature := sampling.Temperature
	if temperature == 0 {
		temperature = 1
	}
	edited := slices.Clone(row.Logits)
	for _, e := range s.edits() {
		penalty := e.Penalty
		if penalty == 0 {
			penalty = 1
		}
		if edited[e.Token] > 0 {
			edited[e.Token] /= penalty
		} else {
			edited[e.Token] *= penalty
		}
		edited[e.Token] += e.Bias
	}
	all := make([]executor.Candidate, len(edited))
	for i, logit := range edited {
		all[i] = executor.Candidate{Token: int32(i), Logit: logit * (1 / temperature), Raw: row.Logits[i]}
	}
	slices.SortFunc(all, func(a, b executor.Candidate) int {
		switch {
		case a.Logit > b.Logit:
			return -1
		case a.Logit < b.Logit:
			return 1
		default:
			return int(a.Token - b.Token)
		}
	})
	if k := sampling.TopK; k > 0 && k < len(all) {
		all = all[:k]
	}
	weights := make([]float64, len(all))
	total := 0.0
	for i, c := range all {
		weights[i] = math.Exp(float64(c.Logit) - float64(row.LogSumExp))
		total += weights[i]
	}
	kept, sum := 0, 0.0
	for kept < len(weights) && (kept == 0 || sum < nucleus*total) && weights[kept] >= float64(sampling.MinP)*weights[0] {
		sum += weights[kept]
		kept++
	}
	return all[pick(weights[:kept], draw*sum)]
}
