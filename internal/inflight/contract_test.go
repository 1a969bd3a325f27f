package inflight_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// The contract holds whatever the runner is like: how it pages, how many
// candidates it returns, how much fits in a step.
func TestContract(t *testing.T) {
	with := func(change func(*executor.Limits)) executor.Limits {
		limits := executortest.ToyLimits()
		change(&limits)
		return limits
	}
	for name, limits := range map[string]executor.Limits{
		"paged":               executortest.ToyLimits(),
		"blocks not shared":   with(func(l *executor.Limits) { l.SharedBlocks = false }),
		"block of one token":  with(func(l *executor.Limits) { l.BlockSize, l.NumBlocks = 1, 512 }),
		"one block each":      with(func(l *executor.Limits) { l.BlockSize, l.NumBlocks, l.SharedBlocks = 192, 4, false }),
		"small KV cache":      with(func(l *executor.Limits) { l.NumBlocks = 24 }),
		"one at a time":       with(func(l *executor.Limits) { l.MaxBatchSize = 1 }),
		"one token in a step": with(func(l *executor.Limits) { l.MaxNumTokens = 1 }),
		"three tokens a step": with(func(l *executor.Limits) { l.MaxNumTokens = 3 }),
		"one candidate":       with(func(l *executor.Limits) { l.MaxCandidates = 1 }),
		"no candidates":       with(func(l *executor.Limits) { l.MaxCandidates = 0 }),
		"all candidates":      with(func(l *executor.Limits) { l.MaxCandidates = 97 }),
		"recurrent state":     with(func(l *executor.Limits) { l.StateSlots = 3 }),
	} {
		t.Run(name, func(t *testing.T) {
			executortest.Run(t, func(t *testing.T, c executortest.Config) (executor.Executor, *executortest.Gate) {
				gate := executortest.NewGate(executortest.NewToy(limits))
				x, err := inflight.New(gate, options(c, inflight.Options{MaxInputLen: 190}))
				require.NoError(t, err)
				return x, gate
			}, toyModel(limits))
		})
	}
}

// What is generated does not depend on how prompts are cut.
func TestContractWithChunks(t *testing.T) {
	for _, chunk := range []int{1, 7, 32} {
		t.Run(fmt.Sprint(chunk), func(t *testing.T) {
			executortest.Run(t, func(t *testing.T, c executortest.Config) (executor.Executor, *executortest.Gate) {
				gate := executortest.NewGate(executortest.NewToy(executortest.ToyLimits()))
				x, err := inflight.New(gate, options(c, inflight.Options{ChunkTokens: chunk, MaxInputLen: 190}))
				require.NoError(t, err)
				return x, gate
			}, toyModel(executortest.ToyLimits()))
		})
	}
}

// Nor on who starts when, who is paused, and what is taken over.
func TestContractWithPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		blocks  int
		options inflight.Options
	}{
		"max utilization, small KV cache":           {24, inflight.Options{Policy: executor.MaxUtilization}},
		"max utilization, small KV cache, no reuse": {24, inflight.Options{Policy: executor.MaxUtilization, NoBlockReuse: true}},
		"small KV cache, no reuse":                  {24, inflight.Options{NoBlockReuse: true}},
		"max utilization, full blocks, chunks":      {24, inflight.Options{Policy: executor.MaxUtilization, NoPartialReuse: true, ChunkTokens: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			limits := executortest.ToyLimits()
			limits.NumBlocks = c.blocks
			model := toyModel(limits)
			model.Features.Reuse = !c.options.NoBlockReuse
			executortest.Run(t, func(t *testing.T, config executortest.Config) (executor.Executor, *executortest.Gate) {
				gate := executortest.NewGate(executortest.NewToy(limits))
				o := options(config, c.options)
				o.MaxInputLen = 190
				x, err := inflight.New(gate, o)
				require.NoError(t, err)
				return x, gate
			}, model)
		})
	}
}

// options adds what a behaviour wants to o.
func options(c executortest.Config, o inflight.Options) inflight.Options {
	o.MaxQueueSize, o.MaxSeqIdle = c.MaxQueueSize, c.MaxSeqIdle
	o.RequestStats, o.LogitsProcessor = c.RequestStats, c.LogitsProcessor
	return o
}

// toyModel is what a toy of these limits can do. Two beams need two places and two
// tokens in a step, and blocks that can be shared.
func toyModel(limits executor.Limits) executortest.Model {
	return executortest.Model{
		VocabSize: limits.VocabSize, MaxInputLen: 190, MaxSeqLen: limits.MaxSeqLen,
		Features: executortest.Features{
			Beams:      limits.SharedBlocks && limits.StateSlots == 0 && min(limits.MaxBatchSize, limits.MaxNumTokens) > 1,
			LogProbs:   limits.MaxCandidates >= 5,
			Reuse:      limits.SharedBlocks && limits.StateSlots == 0,
			Processors: true, Aborts: true, Ordered: true, Causes: true, CachedBlocks: true, WorkNumbered: true, WholeRequests: true,
		},
	}
}
