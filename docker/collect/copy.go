package main

import (
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// copy copies a file to the same path of the target, with the links that lead to it. Links of the tree's top, such as /lib
// of a merged /usr, are the target's own business unless it is an image of its own: a copy of /lib onto an image that has it
// otherwise would hide all of it.
func (c *collection) copy(name string) error {
	todo, done := strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/"), "/"
	for len(todo) > 0 {
		next := path.Join(done, todo[0])
		todo = todo[1:]
		info, err := os.Lstat(filepath.Join(c.root, next))
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		target, err := os.Readlink(filepath.Join(c.root, next))
		if err != nil {
			return err
		}
		if done != "/" || c.interpreter {
			if err := c.link(next, target); err != nil {
				return err
			}
		}
		if path.IsAbs(target) {
			done = "/"
		}
		for _, part := range slices.Backward(strings.Split(strings.Trim(target, "/"), "/")) {
			todo = append([]string{part}, todo...)
		}
	}
	return c.file(done)
}

func (c *collection) link(name, target string) error {
	to := filepath.Join(c.target, name)
	if old, err := os.Readlink(to); err == nil && old == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Symlink(target, to)
}

// file copies a regular file, once.
func (c *collection) file(name string) error {
	if _, ok := c.copied[name]; ok {
		return nil
	}
	from, err := os.Open(filepath.Join(c.root, name))
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() { // what a link leads to: its files come by themselves
		return os.MkdirAll(filepath.Join(c.target, name), 0o755)
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "copy", Path: name, Err: fs.ErrInvalid}
	}
	to := filepath.Join(c.target, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	n, err := io.Copy(out, from)
	if closed := out.Close(); err == nil {
		err = closed
	}
	c.copied[name] = n
	return err
}

// writeLoaderConfig lists the directories of libraries that the loader looked into, in its order, since the image that they are put
// on has a list of its own. Those that a library names itself are no business of the loader.
func (c *collection) writeLoaderConfig() error {
	to := filepath.Join(c.target, c.loaderConfig)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	var text strings.Builder
	for _, d := range slices.Concat(c.search.LibraryPath, c.search.System) {
		if c.dirs[d] {
			text.WriteString(d + "\n")
			delete(c.dirs, d)
		}
	}
	return os.WriteFile(to, []byte(text.String()), 0o644)
}
