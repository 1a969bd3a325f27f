package safetensors

import (
	"fmt"
	"math"
	"math/bits"
)

// The dtypes that this project converts. Others of the format are read by name
// and size only (see [DtypeBits]).
const (
	F64    = "F64"
	F32    = "F32"
	F16    = "F16"
	BF16   = "BF16"
	F8E4M3 = "F8_E4M3"
	F8E5M2 = "F8_E5M2"
	I64    = "I64"
	I32    = "I32"
	I8     = "I8"
	U8     = "U8"
	Bool   = "BOOL"
)

// dtypeBits has every dtype of the format's reference implementation.
var dtypeBits = map[string]int64{
	"BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "I64": 64, "U64": 64,
	"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
	"F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8,
	"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}

// DtypeBits gives the width of one element in bits, and whether the dtype is
// one of the format's.
func DtypeBits(dtype string) (int64, bool) {
	n, ok := dtypeBits[dtype]
	return n, ok
}

// Size gives the bytes of a tensor. It fails for an unknown dtype, a negative
// dimension, a size beyond int64, and elements that do not fill whole bytes.
func Size(dtype string, shape []int64) (int64, error) {
	width, ok := dtypeBits[dtype]
	if !ok {
		return 0, fmt.Errorf("unknown dtype %q", dtype)
	}
	n := uint64(1)
	empty := false
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if d == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64/64 {
			return 0, fmt.Errorf("shape %v has more elements than any file can hold", shape)
		}
		n = lo
	}
	if empty {
		return 0, nil
	}
	total := n * uint64(width)
	if total%8 != 0 {
		return 0, fmt.Errorf("shape %v of %s does not fill whole bytes", shape, dtype)
	}
	return int64(total / 8), nil
}
