package native

import "errors"

// What errors.Is finds in the errors of this package, but ErrUnavailable in a [*Error]: by its status, or from
// ErrQueueFull to ErrBroken, and others too, by what its text tells of (see [Class]).
var (
	ErrInvalid     = errors.New("TensorRT or its binding refused it")
	ErrNotFound    = errors.New("a library, plugin or name was not found")
	ErrVersion     = errors.New("a library has another version than is needed")
	ErrCancelled   = errors.New("the build was cancelled")
	ErrIO          = errors.New("writing failed")
	ErrMemory      = errors.New("memory ran out")
	ErrInternal    = errors.New("an unexpected exception in native code")
	ErrClosed      = errors.New("it was closed")
	ErrQueueFull   = errors.New("too many requests wait")
	ErrTooLong     = errors.New("the prompt or its output is too long for the engine")
	ErrUnsupported = errors.New("the engine, or TensorRT-LLM, cannot do it")
	ErrBroken      = errors.New("the GPU or what connects GPUs failed")
	ErrUnavailable = errors.New("TensorRT needs linux and a program built with cgo")
)

// Status is what kind of failure an [*Error] is.
type Status int32

// The statuses of trtgo.h.
const (
	StatusInvalid Status = iota + 1
	StatusNotFound
	StatusVersion
	StatusCancelled
	StatusIO
	StatusMemory
	StatusInternal
	StatusClosed
)

var sentinels = map[Status]error{
	StatusInvalid: ErrInvalid, StatusNotFound: ErrNotFound, StatusVersion: ErrVersion, StatusCancelled: ErrCancelled,
	StatusIO: ErrIO, StatusMemory: ErrMemory, StatusInternal: ErrInternal,
	StatusClosed: ErrClosed,
}

// Error is a failure in native code.
type Error struct {
	Status    Status
	Operation string // the function that failed, e.g. "addMatrixMultiply"
	Text      string // one sentence; TensorRT's own words come last
}

// Error returns operation and text.
func (e *Error) Error() string { return e.Operation + ": " + e.Text }

// Is tells whether target is the sentinel of the status, or the class of the text.
func (e *Error) Is(target error) bool {
	return target != nil && (sentinels[e.Status] == target || Class(e.Text) == target)
}
