//go:build cgo && linux

package native

import (
	"context"
	"os"
	"time"
	"unsafe"
)

// #include "loader.h"
import "C"

// Build builds the network, once, and writes the plan to file from its present position. It returns when TensorRT
// has ended, also when ctx ends before: then with ctx's error, and the file may hold a part. A cancelled build
// goes on to the end of TensorRT's present step.
func (n *Network) Build(ctx context.Context, o BuildOptions, file *os.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.c == nil {
		return ErrClosed
	}
	descriptor, err := file.SyscallConn()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		var built error
		// The file stays open as long as this runs, whoever closes it.
		if err := descriptor.Control(func(fd uintptr) { built = n.build(o, fd) }); err != nil {
			built = &os.PathError{Op: "write", Path: file.Name(), Err: os.ErrClosed}
		}
		done <- built
	}()
	ended := false
	defer func() {
		if !ended { // Progress panicked
			C.api_network_cancel(n.library.api, n.c)
			<-done
		}
	}()
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	var last Progress
	for {
		select {
		case err := <-done:
			ended = true
			return err
		case <-ctx.Done():
			C.api_network_cancel(n.library.api, n.c)
			<-done
			ended = true
			return ctx.Err()
		case <-ticks.C:
			if p, ok := n.progress(); o.Progress != nil && ok && p != last {
				last = p
				o.Progress(p)
			}
		}
	}
}

// build runs the build in the calling goroutine.
func (n *Network) build(o BuildOptions, fd uintptr) error {
	var a arena
	defer a.free()
	options := (*C.trtgo_build_options)(a.bytes(C.sizeof_trtgo_build_options))
	capabilities := slice[C.int32_t](&a, len(o.Capabilities))
	for i, c := range o.Capabilities {
		capabilities[i] = C.int32_t(c)
	}
	cache := slice[byte](&a, len(o.TimingCache))
	copy(cache, o.TimingCache)
	*options = C.trtgo_build_options{
		struct_size: C.sizeof_trtgo_build_options,
		flags:       unsafe.SliceData(a.texts(o.Flags)), num_flags: C.int32_t(len(o.Flags)),
		profiling_verbosity: a.optional(o.ProfilingVerbosity),
		capabilities:        unsafe.SliceData(capabilities), num_capabilities: C.int32_t(len(capabilities)),
		timing_cache: unsafe.Pointer(unsafe.SliceData(cache)), timing_cache_bytes: C.int64_t(len(cache)),
		use_timing_cache: cBool(o.UseTimingCache),
	}
	var failure *C.trtgo_error
	return n.library.failure(C.api_network_build(n.library.api, n.c, options, C.int(fd), &failure), failure)
}

// progress asks how far a build is; false when none runs.
func (n *Network) progress() (Progress, bool) {
	var phase *C.char
	var done, total C.int32_t
	var bytes C.int64_t
	if C.api_network_progress(n.library.api, n.c, &phase, &done, &total, &bytes) == 0 {
		return Progress{}, false
	}
	return Progress{Phase: C.GoString(phase), Done: int(done), Total: int(total), Bytes: int64(bytes)}, true
}

// TimingCache returns the timing cache after a build that used one, nil after another.
func (n *Network) TimingCache() ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.c == nil {
		return nil, ErrClosed
	}
	var data unsafe.Pointer
	var bytes C.int64_t
	var failure *C.trtgo_error
	if err := n.library.failure(C.api_network_timing_cache(n.library.api, n.c, &data, &bytes, &failure), failure); err != nil || data == nil {
		return nil, err
	}
	blob := make([]byte, bytes)
	copy(blob, unsafe.Slice((*byte)(data), bytes))
	return blob, nil
}
