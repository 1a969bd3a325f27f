package floatformat

// DecodeInt4 fills dst with signed 4-bit numbers, one of each byte of src: its low
// half, or its high half. That is how ModelOpt stores two rows of a weight in one.
func DecodeInt4(dst []float32, src []byte, high bool) {
	shift := 4
	if high {
		shift = 0
	}
	for i := range dst {
		dst[i] = float32(int8(src[i]<<shift) >> 4)
	}
}
