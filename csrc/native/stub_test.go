//go:build !cgo || !linux

package native

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpen(t *testing.T) {
	lib, err := Open(Options{Flavour: TensorRT, Path: "libtrtgo_tensorrt.so"})
	require.Nil(t, lib)
	require.ErrorIs(t, err, ErrUnavailable)
}

// TestExecutor: what cannot be had says so, and ends without an error.
func TestExecutor(t *testing.T) {
	x, err := (&Library{}).NewExecutor(ExecutorOptions{})
	require.Nil(t, x)
	require.ErrorIs(t, err, ErrUnavailable)
	x = &Executor{}
	_, err = x.Enqueue(Request{})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, x.Await(0, nil), ErrUnavailable)
	require.ErrorIs(t, x.Cancel(1), ErrUnavailable)
	require.ErrorIs(t, x.Drain(), ErrUnavailable)
	require.ErrorIs(t, x.Shutdown(), ErrUnavailable)
	_, err = x.IterationStats()
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = x.RequestStats()
	require.ErrorIs(t, err, ErrUnavailable)
	require.False(t, x.Leader())
	x.Close()
	require.NoError(t, Finalize())
	devices, err := Devices()
	require.Nil(t, devices)
	require.ErrorIs(t, err, ErrUnavailable)
}
