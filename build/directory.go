package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// directory is an engine directory under way: a hidden sibling of what it will be.
type directory struct {
	dir, partial string
}

func createDirectory(dir string) (*directory, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	parent, base := filepath.Split(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	partial, err := os.MkdirTemp(parent, "."+base+engineconfig.PartialMark)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(partial))
	}
	return &directory{dir, partial}, nil
}

// abort removes what was written; after commit it does nothing.
func (d *directory) abort() error { return os.RemoveAll(d.partial) }

// commit gives the directory its name. What stood there is moved aside first
// and removed after; when that fails it is as it was.
func (d *directory) commit() error {
	if err := replaceable(d.dir); err != nil { // again: a long time may have passed
		return err
	}
	syncDirectory(d.partial)
	old := d.partial + ".old"
	switch err := os.Rename(d.dir, old); {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Rename(d.partial, d.dir); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := os.Rename(d.partial, d.dir); err != nil {
			return errors.Join(err, os.Rename(old, d.dir))
		}
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	syncDirectory(filepath.Dir(d.dir))
	return nil
}

// replaceable tells whether an engine may take dir's name: it does not exist,
// is empty, or is an engine of this project with nothing else in it.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := engineconfig.Read(dir)
	if err != nil || c.Trtgo == nil || c.Trtgo.Producer.Name != ProducerName {
		return fmt.Errorf("%s: %w and is no engine of %s: choose another directory or remove it", dir, ErrExists, ProducerName)
	}
	for _, e := range entries {
		name := e.Name()
		ours := name == engineconfig.FileName || slices.Contains(checkpoint.TokenizerNames(), name) ||
			strings.HasPrefix(name, "rank") && strings.HasSuffix(name, ".engine")
		if !ours || !e.Type().IsRegular() {
			return fmt.Errorf("%s: %w: %s is no part of an engine: choose another directory or move that file away", dir, ErrExists, name)
		}
	}
	return nil
}

// syncDirectory makes the names in a directory durable where the file system
// allows that.
func syncDirectory(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}
