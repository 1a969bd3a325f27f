//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// answerRow asks for one row after token 0.
func answerRow(t *testing.T, r *Runner, row executor.LogitsRow) executor.RowResult {
	t.Helper()
	s := piece([]int32{0}, 0, 0)
	s.Rows = []executor.LogitsRow{row}
	return step(t, r, s)[0]
}

// sorted gives all candidates by a full sort: NaN last, -0 as 0, ties by token.
func sorted(raw, logits []float32) []executor.Candidate {
	all := make([]executor.Candidate, len(raw))
	for i := range raw {
		all[i] = executor.Candidate{Token: int32(i), Logit: logits[i], Raw: raw[i]}
	}
	slices.SortStableFunc(all, func(a, b executor.Candidate) int {
		aNaN, bNaN := a.Logit != a.Logit, b.Logit != b.Logit
		switch {
		case aNaN && bNaN || a.Logit == b.Logit:
			return 0
		case bNaN || a.Logit > b.Logit:
			return -1
		}
		return 1
	})
	return all
}

func requireCandidates(t *testing.T, want, got []executor.Candidate) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].Token, got[i].Token, "candidate %d", i)
		require.Equal(t, math.Float32bits(want[i].Raw), math.Float32bits(got[i].Raw), "raw of candidate %d", i)
		// 1/temperature is rounded, then the product.
		if want[i].Logit == want[i].Logit && !math.IsInf(float64(want[i].Logit), 0) {
			require.InDelta(t, want[i].Logit, got[i].Logit, 3*unit*math.Abs(float64(want[i].Logit)))
		} else {
			require.Equal(t, math.IsNaN(float64(want[i].Logit)), math.IsNaN(float64(got[i].Logit)))
		}
	}
}

// logSumExp is what the runner should find, in float64.
func logSumExp(logits []float32) (top, sum float64) {
	top = math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	return top, top + math.Log(sum)
}

// TestCandidatesEqualASort asks rows with ties, infinities and NaN, of every number of
// candidates that takes another way through the selection.
func TestCandidatesEqualASort(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	r := newRand(7)
	ascending := make([]float32, 3001) // each one enters: the keys are thinned out most often
	for i := range ascending {
		ascending[i] = float32(i) / 8
	}
	descending := slices.Clone(ascending)
	slices.Reverse(descending)
	ties := make([]float32, 3001)
	for i := range ties {
		ties[i] = float32(r.IntN(5)) - 2
	}
	ties[17] = float32(math.Copysign(0, -1))
	masked := normals(r, 3001, 3)
	for i := range masked {
		if i%100 != 37 {
			masked[i] = -inf
		}
	}
	spoiled := normals(r, 3001, 3)
	for i := 0; i < len(spoiled); i += 2 {
		spoiled[i] = nan
	}
	spoiled[5], spoiled[7], spoiled[9] = inf, -inf, inf
	for name, logits := range map[string][]float32{
		"normal": normals(r, 49152, 4), "ascending": ascending, "descending": descending, "ties": ties, "equal": make([]float32, 1500),
		"masked": masked, "spoiled": spoiled, "vocabulary of 1": {3}, "vocabulary of 33": normals(r, 33, 1),
	} {
		t.Run(name, func(t *testing.T) {
			runner := openEngine(t, tableEngine(t, logits, []float32{1}), Options{})
			all := sorted(logits, logits)
			require.Equal(t, min(1024, len(logits)), runner.Limits().MaxCandidates)
			for _, k := range []int{0, 1, 2, 3, 31, 32, 33, 50, 1000, 1023, 1024} {
				k = min(k, len(logits))
				requireCandidates(t, all[:k], answerRow(t, runner, executor.LogitsRow{Candidates: k}).Candidates)
			}
		})
	}
}

// TestEditsAndTemperature compares edited rows with the formula of
// executor.LogitEdit, and sees that a row's edits do not outlive it.
func TestEditsAndTemperature(t *testing.T) {
	logits := normals(newRand(3), 2000, 2)
	logits[10], logits[11], logits[12] = 5, -5, 0
	inf := float32(math.Inf(-1))
	runner := openEngine(t, tableEngine(t, logits, []float32{1}), Options{})
	for name, edits := range map[string][]executor.LogitEdit{
		"none":             nil,
		"penalty":          {{Token: 10, Penalty: 1.3}, {Token: 11, Penalty: 1.3}, {Token: 12, Penalty: 1.3}},
		"reward":           {{Token: 10, Penalty: 0.5}, {Token: 11, Penalty: 0.5}},
		"bias":             {{Token: 10, Bias: -2.5}, {Token: 11, Bias: 9}},
		"penalty and bias": {{Token: 10, Penalty: 2, Bias: 1}, {Token: 11, Penalty: 2, Bias: -1}},
		"sign by bias":     {{Token: 10, Penalty: 2, Bias: -9}, {Token: 11, Penalty: 2, Bias: 9}},
		"subtract":         {{Token: 10, Subtract: 1.5}, {Token: 11, Penalty: 2, Bias: 8, Subtract: -3}},
		"ban":              {{Token: 10, Bias: inf}, {Token: 1999, Bias: inf}, {Token: 0, Bias: inf}},
		"edited twice":     {{Token: 10, Bias: -8}, {Token: 11, Bias: 1}, {Token: 10, Penalty: 3, Bias: 0.5}},
	} {
		for _, temperature := range []float32{0, 1, 0.7, 2, 1e-3, 50} {
			t.Run(fmt.Sprintf("%s at %v", name, temperature), func(t *testing.T) {
				edited := slices.Clone(logits)
				for _, e := range edits {
					penalty := e.Penalty
					if penalty == 0 {
						penalty = 1
					}
					edited[e.Token] += e.Bias
					if edited[e.Token] > 0 {
						edited[e.Token] = float32(edited[e.Token]/penalty) - e.Subtract
					} else {
						edited[e.Token] = float32(edited[e.Token]*penalty) - e.Subtract
					}
				}
				if temperature != 0 {
					for i := range edited {
						edited[i] /= temperature
					}
				}
				got := answerRow(t, runner, executor.LogitsRow{Temperature: temperature, Edits: edits, Candidates: 100, Logits: true})
				requireCandidates(t, sorted(logits, edited)[:100], got.Candidates)
				require.Equal(t, logits, got.Logits, "the full row is raw")
				top, sum := logSumExp(edited)
				require.InEpsilon(t, top, got.Max, 4*unit)
				require.InDelta(t, sum, got.LogSumExp, 8*unit*(math.Abs(sum)+8))
				_, raw := logSumExp(logits)
				require.InDelta(t, raw, got.RawLogSumExp, 8*unit*(math.Abs(raw)+8))
			})
		}
	}
}

func TestEverythingBanned(t *testing.T) {
	runner := openEngine(t, tableEngine(t, []float32{1, 2, 3}, []float32{1}), Options{})
	inf := math.Inf(-1)
	row := executor.LogitsRow{Candidates: 3, Edits: []executor.LogitEdit{{Token: 0, Bias: float32(inf)}, {Token: 1, Bias: float32(inf)}, {Token: 2, Bias: float32(inf)}}}
	got := answerRow(t, runner, row)
	require.EqualValues(t, inf, got.Max)
	require.EqualValues(t, inf, got.LogSumExp)
	for i, c := range got.Candidates {
		require.EqualValues(t, i, c.Token)
		require.EqualValues(t, inf, c.Logit)
		require.EqualValues(t, i+1, c.Raw)
	}
}

// TestRowGroups asks more rows than are computed together, each with its own edits.
func TestRowGroups(t *testing.T) {
	logits := normals(newRand(5), 500, 2)
	factors := []float32{1, -1, 0.5, 3, -0.25}
	for threads := 1; threads <= 3; threads++ {
		runner := openEngine(t, tableEngine(t, logits, factors), Options{Threads: threads})
		for _, n := range []int{31, 32, 33, 64, 65, 200} {
			tokens := randomTokens(uint64(n), n, len(logits))
			s := piece(tokens, 0, 6, 5, 4, 3, 2, 1, 0)
			for i := range tokens {
				s.Rows = append(s.Rows, executor.LogitsRow{Index: i, Candidates: i % 7, Logits: i%3 == 0, Edits: []executor.LogitEdit{{Token: int32(i), Bias: 1000}}})
			}
			for i, got := range step(t, runner, s) {
				raw := make([]float32, len(logits))
				for j := range raw {
					raw[j] = logits[j] * factors[int(tokens[i])%len(factors)]
				}
				edited := slices.Clone(raw)
				edited[i] += 1000
				requireCandidates(t, sorted(raw, edited)[:i%7], got.Candidates)
				require.Equal(t, edited[i], got.Max)
				if i%3 == 0 {
					require.Equal(t, raw, got.Logits)
				} else {
					require.Empty(t, got.Logits)
				}
			}
		}
	}
}

// TestTargetsAreRaw asks one token's row several times, with other edits, temperatures
// and targets each: every answer is the model's own logit, a token's that the row bans
// or names twice too, and rows without targets have none, in a reused result as well.
func TestTargetsAreRaw(t *testing.T) {
	logits := normals(newRand(9), 700, 2)
	factors := []float32{1, -2, 0.5}
	inf := float32(math.Inf(-1))
	for threads := 1; threads <= 2; threads++ {
		runner := openEngine(t, tableEngine(t, logits, factors), Options{Threads: threads})
		s := piece([]int32{0, 1, 2, 3}, 0, 0)
		s.Rows = []executor.LogitsRow{
			{Index: 1, Targets: []int32{3, 699, 3, 0}},
			{Index: 1, Candidates: 2, Temperature: 0.5, Edits: []executor.LogitEdit{{Token: 3, Bias: inf}, {Token: 0, Penalty: 2}}, Targets: []int32{0, 3}},
			{Index: 2, Candidates: 1},
			{Index: 1, Logits: true, Edits: []executor.LogitEdit{{Token: 699, Bias: 9}}, Targets: []int32{699}},
			{Index: 3, Targets: []int32{42}},
		}
		var out executor.StepResult
		for range 2 {
			require.NoError(t, runner.Step(t.Context(), []executor.Sequence{s}, &out))
			require.Len(t, out.Rows, len(s.Rows))
			for i, row := range s.Rows {
				require.Len(t, out.Rows[i].Targets, len(row.Targets), "row %d", i)
				for j, token := range row.Targets {
					require.Equal(t, logits[token]*factors[row.Index%3], out.Rows[i].Targets[j], "row %d, target %d", i, j)
				}
			}
			require.NotEqual(t, out.Rows[0].LogSumExp, out.Rows[1].LogSumExp)
			require.Equal(t, out.Rows[0].RawLogSumExp, out.Rows[1].RawLogSumExp)
			slices.Reverse(s.Rows)
			require.NoError(t, runner.Step(t.Context(), []executor.Sequence{s}, &out))
			slices.Reverse(s.Rows)
		}
	}
}

// BenchmarkAnswer tells what a row of 256 000 logits costs after they are there, in steps of
// a model that is nothing but a table of them: the difference to "no row" is the last linear
// layer, of depth 1, and the answer.
//
//	go test -run '^$' -bench Answer ./csrc/cpu
func BenchmarkAnswer(b *testing.B) {
	logits := normals(newRand(5), 256000, 3)
	runner := openEngine(b, tableEngine(b, logits, []float32{1}), Options{Threads: 1})
	for _, row := range []struct {
		name string
		rows []executor.LogitsRow
	}{
		{"no row", nil},
		{"statistics", []executor.LogitsRow{{}}},
		{"greedy", []executor.LogitsRow{{Candidates: 1}}},
		{"1024 candidates", []executor.LogitsRow{{Candidates: 1024}}},
		{"1024 candidates, temperature 0.8", []executor.LogitsRow{{Candidates: 1024, Temperature: 0.8}}},
	} {
		b.Run(row.name, func(b *testing.B) {
			s := piece([]int32{0}, 0, 0)
			s.Rows = row.rows
			for b.Loop() {
				step(b, runner, s)
			}
		})
	}
}
