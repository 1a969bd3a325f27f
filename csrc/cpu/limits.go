//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/trtgo/trtgo/internal/executor"
)

// #include <stdlib.h>
// #include "trtgo_cpu.h"
import "C"

// limitsBytes is memory that no cache holds.
const limitsBytes = 512 << 20

// Limits measures the ceilings of steps: how fast as many threads of this process read
// memory and compute. Machines shared with others change from one second to the next,
// so both are measured in pieces between the steps that they are compared with. Its
// methods may be called by any goroutine, one at a time is served.
type Limits struct {
	mu      sync.Mutex
	c       *C.trtgo_cpu_limits // nil once closed
	threads int
	cores   *cores
}

// OpenLimits starts the threads of o and takes half a gigabyte of memory; of o, Threads
// and ISA count, with the same defaults as in [Open]. The error says what cannot be
// had, or is executor.ErrOutOfMemory.
func OpenLimits(o Options) (*Limits, error) {
	if o.Threads == 0 {
		o.Threads = availableCPUs()
	}
	if o.Threads < 1 || o.Threads > maxThreads {
		return nil, fmt.Errorf("%w: threads is %d, want 0 (the default) to %d", executor.ErrInvalidOption, o.Threads, maxThreads)
	}
	if o.ISA == "" {
		o.ISA = os.Getenv("TRTGO_CPU_ISA")
	}
	if available := availableMemory(); available > 0 && available < limitsBytes {
		return nil, fmt.Errorf("%w: measuring what memory gives takes %d bytes, %d are available", executor.ErrOutOfMemory, limitsBytes, available)
	}
	l := &Limits{threads: o.Threads, cores: processCores()}
	isa := C.CString(o.ISA)
	defer C.free(unsafe.Pointer(isa))
	var message [256]C.char
	err := failure(C.trtgo_cpu_limits_open(isa, C.int32_t(o.Threads), C.int32_t(l.cores.count), limitsBytes, &l.c, &message[0], C.size_t(len(message))), &message)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Read reads about so many bytes of memory, once and in order, and tells how many that
// were and how long it took, without the wait for CPUs that other steps hold. The error
// is executor.ErrAborted when ctx ended in that wait, or executor.ErrClosed.
func (l *Limits) Read(ctx context.Context, bytes int64) (done int64, took time.Duration, err error) {
	err = l.timed(ctx, &took, func() { done = int64(C.trtgo_cpu_limits_read(l.c, C.int64_t(bytes))) })
	return done, took, err
}

// Multiply does about so many operations of a kind on registers, and tells how many
// that were and how long it took; a multiplication and an addition are two. Errors are
// those of Read.
func (l *Limits) Multiply(ctx context.Context, a Arithmetic, operations float64) (done float64, took time.Duration, err error) {
	err = l.timed(ctx, &took, func() {
		done = float64(C.trtgo_cpu_limits_multiply(l.c, C.int32_t(a), C.double(operations/2)))
	})
	return done, took, err
}

func (l *Limits) timed(ctx context.Context, took *time.Duration, work func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == nil {
		return executor.ErrClosed
	}
	held, err := l.cores.take(ctx, l.threads)
	if err != nil {
		return err
	}
	defer l.cores.give(held)
	begin := time.Now()
	work()
	*took = time.Since(begin)
	return nil
}

// Close ends the threads and frees the memory. It is idempotent.
func (l *Limits) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	C.trtgo_cpu_limits_close(l.c)
	l.c = nil
}
