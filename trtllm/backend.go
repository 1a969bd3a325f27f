package trtllm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/inflight"
)

// openExecutor opens the engine in dir on the backend that it was built for.
func openExecutor(ctx context.Context, dir string, o *options) (executor.Executor, Config, error) {
	c, err := engineconfig.Read(dir)
	if err != nil {
		return nil, Config{}, notAnEngine(err)
	}
	if backend := c.Backend(); backend != engineconfig.BackendCPU {
		return nil, Config{}, fmt.Errorf("%s: built for %s: %w: %s; to run the model here, build it again with --backend cpu", dir, backend, ErrNoBackend, notYet(backend))
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
		KVCacheTokens: limits.NumBlocks * limits.BlockSize,
	}, nil
}

// notYet says why an engine of a backend cannot be run.
func notYet(backend string) string {
	switch backend {
	case engineconfig.BackendTensorRTLLM:
		return "this release does not drive TensorRT-LLM's executor; TensorRT-LLM's own tools, such as trtllm-serve, run such engines"
	case engineconfig.BackendTensorRTRTX:
		return "this release has no runner for TensorRT-RTX, only its builder"
	}
	return "this release does not know it"
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

// notAnEngine marks errors about what is in the directory's files.
func notAnEngine(err error) error {
	for _, about := range []error{fs.ErrNotExist, syscall.ENOTDIR, engineconfig.ErrInvalid, cpuengine.ErrFormat, cpuengine.ErrVersion, cpuengine.ErrProgram} {
		if errors.Is(err, about) {
			return fmt.Errorf("%w: %w", ErrNotAnEngine, err)
		}
	}
	return err
}
