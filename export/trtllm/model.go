package trtllm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// Formats, as `trtgo inspect` prints them.
const (
	Format        = "trtllm-checkpoint"
	FormatArchive = "qnemo"
)

// Model is an open checkpoint. It implements [source.Model].
type Model struct {
	format  string
	ckpt    *checkpoint.Checkpoint
	tree    filetree.Tree      // of an archive, else nil
	config  *checkpoint.Config // of the model as a whole
	weights map[string]checkpoint.Weight
	notes   []string
}

var (
	_ source.Model       = (*Model)(nil)
	_ source.CacheScaler = (*Model)(nil)
)

// newModel takes over the checkpoint.
func newModel(format string, ckpt *checkpoint.Checkpoint, tree filetree.Tree) (*Model, error) {
	divided := ckpt.Config()
	m := &Model{format: format, ckpt: ckpt, tree: tree, config: divided.Clone(), weights: map[string]checkpoint.Weight{}}
	if divided.Mapping.PPSize > 1 && divided.Quantization.ExcludesLayers() {
		return nil, fmt.Errorf("exclude_modules names linears of single layers (%s), which count from 0 on each of pp_size %d stages: that is %w",
			strings.Join(divided.Quantization.ExcludeModules, ", "), divided.Mapping.PPSize, checkpoint.ErrUnsupported)
	}
	m.config.Mapping = checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1}
	m.config.UseParallelEmbedding, m.config.EmbeddingShardingDim = false, 0
	if err := m.config.Validate(); err != nil {
		return nil, err
	}
	for _, w := range divided.Weights() {
		m.weights[w.Name] = w
	}
	for r := range divided.Mapping.WorldSize {
		rank, err := ckpt.Rank(r)
		if err != nil {
			return nil, err
		}
		if extra := rank.Unexpected(); len(extra) > 0 {
			m.notes = append(m.notes, fmt.Sprintf("%s has %d tensors that the config does not call for, which are ignored: %s, …", checkpoint.RankName(r), len(extra), extra[0]))
		}
	}
	return m, nil
}

// Format implements [source.Model].
func (m *Model) Format() string { return m.format }

// Config implements [source.Model].
func (m *Model) Config() *checkpoint.Config { return m.config }

// Tensor implements [source.Model]. Weights of 4 bits are given as they are stored
// where the shape is that of pairs of rows, else as the numbers that they stand for.
func (m *Model) Tensor(name string, shape []int64) (source.Tensor, error) {
	w, ok := m.weights[name]
	if !ok {
		return source.Tensor{}, fmt.Errorf("%w: the checkpoint has no %s", checkpoint.ErrInvalid, name)
	}
	a, err := m.whole(w)
	if err != nil {
		return source.Tensor{}, err
	}
	if w.Dtype == "I8" && len(shape) == 2 && shape[0] == 2*w.Shape[0] && shape[1] == w.Shape[1] {
		return m.numbers(w, a, shape)
	}
	if err := source.CheckShape(name, w.Shape, shape); err != nil {
		return source.Tensor{}, err
	}
	t := source.Tensor{Origin: name, Dtype: a.Dtype(), Shape: w.Shape, Transform: joined(w), Rows: source.Rows(a, a.RowBytes())}
	if t.Dtype != floatformat.E4M3 {
		return t, nil
	}
	module := fusedModule(name)
	if t.Scale, err = m.scale(module + checkpoint.WeightScale); err != nil {
		return t, err
	}
	t.InputScale, err = m.scale(module + checkpoint.InputScale)
	return t, err
}

// corner is where a part of a weight begins.
type corner struct{ row, column int64 }

// joined says in words of how many parts whole puts the weight together.
func joined(w checkpoint.Weight) string {
	parts := map[corner]bool{}
	for _, p := range w.Placements {
		parts[corner{p.Row, p.Column}] = true
	}
	if len(parts) < 2 {
		return ""
	}
	return fmt.Sprintf("%d ranks concatenated", len(parts))
}

// whole puts a weight together. Ranks that have the same part, as of norms and of keys
// and values with more ranks than heads, are read once.
func (m *Model) whole(w checkpoint.Weight) (*chunked.Array, error) {
	seen := map[corner]bool{}
	var chunks []chunked.Chunk
	dtype := ""
	for _, p := range w.Placements {
		t, err := m.tensor(p)
		if err != nil {
			return nil, err
		}
		if dtype != "" && t.Dtype != dtype {
			return nil, fmt.Errorf("%w: %s is %s on one rank and %s on another", checkpoint.ErrInvalid, p.Tensor, dtype, t.Dtype)
		}
		dtype = t.Dtype
		if at := (corner{p.Row, p.Column}); seen[at] {
			continue
		} else {
			seen[at] = true
		}
		c := chunked.Chunk{
			Name: checkpoint.RankName(p.Rank), Offset: []int64{p.Row, p.Column}, Shape: []int64{p.Rows, p.Columns},
			Bytes: t, At: p.At * p.Columns * width(dtype),
		}
		if len(w.Shape) == 1 {
			c.Offset, c.Shape = c.Offset[:1], c.Shape[:1]
		}
		chunks = append(chunks, c)
	}
	a, err := chunked.New(dtype, w.Shape, chunks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", w.Name, checkpoint.ErrInvalid, err)
	}
	return a, nil
}

func (m *Model) tensor(p checkpoint.Placement) (checkpoint.Tensor, error) {
	rank, err := m.ckpt.Rank(p.Rank)
	if err != nil {
		return checkpoint.Tensor{}, err
	}
	t, ok := rank.Tensor(p.Tensor)
	if !ok {
		return t, fmt.Errorf("%w: %s has no %s", checkpoint.ErrInvalid, checkpoint.RankName(p.Rank), p.Tensor)
	}
	return t, nil
}

// width is the bytes of a value.
func width(dtype string) int64 { return int64(max(floatformat.Size(dtype), 1)) }

// fusedModule names the linear whose scales a weight has.
func fusedModule(weight string) string {
	module := strings.TrimSuffix(weight, ".weight")
	if layer, part, ok := strings.Cut(module, ".attention."); ok && len(part) == 1 {
		return layer + ".attention.qkv"
	}
	return module
}

// scale reads a number that all ranks of a stage have.
func (m *Model) scale(name string) (float32, error) {
	var value []float32
	for _, p := range m.weights[name].Placements {
		t, err := m.tensor(p)
		if err != nil {
			return 0, err
		}
		v := make([]float32, 1)
		if err := t.ReadFloat32(v, 0); err != nil {
			return 0, err
		}
		if !(v[0] > 0) || math.IsInf(float64(v[0]), 0) {
			return 0, fmt.Errorf("%s: %w: tensor %s is %g, not a number above 0", checkpoint.RankName(p.Rank), checkpoint.ErrInvalid, p.Tensor, v[0])
		}
		if value != nil && v[0] != value[0] {
			return 0, fmt.Errorf("%s: %w: tensor %s is %g and %g on the rank before: the parts of one weight need one scale", checkpoint.RankName(p.Rank), checkpoint.ErrInvalid, p.Tensor, v[0], value[0])
		}
		value = v
	}
	if value == nil {
		return 0, fmt.Errorf("%w: the checkpoint has no %s", checkpoint.ErrInvalid, name)
	}
	return value[0], nil
}

// CacheScales implements [source.CacheScaler].
func (m *Model) CacheScales(layer int64) (k, v float32, err error) {
	s, err := m.scale(fmt.Sprintf("transformer.layers.%d.attention%s", layer, checkpoint.KVCacheScale))
	return s, s, err
}

// Inventory implements [source.Model].
func (m *Model) Inventory() []source.Info {
	list := []source.Info{}
	for r := range m.ckpt.Config().Mapping.WorldSize {
		rank, err := m.ckpt.Rank(r)
		if err != nil {
			continue // there is one for each number
		}
		for _, name := range rank.Names() {
			t, _ := rank.Tensor(name)
			list = append(list, source.Info{Name: name, Dtype: t.Dtype, Shape: t.Shape, Bytes: t.Size(), File: checkpoint.RankName(r)})
		}
	}
	return list
}

// maxFile bounds a file of a tokenizer in an archive.
const maxFile = 1 << 28

// Files implements [source.Model].
func (m *Model) Files() ([]source.File, error) {
	var files []source.File
	if m.tree == nil {
		paths, err := checkpoint.TokenizerFiles(m.ckpt.Dir())
		for _, path := range paths {
			files = append(files, source.File{Name: path[strings.LastIndexByte(path, '/')+1:], Path: path})
		}
		return files, err
	}
	for _, name := range checkpoint.TokenizerNames() {
		if !slices.Contains(m.tree.Names(), name) {
			continue
		}
		data, err := filetree.ReadFile(m.tree, name, maxFile)
		if err != nil {
			return nil, err
		}
		files = append(files, source.File{Name: name, Data: data})
	}
	return files, nil
}

// Notes implements [source.Model].
func (m *Model) Notes() []string { return m.notes }

// Close implements [source.Model].
func (m *Model) Close() error {
	err := m.ckpt.Close()
	if m.tree != nil {
		err = errors.Join(err, m.tree.Close())
	}
	return err
}
