package inflight

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// chiSquared is the probability that draws from shares differ from them by as much as
// counts do, or more. Tokens of which fewer than 5 are expected count as one.
func chiSquared(counts map[int32]int, shares []share) float64 {
	n := 0
	for _, c := range counts {
		n += c
	}
	statistic, bins := 0.0, 0
	bin := func(observed, expected float64) {
		if expected > 0 {
			statistic += (observed - expected) * (observed - expected) / expected
			bins++
		}
	}
	rareObserved, rareExpected := 0.0, 0.0
	for _, x := range shares {
		observed, expected := float64(counts[x.token]), x.p*float64(n)
		if expected < 5 {
			rareObserved, rareExpected = rareObserved+observed, rareExpected+expected
			continue
		}
		bin(observed, expected)
	}
	bin(rareObserved, rareExpected)
	if bins < 2 {
		return 1
	}
	return upperGamma(float64(bins-1)/2, statistic/2)
}

// upperGamma is the regularised upper incomplete gamma function Q(a, x), by its
// series below x = a+1 and its continued fraction (Lentz) above; Abramowitz and
// Stegun 6.5.29 and 6.5.31.
func upperGamma(a, x float64) float64 {
	if x == 0 {
		return 1
	}
	lgamma, _ := math.Lgamma(a)
	factor := math.Exp(-x + a*math.Log(x) - lgamma)
	if x < a+1 {
		term := 1 / a
		sum := term
		for n := a + 1; term > sum*1e-15; n++ {
			term *= x / n
			sum += term
		}
		return 1 - sum*factor
	}
	b := x + 1 - a
	c, d := 1e300, 1/b
	h := d
	for i := 1.0; i < 10000; i++ {
		an := -i * (i - a)
		b += 2
		d = 1 / (an*d + b)
		c = b + an/c
		h *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	return h * factor
}

// Values of the chi-squared distribution as tables have them.
func TestUpperGamma(t *testing.T) {
	for _, c := range []struct{ freedom, x, p float64 }{{1, 3.841459, 0.05}, {10, 18.307038, 0.05}, {10, 3.940299, 0.95}, {50, 86.660815, 0.001}, {96, 150.2, 0.000343}} {
		require.InDelta(t, c.p, upperGamma(c.freedom/2, c.x/2), 1e-6+c.p/100, "%+v", c)
	}
}

// 4096 sequences of one request draw their first token as often as the definition
// says, whatever stands between the model's logits and the choice.
func TestDrawsAreTheDistribution(t *testing.T) {
	const draws = 4096
	prompt := []int32{5, 9, 5, 60, 61, 9, 5, 33, 80, 81}
	hidden := executortest.ToyLogits(executortest.Hidden(prompt), 97)
	penalties := executor.Sampling{RepetitionPenalty: 1.7, PresencePenalty: 0.6, FrequencyPenalty: -0.4, PromptIgnoreLength: 2}
	biased := executor.Sampling{Temperature: 1.4, Bias: map[int32]float32{3: 4, 5: -1, 60: 2, 80: float32(math.Inf(-1))}}
	with := func(s executor.Sampling, change func(*executor.Sampling)) executor.Sampling {
		change(&s)
		return s
	}
	for i, s := range []executor.Sampling{
		{}, {Temperature: 0.5}, {Temperature: 3}, {TopK: 7}, {TopP: 0.6}, {MinP: 0.05}, {TopK: 50, TopP: 0.8}, {TopK: 20, MinP: 0.1},
		{TopP: 0.9, MinP: 0.02}, {Temperature: 1.8, TopK: 30, TopP: 0.95, MinP: 0.01}, penalties, biased,
		with(penalties, func(s *executor.Sampling) { s.Temperature, s.TopK, s.TopP = 0.7, 12, 0.9 }),
		with(biased, func(s *executor.Sampling) {
			s.RepetitionPenalty, s.FrequencyPenalty, s.MinP, s.TopP = 1.3, 0.5, 0.03, 0.97
		}),
		with(penalties, func(s *executor.Sampling) { s.Bias = biased.Bias }),
	} {
		for _, candidates := range []int{16, 97} {
			t.Run(fmt.Sprintf("%d with %d candidates", i, candidates), func(t *testing.T) {
				e := openToy(t, Options{}, func(l *executor.Limits) { l.MaxCandidates = candidates })
				s.NumReturnSequences, s.Seed = draws, uint64(1000*i)
				r := executor.Request{InputIDs: prompt, MaxTokens: 1, Sampling: s}
				counts := map[int32]int{}
				for _, out := range generate(t, e, r)[0] {
					counts[out.OutputIDs[0]]++
				}
				topP := 1.0
				if s.TopP != 0 {
					topP = float64(s.TopP)
				}
				shares := definedShares(definedLogits(&r, prompt, 0, hidden), &s, topP)
				allowed := map[int32]bool{}
				for _, x := range shares {
					allowed[x.token] = true
				}
				for id := range counts {
					require.True(t, allowed[id], "token %d has no probability", id)
				}
				require.Greater(t, chiSquared(counts, shares), 1e-4)
				// The test can tell: another temperature is another distribution.
				r.Sampling.Temperature = max(1, s.Temperature) * 1.3
				require.Less(t, chiSquared(counts, definedShares(definedLogits(&r, prompt, 0, hidden), &s, topP)), 1e-4)
			})
		}
	}
}

// The numbers of one stream, and of neighbouring streams, have nothing to do with
// each other: pairs fill the square evenly.
func TestStreamsAreIndependent(t *testing.T) {
	const side = 16
	even := make([]share, side*side)
	for i := range even {
		even[i] = share{int32(i), 1.0 / float64(len(even))}
	}
	cell := func(u, v float64) int32 { return int32(u*side)*side + int32(v*side) }
	along, across := map[int32]int{}, map[int32]int{}
	for i := range 20000 {
		along[cell(uniform(7, i), uniform(7, i+1))]++
		across[cell(uniform(uint64(i), 3), uniform(uint64(i)+1, 3))]++
	}
	require.Greater(t, chiSquared(along, even), 1e-4)
	require.Greater(t, chiSquared(across, even), 1e-4)
}

// randomRequest makes a request with any of the sampling fields.
func randomRequest(random *rand.Rand, vocabSize int) executor.Request {
	token := func() int32 { return random.Int32N(int32(vocabSize)) }
	tokens := func(n int) []int32 {
		list := make([]int32, n)
		for i := range list {
			list[i] = token() % 20 // so that some repeat
		}
		return list
	}
	maybe := func() bool { return random.IntN(3) == 0 }
	r := executor.Request{InputIDs: tokens(1 + random.IntN(25)), MaxTokens: 1 + random.IntN(30)}
	s := &r.Sampling
	s.Seed = random.Uint64()
	set := func(p *float32, v float32) {
		if maybe() {
			*p = v
		}
	}
	set(&s.Temperature, 0.3+2*random.Float32())
	set(&s.TopP, 0.05+0.95*random.Float32())
	set(&s.TopPDecay, 0.5+0.5*random.Float32())
	set(&s.TopPMin, random.Float32())
	set(&s.MinP, random.Float32()*random.Float32())
	set(&s.RepetitionPenalty, 0.5+1.5*random.Float32())
	set(&s.PresencePenalty, 3*random.Float32()-1)
	set(&s.FrequencyPenalty, 2*random.Float32()-0.5)
	if maybe() {
		s.TopK = 1 + random.IntN(vocabSize)
	}
	if maybe() {
		s.TopPResetIDs = tokens(3)
	}
	if maybe() {
		s.PromptIgnoreLength = random.IntN(30)
	}
	if maybe() {
		s.NoRepeatNgramSize = 1 + random.IntN(3)
	}
	if maybe() {
		s.Bias = map[int32]float32{token(): 5, token(): -2, token(): float32(math.Inf(-1)), r.InputIDs[0]: 3}
	}
	if maybe() {
		r.BadSequences = [][]int32{tokens(1), tokens(2), {r.InputIDs[len(r.InputIDs)-1], token()}, tokens(3)}
	}
	if maybe() {
		r.EndIDs, s.MinTokens = []int32{token(), token() % 20}, random.IntN(10)
	}
	return r
}

// Requests with any of the fields generate what the definitions say, with whole rows
// and with candidates, streaming and not, one by one and together.
func TestOutputIsByDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 14))
	var requests []executor.Request
	var want [][]int32
	for range 250 {
		r := randomRequest(random, 97)
		requests = append(requests, r)
		want = append(want, definedOutput(&r, 0, 97))
	}
	for _, candidates := range []int{0, 1, 16, 97} {
		e := openToy(t, Options{}, func(l *executor.Limits) { l.MaxCandidates = candidates })
		for i := range requests {
			requests[i].Streaming = !requests[i].Streaming && i%2 == 0
		}
		for i, out := range generate(t, e, requests...) {
			require.NoError(t, out[0].Err)
			require.Equal(t, len(want[i]), len(out[0].OutputIDs), "request %d: %+v", i, requests[i])
			if len(want[i]) > 0 {
				require.Equal(t, want[i], out[0].OutputIDs, "request %d: %+v", i, requests[i])
			}
		}
	}
}

// The running top-p falls to its minimum, by the product in float32, and is as at
// first after a reset id.
func TestTopPDecay(t *testing.T) {
	s := &executor.Sampling{TopP: 0.8, TopPDecay: 0.5, TopPMin: 0.15, TopPResetIDs: []int32{4, 6}}
	p := topPOf(s)
	var got []float32
	for _, token := range []int32{1, 2, 3, 5, 4, 4, 1, 6, 6, 1} {
		p = topPAfter(s, p, token)
		got = append(got, p)
	}
	require.Equal(t, []float32{0.4, 0.2, 0.15, 0.15, 0.8, 0.8, 0.4, 0.8, 0.8, 0.4}, got)
	off := &executor.Sampling{}
	require.Equal(t, float32(1), topPAfter(off, topPOf(off), 3))
	low := &executor.Sampling{TopP: 1e-3, TopPDecay: 1e-5}
	require.Equal(t, float32(1e-6), topPAfter(low, topPOf(low), 3), "the default minimum")
}

// FuzzChoose compares the choice among candidates with that among the whole row.
func FuzzChoose(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 100, 7}, uint8(3), uint8(2), float32(0.9), float32(0.1), 0.5)
	f.Add([]byte{9, 9, 9, 9}, uint8(4), uint8(0), float32(0), float32(0), 0.999)
	f.Add([]byte{255, 0}, uint8(1), uint8(5), float32(1e-7), float32(1), 0.0)
	f.Fuzz(func(t *testing.T, data []byte, candidates, topK uint8, topP, minP float32, u float64) {
		s := executor.Sampling{TopK: int(topK), TopP: topP, MinP: minP}
		if len(data) == 0 || !(u >= 0 && u < 1) || s.Check() != nil {
			t.Skip()
		}
		logits := make([]float32, len(data))
		for i, b := range data {
			logits[i] = float32(b)/16 - 8
		}
		row := rowOf(logits, min(int(candidates), len(logits)))
		whole := chooseFull(editedRow(nil, logits, &executor.LogitsRow{}), row.LogSumExp, &s, topPOf(&s), u)
		if c, decided := choose(row, &s, topPOf(&s), u); decided && c != whole {
			// The sums are the same in another order: at a boundary they may round apart.
			shares := definedShares(definedLogits(&executor.Request{}, nil, 0, logits), &s, float64(topPOf(&s)))
			edge := math.Inf(1)
			sum := 0.0
			for _, x := range shares {
				sum += x.p
				edge = min(edge, math.Abs(sum-u))
			}
			require.Less(t, edge, 1e-5, "%v and %v", c, whole)
		}
	})
}
