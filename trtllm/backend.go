package trtllm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
)

// openExecutor opens the engine in dir on the backend that it was built for.
func openExecutor(ctx context.Context, dir string, o *options) (executor.Executor, Config, error) {
	c, err := engineconfig.Read(dir)
	if err != nil {
		return nil, Config{}, notAnEngine(err)
	}
	switch backend := c.Backend(); backend {
	case engineconfig.BackendCPU:
		return openCPU(ctx, dir, c, o)
	case engineconfig.BackendTensorRTLLM:
		return openNative(ctx, dir, c, o)
	default:
		return nil, Config{}, fmt.Errorf("%s: built for %s: %w: %s; to run the model here, build it again with --backend cpu", dir, backend, ErrNoBackend, notYet(backend))
	}
}

// notYet says why an engine of a backend cannot be run.
func notYet(backend string) string {
	if backend == engineconfig.BackendTensorRTRTX {
		return "this release has no runner for TensorRT-RTX, only its builder"
	}
	return "this release does not know it"
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
