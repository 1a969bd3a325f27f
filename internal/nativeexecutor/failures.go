package nativeexecutor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// enqueueError tells why upstream did not take a request.
func enqueueError(err error) error {
	if errors.Is(err, native.ErrClosed) {
		return executor.ErrClosed
	}
	return fmt.Errorf("%w: TensorRT-LLM did not queue it: %w", sentinel(err), err)
}

// outputError is the error of a request from upstream's text. An invalid value in a step
// is not the request's fault. A step fails all its requests with one text, which takes a
// while to explain.
func (f *failures) outputError(text string) error {
	if f.explained != nil && f.text == text {
		return f.explained
	}
	cause := executor.ErrFailed
	if ofRequest(text) {
		cause = sentinel(native.Class(text))
	}
	f.text, f.explained = text, fmt.Errorf("%w: %s", cause, native.Explain(text))
	return f.explained
}

// sentinel is the executor's error for a native one, or its class.
func sentinel(err error) error {
	switch {
	case errors.Is(err, native.ErrMemory), errors.Is(err, native.ErrBroken):
		return executor.ErrFailed // whatever else it is
	case errors.Is(err, native.ErrTooLong):
		return executor.ErrTooLong
	case errors.Is(err, native.ErrUnsupported):
		return executor.ErrUnsupported
	case errors.Is(err, native.ErrQueueFull):
		return executor.ErrQueueFull
	case errors.Is(err, native.ErrInvalid):
		return executor.ErrInvalidRequest
	}
	return executor.ErrFailed
}

// maxFailures is how many batches, or waits, may fail one after the other before the
// executor gives up.
const maxFailures = 16

// failures sees whether the engine fails for good. It belongs to the pump.
type failures struct {
	batches int // that failed, without success between
	waits   int // that failed, without one between that did not

	failed, succeeded bool // in this batch
	last              string

	text      string // the last error that was explained
	explained error
}

func (f *failures) begin() { f.failed, f.succeeded = false, false }

// see notes an output's error; "" is success. An error of one request alone tells nothing
// of the engine.
func (f *failures) see(text string) {
	switch {
	case text == "":
		f.succeeded = true
	case !ofRequest(text):
		f.failed, f.last = true, text
	}
}

// ofRequest tells whether an error is that of a request that upstream did not begin with.
// One of a broken GPU is everybody's, wherever it shows.
func ofRequest(text string) bool {
	if !strings.Contains(text, "when fetching new request") {
		return false
	}
	class := native.Class(text)
	return !errors.Is(class, native.ErrBroken) && (class != nil || !strings.Contains(text, "CUDA"))
}

// verdict is not nil when it is time to give up.
func (f *failures) verdict() error {
	switch {
	case f.succeeded:
		f.batches = 0
	case f.failed:
		f.batches++
	}
	f.failed, f.succeeded = false, false
	if f.batches < maxFailures {
		return nil
	}
	return fmt.Errorf("%w: %d steps failed one after the other, the last one: %s", executor.ErrDead, f.batches, native.Explain(f.last))
}

// waiting notes that waiting failed, and tells whether to go on.
func (f *failures) waiting(error) bool {
	f.waits++
	return f.waits < maxFailures
}

func (f *failures) waited() { f.waits = 0 }
