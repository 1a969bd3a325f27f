package trtllm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/filetree"
)

// Options say how an archive is read.
type Options struct {
	// TempDir is where an archive that was compressed by gzip is inflated to, once;
	// the file is removed by Close. "" is the system's.
	TempDir string
	// Inflating, when not nil, hears of the bytes inflated so far.
	Inflating func(done int64)
}

// IsArchive tells whether the tar archive at path holds a checkpoint.
func IsArchive(path string) bool {
	tree, err := filetree.OpenTar(path)
	if err != nil {
		return false
	}
	defer tree.Close()
	tree = rooted(tree)
	return filetree.Has(tree, checkpoint.ConfigName) && filetree.Has(tree, checkpoint.RankName(0))
}

// Open opens a directory or an archive and checks it as checkpoint.Open does. ctx
// bounds the inflating of a compressed archive.
func Open(ctx context.Context, path string, o Options) (*Model, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if stat.IsDir() {
		ckpt, err := checkpoint.Open(path)
		if err != nil {
			return nil, err
		}
		m, err := newModel(Format, ckpt, nil)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), ckpt.Close())
		}
		return m, nil
	}
	tree, err := filetree.OpenArchive(ctx, path, o.TempDir, o.Inflating)
	if err != nil {
		return nil, classified(path, err)
	}
	ckpt, err := checkpoint.OpenTree(rooted(tree), path)
	if err != nil {
		return nil, errors.Join(classified(path, err), tree.Close())
	}
	m, err := newModel(FormatArchive, ckpt, archive{rooted(tree), tree})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), ckpt.Close(), tree.Close())
	}
	return m, nil
}

// archive is the part of a tree below its root; closing it closes all.
type archive struct {
	filetree.Tree
	all filetree.Tree
}

// Close implements filetree.Tree.
func (a archive) Close() error { return a.all.Close() }

// rooted enters the one directory that an archive made of a directory has.
func rooted(t filetree.Tree) filetree.Tree {
	names := t.Names()
	if len(names) == 0 || filetree.Has(t, checkpoint.ConfigName) {
		return t
	}
	root, _, inside := strings.Cut(names[0], "/")
	if !inside || slices.ContainsFunc(names, func(name string) bool { return !strings.HasPrefix(name, root+"/") }) {
		return t
	}
	return filetree.Sub(t, root)
}

// classified wraps errors about an archive in the sentinels that sources have.
func classified(path string, err error) error {
	for _, damage := range []error{filetree.ErrFormat, filetree.ErrRefused} {
		if errors.Is(err, damage) {
			err = fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
			break
		}
	}
	if strings.Contains(err.Error(), path) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// DescribeArchive tells what an archive holds. An error means that it could not be
// opened at all.
func DescribeArchive(ctx context.Context, path string, o Options) (*source.Description, error) {
	tree, err := filetree.OpenArchive(ctx, path, o.TempDir, o.Inflating)
	if err != nil {
		return nil, classified(path, err)
	}
	d := &source.Description{Format: FormatArchive, Tensors: []source.Info{}, Problems: []string{}}
	ckpt, err := checkpoint.OpenTree(rooted(tree), path)
	if err != nil {
		d.Problems = append(d.Problems, err.Error())
		return d, tree.Close()
	}
	d.Architecture, d.Config = ckpt.Config().Architecture, ckpt.Config()
	m, err := newModel(FormatArchive, ckpt, tree)
	if err != nil {
		d.Problems = append(d.Problems, err.Error())
		return d, errors.Join(ckpt.Close(), tree.Close())
	}
	d.Tensors, d.Notes = m.Inventory(), m.Notes()
	return d, m.Close()
}
