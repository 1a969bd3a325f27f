package safetensors

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// Tensor is a tensor of an open file. ReadAt reads its bytes, offsets counted
// from its first one; it is safe for concurrent use and valid until the file is
// closed.
type Tensor struct {
	Info
	file *File
}

// ReadAt reads len(p) bytes of the tensor from off. Errors name file and tensor.
func (t Tensor) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > t.Size {
		return 0, fmt.Errorf("%s: tensor %s: offset %d lies outside its %d bytes", t.file.path, t.Name, off, t.Size)
	}
	short := int64(len(p)) > t.Size-off
	if short {
		p = p[:t.Size-off]
	}
	n, err := t.file.r.ReadAt(p, t.Offset+off)
	if n == len(p) {
		err = nil
	}
	if errors.Is(err, io.EOF) { // opening has checked where the tensor ends
		err = fmt.Errorf("the file has become shorter: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return n, fmt.Errorf("%s: tensor %s: reading %d bytes at %d: %w", t.file.path, t.Name, len(p), t.Offset+off, err)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// RowBytes gives the bytes of one row: of everything but the first dimension.
// A scalar is one row.
func (t Tensor) RowBytes() int64 {
	if len(t.Shape) == 0 || t.Shape[0] == 0 {
		return t.Size
	}
	return t.Size / t.Shape[0]
}

// File returns the path of the file that holds the tensor.
func (t Tensor) File() string { return t.file.path }

// Place gives the file that the tensor's bytes lie in and where they begin, for
// mapping them. The file is nil where they are read through something else, e.g. an
// archive. It stays open until the [File] is closed; the caller must not close it.
func (t Tensor) Place() (f *os.File, offset int64) {
	f, _ = t.file.r.(*os.File)
	return f, t.Offset
}

// File is an open safetensors file. It is safe for concurrent use, except Close.
type File struct {
	path   string
	header *Header
	byName map[string]int
	r      io.ReaderAt
	closer io.Closer
}

// Open opens and checks the file at path. Errors name it.
func Open(path string) (*File, error) {
	f, size, err := regularfile.Open(path)
	if err != nil {
		return nil, err
	}
	opened, err := New(f, size, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	opened.closer = f
	return opened, nil
}

// New reads a file of size bytes from r; path serves messages only. Closing the
// result does not close r.
func New(r io.ReaderAt, size int64, path string) (*File, error) {
	h, err := ReadHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &File{path: path, header: h, r: r, byName: make(map[string]int, len(h.Tensors))}
	for i := range h.Tensors {
		f.byName[h.Tensors[i].Name] = i
	}
	return f, nil
}

// Path returns the path that the file was opened with.
func (f *File) Path() string { return f.path }

// Header returns the file's header; do not modify it.
func (f *File) Header() *Header { return f.header }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return Tensor{f.header.Tensors[i], f}, true
}

// Close closes the file. Calling it again does nothing.
func (f *File) Close() error {
	c := f.closer
	f.closer = nil
	if c == nil {
		return nil
	}
	return c.Close()
}
