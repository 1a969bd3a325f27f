// Package nativetest compiles a library for package native that has no TensorRT: its plan is the list of
// the calls that were made, and its executor counts. testdata/*.c say which names make them fail. It is for tests only.
package nativetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Library compiles the library with the given macros, e.g. `FLAVOUR="tensorrt-rtx"`, and returns its path.
func Library(t testing.TB, macros ...string) string {
	t.Helper()
	return compile(t, "libfake.so", macros, "fake.c", "executor.c")
}

// CUDA compiles a library of CUDA's driver with the given macros, which testdata/cuda.c lists, and returns its path.
func CUDA(t testing.TB, macros ...string) string {
	t.Helper()
	return compile(t, "libcuda.so.1", macros, "cuda.c")
}

var (
	mutex    sync.Mutex
	compiled = map[string][]byte{} // libraries by what they are made of
)

// compile returns the path of a new copy of a library: the dynamic loader loads each once, with its own variables.
func compile(t testing.TB, name string, macros []string, sources ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	mutex.Lock()
	defer mutex.Unlock()
	key := strings.Join(append([]string{name}, macros...), " ")
	if compiled[key] == nil {
		runCompiler(t, path, macros, sources)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		compiled[key] = b
		return path
	}
	require.NoError(t, os.WriteFile(path, compiled[key], 0o700))
	return path
}

func runCompiler(t testing.TB, path string, macros, sources []string) {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	require.True(t, ok)
	here := filepath.Dir(file)
	compiler := strings.Fields(os.Getenv("CC"))
	if len(compiler) == 0 {
		compiler = []string{"cc"}
	}
	args := append(compiler[1:], "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread",
		"-I", filepath.Join(here, "..", "..", "csrc", "native"), "-o", path)
	for _, m := range macros {
		args = append(args, "-D"+m)
	}
	for _, s := range sources {
		args = append(args, filepath.Join(here, "testdata", s))
	}
	out, err := exec.Command(compiler[0], args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
