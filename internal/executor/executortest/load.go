package executortest

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// Load makes random requests of all kinds: long and short, greedy and drawn, with
// several sequences and beams where the model has them. Many begin alike, so that
// KV blocks can be taken over. It belongs to one goroutine.
type Load struct {
	model     Model
	random    *rand.Rand
	prefixes  [][]int32
	maxTokens int
}

// NewLoad returns the load of a seed, with prompts of up to half of the model's
// length and up to maxTokens tokens to generate.
func NewLoad(m Model, maxTokens int, seed uint64) *Load {
	l := &Load{model: m, random: rand.New(rand.NewPCG(seed, 11)), maxTokens: maxTokens}
	// The beginnings are the same for every seed.
	beginnings := &Load{model: m, random: rand.New(rand.NewPCG(1, 2))}
	for i := range 5 {
		l.prefixes = append(l.prefixes, beginnings.tokens(i*m.MaxSeqLen/10))
	}
	return l
}

func (l *Load) tokens(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = l.random.Int32N(int32(l.model.VocabSize))
	}
	return ids
}

// chance is true in one of n cases.
func (l *Load) chance(n int) bool { return l.random.IntN(n) == 0 }

// Request returns the next request, without a ClientID.
func (l *Load) Request() executor.Request {
	for {
		if r := l.request(); l.model.Refuses == nil || !l.model.Refuses(&r) {
			return r
		}
	}
}

// request returns a request that the executor may refuse.
func (l *Load) request() executor.Request {
	prefix := l.prefixes[l.random.IntN(len(l.prefixes))]
	if l.chance(3) {
		prefix = prefix[:l.random.IntN(len(prefix)+1)]
	}
	ids := slices.Concat(prefix, l.tokens(1+l.random.IntN(1+l.model.MaxSeqLen/12)))
	if l.chance(4) { // one that many ask, to the letter
		ids = slices.Clone(l.prefixes[1+l.random.IntN(len(l.prefixes)-1)])
	}
	r := executor.Request{
		InputIDs: ids, MaxTokens: 1 + l.random.IntN(l.maxTokens), Streaming: l.chance(2), Priority: float32(l.random.IntN(4)) / 4,
		LogProbs: l.chance(2), ContextLogits: l.chance(12), GenerationLogits: l.chance(12), CacheSalt: uint64(l.random.IntN(6) / 5),
	}
	if l.model.Features.LogProbs {
		if l.chance(6) {
			r.TopLogProbs = 1 + l.random.IntN(5)
		}
		if l.chance(8) {
			r.PromptLogProbs, r.PromptTopLogProbs = true, l.random.IntN(3)
		}
	}
	l.sampling(&r.Sampling)
	l.ends(&r)
	l.beams(&r)
	if r.PromptLogProbs || r.ContextLogits {
		r.PromptFrom = l.random.IntN(len(r.InputIDs) + 1)
	}
	return r
}

func (l *Load) sampling(s *executor.Sampling) {
	s.Seed = l.random.Uint64()
	switch l.random.IntN(8) {
	case 0, 1, 2:
		s.TopK = 1
	case 3:
		s.TopK = 2 + l.random.IntN(40)
	case 4:
		s.TopP = 0.3 + l.random.Float32()*0.7
	case 5:
		s.TopP, s.TopPDecay, s.TopPMin = 0.95, 0.8, 0.2
		s.TopPResetIDs = l.tokens(5)
	case 6:
		s.MinP = l.random.Float32() / 4
	}
	if l.chance(2) {
		s.Temperature = 0.3 + l.random.Float32()*1.5
	}
	if l.chance(4) {
		s.RepetitionPenalty = 0.8 + l.random.Float32()
		s.PromptIgnoreLength = l.random.IntN(5)
	}
	if l.chance(5) {
		s.PresencePenalty, s.FrequencyPenalty = l.random.Float32(), l.random.Float32()/2
	}
	if l.chance(6) {
		s.NoRepeatNgramSize = 2 + l.random.IntN(3) // 1 may ban all of a small vocabulary
	}
	if l.chance(6) {
		s.Bias = map[int32]float32{l.tokens(1)[0]: 3, l.tokens(1)[0]: float32(math.Inf(-1))}
	}
	if l.chance(5) {
		s.NumReturnSequences = 1 + l.random.IntN(4)
	}
}

// beams makes r, in some cases, a request for beams: short ones, for each beam needs
// its own blocks.
func (l *Load) beams(r *executor.Request) {
	if !l.model.Features.Beams || !l.chance(6) {
		return
	}
	s := &r.Sampling
	s.BeamWidth, s.NumReturnSequences, s.LengthPenalty = 2+l.random.IntN(2), 0, l.random.Float32()
	if l.chance(2) {
		s.NumReturnSequences = 1 + l.random.IntN(s.BeamWidth)
	}
	r.InputIDs = r.InputIDs[:min(len(r.InputIDs), l.model.MaxSeqLen/6)]
	r.MaxTokens = min(r.MaxTokens, 12)
}

// ends are what stops a sequence early.
func (l *Load) ends(r *executor.Request) {
	if l.chance(2) {
		r.EndIDs = l.tokens(1 + l.random.IntN(3))
	}
	if l.chance(4) {
		r.StopSequences = [][]int32{l.tokens(1), l.tokens(2)}
	}
	if l.chance(6) {
		r.BadSequences = [][]int32{l.tokens(1), l.tokens(2)}
	}
	if l.chance(6) {
		r.Sampling.MinTokens = l.random.IntN(6)
	}
}

// Bad returns a request that every executor refuses.
func (l *Load) Bad() executor.Request {
	r := l.Request()
	switch l.random.IntN(6) {
	case 0:
		r.InputIDs = nil
	case 1:
		r.InputIDs = l.tokens(l.model.MaxInputLen + 1 + l.random.IntN(100))
	case 2:
		r.MaxTokens = -l.random.IntN(2)
	case 3:
		r.MaxTokens = math.MaxInt
	case 4:
		r.Sampling.Temperature = float32(math.NaN())
	case 5:
		r.EndIDs = []int32{int32(l.model.VocabSize)}
	}
	return r
}
