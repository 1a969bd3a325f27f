package inflight

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

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
		want := drawn(definedShares(definedLogits(&executor.Request{}, nil, 0, logits), &s, float64(topPOf(&s))), u)
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

// The first k of a list are those of a sort, also where logits are equal.
func TestSelectTop(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 11))
	for range 500 {
		logits := make([]float32, 2+random.IntN(600))
		for i := range logits {
			logits[i] = float32(random.IntN(1 + random.IntN(300)))
		}
		list := editedRow(nil, logits, &executor.LogitsRow{})
		want := slices.Clone(list)
		slices.SortFunc(want, descending)
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		k := 1 + random.IntN(len(list)-1)
		selectTop(list, k)
		slices.SortFunc(list[:k], descending)
		require.Equal(t, want[:k], list[:k])
		slices.SortFunc(list, descending)
		require.Equal(t, want, list, "nothing is lost")
	}
}

// The place in a long list is that in a sorted one, whatever the distribution: flat,
// with equal logits, with one that has nearly all, with the largest numbers.
func TestAtInLongLists(t *testing.T) {
	random := rand.New(rand.NewPCG(12, 12))
	const n = 5000
	different := 0
	for round := range 30 {
		logits := make([]float32, n)
		for i := range logits {
			logits[i] = float32([]float64{0.01, 1, 8}[round%3] * random.NormFloat64())
			if round%4 == 1 {
				logits[i] = float32(math.Round(float64(logits[i])))
			}
		}
		switch round % 5 {
		case 1:
			logits[random.IntN(n)] = 12
		case 2:
			logits[random.IntN(n)], logits[random.IntN(n)] = -math.MaxFloat32, math.MaxFloat32
		case 3:
			clear(logits)
		case 4:
			clear(logits)
			logits[random.IntN(n)] = math.SmallestNonzeroFloat32
		}
		row := rowOf(logits, n)
		for range 8 {
			u := random.Float64()
			sum, want := 0.0, n-1
			for i, c := range row.Candidates {
				if sum += probability(c.Logit, row.LogSumExp); sum > u {
					want = i
					break
				}
			}
			list := editedRow(nil, logits, &executor.LogitsRow{})
			random.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
			got := at(list, row.LogSumExp, u)
			// Sums in another order may differ at a border.
			require.InDelta(t, want, slices.Index(row.Candidates, got), 1, "round %d, u %v", round, u)
			if got != row.Candidates[want] {
				different++
			}
			slices.SortFunc(list, descending)
			require.Equal(t, row.Candidates, list, "nothing is lost")
		}
	}
	require.Less(t, different, 3)
}
