package floatformat

// DecodeInt4 fills dst with signed 4-bit numbers, one of each byte of src: its low
// half, or its high half. That is how ModelOpt stores two rows of a weight in one.
func DecodeInt4[T int8 | float32](dst []T, src []byte, high bool) {
	shift := 4
	if high {
		shift = 0
	}
	for i := range dst {
		dst[i] = T(int8(src[i]<<shift) >> 4)
	}
}
