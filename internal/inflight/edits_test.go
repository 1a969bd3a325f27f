package inflight

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// What the runner makes of the edits is what TensorRT-LLM's batchApplyPenalty does to
// the logits, whose formula is written out here for one case.
func TestPenalties(t *testing.T) {
	r := &executor.Request{InputIDs: []int32{1, 2, 1}, Sampling: executor.Sampling{
		Temperature: 0.5, RepetitionPenalty: 1.25, PresencePenalty: 0.3, FrequencyPenalty: 0.2, PromptIgnoreLength: 1,
		Bias: map[int32]float32{4: 1.5, 2: 3, 3: -2},
	}}
	e := newEdits(r)
	e.see([]int32{1, 2, 1, 3})
	logits := []float32{1, 2, -2, 0.5, 0.25}
	list := editedRow(nil, logits, &executor.LogitsRow{Temperature: 0.5, Edits: e.of([]int32{1, 2, 1, 3}, 1)})
	for i, want := range []float64{
		1 / 0.5,
		2/0.5/1.25 - 0.3 - 0.2,       // once, for the first is ignored
		(-2+3)/0.5/1.25 - 0.3 - 0.2,  // positive with its bias
		(0.5-2)/0.5*1.25 - 0.3 - 0.2, // negative with its bias
		(0.25 + 1.5) / 0.5,
	} {
		require.InDelta(t, want, list[i].Logit, 1e-6, "token %d", i)
	}
}

// Random settings, over many tokens: the list that grows gives at each step what the
// definition gives from all tokens.
func TestEditsAreTheDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 71))
	const vocabSize = 97
	for range 400 {
		r := randomRequest(random, vocabSize)
		e := newEdits(&r)
		tokens := slices.Clone(r.InputIDs)
		for n := range r.MaxTokens {
			logits := make([]float32, vocabSize)
			for i := range logits {
				logits[i] = float32(3 * random.NormFloat64())
			}
			want := definedLogits(&r, tokens, n, logits)
			before := slices.Clone(e.of(tokens, n))
			require.Equal(t, before, e.of(tokens, n), "a row that is asked for again has the same edits")
			list := editedRow(nil, logits, &executor.LogitsRow{Temperature: r.Sampling.Temperature, Edits: e.of(tokens, n)})
			for _, c := range list {
				require.InDelta(t, want[c.Token], c.Logit, 1e-4, "token %d of %+v", c.Token, r)
				want[c.Token] = math.Inf(-1)
			}
			for id, l := range want {
				require.True(t, math.IsInf(l, -1), "token %d of %+v is banned", id, r)
			}
			tokens = append(tokens, random.Int32N(20))
			e.see(tokens)
		}
	}
}

// What could be large has a bound: float32 holds every edit, whatever is legal.
func TestEditsAreFinite(t *testing.T) {
	const most = math.MaxFloat32
	for _, s := range []executor.Sampling{
		{FrequencyPenalty: most, Temperature: most}, {FrequencyPenalty: -most, Temperature: most}, {PresencePenalty: most, FrequencyPenalty: most},
	} {
		e := newEdits(&executor.Request{InputIDs: []int32{3, 3, 3}, Sampling: s})
		edit := e.of([]int32{3, 3, 3}, 0)[0]
		require.Equal(t, float64(most), math.Abs(float64(edit.Subtract)), "%+v", s)
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

// An index finds what a look through all tokens finds, also where the hashes of
// different tokens are the same, as they are with a base of 0 or 1.
func TestNgrams(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		n := 1 + random.IntN(5)
		g := newNgrams(n, []uint64{0, 1, ngramBase}[random.IntN(3)])
		var tokens []int32
		for range 60 {
			tokens = append(tokens, random.Int32N(3))
			g.add(tokens)
			want := map[int32]bool{}
			for id := range int32(3) {
				if isBanned(&executor.Request{Sampling: executor.Sampling{NoRepeatNgramSize: n}}, tokens, 0, id) {
					want[id] = true
				}
			}
			got := map[int32]bool{}
			for at := range g.followers(tokens) {
				got[tokens[at]] = true
			}
			require.Equal(t, want, got, "%d-grams of %v, base %d", n, tokens, g.base)
		}
	}
}

// With the index a long prompt that repeats itself costs no more per token than a short
// one: what follows is listed once.
func TestFollowersAreListedOnce(t *testing.T) {
	g := newNgrams(3, ngramBase)
	tokens := make([]int32, 0, 30000)
	for range 30000 {
		tokens = append(tokens, 7)
		g.add(tokens)
	}
	n := 0
	for range g.followers(tokens) {
		n++
	}
	require.Equal(t, 1, n)
}

// BenchmarkToken is what Go does for one token: the edits of its row and the choice
// among the row's candidates, after a prompt of 2000 tokens.
func BenchmarkToken(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, 49152)
	for i := range logits {
		logits[i] = float32(3 * random.NormFloat64())
	}
	whole := rowOf(logits, 1024)
	prompt := make([]int32, 2000)
	for i := range prompt {
		prompt[i] = random.Int32N(int32(len(logits)))
	}
	for _, c := range []struct {
		name     string
		sampling executor.Sampling
	}{
		{"greedy", executor.Sampling{TopK: 1}},
		{"top-k 50 top-p 0.9", executor.Sampling{TopK: 50, TopP: 0.9, Temperature: 0.8}},
		{"top-p 0.3", executor.Sampling{TopP: 0.3}},
		{"penalties", executor.Sampling{TopK: 50, RepetitionPenalty: 1.2, PresencePenalty: 0.1, FrequencyPenalty: 0.1}},
		{"no repeated 3-gram", executor.Sampling{TopK: 50, NoRepeatNgramSize: 3}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := &executor.Request{InputIDs: prompt, Sampling: c.sampling}
			candidates, _ := candidatesFor(&r.Sampling, &executor.Limits{MaxCandidates: 1024, VocabSize: len(logits)})
			row := *whole
			row.Candidates = whole.Candidates[:candidates]
			e, topP := newEdits(r), topPOf(&r.Sampling)
			tokens := slices.Clone(prompt)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if len(tokens) == 4000 {
					tokens, e = append(tokens[:0], prompt...), newEdits(r)
				}
				e.of(tokens, len(tokens)-len(prompt))
				token, _ := choose(&row, &r.Sampling, topP, uniform(3, i))
				tokens = append(tokens, token.Token)
				e.see(tokens)
				topP = topPAfter(&r.Sampling, topP, token.Token)
			}
		})
	}
	for _, s := range []executor.Sampling{{TopK: 1}, {TopK: 50}, {TopP: 0.95}, {MinP: 0.05}} {
		b.Run(fmt.Sprintf("whole row, top-k %d, top-p %v, min-p %v", s.TopK, s.TopP, s.MinP), func(b *testing.B) {
			var scratch []executor.Candidate
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				scratch = editedRow(scratch, logits, &executor.LogitsRow{})
				chooseFull(scratch, whole.LogSumExp, &s, topPOf(&s), uniform(3, i))
			}
		})
	}
}
