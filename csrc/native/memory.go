//go:build cgo && linux

package native

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// #include <stdlib.h>
// #include "loader.h"
import "C"

// arena is C memory for the arguments of one call.
type arena struct{ blocks []unsafe.Pointer }

func (a *arena) free() {
	for _, b := range a.blocks {
		C.free(b)
	}
	a.blocks = nil
}

// bytes returns memory of n zero bytes, at least 1.
func (a *arena) bytes(n int) unsafe.Pointer {
	p := C.calloc(C.size_t(max(n, 1)), 1)
	if p == nil {
		panic("native: memory ran out") // as Go's own allocations do
	}
	a.blocks = append(a.blocks, p)
	return p
}

// slice returns C memory for n values.
func slice[T any](a *arena, n int) []T {
	var zero T
	return unsafe.Slice((*T)(a.bytes(n*int(unsafe.Sizeof(zero)))), n)
}

func (a *arena) text(s string) *C.char {
	p := slice[byte](a, len(s)+1)
	copy(p, s)
	return (*C.char)(unsafe.Pointer(&p[0]))
}

// optional is nil for "".
func (a *arena) optional(s string) *C.char {
	if s == "" {
		return nil
	}
	return a.text(s)
}

func (a *arena) texts(list []string) []*C.char {
	c := slice[*C.char](a, len(list))
	for i, s := range list {
		c[i] = a.text(s)
	}
	return c
}

func (a *arena) int64s(values []int64) *C.int64_t {
	c := slice[int64](a, len(values))
	copy(c, values)
	return (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(c)))
}

// fields copies the values of fields.
func (a *arena) fields(fields []Field) ([]C.trtgo_field, error) {
	list := slice[C.trtgo_field](a, len(fields))
	for i, f := range fields {
		data, length, err := f.encode()
		if err != nil {
			return nil, err
		}
		p := slice[byte](a, len(data))
		copy(p, data)
		list[i] = C.trtgo_field{
			name: a.text(f.Name), _type: C.int32_t(f.Type), length: C.int32_t(length),
			data: unsafe.Pointer(unsafe.SliceData(p)),
		}
	}
	return list, nil
}

// encode returns the bytes of the values and how many values there are.
func (f Field) encode() ([]byte, int, error) {
	var data []byte
	switch f.Type {
	case TextType:
		return []byte(f.Text), len(f.Text), nil
	case Float32:
		for _, v := range f.Floats {
			data = binary.NativeEndian.AppendUint32(data, math.Float32bits(v))
		}
		return data, len(f.Floats), nil
	case Int8, Int32, Int64:
	default:
		return nil, 0, &Error{StatusInvalid, "Field", fmt.Sprintf("field %s has no type with number %d", f.Name, f.Type)}
	}
	for _, v := range f.Ints {
		switch {
		case f.Type == Int8 && v == int64(int8(v)):
			data = append(data, byte(v))
		case f.Type == Int32 && v == int64(int32(v)):
			data = binary.NativeEndian.AppendUint32(data, uint32(v))
		case f.Type == Int64:
			data = binary.NativeEndian.AppendUint64(data, uint64(v))
		default:
			return nil, 0, &Error{StatusInvalid, "Field", fmt.Sprintf("field %s has %d, which does not fit its type", f.Name, v)}
		}
	}
	return data, len(f.Ints), nil
}
