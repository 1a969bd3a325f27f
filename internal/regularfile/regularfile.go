// Package regularfile opens files that have to be files: never a directory, a
// device, or a pipe, which would keep its reader waiting for ever.
//
//	f, size, err := regularfile.Open("model.safetensors")
//	text, err := regularfile.Read("config.json", 16<<20)
package regularfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrRefused is wrapped by errors about what is no regular file, or a longer one
// than is read. All errors name the path.
var ErrRefused = errors.New("not a regular file")

// Open opens the file at path and gives its size in bytes. Links are followed.
func Open(path string) (f *os.File, size int64, err error) {
	stat, err := os.Stat(path) // before opening, because a pipe waits there
	if err != nil {
		return nil, 0, err
	}
	if !stat.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: %w", path, ErrRefused)
	}
	f, err = os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	if stat, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, stat.Size(), nil
}

// Read reads a whole file of at most the given number of bytes.
func Read(path string, most int64) ([]byte, error) {
	f, size, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > most {
		return nil, fmt.Errorf("%s: %w of at most %d bytes: it has %d", path, ErrRefused, most, size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}
