package cpu

import (
	"strings"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// Arithmetic is the kind of instruction that most of a linear layer's or an attention's
// work is; the machine has a peak for each.
type Arithmetic int

// The kinds, as TRTGO_CPU_ARITHMETIC_….
const (
	Floats   Arithmetic = iota // fused multiply-adds of float32
	Pairs                      // dot products of pairs of bfloat16
	Integers                   // dot products of pairs of integers of 16 bits
)

// String is "float32", "bfloat16 pairs" or "int16 pairs".
func (a Arithmetic) String() string {
	return [...]string{"float32", "bfloat16 pairs", "int16 pairs"}[a]
}

// ArithmeticOf tells what a kernel set computes with weights of a dtype of cpuengine,
// or with keys and values of it, at a precision; see kernels.h. Sets without
// instructions for pairs of bfloat16 widen them.
func ArithmeticOf(isa, precision, dtype string) Arithmetic {
	if precision == "exact" {
		return Floats
	}
	switch dtype {
	case cpuengine.DtypeInt8, cpuengine.DtypeInt4:
		return Integers
	case cpuengine.DtypeBF16, cpuengine.DtypeFP8:
		if strings.Contains(isa, "bf16") {
			return Pairs
		}
	}
	return Floats
}
