//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// #include <stdlib.h>
// #include "trtgo_cpu.h"
import "C"

// Runner runs the steps of one engine. It implements executor.Runner; its
// methods may be called by any goroutine, one at a time is served.
type Runner struct {
	mu       sync.Mutex
	c        *C.trtgo_cpu_runner // nil once closed
	weights  *weights
	program  *cpuengine.Program
	limits   executor.Limits
	options  Options
	observer executor.Observer
	cores    *cores
	batch    batch
	written  []uint32 // for checkBatch
	isa      string
}

// Description tells what a runner was opened with.
type Description struct {
	ISA, Precision  string
	Threads         int
	WeightBytes     int64 // of the engine file
	KVBytes         int64 // reserved for the KV cache, used as it fills
	ActivationBytes int64 // reserved for activations, used as larger steps come
}

var _ executor.Runner = (*Runner)(nil)

// Open opens the engine file. Errors are those of cpuengine.Open and of the file
// system, executor.ErrOutOfMemory, or say which option cannot be had. ctx bounds the
// opening only.
func Open(ctx context.Context, path string, o Options) (*Runner, error) {
	return open(ctx, path, o, availableMemory())
}

// open opens the engine file on a machine with so many bytes of memory available.
func open(ctx context.Context, path string, o Options, available int64) (*Runner, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := cpuengine.Open(path)
	if err != nil {
		return nil, err
	}
	if o, err = o.complete(file.Program); err != nil {
		return nil, err
	}
	plan, err := planMemory(o, available, file.Size, kvBytesPerBlock(file.Program, o.Precision),
		func(numTokens int) (int64, error) { return activationBytes(file, o, numTokens) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	o.MaxNumTokens = plan.maxNumTokens
	w, err := loadWeights(ctx, file, o.Load)
	if err != nil {
		return nil, err
	}
	runner, err := newRunner(file, w, o, plan.blocks, plan.Memory)
	if err != nil {
		w.free()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return runner, nil
}

// activationBytes is what the activations of a runner take whose steps have at most
// so many tokens.
func activationBytes(file *cpuengine.File, o Options, numTokens int) (int64, error) {
	var program C.trtgo_cpu_program
	free := fillProgram(&program, file.Program, file.Sections, &weights{size: file.Size})
	defer free()
	isa := C.CString(o.ISA)
	defer C.free(unsafe.Pointer(isa))
	o.MaxNumTokens = numTokens
	options := cOptions(o, isa, 0)
	var bytes C.int64_t
	var message [256]C.char
	err := failure(C.trtgo_cpu_activation_bytes(&program, &options, &bytes, &message[0], C.size_t(len(message))), &message)
	return int64(bytes), err
}

// newRunner starts a runner over weights, which become its own when it succeeds.
func newRunner(file *cpuengine.File, w *weights, o Options, blocks int, memory executor.Memory) (*Runner, error) {
	p := file.Program
	r := &Runner{weights: w, program: p, options: o, written: make([]uint32, blocks), cores: processCores()}
	if err := r.open(p, file.Sections, blocks); err != nil {
		return nil, err
	}
	var d C.trtgo_cpu_description
	C.trtgo_cpu_describe(r.c, &d)
	r.isa = C.GoString(d.isa)
	r.limits = executor.Limits{
		VocabSize: p.VocabSize, MaxSeqLen: min(o.MaxSeqLen, blocks*blockSize), MaxBatchSize: o.MaxBatchSize, MaxNumTokens: o.MaxNumTokens,
		BlockSize: blockSize, NumBlocks: blocks, SharedBlocks: true,
		MaxCandidates: min(executor.MaxCandidates, p.VocabSize), KVCacheDtype: kvCacheDtype(p, o.Precision), Memory: memory,
	}
	return r, nil
}

func (r *Runner) open(p *cpuengine.Program, sections []cpuengine.Section, blocks int) error {
	var program C.trtgo_cpu_program
	free := fillProgram(&program, p, sections, r.weights)
	defer free()
	isa := C.CString(r.options.ISA)
	defer C.free(unsafe.Pointer(isa))
	options := cOptions(r.options, isa, blocks)
	var message [256]C.char
	return failure(C.trtgo_cpu_open(&program, &options, &r.c, &message[0], C.size_t(len(message))), &message)
}

func cOptions(o Options, isa *C.char, blocks int) C.trtgo_cpu_options {
	return C.trtgo_cpu_options{
		isa: isa, threads: C.int32_t(o.Threads), fast: flag(o.Precision == "fast"),
		max_num_tokens: C.int32_t(o.MaxNumTokens), max_batch_size: C.int32_t(o.MaxBatchSize),
		num_blocks: C.int32_t(blocks), cpus: C.int32_t(processCores().count),
	}
}

// failure turns a code and its sentence into an error.
func failure(code C.int, message *[256]C.char) error {
	switch code {
	case C.TRTGO_CPU_OK:
		return nil
	case C.TRTGO_CPU_ABORTED:
		return executor.ErrAborted
	case C.TRTGO_CPU_NO_MEMORY:
		return fmt.Errorf("%w: CPU runner: %s", executor.ErrOutOfMemory, C.GoString(&message[0]))
	default:
		return errors.New("CPU runner: " + C.GoString(&message[0]))
	}
}

// Limits returns the sizes that the runner was opened with.
func (r *Runner) Limits() executor.Limits { return r.limits }

// Describe tells what the runner was opened with.
func (r *Runner) Describe() Description {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := Description{ISA: r.isa, Precision: r.options.Precision, Threads: r.options.Threads, WeightBytes: r.weights.size}
	if r.c != nil {
		var description C.trtgo_cpu_description
		C.trtgo_cpu_describe(r.c, &description)
		d.KVBytes, d.ActivationBytes = int64(description.kv_bytes), int64(description.activation_bytes)
	}
	return d
}

// Step runs one forward pass; see executor.Runner. A batch that does not fit the
// limits is refused with one sentence, and nothing of it is run. Steps of several
// runners share the CPUs of the process: one waits, first come first served, until
// there is a CPU for each of its threads.
func (r *Runner) Step(ctx context.Context, sequences []executor.Sequence, out *executor.StepResult) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return executor.ErrClosed
	}
	if err := checkBatch(&r.limits, sequences, r.written); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return executor.ErrAborted
	}
	if err := r.run(ctx, sequences, out); err != nil {
		return err
	}
	r.batch.answer(out)
	if r.observer != nil {
		r.batch.observe(r.program.Ops, r.observer)
	}
	return nil
}

// run runs a checked batch when there are CPUs for it.
func (r *Runner) run(ctx context.Context, sequences []executor.Sequence, out *executor.StepResult) error {
	held, err := r.cores.take(ctx, r.options.Threads)
	if err != nil {
		return err
	}
	defer r.cores.give(held)
	r.batch.fill(sequences, out, len(r.program.Ops), r.options.Threads, r.limits.VocabSize, r.observer != nil)
	defer r.batch.unpin()
	if ctx.Done() != nil {
		C.trtgo_cpu_abort(r.c, 0)
		c, ended := r.c, make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			C.trtgo_cpu_abort(c, 1)
			close(ended)
		})
		// The function must be through before the runner may be closed.
		defer func() {
			if !stop() {
				<-ended
			}
			C.trtgo_cpu_abort(r.c, 0)
		}()
	}
	var message [256]C.char
	return failure(C.trtgo_cpu_run_step(r.c, &r.batch.step, &message[0], C.size_t(len(message))), &message)
}

// CopyBlock copies the first n tokens of KV block src to dst, in all layers.
func (r *Runner) CopyBlock(src, dst, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return executor.ErrClosed
	}
	if err := checkCopy(&r.limits, src, dst, n); err != nil {
		return err
	}
	var message [256]C.char
	return failure(C.trtgo_cpu_copy_block(r.c, C.int32_t(src), C.int32_t(dst), C.int32_t(n), &message[0], C.size_t(len(message))), &message)
}

// SetObserver makes the following steps report each operation; nil stops.
func (r *Runner) SetObserver(o executor.Observer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observer = o
}

// Close ends the runner's threads and frees its memory. It is idempotent, and
// waits for a running step.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c != nil {
		C.trtgo_cpu_close(r.c)
		r.c = nil
		r.weights.free()
	}
	return nil
}

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}
