// Package nativetest compiles a library for package native that has no TensorRT: its plan is the list of
// the calls that were made, and its executor counts. testdata/*.c say which names make them fail. It is for tests only.
package nativetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Library compiles the library with the given macros, e.g. `FLAVOUR="tensorrt-rtx"`, and returns its path.
func Library(t testing.TB, macros ...string) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	require.True(t, ok)
	here := filepath.Dir(file)
	path := filepath.Join(t.TempDir(), "libfake.so")
	args := []string{"-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread", "-I", filepath.Join(here, "..", "..", "csrc", "native"), "-o", path}
	for _, m := range macros {
		args = append(args, "-D"+m)
	}
	compiler := strings.Fields(os.Getenv("CC"))
	if len(compiler) == 0 {
		compiler = []string{"cc"}
	}
	args = append(compiler[1:], append(args, filepath.Join(here, "testdata", "fake.c"), filepath.Join(here, "testdata", "executor.c"))...)
	out, err := exec.Command(compiler[0], args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}
