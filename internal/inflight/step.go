package inflight

import (
	"context"
	"fmt"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// runningStep is the step that the runner does, and then the logits processor, as the
// callers' goroutines and timers see it. Executor.mu guards it.
type runningStep struct {
	e        *Executor
	ctx      context.Context // used for steps until one is aborted
	abort    context.CancelFunc
	requests []*request // whose sequences are in the step; none between steps

	hangs    string      // what to say of what runs if it does not end; nothing runs without
	started  time.Time   // by the machine's clock
	overdue  *time.Timer // fires when all of them may be overdue
	watchdog *time.Timer // fires when what runs takes longer than MaxSeqIdle
}

func (r *runningStep) init(e *Executor) {
	r.e = e
	timer := func(f func()) *time.Timer {
		t := time.AfterFunc(time.Hour, f)
		t.Stop()
		return t
	}
	r.watchdog = timer(r.bark)
	r.overdue = timer(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		r.reconsider()
	})
}

// begin notes whose step it is and returns its context.
func (r *runningStep) begin(parts []planned) context.Context {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil {
		r.ctx, r.abort = context.WithCancel(r.e.ctx)
	}
	for i := range parts {
		if n := len(r.requests); n == 0 || r.requests[n-1] != parts[i].request {
			r.requests = append(r.requests, parts[i].request)
		}
	}
	r.watch("the runner hangs: a step has not ended")
	r.reconsider()
	return r.ctx
}

// beginProcessor notes that the logits processor runs, which nothing can abort.
func (r *runningStep) beginProcessor() {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.watch("the logits processor hangs: it has not returned")
}

// watch starts the watchdog. The caller holds mu.
func (r *runningStep) watch(hangs string) {
	r.hangs, r.started = hangs, time.Now()
	r.watchdog.Reset(r.e.options.MaxSeqIdle)
}

// bark gives the executor up when what runs has taken too long.
func (r *runningStep) bark() {
	limit := r.e.options.MaxSeqIdle
	r.e.mu.Lock()
	hangs, late := r.hangs, time.Since(r.started) >= limit // else a late one, of a step before
	abort := r.abort
	r.e.mu.Unlock()
	if hangs != "" && late {
		r.e.die(fmt.Errorf("%w: %s within %v", executor.ErrDead, hangs, limit))
		abort()
	}
}

// stop ends the timers for good.
func (r *runningStep) stop() {
	r.end()
	if r.abort != nil {
		r.abort()
	}
}

// end notes that the step, or the logits processor, ended.
func (r *runningStep) end() {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.hangs = ""
	clear(r.requests)
	r.requests = r.requests[:0]
	r.overdue.Stop()
	r.watchdog.Stop()
}

// reconsider aborts the step when nobody wants it any more: each of its requests is
// cancelled or overdue. While one may become so, the timer runs. The caller holds mu.
func (r *runningStep) reconsider() {
	if len(r.requests) == 0 {
		return
	}
	now := r.e.now()
	var last time.Time // of the deadlines to come
	for _, q := range r.requests {
		switch {
		case q.cancelled:
		case q.deadline.IsZero():
			return
		case q.deadline.After(last):
			last = q.deadline
		}
	}
	if left := last.Sub(now); !last.IsZero() && left > 0 {
		r.overdue.Reset(left)
		return
	}
	r.abort()
}
