package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// Names of the files in a Hugging Face directory.
const (
	SingleName = "model.safetensors"
	IndexName  = "model.safetensors.index.json"
)

const maxIndex = 100 << 20

// Model is the set of safetensors files that hold one model: a single
// model.safetensors, or the shards that model.safetensors.index.json names.
type Model struct {
	files  []*File
	byName map[string]*File
	names  []string
}

// OpenModel opens the model in dir; a single file wins over an index, as in
// transformers. With neither a single file nor an index, the
// error is fs.ErrNotExist. Shards have to lie in dir itself; a missing shard, a
// tensor that the index promises and its shard lacks, and a tensor that two
// shards hold, are errors naming both.
func OpenModel(dir string) (*Model, error) {
	if _, err := os.Stat(filepath.Join(dir, SingleName)); err == nil {
		return openFiles(dir, []string{SingleName}, nil)
	}
	index := filepath.Join(dir, IndexName)
	weightMap, err := readIndex(index)
	if errors.Is(err, fs.ErrNotExist) {
		return openFiles(dir, []string{SingleName}, nil)
	}
	if err != nil {
		return nil, err
	}
	var shards []string
	for tensor, shard := range weightMap {
		if !filepath.IsLocal(shard) || filepath.Base(shard) != shard || shard == "." || len(shard) > maxName || strings.ContainsFunc(shard, unicode.IsControl) {
			return nil, fmt.Errorf("%s: %w: tensor %.200q: shard %.200q is not a file name in this directory", index, ErrFormat, tensor, shard)
		}
		if !slices.Contains(shards, shard) {
			shards = append(shards, shard)
		}
		if len(shards) > maxShards {
			return nil, fmt.Errorf("%s: %w: names more than %d shards", index, ErrFormat, maxShards)
		}
	}
	slices.Sort(shards)
	return openFiles(dir, shards, weightMap)
}

const (
	maxShards = 1000 // bounds open files
	maxName   = 255  // what file systems allow
)

func readIndex(path string) (map[string]string, error) {
	text, err := regularfile.Read(path, maxIndex)
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrFormat, err)
	}
	if len(index.WeightMap) == 0 {
		return nil, fmt.Errorf("%s: %w: weight_map is missing or empty", path, ErrFormat)
	}
	return index.WeightMap, nil
}

func openFiles(dir string, names []string, weightMap map[string]string) (*Model, error) {
	m := &Model{byName: map[string]*File{}}
	for _, name := range names {
		f, err := Open(filepath.Join(dir, name))
		if err != nil {
			m.Close()
			if weightMap != nil && errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s: shard %q, which %s names, is missing: %w", dir, name, IndexName, err)
			}
			return nil, err
		}
		m.files = append(m.files, f)
		for _, t := range f.header.Tensors {
			if other, twice := m.byName[t.Name]; twice {
				m.Close()
				return nil, fmt.Errorf("%w: tensor %q is in both %s and %s", ErrFormat, t.Name, other.path, f.path)
			}
			m.byName[t.Name] = f
			m.names = append(m.names, t.Name)
		}
	}
	for tensor, shard := range weightMap {
		if f := m.byName[tensor]; f == nil || filepath.Base(f.path) != shard {
			m.Close()
			return nil, fmt.Errorf("%s: %w: tensor %q should be in %s, which lacks it", filepath.Join(dir, IndexName), ErrFormat, tensor, shard)
		}
	}
	return m, nil
}

// Tensor finds a tensor by name in any of the files.
func (m *Model) Tensor(name string) (Tensor, bool) {
	f := m.byName[name]
	if f == nil {
		return Tensor{}, false
	}
	return f.Tensor(name)
}

// Names lists all tensors in the order of files and offsets; do not modify it.
func (m *Model) Names() []string { return m.names }

// Files lists the paths of the model's files.
func (m *Model) Files() []string {
	paths := make([]string, len(m.files))
	for i, f := range m.files {
		paths[i] = f.path
	}
	return paths
}

// Close closes all files.
func (m *Model) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
