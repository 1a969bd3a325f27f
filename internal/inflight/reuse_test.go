package inflight_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// count makes the prompt first, first+1, … of n tokens.
func count(n int, first int32) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = (first + int32(i)) % 97
	}
	return ids
}

// answer runs one request of several tokens and checks them. It returns the final
// response.
func answer(t *testing.T, e *inflight.Executor, r executor.Request) executor.Response {
	t.Helper()
	r.Sampling.TopK = 1
	require.NoError(t, e.Submit(r))
	response := finals(t, e, 1)[0]
	require.NoError(t, response.Err)
	require.Equal(t, executortest.Greedy(r.InputIDs, r.MaxTokens, 97), response.OutputIDs)
	return response
}

// What a request takes over of another's prompt and output, with blocks of 8 tokens.
func TestReuse(t *testing.T) {
	prompt := count(30, 1)
	output := executortest.Greedy(prompt, 20, 97)
	talk := slices.Concat(prompt, output, count(5, 50)) // the next turn of a conversation
	other := func(n int) []int32 { return slices.Concat(prompt[:n], count(30-n, 60)) }
	for _, c := range []struct {
		name           string
		options        inflight.Options
		limits         func(*executor.Limits)
		second         executor.Request
		reused, blocks int
	}{
		{"all but the last token", inflight.Options{}, nil, executor.Request{InputIDs: prompt}, 29, 3},
		{"full blocks only", inflight.Options{NoPartialReuse: true}, nil, executor.Request{InputIDs: prompt}, 24, 3},
		{"prompt and output, the last token of which was never computed", inflight.Options{}, nil, executor.Request{InputIDs: talk}, 49, 6},
		{"to the full block of prompt and output", inflight.Options{NoPartialReuse: true}, nil, executor.Request{InputIDs: talk}, 48, 6},
		{"a common beginning", inflight.Options{}, nil, executor.Request{InputIDs: other(19)}, 19, 2},
		{"a common beginning of full blocks", inflight.Options{}, nil, executor.Request{InputIDs: other(16)}, 16, 2},
		{"less than a block", inflight.Options{}, nil, executor.Request{InputIDs: other(3)}, 3, 0},
		{"less than a block, full ones only", inflight.Options{NoPartialReuse: true}, nil, executor.Request{InputIDs: other(3)}, 0, 0},
		{"nothing in common", inflight.Options{}, nil, executor.Request{InputIDs: other(0)}, 0, 0},
		{"another salt", inflight.Options{}, nil, executor.Request{InputIDs: prompt, CacheSalt: 1}, 0, 0},
		{"no reuse", inflight.Options{NoBlockReuse: true}, nil, executor.Request{InputIDs: prompt}, 0, 0},
		{"context logits", inflight.Options{}, nil, executor.Request{InputIDs: prompt, ContextLogits: true}, 0, 0},
		{"prompt log-probs", inflight.Options{}, nil, executor.Request{InputIDs: prompt, PromptLogProbs: true}, 0, 0},
		{"best tokens of the prompt", inflight.Options{}, nil, executor.Request{InputIDs: prompt, PromptTopLogProbs: 2}, 0, 0},
		{"log-probs of the prompt's end", inflight.Options{}, nil, executor.Request{InputIDs: prompt, PromptLogProbs: true, PromptFrom: 20}, 19, 2},
		{"log-probs of the prompt's end, full blocks only", inflight.Options{NoPartialReuse: true}, nil, executor.Request{InputIDs: prompt, PromptLogProbs: true, PromptFrom: 20}, 16, 2},
		{"context logits from a block's beginning", inflight.Options{}, nil, executor.Request{InputIDs: prompt, ContextLogits: true, PromptFrom: 17}, 16, 2},
		{"context logits of the last position", inflight.Options{}, nil, executor.Request{InputIDs: prompt, ContextLogits: true, PromptFrom: 30}, 29, 3},
		{"best tokens of another end", inflight.Options{}, nil, executor.Request{InputIDs: other(19), PromptTopLogProbs: 2, PromptFrom: 25}, 19, 2},
		{"blocks not shared", inflight.Options{}, func(l *executor.Limits) { l.SharedBlocks = false }, executor.Request{InputIDs: prompt}, 0, 0},
		{"recurrent state", inflight.Options{}, func(l *executor.Limits) { l.StateSlots = 2 }, executor.Request{InputIDs: prompt}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.limits == nil {
				c.limits = func(*executor.Limits) {}
			}
			e, _ := openWith(t, c.options, c.limits)
			first := executor.Request{ClientID: 1, InputIDs: prompt, MaxTokens: 20, Sampling: greedy}
			require.NoError(t, e.Submit(first))
			require.Zero(t, finals(t, e, 1)[0].KVCache)
			before := e.Stats()
			c.second.ClientID, c.second.MaxTokens, c.second.Sampling = 2, 6, greedy
			require.NoError(t, e.Submit(c.second))
			response := finals(t, e, 1)[0]
			if c.name != "recurrent state" {
				require.Equal(t, executortest.Greedy(c.second.InputIDs, 6, 97), response.OutputIDs)
			}
			after := e.Stats()
			require.Equal(t, c.reused, response.KVCache.ReusedTokens)
			require.EqualValues(t, c.reused, after.ReusedTokens-before.ReusedTokens)
			require.EqualValues(t, len(c.second.InputIDs)-c.reused, after.ContextTokens-before.ContextTokens)
			require.EqualValues(t, c.blocks, after.KVCache.ReusedBlocks-before.KVCache.ReusedBlocks)
			require.Zero(t, after.KVBlocksUsed)
		})
	}
}

// A request takes over what another computes at the same time, block for block.
func TestReuseWhileBothRun(t *testing.T) {
	e, gate := openWith(t, inflight.Options{ChunkTokens: 8}, func(*executor.Limits) {})
	gate.Hold()
	submit(t, e, 9, 1, 1, 12)
	require.NoError(t, gate.Arrived(t.Context()))
	for id := range uint64(6) {
		require.NoError(t, e.Submit(executor.Request{ClientID: id, InputIDs: count(100, 1), MaxTokens: 5, Sampling: greedy}))
	}
	gate.Release()
	for _, r := range finals(t, e, 7) {
		if r.ClientID != 9 {
			require.Equal(t, executortest.Greedy(count(100, 1), 5, 97), r.OutputIDs)
		}
	}
	stats := e.Stats()
	require.EqualValues(t, 1+100+5*4, stats.ContextTokens, "no full block is computed twice")
	require.EqualValues(t, 5*96, stats.ReusedTokens)
	require.Zero(t, stats.KVBlocksUsed)
}

// A prompt's blocks are there for others before its request ends, and a block that two
// hold is there until both left.
func TestReuseOfARunningRequest(t *testing.T) {
	e, gate := open(t, func(*executor.Limits) {})
	steps := 0
	gate.Before(func([]executor.Sequence) error {
		if steps++; steps == 3 {
			require.NoError(t, e.Submit(executor.Request{ClientID: 2, InputIDs: count(40, 1), MaxTokens: 20, Sampling: greedy}))
		}
		return nil
	})
	require.NoError(t, e.Submit(executor.Request{ClientID: 1, InputIDs: count(32, 1), MaxTokens: 150, Sampling: greedy}))
	list := finals(t, e, 2)
	require.EqualValues(t, 2, list[0].ClientID)
	require.Equal(t, 32, list[0].KVCache.ReusedTokens)
	require.Equal(t, executortest.Greedy(count(40, 1), 20, 97), list[0].OutputIDs)
	require.Zero(t, e.Stats().KVBlocksUsed)
	require.Positive(t, e.Stats().KVBlocksCached)
}

// The sequences of a request compute its prompt once, whatever the cache does.
func TestSequencesShareTheirPrompt(t *testing.T) {
	for name, c := range map[string]struct {
		options inflight.Options
		shared  bool
		salt    uint64
	}{
		"reuse": {inflight.Options{}, true, 0}, "no reuse": {inflight.Options{NoBlockReuse: true}, true, 0},
		"not shared": {inflight.Options{}, false, 0}, "chunks": {inflight.Options{ChunkTokens: 3, NoPartialReuse: true}, true, 5},
		"pauses": {inflight.Options{Policy: executor.MaxUtilization}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := openWith(t, c.options, func(l *executor.Limits) { l.SharedBlocks = c.shared })
			r := executor.Request{ClientID: 1, InputIDs: count(37, 1), MaxTokens: 6, CacheSalt: c.salt, Sampling: executor.Sampling{NumReturnSequences: 5, TopK: 5, Seed: 2}}
			require.NoError(t, e.Submit(r))
			finals(t, e, 1)
			require.EqualValues(t, 37+4, e.Stats().ContextTokens, "each computes the last token for itself")
			require.EqualValues(t, 4*36, e.Stats().ReusedTokens)
			require.Zero(t, e.Stats().KVBlocksUsed)
		})
	}
}

// copies is a runner whose copies fail while fails is set.
type copies struct {
	executor.Runner
	fails bool
	done  int
}

var errCopy = errors.New("no copy")

func (c *copies) CopyBlock(src, dst, n int) error {
	c.done++
	if c.fails {
		return errCopy
	}
	return c.Runner.CopyBlock(src, dst, n)
}

func TestCopyFailureFailsOneRequest(t *testing.T) {
	runner := &copies{Runner: executortest.NewToy(executortest.ToyLimits())}
	gate := executortest.NewGate(runner)
	e, err := inflight.New(gate, inflight.Options{})
	require.NoError(t, err)
	answer(t, e, executor.Request{ClientID: 1, InputIDs: count(20, 1), MaxTokens: 4})
	require.Zero(t, runner.done)

	gate.Hold()
	require.NoError(t, e.Submit(executor.Request{ClientID: 2, InputIDs: count(5, 70), MaxTokens: 9, Sampling: greedy}))
	require.NoError(t, gate.Arrived(t.Context()))
	runner.fails = true
	require.NoError(t, e.Submit(executor.Request{ClientID: 3, InputIDs: count(20, 1), MaxTokens: 4, Sampling: greedy}))
	require.NoError(t, e.Submit(executor.Request{ClientID: 4, InputIDs: count(5, 80), MaxTokens: 9, Sampling: greedy}))
	gate.Release()
	list := finals(t, e, 3)
	require.EqualValues(t, 3, list[0].ClientID)
	require.ErrorIs(t, list[0].Err, executor.ErrFailed)
	require.ErrorIs(t, list[0].Err, errCopy)
	require.ErrorContains(t, list[0].Err, "copying KV block")
	require.NoError(t, list[1].Err)
	require.NoError(t, list[2].Err)

	runner.fails = false
	require.Zero(t, e.Stats().KVBlocksUsed)
	r := answer(t, e, executor.Request{ClientID: 5, InputIDs: count(20, 1), MaxTokens: 4})
	require.Equal(t, 19, r.KVCache.ReusedTokens, "the original is as it was")
	require.NoError(t, e.Close())
}

// Nothing of a step that failed or was aborted can be found: the same prompt is
// computed anew, up to where it was before.
func TestNothingOfAFailedStepIsReused(t *testing.T) {
	e, gate := openWith(t, inflight.Options{ChunkTokens: 16}, func(*executor.Limits) {})
	steps := 0
	gate.Before(func([]executor.Sequence) error {
		if steps++; steps == 3 {
			return errors.New("broken")
		}
		return nil
	})
	r := executor.Request{ClientID: 1, InputIDs: count(60, 1), MaxTokens: 4, Sampling: greedy}
	require.NoError(t, e.Submit(r))
	require.ErrorIs(t, finals(t, e, 1)[0].Err, executor.ErrFailed)
	require.Zero(t, e.Stats().KVBlocksCached, "what a failing request computed is in doubt")
	require.Zero(t, answer(t, e, r).KVCache.ReusedTokens)

	r.InputIDs = count(60, 30)
	reached := make(chan struct{})
	steps = 0
	gate.Before(func([]executor.Sequence) error {
		if steps++; steps == 3 {
			close(reached)
			gate.Hold()
		}
		return nil
	})
	require.NoError(t, e.Submit(r))
	<-reached // the step goes on; the one after it is held
	require.NoError(t, gate.Arrived(t.Context()))
	e.Cancel(1)
	require.Equal(t, executor.FinishCancelled, finals(t, e, 1)[0].FinishReason)
	gate.Before(nil)
	gate.Release()
	require.Equal(t, 48, answer(t, e, r).KVCache.ReusedTokens, "three steps were committed")
	require.Zero(t, e.Stats().KVBlocksUsed)
}

// Logits that are not numbers come from keys and values that may be as bad.
func TestNothingOfBrokenLogitsIsReused(t *testing.T) {
	e, gate := open(t, func(*executor.Limits) {})
	gate.After(spoil)
	r := executor.Request{ClientID: 1, InputIDs: count(60, 1), MaxTokens: 4, Sampling: greedy}
	require.NoError(t, e.Submit(r))
	require.ErrorIs(t, finals(t, e, 1)[0].Err, executor.ErrFailed)
	gate.After(nil)
	require.Zero(t, answer(t, e, r).KVCache.ReusedTokens)
}

func spoil(out *executor.StepResult) {
	for i := range out.Rows {
		out.Rows[i].RawLogSumExp = nan
	}
}

// What is cached gives way to what runs.
func TestEviction(t *testing.T) {
	e, _ := open(t, func(l *executor.Limits) { l.NumBlocks = 12 })
	for round := range 3 {
		for i := range int32(8) {
			r := answer(t, e, executor.Request{ClientID: 1, InputIDs: count(30+round, 10*i), MaxTokens: 9})
			require.LessOrEqual(t, e.Stats().KVBlocksCached, 12)
			require.Less(t, r.KVCache.ReusedTokens, 20, "it was evicted in between")
		}
	}
	require.Equal(t, 12, e.Stats().KVBlocksCached)
	r := answer(t, e, executor.Request{ClientID: 1, InputIDs: count(32, 70), MaxTokens: 50})
	require.Equal(t, 31, r.KVCache.ReusedTokens)
	require.Zero(t, e.Stats().KVBlocksUsed)
}
