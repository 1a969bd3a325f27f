//go:build cgo && linux

package native

import (
	"fmt"
	"math"
	"sync"
	"time"
	"unsafe"
)

// #include "loader.h"
// #include "thread.h"
import "C"

// process is what there is one of in a process.
var process struct {
	mu   sync.Mutex
	open bool         // an executor is, or is being opened
	api  *C.trtgo_api // of the library that opened the last one, which stays loaded; nil before, and after Finalize
}

// Executor is TensorRT-LLM's executor with an engine. Its methods may be called by several goroutines. Their errors
// are an [*Error], or ErrClosed after Close.
type Executor struct {
	library *Library
	leader  bool
	c       *C.trtgo_executor
	freed   chan struct{} // closed when Close has ended

	calls   sync.WaitGroup // running
	mu      sync.Mutex     // guards closing, and calls.Add against it
	closing bool

	awaiting sync.Mutex
	output   Output // of the running Await, so that none is allocated per token
	asking   [2]sync.Mutex
}

// NewExecutor loads an engine, which takes minutes. It and what ends the executor run on a thread of their own, which
// CUDA and MPI may change. The executor must be closed, before the library, which must have been opened without
// plugins. There is one at a time in a process: while there is another the error is ErrInvalid, as it is for
// settings and engines that are refused. ErrNotFound is that of a library which was built without TensorRT-LLM.
func (l *Library) NewExecutor(o ExecutorOptions) (*Executor, error) {
	l.calls.Lock()
	defer l.calls.Unlock()
	if err := l.holdExecutor(); err != nil {
		return nil, err
	}
	x, err := l.newExecutor(o)
	if err != nil {
		l.releaseExecutor()
		return nil, err
	}
	return x, nil
}

// holdExecutor reserves the one executor, for which the library stays open.
func (l *Library) holdExecutor() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == nil {
		return ErrClosed
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.open {
		return &Error{StatusInvalid, "NewExecutor", "this process has an executor, and TensorRT-LLM runs one at a time: close that first"}
	}
	process.open = true
	api := *l.api // which Close frees, while MPI may have to be ended later
	process.api = &api
	l.executors++
	return nil
}

func (l *Library) releaseExecutor() {
	l.mu.Lock()
	defer l.mu.Unlock()
	process.mu.Lock()
	defer process.mu.Unlock()
	process.open = false
	l.executors--
}

func (l *Library) newExecutor(o ExecutorOptions) (*Executor, error) {
	var a arena
	defer a.free()
	settings, err := a.fields(o.Settings)
	if err != nil {
		return nil, err
	}
	options := (*C.trtgo_executor_options)(a.bytes(C.sizeof_trtgo_executor_options))
	*options = C.trtgo_executor_options{
		struct_size: C.sizeof_trtgo_executor_options, engine_dir: a.text(o.EngineDir), plugins: a.optional(o.Plugins),
		settings: unsafe.SliceData(settings), num_settings: C.int32_t(len(settings)),
	}
	x := &Executor{library: l, freed: make(chan struct{})}
	var failure *C.trtgo_error
	if err := x.failure(C.trtgo_thread_open(l.api, l.c, options, &x.c, &failure), failure); err != nil {
		return nil, err
	}
	x.leader = C.api_executor_is_leader(l.api, x.c) != 0
	return x, nil
}

// failure makes an error of a status. TensorRT-LLM's words are explained.
func (x *Executor) failure(status C.int32_t, c *C.trtgo_error) error {
	return explainedError(failureOf(x.library.api, status, c))
}

// Leader tells whether this process takes requests. The other processes of mpirun only call Shutdown and Close, and
// nothing else: they may call it at any time, also after Close.
func (x *Executor) Leader() bool { return x.leader }

// enter begins a call, which Close waits for. Without an error, x.calls.Done ends it.
func (x *Executor) enter() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closing {
		return ErrClosed
	}
	x.calls.Add(1)
	return nil
}

// Enqueue queues a request and returns its id, which is above 0. It copies what it is given. Outputs may come before
// it returns: ClientID tells whose they are. Errors are ErrInvalid for what upstream refuses, ErrQueueFull, and
// ErrClosed after Drain; then nothing was queued.
func (x *Executor) Enqueue(r Request) (id uint64, err error) {
	if err := x.enter(); err != nil {
		return 0, err
	}
	defer x.calls.Done()
	var a arena
	defer a.free()
	request, err := a.request(r)
	if err != nil {
		return 0, err
	}
	queued := C.api_executor_enqueue(x.library.api, x.c, request)
	if err := x.failure(queued.status, queued.error); err != nil {
		return 0, err
	}
	return uint64(queued.id), nil
}

// request copies a request.
func (a *arena) request(r Request) (*C.trtgo_request, error) {
	if int(int32(r.MaxTokens)) != r.MaxTokens || len(r.Tokens) > math.MaxInt32 {
		return nil, &Error{StatusInvalid, "Enqueue", fmt.Sprintf("a request of %d tokens with at most %d more does not fit 32 bits", len(r.Tokens), r.MaxTokens)}
	}
	settings, err := a.fields(r.Settings)
	if err != nil {
		return nil, err
	}
	bias, err := a.array(r.EmbeddingBias)
	if err != nil {
		return nil, err
	}
	tokens := slice[int32](a, len(r.Tokens))
	copy(tokens, r.Tokens)
	request := (*C.trtgo_request)(a.bytes(C.sizeof_trtgo_request))
	*request = C.trtgo_request{
		struct_size: C.sizeof_trtgo_request, max_tokens: C.int32_t(r.MaxTokens), client_id: C.uint64_t(r.ClientID),
		tokens: (*C.int32_t)(unsafe.SliceData(tokens)), num_tokens: C.int32_t(len(tokens)),
		settings: unsafe.SliceData(settings), num_settings: C.int32_t(len(settings)), embedding_bias: bias,
	}
	return request, nil
}

// array copies numbers. Native code reads as many as the dimensions say.
func (a *arena) array(v Array) (C.trtgo_array, error) {
	c := C.trtgo_array{rank: C.int32_t(len(v.Dims))}
	if v.Data == nil {
		return C.trtgo_array{}, nil
	}
	size := int64(sizes[v.Type])
	for _, d := range v.Dims {
		if d < 0 || (d > 0 && size > math.MaxInt64/d) {
			size = 0
			break
		}
		size *= d
	}
	if len(v.Dims) > len(c.dims) || size == 0 || size != int64(len(v.Data)) {
		return c, &Error{StatusInvalid, "Enqueue", fmt.Sprintf("an array has %d bytes, which are not %v of type %q", len(v.Data), v.Dims, v.Type)}
	}
	data := slice[byte](a, len(v.Data))
	copy(data, v.Data)
	c.data, c._type = unsafe.Pointer(unsafe.SliceData(data)), a.text(v.Type)
	for i, d := range v.Dims {
		c.dims[i] = C.int64_t(d)
	}
	return c, nil
}

// Cancel asks for the end of a request, which still has a last output. Ids that have ended or are unknown are ignored.
func (x *Executor) Cancel(id uint64) error {
	if err := x.enter(); err != nil {
		return err
	}
	defer x.calls.Done()
	var failure *C.trtgo_error
	return x.failure(C.api_executor_cancel(x.library.api, x.c, C.uint64_t(id), &failure), failure)
}

// Await waits for outputs, at most timeout, which is rounded up to milliseconds, and calls each with all there are,
// one after another: none is no error. The output and its slices are of memory that is used again or freed when each
// returns, also by a panic. each may call all methods but Await and Close. A second Await waits for the first. The
// error is ErrClosed after Drain, when every request has had its last output, and after Close.
func (x *Executor) Await(timeout time.Duration, each func(*Output)) error {
	if err := x.enter(); err != nil {
		return err
	}
	defer x.calls.Done()
	x.awaiting.Lock()
	defer x.awaiting.Unlock()
	milliseconds := min(max((timeout+time.Millisecond-1)/time.Millisecond, 0), math.MaxInt32)
	awaited := C.api_executor_await(x.library.api, x.c, C.int32_t(milliseconds))
	if err := x.failure(awaited.status, awaited.error); err != nil {
		return err
	}
	if awaited.batch == nil {
		return nil
	}
	defer func() {
		x.output = Output{}
		C.api_outputs_free(x.library.api, awaited.batch)
	}()
	list := unsafe.Slice(awaited.list, int(awaited.num))
	for i := range list {
		x.output.view(&list[i])
		each(&x.output)
	}
	return nil
}

// IterationStats returns the statistics of iterations since the call before, oldest first: a JSON array of upstream's
// objects. It belongs to the caller.
func (x *Executor) IterationStats() ([]byte, error) { return x.stats(0) }

// RequestStats returns the statistics of the requests in each iteration, as IterationStats does.
func (x *Executor) RequestStats() ([]byte, error) { return x.stats(1) }

func (x *Executor) stats(requests C.int32_t) ([]byte, error) {
	if err := x.enter(); err != nil {
		return nil, err
	}
	defer x.calls.Done()
	x.asking[requests].Lock()
	defer x.asking[requests].Unlock()
	var json *C.char
	var failure *C.trtgo_error
	status := C.api_executor_stats(x.library.api, x.c, requests, &json, &failure)
	if err := x.failure(status, failure); err != nil {
		return nil, err
	}
	return []byte(C.GoString(json)), nil
}

// Drain takes no more requests from now on and asks for the end of all. It returns at once; Await then gives their
// last outputs. A second call does nothing.
func (x *Executor) Drain() error {
	if err := x.enter(); err != nil {
		return err
	}
	defer x.calls.Done()
	var failure *C.trtgo_error
	return x.failure(C.api_executor_drain(x.library.api, x.c, &failure), failure)
}

// Shutdown ends the engine after Drain, when Await gave ErrClosed: before it is ErrInvalid. Where this is not the
// leader it waits until the leader does so.
func (x *Executor) Shutdown() error {
	if err := x.enter(); err != nil {
		return err
	}
	defer x.calls.Done()
	var failure *C.trtgo_error
	return x.failure(C.trtgo_thread_shutdown(x.library.api, x.c, &failure), failure)
}

// Close waits for running calls and frees the executor. Where Shutdown was not called it does that, which waits for
// the end of all requests. A second call returns when the first has.
func (x *Executor) Close() {
	x.mu.Lock()
	first := !x.closing
	x.closing = true
	x.mu.Unlock()
	if !first {
		<-x.freed
		return
	}
	x.calls.Wait()
	C.trtgo_thread_free(x.library.api, x.c) // cannot fail: the thread was started to open it
	x.library.releaseExecutor()
	close(x.freed)
}

// Finalize ends MPI where TensorRT-LLM started it: without it mpirun takes the end of a process for a failure. It is
// the last call of a process, after which no executor can be opened. It does nothing where none ever was, and is
// ErrInvalid while one is open.
func Finalize() error {
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.open {
		return &Error{StatusInvalid, "Finalize", "an executor is open: close it first"}
	}
	if process.api == nil {
		return nil
	}
	var failure *C.trtgo_error
	if err := explainedError(failureOf(process.api, C.trtgo_thread_finalize(process.api, &failure), failure)); err != nil {
		return err
	}
	process.api = nil
	return nil
}
