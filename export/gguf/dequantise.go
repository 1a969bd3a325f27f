package gguf

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/x448/float16"
)

// blockType is how a tensor type packs values.
type blockType struct {
	name          string
	values, bytes int64 // of one block
	// dequantise expands whole blocks; nil for the plain float types, whose dtype
	// is that of safetensors.
	dequantise func(dst []float32, src []byte)
	dtype      string
}

// The numbers of the types are ggml's (enum ggml_type).
var blocks = map[uint32]blockType{
	0:  {"F32", 1, 4, nil, "F32"},
	1:  {"F16", 1, 2, nil, "F16"},
	30: {"BF16", 1, 2, nil, "BF16"},
	2:  {"Q4_0", 32, 18, q4_0, "F32"},
	3:  {"Q4_1", 32, 20, q4_1, "F32"},
	8:  {"Q8_0", 32, 34, q8_0, "F32"},
	14: {"Q6_K", 256, 210, q6_K, "F32"},
}

// others are types known by name only.
var others = map[uint32]string{
	6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS",
	18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32",
	27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
	40: "NVFP4", 41: "Q1_0",
}

// kindName gives a type's name.
func kindName(kind uint32) string {
	if b, ok := blocks[kind]; ok {
		return b.name
	}
	if name, ok := others[kind]; ok {
		return name
	}
	return "unknown (" + strconv.FormatUint(uint64(kind), 10) + ")"
}

// kindOf finds a type that can be read, or refuses it by name.
func kindOf(t *tensorInfo) (blockType, error) {
	if b, ok := blocks[t.kind]; ok {
		return b, nil
	}
	var names []string
	for _, b := range blocks {
		names = append(names, b.name)
	}
	slices.Sort(names)
	return blockType{}, fmt.Errorf("tensor %s: type %s is %w: %s are", t.name, kindName(t.kind), checkpoint.ErrUnsupported, strings.Join(names, ", "))
}

func half(b []byte) float32 {
	return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()
}

// q8_0 is a half-precision scale and 32 signed bytes.
func q8_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[34:] {
		d := half(src)
		for i, q := range src[2:34] {
			dst[i] = float32(int8(q)) * d
		}
	}
}

// q4_0 is a scale and 32 nibbles less 8: the low ones are values 0–15, the high
// ones 16–31.
func q4_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		d := half(src)
		for i, q := range src[2:18] {
			dst[i] = float32(int(q&15)-8) * d
			dst[i+16] = float32(int(q>>4)-8) * d
		}
	}
}

// q4_1 is a scale, a minimum and 32 nibbles.
func q4_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[20:] {
		d, m := half(src), half(src[2:])
		for i, q := range src[4:20] {
			dst[i] = float32(float32(q&15)*d) + m // two roundings: no fused multiply-add
			dst[i+16] = float32(float32(q>>4)*d) + m
		}
	}
}

// q6_K is 256 values of six bits, less 32: 128 bytes of low nibbles, 64 bytes of
// high pairs, 16 signed scales of 16 values each, and a half-precision scale.
func q6_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[210:] {
		d := half(src[208:])
		for h := range 2 { // 128 values each
			low, high, scales := src[64*h:], src[128+32*h:], src[192+8*h:]
			out := dst[128*h:]
			for i := range 32 {
				s := i / 16
				for quarter, q := range [4]int{
					int(low[i]&15) | int(high[i]&3)<<4,
					int(low[i+32]&15) | int(high[i]>>2&3)<<4,
					int(low[i]>>4) | int(high[i]>>4&3)<<4,
					int(low[i+32]>>4) | int(high[i]>>6)<<4,
				} {
					scale := d * float32(int8(scales[s+2*quarter]))
					out[i+32*quarter] = scale * float32(q-32)
				}
			}
		}
	}
}
