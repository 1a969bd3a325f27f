package inflight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// Options are limits beside the runner's.
type Options struct {
	// MaxInputLen bounds the tokens of a prompt; 0 leaves it to the runner's MaxSeqLen.
	MaxInputLen int
}

// Executor implements executor.Executor over a runner, which it owns.
type Executor struct {
	runner  executor.Runner
	limits  executor.Limits
	options Options

	mu        sync.Mutex
	wake      sync.Cond // the loop waits for work
	live      map[uint64]*request
	queue     []*sequence // by priority, then by arrival
	running   []*sequence
	blocks    blockPool
	stats     executor.Stats
	closed    bool
	broken    error // why the loop ended by itself
	responses []executor.Response
	ready     chan struct{} // holds one token while there are responses

	stopStep context.CancelFunc
	done     chan struct{} // closed when the loop has ended
}

var _ executor.Executor = (*Executor)(nil)

// New starts an executor over the runner. Close ends both.
func New(runner executor.Runner, o Options) *Executor {
	e := &Executor{
		runner: runner, limits: runner.Limits(), options: o,
		live: make(map[uint64]*request), ready: make(chan struct{}, 1), done: make(chan struct{}),
	}
	e.wake.L = &e.mu
	e.blocks = newBlockPool(e.limits.NumBlocks)
	ctx, cancel := context.WithCancel(context.Background())
	e.stopStep = cancel
	go e.loop(ctx)
	return e
}

// Submit queues a request; see executor.Executor.
func (e *Executor) Submit(r executor.Request) error {
	if err := e.check(&r); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return executor.ErrClosed
	case e.broken != nil:
		return e.broken
	case e.live[r.ClientID] != nil:
		return fmt.Errorf("%w: client id %d is in use by a live request", executor.ErrInvalidRequest, r.ClientID)
	}
	live := newRequest(r, time.Now())
	e.live[r.ClientID] = live
	for _, s := range live.sequences {
		e.enqueue(s)
	}
	e.wake.Signal()
	return nil
}

// enqueue puts a sequence behind those of its priority.
func (e *Executor) enqueue(s *sequence) {
	i := len(e.queue)
	for i > 0 && e.queue[i-1].request.Priority < s.request.Priority {
		i--
	}
	e.queue = append(e.queue, nil)
	copy(e.queue[i+1:], e.queue[i:])
	e.queue[i] = s
}

// Cancel ends a live request after the running step; others are ignored.
func (e *Executor) Cancel(clientID uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.live[clientID]; r != nil {
		r.cancelled = true
		e.wake.Signal()
	}
}

// Await returns all responses there are; see executor.Executor.
func (e *Executor) Await(ctx context.Context) ([]executor.Response, error) {
	for {
		if responses := e.take(); responses != nil {
			return responses, nil
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-e.done:
			if responses := e.take(); responses != nil {
				return responses, nil
			}
			return nil, e.ended()
		}
	}
}

func (e *Executor) take() []executor.Response {
	e.mu.Lock()
	defer e.mu.Unlock()
	responses := e.responses
	e.responses = nil
	return responses
}

func (e *Executor) ended() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil && !e.closed {
		return e.broken
	}
	return executor.ErrClosed
}

// respond queues a response. The lock is held.
func (e *Executor) respond(r executor.Response) {
	e.responses = append(e.responses, r)
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

// Stats returns a snapshot.
func (e *Executor) Stats() executor.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.QueuedRequests = len(e.queue)
	s.ActiveRequests = len(e.running)
	s.KVBlocksTotal, s.TokensPerBlock = e.limits.NumBlocks, e.limits.BlockSize
	s.KVBlocksUsed = e.limits.NumBlocks - e.blocks.free()
	return s
}

// Close cancels what runs and closes the runner. It is idempotent; every call
// returns when all has ended.
func (e *Executor) Close() error {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	e.wake.Signal()
	e.mu.Unlock()
	e.stopStep()
	<-e.done
	if !first {
		return nil
	}
	return e.runner.Close()
}

// loop runs steps until the executor is closed. A panic fails what is live and
// everything after it, instead of leaving clients waiting.
func (e *Executor) loop(ctx context.Context) {
	defer close(e.done)
	defer func() {
		if p := recover(); p != nil {
			e.fail(fmt.Errorf("the executor's loop panicked: %v", p))
		}
	}()
	var batch batch
	for e.schedule(&batch) {
		err := e.runner.Step(ctx, batch.steps, &batch.out)
		e.commit(&batch, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endAll(executor.FinishCancelled, nil)
}

// fail ends everything with an error. The lock may be held by what panicked.
func (e *Executor) fail(err error) {
	e.mu.TryLock()
	defer e.mu.Unlock()
	e.broken = err
	e.endAll(executor.FinishNone, err)
}

func (e *Executor) endAll(reason executor.FinishReason, err error) {
	for _, r := range e.live {
		e.endRequest(r, reason, err)
	}
	e.queue, e.running = nil, nil
}

// check refuses what no step could run.
func (e *Executor) check(r *executor.Request) error {
	n := len(r.InputIDs)
	switch {
	case n == 0:
		return fmt.Errorf("%w: the prompt has no tokens", executor.ErrInvalidRequest)
	case r.MaxTokens < 1:
		return fmt.Errorf("%w: max tokens is %d, must be at least 1", executor.ErrInvalidRequest, r.MaxTokens)
	case e.options.MaxInputLen > 0 && n > e.options.MaxInputLen:
		return fmt.Errorf("%w: the prompt has %d tokens, max_input_len is %d", executor.ErrTooLong, n, e.options.MaxInputLen)
	case n+r.MaxTokens > e.limits.MaxSeqLen:
		return fmt.Errorf("%w: prompt of %d and output of %d tokens are %d, max_seq_len is %d", executor.ErrTooLong,
			n, r.MaxTokens, n+r.MaxTokens, e.limits.MaxSeqLen)
	case e.blocksFor(n+r.MaxTokens) > e.limits.NumBlocks:
		return fmt.Errorf("%w: prompt and output need %d KV blocks, there are %d", executor.ErrTooLong,
			e.blocksFor(n+r.MaxTokens), e.limits.NumBlocks)
	}
	for i, id := range r.InputIDs {
		if id < 0 || int(id) >= e.limits.VocabSize {
			return fmt.Errorf("%w: prompt token %d is id %d, outside the vocabulary of %d", executor.ErrInvalidRequest, i, id, e.limits.VocabSize)
		}
	}
	return errors.Join(checkSampling(&r.Sampling), e.checkWords(r))
}

func (e *Executor) checkWords(r *executor.Request) error {
	for _, words := range [][][]int32{r.StopSequences, r.BadSequences, {r.EndIDs}} {
		for _, word := range words {
			for _, id := range word {
				if id < 0 || int(id) >= e.limits.VocabSize {
					return fmt.Errorf("%w: id %d in a stop, bad or end list is outside the vocabulary of %d", executor.ErrInvalidRequest, id, e.limits.VocabSize)
				}
			}
		}
	}
	return nil
}

func (e *Executor) blocksFor(tokens int) int {
	return (tokens + e.limits.BlockSize - 1) / e.limits.BlockSize
}
