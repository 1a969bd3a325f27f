package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/trtllm"
)

const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	status := run(os.Args, os.Stdin, os.Stdout, os.Stderr)
	finalize(status, trtllm.Finalize, os.Stderr)
	os.Exit(status)
}

// run is main as a function: args[0] is the program's name, the result the exit
// status. An interrupt ends the running command cleanly; a second one ends the process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := watchInterrupts()
	defer stop()

	app := newApp(stdin, stdout, stderr)
	argv, err := normalizeArgs(app, args)
	if err == nil {
		err = app.RunContext(ctx, argv)
	}
	switch {
	case err == nil:
		return exitDone
	case isUsage(err):
		fmt.Fprintf(stderr, "trtgo: %v\n", err)
		return exitUsage
	case ctx.Err() != nil, errors.Is(err, errInterrupted):
		fmt.Fprintln(stderr, "trtgo: interrupted")
		return exitInterrupted
	case errors.Is(err, errReported):
		return exitFailed
	default:
		fmt.Fprintf(stderr, "trtgo: %v\n", err)
		return exitFailed
	}
}

// isUsage tells whether the command line asked for what no file or machine could
// make good.
func isUsage(err error) bool {
	if errors.As(err, new(*usageError)) {
		return true
	}
	for _, option := range []error{export.ErrOption, build.ErrOption, build.ErrUnsupported, evaluation.ErrOptions, trtllm.ErrInvalidOption, benchmark.ErrShape} {
		if errors.Is(err, option) {
			return true
		}
	}
	return false
}

// errReported ends a command with status 1 whose failures are already printed.
var errReported = errors.New("failed")

// usageError is a mistake in the command line: exit status 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, a ...any) error {
	return &usageError{fmt.Errorf(format, a...)}
}
