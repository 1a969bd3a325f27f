package floatformat_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/x448/float16"
)

func decode(dtype string, bytes ...byte) float32 {
	var v [1]float32
	floatformat.Decode(v[:], bytes, dtype)
	return v[0]
}

func TestEveryHalfIsDecodedAndComesBack(t *testing.T) {
	for bits := range 1 << 16 {
		src := binary.LittleEndian.AppendUint16(nil, uint16(bits))
		half, bfloat := decode("F16", src...), decode("BF16", src...)
		if want := float16.Frombits(uint16(bits)).Float32(); math.Float32bits(want) != math.Float32bits(half) || math.Float32bits(bfloat) != uint32(bits)<<16 {
			t.Fatalf("%#x is decoded to %x and %x", bits, half, bfloat)
		}
		for dtype, value := range map[string]float32{"F16": half, "BF16": bfloat} {
			var back [2]byte
			if floatformat.Encode(back[:], []float32{value}, dtype) || value == value && [2]byte(src) != back {
				t.Fatalf("%#x of %s comes back as %x", bits, dtype, back)
			}
		}
	}
}

// Rounding is checked against the definition, in float64: the nearer of the two
// neighbours, of equally near ones the even one.
func TestRounding(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, dtype := range []string{"F16", "BF16"} {
		for i := range 40_000 {
			bits := random.Uint32()
			switch i % 4 {
			case 0: // ties and their neighbours
				bits = bits&^0x1fff | 0x1000 + uint32(i/4%3) - 1
			case 1:
				bits = bits&^0xffff | 0x8000 + uint32(i/4%3) - 1
			case 2: // half precision's range, subnormals included
				bits = bits&^0x7f800000 | (127-25+bits>>23%42)<<23
			}
			v := math.Float32frombits(bits)
			var dst [2]byte
			overflow := floatformat.Encode(dst[:], []float32{v}, dtype)
			got := decode(dtype, dst[:]...)
			if v != v {
				require.True(t, got != got)
				continue
			}
			if math.IsInf(float64(got), 0) {
				require.Equal(t, !math.IsInf(float64(v), 0), overflow, "%s of %x", dtype, bits)
				continue
			}
			require.False(t, overflow)
			code := binary.LittleEndian.Uint16(dst[:])
			for _, step := range []uint16{code + 1, code - 1} {
				if code&0x7fff == 0 && step == code-1 {
					continue
				}
				other := float64(decode(dtype, byte(step), byte(step>>8)))
				if math.IsInf(other, 0) || other != other {
					continue
				}
				mine, theirs := math.Abs(float64(got)-float64(v)), math.Abs(other-float64(v))
				require.LessOrEqual(t, mine, theirs, "%s of %x", dtype, bits)
				if mine == theirs {
					require.Zero(t, code&1, "%s of %x: tie to odd", dtype, bits)
				}
			}
		}
	}
}

func TestOverflow(t *testing.T) {
	var dst [4]byte
	require.False(t, floatformat.Encode(dst[:], []float32{65519, 65504}, "F16"))
	require.True(t, floatformat.Encode(dst[:], []float32{1, -65520}, "F16"))
	require.False(t, floatformat.Encode(dst[:], []float32{float32(math.Inf(1)), 3e38}, "BF16"))
	require.True(t, floatformat.Encode(dst[:], []float32{math.MaxFloat32, 0}, "BF16"))
}

func TestDecodeF64(t *testing.T) {
	require.Equal(t, float32(0.1), decode("F64", binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1))...))
}

func TestUnknownFormatPanics(t *testing.T) {
	require.Zero(t, floatformat.Size("I8"))
	require.Panics(t, func() { decode("I8", 1) })
	require.Panics(t, func() { floatformat.Encode(make([]byte, 8), []float32{1}, "F64") })
}
