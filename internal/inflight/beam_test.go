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

// found is a beam as the plain search of the tests has it.
type found struct {
	tokens []int32 // with the end id
	cum    float64
	score  float64
	reason executor.FinishReason
}

// output is what a response has of it.
func (f found) output() []int32 {
	if f.reason == executor.FinishEnd {
		return f.tokens[:len(f.tokens)-1]
	}
	return f.tokens
}

// plainSearch is a beam search over whole rows and whole token lists: logits gives the
// edited logits that follow an output, -Inf where a token is banned.
type plainSearch struct {
	logits  func(output []int32) []float32
	request executor.Request
	early   int // Sampling.EarlyStopping
}

func (p *plainSearch) run() []found {
	s := &p.request.Sampling
	live, ended := []found{{}}, []found(nil)
	for length := 1; length <= p.request.MaxTokens && len(live) > 0; length++ {
		type extension struct {
			found
			parent int
			token  int32
			logit  float32
			rank   float64
		}
		var all []extension
		for parent, b := range live {
			row := p.logits(b.tokens)
			sum := plainLogSumExp(row)
			for token, l := range row {
				x := extension{parent: parent, token: int32(token), logit: l}
				x.tokens = append(slices.Clone(b.tokens), x.token)
				x.cum = b.cum + float64(l) - float64(sum)
				x.rank = x.cum + float64(s.BeamSearchDiversityRate)*float64(parent)
				x.reason = p.ends(x.tokens)
				x.score = p.score(x.cum, length)
				if !math.IsInf(x.cum, -1) {
					all = append(all, x)
				}
			}
		}
		slices.SortFunc(all, func(a, b extension) int {
			return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.parent, b.parent), cmp.Compare(b.logit, a.logit), cmp.Compare(a.token, b.token))
		})
		live = nil
		for i, x := range all {
			if x.reason == executor.FinishNone && len(live) < s.BeamWidth {
				live = append(live, x.found)
			}
			if x.reason != executor.FinishNone && i < s.BeamWidth {
				ended = p.insert(ended, x.found)
			}
		}
		if len(live) == 0 {
			break
		}
		if len(ended) == s.BeamWidth {
			bound := p.score(all[0].rank, length)
			if p.early != 1 && p.early != 0 && s.LengthPenalty > 0 {
				bound = p.score(all[0].rank, p.request.MaxTokens)
			}
			worst := slices.MinFunc(ended, func(a, b found) int { return cmp.Compare(a.score, b.score) })
			if p.early == 1 || worst.score >= bound {
				live = nil
			}
		}
	}
	for _, b := range live {
		b.score, b.reason = p.score(b.cum, len(b.tokens)), executor.FinishLength
		ended = append(ended, b)
	}
	slices.SortStableFunc(ended, func(a, b found) int { return cmp.Compare(b.score, a.score) })
	return ended[:min(len(ended), s.BeamWidth)]
}

// insert puts x in the place of the worst if that is not better.
func (p *plainSearch) insert(ended []found, x found) []found {
	if len(ended) < p.request.Sampling.BeamWidth {
		return append(ended, x)
	}
	worst := 0
	for i := range ended {
		if ended[i].score < ended[worst].score {
			worst = i
		}
	}
	if x.score >= ended[worst].score {
		ended[worst] = x
	}
	return ended
}

func (p *plainSearch) score(cum float64, length int) float64 {
	return cum / math.Pow(float64(length), float64(p.request.Sampling.LengthPenalty))
}

func (p *plainSearch) ends(output []int32) executor.FinishReason {
	if slices.Contains(p.request.EndIDs, output[len(output)-1]) {
		return executor.FinishEnd
	}
	if len(output) >= p.request.Sampling.MinTokens {
		for _, stop := range p.request.StopSequences {
			if len(output) >= len(stop) && slices.Equal(output[len(output)-len(stop):], stop) {
				return executor.FinishStop
			}
		}
	}
	return executor.FinishNone
}

func plainLogSumExp(logits []float32) float32 {
	top, sum := float64(slices.Max(logits)), 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	return float32(top + math.Log(sum))
}

// search runs beamSearch alone on a model that is a function, with no more
// candidates than it asks for.
func (p *plainSearch) search(t *testing.T) []beam {
	s := newBeamSearch(&p.request)
	outputs := [][]int32{nil}
	for range p.request.MaxTokens {
		var rows []beamRow
		for i := range s.live {
			rows = append(rows, rowOfBeam(p.logits(outputs[i]), beamCandidates(&p.request)))
		}
		parents := s.advance(rows, func(parent int, token int32) executor.FinishReason {
			return p.ends(append(slices.Clone(outputs[parent]), token))
		})
		require.Len(t, s.live, len(parents))
		var next [][]int32
		for i, parent := range parents {
			next = append(next, append(slices.Clone(outputs[parent]), s.live[i].last.token))
		}
		if outputs = next; s.done {
			break
		}
	}
	return s.best(p.request.Sampling.BeamWidth, executor.FinishLength)
}

// rowOfBeam is the row of logits with its best n candidates.
func rowOfBeam(logits []float32, n int) beamRow {
	row := beamRow{logSumExp: plainLogSumExp(logits), rawLogSumExp: plainLogSumExp(logits)}
	for id, l := range logits {
		row.candidates = append(row.candidates, executor.Candidate{Token: int32(id), Logit: l, Raw: l})
	}
	slices.SortStableFunc(row.candidates, func(a, b executor.Candidate) int { return cmp.Compare(b.Logit, a.Logit) })
	row.candidates = row.candidates[:min(n, len(logits))]
	return row
}

// hashModel is a model whose logits are a hash of the output; rounded to tenths they
// are often equal.
func hashModel(seed uint64, vocabulary int, spread float64) func([]int32) []float32 {
	return func(output []int32) []float32 {
		h := seed
		for _, id := range output {
			h = mix64(h*31 + uint64(id) + 1)
		}
		random := rand.New(rand.NewPCG(h, 1))
		row := make([]float32, vocabulary)
		for i := range row {
			row[i] = float32(math.Round(random.NormFloat64()*spread*10) / 10)
			if random.IntN(12) == 0 {
				row[i] = float32(math.Inf(-1))
			}
		}
		row[random.IntN(vocabulary)] = 1
		return row
	}
}

// randomSearch makes the settings of a search: few end ids, many, stop sequences.
func randomSearch(random *rand.Rand, vocabulary int) plainSearch {
	pick := func(list ...float32) float32 { return list[random.IntN(len(list))] }
	id := func() int32 { return random.Int32N(int32(vocabulary)) }
	p := plainSearch{early: random.IntN(3)}
	p.request = executor.Request{MaxTokens: 1 + random.IntN(10), Sampling: executor.Sampling{
		BeamWidth: 2 + random.IntN(4), LengthPenalty: pick(0, 0, 1, 2, -1, 0.6), BeamSearchDiversityRate: pick(0, 0, 0.3, 1.5),
	}}
	for range random.IntN(4) {
		p.request.EndIDs = append(p.request.EndIDs, id())
	}
	for range random.IntN(3) {
		stop := []int32{id(), id()}[:1+random.IntN(2)]
		p.request.StopSequences = append(p.request.StopSequences, stop)
	}
	p.request.Sampling.MinTokens = random.IntN(3)
	if p.early != 1 || random.IntN(2) == 0 { // nil is 1
		p.request.Sampling.EarlyStopping = &p.early
	}
	return p
}

func outputOf(b *beam) []int32 {
	list := []int32{}
	for _, t := range b.tokens() {
		list = append(list, t.token)
	}
	return list
}

func requireFound(t *testing.T, want []found, got []beam, about ...any) {
	t.Helper()
	require.Len(t, got, len(want), about...)
	for i := range want {
		require.Equal(t, append([]int32{}, want[i].output()...), outputOf(&got[i]), about...)
		require.Equal(t, want[i].reason, got[i].reason, about...)
		require.InDelta(t, want[i].cum, got[i].cumLogProb, 1e-9, about...)
		require.InDelta(t, want[i].score, got[i].score, 1e-9, about...)
	}
}

func TestBeamSearchIsThePlainOne(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	reasons := map[executor.FinishReason]int{}
	for i := range 2000 {
		vocabulary := 3 + random.IntN(12)
		p := randomSearch(random, vocabulary)
		p.logits = hashModel(random.Uint64(), vocabulary, 0.3+2*random.Float64())
		want := p.run()
		requireFound(t, want, p.search(t), "search %d: %+v", i, p.request)
		for _, w := range want {
			reasons[w.reason]++
		}
	}
	for _, reason := range []executor.FinishReason{executor.FinishEnd, executor.FinishStop, executor.FinishLength} {
		require.Greater(t, reasons[reason], 500, "%v", reason)
	}
}

// A search as wide as there are outputs finds the best of all.
func TestWideBeamSearchIsExhaustive(t *testing.T) {
	const vocabulary, length = 4, 4
	for seed := range uint64(20) {
		p := plainSearch{logits: hashModel(seed, vocabulary, 2), request: executor.Request{MaxTokens: length, EndIDs: []int32{1}}}
		never := 2
		p.request.Sampling = executor.Sampling{BeamWidth: 256, LengthPenalty: float32(seed%3) - 1, EarlyStopping: &never}
		var all []found
		var visit func(output []int32, cum float64)
		visit = func(output []int32, cum float64) {
			row := p.logits(output)
			for token, l := range row {
				f := found{tokens: append(slices.Clone(output), int32(token)), cum: cum + float64(l) - float64(plainLogSumExp(row))}
				if math.IsInf(f.cum, -1) {
					continue
				}
				f.score, f.reason = p.score(f.cum, len(f.tokens)), executor.FinishLength
				if token == 1 {
					f.reason = executor.FinishEnd
				}
				if token == 1 || len(f.tokens) == length {
					all = append(all, f)
				} else {
					visit(f.tokens, f.cum)
				}
			}
		}
		visit(nil, 0)
		slices.SortFunc(all, func(a, b found) int { return cmp.Compare(b.score, a.score) })
		got := p.search(t)
		require.Len(t, got, len(all))
		for i := range all {
			require.InDelta(t, all[i].score, got[i].score, 1e-9)
		}
	}
}

// scripted is a search whose rows are given as probabilities.
func scripted(t *testing.T, s *beamSearch, ends []int32, rows ...[]float64) []int {
	t.Helper()
	require.Len(t, rows, len(s.live))
	var list []beamRow
	for _, row := range rows {
		var logits []float32
		for _, p := range row {
			logits = append(logits, float32(math.Log(p)))
		}
		list = append(list, rowOfBeam(logits, len(logits)))
		list[len(list)-1].logSumExp = 0 // to the last bit
	}
	return s.advance(list, func(_ int, token int32) executor.FinishReason {
		if slices.Contains(ends, token) {
			return executor.FinishEnd
		}
		return executor.FinishNone
	})
}

func newSearch(width, early int, penalty float32) *beamSearch {
	return newBeamSearch(&executor.Request{MaxTokens: 10, Sampling: executor.Sampling{BeamWidth: width, EarlyStopping: &early, LengthPenalty: penalty}})
}

func TestBeamRules(t *testing.T) {
	end := []int32{0}
	t.Run("ends below the width's ranks are dropped", func(t *testing.T) {
		s := newSearch(2, 1, 0)
		require.Equal(t, []int{0, 0}, scripted(t, s, end, []float64{0.2, 0.3, 0.5}))
		require.Empty(t, s.ended)
		require.Equal(t, []int{0, 1}, scripted(t, s, end, []float64{0.3, 0.6, 0.1}, []float64{0.1, 0.1, 0.8}))
		require.Empty(t, s.ended, "0.5·0.3 is third")
		scripted(t, s, end, []float64{0.9, 0.05, 0.05}, []float64{0.1, 0.5, 0.4})
		require.Len(t, s.ended, 1)
		require.InDelta(t, math.Log(0.5*0.6*0.9), s.ended[0].cumLogProb, 1e-6)
		require.Equal(t, []int32{2, 1}, outputOf(&s.ended[0]), "without the end id")
		require.Equal(t, 3, s.ended[0].length, "which counts")
		require.False(t, s.done)
	})
	t.Run("early stopping ends with enough", func(t *testing.T) {
		for early, done := range []bool{false, true, false} {
			s := newSearch(2, early, 0)
			scripted(t, s, end, []float64{0.02, 0.49, 0.49})
			s.ended = []beam{{score: -9}, {score: -8}}
			scripted(t, s, end, []float64{0.1, 0.4, 0.5}, []float64{0.1, 0.5, 0.4})
			require.Equal(t, done, s.done, "early stopping %d", early)
		}
	})
	t.Run("the present length or the best", func(t *testing.T) {
		// 0.5 at length 1 is -0.69; at length 10 and penalty 1 it could be -0.069.
		for early, done := range map[int]bool{0: true, 2: false, 7: false} {
			s := newSearch(2, early, 1)
			s.ended = []beam{{score: -0.6}, {score: -0.5}}
			scripted(t, s, end, []float64{0.1, 0.5, 0.4})
			require.Equal(t, done, s.done, "early stopping %d", early)
		}
		s := newSearch(2, 2, -1) // longer ones are never better
		s.ended = []beam{{score: -0.6}, {score: -0.5}}
		scripted(t, s, end, []float64{0.1, 0.5, 0.4})
		require.True(t, s.done)
	})
	t.Run("an equal one replaces the worst", func(t *testing.T) {
		s := newSearch(2, 0, 0)
		half := float64(float32(math.Log(0.5)))
		s.ended = []beam{{score: half, cumLogProb: 1}, {score: -0.1}}
		scripted(t, s, end, []float64{0.5, 0.3, 0.2})
		require.Equal(t, half, s.ended[0].cumLogProb)
	})
	t.Run("diversity moves ranks and not scores", func(t *testing.T) {
		s := newSearch(2, 1, 0)
		s.diversity = 1
		scripted(t, s, nil, []float64{0.1, 0.6, 0.3})
		require.Equal(t, []int{1, 0}, scripted(t, s, nil, []float64{0.1, 0.8, 0.1}, []float64{0.04, 0.9, 0.06}))
		require.InDelta(t, math.Log(0.3*0.9), s.live[0].cumLogProb, 1e-6)
	})
	t.Run("what lives ends with the search", func(t *testing.T) {
		s := newSearch(3, 1, 2)
		scripted(t, s, end, []float64{0.4, 0.35, 0.25})
		scripted(t, s, end, []float64{0.1, 0.6, 0.3}, []float64{0.1, 0.7, 0.2})
		best := s.best(3, executor.FinishTimeout)
		require.Len(t, best, 3)
		require.Equal(t, []executor.FinishReason{executor.FinishTimeout, executor.FinishTimeout, executor.FinishTimeout},
			[]executor.FinishReason{best[0].reason, best[1].reason, best[2].reason})
		require.InDelta(t, math.Log(0.35*0.6)/4, best[0].score, 1e-6, "better than the end id's -0.92 / 1")
		require.Len(t, s.best(1, executor.FinishTimeout), 1)
		s.done = true
		require.Equal(t, executor.FinishEnd, s.best(3, executor.FinishTimeout)[0].reason)
	})
	t.Run("nothing to go on with", func(t *testing.T) {
		s := newSearch(2, 0, 0)
		require.Empty(t, scripted(t, s, end, []float64{0.5, 0, 0}))
		require.True(t, s.done)
		require.Len(t, s.best(2, executor.FinishLength), 1)
	})
	t.Run("before the first token", func(t *testing.T) {
		require.Equal(t, executor.FinishCancelled, newSearch(2, 0, 1).best(2, executor.FinishCancelled)[0].reason)
	})
}

func TestBeamCandidates(t *testing.T) {
	r := executor.Request{EndIDs: []int32{3, 4, 3}, StopSequences: [][]int32{{7, 4}, {1, 9}}, Sampling: executor.Sampling{BeamWidth: 5}}
	require.Equal(t, 8, beamCandidates(&r), "5 beams, and 3, 4 and 9 may end one")
}
