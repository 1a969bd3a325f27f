package executortest

import (
	"cmp"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours of log-probs beyond those of the generated tokens themselves. An
// executor that has not the candidates for them says so.

func topLogProbsBehaviour(f *fixture) {
	r := executor.Request{
		InputIDs: f.prompt(8), MaxTokens: 6, TopLogProbs: 5, GenerationLogits: true,
		// Under the model: neither temperature nor penalties nor bans count.
		Sampling: executor.Sampling{Temperature: 0.6, Seed: 2, RepetitionPenalty: 1.5, NoRepeatNgramSize: 1},
	}
	if refusesLogProbs(f, r) {
		return
	}
	for _, r.Streaming = range []bool{false, true} {
		out := f.run(r)
		require.Len(f, out.topLogProbs, len(out.ids))
		for i, best := range out.topLogProbs {
			requireBest(f, out.logits[i], 5, best)
		}
	}
	r.Sampling, r.GenerationLogits = greedy, false
	out := f.run(r)
	for i, best := range out.topLogProbs {
		require.Equal(f, out.ids[i], best[0].Token, "greedy takes the best")
	}
}

func promptLogProbsBehaviour(f *fixture) {
	r := executor.Request{
		InputIDs: f.prompt(21), MaxTokens: 3, Sampling: greedy, PromptLogProbs: true, PromptTopLogProbs: 4, ContextLogits: true,
	}
	if refusesLogProbs(f, r) {
		return
	}
	want := f.run(r)
	require.Len(f, want.prompt, 21)
	require.Len(f, want.promptTop, 21)
	require.Zero(f, want.prompt[0], "nothing comes before the first")
	require.Empty(f, want.promptTop[0])
	for i := 1; i < 21; i++ {
		row := want.contextLogits[i-1]
		require.InDelta(f, LogSoftmax(row)[r.InputIDs[i]], want.prompt[i], 1e-4)
		requireBest(f, row, 4, want.promptTop[i])
	}
	r.ContextLogits = false // no other numbers without the rows, nor now that the prompt is known
	for _, r.Streaming = range []bool{false, true} {
		out := f.run(r)
		require.Equal(f, want.prompt, out.prompt)
		require.Equal(f, want.promptTop, out.promptTop)
		require.Nil(f, out.contextLogits)
	}
	r.InputIDs, r.Streaming = r.InputIDs[:1], false
	require.Equal(f, []float32{0}, f.run(r).prompt)
}

// promptFromBehaviour: a prompt's end is scored as with all of the prompt, whether or not
// what stands before it is reused.
func promptFromBehaviour(f *fixture) {
	r := executor.Request{
		InputIDs: f.prompt(21), MaxTokens: 3, Sampling: greedy, PromptLogProbs: true, PromptTopLogProbs: 4, ContextLogits: true,
	}
	if refusesLogProbs(f, r) {
		return
	}
	want := f.run(r)
	for _, from := range []int{0, 1, 2, 13, 20, 21} {
		r.PromptFrom = from
		untold, first := max(0, from-1), max(1, from)
		out := f.run(r)
		require.Equal(f, want.ids, out.ids, "from %d", from)
		require.Equal(f, slices.Concat(make([][]float32, untold), want.contextLogits[untold:]), out.contextLogits, "from %d", from)
		require.Equal(f, slices.Concat(make([]float32, first), want.prompt[first:]), out.prompt, "from %d", from)
		require.Len(f, out.promptTop, 21)
		for i, best := range out.promptTop {
			if i < first {
				require.Empty(f, best, "from %d, token %d", from, i)
			} else {
				require.Equal(f, want.promptTop[i], best, "from %d, token %d", from, i)
			}
		}
	}
	for _, from := range []int{-1, 22} {
		r.PromptFrom = from
		err := f.Submit(r)
		require.ErrorIs(f, err, executor.ErrInvalidRequest)
		require.ErrorContains(f, err, "prompt from")
	}
}

// refusesLogProbs tells whether the executor has no log-probs of the kind that r wants;
// then it must refuse r, with that word.
func refusesLogProbs(f *fixture, r executor.Request) bool {
	f.Helper()
	if f.model.Features.LogProbs {
		return false
	}
	require.ErrorContains(f, f.Submit(r), "log-probs")
	return true
}

// requireBest compares the best n tokens at a place with the place's whole row.
func requireBest(f *fixture, logits []float32, n int, best []executor.LogProb) {
	f.Helper()
	order := make([]int32, len(logits))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b)) })
	require.Len(f, best, n)
	for i, p := range best {
		require.Equal(f, order[i], p.Token)
		require.InDelta(f, LogSoftmax(logits)[p.Token], p.LogProb, 1e-4)
	}
}
