package trtllm

import (
	"context"
	"errors"

	"github.com/trtgo/trtgo/csrc/native"
)

// Leader tells whether this process takes requests. Only in those processes of mpirun that compute for another one is it
// false: there every request fails with [ErrNotLeader], and all that is to do is to wait for the leader's end, by
// [Engine.Wait], and to close.
func (e *Engine) Leader() bool { return e.leader }

// Wait returns when nothing will come of the engine any more: after Close, when it is dead, or, in a process that is not
// the leader, when the leader has closed its own. It does not close the engine. The error is ctx's when that ends first, or
// wraps ErrDead.
func (e *Engine) Wait(ctx context.Context) error {
	select {
	case <-e.ended:
	case <-ctx.Done():
		return newError("wait", ctx.Err(), CodeOther)
	}
	if errors.Is(e.endedErr, ErrClosed) {
		return nil
	}
	return newError("wait", e.endedErr, CodeDead)
}

// Finalize ends MPI, where TensorRT-LLM has started it. A program that mpirun started calls it as the last thing that it
// does before it exits well, when all its engines are closed: mpirun takes a process that ends without it for a failure,
// and stops the others. It returns when all processes have called it. No engine for TensorRT-LLM can be opened
// afterwards. It does nothing where none ever was, and fails while one is open, or half open after [Open] was given up. In programs built with
// the race detector it does nothing at all: those end MPI by themselves as they exit.
func Finalize() error {
	if exitEndsMPI {
		return nil
	}
	if err := native.Finalize(); err != nil {
		return newError("finalize", &textError{nativeText(err), err}, CodeOther)
	}
	return nil
}
