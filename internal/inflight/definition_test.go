package inflight

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// What the tests of this package hold sampling against: the definitions, over the
// whole vocabulary in float64, with no regard to time.

// definedLogits are the logits that the token after tokens, of which the last
// generated are output, is drawn from.
func definedLogits(r *executor.Request, tokens []int32, generated int, logits []float32) []float64 {
	s := &r.Sampling
	count := func(tokens []int32, id int32) (n float64) {
		for _, t := range tokens {
			if t == id {
				n++
			}
		}
		return n
	}
	prompt := len(tokens) - generated
	list := make([]float64, len(logits))
	for id := range list {
		l := float64(logits[id]) + float64(s.Bias[int32(id)])
		if s.Temperature != 0 {
			l /= float64(s.Temperature)
		}
		if p := float64(s.RepetitionPenalty); p != 0 && count(tokens, int32(id)) > 0 {
			if l < 0 {
				l *= p
			} else {
				l /= p
			}
		}
		if n := count(tokens[min(s.PromptIgnoreLength, prompt):], int32(id)); n > 0 {
			l -= float64(s.PresencePenalty) + float64(s.FrequencyPenalty)*n
		}
		if isBanned(r, tokens, generated, int32(id)) {
			l = math.Inf(-1)
		}
		list[id] = l
	}
	return list
}

// isBanned tells whether a token may not follow.
func isBanned(r *executor.Request, tokens []int32, generated int, id int32) bool {
	if generated < r.Sampling.MinTokens && slices.Contains(r.EndIDs, id) {
		return true
	}
	next := append(slices.Clone(tokens), id)
	for _, bad := range r.BadSequences {
		if len(bad) <= len(next) && slices.Equal(bad, next[len(next)-len(bad):]) {
			return true
		}
	}
	n := r.Sampling.NoRepeatNgramSize
	for i := 0; n > 0 && i+n < len(next); i++ {
		if slices.Equal(next[i:i+n], next[len(next)-n:]) {
			return true
		}
	}
	return false
}

// share is the probability with which a token is drawn.
type share struct {
	token int32
	p     float64
}

// definedShares are the tokens that may be drawn and how probable each is, the most
// probable first.
func definedShares(logits []float64, s *executor.Sampling, topP float64) []share {
	var list []share
	total := 0.0
	top := slices.Max(logits)
	for id, l := range logits {
		if p := math.Exp(l - top); p > 0 {
			list = append(list, share{int32(id), p})
			total += p
		}
	}
	slices.SortFunc(list, func(a, b share) int { return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.token, b.token)) })
	for i := range list {
		if s.MinP > 0 && list[i].p < float64(s.MinP) || s.TopK > 0 && i == s.TopK {
			list = list[:i]
			break
		}
	}
	mass := 0.0
	for _, x := range list {
		mass += x.p
	}
	// The nucleus: the last token inside keeps the part that lies inside.
	left := topP
	for i := range list {
		list[i].p = min(left, list[i].p/mass)
		left -= list[i].p
		list[i].p /= topP
	}
	return slices.DeleteFunc(list, func(x share) bool { return x.p <= 0 })
}

// drawn is the token of shares at u.
func drawn(list []share, u float64) int32 {
	for _, x := range list {
		if u -= x.p; u < 0 {
			return x.token
		}
	}
	return list[len(list)-1].token
}

// definedOutput is what the toy generates for one sequence of a request.
func definedOutput(r *executor.Request, sequence, vocabSize int) []int32 {
	s := &r.Sampling
	first, low, decay := 1.0, 1e-6, 1.0
	for of, v := range map[*float64]float32{&first: s.TopP, &low: s.TopPMin, &decay: s.TopPDecay} {
		if v != 0 {
			*of = float64(v)
		}
	}
	topP := first
	tokens := slices.Clone(r.InputIDs)
	for n := range r.MaxTokens {
		logits := definedLogits(r, tokens, n, executortest.ToyLogits(executortest.Hidden(tokens), vocabSize))
		token := drawn(definedShares(logits, s, topP), uniform(s.Seed+uint64(sequence), n))
		if slices.Contains(r.EndIDs, token) {
			break
		}
		tokens = append(tokens, token)
		if topP = max(topP*decay, low); slices.Contains(s.TopPResetIDs, token) {
			topP = first
		}
	}
	return tokens[len(r.InputIDs):]
}

// generated is all that came of one sequence.
type generated struct {
	executor.Response     // the sums of its lists, and the rest of the last response
	responses         int // how many came
}

// openToy opens an executor over a toy whose limits change makes.
func openToy(t testing.TB, o Options, change func(*executor.Limits)) *Executor {
	t.Helper()
	limits := executortest.ToyLimits()
	if change != nil {
		change(&limits)
	}
	e, err := New(executortest.NewToy(limits), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// generate runs requests together and gives the sequences of each; a request that
// fails gives its error in the first one.
func generate(t testing.TB, e *Executor, requests ...executor.Request) [][]generated {
	t.Helper()
	outputs := make([][]generated, len(requests))
	for i, r := range requests {
		r.ClientID = uint64(i)
		outputs[i] = make([]generated, max(1, r.Sampling.NumReturnSequences))
		require.NoError(t, e.Submit(r))
	}
	for left := len(requests); left > 0; {
		responses, err := e.Await(t.Context())
		require.NoError(t, err)
		for _, r := range responses {
			outputs[r.ClientID][r.Sequence].add(t, r)
			if r.Final {
				left--
			}
		}
	}
	return outputs
}

func (g *generated) add(t testing.TB, r executor.Response) {
	t.Helper()
	if g.responses++; g.responses > 1 {
		require.Nil(t, r.ContextLogits, "only the first response has them")
		require.Nil(t, r.PromptLogProbs)
		require.Nil(t, r.PromptTopLogProbs)
		r.ContextLogits, r.PromptLogProbs, r.PromptTopLogProbs = g.ContextLogits, g.PromptLogProbs, g.PromptTopLogProbs
	}
	r.OutputIDs = append(g.OutputIDs, r.OutputIDs...)
	r.LogProbs = append(g.LogProbs, r.LogProbs...)
	r.TopLogProbs = append(g.TopLogProbs, r.TopLogProbs...)
	r.Logits = append(g.Logits, r.Logits...)
	g.Response = r
}
