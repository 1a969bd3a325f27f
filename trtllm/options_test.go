package trtllm

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

func optionsOf(list ...Option) *options {
	var o options
	for _, option := range list {
		option(&o)
	}
	return &o
}

// Every option arrives where it belongs.
func TestOptions(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	fraction, iterations, yes, no := 0.4, 7, true, false
	require.Equal(t, &options{
		threads: 1, precision: "exact", load: "copy", maxBatchSize: 2, maxNumTokens: 3, maxQueueSize: 4, kvCacheTokens: 5,
		kvCacheFraction: &fraction, noBlockReuse: true, policy: MaxUtilization, maxSeqIdle: time.Second,
		iterationStats: &iterations, requestStats: 8, logger: logger, tokenizerDir: "d", tokenizerFile: "f",
		nativeOptions: nativeOptions{
			deviceIDs: []int{1, 0}, orchestrator: true, worker: "w", gpuWeightsPercent: &fraction, hostCacheBytes: 9, generationLogits: true,
			chunkedContext: &yes, multiBlockMode: &no, cudaGraphMode: &yes, contextFMHAFP32: &yes,
		},
	}, optionsOf(
		WithThreads(1), WithPrecision("exact"), WithLoad("copy"), WithMaxBatchSize(2), WithMaxNumTokens(3), WithMaxQueueSize(4),
		WithKVCacheTokens(5), WithKVCacheFraction(0.4), WithBlockReuse(false), WithCapacityPolicy(MaxUtilization),
		WithMaxSeqIdle(time.Second), WithIterationStats(7), WithRequestStats(8), WithLogger(logger),
		WithTokenizerDir("d"), WithTokenizerFile("f"),
		WithDeviceIDs(1, 0), WithOrchestrator("w"), WithGPUWeightsPercent(0.4), WithHostCacheBytes(9), WithGatherGenerationLogits(true),
		WithChunkedContext(true), WithMultiBlockMode(false), WithCUDAGraphMode(true), WithContextFMHAFP32Acc(true),
	))
	require.Equal(t, &options{}, optionsOf(WithBlockReuse(true), WithCapacityPolicy(GuaranteedNoEvict)), "the defaults")
	require.NoError(t, optionsOf().check())
}

func TestInflightOptions(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	o := optionsOf(WithMaxQueueSize(4), WithBlockReuse(false), WithCapacityPolicy(MaxUtilization), WithMaxSeqIdle(time.Second),
		WithIterationStats(7), WithRequestStats(8), WithLogger(logger)).inflight(50)
	require.Equal(t, executor.MaxUtilization, o.Policy)
	require.Equal(t, []any{50, 4, true, time.Second, 7, 8, logger},
		[]any{o.MaxInputLen, o.MaxQueueSize, o.NoBlockReuse, o.MaxSeqIdle, o.IterationStats, o.RequestStats, o.Logger})
	require.Nil(t, o.LogitsProcessor)

	o = optionsOf().inflight(50)
	require.Equal(t, executor.GuaranteedNoEvict, o.Policy)
	require.Equal(t, []any{0, false, time.Duration(0), 0, 0}, []any{o.MaxQueueSize, o.NoBlockReuse, o.MaxSeqIdle, o.IterationStats, o.RequestStats})
	require.NotNil(t, o.Logger)
	require.False(t, o.Logger.Enabled(t.Context(), slog.LevelError), "the default says nothing")

	require.Negative(t, optionsOf(WithIterationStats(0)).inflight(50).IterationStats, "0 keeps none, which is not the executor's default")
	require.Zero(t, optionsOf(WithRequestStats(0)).inflight(50).RequestStats)
	require.NotNil(t, optionsOf(WithLogitsProcessor(func([]ProcessorRow) error { return nil })).inflight(50).LogitsProcessor)
}

func TestInvalidOptions(t *testing.T) {
	for want, option := range map[string]Option{
		"threads is -1, want 0 (the default) or more": WithThreads(-1),
		`precision "quick" is none of [exact fast]`:   WithPrecision("quick"),
		`load "fast" is none of [mmap copy]`:          WithLoad("fast"),
		"max_batch_size is -2":                        WithMaxBatchSize(-2),
		"max_num_tokens is -3":                        WithMaxNumTokens(-3),
		"max queue size is -4":                        WithMaxQueueSize(-4),
		"KV cache tokens is -5":                       WithKVCacheTokens(-5),
		"KV cache fraction is 0, above 0 and below 1": WithKVCacheFraction(0),
		"KV cache fraction is 1":                      WithKVCacheFraction(1),
		"KV cache fraction is NaN":                    WithKVCacheFraction(math.NaN()),
		"iteration stats is -6, want 0 (none)":        WithIterationStats(-6),
		"request stats is -7":                         WithRequestStats(-7),
		"capacity policy is 9":                        WithCapacityPolicy(9),
		"max sequence idle time is -1s":               WithMaxSeqIdle(-time.Second),
		"device ids [0 -1]: -1 is none":               WithDeviceIDs(0, -1),
		"device ids [2 0 2]: 2 is there twice":        WithDeviceIDs(2, 0, 2),
		"GPU weights percent is 1.5, 0 to 1 is":       WithGPUWeightsPercent(1.5),
		"GPU weights percent is NaN":                  WithGPUWeightsPercent(math.NaN()),
		"host cache bytes is -1":                      WithHostCacheBytes(-1),
		`worker "a\x00b" is no file name`:             WithOrchestrator("a\x00b"),
	} {
		// Before the directory is looked at.
		_, err := Open(t.Context(), "none", option)
		require.ErrorIs(t, err, ErrInvalidOption)
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, ErrNotAnEngine)
	}
}

func TestCapacityPolicyNames(t *testing.T) {
	require.Equal(t, "guaranteed_no_evict", GuaranteedNoEvict.String())
	require.Equal(t, "max_utilization", MaxUtilization.String())
	require.Equal(t, "CapacityPolicy(3)", CapacityPolicy(3).String())
}

func TestStepSize(t *testing.T) {
	require.Equal(t, 8, stepSize(8, 0))
	require.Equal(t, 3, stepSize(8, 3))
	require.Equal(t, 8, stepSize(8, 9), "an option lowers the limit")
	require.Equal(t, cpuengine.MaxStepSize, stepSize(1<<40, 0), "an engine may have a limit above the runner's")
}
