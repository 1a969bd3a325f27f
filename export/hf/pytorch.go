package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/trtgo/trtgo/export/internal/damage"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/torchzip"
)

// FormatPickle is the format of a directory whose weights are PyTorch pickles.
const FormatPickle = "hf-pytorch"

// Names of the pickles in a Hugging Face directory.
const (
	pickleName      = "pytorch_model.bin"
	pickleIndexName = "pytorch_model.bin.index.json"
)

const (
	maxIndex  = 100 << 20
	maxShards = 1000 // bounds open files
)

// pickles are the weights of a pytorch_model.bin, or of the shards that
// pytorch_model.bin.index.json names.
type pickles struct {
	files  []*torchzip.File
	byName map[string]weight
	names  []string
	others []string // what is no tensor
}

// openPickles opens the pickles of dir; a single file wins over an index, as in
// transformers. With neither, the error is fs.ErrNotExist.
func openPickles(dir string) (*pickles, error) {
	p := &pickles{byName: map[string]weight{}}
	if holds(dir, pickleName) || !holds(dir, pickleIndexName) {
		if err := p.open(dir, pickleName); err != nil {
			p.Close()
			return nil, err
		}
		return p, nil
	}
	index := filepath.Join(dir, pickleIndexName)
	promised, shards, err := readPickleIndex(index)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", index, err)
	}
	for _, shard := range shards {
		if err := p.open(dir, shard); err != nil {
			p.Close()
			return nil, fmt.Errorf("shard %s, which %s names: %w", shard, index, err)
		}
	}
	for name, shard := range promised {
		if p.byName[name].File != shard {
			p.Close()
			return nil, fmt.Errorf("%s: %w: tensor %q should be in %s, which lacks it", index, torchzip.ErrFormat, name, shard)
		}
	}
	return p, nil
}

// readPickleIndex gives the shard of each tensor, and the shards, which have to
// be files of the same directory.
func readPickleIndex(path string) (promised map[string]string, shards []string, err error) {
	text, err := regularfile.Read(path, maxIndex)
	if err != nil {
		return nil, nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", torchzip.ErrFormat, err)
	}
	if len(index.WeightMap) == 0 {
		return nil, nil, fmt.Errorf("%w: weight_map is missing or empty", torchzip.ErrFormat)
	}
	seen := map[string]bool{}
	for name, shard := range index.WeightMap {
		if !filepath.IsLocal(shard) || filepath.Base(shard) != shard || shard == "." {
			return nil, nil, fmt.Errorf("%w: tensor %.200q: shard %.200q is not a file name in this directory", torchzip.ErrFormat, name, shard)
		}
		if !seen[shard] {
			seen[shard] = true
			shards = append(shards, shard)
		}
	}
	if len(shards) > maxShards {
		return nil, nil, fmt.Errorf("%w: it names %d shards, more than %d", torchzip.ErrFormat, len(shards), maxShards)
	}
	slices.Sort(shards)
	return index.WeightMap, shards, nil
}

// open adds the tensors of one file.
func (p *pickles) open(dir, name string) error {
	f, err := torchzip.Open(filepath.Join(dir, name), torchzip.Options{})
	if err != nil {
		return err
	}
	p.files = append(p.files, f)
	state, err := f.Tensors()
	if err != nil {
		return err
	}
	for _, n := range state.Names {
		if other, twice := p.byName[n]; twice {
			return fmt.Errorf("%w: tensor %q is in both %s and %s", torchzip.ErrFormat, n, other.File, name)
		}
		t := state.Tensors[n]
		width, _ := safetensors.DtypeBits(t.Dtype)
		p.byName[n] = weight{t, n, t.Dtype, t.Shape, t.Size, name, t.Storage.Offset + t.StorageOffset*width/8}
	}
	p.names = append(p.names, state.Names...)
	p.others = append(p.others, state.Others...)
	return nil
}

// Format implements weights.
func (p *pickles) Format() string { return FormatPickle }

// Names implements weights.
func (p *pickles) Names() []string { return p.names }

// Tensor implements weights.
func (p *pickles) Tensor(name string) (weight, bool) {
	w, ok := p.byName[name]
	return w, ok
}

// Close implements weights.
func (p *pickles) Close() error {
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// classified wraps an error about weight files in the package's own sentinels: a
// file that is not there is damage, since the directory promised it.
func classified(err error) error {
	return damage.Classified(err, regularfile.ErrRefused, fs.ErrNotExist)
}
