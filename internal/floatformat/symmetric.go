package floatformat

import "math"

// RoundSymmetric rounds values to signed numbers of 4 or 8 bits as trtllm-build does when
// it loads weights to quantise (symmetric_quantize in cutlass_preprocessors.cpp), and
// returns the scale that gives the values back: the largest magnitude divided by 8 or 128.
// It rounds half away from zero and clamps the largest. Where no scale is left,
// all codes are 0; NaN or an infinity makes the scale one.
func RoundSymmetric(codes []int8, values []float32, bits int) (scale float32) {
	most := float32(int(1) << (bits - 1))
	scale = SymmetricScale(values, bits)
	if scale == 0 {
		clear(codes)
		return 0
	}
	for i, v := range values {
		q := float32(math.Round(float64(v / scale)))
		codes[i] = int8(min(max(q, -most), most-1))
	}
	return scale
}

// SymmetricScale is the scale of [RoundSymmetric] alone.
func SymmetricScale(values []float32, bits int) float32 {
	largest := float32(0)
	for _, v := range values {
		largest = max(largest, float32(math.Abs(float64(v))))
	}
	return largest / float32(int(1)<<(bits-1))
}
