// Package outputdir makes directories that appear under their name only when
// they are complete: checkpoints and engines. They are written in a hidden
// sibling, .NAME.partial-NUMBER, which takes the name in the end. The last file
// written into it is config.json, without which nothing reads such a directory.
//
//	d, err := outputdir.Create("ckpt", replaceable)
//	if err != nil {
//		return err
//	}
//	defer d.Abort()
//	… // write files into d.Path
//	return d.Commit()
package outputdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a directory under way. Its methods are not for concurrent use.
type Dir struct {
	// Path is where to write until Commit.
	Path string

	target      string
	replaceable func(dir string) error
	held        *os.File // the lock on Path, nil where there are no locks
}

// ErrRefused is wrapped by errors about an output directory that must not or
// cannot be replaced.
var ErrRefused = errors.New("this cannot be the output directory")

const (
	mark     = ".partial-"
	lastFile = "config.json"
)

// Partial tells whether dir has the name of one that was interrupted.
func Partial(dir string) bool {
	base := filepath.Base(filepath.Clean(dir))
	return strings.HasPrefix(base, ".") && strings.Contains(base, mark)
}

// Check tells early whether Create would accept dir and Commit could replace it.
// A directory that is there and not empty has to be acceptable to replaceable,
// whose error is returned.
func Check(dir string, replaceable func(dir string) error) error {
	_, err := check(dir, replaceable)
	return err
}

// check gives the path to rename to: dir, or what it links to.
func check(dir string, replaceable func(string) error) (string, error) {
	target, err := resolve(dir)
	if err != nil {
		return "", err
	}
	defer hold(filepath.Dir(target))()
	return target, fit(dir, target, replaceable)
}

func resolve(dir string) (string, error) {
	target, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if stat, err := os.Lstat(target); err != nil || stat.Mode()&fs.ModeSymlink == 0 {
		return target, nil //nolint:nilerr // fit says what is wrong
	}
	target, err = filepath.EvalSymlinks(target)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w: it is a link to a place that does not exist; make that directory or remove the link", dir, ErrRefused)
	}
	return target, err
}

// fit tells whether target, which the user calls dir, may be replaced.
func fit(dir, target string, replaceable func(string) error) error {
	stat, err := os.Stat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !stat.IsDir() {
		return fmt.Errorf("%s: %w: it is not a directory", dir, ErrRefused)
	}
	if here, err := os.Stat("."); err == nil && os.SameFile(stat, here) {
		return fmt.Errorf("%s: %w: it is the working directory; choose a directory inside it", dir, ErrRefused)
	}
	if mountPoint(target) {
		return fmt.Errorf("%s: %w: it is a mount point; choose a directory inside it", dir, ErrRefused)
	}
	entries, err := os.ReadDir(target)
	if err != nil || len(entries) == 0 {
		return err
	}
	return replaceable(target)
}

// Create starts a directory that will be dir, which has to pass [Check] and stays
// untouched until Commit. Parents are made. What killed processes left behind of
// the same dir is removed.
func Create(dir string, replaceable func(dir string) error) (*Dir, error) {
	target, err := check(dir, replaceable)
	if err != nil {
		return nil, err
	}
	parent, base := filepath.Split(target)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	prefix := "." + base + mark
	removeAbandoned(parent, prefix)
	d := &Dir{target: target, replaceable: replaceable}
	for try, ours := 0, false; !ours && try < 100; try++ { // another process may take a new one for abandoned
		if d.Path, err = os.MkdirTemp(parent, prefix); err != nil {
			return nil, err
		}
		d.held, ours = lock(d.Path)
	}
	if err := os.Chmod(d.Path, 0o755); err != nil {
		return nil, errors.Join(err, d.Abort())
	}
	return d, nil
}

// removeAbandoned removes the partial directories that no process holds. One with
// its last file is complete, or was the former holder of the name when a kill came
// in the middle of Commit: that is the user's to judge.
func removeAbandoned(parent, prefix string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if _, err := os.Stat(filepath.Join(path, lastFile)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if held, _ := lock(path); held != nil {
			os.RemoveAll(path)
			held.Close()
		}
	}
}

// Commit gives the directory its name; what had it takes the other name in the
// same step, where the file system can do that, and is removed. When Commit fails,
// nothing of the new directory remains and a former one is as it was.
func (d *Dir) Commit() error {
	syncDir(d.Path)
	if err := d.takeName(); err != nil {
		return errors.Join(err, d.Abort())
	}
	d.release()
	syncDir(filepath.Dir(d.target))
	return nil
}

// takeName renames Path to target. Of several processes that do so the last one
// keeps the name.
func (d *Dir) takeName() error {
	defer hold(filepath.Dir(d.target))()
	if err := fit(d.target, d.target, d.replaceable); err != nil { // again: hours may have passed
		return err
	}
	switch err := swap(d.Path, d.target); {
	case errors.Is(err, fs.ErrNotExist):
		return os.Rename(d.Path, d.target)
	case errors.Is(err, errors.ErrUnsupported):
		return d.moveAside()
	case err != nil:
		return &os.LinkError{Op: "rename", Old: d.Path, New: d.target, Err: err}
	}
	return os.RemoveAll(d.Path) // the former one
}

var swap = exchange // a variable for the tests

// moveAside is for file systems that cannot swap names: a kill between the two
// renames leaves the former directory aside, complete.
func (d *Dir) moveAside() error {
	old := d.Path + ".old"
	switch err := os.Rename(d.target, old); {
	case errors.Is(err, fs.ErrNotExist):
		return os.Rename(d.Path, d.target)
	case err != nil:
		return err
	}
	if err := os.Rename(d.Path, d.target); err != nil {
		return errors.Join(err, os.Rename(old, d.target))
	}
	return os.RemoveAll(old)
}

// Abort removes everything that was written. Calling it after Commit, or again,
// does nothing.
func (d *Dir) Abort() error {
	defer d.release()
	return os.RemoveAll(d.Path)
}

func (d *Dir) release() {
	if d.held != nil {
		d.held.Close()
		d.held = nil
	}
}

// syncDir makes the names in a directory durable where the file system allows it.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync()
		f.Close()
	}
}
