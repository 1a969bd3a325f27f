//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// The executor that engines of the CPU backend run on keeps the contract of all
// executors.
func TestContract(t *testing.T) {
	for name, options := range map[string]cpu.Options{
		"fast":          {MaxBatchSize: 8},
		"exact":         {MaxBatchSize: 8, Precision: "exact"},
		"short steps":   {MaxBatchSize: 4, MaxNumTokens: 5},
		"small cache":   {MaxBatchSize: 8, KVCacheTokens: 160},
		"one at a time": {MaxBatchSize: 1},
	} {
		t.Run(name, func(t *testing.T) {
			engine := filepath.Join(engineDir(t, "llama-headdim", "bfloat16"), engineconfig.EngineName(0))
			options.Threads = 1
			limits := openRunner(t, engine, options).Limits()
			executortest.Run(t, func(t *testing.T, c executortest.Config) (executor.Executor, *executortest.Gate) {
				gate := executortest.NewGate(openRunner(t, engine, options))
				x, err := inflight.New(gate, inflight.Options{
					MaxQueueSize: c.MaxQueueSize, MaxSeqIdle: c.MaxSeqIdle, RequestStats: c.RequestStats, LogitsProcessor: c.LogitsProcessor,
				})
				require.NoError(t, err)
				return x, gate
			}, cpuModel(limits))
		})
	}
}

func openRunner(t *testing.T, engine string, options cpu.Options) *cpu.Runner {
	t.Helper()
	r, err := cpu.Open(t.Context(), engine, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// cpuModel is what the CPU backend can do with these limits. Load asks for up to
// three beams.
func cpuModel(limits executor.Limits) executortest.Model {
	return executortest.Model{
		VocabSize: limits.VocabSize, MaxInputLen: limits.MaxSeqLen - 1, MaxSeqLen: limits.MaxSeqLen,
		Features: executortest.Features{
			Beams: min(limits.MaxBatchSize, limits.MaxNumTokens) > 2, LogProbs: true, Reuse: true, Processors: true,
			Aborts: true, Ordered: true, Causes: true, CachedBlocks: true, WorkNumbered: true, WholeRequests: true,
		},
	}
}
