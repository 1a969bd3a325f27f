package trtllm

import (
	"errors"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// Errors that the package returns, wrapped with what, where and the numbers that
// disagree. Test for them with errors.Is. A request that its context ended has the
// context's error.
var (
	// ErrNotAnEngine is returned by Open for a directory that is no engine, or
	// whose files are broken or of another version.
	ErrNotAnEngine = errors.New("not an engine directory")

	// ErrNoBackend is returned by Open when nothing on this machine, or in this
	// build of the program, can run the engine.
	ErrNoBackend = executor.ErrNoBackend

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

	// ErrClosed is returned by an engine that was closed, also to what was running.
	ErrClosed = executor.ErrClosed
)
