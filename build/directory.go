package build

import (
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/outputdir"
)

// directory is an engine directory under way, written in partial.
type directory struct {
	out     *outputdir.Dir
	partial string
}

func createDirectory(dir string) (*directory, error) {
	out, err := outputdir.Create(dir, replaceableEngine)
	if err != nil {
		return nil, err
	}
	return &directory{out, out.Path}, nil
}

// abort removes what was written; after commit it does nothing.
func (d *directory) abort() error { return d.out.Abort() }

// commit gives the directory its name. What stood there is moved aside first
// and removed after; when that fails it is as it was.
func (d *directory) commit() error { return d.out.Commit() }

// replaceable tells whether an engine may take dir's name: it does not exist,
// is empty, or is an engine of this project with nothing else in it.
func replaceable(dir string) error { return outputdir.Check(dir, replaceableEngine) }

// engineFile is the name of a file that builders write besides: plans, weights beside
// them, timing caches, and what trtllm-build tells of mixed precision.
var engineFile = regexp.MustCompile(`^(rank\d+(\.engine|_managed_weights\.safetensors)|.*\.cache|quant_cfg\.json)$`)

func replaceableEngine(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	c, err := engineconfig.Read(dir)
	if err != nil || c.Trtgo == nil || c.Trtgo.Producer.Name != ProducerName {
		return fmt.Errorf("%s: %w: it is not empty and no engine of %s; choose another directory or remove it", dir, ErrExists, ProducerName)
	}
	for _, e := range entries {
		name := e.Name()
		ours := name == engineconfig.FileName || slices.Contains(checkpoint.TokenizerNames(), name) || engineFile.MatchString(name)
		if !ours || !e.Type().IsRegular() {
			return fmt.Errorf("%s: %w: its %s is no part of an engine: choose another directory or move that file away", dir, ErrExists, name)
		}
	}
	return nil
}
