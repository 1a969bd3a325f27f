//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

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
