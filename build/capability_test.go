package build_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// An engine for TensorRT-LLM records the GPU that it was built on; another one cannot be asked for.
func TestRecordedCapability(t *testing.T) {
	build.SetCompiler(t, build.FakeCompiler{Compile: planner, Version: "10.14.1"})
	t.Cleanup(func() { build.SetDevices(nil) })
	o := trtllm(t, 1, 1)
	recorded := func() []string {
		t.Helper()
		mustBuild(t, o)
		c, err := engineconfig.Read(o.OutputDir)
		require.NoError(t, err)
		return c.Trtgo.ComputeCapabilities
	}
	require.Empty(t, recorded(), "there is none")
	build.SetDevices([]native.Device{{Name: "L4", Capability: 89}, {Name: "H100", Capability: 90}})
	require.Equal(t, []string{"8.9"}, recorded())
	o.ComputeCapabilities = []string{"8.9"}
	require.Equal(t, []string{"8.9"}, recorded())

	o.ComputeCapabilities = []string{"90"}
	_, err := build.Build(t.Context(), o)
	require.ErrorIs(t, err, build.ErrOption)
	require.EqualError(t, err, "illegal option: --compute_capability 9.0: the GPU of this machine (L4) has 8.9, and TensorRT builds for the GPU that it runs on: leave the flag out, or build on the other machine")
	o.DryRun = true // nothing is built here
	report := mustBuild(t, o)
	require.Equal(t, []string{"9.0"}, report.ComputeCapabilities)
	o.ComputeCapabilities = nil
	require.Empty(t, mustBuild(t, o).ComputeCapabilities, "a dry run is for any machine")

	// Workers build on all of them.
	o = trtllm(t, 2, 1)
	o.Workers = 2
	o.WorkerCommand = []string{filepath.Join(t.TempDir(), "none")}
	o.ComputeCapabilities = []string{"9.0"}
	_, err = build.Build(t.Context(), o)
	require.ErrorContains(t, err, "the worker that builds rank", "they may be of several kinds")
}
