package verify_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
)

// opened is the one library of the process: TensorRT-RTX and TensorRT never share one.
var opened struct {
	sync.Once
	library *native.Library
	err     error
}

// library opens TensorRT-RTX, or skips the test; with TRTGO_REQUIRE_TENSORRT=1 it fails instead.
func library(t testing.TB) *native.Library {
	t.Helper()
	compiler, shim := os.Getenv("TRTGO_RTX_COMPILER"), os.Getenv("TRTGO_NATIVE_LIB_RTX")
	if compiler == "" || shim == "" {
		const missing = "needs TensorRT-RTX's compiler and its shim: TRTGO_RTX_COMPILER and TRTGO_NATIVE_LIB_RTX (scripts/verify_tensorrt.sh sets them)"
		if required, _ := strconv.ParseBool(os.Getenv("TRTGO_REQUIRE_TENSORRT")); required {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	opened.Do(func() {
		opened.library, opened.err = native.Open(native.Options{Flavour: native.TensorRTRTX, Path: shim, TensorRT: compiler})
	})
	require.NoError(t, opened.err)
	return opened.library
}

// planFile is where a plan goes.
func planFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "plan"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}
