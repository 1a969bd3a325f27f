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
		return nil, Config{}, fmt.Errorf("%s: built for %s: %w; build it again with --backend cpu", dir, backend, ErrNoBackend)
	}
	batch := c.Build.MaxBatchSize
	if o.maxBatchSize != 0 { // what is negative, the runner refuses
		batch = min(batch, o.maxBatchSize)
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
		// The engine's limits are ceilings, and may be above the runner's.
		MaxBatchSize: min(batch, cpuengine.MaxStepSize), MaxNumTokens: min(c.Build.MaxNumTokens, cpuengine.MaxStepSize), MaxSeqLen: c.Build.MaxSeqLen,
	})
	if err != nil {
		return nil, Config{}, notAnEngine(err)
	}
	var wrapped executor.Runner = runner
	if o.wrapRunner != nil {
		wrapped = o.wrapRunner(runner)
	}
	x, err := inflight.New(wrapped, inflight.Options{MaxInputLen: c.Build.MaxInputLen})
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

// notAnEngine marks errors about what is in the directory's files.
func notAnEngine(err error) error {
	for _, about := range []error{fs.ErrNotExist, syscall.ENOTDIR, engineconfig.ErrInvalid, cpuengine.ErrFormat, cpuengine.ErrVersion, cpuengine.ErrProgram} {
		if errors.Is(err, about) {
			return fmt.Errorf("%w: %w", ErrNotAnEngine, err)
		}
	}
	return err
}
