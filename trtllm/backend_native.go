package trtllm

import (
	"errors"
	"fmt"

	"github.com/trtgo/trtgo/csrc/native"
)

// noLibrary says that something is missing that runs engines for TensorRT-LLM.
func noLibrary(what string, err error) error {
	text := err.Error()
	var e *native.Error
	if errors.As(err, &e) {
		text = e.Text // without the function that failed
	}
	return &missingError{fmt.Sprintf("%v: %s%s; trtgo doctor --backend tensorrt-llm tells what is missing here, and trtgo build --backend cpu builds the model for this machine", ErrNoBackend, what, text), err}
}

// missingError is an ErrNoBackend with a text of its own.
type missingError struct {
	text string
	err  error
}

func (e *missingError) Error() string   { return e.text }
func (e *missingError) Unwrap() []error { return []error{ErrNoBackend, e.err} }
