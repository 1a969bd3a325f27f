package trtllm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/inflight"
	"github.com/trtgo/trtgo/tokenizer"
)

// Engine is an open engine. It is safe for concurrent use.
type Engine struct {
	executor     executor.Executor
	config       Config
	tokenizer    *tokenizer.Tokenizer // nil when there is none that can be used
	tokenizerErr error

	mu     sync.Mutex
	calls  map[uint64]*call
	lastID uint64
	ended  chan struct{} // closed when the pump has ended
	why    error         // why it has; set before ended is closed
}

// Open opens the engine directory that `trtgo build` wrote. Errors wrap
// ErrNotAnEngine, ErrNoBackend or those of the file system. A tokenizer that
// cannot be used is no error here but when text is asked for. ctx bounds the
// opening only.
func Open(ctx context.Context, dir string, opts ...Option) (*Engine, error) {
	var o options
	for _, option := range opts {
		option(&o)
	}
	config, err := engineconfig.Read(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAnEngine, err)
	}
	runner, err := openRunner(ctx, dir, config, &o)
	if err != nil {
		return nil, err
	}
	limits := runner.Limits()
	description := Config{
		Architecture: config.Pretrained.Architecture, Dtype: config.Trtgo.WeightDtype, Backend: config.Backend(),
		Precision: runner.Describe().Precision, VocabSize: limits.VocabSize, MaxBatchSize: limits.MaxBatchSize,
		MaxInputLen: config.Build.MaxInputLen, MaxSeqLen: limits.MaxSeqLen, MaxNumTokens: limits.MaxNumTokens,
	}
	x, err := inflight.New(runner, inflight.Options{MaxInputLen: description.MaxInputLen})
	if err != nil {
		return nil, errors.Join(err, runner.Close())
	}
	e := newEngine(x, description)
	if err := e.openTokenizer(dir, &o); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func openRunner(ctx context.Context, dir string, config *engineconfig.Config, o *options) (*cpu.Runner, error) {
	if backend := config.Backend(); backend != engineconfig.BackendCPU {
		return nil, fmt.Errorf("%s: backend %q: %w", dir, backend, ErrNoBackend)
	}
	batch := config.Build.MaxBatchSize
	if o.maxBatchSize > 0 {
		batch = min(batch, o.maxBatchSize)
	}
	runner, err := cpu.Open(ctx, filepath.Join(dir, engineconfig.EngineName(0)), cpu.Options{
		Threads: o.threads, Precision: o.precision, Load: o.load, KVCacheTokens: int64(o.kvCacheTokens),
		MaxBatchSize: batch, MaxNumTokens: config.Build.MaxNumTokens, MaxSeqLen: config.Build.MaxSeqLen,
	})
	if err != nil && !errors.Is(err, ErrNoBackend) && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAnEngine, err)
	}
	return runner, err
}

// newEngine starts the pump over an executor, which becomes the engine's.
func newEngine(x executor.Executor, c Config) *Engine {
	e := &Engine{executor: x, config: c, calls: make(map[uint64]*call), ended: make(chan struct{}), tokenizerErr: ErrNoTokenizer}
	go e.pump()
	return e
}

// openTokenizer fails only for a tokenizer that was asked for by name.
func (e *Engine) openTokenizer(dir string, o *options) (err error) {
	switch {
	case o.tokenizerFile != "":
		e.tokenizer, err = tokenizer.OpenFile(o.tokenizerFile)
		return err
	case o.tokenizerDir != "":
		e.tokenizer, err = tokenizer.Open(o.tokenizerDir)
		return err
	}
	if e.tokenizer, err = tokenizer.Open(dir); err != nil {
		e.tokenizer, e.tokenizerErr = nil, err
		if !errors.Is(err, ErrNoTokenizer) {
			e.tokenizerErr = fmt.Errorf("%w: %w", ErrNoTokenizer, err)
		}
	}
	return nil
}

// Tokenizer returns the engine's tokenizer, or an error that wraps ErrNoTokenizer
// and says why there is none.
func (e *Engine) Tokenizer() (*tokenizer.Tokenizer, error) {
	if e.tokenizer == nil {
		return nil, e.tokenizerErr
	}
	return e.tokenizer, nil
}

// Stats returns a snapshot.
func (e *Engine) Stats() Stats { return statsOf(e.executor.Stats()) }

// Close ends what runs with ErrClosed and frees the engine. It is idempotent and
// returns when the running step has been aborted and all threads have ended.
func (e *Engine) Close() error {
	err := e.executor.Close()
	<-e.ended
	return err
}

// pump hands the executor's responses to their calls until it is closed. A call
// has a queue of its own, so a slow consumer holds up nobody.
func (e *Engine) pump() {
	for {
		responses, err := e.executor.Await(context.Background())
		if err != nil {
			e.why = err
			close(e.ended)
			return
		}
		for _, r := range responses {
			e.mu.Lock()
			call := e.calls[r.ClientID]
			e.mu.Unlock()
			if call != nil {
				call.push(r)
			}
		}
	}
}

// submit queues a request under an id of the engine's own.
func (e *Engine) submit(ctx context.Context, r *Request) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	request, err := e.prepare(r)
	if err != nil {
		return nil, err
	}
	c := &call{request: request, ready: make(chan struct{}, 1), ended: e.ended, why: func() error { return e.why }}
	c.unended = max(r.Sampling.NumReturnSequences, 1)
	for range c.unended {
		s := sequenceText{stopWords: r.StopWords, minTokens: r.Sampling.MinTokens}
		if e.tokenizer != nil {
			s.decoder = e.tokenizer.NewDecoder(tokenizer.DecodeOptions{SkipSpecialTokens: true})
		}
		c.sequences = append(c.sequences, s)
	}
	// The response may come before Submit returns, so the call is known first.
	e.mu.Lock()
	e.lastID++
	c.id = e.lastID
	c.request.ClientID = c.id
	e.calls[c.id] = c
	e.mu.Unlock()
	if err := e.executor.Submit(c.request); err != nil {
		e.forget(c)
		return nil, err
	}
	return c, nil
}

// release cancels a call, which is ignored when it has ended, and forgets it.
func (e *Engine) release(c *call) {
	e.executor.Cancel(c.id)
	e.forget(c)
}

func (e *Engine) forget(c *call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.calls, c.id)
}
