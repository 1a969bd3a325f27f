package evaluation

import (
	"errors"
	"math"
)

// distribution is a row of logits as probabilities.
type distribution struct {
	top  float64 // the largest logit
	norm float64 // ln Σ exp(logit − top)
	best int32   // the first token with the largest logit
}

func newDistribution(row []float32) distribution {
	d := distribution{top: math.Inf(-1)}
	for i, l := range row {
		if v := float64(l); v > d.top || v != v {
			d.top, d.best = v, int32(i)
		}
	}
	sum := 0.0
	for _, l := range row {
		sum += math.Exp(float64(l) - d.top)
	}
	d.norm = math.Log(sum)
	return d
}

// logProb is the log-prob of a token with this logit.
func (d *distribution) logProb(logit float32) float64 { return float64(logit) - d.top - d.norm }

func (d *distribution) probability(logit float32) float64 { return math.Exp(d.logProb(logit)) }

var errNotNumbers = errors.New("a model's logits are not numbers")

// compareRow compares what two rows of logits say of a token. All sums are in float64.
func compareRow(a, b []float32, token int32) (TokenDifference, error) {
	p, q := newDistribution(a), newDistribution(b)
	kl := 0.0
	for i := range a {
		if x := p.logProb(a[i]); x > -745 { // below, the probability is 0 in float64
			kl += math.Exp(x) * (x - q.logProb(b[i]))
		}
	}
	d := TokenDifference{
		Token: token, KL: max(0, kl), // rounding may leave a little below
		LogProbA: p.logProb(a[token]), LogProbB: q.logProb(b[token]), BestA: p.best, BestB: q.best,
	}
	if !isFinite(kl) || !isFinite(d.LogProbA) || !isFinite(d.LogProbB) {
		return d, errNotNumbers
	}
	return d, nil
}
