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

// On the CPU backend, too, 64 requests of all kinds give together what each gives
// alone, to the bit.
func TestEquivalence(t *testing.T) {
	engine := filepath.Join(engineDir(t, "llama-gqa", "bfloat16"), engineconfig.EngineName(0))
	openWith := func(t *testing.T, o cpu.Options, i inflight.Options) *inflight.Executor {
		o.Threads = max(o.Threads, 1)
		x, err := inflight.New(openRunner(t, engine, o), i)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, x.Close()) })
		return x
	}
	limits := openRunner(t, engine, cpu.Options{Threads: 1}).Limits()
	model := cpuModel(limits)
	alone := openWith(t, cpu.Options{MaxBatchSize: 8}, inflight.Options{NoBlockReuse: true})
	equivalence := executortest.NewEquivalence(t, alone, executortest.NewLoad(model, 40, 1), 64)
	cancelled := 0
	for name, c := range map[string]struct {
		runner  cpu.Options
		options inflight.Options
	}{
		"at once":        {cpu.Options{MaxBatchSize: 64}, inflight.Options{}},
		"two threads":    {cpu.Options{MaxBatchSize: 8, Threads: 2}, inflight.Options{ChunkTokens: 32}},
		"chunks of 7":    {cpu.Options{MaxBatchSize: 8}, inflight.Options{ChunkTokens: 7}},
		"small KV cache": {cpu.Options{MaxBatchSize: 8, KVCacheTokens: 192}, inflight.Options{}},
		"paused":         {cpu.Options{MaxBatchSize: 8, KVCacheTokens: 192}, inflight.Options{Policy: executor.MaxUtilization}},
		"paused without reuse": {
			cpu.Options{MaxBatchSize: 8, KVCacheTokens: 192}, inflight.Options{Policy: executor.MaxUtilization, NoBlockReuse: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := openWith(t, c.runner, c.options)
			paused := func() bool { return c.options.Policy != executor.MaxUtilization || x.Stats().PausedRequests > 0 }
			for seed := uint64(0); seed == 0 || seed < 20 && !paused(); seed++ {
				cancelled += equivalence.Run(t, x, seed)
			}
			require.True(t, paused(), "no request was ever paused")
			require.Equal(t, !c.options.NoBlockReuse, x.Stats().KVBlocksCached > 0)
		})
	}
	require.Positive(t, cancelled)
}
