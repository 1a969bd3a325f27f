package floatformat_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/floatformat"
)

func TestRoundSymmetric(t *testing.T) {
	codes := make([]int8, 6)
	require.Equal(t, float32(0.5), floatformat.RoundSymmetric(codes, []float32{4, -4, 0.25, -0.25, 0.7, 0}, 4))
	require.Equal(t, []int8{7, -8, 1, -1, 1, 0}, codes, "halves go away from zero, the largest is clamped")
	require.Equal(t, float32(2), floatformat.RoundSymmetric(codes, []float32{256, -256, 253, 1, -3, 0.99}, 8))
	require.Equal(t, []int8{127, -128, 127, 1, -2, 0}, codes)
	require.Zero(t, floatformat.RoundSymmetric(codes, make([]float32, 6), 8))
	require.Equal(t, make([]int8, 6), codes)
	require.Zero(t, floatformat.SymmetricScale([]float32{1e-45}, 8), "no scale is left for the smallest numbers")
	require.True(t, math.IsInf(float64(floatformat.SymmetricScale([]float32{1, float32(math.Inf(-1))}, 8)), 1))
	scale := floatformat.SymmetricScale([]float32{1, float32(math.NaN()), 2}, 8)
	require.True(t, scale != scale)
}

// The codes are the rounding that the documentation states, computed by math.Round.
func TestRoundSymmetricAsDefined(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		values := make([]float32, 64)
		exponent := r.IntN(250) - 125
		for i := range values {
			values[i] = float32(math.Ldexp(float64(r.IntN(513)-256), exponent-r.IntN(12)))
			if r.IntN(4) == 0 { // around a half
				values[i] = math.Nextafter32(values[i], float32(r.NormFloat64()))
			}
		}
		for _, bits := range []int{4, 8} {
			codes := make([]int8, len(values))
			scale := floatformat.RoundSymmetric(codes, values, bits)
			most := math.Ldexp(1, bits-1)
			for i, v := range values {
				want := int8(0)
				if scale != 0 {
					want = int8(min(max(math.Round(float64(v/scale)), -most), most-1))
				}
				require.Equal(t, want, codes[i], "%v with scale %v to %d bits", v, scale, bits)
			}
		}
	}
}
