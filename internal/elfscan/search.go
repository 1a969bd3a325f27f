package elfscan

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Search finds libraries as the dynamic loader of glibc does, in a tree of files. Paths that it takes and
// gives are those inside the tree.
type Search struct {
	Root        string   // the tree, "/" for this machine's
	LibraryPath []string // LD_LIBRARY_PATH
	System      []string // what /etc/ld.so.conf lists, then those of the loader's own directories that there are

	scanned map[string]*Library // by path
	failed  map[string]error
}

// Limits of what is followed.
const (
	maxLinks     = 40
	maxConf      = 1 << 20 // bytes of ld.so.conf and of each file that it includes
	maxIncludes  = 1000
	maxLibraries = 1000
)

// defaultDirectories are the loader's own, and those that Debian and Ubuntu compile into it.
var defaultDirectories = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// NewSearch reads the tree's /etc/ld.so.conf. libraryPath is the value of LD_LIBRARY_PATH.
func NewSearch(root, libraryPath string) *Search {
	s := &Search{Root: root, scanned: map[string]*Library{}, failed: map[string]error{}}
	for _, d := range strings.FieldsFunc(libraryPath, func(r rune) bool { return r == ':' || r == ';' }) {
		if absolute, err := filepath.Abs(d); err == nil && root == "/" { // of another tree, the working directory is its root
			d = absolute
		}
		s.LibraryPath = append(s.LibraryPath, path.Join("/", d))
	}
	includes := 0
	s.readConf("/etc/ld.so.conf", &includes)
	for _, d := range defaultDirectories {
		if s.Exists(d) {
			s.add(d)
		}
	}
	return s
}

func (s *Search) add(directories ...string) {
	for _, d := range directories {
		if !slices.Contains(s.System, d) {
			s.System = append(s.System, d)
		}
	}
}

// readConf reads a file of ldconfig's: a directory a line, or "include PATTERN". What cannot be read lists nothing.
func (s *Search) readConf(name string, includes *int) {
	b, err := s.ReadFile(name, maxConf)
	if err != nil || *includes > maxIncludes {
		return
	}
	*includes++
	lines := bufio.NewScanner(strings.NewReader(string(b)))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "hwcap" {
			continue
		}
		if fields[0] != "include" {
			directory, _, _ := strings.Cut(strings.Join(fields, " "), "=") // of a kind of libc
			s.add(path.Clean("/" + directory))
			continue
		}
		for _, pattern := range fields[1:] {
			if !path.IsAbs(pattern) {
				pattern = path.Join(path.Dir(name), pattern)
			}
			for _, included := range s.Glob(pattern) {
				s.readConf(included, includes)
			}
		}
	}
}

// Glob lists what matches a pattern, sorted. Links of directories above the pattern's wildcards are followed.
func (s *Search) Glob(pattern string) []string {
	fixed, rest := path.Clean(pattern), ""
	for strings.ContainsAny(fixed, `*?[\`) {
		rest = path.Join(path.Base(fixed), rest)
		fixed = path.Dir(fixed)
	}
	directory, err := s.Real(fixed)
	if err != nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(directory, rest))
	if err != nil {
		return nil
	}
	for i, f := range found {
		relative, err := filepath.Rel(directory, f)
		if err != nil {
			return nil
		}
		found[i] = path.Join(fixed, filepath.ToSlash(relative))
	}
	return found
}

// Real gives the path, outside the tree, of the file that a path inside it leads to. Links are followed, and never
// lead out of the tree.
func (s *Search) Real(name string) (string, error) {
	todo, done := strings.Split(path.Clean("/"+name), "/"), "/"
	for links := 0; len(todo) > 0; {
		next := path.Join(done, todo[0]) // ".." of the root is the root
		todo = todo[1:]
		info, err := os.Lstat(filepath.Join(s.Root, next))
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("too many links")}
		}
		target, err := os.Readlink(filepath.Join(s.Root, next))
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			done = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return filepath.Join(s.Root, done), nil
}

// Resolve is Real as a path inside the tree.
func (s *Search) Resolve(name string) (string, error) {
	real, err := s.Real(name)
	if err != nil {
		return "", err
	}
	relative, err := filepath.Rel(s.Root, real)
	return path.Join("/", filepath.ToSlash(relative)), err
}

// Exists tells whether there is a file, or a directory, at a path.
func (s *Search) Exists(name string) bool {
	_, err := s.Real(name)
	return err == nil
}

// ReadFile reads at most limit bytes of a file, which need not be a regular one: those of /proc have no size.
func (s *Search) ReadFile(name string, limit int) ([]byte, error) {
	real, err := s.Real(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would wait
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)))
}

// Open reads the library at a path inside the tree, once.
func (s *Search) Open(name string) (*Library, error) {
	if l, ok := s.scanned[name]; ok {
		return l, s.failed[name]
	}
	var l *Library
	real, err := s.Real(name)
	if err == nil {
		if l, err = Open(real); err == nil {
			l.Path = name
		}
	}
	s.scanned[name], s.failed[name] = l, err
	return l, err
}

// Find looks for a library as dlopen does with its file name.
func (s *Search) Find(name string) (string, bool) {
	for _, d := range slices.Concat(s.LibraryPath, s.System) {
		if candidate := path.Join(d, name); s.Exists(candidate) {
			return candidate, true
		}
	}
	return "", false
}
