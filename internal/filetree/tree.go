package filetree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// Errors that those of this package are wrapped in, besides fs.ErrNotExist and
// those of the system.
var (
	// ErrFormat says that an archive is damaged or is none.
	ErrFormat = errors.New("invalid archive")
	// ErrRefused says that a file or an archive holds what is not read here.
	ErrRefused = errors.New("refused")
)

// maxFiles bounds the files, directories and links of a tree.
var maxFiles = 1 << 20

const (
	maxNameBytes = 64 << 20 // all names together
	maxName      = 4096     // one name
)

// Tree is a set of files. It is safe for concurrent use, except Close.
type Tree interface {
	// Names lists the regular files, sorted. Names are separated by slashes, have
	// no leading "./", and lead nowhere but into the tree. Do not modify the list.
	Names() []string
	// Open finds a file by its name. Where there is none the error wraps
	// fs.ErrNotExist; where it is a link that is not followed, or no regular file,
	// ErrRefused. Errors name the tree's path and the file.
	Open(name string) (File, error)
	// Close releases the tree. No file of it may be read afterwards.
	Close() error
}

// File is one file of a tree, valid until the tree is closed and safe for
// concurrent use. There is nothing to close. Errors name the file.
type File interface {
	io.ReaderAt
	// Size is the number of bytes.
	Size() int64
}

// ReadFile reads a whole file, which may have at most the given number of bytes.
func ReadFile(tree Tree, name string, most int64) ([]byte, error) {
	f, err := tree.Open(name)
	if err != nil {
		return nil, err
	}
	if f.Size() > most {
		return nil, fmt.Errorf("%s %w: it has %d bytes, more than the %d that such a file may have", name, ErrRefused, f.Size(), most)
	}
	text := make([]byte, f.Size())
	if n, err := f.ReadAt(text, 0); n < len(text) {
		return nil, err
	}
	return text, nil
}

// Path names a file of a tree for messages: with the directory's path before it,
// or the archive's.
func Path(tree Tree, name string) string {
	if t, ok := tree.(interface{ path(name string) string }); ok {
		return t.path(name)
	}
	return name
}

// Has tells whether the tree lists a file of that name.
func Has(tree Tree, name string) bool {
	names := tree.Names()
	i := sort.SearchStrings(names, name)
	return i < len(names) && names[i] == name
}

// Sub gives the part of a tree below a directory, which may be empty. Closing it
// does nothing: the tree itself is to be closed.
func Sub(tree Tree, dir string) Tree {
	prefix := path.Clean(dir) + "/"
	if prefix == "./" {
		prefix = ""
	}
	s := &sub{tree: tree, prefix: prefix}
	names := tree.Names()
	for i := sort.SearchStrings(names, prefix); i < len(names) && strings.HasPrefix(names[i], prefix); i++ {
		s.names = append(s.names, names[i][len(prefix):])
	}
	return s
}

type sub struct {
	tree   Tree
	prefix string
	names  []string
}

func (s *sub) Names() []string { return s.names }

func (s *sub) Open(name string) (File, error) {
	if !within(name) {
		return nil, &fs.PathError{Op: "open", Path: s.prefix + name, Err: fs.ErrNotExist}
	}
	return s.tree.Open(s.prefix + name)
}

func (s *sub) path(name string) string { return Path(s.tree, s.prefix+name) }

func (s *sub) Close() error { return nil }

// within tells whether a name is one that Names could list.
func within(name string) bool {
	return name != "" && name != "." && path.Clean(name) == name && !leaves(name)
}

// leaves tells whether a cleaned name leads out of the tree.
func leaves(name string) bool {
	return name == ".." || strings.HasPrefix(name, "../") || strings.HasPrefix(name, "/")
}
