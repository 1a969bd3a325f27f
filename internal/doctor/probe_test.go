//go:build cgo && linux && (amd64 || arm64)

package doctor_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/doctor"
)

// The CPU backend really runs a step; the kernels are those that were asked for.
func TestProbeCPU(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TRTGO_CPU_ISA", "scalar")
	found := doctor.ProbeCPU(t.Context())
	require.Empty(t, found.Error)
	require.Equal(t, "scalar", found.ISA)
	require.Positive(t, found.Threads)
	require.Positive(t, found.AvailableMemory)
	t.Setenv("TRTGO_CPU_ISA", "sse")
	require.Contains(t, doctor.ProbeCPU(t.Context()).Error, "TRTGO_CPU_ISA")
	t.Setenv("TRTGO_CPU_ISA", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NotEmpty(t, doctor.ProbeCPU(ctx).Error)
	t.Setenv("TMPDIR", "/nonexistent")
	require.Contains(t, doctor.ProbeCPU(t.Context()).Error, "/nonexistent")
}
