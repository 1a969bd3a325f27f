package floatformat_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/floatformat"
)

// testdata/e4m3.bin has 256 float32, torch's value of every code, then pairs of a
// float32 and torch's code for it clamped to ±448, see scripts/quantised_goldens.py.
func TestE4M3EqualsTorch(t *testing.T) {
	data, err := os.ReadFile("testdata/e4m3.bin")
	require.NoError(t, err)
	for code := range 256 {
		want := binary.LittleEndian.Uint32(data[4*code:])
		got := floatformat.FromE4M3(byte(code))
		if v := math.Float32frombits(want); v != v {
			require.True(t, got != got, "%#x", code)

			continue
		}
		require.Equal(t, want, math.Float32bits(got), "%#x", code)
		require.Equal(t, byte(code), floatformat.ToE4M3(got), "%#x", code)
	}
	data = data[4*256:]
	require.NotEmpty(t, data)
	require.Zero(t, len(data)%5)
	for ; len(data) > 0; data = data[5:] {
		v := math.Float32frombits(binary.LittleEndian.Uint32(data))
		require.Equal(t, data[4], floatformat.ToE4M3(v), "%g", v)
	}
	require.EqualValues(t, floatformat.E4M3NaN, floatformat.ToE4M3(float32(math.NaN()))&0x7f)
	require.EqualValues(t, 0x7e, floatformat.ToE4M3(float32(math.Inf(1))))
	require.EqualValues(t, 0xfe, floatformat.ToE4M3(-1e30))
}

// Whatever is rounded, the NaN codes come of NaN alone, and the nearest code is taken.
func TestE4M3IsNearest(t *testing.T) {
	var numbers []float64
	for code := range 0x7f {
		numbers = append(numbers, float64(floatformat.FromE4M3(byte(code))))
	}
	require.IsIncreasing(t, numbers)
	require.Equal(t, 448.0, numbers[len(numbers)-1])
	for i := range 1 << 16 {
		v := math.Float32frombits(uint32(i) << 15) // half the bits of every positive float32 in steps
		if v != v {
			continue
		}
		code := floatformat.ToE4M3(v)
		require.False(t, bytes.Contains([]byte{0x7f, 0xff}, []byte{code}), "%g", v)
		got, clamped := numbers[code], min(float64(v), 448)
		for _, other := range []int{int(code) - 1, int(code) + 1} {
			if other >= 0 && other < len(numbers) {
				require.LessOrEqual(t, math.Abs(got-clamped), math.Abs(numbers[other]-clamped), "%g", v)
			}
		}
	}
}

func TestDecodeInt4(t *testing.T) {
	low, high := make([]float32, 4), make([]float32, 4)
	src := []byte{0x07, 0x8f, 0xf0, 0x78}
	floatformat.DecodeInt4(low, src, false)
	floatformat.DecodeInt4(high, src, true)
	require.Equal(t, []float32{7, -1, 0, -8}, low)
	require.Equal(t, []float32{0, -8, -1, 7}, high)
}
