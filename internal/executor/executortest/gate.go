package executortest

import (
	"context"
	"sync"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// Gate is a runner around a runner, whose steps a test can hold back or
// replace. Its methods may be called by any goroutine.
//
// A gate that [NewOutsideGate] makes is around no runner: it holds steps back that run
// elsewhere, and replaces none.
type Gate struct {
	executor.Runner
	outside *Outside

	mu     sync.Mutex
	held   chan struct{} // closed by Release; nil when steps pass
	inside chan struct{} // receives when a step arrives at the held gate
	before func(batch []executor.Sequence) error
	after  func(out *executor.StepResult)
	copies func() error
}

// NewGate returns an open gate around runner.
func NewGate(runner executor.Runner) *Gate {
	return &Gate{Runner: runner, inside: make(chan struct{}, 1)}
}

// Outside holds back the steps of an executor that has no [executor.Runner].
type Outside struct {
	Hold    func()      // makes the following steps wait
	Release func()      // lets them pass
	Arrived func() bool // tells whether a step has arrived at the held gate since it was last asked
}

// NewOutsideGate returns an open gate over o.
func NewOutsideGate(o Outside) *Gate { return &Gate{outside: &o} }

// Hold makes the following steps wait for Release or the end of their context.
func (g *Gate) Hold() {
	if g.outside != nil {
		g.outside.Hold()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = make(chan struct{})
	}
}

// Release lets steps pass.
func (g *Gate) Release() {
	if g.outside != nil {
		g.outside.Release()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		close(g.held)
		g.held = nil
	}
}

// Arrived blocks until a step waits at the held gate, or ctx ends.
func (g *Gate) Arrived(ctx context.Context) error {
	if g.outside != nil {
		for !g.outside.Arrived() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	select {
	case <-g.inside:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Before makes f run before each step; an error is the step's. nil removes it.
func (g *Gate) Before(f func(batch []executor.Sequence) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before = f
}

// After makes f run on the result of each step. nil removes it.
func (g *Gate) After(f func(out *executor.StepResult)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.after = f
}

// BeforeCopy makes f run before each copy of a block; an error is the copy's. nil
// removes it.
func (g *Gate) BeforeCopy(f func() error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.copies = f
}

// CopyBlock implements [executor.Runner].
func (g *Gate) CopyBlock(src, dst, n int) error {
	g.mu.Lock()
	copies := g.copies
	g.mu.Unlock()
	if copies != nil {
		if err := copies(); err != nil {
			return err
		}
	}
	return g.Runner.CopyBlock(src, dst, n)
}

// Step implements [executor.Runner].
func (g *Gate) Step(ctx context.Context, batch []executor.Sequence, out *executor.StepResult) error {
	g.mu.Lock()
	held, before, after := g.held, g.before, g.after
	g.mu.Unlock()
	if held != nil {
		select {
		case g.inside <- struct{}{}:
		default:
		}
		select {
		case <-held:
		case <-ctx.Done():
			return executor.ErrAborted
		}
	}
	if before != nil {
		if err := before(batch); err != nil {
			return err
		}
	}
	if err := g.Runner.Step(ctx, batch, out); err != nil {
		return err
	}
	if after != nil {
		after(out)
	}
	return nil
}
