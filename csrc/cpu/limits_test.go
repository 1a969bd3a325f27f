//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

func TestLimits(t *testing.T) {
	for _, isa := range kernelSets {
		if !newKernelSet(isa).supported() {
			_, err := OpenLimits(Options{ISA: isa, Threads: 1})
			require.ErrorContains(t, err, "this machine cannot run the kernel set "+isa)
			continue
		}
		limits, err := OpenLimits(Options{ISA: isa, Threads: 2})
		require.NoError(t, err)
		bytes, took, err := limits.Read(t.Context(), 5<<20)
		require.NoError(t, err)
		require.EqualValues(t, 5<<20, bytes)
		require.Positive(t, took)
		for _, a := range []Arithmetic{Floats, Pairs, Integers} {
			operations, took, err := limits.Multiply(t.Context(), a, 1e7)
			require.NoError(t, err)
			require.InDelta(t, 1e7, operations, 5e6, "%s: %s", isa, a)
			require.Positive(t, took)
			t.Logf("%s: %s: %.1f GFLOP/s", isa, a, operations/took.Seconds()/1e9)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		held, err := limits.cores.take(t.Context(), maxThreads) // all of them
		require.NoError(t, err)
		cancel()
		_, _, err = limits.Read(cancelled, 1)
		require.ErrorIs(t, err, executor.ErrAborted)
		limits.cores.give(held)
		limits.Close()
		limits.Close()
		_, _, err = limits.Multiply(t.Context(), Floats, 1)
		require.ErrorIs(t, err, executor.ErrClosed)
	}
}

func TestLimitsOptions(t *testing.T) {
	_, err := OpenLimits(Options{Threads: maxThreads + 1})
	require.ErrorIs(t, err, executor.ErrInvalidOption)
	require.ErrorContains(t, err, "threads is 1025, want 0 (the default) to 1024")
	_, err = OpenLimits(Options{ISA: "none"})
	require.ErrorContains(t, err, "none")
}

func TestArithmeticOf(t *testing.T) {
	for _, c := range []struct {
		isa, precision, dtype string
		want                  Arithmetic
	}{
		{"avx512bf16", "fast", cpuengine.DtypeBF16, Pairs}, {"avx512bf16", "fast", cpuengine.DtypeFP8, Pairs},
		{"neonbf16", "fast", cpuengine.DtypeBF16, Pairs}, {"neondotprod", "fast", cpuengine.DtypeBF16, Floats},
		{"avx512bf16", "exact", cpuengine.DtypeBF16, Floats}, {"avx2", "fast", cpuengine.DtypeBF16, Floats},
		{"avx2", "fast", cpuengine.DtypeInt4, Integers}, {"avx2", "exact", cpuengine.DtypeInt8, Floats},
		{"avx512bf16", "fast", cpuengine.DtypeF16, Floats}, {"avx512bf16", "exact", cpuengine.DtypeF32, Floats},
	} {
		require.Equal(t, c.want, ArithmeticOf(c.isa, c.precision, c.dtype), "%v", c)
	}
	require.Equal(t, []string{"float32", "bfloat16 pairs", "int16 pairs"}, []string{Floats.String(), Pairs.String(), Integers.String()})
}
