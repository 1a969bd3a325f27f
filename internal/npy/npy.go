// Package npy reads and writes numpy's .npy files: one array of int32, int64 or float32.
//
// Token ids come and go as two-dimensional integers, logits and log-probabilities as float32. The other element types, record
// arrays and pickled objects are refused by name. Files of versions 1.0, 2.0 and 3.0 are read, in either byte order and in
// C or Fortran order; version 1.0 in little-endian C order is written, byte for byte what numpy.save writes.
//
// The format is described in numpy/lib/_format_impl.py.
package npy

import (
	"errors"
	"fmt"
	"math"
)

// ErrFormat is wrapped by errors about a file that is damaged or no .npy file at all.
var ErrFormat = errors.New("not a valid .npy file")

// ErrUnsupported is wrapped by errors about a well-formed file whose elements this package does not read.
var ErrUnsupported = errors.New("unsupported .npy file")

// Element is a type of elements that can be read and written.
type Element interface{ int32 | int64 | float32 }

// Array is an array of any number of dimensions.
type Array[T Element] struct {
	// Shape holds the length along each dimension; none for a scalar.
	Shape []int
	// Data holds the elements in C order: the last index varies fastest.
	Data []T
}

// Rows returns the rows of a two-dimensional array, or a one-dimensional array as its only row. The rows share Data's memory.
func (a Array[T]) Rows() ([][]T, error) {
	switch len(a.Shape) {
	case 1:
		return [][]T{a.Data}, nil
	case 2:
		rows := make([][]T, 0, min(a.Shape[0], 1<<20))
		if a.Shape[1] == 0 && a.Shape[0] > 1<<20 {
			return nil, fmt.Errorf("%w: %d rows of no elements", ErrFormat, a.Shape[0])
		}
		for i := range a.Shape[0] {
			rows = append(rows, a.Data[i*a.Shape[1]:(i+1)*a.Shape[1]])
		}
		return rows, nil
	}
	return nil, fmt.Errorf("the array has %d dimensions, shape %v, where rows need two", len(a.Shape), a.Shape)
}

// elementCount multiplies the lengths of a shape, refusing what no file could hold.
func elementCount(shape []int) (int, error) {
	count, empty := 1, false
	for _, n := range shape {
		switch {
		case n < 0:
			return 0, fmt.Errorf("a negative length in shape %v", shape)
		case n == 0:
			empty = true
		case count > math.MaxInt/8/n:
			return 0, fmt.Errorf("shape %v is too large", shape)
		default:
			count *= n
		}
	}
	if empty {
		return 0, nil
	}
	return count, nil
}
