//go:build cgo && linux

package native

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/nativetest"
)

// TestTruncated: a library that was copied in part is an error, where loading it would end the process; also one that
// trtgo's library needs, and the plugins beside that.
func TestTruncated(t *testing.T) {
	half := func(path string) string {
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, whole[:len(whole)/4], 0o600))
		return path
	}
	refused := func(path, names string) {
		t.Helper()
		_, err := Open(Options{Path: path})
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorContains(t, err, "a library is not whole")
		require.ErrorContains(t, err, names)
	}
	ours := half(nativetest.Library(t))
	refused(ours, ours)

	compile := func(path string, args ...string) string {
		source := filepath.Join(t.TempDir(), "a.c")
		require.NoError(t, os.WriteFile(source, []byte("int numbers[4096] = {1};"), 0o600))
		out, err := exec.Command("cc", append([]string{"-shared", "-fPIC", "-o", path, source}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return path
	}
	for _, name := range []string{"libtensorrt_llm.so", pluginsFile} {
		dir := t.TempDir()
		needed := compile(filepath.Join(dir, "libtensorrt_llm.so"), "-Wl,-soname,libtensorrt_llm.so")
		compile(filepath.Join(dir, pluginsFile))
		path := compile(filepath.Join(dir, "libours.so"), "-Wl,--no-as-needed", needed, "-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN")
		require.NoError(t, checkWhole(path)) // not loaded: what is mapped must not be cut
		refused(path, half(filepath.Join(dir, name)))
	}
}
