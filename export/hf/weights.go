package hf

import (
	"io"
	"path/filepath"

	"github.com/trtgo/trtgo/internal/safetensors"
)

// weights are the tensors of a directory, whatever their files are. They may be
// read from several goroutines until Close.
type weights interface {
	// Format is that of the source.
	Format() string
	// Names are in the order of the files and of what lies in them; do not modify
	// them.
	Names() []string
	Tensor(name string) (weight, bool)
	Close() error
}

// weight is a tensor in one of the files. It reads as its bytes in row-major
// order.
type weight struct {
	io.ReaderAt
	Name, Dtype string
	Shape       []int64
	Bytes       int64
	File        string // the file's name
	Offset      int64  // of the first byte, in the file
}

// RowBytes gives the bytes of everything but the first dimension. A scalar is
// one row.
func (w weight) RowBytes() int64 {
	if len(w.Shape) == 0 || w.Shape[0] == 0 {
		return w.Bytes
	}
	return w.Bytes / w.Shape[0]
}

// sameAs tells whether two names have the same bytes, which pickles allow.
func (w weight) sameAs(other weight) bool {
	return w.File != "" && w.File == other.File && w.Offset == other.Offset && w.Bytes == other.Bytes
}

// safeWeights are those of safetensors files.
type safeWeights struct{ *safetensors.Model }

// Format implements weights.
func (s safeWeights) Format() string { return Format }

// Tensor implements weights.
func (s safeWeights) Tensor(name string) (weight, bool) {
	t, ok := s.Model.Tensor(name)
	if !ok {
		return weight{}, false
	}
	return weight{t, t.Name, t.Dtype, t.Shape, t.Size, filepath.Base(t.File()), t.Offset}, true
}
