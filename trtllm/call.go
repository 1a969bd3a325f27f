package trtllm

import (
	"context"
	"fmt"
	"sync"

	"github.com/trtgo/trtgo/internal/executor"
)

// call is one request on its way: a queue that the pump fills and one goroutine
// empties.
type call struct {
	engine *Engine
	id     uint64

	mu    sync.Mutex
	queue []executor.Response
	ready chan struct{} // holds a token while the queue may have something

	taken []executor.Response // from the queue, not given by next yet
}

func (c *call) push(r executor.Response) {
	c.mu.Lock()
	c.queue = append(c.queue, r)
	c.mu.Unlock()
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// pop takes everything that is there.
func (c *call) pop() []executor.Response {
	c.mu.Lock()
	defer c.mu.Unlock()
	queue := c.queue
	c.queue = nil
	return queue
}

// next waits for a response, which belongs to the caller until the next call. When
// ctx ends it cancels the request and goes on waiting: the executor answers after the
// running step, with what there is.
func (c *call) next(ctx context.Context) (*executor.Response, error) {
	ended, done := c.engine.ended, ctx.Done()
	for {
		if len(c.taken) == 0 {
			c.taken = c.pop()
		}
		if len(c.taken) > 0 {
			r := &c.taken[0]
			c.taken = c.taken[1:]
			return r, nil
		}
		if ended == nil {
			return nil, closedError(c.engine.endedErr)
		}
		select {
		case <-c.ready:
		case <-done:
			c.engine.executor.Cancel(c.id)
			done = nil
		case <-ended:
			ended = nil // what came just before is in the queue
		}
	}
}

// errClosedEarly is the error of requests that Close ended.
var errClosedEarly = fmt.Errorf("the engine was %w before the request had ended", ErrClosed)

// cancelled is the error of a request that was cancelled: by its context, or by
// the engine's Close.
func cancelled(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return errClosedEarly
	}
	if cause := context.Cause(ctx); cause != err { //nolint:errorlint // the very same error
		return fmt.Errorf("generation cancelled: %w: %w", err, cause)
	}
	return fmt.Errorf("generation cancelled: %w", err)
}

// closedError makes a sentence of an ErrClosed that is none.
func closedError(err error) error {
	if err == ErrClosed { //nolint:errorlint // the very same error, with nothing around it
		return fmt.Errorf("the engine is %w", err)
	}
	return err
}
