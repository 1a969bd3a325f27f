//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/regularfile"
)

// #include "trtgo_cpu.h"
import "C"

// weights are the bytes of an engine file, at the file's own offsets.
type weights struct {
	data   unsafe.Pointer
	size   int64
	mapped []byte // the mapping, or nil when data was copied to C memory
}

// loadWeights maps the engine file, or copies it and checks its checksums.
func loadWeights(ctx context.Context, file *cpuengine.File, load string) (*weights, error) {
	f, size, err := regularfile.Open(file.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size != file.Size {
		return nil, fmt.Errorf("%s: it has %d bytes, a moment ago it had %d: it is being written", file.Path, size, file.Size)
	}
	if load == "copy" {
		if err := file.Verify(ctx, nil); err != nil {
			return nil, err
		}
		return copyWeights(ctx, f, file.Size)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(file.Size), unix.PROT_READ, unix.MAP_PRIVATE)
	if errors.Is(err, unix.ENOMEM) {
		return nil, fmt.Errorf("%s: %w: the system refused to map the file's %d bytes", file.Path, executor.ErrOutOfMemory, file.Size)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: mapping %d bytes: %w", file.Path, file.Size, err)
	}
	_ = unix.Madvise(mapped, unix.MADV_WILLNEED) // advice: without it the first step is slower
	return &weights{data: unsafe.Pointer(unsafe.SliceData(mapped)), size: file.Size, mapped: mapped}, nil
}

func copyWeights(ctx context.Context, r io.ReaderAt, size int64) (*weights, error) {
	w := &weights{data: C.trtgo_cpu_alloc(C.int64_t(size)), size: size}
	if w.data == nil {
		return nil, fmt.Errorf("%w: the system refused %d bytes for a copy of the weights; map them with load mmap", executor.ErrOutOfMemory, size)
	}
	into := unsafe.Slice((*byte)(w.data), size)
	const piece = 64 << 20
	for offset := int64(0); offset < size; offset += piece {
		if err := ctx.Err(); err != nil {
			w.free()
			return nil, err
		}
		if _, err := r.ReadAt(into[offset:min(offset+piece, size)], offset); err != nil {
			w.free()
			return nil, fmt.Errorf("reading the weights: %w", err)
		}
	}
	return w, nil
}

func (w *weights) free() {
	if w.mapped != nil {
		_ = unix.Munmap(w.mapped) // fails only for what is no mapping
	} else {
		C.trtgo_cpu_free(w.data, C.int64_t(w.size))
	}
	w.data, w.mapped = nil, nil
}
