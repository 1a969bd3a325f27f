package inflight_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// schedules are ways to run the same requests: with prompts cut and whole, blocks
// taken over and not, few at once and many, a KV cache that holds all and one that
// is too small.
func schedules() map[string]inflight.Options {
	list := map[string]inflight.Options{}
	for _, chunk := range []int{1, 7, 32, 0} {
		list[fmt.Sprintf("chunks of %d", chunk)] = inflight.Options{ChunkTokens: chunk}
		list[fmt.Sprintf("chunks of %d, pauses", chunk)] = inflight.Options{ChunkTokens: chunk, Policy: executor.MaxUtilization}
	}
	list["no reuse"] = inflight.Options{NoBlockReuse: true}
	list["no reuse, pauses"] = inflight.Options{NoBlockReuse: true, Policy: executor.MaxUtilization}
	list["full blocks only"] = inflight.Options{NoPartialReuse: true}
	list["full blocks only, pauses"] = inflight.Options{NoPartialReuse: true, Policy: executor.MaxUtilization}
	return list
}

// 64 requests of all kinds give together what each gives alone.
func TestEquivalence(t *testing.T) {
	model := executortest.Model{VocabSize: 97, MaxInputLen: 191, MaxSeqLen: 192, Features: executortest.Features{LogProbs: true}}
	open := func(t *testing.T, change func(*executor.Limits), o inflight.Options) *inflight.Executor {
		limits := executortest.ToyLimits()
		change(&limits)
		e, err := inflight.New(executortest.NewToy(limits), o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	}
	for seed := range uint64(2) {
		alone := open(t, func(*executor.Limits) {}, inflight.Options{NoBlockReuse: true})
		equivalence := executortest.NewEquivalence(t, alone, executortest.NewLoad(model, 24, seed), 64)
		for name, o := range schedules() {
			t.Run(fmt.Sprint(name, ", seed ", seed), func(t *testing.T) {
				x := open(t, func(l *executor.Limits) { l.NumBlocks = 28 }, o)
				equivalence.Run(t, x, seed)
				if !o.NoBlockReuse {
					require.Positive(t, x.Stats().ReusedTokens)
				}
			})
		}
	}
}
