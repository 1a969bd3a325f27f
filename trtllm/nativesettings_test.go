package trtllm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
)

func nativeConfigOf() *engineconfig.Config {
	c := &engineconfig.Config{Version: "1.2.1"}
	c.Pretrained.LogitsDtype, c.Pretrained.VocabSize = "float16", 97
	c.Build = engineconfig.Build{MaxInputLen: 256, MaxSeqLen: 400, MaxBatchSize: 8, MaxBeamWidth: 4, MaxNumTokens: 64, GatherContextLogits: true}
	c.Build.Plugins.UsePagedContextFMHA = true
	return c
}

// Options are told by the names of TensorRT-LLM's setters; what is not asked for is left to it.
func TestNativeSettings(t *testing.T) {
	defaults := []native.Field{
		native.Ints("maxBeamWidth", 4), native.Text("capacitySchedulerPolicy", "GUARANTEED_NO_EVICT"), native.Ints("enableBlockReuse", 1),
		native.Ints("enableChunkedContext", 1), native.Ints("gatherGenerationLogits", 0), native.Ints("iterStatsMaxIterations", 1000),
		native.Ints("maxSeqIdleMicroseconds", 180000000),
	}
	require.Equal(t, defaults, optionsOf().settings(nativeConfigOf(), 1))
	require.Equal(t, defaults, optionsOf(WithMaxBatchSize(9), WithMaxNumTokens(64)).settings(nativeConfigOf(), 1), "the engine's limits are the ceiling")
	c := nativeConfigOf()
	c.Build.Plugins.UsePagedContextFMHA = false
	require.Contains(t, optionsOf().settings(c, 1), native.Ints("enableChunkedContext", 0))

	require.Equal(t, []native.Field{
		native.Ints("maxBeamWidth", 4), native.Text("capacitySchedulerPolicy", "MAX_UTILIZATION"), native.Ints("enableBlockReuse", 0),
		native.Ints("enableChunkedContext", 0), native.Ints("gatherGenerationLogits", 1), native.Ints("iterStatsMaxIterations", 1000),
		native.Ints("maxSeqIdleMicroseconds", 2000000), native.Ints("requestStatsMaxIterations", 1000), native.Ints("maxBatchSize", 3),
		native.Ints("maxNumTokens", 32), native.Ints("maxTokens", 512), native.Ints("hostCacheSize", 1<<33), native.Floats("freeGpuMemoryFraction", 0.5),
		native.Floats("gpuWeightsPercent", 0.25), native.Ints("multiBlockMode", 0), native.Ints("cudaGraphMode", 1), native.Ints("contextFMHAFP32Acc", 1),
		native.Ints("deviceIds", 3, 1), native.Ints("numNodes", 2),
	}, optionsOf(WithCapacityPolicy(MaxUtilization), WithBlockReuse(false), WithChunkedContext(false), WithGatherGenerationLogits(true),
		WithMaxSeqIdle(2*time.Second), WithRequestStats(5), WithMaxBatchSize(3), WithMaxNumTokens(32), WithKVCacheTokens(512), WithHostCacheBytes(1<<33),
		WithKVCacheFraction(0.5), WithGPUWeightsPercent(0.25), WithMultiBlockMode(false), WithCUDAGraphMode(true), WithContextFMHAFP32Acc(true),
		WithDeviceIDs(3, 1)).settings(nativeConfigOf(), 4))
}

// The limits of requests are the engine's; a prompt that is not computed in chunks must fit into a step.
func TestNativePolicy(t *testing.T) {
	p := optionsOf(WithMaxQueueSize(7), WithIterationStats(0), WithRequestStats(3), WithGatherGenerationLogits(true)).nativePolicy(nativeConfigOf(), 1, 12)
	require.Equal(t, []any{97, 256, 400, 4, "HALF", true, true, 7, -1, 3, int64(12), 3 * time.Minute},
		[]any{p.VocabSize, p.MaxInputLen, p.MaxSeqLen, p.MaxBeamWidth, p.LogitsType, p.ContextLogits, p.GenerationLogits, p.MaxQueueSize, p.IterationStats,
			p.RequestStats, p.Memory.Weights, p.MaxSeqIdle})
	require.Zero(t, optionsOf().nativePolicy(nativeConfigOf(), 1, 0).IterationStats, "its default")
	require.True(t, optionsOf(WithOrchestrator("")).nativePolicy(nativeConfigOf(), 1, 0).Orchestrator)
	require.Equal(t, 64, optionsOf(WithChunkedContext(false)).nativePolicy(nativeConfigOf(), 1, 0).MaxInputLen)
	require.Equal(t, 16, optionsOf(WithChunkedContext(false), WithMaxNumTokens(16)).nativePolicy(nativeConfigOf(), 1, 0).MaxInputLen)
	c := nativeConfigOf()
	c.Build.MaxSeqLen = 100
	require.Equal(t, 99, optionsOf().nativePolicy(c, 1, 0).MaxInputLen)

	algo := "FP8"
	c.Pretrained.Dtype, c.Pretrained.Quantization.QuantAlgo = "bfloat16", &algo
	config := optionsOf(WithMaxBatchSize(2)).nativeConfig(c, 4, executor.Stats{KVBlocksTotal: 10, TokensPerBlock: 32})
	require.Equal(t, Config{Dtype: "FP8", Backend: "tensorrt-llm", VocabSize: 97, MaxBatchSize: 2, MaxInputLen: 99, MaxSeqLen: 100, MaxNumTokens: 64, KVCacheTokens: 320, Ranks: 4}, config)
}
