// Package outputfile writes files that appear under their names only when they are complete: whoever finds one may rely on it,
// and a run that fails leaves the older file as it was.
//
//	f, err := outputfile.Create("summaries.jsonl")
//	if err != nil {
//		return err
//	}
//	defer f.Discard() // does nothing after Commit
//	fmt.Fprintln(f, "…")
//	return f.Commit()
package outputfile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// File is a file under way: a hidden temporary sibling of what it will become. It is buffered, and not safe for use by several
// goroutines at once.
//
// A device, a pipe or a socket, such as /dev/stdout, cannot appear and must not be replaced: it is written as it is.
type File struct {
	*bufio.Writer
	file *os.File
	path string // empty when the file itself is written
	done bool
}

// Create begins the file at path. What can be known to be wrong with the path is an error now and not at the end. A link is
// followed; a file that is replaced keeps its permissions.
func Create(path string) (*File, error) {
	mode := fs.FileMode(0o666)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory, not a file", path)
	case !info.Mode().IsRegular() || isStream(path):
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return nil, err
		}
		return &File{Writer: bufio.NewWriter(file), file: file}, nil
	default:
		mode = info.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	file, err := createSibling(path, mode)
	if err != nil {
		return nil, err
	}
	if info != nil {
		if err := file.Chmod(mode); err != nil { // the umask may have taken some of it
			_, _ = file.Close(), os.Remove(file.Name())
			return nil, err
		}
	}
	return &File{Writer: bufio.NewWriter(file), file: file, path: path}, nil
}

// isStream tells whether path is a name of an open stream, which may well lead to a regular file that others write too.
func isStream(path string) bool {
	dir := filepath.Dir(filepath.Clean(path))
	return dir == "/dev" || dir == "/dev/fd" || dir == "/proc/self/fd"
}

// createSibling does what os.CreateTemp does, except that the file gets the permissions that the umask allows.
func createSibling(path string, mode fs.FileMode) (*os.File, error) {
	for attempt := 0; ; attempt++ {
		name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+strconv.FormatUint(rand.Uint64(), 36))
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) || attempt == 100 {
			return file, err
		}
	}
}

// Commit writes what is buffered and gives the file its name.
func (f *File) Commit() error {
	if err := f.Flush(); err != nil {
		return err
	}
	if err := f.file.Close(); err != nil {
		return err
	}
	if f.path != "" {
		if err := os.Rename(f.file.Name(), f.path); err != nil {
			return err
		}
	}
	f.done = true
	return nil
}

// Keep gives a file that will not become complete the name with ".partial" behind, replacing an older such one, and returns that
// name; "" for what is written as it is.
func (f *File) Keep() (string, error) {
	if f.path != "" {
		f.path += ".partial"
	}
	return f.path, f.Commit()
}

// Discard removes a file that was not committed. After Commit it does nothing.
func (f *File) Discard() {
	if f.done {
		return
	}
	f.done = true
	_ = f.file.Close()
	if f.path != "" {
		_ = os.Remove(f.file.Name())
	}
}
