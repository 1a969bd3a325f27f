package inflight

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// requireTop compares best tokens with a row.
func requireTop(t *testing.T, logits []float32, n int, got []executor.LogProb) {
	t.Helper()
	want := executortest.LogSoftmax(logits)
	order := make([]int32, len(want))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b)) })
	require.Len(t, got, n)
	for i, g := range got {
		require.Equal(t, order[i], g.Token)
		require.InDelta(t, want[g.Token], g.LogProb, 1e-5)
	}
}

// promptLogits is the toy's row after each token of a prompt.
func promptLogits(prompt []int32) [][]float32 {
	rows := make([][]float32, len(prompt))
	for i := range rows {
		rows[i] = executortest.ToyLogits(executortest.Hidden(prompt[:i+1]), 97)
	}
	return rows
}

// Log-probs of prompt and output are the model's, whatever is done to the logits, how
// the prompt is cut, what else is asked for, and whether the answer is streamed.
func TestLogProbs(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	for _, o := range []Options{{}, {ChunkTokens: 1}, {ChunkTokens: 5}} {
		for _, limits := range []func(*executor.Limits){
			func(*executor.Limits) {},
			func(l *executor.Limits) { l.MaxCandidates = 97 },
			func(l *executor.Limits) { l.StateSlots = 0; l.SharedBlocks = false; l.MaxNumTokens = 7 },
		} {
			e := openToy(t, o, limits)
			var requests []executor.Request
			for i := range 60 {
				r := randomRequest(random, 97)
				r.LogProbs, r.PromptLogProbs, r.ContextLogits = i%2 == 0, i%3 > 0, i%5 > 2
				r.GenerationLogits, r.Streaming = true, i%4 == 0
				r.TopLogProbs, r.PromptTopLogProbs = min(16, i%3*random.IntN(17)), min(16, i%4*random.IntN(17))
				if i%2 == 1 {
					r.PromptFrom = random.IntN(len(r.InputIDs) + 1)
				}
				if i%7 == 0 {
					r.Sampling.NumReturnSequences = 3
				}
				requests = append(requests, r)
			}
			for i, outputs := range generate(t, e, requests...) {
				for sequence, out := range outputs {
					require.NoError(t, out.Err)
					requireLogProbs(t, &requests[i], sequence, &out)
				}
			}
		}
	}
}

func requireLogProbs(t *testing.T, r *executor.Request, sequence int, out *generated) {
	t.Helper()
	n := len(out.OutputIDs)
	require.Len(t, out.Logits, n)
	if r.LogProbs {
		require.Len(t, out.LogProbs, n)
	} else {
		require.Empty(t, out.LogProbs)
	}
	if r.TopLogProbs > 0 {
		require.Len(t, out.TopLogProbs, n)
	} else {
		require.Empty(t, out.TopLogProbs)
	}
	sum := 0.0
	for i, id := range out.OutputIDs {
		p := executortest.LogSoftmax(out.Logits[i])[id]
		sum += p
		if r.LogProbs {
			require.InDelta(t, p, out.LogProbs[i], 1e-5)
		}
		if r.TopLogProbs > 0 {
			requireTop(t, out.Logits[i], r.TopLogProbs, out.TopLogProbs[i])
		}
	}
	require.InDelta(t, sum, out.CumLogProb, 1e-5*float64(n+1))
	if sequence > 0 {
		require.Nil(t, out.ContextLogits)
		require.Nil(t, out.PromptLogProbs)
		require.Nil(t, out.PromptTopLogProbs)
		return
	}
	rows := promptLogits(r.InputIDs)
	first := max(1, r.PromptFrom)
	clear(rows[:first-1])
	if r.ContextLogits {
		require.Equal(t, rows, out.ContextLogits)
	} else {
		require.Nil(t, out.ContextLogits)
	}
	if r.PromptLogProbs {
		require.Len(t, out.PromptLogProbs, len(rows))
		require.Equal(t, make([]float32, min(first, len(rows))), out.PromptLogProbs[:min(first, len(rows))])
		for i := first; i < len(rows); i++ {
			require.InDelta(t, executortest.LogSoftmax(rows[i-1])[r.InputIDs[i]], out.PromptLogProbs[i], 1e-5)
		}
	} else {
		require.Nil(t, out.PromptLogProbs)
	}
	if r.PromptTopLogProbs > 0 {
		require.Len(t, out.PromptTopLogProbs, len(rows))
		for i := range min(first, len(rows)) {
			require.Empty(t, out.PromptTopLogProbs[i])
		}
		for i := first; i < len(rows); i++ {
			requireTop(t, rows[i-1], r.PromptTopLogProbs, out.PromptTopLogProbs[i])
		}
	} else {
		require.Nil(t, out.PromptTopLogProbs)
	}
}

// A sequence that ends with its first token, or is to ask for its first row again in
// full, delivers its prompt all the same, once.
func TestPromptLogProbsAtTheEdges(t *testing.T) {
	prompt := []int32{4, 8, 15, 16, 23, 42}
	r := executor.Request{InputIDs: prompt, MaxTokens: 5, PromptLogProbs: true, ContextLogits: true, GenerationLogits: true, TopLogProbs: 1, Sampling: greedyOf(3)}
	first := executortest.Greedy(prompt, 1, 97)[0]
	ending := r
	ending.EndIDs = []int32{first}
	single := r
	single.InputIDs = prompt[:1]
	wide := r
	wide.Sampling = executor.Sampling{Temperature: 20, Seed: 1} // one candidate hardly ever decides
	e := openToy(t, Options{}, func(l *executor.Limits) { l.MaxCandidates = 1 })
	requests := []executor.Request{r, ending, single, wide}
	for i := range requests {
		requests[i].Streaming = i%2 == 0
	}
	for i, out := range generate(t, e, requests...) {
		require.NoError(t, out[0].Err)
		requireLogProbs(t, &requests[i], 0, &out[0])
	}
}

func greedyOf(seed uint64) executor.Sampling { return executor.Sampling{TopK: 1, Seed: seed} }

// Best tokens cost a second row only where edits or the temperature may change the order.
func TestRowsThatAreAskedFor(t *testing.T) {
	for _, c := range []struct {
		sampling executor.Sampling
		top      int
		rows     int
	}{
		{executor.Sampling{TopK: 1}, 0, 1}, {executor.Sampling{TopK: 1}, 9, 1}, {executor.Sampling{Temperature: 1}, 9, 1},
		{executor.Sampling{TopK: 4, Temperature: 0.5}, 9, 2}, {executor.Sampling{TopK: 4, Temperature: 0.5}, 0, 1},
		{executor.Sampling{TopK: 1, Bias: map[int32]float32{3: 1}}, 2, 2},
	} {
		t.Run(fmt.Sprintf("%+v, %d", c.sampling, c.top), func(t *testing.T) {
			gate := executortest.NewGate(executortest.NewToy(executortest.ToyLimits()))
			rows := 0
			gate.Before(func(batch []executor.Sequence) error {
				rows += len(batch[0].Rows)
				return nil
			})
			e, err := New(gate, Options{})
			require.NoError(t, err)
			defer func() { require.NoError(t, e.Close()) }()
			generate(t, e, executor.Request{InputIDs: []int32{1, 2}, MaxTokens: 1, Sampling: c.sampling, TopLogProbs: c.top})
			require.Equal(t, c.rows, rows)
		})
	}
}

// Streaming changes nothing: neither tokens nor log-probs nor their sum, to the bit.
func TestStreamingChangesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	e := openToy(t, Options{}, nil)
	for range 40 {
		r := randomRequest(random, 97)
		r.LogProbs, r.TopLogProbs = true, 3
		streamed := r
		streamed.Streaming = true
		out := generate(t, e, r, streamed)
		a, b := out[0][0], out[1][0]
		require.Equal(t, 1, a.responses)
		require.Equal(t, a.CumLogProb, b.CumLogProb)
		require.Equal(t, len(a.OutputIDs), len(b.OutputIDs))
		for i := range a.OutputIDs {
			require.Equal(t, a.OutputIDs[i], b.OutputIDs[i])
			require.Equal(t, a.LogProbs[i], b.LogProbs[i])
			require.Equal(t, a.TopLogProbs[i], b.TopLogProbs[i])
		}
	}
}

// A prompt whose rows are not numbers fails its request, with the place.
func TestPromptRowsThatAreNotNumbers(t *testing.T) {
	gate := executortest.NewGate(executortest.NewToy(executortest.ToyLimits()))
	gate.After(func(out *executor.StepResult) {
		if len(out.Rows) == 4 {
			out.Rows[2].RawLogSumExp = float32(math.NaN())
		}
	})
	e, err := New(gate, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	out := generate(t, e, executor.Request{InputIDs: []int32{1, 2, 3, 4}, MaxTokens: 2, PromptLogProbs: true})
	require.ErrorIs(t, out[0][0].Err, executor.ErrFailed)
	require.ErrorContains(t, out[0][0].Err, "after token 2 of the prompt: the model's logits are not numbers")
	require.Zero(t, e.Stats().KVBlocksUsed)
}
