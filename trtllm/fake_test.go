//go:build cgo && linux

package trtllm_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/nativetest"
	"github.com/trtgo/trtgo/trtllm"
)

// The way from Open to Close needs no stand-in either: over a library of a few lines of C, whose model counts and whose
// GPU is as simple.
func TestFakeLibrary(t *testing.T) {
	if os.Getenv(childVariable) != t.Name() {
		dir := t.TempDir()
		require.NoError(t, os.Symlink(nativetest.CUDA(t), filepath.Join(dir, "libcuda.so.1")))
		env := append(os.Environ(), childVariable+"="+t.Name(), "TRTGO_NATIVE_LIB="+nativetest.Library(t), "LD_LIBRARY_PATH="+dir)
		out, err := childProcess(t, env).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: "+t.Name(), "it did run")
		return
	}
	dir := filepath.Join(t.TempDir(), "engine")
	_, err := trtllm.Open(t.Context(), nativeEngine(t, 1, nil))
	require.ErrorIs(t, err, trtllm.ErrNoBackend)
	require.ErrorContains(t, err, "the engine was built for compute capability 8.9, and GPU 0 (GPU 7) has 7.5")
	nativetest.Engine(t, dir, 1, 97, func(c *engineconfig.Config) {
		c.Trtgo.ComputeCapabilities, c.Trtgo.TensorRT = []string{"7.5"}, "10.14.1"
	})
	e := openNative(t, dir)
	response, err := e.Generate(t.Context(), trtllm.Request{InputIDs: []int32{3, 7}, MaxTokens: 4, EndIDs: []int32{}})
	require.NoError(t, err)
	require.Equal(t, []int32{8, 9, 10, 11}, response.OutputIDs)
	require.NoError(t, e.Close())

	refused := filepath.Join(t.TempDir(), "refused")
	require.NoError(t, os.Rename(dir, refused))
	_, err = trtllm.Open(t.Context(), refused)
	require.ErrorIs(t, err, trtllm.ErrNoBackend)
	require.ErrorContains(t, err, "refused: no backend for this engine here: the engine was built by another release of TensorRT-LLM than the one that is loaded")
	follower := filepath.Join(t.TempDir(), "follower")
	require.NoError(t, os.Rename(refused, follower))
	e = openNative(t, follower)
	require.False(t, e.Leader())
	_, err = e.Generate(t.Context(), trtllm.Request{InputIDs: []int32{3}})
	require.ErrorIs(t, err, trtllm.ErrNotLeader)
	require.NoError(t, e.Wait(t.Context()))
	require.NoError(t, e.Close())
	require.NoError(t, trtllm.Finalize())
}
