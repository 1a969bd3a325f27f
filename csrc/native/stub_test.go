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
