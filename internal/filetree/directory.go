package filetree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// OpenDir opens the directory at path and lists the files below it. Files that
// are added later are not seen. A symbolic link to a file of the same directory
// is that file, and so is one of a snapshot in Hugging Face's cache to a blob of
// the same repository. Other links, and what is no file, are left out, and opening
// them, or a name below them, is refused.
func OpenDir(path string) (Tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &directory{dir: path, root: root, refused: map[string]string{}, cache: openCache(path), inCache: map[string]string{}}
	d.handles = newHandles(d.open)
	if err := d.list(); err != nil {
		d.Close()
		return nil, err
	}
	sort.Strings(d.names) // a walk puts a/b before a.c
	return d, nil
}

type directory struct {
	dir     string
	root    *os.Root // keeps links from leading out of the directory
	names   []string
	refused map[string]string // name to reason
	cache   *cache            // nil for a directory that is in none
	inCache map[string]string // name to blob
	handles *handles
}

// open opens a file that is listed.
func (d *directory) open(name string) (*os.File, error) {
	if blob, ok := d.inCache[name]; ok {
		return d.cache.blobs.Open(blob)
	}
	return d.root.Open(name)
}

// stat describes a file that is listed.
func (d *directory) stat(name string) (fs.FileInfo, error) {
	if blob, ok := d.inCache[name]; ok {
		return d.cache.blobs.Lstat(blob)
	}
	return d.root.Stat(name)
}

func (d *directory) list() error {
	files, bytes := 0, 0
	return fs.WalkDir(d.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", d.dir, err)
		}
		files++
		if bytes += len(name); files > maxFiles || bytes > maxNameBytes {
			return fmt.Errorf("%s %w: there are more than %d files below it, or their names are too long", d.dir, ErrRefused, maxFiles)
		}
		if entry.IsDir() {
			return nil
		}
		if reason := d.reason(name, entry); reason != "" {
			d.refused[name] = reason
			return nil
		}
		d.names = append(d.names, name)
		return nil
	})
}

// reason tells why an entry that is no directory cannot be read, if so.
func (d *directory) reason(name string, entry fs.DirEntry) string {
	switch {
	case entry.Type().IsRegular():
		return ""
	case entry.Type()&fs.ModeSymlink == 0:
		return "it is neither a file nor a directory"
	}
	info, err := d.root.Stat(name)
	if err != nil && d.cache != nil {
		if blob, ok := d.cache.blob(d.root, name); ok {
			d.inCache[name] = blob
			return ""
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it is a link to nothing"
	case err != nil:
		return "it is a link that leads out of the directory, or in a circle: put the file itself there (cp -rL copies what links lead to)"
	case info.IsDir():
		return "it is a link to a directory: put the directory itself there (cp -rL copies what links lead to)"
	case !info.Mode().IsRegular():
		return "it is a link to what is no file"
	}
	return ""
}

func (d *directory) path(name string) string {
	return filepath.Join(d.dir, filepath.FromSlash(name))
}

func (d *directory) Names() []string { return d.names }

func (d *directory) Open(name string) (File, error) {
	full := d.path(name)
	if !Has(d, name) {
		for above := range prefixes(name) {
			if reason, ok := d.refused[above]; ok {
				return nil, fmt.Errorf("%s %w: %s", d.path(above), ErrRefused, reason)
			}
		}
		return nil, &fs.PathError{Op: "open", Path: full, Err: fs.ErrNotExist}
	}
	info, err := d.stat(name)
	if err != nil {
		return nil, named(full, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w: it is no longer a file", full, ErrRefused)
	}
	return &dirFile{d, name, full, info}, nil
}

// prefixes gives a, a/b and a/b/c for a/b/c.
func prefixes(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
		yield(name)
	}
}

func (d *directory) Close() error {
	return errors.Join(d.handles.close(), d.cache.close(), d.root.Close())
}

// named gives the system's errors, which have the name below the root, the whole
// path.
func named(full string, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: p.Op, Path: full, Err: p.Err}
	}
	return err
}

type dirFile struct {
	d    *directory
	name string
	full string
	info fs.FileInfo // when it was opened
}

func (f *dirFile) Size() int64 { return f.info.Size() }

func (f *dirFile) ReadAt(p []byte, off int64) (int, error) {
	h, err := f.d.handles.acquire(f.name, f.check)
	if err != nil {
		return 0, named(f.full, err)
	}
	defer f.d.handles.release(h)
	n, err := h.file.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = named(f.full, err)
	}
	if errors.Is(err, io.EOF) && off >= 0 && off+int64(n) < f.Size() {
		err = fmt.Errorf("%s: its %d bytes ended at %d: %w", f.full, f.Size(), off+int64(n), io.ErrUnexpectedEOF)
	}
	return n, err
}

// check refuses a file that was replaced since it was listed.
func (f *dirFile) check(opened *os.File) error {
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(info, f.info) || info.Size() != f.info.Size() {
		return fmt.Errorf("%s changed while it was being read", f.full)
	}
	return nil
}

// Skipped lists the names that a directory has but does not list, links and
// devices among them, each with the reason; nil for other trees.
func Skipped(tree Tree) []string {
	d, ok := tree.(*directory)
	if !ok {
		return nil
	}
	var out []string
	for name, reason := range d.refused {
		out = append(out, strings.Join([]string{name, reason}, ": "))
	}
	sort.Strings(out)
	return out
}
