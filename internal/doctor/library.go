package doctor

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/elfscan"
)

// maxListed is how many names of a kind the report has of each library.
const maxListed = 20

// tlsRoom is how much static thread-local storage glibc keeps for libraries that are loaded late
// (glibc.rtld.optional_static_tls in the manual's chapter on tunables).
const tlsRoom = 512

// look finds a component and reads it.
func (e *examination) look(c *component) {
	l := &Library{Name: c.name, Backends: c.backends, component: c, Searched: []string{}}
	if err := e.find(l); err != nil {
		e.problem(l, err.Error(), c.remedy)
	}
	if l.Path != "" {
		l.Version = e.version(l)
		e.check(l)
	} else if c.needed && !l.broken {
		e.problem(l, fmt.Sprintf("%s (%s) is not there", c.name, c.files[0]), c.remedy)
	}
	e.libraries = append(e.libraries, l)
}

// find sets path and searched directories.
func (e *examination) find(l *Library) error {
	c := l.component
	if c.flavour != "" && e.findNative != nil {
		return e.findOwn(l)
	}
	if named := e.variable(c.variable); named != "" {
		l.Searched = append(l.Searched, c.variable)
		if absolute, err := filepath.Abs(named); err == nil && e.native && strings.Contains(named, "/") {
			named = absolute
		}
		if !strings.Contains(named, "/") { // the loader looks for it
			l.Path, l.LoaderFinds = e.search.Find(named)
		} else if e.search.Exists(named) {
			l.Path, l.LoaderFinds = path.Clean(named), true
		}
		if l.Path == "" {
			return fmt.Errorf("%s names %s, which is not there", c.variable, named)
		}
		return nil
	}
	places := func() { e.findIn(l, e.expand(c.places), false) }
	if c.first {
		places()
	}
	e.findIn(l, e.LoaderPath, true)
	if !c.first {
		places()
	}
	if l.Path == "" && c.beside != "" {
		if d := e.directoryOf(c.beside); d != "" {
			e.findIn(l, []string{d}, true)
		}
	}
	return nil
}

// directoryOf is where a library is that trtgo's own for TensorRT finds by itself, as cmake built it.
func (e *examination) directoryOf(file string) string {
	i := slices.IndexFunc(components, func(c *component) bool { return c.flavour == native.TensorRT })
	own := &Library{component: components[i], Searched: []string{}}
	if e.find(own) != nil || own.Path == "" {
		return ""
	}
	load, err := e.search.Load(own.Path)
	if err != nil {
		return ""
	}
	for _, l := range load.Libraries {
		if path.Base(l.Path) == file {
			return path.Dir(l.Path)
		}
	}
	return ""
}

// findOwn asks the loader of trtgo's own libraries, which looks beside the program too and knows their variables.
func (e *examination) findOwn(l *Library) error {
	found, err := e.findNative(l.component.flavour)
	if err == nil {
		l.Path, l.LoaderFinds = found, true
		return nil
	}
	text := err.Error()
	if refusal := new(native.Error); errors.As(err, &refusal) {
		text = refusal.Text
	}
	if e.variable(l.component.variable) != "" {
		l.Searched = []string{l.component.variable}
		return errors.New(text)
	}
	if missing := new(native.MissingError); errors.As(err, &missing) {
		l.Searched = missing.Searched
	}
	return nil
}

func (e *examination) findIn(l *Library, directories []string, loader bool) {
	if l.Path != "" {
		return
	}
	for _, file := range l.component.files {
		for _, d := range directories {
			if !slices.Contains(l.Searched, d) {
				l.Searched = append(l.Searched, d)
			}
			if candidate := path.Join(d, file); e.search.Exists(candidate) {
				l.Path, l.LoaderFinds = candidate, loader || slices.Contains(e.search.System, d)
				return
			}
		}
	}
}

// expand replaces patterns by the directories that there are; one that matches nothing stays, as a place that was looked at.
func (e *examination) expand(patterns []string) []string {
	var list []string
	for _, p := range patterns {
		variants := []string{p}
		if rest, ok := strings.CutPrefix(p, "{python}"); ok {
			variants = nil
			for _, d := range e.python {
				variants = append(variants, d+rest)
			}
		}
		for _, v := range variants {
			if found := e.search.Glob(v); len(found) > 0 {
				list = append(list, found...)
			} else {
				list = append(list, v)
			}
		}
	}
	return list
}

var (
	fileVersion    = regexp.MustCompile(`\.so\.(\d+(?:\.\d+)*)$`)
	packageVersion = regexp.MustCompile(`-(\d[^-/]*)\.dist-info$`)
)

// version is that of the Python package that has the library, else what the name of the file says that links lead to.
func (e *examination) version(l *Library) string {
	resolved, err := e.search.Resolve(l.Path)
	if err != nil {
		resolved = l.Path
	}
	if resolved != l.Path {
		l.Resolved = resolved
	}
	for d := path.Dir(resolved); d != "/" && d != "."; d = path.Dir(d) {
		for _, p := range l.component.packages {
			for _, info := range e.search.Glob(path.Join(escape(d), p+"-*.dist-info")) {
				if found := packageVersion.FindStringSubmatch(info); found != nil {
					return found[1]
				}
			}
		}
	}
	if found := fileVersion.FindStringSubmatch(resolved); found != nil {
		return found[1]
	}
	return ""
}

// escape makes a pattern that matches the path alone.
func escape(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// check reads the library and what it needs, and reports what is missing.
func (e *examination) check(l *Library) {
	c := l.component
	load, err := e.search.Load(l.Path)
	if err != nil {
		e.problem(l, fmt.Sprintf("%s cannot be used: %v", c.name, err), "install it again; "+c.remedy)
		return
	}
	own := load.Libraries[0]
	l.Dependencies = len(load.Libraries) - 1
	if !own.Native() && e.native {
		e.problem(l, fmt.Sprintf("%s at %s is for another processor, %s", c.name, l.Path, own.Machine), "install it for this one")
		return
	}
	for _, symbol := range c.symbols {
		if _, ok := own.Exports[symbol]; !ok {
			l.Symbols = append(l.Symbols, symbol)
			e.problem(l, fmt.Sprintf("%s at %s has no %s, so it is of another version or another library", c.name, l.Path, symbol), c.remedy)
		}
	}
	if !l.LoaderFinds && c.byName {
		remedy := "add " + path.Dir(l.Path) + " to LD_LIBRARY_PATH"
		if c.variable != "" {
			remedy = "set " + c.variable + "=" + l.Path + ", or " + remedy
		}
		e.problem(l, fmt.Sprintf("%s is at %s, where the system does not look for libraries", c.name, l.Path), remedy)
	}
	e.checkLoad(l, load)
	e.checkTLS(l, load)
}

func (e *examination) checkLoad(l *Library, load *elfscan.Load) {
	for i, m := range load.Missing {
		l.Missing = append(l.Missing, m.Name)
		if i >= maxListed {
			continue
		}
		text := fmt.Sprintf("%s needs %s, which is not where the system looks for it", m.NeededBy, m.Name)
		if m.Err != nil {
			text = fmt.Sprintf("%s needs %s, which cannot be used (%v)", m.NeededBy, m.Name, m.Err)
		}
		e.problem(l, text, e.whereIs(m.Name))
	}
	for i, v := range load.Versions {
		l.Versions = append(l.Versions, v.Version)
		if i < maxListed {
			e.problem(l, fmt.Sprintf("%s needs version %s, which %s does not have", v.NeededBy, v.Version, v.Path),
				"use a newer "+path.Base(v.Path)+", or the system that the library was made for")
		}
	}
	undefined := slices.DeleteFunc(slices.Clone(load.Undefined), func(u elfscan.Undefined) bool { // those that one problem tells of
		return slices.Contains(e.missingSymbols, u.Symbol)
	})
	l.broken = l.broken || len(undefined) < len(load.Undefined)
	if n := len(undefined); n > 0 {
		for _, u := range undefined[:min(n, maxListed)] {
			l.Symbols = append(l.Symbols, u.Symbol)
		}
		u := undefined[0]
		e.problem(l, fmt.Sprintf("%s needs the symbol %s, which nothing that it loads defines (%d such symbols in all)", u.NeededBy, u.Symbol, n),
			"its libraries are of different releases: install them from one release")
	}
}

// whereIs says what to do about a library that the loader does not find: it may lie where another component's places are.
func (e *examination) whereIs(name string) string {
	for _, c := range components {
		for _, d := range e.expand(c.places) {
			if e.search.Exists(path.Join(d, name)) {
				return "add " + d + " to LD_LIBRARY_PATH"
			}
		}
	}
	return supplier(name)
}

func (e *examination) checkTLS(l *Library, load *elfscan.Load) {
	list, size := load.StaticTLS()
	for _, library := range list {
		l.StaticTLS = append(l.StaticTLS, library.Path)
	}
	l.StaticBytes = size
	if size <= tlsRoom {
		return
	}
	e.problem(l, fmt.Sprintf("%s and what it needs want %d bytes of static thread-local storage, where glibc keeps %d for libraries that are loaded late", l.Path, size, tlsRoom),
		fmt.Sprintf("set GLIBC_TUNABLES=glibc.rtld.optional_static_tls=%d, or LD_PRELOAD=%s", (size+tlsRoom+1023)/1024*1024, strings.Join(l.StaticTLS, ":")))
}
