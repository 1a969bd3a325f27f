package executortest

import (
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours of prefix reuse. An executor without it computes every prompt anew.
var reuse = []behaviour{
	{"takes over the blocks of a prompt that was there", reuseBehaviour},
	{"takes over no blocks across salts", saltBehaviour},
	{"goes on with its own answer", conversationBehaviour},
	{"takes over nothing of what gave no numbers", spoiltReuseBehaviour},
	{"gives prompt logits in full where blocks are there", reuseLogitsBehaviour},
}

// reused asserts that a sequence took over tokens, where the executor does that.
func (f *fixture) reused(o output) {
	f.Helper()
	require.Equal(f, f.model.Features.Reuse, o.cache.ReusedTokens > 0, "%d tokens reused", o.cache.ReusedTokens)
}

func reuseBehaviour(f *fixture) {
	// Long enough for a whole block of any size that is worth it.
	r := executor.Request{InputIDs: f.prompt(f.model.MaxSeqLen * 3 / 4), MaxTokens: 7, Sampling: greedy, LogProbs: true}
	before := f.Stats()
	first := f.run(r)
	require.Zero(f, first.cache)
	for range 3 {
		again := f.run(r)
		f.reused(again)
		require.Less(f, again.cache.ReusedTokens, len(r.InputIDs), "the last token is always computed")
		require.Equal(f, first.generated(), again.generated())
		before.ReusedTokens += uint64(again.cache.ReusedTokens)
	}
	after := f.Stats()
	require.Equal(f, before.ReusedTokens, after.ReusedTokens)
	require.EqualValues(f, 4*len(r.InputIDs), after.ContextTokens-before.ContextTokens+after.ReusedTokens, "computed or reused")
	require.Equal(f, f.model.Features.Reuse && f.model.Features.CachedBlocks, after.KVBlocksCached > 0)
	f.empty()

	// One that begins alike. With another salt, and after it, for a small cache holds
	// only one.
	other := r
	other.InputIDs = slices.Concat(r.InputIDs[:len(r.InputIDs)-2], f.prompt(5))
	got := f.run(other)
	f.reused(got)
	other.CacheSalt = 99
	require.Equal(f, f.run(other).generated(), got.generated())
}

func saltBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(f.model.MaxSeqLen * 3 / 4), MaxTokens: 3, Sampling: greedy}
	var want output
	for salt := range uint64(3) {
		r.CacheSalt = salt << 40
		out := f.run(r)
		require.Zero(f, out.cache.ReusedTokens, "salt %d", salt)
		if salt == 0 {
			want = out.generated()
		}
		require.Equal(f, want, out.generated())
		f.reused(f.run(r))
	}
}

func conversationBehaviour(f *fixture) {
	// Each turn's prompt is all that was said before.
	ids := f.prompt(f.model.MaxSeqLen / 2)
	var turns []executor.Request
	var outputs []output
	for turn := range 3 {
		r := executor.Request{InputIDs: slices.Clone(ids), MaxTokens: f.model.MaxSeqLen / 12, Sampling: executor.Sampling{Temperature: 1, Seed: 9}}
		out := f.run(r)
		if turn > 0 {
			f.reused(out)
		}
		turns, outputs = append(turns, r), append(outputs, out.generated())
		ids = slices.Concat(ids, out.ids, f.prompt(3))
	}
	for turn, r := range turns {
		r.CacheSalt = uint64(100 + turn)
		require.Equal(f, f.run(r).generated(), outputs[turn], "turn %d", turn)
	}
}

func spoiltReuseBehaviour(f *fixture) {
	f.needsSteps()
	r := executor.Request{InputIDs: f.prompt(f.model.MaxSeqLen * 3 / 4), MaxTokens: 3, Sampling: greedy, CacheSalt: 5}
	want := f.run(r)
	r.CacheSalt = 6
	f.gate.After(func(out *executor.StepResult) {
		for i := range out.Rows {
			spoil(&out.Rows[i])
		}
	})
	_, err := f.waitError(f.submit(r))
	require.ErrorIs(f, err, executor.ErrFailed)
	f.gate.After(nil)
	out := f.run(r)
	require.Zero(f, out.cache.ReusedTokens, "what its blocks hold may be no numbers either")
	require.Equal(f, want.generated(), out.generated())
}

func reuseLogitsBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(f.model.MaxSeqLen / 2), MaxTokens: 2, Sampling: greedy}
	f.run(r)
	r.ContextLogits = true
	want := f.run(r)
	require.Len(f, want.contextLogits, len(r.InputIDs))
	require.Equal(f, want.generated(), f.run(r).generated())
	if f.model.Features.LogProbs {
		r.ContextLogits, r.PromptLogProbs = false, true
		require.Len(f, f.run(r).prompt, len(r.InputIDs))
	}
}
