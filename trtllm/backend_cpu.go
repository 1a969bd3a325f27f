package trtllm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/inflight"
)

// openCPU opens an engine of the CPU backend.
func openCPU(ctx context.Context, dir string, c *engineconfig.Config, o *options) (executor.Executor, Config, error) {
	if err := o.checkCPU(); err != nil {
		return nil, Config{}, fmt.Errorf("%s: %w", dir, err)
	}
	path := filepath.Join(dir, engineconfig.EngineName(0))
	file, err := cpuengine.Open(path)
	if err != nil {
		return nil, Config{}, notAnEngine(err)
	}
	if err := c.Match(file.Program.NumLayers, file.Program.HiddenSize, file.Program.VocabSize); err != nil {
		return nil, Config{}, notAnEngine(fmt.Errorf("%s: %w", path, err))
	}
	runner, err := cpu.Open(ctx, path, cpu.Options{
		Threads: o.threads, Precision: o.precision, Load: o.load, KVCacheTokens: int64(o.kvCacheTokens),
		MaxBatchSize: stepSize(c.Build.MaxBatchSize, o.maxBatchSize), MaxNumTokens: stepSize(c.Build.MaxNumTokens, o.maxNumTokens),
		MaxSeqLen: c.Build.MaxSeqLen, KVCacheFraction: o.kvShare(),
	})
	if err != nil {
		return nil, Config{}, notAnEngine(err)
	}
	var wrapped executor.Runner = runner
	if o.wrapRunner != nil {
		wrapped = o.wrapRunner(runner)
	}
	x, err := inflight.New(wrapped, o.inflight(c.Build.MaxInputLen))
	if err != nil {
		return nil, Config{}, errors.Join(err, runner.Close())
	}
	limits := runner.Limits()
	return x, Config{
		Architecture: c.Pretrained.Architecture, Dtype: c.Trtgo.WeightDtype, Backend: c.Backend(),
		Precision: runner.Describe().Precision, VocabSize: limits.VocabSize, MaxBatchSize: limits.MaxBatchSize,
		MaxInputLen: min(c.Build.MaxInputLen, limits.MaxSeqLen-1), MaxSeqLen: limits.MaxSeqLen, MaxNumTokens: limits.MaxNumTokens,
		KVCacheTokens: limits.NumBlocks * limits.BlockSize, Ranks: 1,
	}, nil
}

// stepSize is a limit of a step: the engine's, which is a ceiling and may be above the
// runner's, lowered by an option.
func stepSize(engine, option int) int {
	if option > 0 {
		engine = min(engine, option)
	}
	return min(engine, cpuengine.MaxStepSize)
}

// kvShare is the KV cache's fraction of the memory, 0 for none given.
func (o *options) kvShare() float64 {
	if o.kvCacheFraction == nil {
		return 0
	}
	return *o.kvCacheFraction
}

// inflight are the in-flight executor's options.
func (o *options) inflight(maxInputLen int) inflight.Options {
	iterations := 0
	if o.iterationStats != nil {
		iterations = *o.iterationStats
		if iterations == 0 {
			iterations = -1 // 0 is its default
		}
	}
	return inflight.Options{
		MaxInputLen: maxInputLen, Policy: o.capacityPolicy(), MaxQueueSize: o.maxQueueSize, NoBlockReuse: o.noBlockReuse,
		MaxSeqIdle: o.maxSeqIdle, LogitsProcessor: o.processor.leaf(), IterationStats: iterations, RequestStats: o.requestStats,
		Logger: o.log(),
	}
}
