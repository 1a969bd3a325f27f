package inflight

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// reference draws as the package comment says, in the plainest way: probabilities of
// the whole row in descending order.
func reference(logits []float32, s *executor.Sampling, u float64) int32 {
	ids := make([]int32, len(logits))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortFunc(ids, func(a, b int32) int { return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b)) })
	p := make([]float64, len(ids))
	total := 0.0
	for i, id := range ids {
		p[i] = math.Exp(float64(logits[id]) - float64(logits[ids[0]]))
		total += p[i]
	}
	kept := len(ids)
	if s.MinP > 0 {
		for i := range p {
			if p[i] < float64(s.MinP) {
				kept = i
				break
			}
		}
	}
	if s.TopK > 0 {
		kept = min(kept, s.TopK)
	}
	mass := 0.0
	for _, v := range p[:kept] {
		mass += v
	}
	topP := float64(s.TopP)
	if topP == 0 {
		topP = 1
	}
	target, sum := u*topP*mass, 0.0
	for i, v := range p[:kept] {
		if sum += v; sum > target {
			return ids[i]
		}
	}
	return ids[kept-1]
}

// rowOf is what a runner gives for logits: the best n candidates.
func rowOf(logits []float32, n int) *executor.RowResult {
	list := editedRow(nil, logits, &executor.LogitsRow{})
	slices.SortFunc(list, descending)
	top := float64(list[0].Logit)
	sum := 0.0
	for _, c := range list {
		sum += math.Exp(float64(c.Logit) - top)
	}
	sumExp := float32(top + math.Log(sum))
	return &executor.RowResult{Candidates: list[:n], Max: list[0].Logit, LogSumExp: sumExp, RawLogSumExp: sumExp, Logits: logits}
}

// However many candidates come back, the token is that of the whole row.
func TestChooseIsTheRule(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	undecided := 0
	for range 3000 {
		logits := make([]float32, 1+random.IntN(150))
		for i := range logits {
			logits[i] = float32(math.Round(random.NormFloat64()*30) / 10) // with equal ones
		}
		var s executor.Sampling
		if random.IntN(2) == 0 {
			s.TopK = 1 + random.IntN(len(logits))
		}
		if random.IntN(2) == 0 {
			s.TopP = random.Float32()
		}
		if random.IntN(2) == 0 {
			s.MinP = random.Float32() * random.Float32()
		}
		u := random.Float64()
		want := reference(logits, &s, u)
		row := rowOf(logits, random.IntN(len(logits)+1))
		if c, decided := choose(row, &s, topPOf(&s), u); decided {
			require.Equal(t, want, c.Token, "%+v of %v, u %v, %d candidates", s, logits, u, len(row.Candidates))
		} else {
			undecided++
		}
		require.Equal(t, want, chooseFull(editedRow(nil, logits, &executor.LogitsRow{}), row.LogSumExp, &s, topPOf(&s), u).Token, "%+v of %v, u %v", s, logits, u)
	}
	require.Greater(t, undecided, 300)
}

// The frequencies of drawn tokens are the probabilities.
func TestDrawnFrequencies(t *testing.T) {
	logits := []float32{0, 1, 2, 0.5, -1}
	row := rowOf(logits, 5)
	for _, c := range []struct {
		sampling executor.Sampling
		kept     []int32
		topP     float64
	}{
		{executor.Sampling{}, []int32{2, 1, 3, 0, 4}, 1},
		{executor.Sampling{TopK: 3}, []int32{2, 1, 3}, 1},
		{executor.Sampling{MinP: 0.2}, []int32{2, 1, 3}, 1},
		{executor.Sampling{TopP: 0.7}, []int32{2, 1, 3, 0, 4}, 0.7},
		{executor.Sampling{TopK: 3, TopP: 0.9}, []int32{2, 1, 3}, 0.9},
	} {
		counts := map[int32]float64{}
		const n = 40000
		for i := range n {
			token, decided := choose(row, &c.sampling, topPOf(&c.sampling), uniform(9, i))
			require.True(t, decided)
			counts[token.Token]++
		}
		mass := 0.0
		for _, id := range c.kept {
			mass += math.Exp(float64(logits[id]))
		}
		left := c.topP // the last token inside keeps the part that lies inside
		for _, id := range c.kept {
			p := min(left, math.Exp(float64(logits[id]))/mass)
			left -= p
			require.InDelta(t, p/c.topP, counts[id]/n, 0.012, "%+v token %d", c.sampling, id)
			delete(counts, id)
		}
		require.Empty(t, counts, "%+v", c.sampling)
	}
}

// The first outputs of SplitMix64 for seed 0 (Steele, Lea, Flood; as in the JDK and in
// xoshiro's reference code).
func TestUniform(t *testing.T) {
	const gamma = 0x9E3779B97F4A7C15
	for i, want := range []uint64{0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F} {
		require.Equal(t, want, mix64(uint64(i+1)*gamma))
	}
	seen := map[float64]bool{}
	sum := 0.0
	for seed := range uint64(100) {
		for n := range 100 {
			u := uniform(seed, n)
			require.True(t, u >= 0 && u < 1)
			require.False(t, seen[u], "streams of neighbouring seeds are not the same numbers")
			seen[u] = true
			sum += u
		}
	}
	require.InDelta(t, 0.5, sum/10000, 0.01)
}

// What the runner makes of the edits is what TensorRT-LLM's kernel does to the logits.
func TestPenalties(t *testing.T) {
	r := &executor.Request{InputIDs: []int32{1, 2, 1}, Sampling: executor.Sampling{
		Temperature: 0.5, RepetitionPenalty: 1.25, PresencePenalty: 0.3, FrequencyPenalty: 0.2, Bias: map[int32]float32{4: 1.5, 2: 3, 3: -2},
	}}
	e := newEdits(r)
	e.see([]int32{1, 2, 1, 3})
	logits := []float32{1, 2, -2, 0.5, 0.25}
	list := editedRow(nil, logits, &executor.LogitsRow{Temperature: 0.5, Edits: e.of([]int32{1, 2, 1, 3}, 1)})
	for i, count := range []float64{0, 2, 1, 1, 0} {
		want := float64(logits[i])
		want += float64(r.Sampling.Bias[int32(i)])
		want /= 0.5
		if count > 0 {
			if want > 0 {
				want /= 1.25
			} else {
				want *= 1.25
			}
			want -= 0.3 + 0.2*count
		}
		require.InDelta(t, want, list[i].Logit, 1e-5, "token %d", i)
	}
}

func TestBans(t *testing.T) {
	banned := func(r *executor.Request, generated int, tokens ...int32) []int32 {
		r.InputIDs = tokens
		var list []int32
		for _, e := range newEdits(r).of(tokens, generated) {
			if math.IsInf(float64(e.Bias), -1) {
				list = append(list, e.Token)
			}
		}
		slices.Sort(list)
		return list
	}
	bad := &executor.Request{BadSequences: [][]int32{{7}, {1, 2, 8}, {3, 9}, {7}}}
	require.Equal(t, []int32{7, 8}, banned(bad, 0, 5, 1, 2))
	require.Equal(t, []int32{7, 9}, banned(bad, 0, 3))
	require.Equal(t, []int32{7}, banned(bad, 0))

	ngrams := func(n int) *executor.Request {
		return &executor.Request{Sampling: executor.Sampling{NoRepeatNgramSize: n}}
	}
	require.Equal(t, []int32{1, 2}, banned(ngrams(1), 0, 1, 2, 1))
	require.Equal(t, []int32{2, 4}, banned(ngrams(2), 0, 1, 2, 1, 4, 1))
	require.Equal(t, []int32{6}, banned(ngrams(3), 0, 4, 5, 6, 4, 5))
	require.Empty(t, banned(ngrams(3), 0, 4, 5))
	require.Empty(t, banned(ngrams(3), 0, 4, 4))
	require.Equal(t, []int32{4}, banned(ngrams(3), 0, 4, 4, 4))

	ends := &executor.Request{EndIDs: []int32{3, 5}, Sampling: executor.Sampling{MinTokens: 2, Bias: map[int32]float32{5: 9}}}
	require.Equal(t, []int32{3, 5}, banned(ends, 1, 1))
	require.Empty(t, banned(ends, 2, 1, 1))
}
