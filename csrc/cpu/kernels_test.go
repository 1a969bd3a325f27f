//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Half a unit in the last place of 1: the relative error of one rounding.
const unit = 0x1p-24

// eachKernelSet runs f for every set that this machine can run; the others are
// skipped by name.
func eachKernelSet(t *testing.T, f func(t *testing.T, s kernelSet)) {
	t.Helper()
	for _, name := range kernelSetNames {
		t.Run(name, func(t *testing.T) {
			s := newKernelSet(name)
			if !s.known() {
				t.Skipf("kernel set %s is not compiled for this architecture", name)
			}
			if !s.supported() {
				t.Skipf("this processor cannot run kernel set %s", name)
			}
			f(t, s)
		})
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }

func normals(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * scale)
	}
	return x
}

func widenBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// roundBF16 rounds to nearest even by comparing distances, not by the bit trick of
// the kernels.
func roundBF16(x float32) uint16 {
	bits := math.Float32bits(x)
	down := uint16(bits >> 16)
	if x != x {
		return down | 0x40
	}
	if bits&0x7fffffff == 0x7f800000 {
		return down
	}
	up := down + 1 // away from zero; past the largest it stands for 2^128
	value := func(b uint16) float64 {
		if b&0x7fff == 0x7f80 {
			return math.Copysign(0x1p128, float64(x))
		}
		return float64(widenBF16(b))
	}
	below, above := math.Abs(float64(x)-value(down)), math.Abs(float64(x)-value(up))
	if above < below || above == below && down&1 == 1 {
		return up
	}
	return down
}

func roundAllBF16(x []float32) []uint16 {
	out := make([]uint16, len(x))
	for i, v := range x {
		out[i] = roundBF16(v)
	}
	return out
}

// alignedBytes returns n bytes on a 64-byte boundary, followed by 64 bytes of a
// pattern, and a check that the pattern is whole.
func alignedBytes(n int) (p unsafe.Pointer, intact func() bool) {
	const pattern = 0xa5
	buffer := make([]byte, n+192)
	start := int(-uintptr(unsafe.Pointer(unsafe.SliceData(buffer))) & 63)
	guard := buffer[start+n : start+n+64]
	for i := range guard {
		guard[i] = pattern
	}
	want := bytes.Clone(guard)
	return unsafe.Pointer(&buffer[start]), func() bool { return bytes.Equal(guard, want) }
}

// sameBits requires equal bits, except that any NaN equals any NaN.
func sameBits(t *testing.T, want, got []float32, message ...any) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		if want[i] != want[i] && got[i] != got[i] {
			continue
		}
		if math.Float32bits(want[i]) != math.Float32bits(got[i]) {
			require.Failf(t, "bits differ", "at %d: %x and %x (%v)", i, want[i], got[i], message)
		}
	}
}

// likely is the bound of Higham and Mary on the rounding errors of n operations,
// relative to the sum of magnitudes: 6 √n units fails once in 10^7 sums, and never
// exceeds the certain bound n.
func likely(n int) float64 { return min(float64(n), 6*math.Sqrt(float64(n))) * unit }

func TestKernelSetsAreFoundByName(t *testing.T) {
	require.False(t, newKernelSet("avx1024").known())
	require.False(t, newKernelSet("").known())
	require.False(t, newKernelSet("avx1024").supported())
	require.True(t, newKernelSet("scalar").supported())
	best := bestKernels()
	require.NotEqual(t, "avx512bf16-emulated", best)
	require.True(t, newKernelSet(best).supported())
	for _, name := range []string{"avx512bf16", "avx2", "neonbf16", "neondotprod", "neon"} { // fastest first
		if newKernelSet(name).supported() {
			require.Equal(t, name, best)
			break
		}
	}
	if want := os.Getenv("TRTGO_TEST_BEST_ISA"); want != "" { // of an emulated processor
		require.Equal(t, want, best)
	}
}

func TestToBF16(t *testing.T) {
	var x []float32
	for upper := range uint32(1 << 16) { // every bf16, and around each tie
		for _, lower := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			x = append(x, math.Float32frombits(upper<<16|lower))
		}
	}
	want := roundAllBF16(x)
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		got := make([]uint16, len(x)+1)
		got[len(x)] = 0x1234
		s.toBF16(&x[0], &got[0], len(x))
		for i := range x {
			if got[i] != want[i] {
				require.Equalf(t, want[i], got[i], "bits %08x", math.Float32bits(x[i]))
			}
		}
		require.Equal(t, uint16(0x1234), got[len(x)])
		for n := range 40 { // tails
			clear(got)
			s.toBF16(&x[7], &got[0], n)
			require.Equal(t, want[7:7+n], got[:n])
			require.Zero(t, got[n])
		}
	})
}

func TestAmax(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		require.Zero(t, s.amax(&[]float32{1}[0], 0))
		r := newRand(1)
		for n := 1; n < 70; n++ {
			x := normals(r, n, 1)
			at := r.IntN(n)
			x[at] = -100
			require.Equal(t, float32(100), s.amax(&x[0], n))
			x[at] = -inf
			require.Equal(t, inf, s.amax(&x[0], n))
			x[r.IntN(n)] = float32(math.Copysign(float64(nan), -1))
			require.True(t, math.IsNaN(float64(s.amax(&x[0], n))), "a NaN must be seen, n = %d", n)
		}
		denormal := math.Float32frombits(3)
		require.Equal(t, denormal, s.amax(&[]float32{0, -denormal}[0], 2))
	})
}
