package nativeexecutor

import (
	"fmt"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// closeGrace is how long Close waits for the engine to end, where MaxSeqIdle is not
// shorter. A step cannot be aborted.
const closeGrace = 25 * time.Second

// Close implements [executor.Executor]. Live requests get their final responses at once,
// then upstream is drained, shut down and freed. When upstream does not end, Close returns
// an error after a while that wraps executor.ErrDead, and the engine is freed once it
// ends; when it never does, a goroutine and its thread stay in native code for good.
// In a process that is not the leader it waits until the leader has closed, however
// long that takes.
func (e *Executor) Close() error {
	e.stop()
	if !e.leader {
		<-e.closed
		return e.closeErr
	}
	grace := min(closeGrace, e.options.MaxSeqIdle)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-e.closed:
		return e.closeErr
	case <-timer.C:
	}
	e.die(dead("it was closed, and TensorRT-LLM did not end within %v", grace))
	return fmt.Errorf("%w: TensorRT-LLM did not end within %v after it was asked to; it is freed when it does", executor.ErrDead, grace)
}

// stop refuses new requests, answers the live ones and lets the engine end.
func (e *Executor) stop() {
	e.mu.Lock()
	e.stopping = true
	for _, q := range e.live {
		e.finishRequest(q, executor.FinishCancelled)
	}
	e.cancels = nil // draining cancels all
	e.mu.Unlock()
	e.closing.Do(func() { go e.finishEngine() })
}

// finishEngine drains, shuts down and frees the engine. It may stay in native code.
func (e *Executor) finishEngine() {
	if err := e.engine.Drain(); err != nil {
		e.log.Warn("TensorRT-LLM's executor did not drain", "error", err)
	}
	<-e.pumped
	e.endEngine()
}

// endEngine shuts the engine down and frees it. Await ends before that, and in a process
// that is not the leader when the leader has ended.
func (e *Executor) endEngine() {
	if e.leader {
		e.release()
	}
	if err := e.engine.Shutdown(); err != nil {
		e.closeErr = fmt.Errorf("TensorRT-LLM's executor did not shut down: %w", err)
	}
	if !e.leader {
		e.release()
	}
	e.engine.Close()
	close(e.closed)
}

// release waits until no call is in the engine and lets none in any more.
func (e *Executor) release() {
	e.mu.Lock()
	e.stopping, e.freed = true, true
	e.mu.Unlock()
	e.calls.Wait()
	close(e.done)
}
