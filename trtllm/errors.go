package trtllm

import (
	"context"
	"errors"
	"strings"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// Causes of errors. What the package returns is an *[Error] that wraps one of these,
// or the error of a context, of the file system or of the caller's own code: test
// with errors.Is, or look at [Error.Code].
var (
	// ErrNotAnEngine is returned by Open for a directory that is no engine, or
	// whose files are broken or of another version.
	ErrNotAnEngine = errors.New("not an engine directory")

	// ErrNoBackend is returned by Open when nothing on this machine, or in this
	// build of the program, can run the engine.
	ErrNoBackend = executor.ErrNoBackend

	// ErrOutOfMemory is returned by Open when the machine has too little memory for
	// the engine.
	ErrOutOfMemory = executor.ErrOutOfMemory

	// ErrInvalidOption is returned by Open for an option whose value makes no sense.
	ErrInvalidOption = executor.ErrInvalidOption

	// ErrNoTokenizer is returned when text is asked of an engine that has no
	// tokenizer that can be used. Requests with InputIDs work all the same.
	ErrNoTokenizer = tokenizer.ErrNoTokenizer

	// ErrTooLong is returned for a request whose prompt, or prompt and output, do
	// not fit the engine. Nothing was queued.
	ErrTooLong = executor.ErrTooLong

	// ErrInvalidRequest is returned for a request that no engine could run. Nothing
	// was queued.
	ErrInvalidRequest = executor.ErrInvalidRequest

	// ErrUnsupported is returned for a feature that this engine's executor lacks.
	// Nothing was queued.
	ErrUnsupported = executor.ErrUnsupported

	// ErrQueueFull is returned when as many requests wait as WithMaxQueueSize allows.
	// Nothing was queued; the request may be tried again later.
	ErrQueueFull = executor.ErrQueueFull

	// ErrFailed is returned for a request whose step, or whose logits processor,
	// failed. The engine goes on, and the request may be tried again.
	ErrFailed = executor.ErrFailed

	// ErrDead is returned by an engine that has given up: a step panicked, hangs, or
	// fails every time. Nothing will run in it any more: Close it and open another.
	ErrDead = executor.ErrDead

	// ErrNotLeader is returned for requests to an engine whose requests another
	// process takes: see [Engine.Leader]. Nothing was queued.
	ErrNotLeader = errors.New("this process only computes for the leader, which takes the requests")

	// ErrClosed is returned by an engine that was closed, also to what was running.
	ErrClosed = executor.ErrClosed
)

// Code names the cause of an [Error], one word for each: for logs, labels of metrics
// and the status of a server's answer.
type Code string

// Codes of errors. CodeCancelled and CodeDeadline are those of a request, or an
// opening, whose context ended; the others are of the cause with the same name.
const (
	CodeNotAnEngine    Code = "not_an_engine"
	CodeNoBackend      Code = "no_backend"
	CodeOutOfMemory    Code = "out_of_memory"
	CodeInvalidOption  Code = "invalid_option"
	CodeNoTokenizer    Code = "no_tokenizer"
	CodeTooLong        Code = "too_long"
	CodeInvalidRequest Code = "invalid_request"
	CodeUnsupported    Code = "unsupported"
	CodeQueueFull      Code = "queue_full"
	CodeFailed         Code = "failed"
	CodeDead           Code = "dead"
	CodeNotLeader      Code = "not_leader"
	CodeClosed         Code = "closed"
	CodeCancelled      Code = "cancelled"         // context.Canceled
	CodeDeadline       Code = "deadline_exceeded" // context.DeadlineExceeded
	CodeOther          Code = "other"             // what is wrapped tells: the file system, a chat template
)

// causes are the codes' sentinels. An error may wrap several: the first one counts. A
// failed step wraps whatever the runner or the logits processor returned, which may be
// the error of a context of its own.
var causes = []struct {
	code Code
	err  error
}{
	{CodeDead, ErrDead},
	{CodeFailed, ErrFailed},
	{CodeCancelled, context.Canceled},
	{CodeDeadline, context.DeadlineExceeded},
	{CodeClosed, ErrClosed},
	{CodeNotLeader, ErrNotLeader},
	{CodeNoBackend, ErrNoBackend},
	{CodeOutOfMemory, ErrOutOfMemory},
	{CodeNotAnEngine, ErrNotAnEngine},
	{CodeInvalidOption, ErrInvalidOption},
	{CodeNoTokenizer, ErrNoTokenizer},
	{CodeTooLong, ErrTooLong},
	{CodeInvalidRequest, ErrInvalidRequest},
	{CodeUnsupported, ErrUnsupported},
	{CodeQueueFull, ErrQueueFull},
}

// Error is every error that the package returns. It belongs to one call: two calls
// never share one.
type Error struct {
	Op   string // "open", "tokenizer", "generate", "stream", "wait", "close" or "finalize"
	Code Code   // the cause
	Msg  string // one sentence: what, where, and the numbers that disagree

	err error
}

// newError makes err the error of an operation. otherwise is the code of what names
// no cause.
func newError(op string, err error, otherwise Code) *Error {
	e := &Error{Op: op, Code: otherwise, err: err}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			e.Code = c.code
			break
		}
	}
	// What follows the first line is for a developer, such as the stack of a panic.
	e.Msg, _, _ = strings.Cut(err.Error(), "\n")
	return e
}

// Error returns Msg.
func (e *Error) Error() string { return e.Msg }

// Unwrap returns the error that Msg is the text of.
func (e *Error) Unwrap() error { return e.err }

// Is tells whether target is the cause that Code names.
func (e *Error) Is(target error) bool {
	for _, c := range causes {
		if c.code == e.Code {
			return target == c.err //nolint:errorlint // Is is what errors.Is asks of each error of a chain
		}
	}
	return false
}
