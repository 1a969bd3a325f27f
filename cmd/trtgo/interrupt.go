package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/trtgo/trtgo/trtllm"
)

// errInterrupted ends a command with status 130 that took Ctrl-C itself.
var errInterrupted = errors.New("interrupted")

// interrupts are the Ctrl-C's of a command that wants them itself.
type interrupts struct{ taken atomic.Pointer[chan struct{}] }

type interruptsKey struct{}

// watchInterrupts gives a context that Ctrl-C or SIGTERM ends; the next one then ends the
// process, and one more kills it. A command may take Ctrl-C for itself, by takeInterrupts.
func watchInterrupts() (context.Context, func()) {
	var taking interrupts
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), interruptsKey{}, &taking))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case s := <-signals:
				switch {
				case ctx.Err() != nil:
					signal.Stop(signals)
					finalize(exitInterrupted, trtllm.Finalize, os.Stderr)
					os.Exit(exitInterrupted)
				case s != os.Interrupt || !taking.hand():
					cancel()
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		close(done)
	}
}

// hand gives a Ctrl-C to the command that wants it. It is false when none does, or
// when the command has not noticed the one before: it may hang.
func (i *interrupts) hand() bool {
	taken := i.taken.Load()
	if taken == nil {
		return false
	}
	select {
	case *taken <- struct{}{}:
		return true
	default:
		return false
	}
}

// takeInterrupts gives the Ctrl-C's from now on, which no longer end ctx; SIGTERM does.
func takeInterrupts(ctx context.Context) <-chan struct{} {
	taken := make(chan struct{}, 1)
	if i, ok := ctx.Value(interruptsKey{}).(*interrupts); ok {
		i.taken.Store(&taken)
	}
	return taken
}
