package floatformat

import "math"

// E4M3 is the safetensors name of the 8-bit format with 4 exponent and 3 mantissa
// bits that NVIDIA's FP8 weights have ("e4m3fn" in torch): no infinities, one NaN
// of either sign, and 448 as the largest number. It means nothing without a scale,
// so [Size], [Decode] and [Encode] do not know it.
const E4M3 = "F8_E4M3"

// MaxE4M3 is the largest number of the format.
const MaxE4M3 = 448

// E4M3NaN is the code of NaN; with the sign it is 0xFF.
const E4M3NaN = 0x7f

// FromE4M3 gives the number that a code stands for.
func FromE4M3(code byte) float32 {
	mantissa, exponent := float64(code&7), int(code>>3&15)
	v := math.Ldexp(mantissa, -9) // subnormal
	switch {
	case code&0x7f == E4M3NaN:
		v = math.NaN()
	case exponent > 0:
		v = math.Ldexp(8+mantissa, exponent-10)
	}
	if code&0x80 != 0 {
		v = math.Copysign(v, -1)
	}
	return float32(v)
}

// ToE4M3 rounds to nearest, ties to even, after clamping to ±448, so that only NaN
// becomes NaN.
func ToE4M3(v float32) byte {
	b := math.Float32bits(v)
	sign := byte(b >> 24 & 0x80)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | E4M3NaN
	case b >= 0x43e00000: // 448
		return sign | E4M3NaN - 1
	case b < 0x3c800000: // 2^-6: subnormal, a multiple of 2^-9
		return sign | byte(math.RoundToEven(float64(math.Float32frombits(b))*512))
	}
	return sign | byte((b+0x7ffff+b>>20&1)>>20-(127-7)<<3)
}

// ScaledE4M3 gives what each code stands for when it is multiplied by scale, in
// float32.
func ScaledE4M3(scale float32) *[256]float32 {
	table := new([256]float32)
	for code := range table {
		table[code] = FromE4M3(byte(code)) * scale
	}
	return table
}
