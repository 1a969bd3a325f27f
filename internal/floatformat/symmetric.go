package floatformat

import "math"

// RoundSymmetric rounds values to signed numbers of 4 or 8 bits as trtllm-build does when
// it loads weights to quantise (symmetric_quantize in cutlass_preprocessors.cpp), and
// returns the scale that gives the values back: the largest magnitude divided by 8 or 128.
// It rounds half away from zero and clamps the largest. Where no scale is left,
// all codes are 0; NaN or an infinity makes the scale one.
func RoundSymmetric(codes []int8, values []float32, bits int) (scale float32) {
	most := int32(1) << (bits - 1)
	scale = SymmetricScale(values, bits)
	switch {
	case scale == 0:
		clear(codes)
		return 0
	case !(scale <= math.MaxFloat32):
		roundUnbounded(codes, values, scale, most)
		return scale
	}
	codes = codes[:len(values)]
	for i, v := range values {
		// At most most in magnitude; in float64 adding a half is exact where it matters, and
		// cutting off the fraction is what rounds.
		q := float64(v / scale)
		codes[i] = int8(min(int32(q+math.Copysign(0.5, q)), most-1))
	}
	return scale
}

// roundUnbounded is RoundSymmetric with a scale that is no finite number.
func roundUnbounded(codes []int8, values []float32, scale float32, most int32) {
	for i, v := range values {
		q := float32(math.Round(float64(v / scale)))
		codes[i] = int8(min(max(q, -float32(most)), float32(most-1)))
	}
}

// SymmetricScale is the scale of [RoundSymmetric] alone.
func SymmetricScale(values []float32, bits int) float32 {
	// Without their signs the bits of floats sort as floats do, NaN last.
	largest := uint32(0)
	for _, v := range values {
		largest = max(largest, math.Float32bits(v)&^(1<<31))
	}
	return math.Float32frombits(largest) / float32(int(1)<<(bits-1))
}
