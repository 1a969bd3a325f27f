package distcp

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/torchzip"
)

// saved is a part of a tensor, as torch.save wrote it into a range of a file. It
// is opened when it is first read.
type saved struct {
	file  filetree.File
	at    location
	label string // names the file with its path: nobody else does when it is read
	dtype string
	shape []int64

	once   sync.Once
	tensor *torchzip.Tensor
	err    error
}

// ReadAt reads the part's elements in row-major order, whatever strides it was
// saved with.
func (s *saved) ReadAt(p []byte, off int64) (int, error) {
	s.once.Do(func() { s.tensor, s.err = s.open() })
	if s.err != nil {
		return 0, s.err
	}
	return s.tensor.ReadAt(p, off)
}

func (s *saved) open() (*torchzip.Tensor, error) {
	section := io.NewSectionReader(s.file, s.at.offset, s.at.length)
	f, err := torchzip.New(section, s.at.length, s.label, torchzip.Options{})
	if err != nil {
		return nil, err
	}
	t, ok := f.Root().(*torchzip.Tensor)
	if !ok {
		return nil, fmt.Errorf("%s: %w: it is no tensor", s.label, ErrFormat)
	}
	if t.Dtype != s.dtype || !slices.Equal(t.Shape, s.shape) {
		return nil, fmt.Errorf("%s: %w: it is a tensor of shape %v and dtype %s, but %s says %v and %s", s.label, ErrFormat, t.Shape, t.Dtype, metadataFile, s.shape, s.dtype)
	}
	return t, nil
}
