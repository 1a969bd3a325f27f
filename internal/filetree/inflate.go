package filetree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// IsGzip tells whether the file at path begins as gzip does.
func IsGzip(path string) (bool, error) {
	f, _, err := regularfile.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var magic [3]byte
	n, err := f.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return string(magic[:n]) == "\x1f\x8b\x08", nil
}

// Inflated is a temporary file that disappears when it is closed.
type Inflated struct {
	file   *os.File
	size   int64
	remove bool
	once   sync.Once
	err    error
}

// ReadAt implements io.ReaderAt.
func (i *Inflated) ReadAt(p []byte, off int64) (int, error) { return i.file.ReadAt(p, off) }

// Size is the number of bytes inflated.
func (i *Inflated) Size() int64 { return i.size }

// Close removes the file. Calling it again does nothing.
func (i *Inflated) Close() error {
	i.once.Do(func() {
		i.err = i.file.Close()
		if i.remove {
			i.err = errors.Join(i.err, os.Remove(i.file.Name()))
		}
	})
	return i.err
}

const (
	// spare is the space that inflating leaves free, for others on the disk and for
	// what is written beside.
	spare = 64 << 20
	look  = 32 << 20 // bytes between looks at the free space
)

// freeSpace gives the bytes that may still be written to a directory's disk, and
// whether that is known.
var freeSpace = diskSpace

// Inflate inflates the gzip file at path to a temporary file in dir. progress,
// unless nil, hears how many of the compressed bytes were read. Where the system
// allows, the file has no name from the beginning, so that it is gone with the
// process, however that ends. On any error, the context's among them, nothing is
// left. Inflating stops before the disk is full.
func Inflate(ctx context.Context, path, dir string, progress func(done int64)) (*Inflated, error) {
	return inflate(ctx, path, dir, progress, func([]byte) error { return nil })
}

// inflate shows the first block of a tar archive, or what there is of it, to check
// before it goes on.
func inflate(ctx context.Context, path, dir string, progress func(done int64), check func(first []byte) error) (*Inflated, error) {
	source, _, err := regularfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	file, err := os.CreateTemp(dir, ".inflated-*.tmp")
	if err != nil {
		return nil, err
	}
	// An open file without a name lives until it is closed; not on Windows.
	out := &Inflated{file: file, remove: os.Remove(file.Name()) != nil}
	if err := out.fill(ctx, source, progress, check); err != nil {
		out.Close()
		return nil, fmt.Errorf("inflating %s: %w", path, err)
	}
	return out, nil
}

// OpenArchive opens a tar archive, in place or, where gzip compressed it, as
// InflateTar does, in tempDir or, where that is "", in the system's directory.
func OpenArchive(ctx context.Context, path, tempDir string, progress func(done int64)) (Tree, error) {
	compressed, err := IsGzip(path)
	if err != nil {
		return nil, err
	}
	if !compressed {
		return OpenTar(path)
	}
	if tempDir == "" {
		tempDir = os.TempDir()
	}
	return InflateTar(ctx, path, tempDir, progress)
}

// InflateTar inflates a gzip'ed tar archive as Inflate does and opens it. Closing
// the tree removes the temporary file.
func InflateTar(ctx context.Context, path, dir string, progress func(done int64)) (Tree, error) {
	file, err := inflate(ctx, path, dir, progress, headed)
	if err != nil {
		return nil, err
	}
	tree, err := NewTar(file, file.size, path, file)
	if err != nil {
		file.Close()
		return nil, err
	}
	return tree, nil
}

// headed tells whether a block begins a tar archive: what else was compressed is
// not worth the disk.
func headed(first []byte) error {
	_, err := tar.NewReader(bytes.NewReader(first)).Next()
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: what is compressed does not begin with the header of a tar archive", ErrFormat)
	}
	return nil // one that goes on in the next block ends too early here
}

func (i *Inflated) fill(ctx context.Context, source io.Reader, progress func(int64), check func(first []byte) error) error {
	in := &counter{r: source}
	z, err := gzip.NewReader(in)
	if err != nil {
		return compressed(err, in.n)
	}
	buffer := make([]byte, 256<<10)
	if err := i.first(z, buffer[:512], check); err != nil {
		return err
	}
	for checked := int64(-look); ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if i.size >= checked+look {
			checked = i.size
			if err := i.room(); err != nil {
				return err
			}
		}
		n, err := z.Read(buffer)
		if _, err := i.file.Write(buffer[:n]); err != nil {
			return err
		}
		i.size += int64(n)
		if progress != nil {
			progress(in.n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return compressed(err, in.n)
		}
	}
}

// first inflates the first block, if there is a whole one. An error of reading comes
// again at the next read.
func (i *Inflated) first(z io.Reader, block []byte, check func([]byte) error) error {
	n, _ := io.ReadFull(z, block)
	if err := check(block[:n]); err != nil {
		return err
	}
	_, err := i.file.Write(block[:n])
	i.size = int64(n)
	return err
}

func compressed(err error, at int64) error {
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the gzip data ends at byte %d before it is complete", ErrFormat, at)
	}
	return fmt.Errorf("%w: damaged gzip data before byte %d: %w", ErrFormat, at, err)
}

// room refuses to go on when the disk is nearly full.
func (i *Inflated) room() error {
	dir := filepath.Dir(i.file.Name())
	free, known := freeSpace(dir)
	if known && free < spare+look {
		return fmt.Errorf("%d bytes were inflated and %d are left on the disk of %s: it needs more space there, or another temporary directory", i.size, free, dir)
	}
	return nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
