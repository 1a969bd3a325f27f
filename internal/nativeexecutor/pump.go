package nativeexecutor

import (
	"errors"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

const (
	// slice is how long the pump waits at a time: a thread is blocked in native code
	// meanwhile.
	slice = 50 * time.Millisecond
	// statisticsPeriod is how often statistics are taken while there is work, so that
	// upstream, which keeps 1000 iterations, drops none.
	statisticsPeriod = 100 * time.Millisecond
)

// pump hands on outputs until the engine has no more.
func (e *Executor) pump() {
	defer close(e.pumped)
	var taken time.Time // when statistics were
	for {
		handed, final, err := e.batch()
		switch {
		case errors.Is(err, native.ErrClosed):
			e.gather() // no call after this one
			e.ended()
			return
		case err != nil:
			if !e.failures.waiting(err) {
				e.die(dead("waiting for TensorRT-LLM's outputs fails: %w", err))
				return
			}
			time.Sleep(slice / 10) // it came back at once
		default:
			e.failures.waited()
		}
		if now := e.now(); final || handed && now.Sub(taken) >= statisticsPeriod || !handed && e.busy() {
			e.gather()
			taken = now
		}
		e.publishBatch()
		if err := e.failures.verdict(); err != nil {
			e.die(err)
		}
		e.expire()
	}
}

// batch waits for outputs once and takes all there are. It tells whether there were any,
// and whether one was a request's last.
func (e *Executor) batch() (handed, final bool, err error) {
	e.failures.begin()
	err = e.engine.Await(e.patience(), func(o *native.Output) {
		if !handed {
			handed = true
			e.begin()
		}
		final = final || o.Final
		e.take(o)
	})
	return handed, final, err
}

// patience is how long to wait for outputs: not beyond the first deadline.
func (e *Executor) patience() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.deadline.IsZero() {
		return slice
	}
	return max(time.Millisecond, min(slice, e.deadline.Sub(e.now())))
}

// begin makes responses wait until the whole batch is handed on and the statistics tell
// of it.
func (e *Executor) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.progress = e.now()
	e.batching = e.dead == nil
}

// publishBatch lets Await have a batch, and cancels what ended in it.
func (e *Executor) publishBatch() {
	e.mu.Lock()
	e.batching = false
	e.publish()
	cancels := e.toCancel()
	if e.stopping || e.dead != nil { // all are asked to end
		cancels = nil
	}
	e.mu.Unlock()
	for _, id := range cancels {
		e.tell(id)
	}
}

// busy tells whether upstream has work.
func (e *Executor) busy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.sequences) > 0
}

// expire ends the requests whose time is over: upstream sees to those that run, but not to
// those that wait.
func (e *Executor) expire() {
	e.mu.Lock()
	now := e.now()
	if e.deadline.IsZero() || now.Before(e.deadline) {
		e.mu.Unlock()
		return
	}
	e.deadline = time.Time{}
	for _, q := range e.live {
		switch {
		case q.deadline.IsZero():
		case now.Before(q.deadline):
			if e.deadline.IsZero() || q.deadline.Before(e.deadline) {
				e.deadline = q.deadline
			}
		default:
			e.finishRequest(q, executor.FinishTimeout)
		}
	}
	e.unlockAndCancel()
}

// ended is called when upstream has no more outputs.
func (e *Executor) ended() {
	e.mu.Lock()
	stopping := e.stopping
	e.mu.Unlock()
	if !stopping {
		e.die(dead("TensorRT-LLM's executor ended by itself"))
		return
	}
	e.publishBatch()
}

// watch gives the executor up when live requests get nowhere, also when the pump hangs
// in native code.
func (e *Executor) watch() {
	idle := e.options.MaxSeqIdle
	ticker := time.NewTicker(max(time.Millisecond, min(time.Second, idle/4)))
	defer ticker.Stop()
	for {
		select {
		case <-e.done:
			return
		case <-ticker.C:
		}
		e.mu.Lock()
		hangs := len(e.sequences) > 0 && e.now().Sub(e.progress) > idle
		gone := e.dead != nil
		n := len(e.sequences)
		e.mu.Unlock()
		if gone {
			return
		}
		if hangs {
			e.die(dead("TensorRT-LLM has given nothing for its %d requests in %v", n, idle))
			return
		}
	}
}
