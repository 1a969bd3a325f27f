package torchzip

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/trtgo/trtgo/internal/safetensors"
)

// maxDims bounds the dimensions of a tensor, as PyTorch does.
const maxDims = 64

// Storage is a run of bytes that tensors are views of; several may share one. It
// is safe for concurrent use and valid until the file is closed.
type Storage struct {
	Key    string
	Size   int64 // in bytes
	Offset int64 // of the first byte, in the reader that the file was opened on

	r    io.ReaderAt
	path string
}

// ReadAt implements io.ReaderAt, offsets counted from the storage's first byte.
func (s *Storage) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.Size {
		return 0, fmt.Errorf("%s: storage %s: offset %d lies outside of its %d bytes", s.path, s.Key, off, s.Size)
	}
	short := int64(len(p)) > s.Size-off
	if short {
		p = p[:s.Size-off]
	}
	n, err := s.r.ReadAt(p, s.Offset+off)
	switch {
	case n < len(p):
		if errors.Is(err, io.EOF) { // opening has checked where the storage ends
			err = fmt.Errorf("the file has become shorter: %w", io.ErrUnexpectedEOF)
		}
		return n, fmt.Errorf("%s: storage %s: reading %d bytes at %d: %w", s.path, s.Key, len(p), s.Offset+off, err)
	case short:
		return n, io.EOF
	}
	return n, nil
}

// TypedStorage is a storage with the dtype of its class.
type TypedStorage struct {
	*Storage
	Dtype string
}

// Tensor is a view of a storage. Do not modify it. It is safe for concurrent use
// and valid until the file is closed.
type Tensor struct {
	// Dtype as safetensors spells it.
	Dtype string
	Shape []int64
	// Stride and StorageOffset count elements.
	Stride        []int64
	StorageOffset int64
	Storage       *Storage
	// Size is the number of bytes that ReadAt gives: those of all elements, even
	// where strides of zero make a storage smaller than that.
	Size int64

	contiguous bool
}

// newTensor checks that each element lies inside of the storage.
func newTensor(dtype string, s *Storage, offset int64, shape, stride []int64) (*Tensor, error) {
	if len(shape) != len(stride) || len(shape) > maxDims {
		return nil, fmt.Errorf("%w: a tensor of shape %v has strides %v", ErrFormat, shape, stride)
	}
	size, err := safetensors.Size(dtype, shape)
	if err != nil {
		return nil, fmt.Errorf("%w: a tensor's %w", ErrFormat, err)
	}
	t := &Tensor{Dtype: dtype, Shape: shape, Stride: stride, StorageOffset: offset, Storage: s, Size: size}
	t.contiguous = size == 0 || slices.Equal(squeezed(shape, stride), squeezed(shape, rowMajor(shape)))
	elements := s.Size / width(dtype)
	last, ok := lastElement(offset, shape, stride)
	if !ok || offset > elements || size > 0 && last >= elements {
		return nil, fmt.Errorf("%w: a tensor of shape %v, strides %v and offset %d reaches beyond the %d elements of storage %s", ErrFormat, shape, stride, offset, elements, s.Key)
	}
	return t, nil
}

// lastElement gives the position of the last element, if that is a number.
func lastElement(offset int64, shape, stride []int64) (int64, bool) {
	if offset < 0 {
		return 0, false
	}
	at := uint64(offset)
	for i, n := range shape {
		if stride[i] < 0 {
			return 0, false
		}
		if n == 0 {
			continue
		}
		hi, lo := bits.Mul64(uint64(n-1), uint64(stride[i]))
		if at += lo; hi != 0 || lo > 1<<62 || at > 1<<62 {
			return 0, false
		}
	}
	return int64(at), true
}

// rowMajor gives the strides of a contiguous tensor.
func rowMajor(shape []int64) []int64 {
	stride := make([]int64, len(shape))
	n := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		stride[i] = n
		n *= shape[i]
	}
	return stride
}

// squeezed leaves out the strides of dimensions of one, which mean nothing.
func squeezed(shape, stride []int64) []int64 {
	var kept []int64
	for i, n := range shape {
		if n != 1 {
			kept = append(kept, stride[i])
		}
	}
	return kept
}

// Contiguous tells whether the elements lie in row-major order without gaps, from
// StorageOffset on.
func (t *Tensor) Contiguous() bool { return t.contiguous }

// RowBytes gives the bytes of one row: of everything but the first dimension. A
// scalar is one row.
func (t *Tensor) RowBytes() int64 {
	if len(t.Shape) == 0 || t.Shape[0] == 0 {
		return t.Size
	}
	return t.Size / t.Shape[0]
}

// ReadAt reads len(p) bytes of the tensor from off, in row-major order whatever
// the strides are. It implements io.ReaderAt. Errors name file and storage.
func (t *Tensor) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > t.Size {
		return 0, fmt.Errorf("%s: storage %s: offset %d lies outside of a tensor's %d bytes", t.Storage.path, t.Storage.Key, off, t.Size)
	}
	short := int64(len(p)) > t.Size-off
	if short {
		p = p[:t.Size-off]
	}
	var n int
	var err error
	if t.contiguous {
		n, err = t.Storage.ReadAt(p, t.StorageOffset*width(t.Dtype)+off)
	} else {
		n, err = t.gather(p, off)
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}
