//go:build cgo && linux

package native

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/nativetest"
)

// TestSignals: a library that replaces handlers of signals when it is loaded does not take Go its panics. That its
// handlers would do so is seen where they are installed in a call that nothing guards.
func TestSignals(t *testing.T) {
	hostile := nativetest.Library(t, "HOSTILE")
	child := func(network string) error {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "TRTGO_TEST_HOSTILE="+hostile, "TRTGO_TEST_NETWORK="+network)
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	require.NoError(t, child("friendly"))
	var exit *exec.ExitError
	require.ErrorAs(t, child("hostile"), &exit)
	require.Equal(t, 99, exit.ExitCode(), "that of the library's handlers")
}

// panicWith is the process that TestSignals starts: it panics with the library loaded and returns its exit code.
func panicWith(path, network string) (code int) {
	lib, err := Open(Options{Path: path})
	if err == nil {
		_, err = lib.NewNetwork(NetworkOptions{Name: network})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() {
		if recover() == nil {
			code = 2
		}
	}()
	var nothing *Executor
	nothing.leader = true
	return 3
}
