package trtllm

import (
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/nativeexecutor"
)

// statisticsKept is how many iterations TensorRT-LLM keeps for the executor, which takes them all the time.
const statisticsKept = 1000

// settings are the options by the names of TensorRT-LLM's setters.
func (o *options) settings(c *engineconfig.Config, worldSize int) []native.Field {
	flag := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	policy := "GUARANTEED_NO_EVICT"
	if o.policy == MaxUtilization {
		policy = "MAX_UTILIZATION"
	}
	fields := []native.Field{
		native.Ints("maxBeamWidth", int64(c.Build.MaxBeamWidth)),
		native.Text("capacitySchedulerPolicy", policy),
		native.Ints("enableBlockReuse", flag(!o.noBlockReuse)),
		native.Ints("enableChunkedContext", flag(o.chunked(c))),
		native.Ints("gatherGenerationLogits", flag(o.generationLogits)),
		native.Ints("iterStatsMaxIterations", statisticsKept),
		native.Ints("maxSeqIdleMicroseconds", o.idle().Microseconds()),
	}
	number := func(name string, n int64) {
		if n > 0 {
			fields = append(fields, native.Ints(name, n))
		}
	}
	if o.requestStats > 0 {
		number("requestStatsMaxIterations", statisticsKept)
	}
	number("maxBatchSize", int64(stepLimit(c.Build.MaxBatchSize, o.maxBatchSize)))
	number("maxNumTokens", int64(stepLimit(c.Build.MaxNumTokens, o.maxNumTokens)))
	number("maxTokens", int64(o.kvCacheTokens))
	number("hostCacheSize", o.hostCacheBytes)
	if f := o.kvCacheFraction; f != nil {
		fields = append(fields, native.Floats("freeGpuMemoryFraction", float32(*f)))
	}
	if p := o.gpuWeightsPercent; p != nil {
		fields = append(fields, native.Floats("gpuWeightsPercent", float32(*p)))
	}
	for _, knob := range []struct {
		name  string
		value *bool
	}{{"multiBlockMode", o.multiBlockMode}, {"cudaGraphMode", o.cudaGraphMode}, {"contextFMHAFP32Acc", o.contextFMHAFP32}} {
		if knob.value != nil {
			fields = append(fields, native.Ints(knob.name, flag(*knob.value)))
		}
	}
	if ids := o.deviceIDs; len(ids) > 0 {
		list := make([]int64, len(ids))
		for i, id := range ids {
			list[i] = int64(id)
		}
		fields = append(fields, native.Ints("deviceIds", list...), native.Ints("numNodes", int64(worldSize/len(ids))))
	}
	return fields
}

// stepLimit is an option that lowers the engine's limit, 0 where it does not.
func stepLimit(engine, option int) int {
	if option < engine {
		return option
	}
	return 0
}

// chunked tells whether prompts may be computed in several steps.
func (o *options) chunked(c *engineconfig.Config) bool {
	return c.Build.Plugins.UsePagedContextFMHA && (o.chunkedContext == nil || *o.chunkedContext)
}

// idle is how long requests may get nowhere.
func (o *options) idle() time.Duration {
	if o.maxSeqIdle > 0 {
		return o.maxSeqIdle
	}
	return 3 * time.Minute
}

// nativePolicy are the options of the executor over TensorRT-LLM's.
func (o *options) nativePolicy(c *engineconfig.Config, worldSize int, weights int64) nativeexecutor.Options {
	n := nativeexecutor.Options{
		VocabSize: c.Pretrained.VocabSize, MaxInputLen: o.maxInputLen(c), MaxSeqLen: c.Build.MaxSeqLen, MaxBeamWidth: c.Build.MaxBeamWidth, Ranks: worldSize,
		LogitsType:    map[string]string{"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16"}[c.Pretrained.LogitsDtype],
		ContextLogits: c.Build.GatherContextLogits, GenerationLogits: o.generationLogits, Orchestrator: o.orchestrator,
		MaxQueueSize: o.maxQueueSize, MaxSeqIdle: o.idle(), RequestStats: o.requestStats,
		Memory: executor.Memory{Weights: weights}, Logger: o.log(),
	}
	if o.iterationStats != nil {
		n.IterationStats = *o.iterationStats
		if n.IterationStats == 0 {
			n.IterationStats = -1 // 0 is its default
		}
	}
	return n
}

// maxInputLen is the longest prompt: the engine's limit, and one step's where prompts are not computed in chunks.
func (o *options) maxInputLen(c *engineconfig.Config) int {
	n := min(c.Build.MaxInputLen, c.Build.MaxSeqLen-1)
	if !o.chunked(c) {
		n = min(n, limited(c.Build.MaxNumTokens, o.maxNumTokens))
	}
	return n
}

// limited is the engine's limit, lowered by an option.
func limited(engine, option int) int {
	if n := stepLimit(engine, option); n > 0 {
		return n
	}
	return engine
}

func (o *options) nativeConfig(c *engineconfig.Config, worldSize int, s executor.Stats) Config {
	dtype := c.Pretrained.Dtype
	if algo := c.Pretrained.Quantization.QuantAlgo; algo != nil && *algo != "" {
		dtype = *algo
	}
	return Config{
		Architecture: c.Pretrained.Architecture, Dtype: dtype, Backend: c.Backend(), VocabSize: c.Pretrained.VocabSize,
		MaxBatchSize: limited(c.Build.MaxBatchSize, o.maxBatchSize), MaxNumTokens: limited(c.Build.MaxNumTokens, o.maxNumTokens),
		MaxInputLen: o.maxInputLen(c), MaxSeqLen: c.Build.MaxSeqLen, KVCacheTokens: s.KVBlocksTotal * s.TokensPerBlock, Ranks: worldSize,
	}
}
