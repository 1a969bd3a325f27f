//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"encoding/binary"
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// TestRoundE4M3 compares with package floatformat, which is checked against torch, at
// half a million numbers of every magnitude, among them all middles between codes.
func TestRoundE4M3(t *testing.T) {
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += 1 << 13 {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	x = append(x, 448, 463.99, 464, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), float32(math.Copysign(0, -1)))
	for _, scale := range []float32{1, 0.0123, 3.7, 1e-8} {
		for i, got := range roundE4M3(x, scale) {
			want := floatformat.FromE4M3(floatformat.ToE4M3(x[i]/scale)) * scale
			if math.IsNaN(float64(want)) {
				require.True(t, math.IsNaN(float64(got)), "%g", x[i])
			} else if math.Float32bits(want) != math.Float32bits(got) {
				require.Equal(t, want, got, "%g by %g", x[i], scale)
			}
		}
	}
}

// Every code as a weight, at each place in its line, comes out of a linear as it is.
func TestLinearTakesEveryE4M3(t *testing.T) {
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		const k, n, panelBytes = 4, 256, 64 + 64
		for at := range k {
			panels := make([]byte, n/16*panelBytes)
			for code := range n {
				panel, lane := panels[code/16*panelBytes:], code%16
				binary.LittleEndian.PutUint32(panel[4*lane:], math.Float32bits(1))
				panel[64+4*lane+[]int{0, 2, 1, 3}[at]] = byte(code)
			}
			floats, halves, y := make([]float32, 8), make([]uint16, 8), make([]float32, n)
			floats[at], halves[at] = 1, roundBF16(1)
			scratch, _ := alignedBytes(s.linearScratchBytes(1, k))
			for xBF16, x := range map[bool]unsafe.Pointer{false: unsafe.Pointer(&floats[0]), true: unsafe.Pointer(&halves[0])} {
				s.linear(linearCall{xBF16: xBF16, shape: weightShape{dtype: cpuengine.DtypeFP8, k: k}, x: x, w: unsafe.Pointer(&panels[0]), scratch: scratch, y: &y[0], ldx: 8, ldy: n, m: 1, panelEnd: n / 16})
				for code, got := range y {
					want := floatformat.FromE4M3(byte(code))
					if got != want && (got == got || want == want) {
						require.Equal(t, want, got, "code %#x at %d, bf16 %v", code, at, xBF16)
					}
				}
			}
		}
	})
}
