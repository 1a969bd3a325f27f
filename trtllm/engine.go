package trtllm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// closeTimeout bounds Close: a step that is told to abort takes milliseconds.
const closeTimeout = 30 * time.Second

// Engine is an open engine. It is safe for concurrent use.
type Engine struct {
	executor     executor.Executor
	leader       bool // takes requests
	config       Config
	tokenizer    *tokenizer.Tokenizer // nil when there is none that can be used
	tokenizerErr error                // why it is nil

	mu        sync.Mutex
	calls     map[uint64]*call
	lastID    uint64
	observers []*func(RequestSummary) // replaced, never changed

	ended    chan struct{} // closed when the pump has ended: no response will come
	endedErr error         // why; set before ended is closed

	closeOnce    sync.Once
	closed       chan struct{} // closed when the executor has closed
	closeErr     error         // set before closed is closed
	closeTimeout time.Duration
	log          *slog.Logger
}

// Open opens the engine directory that `trtgo build` wrote. The error wraps
// ErrNotAnEngine when the directory or a file in it is not what it should be,
// ErrNoBackend when the engine cannot be run here, ErrOutOfMemory when it does not fit
// the machine, ErrInvalidOption when an option cannot be had, ErrUnsupported when this
// backend has not got it; otherwise it is ctx's, the file system's or TensorRT-LLM's. A
// tokenizer that cannot be used is
// no error here, unless it was asked for by WithTokenizerDir or WithTokenizerFile,
// but when text is needed. ctx bounds the opening only.
//
// Of engines for TensorRT-LLM a process runs one at a time: another one fails with
// ErrUnsupported until the first is closed. Loading them takes minutes in which
// TensorRT-LLM cannot be interrupted: when ctx ends, Open returns, and what comes of the
// loading is closed when it is there.
func Open(ctx context.Context, dir string, opts ...Option) (*Engine, error) {
	var o options
	for _, option := range opts {
		option(&o)
	}
	e, err := openEngine(ctx, dir, &o)
	if err != nil {
		return nil, newError("open", err, CodeOther)
	}
	e.logOpened(dir)
	return e, nil
}

func openEngine(ctx context.Context, dir string, o *options) (*Engine, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	// The cheap part first: a bad tokenizer should not cost the loading of weights.
	t, tokenizerErr := openTokenizer(dir, o)
	if tokenizerErr != nil && o.namesTokenizer() {
		return nil, tokenizerErr
	}
	x, config, err := openExecutor(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	return newEngine(x, config, t, tokenizerErr, o.log()), nil
}

// newEngine makes an engine of an executor, which becomes its own.
func newEngine(x executor.Executor, c Config, t *tokenizer.Tokenizer, tokenizerErr error, log *slog.Logger) *Engine {
	leader := true
	if ranked, ok := x.(interface{ Leader() bool }); ok {
		leader = ranked.Leader()
	}
	e := &Engine{
		executor: x, leader: leader, config: c, tokenizer: t, tokenizerErr: tokenizerErr, calls: map[uint64]*call{},
		ended: make(chan struct{}), closed: make(chan struct{}), closeTimeout: closeTimeout, log: log,
	}
	go e.pump()
	return e
}

// openTokenizer opens the tokenizer that the options name, otherwise the
// directory's; then every error wraps ErrNoTokenizer.
func openTokenizer(dir string, o *options) (*tokenizer.Tokenizer, error) {
	switch {
	case o.tokenizerFile != "":
		return tokenizer.OpenFile(o.tokenizerFile)
	case o.tokenizerDir != "":
		return tokenizer.Open(o.tokenizerDir)
	}
	t, err := tokenizer.Open(dir)
	if err != nil && !errors.Is(err, ErrNoTokenizer) {
		err = fmt.Errorf("%w: %w", ErrNoTokenizer, err)
	}
	return t, err
}

// Tokenizer returns the engine's tokenizer, also after Close, or an error that wraps
// ErrNoTokenizer and says why there is none.
func (e *Engine) Tokenizer() (*tokenizer.Tokenizer, error) {
	if e.tokenizer == nil {
		return nil, newError("tokenizer", e.tokenizerErr, CodeNoTokenizer)
	}
	return e.tokenizer, nil
}

// Config returns what the engine was built and opened with.
func (e *Engine) Config() Config { return e.config }

// logOpened logs what was opened and its memory plan.
func (e *Engine) logOpened(dir string) {
	s, c := e.Stats(), e.config
	e.log.Debug("engine opened", "dir", dir, "architecture", c.Architecture, "backend", c.Backend, "precision", c.Precision, "ranks", c.Ranks, "leader", e.leader,
		"max_batch_size", c.MaxBatchSize, "max_num_tokens", c.MaxNumTokens, "max_seq_len", c.MaxSeqLen, "max_input_len", c.MaxInputLen,
		"weights_bytes", s.Memory.Weights, "kv_cache_tokens", c.KVCacheTokens, "kv_cache_blocks", s.KVBlocksTotal, "tokens_per_block", s.TokensPerBlock,
		"kv_cache_bytes", s.Memory.KVCache, "activations_bytes", s.Memory.Activations, "available_bytes", s.Memory.Available)
}

// logClosed logs what the engine has done.
func (e *Engine) logClosed() {
	s := e.Stats()
	e.log.Debug("engine closed", "requests", s.FinishedRequests, "cancelled", s.CancelledRequests, "timed_out", s.TimedOutRequests,
		"failed", s.FailedRequests, "iterations", s.Iterations, "context_tokens", s.ContextTokens,
		"reused_tokens", s.ReusedTokens, "generated_tokens", s.GeneratedTokens)
}

// Close ends what runs with ErrClosed and frees the engine. It aborts the running
// step and returns when all goroutines and threads of the engine have ended. Should
// the step not end, Close gives up waiting after at most half a minute, with an error
// that wraps ErrDead; the requests are released all the same, and what is left is freed
// when the step ends. Where this process is not the leader, Close waits until the leader
// has closed, however long that takes. Close is idempotent.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		go func() {
			e.closeErr = e.executor.Close()
			<-e.ended
			e.logClosed()
			close(e.closed)
		}()
	})
	var timeout <-chan time.Time // never, where this is not the leader
	if e.leader {
		timer := time.NewTimer(e.closeTimeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-e.closed:
		if e.closeErr != nil {
			return newError("close", e.closeErr, CodeOther)
		}
		return nil
	case <-timeout:
		e.abandon()
		return newError("close", fmt.Errorf("the engine does not close: its running step has not ended within %v: %w", e.closeTimeout, ErrDead), CodeOther)
	}
}

// abandon ends all calls: nothing more can be expected of the executor.
func (e *Engine) abandon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		c.push(executor.Response{ClientID: c.id, Err: errClosedEarly, Final: true})
	}
}

// pump hands the executor's responses to their calls until it is closed. Each call
// has a queue of its own, so a slow consumer holds up nobody.
func (e *Engine) pump() {
	for {
		responses, err := e.executor.Await(context.Background())
		if err != nil {
			e.endedErr = err
			close(e.ended)
			return
		}
		for i := range responses {
			e.mu.Lock()
			c := e.calls[responses[i].ClientID]
			if c != nil && responses[i].Final {
				delete(e.calls, c.id)
			}
			e.mu.Unlock()
			if c != nil { // an abandoned call has none
				c.push(responses[i])
			}
		}
	}
}

// submit queues a request under an id of the engine's own.
func (e *Engine) submit(r executor.Request) (*call, error) {
	if !e.leader {
		return nil, ErrNotLeader
	}
	c := &call{engine: e, ready: make(chan struct{}, 1)}
	// The response may come before Submit returns, so the call is known first.
	e.mu.Lock()
	e.lastID++
	c.id, r.ClientID = e.lastID, e.lastID
	e.calls[c.id] = c
	e.mu.Unlock()
	if err := e.executor.Submit(r); err != nil {
		e.mu.Lock()
		delete(e.calls, c.id)
		e.mu.Unlock()
		return nil, closedError(err)
	}
	return c, nil
}
