package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// That MPI did not end is told as such, and only where the command went well.
func TestFinalize(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		err    error
		want   string
	}{
		{"well", exitDone, nil, ""},
		{"an engine that did not close", exitDone, errors.New("an executor is open: close it first"),
			"trtgo: warning: MPI was not ended, which mpirun takes for a failure of this process: an executor is open: close it first\n"},
		{"after a failure", exitFailed, errors.New("an executor is open: close it first"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			called := 0
			finalize(c.status, func() error { called++; return c.err }, &stderr)
			require.Equal(t, 1, called)
			require.Equal(t, c.want, stderr.String())
		})
	}
}
