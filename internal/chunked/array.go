package chunked

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/trtgo/trtgo/internal/safetensors"
)

// ErrTiling is wrapped by errors about chunks that do not make up the array:
// there is a gap, two overlap, or one reaches beyond its edge.
var ErrTiling = errors.New("chunks do not make up the array")

// maxDims bounds the dimensions of an array, as PyTorch does.
const maxDims = 64

// Chunk is a rectangle of an array.
type Chunk struct {
	// Name is for messages.
	Name string
	// Offset and Shape say which part of the array it is, in elements.
	Offset, Shape []int64
	// Stored is the shape that the chunk has in Bytes, where that is larger: the
	// elements of the array are then those in its leading corner. Nil stands for
	// Shape.
	Stored []int64
	// Bytes has the chunk's elements from the byte At on, row-major and without
	// gaps. It is read from several goroutines when the array is.
	Bytes io.ReaderAt
	At    int64
}

// Array is an array in chunks. It is safe for concurrent use and valid as long as
// its chunks can be read.
type Array struct {
	dtype  string
	shape  []int64
	width  int64 // bytes of an element
	size   int64 // bytes of all
	stride []int64
	chunks []Chunk
	grid   grid
}

// New makes an array of the given dtype, as safetensors spells it, and shape. It
// checks that the chunks cover the array exactly; an error names the chunk or the
// place. Nothing is read. The slices are kept.
func New(dtype string, shape []int64, chunks []Chunk) (*Array, error) {
	bits, ok := safetensors.DtypeBits(dtype)
	if !ok || bits%8 != 0 {
		return nil, fmt.Errorf("dtype %.50q cannot be read in chunks", dtype)
	}
	size, err := safetensors.Size(dtype, shape)
	if err != nil {
		return nil, err
	}
	if len(shape) > maxDims {
		return nil, fmt.Errorf("an array of %d dimensions has more than %d", len(shape), maxDims)
	}
	a := &Array{dtype: dtype, shape: shape, width: bits / 8, size: size, stride: rowMajor(shape)}
	for _, c := range chunks {
		if c.Stored == nil {
			c.Stored = c.Shape
		}
		if err := a.fits(c); err != nil {
			return nil, err
		}
		if !slices.Contains(c.Shape, 0) {
			a.chunks = append(a.chunks, c)
		}
	}
	if size > 0 {
		err = a.lay()
	}
	return a, err
}

// fits checks one chunk by itself.
func (a *Array) fits(c Chunk) error {
	if len(c.Offset) != len(a.shape) || len(c.Shape) != len(a.shape) || len(c.Stored) != len(a.shape) {
		return fmt.Errorf("%w: chunk %s of shape %v at %v has other dimensions than the array's %v", ErrTiling, c.Name, c.Shape, c.Offset, a.shape)
	}
	for i, n := range c.Shape {
		if n < 0 || c.Offset[i] < 0 || n > a.shape[i] || c.Offset[i] > a.shape[i]-n || n > c.Stored[i] {
			return fmt.Errorf("%w: chunk %s of shape %v at %v reaches beyond the array's shape %v", ErrTiling, c.Name, c.Shape, c.Offset, a.shape)
		}
	}
	if _, err := safetensors.Size(a.dtype, c.Stored); err != nil {
		return fmt.Errorf("chunk %s: %w", c.Name, err)
	}
	return nil
}

// Dtype is the elements' dtype as safetensors spells it.
func (a *Array) Dtype() string { return a.dtype }

// Shape is the shape of the whole. Do not modify it.
func (a *Array) Shape() []int64 { return a.shape }

// Size is the number of bytes of the whole.
func (a *Array) Size() int64 { return a.size }

// RowBytes gives the bytes of one row: of everything but the first dimension. A
// scalar is one row.
func (a *Array) RowBytes() int64 {
	if len(a.shape) == 0 || a.shape[0] == 0 {
		return a.size
	}
	return a.size / a.shape[0]
}

// Chunks gives the number of chunks that have elements.
func (a *Array) Chunks() int { return len(a.chunks) }

// rowMajor gives the strides, in elements, of an array without gaps.
func rowMajor(shape []int64) []int64 {
	stride := make([]int64, len(shape))
	n := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		stride[i] = n
		n *= shape[i]
	}
	return stride
}
