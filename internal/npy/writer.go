package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Writer writes an array piece by piece, so that logits need not be held in memory. It is not safe for use by several
// goroutines at once. It does not buffer: give it a bufio.Writer for small pieces.
type Writer[T Element] struct {
	w       io.Writer
	left    int
	count   int
	scratch []byte
}

// NewWriter writes the header of an array of the given shape to w.
func NewWriter[T Element](w io.Writer, shape ...int) (*Writer[T], error) {
	if len(shape) > maxDimensions {
		return nil, fmt.Errorf("an array of %d dimensions, at most %d are allowed", len(shape), maxDimensions)
	}
	count, err := elementCount(shape)
	if err != nil {
		return nil, err
	}
	var descr string
	switch any(T(0)).(type) {
	case int32:
		descr = "<i4"
	case int64:
		descr = "<i8"
	case float32:
		descr = "<f4"
	}
	if _, err := w.Write(encodeHeader(descr, shape)); err != nil {
		return nil, err
	}
	return &Writer[T]{w: w, left: count, count: count}, nil
}

// Write appends elements in C order. More than the shape holds are refused, and then none of them is written.
func (w *Writer[T]) Write(elements []T) error {
	if len(elements) > w.left {
		return fmt.Errorf("%d elements more than the %d of the array's shape", len(elements)-w.left, w.count)
	}
	for len(elements) > 0 {
		part := elements[:min(len(elements), 1<<12)]
		elements = elements[len(part):]
		w.scratch = w.scratch[:0]
		for _, v := range part {
			w.scratch = appendElement(w.scratch, v)
		}
		if _, err := w.w.Write(w.scratch); err != nil {
			return err
		}
		w.left -= len(part)
	}
	return nil
}

// Close checks that the array is complete. It does not close the underlying writer.
func (w *Writer[T]) Close() error {
	if w.left > 0 {
		return fmt.Errorf("%d of the array's %d elements were not written", w.left, w.count)
	}
	return nil
}

func appendElement[T Element](b []byte, v T) []byte {
	switch v := any(v).(type) {
	case int32:
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	case int64:
		return binary.LittleEndian.AppendUint64(b, uint64(v))
	case float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// Write writes a whole array to w. The number of elements must be that of the shape.
func Write[T Element](w io.Writer, a Array[T]) error {
	if count, err := elementCount(a.Shape); err != nil {
		return err
	} else if count != len(a.Data) {
		return fmt.Errorf("%d elements for shape %v, which holds %d", len(a.Data), a.Shape, count)
	}
	writer, err := NewWriter[T](w, a.Shape...)
	if err != nil {
		return err
	}
	return writer.Write(a.Data)
}
