package gguf

import "math"

// Types of metadata values.
const (
	typeU8 = iota
	typeI8
	typeU16
	typeI16
	typeU32
	typeI32
	typeF32
	typeBool
	typeString
	typeArray
	typeU64
	typeI64
	typeF64
)

// value reads one metadata value as the Go type of its kind: uint8 … float64,
// bool, string, and for arrays []uint8 … []float64, []bool, []string, or []any
// for arrays of arrays.
func (p *parser) value(kind uint32, depth int) any {
	switch kind {
	case typeU8:
		return p.u8()
	case typeI8:
		return int8(p.u8())
	case typeU16:
		return p.u16()
	case typeI16:
		return int16(p.u16())
	case typeU32:
		return p.u32()
	case typeI32:
		return int32(p.u32())
	case typeF32:
		return math.Float32frombits(p.u32())
	case typeBool:
		return p.boolean()
	case typeString:
		return p.text(maxText)
	case typeU64:
		return p.u64()
	case typeI64:
		return int64(p.u64())
	case typeF64:
		return math.Float64frombits(p.u64())
	case typeArray:
		return p.array(depth + 1)
	}
	p.fail("value of unknown type %d", kind)
	return nil
}

func (p *parser) boolean() bool {
	b := p.u8()
	if b > 1 {
		p.fail("a truth value is %d", b)
	}
	return b == 1
}

func (p *parser) array(depth int) any {
	if depth > maxArrayDepth {
		p.fail("arrays nested deeper than %d", maxArrayDepth)
		return nil
	}
	switch kind := p.u32(); kind {
	case typeU8:
		return list(p, 1, p.u8)
	case typeI8:
		return list(p, 1, func() int8 { return int8(p.u8()) })
	case typeU16:
		return list(p, 2, p.u16)
	case typeI16:
		return list(p, 2, func() int16 { return int16(p.u16()) })
	case typeU32:
		return list(p, 4, p.u32)
	case typeI32:
		return list(p, 4, func() int32 { return int32(p.u32()) })
	case typeF32:
		return list(p, 4, func() float32 { return math.Float32frombits(p.u32()) })
	case typeBool:
		return list(p, 1, p.boolean)
	case typeString:
		return list(p, 8, func() string { return p.text(maxText) })
	case typeU64:
		return list(p, 8, p.u64)
	case typeI64:
		return list(p, 8, func() int64 { return int64(p.u64()) })
	case typeF64:
		return list(p, 8, func() float64 { return math.Float64frombits(p.u64()) })
	case typeArray:
		return list(p, 12, func() any { return p.array(depth + 1) })
	default:
		p.fail("array of unknown type %d", kind)
		return nil
	}
}

// list reads the count and that many values of at least size bytes each.
func list[T any](p *parser, size int64, next func() T) []T {
	n := p.count("array elements", size, maxElements)
	values := make([]T, 0, min(n, 4096)) // a sparse file may be larger than memory
	for int64(len(values)) < n && p.err == nil {
		values = append(values, next())
	}
	return values
}

// integer finds a whole number under key, of whatever width it was written.
func integer(metadata map[string]any, key string) (int64, bool) {
	switch v := metadata[key].(type) {
	case uint8:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(min(v, math.MaxInt64)), true
	case []int32: // one value for each layer: usable when all are equal
		return uniform(v)
	case []uint32:
		return uniform(v)
	}
	return 0, false
}

func uniform[T int32 | uint32](values []T) (int64, bool) {
	for _, v := range values {
		if v != values[0] {
			return 0, false
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	return int64(values[0]), true
}

// number finds a floating-point number under key. A float32 is read by its
// shortest decimal form: 1e-5, not 9.99999974e-06.
func number(metadata map[string]any, key string) (float64, bool) {
	switch v := metadata[key].(type) {
	case float32:
		return shortest(v), true
	case float64:
		return v, true
	}
	n, ok := integer(metadata, key)
	return float64(n), ok
}
