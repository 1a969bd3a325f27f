package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Read reads one array from r, up to its last element and not beyond. int32 and int64 files are read as either type; a number
// that does not fit is an error, as is a file of another kind of numbers than T. Memory grows with what r holds, not with what
// its header claims. Errors wrap ErrFormat, ErrUnsupported or what r returned.
func Read[T Element](r io.Reader) (Array[T], error) {
	h, err := readHeader(r)
	if err != nil {
		return Array[T]{}, err
	}
	decode, size, err := decoderFor[T](h.descr)
	if err != nil {
		return Array[T]{}, err
	}
	count, err := elementCount(h.shape)
	if err != nil {
		return Array[T]{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	data, err := readElements(r, count, size, decode)
	if err != nil {
		return Array[T]{}, err
	}
	if h.fortran {
		data = toCOrder(data, h.shape)
	}
	return Array[T]{Shape: h.shape, Data: data}, nil
}

// decoderFor returns what turns the bytes of one element into a T, and how many bytes that takes.
func decoderFor[T Element](descr string) (decode func([]byte) (T, error), size int, err error) {
	var order binary.ByteOrder = binary.LittleEndian
	kind := descr
	if descr != "" {
		switch descr[0] {
		case '>':
			order, kind = binary.BigEndian, descr[1:]
		case '<', '=', '|':
			kind = descr[1:]
		}
	}
	_, wantFloat := any(T(0)).(float32)
	switch {
	case kind == "f4" && wantFloat:
		return func(b []byte) (T, error) { return T(math.Float32frombits(order.Uint32(b))), nil }, 4, nil
	case kind == "i4" && !wantFloat:
		return func(b []byte) (T, error) { return T(int32(order.Uint32(b))), nil }, 4, nil
	case kind == "i8" && !wantFloat:
		return func(b []byte) (T, error) { return narrow[T](int64(order.Uint64(b))) }, 8, nil
	case wantFloat:
		return nil, 0, fmt.Errorf("%w: its elements are %s, float32 is needed", ErrUnsupported, describe(kind))
	}
	return nil, 0, fmt.Errorf("%w: its elements are %s, int32 or int64 is needed", ErrUnsupported, describe(kind))
}

func narrow[T Element](v int64) (T, error) {
	if int64(T(v)) != v {
		return 0, fmt.Errorf("%w: %d does not fit into %T", ErrUnsupported, v, T(0))
	}
	return T(v), nil
}

// describe names numpy's type codes.
func describe(kind string) string {
	names := map[string]string{
		"b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8", "u2": "uint16", "u4": "uint32",
		"u8": "uint64", "f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64", "c16": "complex128", "O": "Python objects",
	}
	if name, known := names[kind]; known {
		return name
	}
	return fmt.Sprintf("of type %q", clip(kind))
}

func readElements[T Element](r io.Reader, count, size int, decode func([]byte) (T, error)) ([]T, error) {
	const chunk = 1 << 13
	data := make([]T, 0, min(count, chunk))
	buffer := make([]byte, min(count, chunk)*size)
	for len(data) < count {
		part := buffer[:min(count-len(data), chunk)*size]
		if n, err := io.ReadFull(r, part); err != nil {
			return nil, truncated(fmt.Sprintf("element %d of %d", len(data)+n/size+1, count), err)
		}
		for ; len(part) > 0; part = part[size:] {
			v, err := decode(part)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", len(data)+1, err)
			}
			data = append(data, v)
		}
	}
	return data, nil
}

// toCOrder reorders elements whose first index varies fastest.
func toCOrder[T Element](data []T, shape []int) []T {
	out := make([]T, len(data))
	index := make([]int, len(shape))
	for _, v := range data {
		at := 0
		for d, i := range index {
			at = at*shape[d] + i
		}
		out[at] = v
		for d := range index {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return out
}
