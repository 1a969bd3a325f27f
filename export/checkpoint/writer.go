package checkpoint

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/outputdir"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// ProducerName is the producer's name in the checkpoints that this project
// writes.
const ProducerName = "trtgo"

// Writer writes a checkpoint into a hidden sibling of its directory, which takes
// its name in Commit. WriteAt may be called from several goroutines for ranges
// that do not overlap; the other methods may not.
type Writer struct {
	out    *outputdir.Dir
	config *Config
	dtype  string
	ranks  []*safetensors.Writer
}

// SafetensorsDtype gives the name that the rank files use for a config's dtype.
func SafetensorsDtype(dtype string) string {
	return map[string]string{Float32: safetensors.F32, Float16: safetensors.F16, BFloat16: safetensors.BF16}[dtype]
}

// Create starts a checkpoint that will be dir. The directory must not exist, or
// be empty, or hold a checkpoint that this project wrote and nothing else: such a
// one is replaced as a whole in Commit and stays untouched until then. Otherwise
// the error wraps [ErrExists]. A link is followed; the working directory and a
// mount point are refused, because they cannot be replaced. All rank files get
// their final size at once. What killed exports to the same dir left behind is
// removed.
func Create(dir string, config *Config) (*Writer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	out, err := outputdir.Create(dir, replaceable)
	if err != nil {
		return nil, err
	}
	w := &Writer{out: out, config: config.Clone(), dtype: SafetensorsDtype(config.Dtype)}
	if err := w.createRanks(); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func (w *Writer) createRanks() error {
	for r := range w.config.Mapping.WorldSize {
		var infos []safetensors.Info
		for _, t := range w.config.RankTensors(r) {
			infos = append(infos, safetensors.Info{Name: t.Name, Dtype: cmp.Or(t.Dtype, w.dtype), Shape: t.Shape})
		}
		rank, err := safetensors.Create(filepath.Join(w.out.Path, RankName(r)), infos, nil)
		if err != nil {
			return err
		}
		w.ranks = append(w.ranks, rank)
	}
	return nil
}

// Replaceable tells whether Create would accept dir.
func Replaceable(dir string) error { return outputdir.Check(dir, replaceable) }

// replaceable tells whether a directory that is not empty is a checkpoint of this
// project and nothing else.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	text, err := readConfig(filepath.Join(dir, ConfigName))
	var config struct {
		Producer Producer `json:"producer"`
	}
	if err != nil || json.Unmarshal(text, &config) != nil || config.Producer.Name != ProducerName {
		return fmt.Errorf("%s: %w: it is not empty and no checkpoint of %s; choose another directory or remove it", dir, ErrExists, ProducerName)
	}
	for _, e := range entries {
		name := e.Name()
		ours := name == ConfigName || slices.Contains(tokenizerNames, name) ||
			strings.HasPrefix(name, "rank") && strings.HasSuffix(name, ".safetensors")
		if !ours || !e.Type().IsRegular() {
			return fmt.Errorf("%s: %w: its %s is no part of a checkpoint: choose another directory or move that file away", dir, ErrExists, name)
		}
	}
	return nil
}

// WriteAt writes p into a tensor of a rank, off bytes from its beginning. What is
// never written stays zero.
func (w *Writer) WriteAt(rank int, tensor string, p []byte, off int64) error {
	return w.ranks[rank].WriteAt(tensor, p, off)
}

// Bytes is the size of all rank files together.
func (w *Writer) Bytes() int64 {
	n := int64(0)
	for _, r := range w.ranks {
		n += r.Size()
	}
	return n
}

// AddFile writes a file beside the rank files; name has no directory part.
func (w *Writer) AddFile(name string, data []byte) error {
	return w.add(name, strings.NewReader(string(data)))
}

// CopyFile copies a file, for instance one of the tokenizer's.
func (w *Writer) CopyFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.add(filepath.Base(path), f)
}

func (w *Writer) add(name string, r io.Reader) error {
	if filepath.Base(name) != name || name == "." || name == ".." {
		return fmt.Errorf("%q is not a file name", name)
	}
	f, err := os.OpenFile(filepath.Join(w.out.Path, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// Commit flushes the rank files, writes config.json last, and gives the directory
// its name; a former checkpoint of that name is moved aside first and removed
// after. When Commit fails nothing of the new checkpoint remains and a former
// one is as it was.
func (w *Writer) Commit() error {
	ranks := w.ranks
	w.ranks = nil
	var errs []error
	for _, r := range ranks {
		errs = append(errs, r.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, w.Abort())
	}
	text, err := w.config.Text()
	if err == nil {
		err = w.AddFile(ConfigName, text)
	}
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.out.Commit()
}

// Abort removes everything that was written. Calling it after Commit, or again,
// does nothing.
func (w *Writer) Abort() error {
	for _, r := range w.ranks {
		r.Abort()
	}
	w.ranks = nil
	return w.out.Abort()
}
