package trtllm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The worker is what was named, else beside the library, else in PATH; where it is not, one sentence says so.
func TestFindWorker(t *testing.T) {
	dir := t.TempDir()
	write := func(mode os.FileMode, name ...string) string {
		path := filepath.Join(append([]string{dir}, name...)...)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, mode))
		return path
	}
	env := func(string) string { return filepath.Join(dir, "path") }
	library := filepath.Join(dir, "tensorrt_llm/libs/libtensorrt_llm.so")
	_, err := findWorker("", env, library)
	require.ErrorIs(t, err, ErrNoBackend)
	require.EqualError(t, err, "no backend for this engine here: an orchestrator starts TensorRT-LLM's program executorWorker, which is not in "+
		dir+"/tensorrt_llm/bin, "+dir+"/tensorrt_llm/libs, /app/tensorrt_llm/bin, nor in PATH: name it as the orchestrator's worker (--executor_worker), or start this by mpirun instead")

	write(0o644, "tensorrt_llm/bin/executorWorker") // cannot be run
	inPath := write(0o755, "path", "executorWorker")
	found, err := findWorker("", env, library)
	require.NoError(t, err)
	require.Equal(t, inPath, found)
	require.NoError(t, os.Chmod(filepath.Join(dir, "tensorrt_llm/bin/executorWorker"), 0o755))
	found, err = findWorker("", env, library)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "tensorrt_llm/bin/executorWorker"), found)
	found, err = findWorker("", env, "")
	require.NoError(t, err)
	require.Equal(t, inPath, found)

	mine := write(0o755, "mine")
	found, err = findWorker(mine, env, library)
	require.NoError(t, err)
	require.Equal(t, mine, found)
	_, err = findWorker(filepath.Join(dir, "none"), env, library)
	require.ErrorIs(t, err, ErrInvalidOption)
	require.ErrorContains(t, err, "the worker "+dir+"/none of the orchestrator cannot be run (")
}

// What the process has loaded is found by its name: on linux libc or, without it, the program itself.
func TestLoadedFrom(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	if _, err := os.Stat("/proc/self/maps"); err != nil {
		require.Empty(t, loadedFrom(filepath.Base(program)))
		return
	}
	require.Equal(t, program, loadedFrom(filepath.Base(program)))
	require.Empty(t, loadedFrom("libnothing"))
}
