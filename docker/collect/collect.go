package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/elfscan"
)

type options struct {
	root, target, list, libraryPath, loaderConfig string
	interpreter                                   bool
	files                                         []string
}

// collection is a copy on its way.
type collection struct {
	options
	search  *elfscan.Search
	left    []entry         // driver and base: what is not copied
	visited map[string]bool // files whose needs were followed, by path
	copied  map[string]int64
	dirs    map[string]bool // of libraries that others need
	missing []string
	summary
}

// collect copies what the options tell. All missing libraries are told of at once.
func collect(o options) (*summary, error) {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return nil, err
	}
	o.root = root
	c := &collection{options: o, search: elfscan.NewSearch(root, o.libraryPath), visited: map[string]bool{}, copied: map[string]int64{}, dirs: map[string]bool{}}
	c.leftOut = map[string]bool{}
	var entries []entry
	if o.list != "" {
		if entries, err = readList(o.list); err != nil {
			return nil, err
		}
	}
	for _, e := range entries {
		if e.kind == kindDriver || e.kind == kindBase {
			c.left = append(c.left, e)
		}
	}
	for _, file := range o.files {
		if err := c.take(path.Join("/", file), true); err != nil {
			return nil, err
		}
	}
	for _, e := range entries {
		if err := c.entry(e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", o.list, e.line, err)
		}
	}
	if len(c.missing) > 0 {
		return nil, fmt.Errorf("%d libraries are missing in %s:\n  %s", len(c.missing), o.root, strings.Join(c.missing, "\n  "))
	}
	if o.loaderConfig != "" {
		if err := c.writeLoaderConfig(); err != nil {
			return nil, err
		}
	}
	c.finish()
	return &c.summary, nil
}

func (c *collection) entry(e entry) error {
	switch e.kind {
	case kindNeed, kindOpen, kindFile:
		found := c.search.Glob(e.pattern)
		if len(found) == 0 && e.kind == kindNeed {
			return fmt.Errorf("nothing matches %s, which is needed: %s", e.pattern, e.reason)
		}
		take := func(name string) error { return c.take(name, e.kind == kindNeed) }
		if e.kind == kindFile {
			take = c.copy
		}
		for _, f := range found {
			if err := take(f); err != nil {
				return err
			}
		}
		if len(found) == 0 {
			c.absent = append(c.absent, e)
		}
	case kindTree:
		return c.tree(e)
	}
	return nil
}

// tree takes all files below a directory, and follows those that are ELF files.
func (c *collection) tree(e entry) error {
	if !c.search.Exists(e.pattern) {
		c.absent = append(c.absent, e)
		return nil
	}
	real, err := c.search.Real(e.pattern)
	if err != nil {
		return err
	}
	return filepath.WalkDir(real, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		relative, err := filepath.Rel(real, name)
		if err != nil {
			return err
		}
		inside := path.Join(e.pattern, filepath.ToSlash(relative))
		if !c.search.Exists(inside) { // a link that leads nowhere; nothing can need it
			return nil
		}
		if strings.Contains(path.Base(inside), ".so") || isELF(name) {
			return c.take(inside, false)
		}
		return c.copy(inside)
	})
}

// take copies an ELF file and all that it needs. One that must be usable fails where it is no ELF file, or where something that it needs
// is missing. Of the others, such as MPI's components for hardware that few have, it is told: what opens them passes over those
// that cannot be loaded, in the tree as well.
func (c *collection) take(name string, must bool) error {
	resolved, err := c.search.Resolve(name)
	if err != nil {
		return fmt.Errorf("%s is not in %s", name, c.root)
	}
	if err := c.copy(name); err != nil || c.visited[resolved] {
		return err
	}
	c.visited[resolved] = true
	load, err := c.load(name)
	if err != nil {
		if !must && errors.Is(err, elfscan.ErrInvalid) {
			return nil
		}
		return err
	}
	for _, l := range load.Libraries {
		if l.Path == name || c.isLeft(path.Base(l.Path)) {
			continue
		}
		c.dirs[path.Dir(l.Path)] = true
		if err := c.copy(l.Path); err != nil {
			return err
		}
	}
	for _, m := range load.Missing {
		if c.isLeft(m.Name) {
			continue
		}
		text := fmt.Sprintf("%s, needed by %s; looked in %s", m.Name, m.NeededBy, strings.Join(m.Searched, ", "))
		if m.Err != nil {
			text = fmt.Sprintf("%s, needed by %s: %v", m.Name, m.NeededBy, m.Err)
		}
		list := &c.missing
		if !must {
			list = &c.unusable
		}
		if !slices.Contains(*list, text) {
			*list = append(*list, text)
		}
	}
	return nil
}

// load follows what a file needs. What the target's base or the driver has is found like the rest and left out later: what it
// needs is theirs to have, but no harm to have twice.
func (c *collection) load(name string) (*elfscan.Load, error) {
	real, err := c.search.Real(name)
	if err != nil {
		return nil, err
	}
	program, err := elf.Open(real)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, elfscan.ErrInvalid, err)
	}
	defer program.Close()
	if err := c.loader(program); err != nil {
		return nil, err
	}
	if program.Type != elf.ET_EXEC {
		return c.search.Load(name)
	}
	return c.loadFixed(name, program)
}

// loadFixed follows what a program at a fixed address needs, which elfscan does not take. Directories that the program names are
// searched for all that it loads, which is more than the loader does when they are in DT_RUNPATH.
func (c *collection) loadFixed(name string, program *elf.File) (*elfscan.Load, error) {
	needed, err := program.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, elfscan.ErrInvalid, err)
	}
	before := c.search.LibraryPath
	defer func() { c.search.LibraryPath = before }()
	c.search.LibraryPath = slices.Concat(named(name, program), before)
	all := &elfscan.Load{}
	for _, n := range needed {
		found, ok := c.search.Find(n)
		if !ok {
			all.Missing = append(all.Missing, elfscan.Missing{Name: n, NeededBy: name, Searched: slices.Concat(c.search.LibraryPath, c.search.System)})
			continue
		}
		load, err := c.search.Load(found)
		if err != nil {
			return nil, err
		}
		all.Libraries, all.Missing = append(all.Libraries, load.Libraries...), append(all.Missing, load.Missing...)
	}
	return all, nil
}

// named lists the directories that a program names for its libraries.
func named(name string, program *elf.File) []string {
	paths, err := program.DynString(elf.DT_RUNPATH)
	if err != nil || len(paths) == 0 {
		paths, _ = program.DynString(elf.DT_RPATH)
	}
	return elfscan.Expand(name, paths)
}

// loader copies the dynamic loader that a program names.
func (c *collection) loader(program *elf.File) error {
	for _, p := range program.Progs {
		if p.Type != elf.PT_INTERP || !c.interpreter || p.Filesz > 4096 {
			continue
		}
		b, err := io.ReadAll(p.Open())
		if err != nil {
			return err
		}
		return c.copy(strings.TrimRight(string(b), "\x00"))
	}
	return nil
}

// isLeft tells whether the driver or the base has a library.
func (c *collection) isLeft(name string) bool {
	for _, e := range c.left {
		if ok, _ := path.Match(e.pattern, name); ok { // the pattern was checked when it was read
			c.leftOut[name] = true
			return true
		}
	}
	return false
}

func isELF(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == elf.ELFMAG
}
