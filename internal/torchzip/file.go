package torchzip

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// Errors of files that are not what their name says, besides those of package
// pickle, which pass through.
var (
	// ErrFormat is wrapped by every error about a file that breaks the format.
	ErrFormat = errors.New("invalid PyTorch file")
	// ErrUnsupported is wrapped by errors about files that are valid but hold what
	// is not read: TorchScript, tar files of before 2017, sparse or quantised
	// tensors, big-endian bytes.
	ErrUnsupported = errors.New("not supported")
)

// Options say what else a file may contain.
type Options struct {
	// Allow adds names to those that are always allowed. What the pickle builds
	// from them comes as *pickle.Object.
	Allow func(module, name string) bool
	// Limits bound the pickle. Where they are zero, its bytes are bounded by 64 MiB
	// and its values by 2 million, which suffices for some 80 000 tensors.
	Limits pickle.Limits
}

func (o Options) limits() pickle.Limits {
	l := o.Limits
	if l.Bytes == 0 {
		l.Bytes = 64 << 20
	}
	if l.Values == 0 {
		l.Values = 2 << 20
	}
	return l
}

// File is an open file. It is safe for concurrent use, except Close.
type File struct {
	path   string
	legacy bool
	root   any
	closer io.Closer
}

// Open opens the file at path. Errors name it.
func Open(path string, o Options) (*File, error) {
	f, size, err := regularfile.Open(path)
	if err != nil {
		return nil, err
	}
	opened, err := New(f, size, path, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	opened.closer = f
	return opened, nil
}

// New reads a file of size bytes from r; path serves messages only. Closing the
// result does not close r.
func New(r io.ReaderAt, size int64, path string, o Options) (*File, error) {
	f := &File{path: path}
	if err := f.read(r, size, o); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *File) read(r io.ReaderAt, size int64, o Options) error {
	head := make([]byte, min(size, int64(len(pointer))))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return fmt.Errorf("reading its first bytes: %w", err)
	}
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	var err error
	switch {
	case starts("PK\x03\x04"):
		f.root, err = readZip(r, size, f.path, o)
	case starts("\x80"):
		f.legacy = true
		f.root, err = readLegacy(r, size, f.path, o)
	case starts(pointer):
		err = safetensors.ErrPointer
	case tarred(r):
		err = fmt.Errorf("a tar file, as PyTorch before 0.1.10 wrote them, is %w: load and save it with a PyTorch that reads it", ErrUnsupported)
	default:
		err = fmt.Errorf("%w: it begins with %q, neither a zip archive nor a pickle", ErrFormat, head[:min(len(head), 8)])
	}
	return err
}

// pointer is how a Git LFS pointer begins.
const pointer = "version https://git-lfs.github.com/spec/"

func tarred(r io.ReaderAt) bool {
	var magic [5]byte
	n, _ := r.ReadAt(magic[:], 257)
	return string(magic[:n]) == "ustar"
}

// Path returns the path that the file was opened with.
func (f *File) Path() string { return f.path }

// Legacy tells whether the file is of the form that came before zip archives.
func (f *File) Legacy() bool { return f.legacy }

// Root gives the saved value as package pickle has it, with a *Tensor for each
// tensor and each parameter, a *TypedStorage for a bare storage, and a
// pickle.Tuple for a torch.Size. Do not modify it.
func (f *File) Root() any { return f.root }

// Close closes the file. Calling it again does nothing.
func (f *File) Close() error {
	c := f.closer
	f.closer = nil
	if c == nil {
		return nil
	}
	return c.Close()
}

// Bytes gives the content of a bytes object or of an io.BytesIO, as the
// _extra_state of a module may be.
func Bytes(v any) ([]byte, bool) {
	if o, ok := v.(*pickle.Object); ok && o.Class == bytesIO {
		if state, ok := o.State.(pickle.Tuple); ok && len(state) > 0 {
			v = state[0]
		}
	}
	b, ok := v.([]byte)
	return b, ok
}
