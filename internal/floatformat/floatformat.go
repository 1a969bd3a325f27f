// Package floatformat converts rows of weights between the floating-point
// formats of checkpoints: float32, IEEE half precision and bfloat16, all
// little-endian. Formats go by their safetensors names.
//
// Narrowing rounds once, to nearest, ties to even, as torch does. A finite value
// that becomes infinite is reported, not silently stored.
//
//	values := make([]float32, n)
//	floatformat.Decode(values, bytes, "BF16")
//	if floatformat.Encode(half, values, "F16") {
//		// a value exceeded 65504
//	}
package floatformat

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
)

// Size gives the bytes of one value of a format that this package converts, or
// 0 for any other name.
func Size(dtype string) int {
	switch dtype {
	case "F64":
		return 8
	case "F32":
		return 4
	case "F16", "BF16":
		return 2
	}
	return 0
}

// Decode fills dst from the first values of src. F64 is rounded to float32. It
// panics for a format that [Size] does not know, and when src is too short.
func Decode(dst []float32, src []byte, dtype string) {
	src = src[:len(dst)*Size(dtype)]
	switch dtype {
	case "F32":
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case "BF16":
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	case "F16":
		for i := range dst {
			dst[i] = fromHalf(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case "F64":
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	default:
		panic("floatformat: cannot decode " + dtype)
	}
}

// Encode stores src in dst and reports whether a finite value became infinite.
// It panics as [Decode] does; F64 is not written.
func Encode(dst []byte, src []float32, dtype string) (overflow bool) {
	dst = dst[:len(src)*Size(dtype)]
	switch dtype {
	case "F32":
		for i, v := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case "BF16":
		for i, v := range src {
			b := ToBF16(v)
			overflow = overflow || b&0x7fff == 0x7f80 && math.Float32bits(v)&0x7fffffff != 0x7f800000
			binary.LittleEndian.PutUint16(dst[2*i:], b)
		}
	case "F16":
		for i, v := range src {
			b := toHalf(v)
			overflow = overflow || b&0x7fff == 0x7c00 && math.Float32bits(v)&0x7fffffff != 0x7f800000
			binary.LittleEndian.PutUint16(dst[2*i:], b)
		}
	default:
		panic("floatformat: cannot encode " + dtype)
	}
	return overflow
}

// ToBF16 rounds to nearest, ties to even; NaN stays NaN.
func ToBF16(v float32) uint16 {
	b := math.Float32bits(v)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// fromHalf and toHalf do the numbers that are normal in half precision inline,
// because weights are; the edges are x448/float16's.
func fromHalf(h uint16) float32 {
	if exponent := h >> 10 & 31; exponent != 0 && exponent != 31 {
		return math.Float32frombits(uint32(h&0x8000)<<16 | (uint32(h&0x7fff)<<13 + (127-15)<<23))
	}
	return float16.Frombits(h).Float32()
}

func toHalf(v float32) uint16 {
	b := math.Float32bits(v)
	if exponent := b >> 23 & 255; exponent > 127-15 && exponent < 127+15 {
		m := b&0x7fffffff - (127-15)<<23
		return uint16(b>>16&0x8000) | uint16((m+0xfff+m>>13&1)>>13)
	}
	return float16.Fromfloat32(v).Bits()
}
