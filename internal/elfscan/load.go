package elfscan

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Load is what loading a library would bring into the process, and what it would lack.
type Load struct {
	Libraries []*Library // the library itself first, then what it needs, breadth first, as the loader searches for symbols
	Missing   []Missing
	Versions  []MissingVersion
	// Undefined are symbols that no library of the load defines. It is empty while libraries are missing, since those
	// may define them.
	Undefined []Undefined
}

// Missing is a needed library that the loader does not find.
type Missing struct {
	Name, NeededBy string
	Searched       []string // directories, in order
	Err            error    // of a file that has the name but cannot be loaded; nil when there is none
}

// MissingVersion is a symbol version that a library needs and the one found does not define, because it is older.
type MissingVersion struct {
	Version, NeededBy string
	Path              string // of the library that lacks it
}

// Undefined is a symbol that nothing defines.
type Undefined struct{ Symbol, NeededBy string }

// node is a library of a load and the one that asked for it, whose DT_RPATH counts for it as well.
type node struct {
	library *Library
	parent  *node
}

// Load follows what the library at a path needs, transitively. The error is that of Open for the library itself.
func (s *Search) Load(name string) (*Load, error) {
	first, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	load := &Load{}
	seen := map[string]bool{first.Soname: true, path.Base(name): true}
	for queue := []*node{{library: first}}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		load.Libraries = append(load.Libraries, n.library)
		for _, needed := range n.library.Needed {
			if seen[needed] {
				continue
			}
			seen[needed] = true
			if len(seen) > maxLibraries {
				return nil, fmt.Errorf("%s: %w: it needs more than %d libraries", name, ErrInvalid, maxLibraries)
			}
			library, missing := s.need(n, needed, first.Machine)
			if missing != nil {
				load.Missing = append(load.Missing, *missing)
				continue
			}
			seen[library.Soname] = true
			queue = append(queue, &node{library, n})
		}
	}
	load.checkVersions()
	if len(load.Missing) == 0 {
		load.checkSymbols()
	}
	return load, nil
}

// need finds a library that another one needs. A file for another processor is passed over, as the loader does.
func (s *Search) need(by *node, name, machine string) (*Library, *Missing) {
	missing := &Missing{Name: name, NeededBy: by.library.Path}
	candidates := []string{name}
	if !strings.Contains(name, "/") {
		candidates = nil
		for _, d := range s.directories(by) {
			if !slices.Contains(missing.Searched, d) {
				missing.Searched = append(missing.Searched, d)
				candidates = append(candidates, path.Join(d, name))
			}
		}
	}
	for _, c := range candidates {
		if !s.Exists(c) {
			continue
		}
		library, err := s.Open(c)
		if err == nil && library.Machine == machine {
			return library, nil
		}
		if err == nil {
			err = fmt.Errorf("%s is for %s, not %s", c, library.Machine, machine)
		}
		if missing.Err == nil {
			missing.Err = err
		}
	}
	return nil, missing
}

// directories are where the loader looks for what a library needs: DT_RPATH of it and of those that
// asked for it, unless it has DT_RUNPATH; LD_LIBRARY_PATH; DT_RUNPATH; the system's.
func (s *Search) directories(by *node) []string {
	var list []string
	if len(by.library.RunPath) == 0 {
		for n := by; n != nil; n = n.parent {
			if len(n.library.RunPath) == 0 {
				list = append(list, Expand(n.library.Path, n.library.RPath)...)
			}
		}
	}
	return slices.Concat(list, s.LibraryPath, Expand(by.library.Path, by.library.RunPath), s.System)
}

// Expand gives the directories of DT_RPATH or DT_RUNPATH of the library or program at file, with that file's directory for
// $ORIGIN. An empty entry is the working directory, of which nothing is known.
func Expand(file string, paths []string) []string {
	origin := strings.NewReplacer("$ORIGIN", path.Dir(file), "${ORIGIN}", path.Dir(file))
	var list []string
	for _, p := range paths {
		for d := range strings.SplitSeq(p, ":") {
			if d != "" {
				list = append(list, path.Clean(origin.Replace(d)))
			}
		}
	}
	return list
}

// checkVersions compares the versions that are needed with those of the libraries found. One that defines none is accepted,
// as the loader does.
func (l *Load) checkVersions() {
	byName := map[string]*Library{}
	for _, library := range l.Libraries {
		byName[path.Base(library.Path)], byName[library.Soname] = library, library
	}
	for _, library := range l.Libraries {
		for _, need := range library.Requires {
			found := byName[need.Library]
			if found != nil && len(found.Versions) > 0 && !slices.Contains(found.Versions, need.Version) {
				l.Versions = append(l.Versions, MissingVersion{need.Version, library.Path, found.Path})
			}
		}
	}
}

func (l *Load) checkSymbols() {
	for _, library := range l.Libraries {
		for _, symbol := range library.Imports {
			if !slices.ContainsFunc(l.Libraries, func(other *Library) bool { _, ok := other.Exports[symbol]; return ok }) {
				l.Undefined = append(l.Undefined, Undefined{symbol, library.Path})
			}
		}
	}
}

// StaticTLS lists the libraries of the load, but those of libc, that need static thread-local storage, and how many bytes
// of it they take together.
func (l *Load) StaticTLS() (list []*Library, size uint64) {
	for _, library := range l.Libraries {
		if library.StaticTLS && library.TLSBytes > 0 && !libc[strings.SplitN(path.Base(library.Path), ".so", 2)[0]] {
			list = append(list, library)
			size += library.TLSBytes
		}
	}
	return list, size
}

// libc has the libraries that are in the process from its start.
var libc = map[string]bool{"libc": true, "libm": true, "libdl": true, "libpthread": true, "librt": true, "ld-linux-x86-64": true, "ld-linux-aarch64": true}
