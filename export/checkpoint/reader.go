package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/namelist"
	"github.com/trtgo/trtgo/internal/outputdir"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// ConfigName is the name of a checkpoint's config.
const ConfigName = "config.json"

// RankName is the name of a rank's file.
func RankName(rank int) string { return fmt.Sprintf("rank%d.safetensors", rank) }

// Checkpoint is an open checkpoint directory. It is safe for concurrent use,
// except Close.
type Checkpoint struct {
	dir    string
	config *Config
	ranks  []*Rank
}

// Rank is one rank of a checkpoint: a pipeline stage's share of one
// tensor-parallel rank.
type Rank struct {
	file   *safetensors.File
	names  []string
	byName map[string]Tensor
	extra  []string
}

// Tensor is a tensor of a rank, valid until the checkpoint is closed. Its methods
// may be called from several goroutines.
type Tensor struct {
	Name  string
	Dtype string // as safetensors spells it: F32, F16, BF16, F8_E4M3 or I8 (pairs of 4 bits)
	Shape []int64
	data  safetensors.Tensor
}

// Open opens and validates the checkpoint in dir: its config, that every rank's
// file is there and sound, and that it has every tensor of the model with the
// right shape and dtype. It reads headers only. Errors name file and tensor and wrap
// [ErrInvalid], [ErrUnsupported] or the system's error.
//
// As upstream's loader does, it takes the embedding for an absent lm_head.weight
// where both have the same shape, the larger of a k_cache_scaling_factor and a
// v_cache_scaling_factor for an absent kv_cache_scaling_factor, I8 for F8_E4M3 (the
// same bits), and tolerates tensors that nothing expects
// (see [Rank.Unexpected]).
func Open(dir string) (*Checkpoint, error) {
	if outputdir.Partial(dir) {
		return nil, fmt.Errorf("%s: %w: this is what an interrupted export left behind; export again", dir, ErrInvalid)
	}
	config, err := ReadConfig(filepath.Join(dir, ConfigName))
	if err != nil {
		return nil, err
	}
	if err := ranksPresent(dir, config.Mapping.WorldSize); err != nil {
		return nil, err
	}
	return openRanks(dir, config, func(name string) (*safetensors.File, error) {
		return safetensors.Open(filepath.Join(dir, name))
	})
}

// OpenTree is [Open] for a checkpoint in an archive, whose path is for messages.
// The tree must stay open for as long as the checkpoint is read; it is not closed.
func OpenTree(tree filetree.Tree, path string) (*Checkpoint, error) {
	text, err := filetree.ReadFile(tree, ConfigName, maxConfig)
	if err != nil {
		return nil, err
	}
	config, err := ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", path, ConfigName, err)
	}
	var missing []string
	for r := range config.Mapping.WorldSize {
		if !filetree.Has(tree, RankName(r)) {
			missing = append(missing, RankName(r))
		}
	}
	if err := complete(path, config.Mapping.WorldSize, missing); err != nil {
		return nil, err
	}
	return openRanks(path, config, func(name string) (*safetensors.File, error) {
		f, err := tree.Open(name)
		if err != nil {
			return nil, err
		}
		return safetensors.New(f, f.Size(), filepath.Join(path, name))
	})
}

func openRanks(dir string, config *Config, open func(name string) (*safetensors.File, error)) (*Checkpoint, error) {
	c := &Checkpoint{dir: dir, config: config}
	for r := range config.Mapping.WorldSize {
		file, err := open(RankName(r))
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		rank := &Rank{file: file, byName: map[string]Tensor{}}
		c.ranks = append(c.ranks, rank)
		if err := rank.check(config, r); err != nil {
			c.Close()
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, RankName(r)), err)
		}
	}
	return c, nil
}

func ranksPresent(dir string, world int) error {
	var missing []string
	for r := range world {
		switch _, err := os.Stat(filepath.Join(dir, RankName(r))); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, RankName(r))
		case err != nil:
			return err
		}
	}
	return complete(dir, world, missing)
}

func complete(dir string, world int, missing []string) error {
	if len(missing) > 0 {
		return fmt.Errorf("%s: %w: of the %d ranks that config.json gives, these files are missing: %s", dir, ErrInvalid, world, namelist.First(missing))
	}
	return nil
}

const (
	embeddingName = "transformer.vocab_embedding.weight"
	headName      = "lm_head.weight"
)

func (r *Rank) check(c *Config, number int) error {
	var missing []string
	for _, want := range c.RankTensors(number) {
		data, ok, err := r.find(want)
		if err != nil {
			return err
		}
		if !ok {
			missing = append(missing, want.Name)
			continue
		}
		if !slices.Equal(data.Shape, want.Shape) && !(len(data.Shape) == 0 && slices.Equal(want.Shape, []int64{1})) {
			return fmt.Errorf("%w: tensor %s has shape %v, config.json gives %v", ErrInvalid, want.Name, data.Shape, want.Shape)
		}
		dtype, err := storedDtype(want, data.Dtype, c.Quantization.QuantAlgo)
		if err != nil {
			return err
		}
		r.byName[want.Name] = Tensor{want.Name, dtype, want.Shape, data}
		r.names = append(r.names, want.Name)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: missing tensors: %s", ErrInvalid, namelist.First(missing))
	}
	for _, info := range r.file.Header().Tensors {
		if _, known := r.byName[info.Name]; !known && !r.isCacheScale(info.Name) {
			r.extra = append(r.extra, info.Name)
		}
	}
	return nil
}

// find looks a tensor up, or what upstream's loader takes in its place: the embedding
// for the head, and for the scale of the KV cache the larger of two.
func (r *Rank) find(want TensorInfo) (safetensors.Tensor, bool, error) {
	if data, ok := r.file.Tensor(want.Name); ok {
		return data, true, nil
	}
	if e, tied := r.byName[embeddingName]; want.Name == headName && tied && slices.Equal(e.Shape, want.Shape) {
		return e.data, true, nil
	}
	module, ok := strings.CutSuffix(want.Name, KVCacheScale)
	if !ok {
		return safetensors.Tensor{}, false, nil
	}
	var larger safetensors.Tensor
	var most float32
	for i, suffix := range []string{keyScale, valueScale} {
		data, ok := r.file.Tensor(module + suffix)
		if !ok {
			return larger, false, nil
		}
		if data.Dtype != safetensors.F32 || data.Size != 4 {
			return larger, false, fmt.Errorf("%w: tensor %s is %s of shape %v, not one F32", ErrInvalid, data.Name, data.Dtype, data.Shape)
		}
		raw, v := make([]byte, 4), make([]float32, 1)
		if _, err := data.ReadAt(raw, 0); err != nil {
			return larger, false, fmt.Errorf("tensor %s: %w", data.Name, err)
		}
		if floatformat.Decode(v, raw, data.Dtype); i == 0 || !(v[0] <= most) { // NaN too
			larger, most = data, v[0]
		}
	}
	return larger, true, nil
}

// isCacheScale tells of one of two scales that stand for the one of a layer's cache.
func (r *Rank) isCacheScale(name string) bool {
	for _, suffix := range []string{keyScale, valueScale} {
		if module, ok := strings.CutSuffix(name, suffix); ok {
			_, known := r.byName[module+KVCacheScale]
			return known
		}
	}
	return false
}

// storedDtype gives what a tensor counts as, or says why it cannot be read.
func storedDtype(want TensorInfo, have, algo string) (string, error) {
	switch {
	case want.Dtype == have, want.Dtype == "" && floatformat.Size(have) > 0:
		return have, nil
	case want.Dtype == floatformat.E4M3 && have == safetensors.I8:
		return floatformat.E4M3, nil // as ModelOpt stores the same bits
	case want.Dtype == "" && have == safetensors.I8 && (algo == W8A16 || algo == W4A16):
		return "", fmt.Errorf("tensor %s: weights that %s has shuffled for one GPU are %w: export the original model again", want.Name, algo, ErrUnsupported)
	case want.Dtype == "":
		return "", fmt.Errorf("tensor %s: dtype %s is %w: F32, F16 and BF16 are", want.Name, have, ErrUnsupported)
	}
	return "", fmt.Errorf("tensor %s: dtype %s is %w: %s of %s is %s", want.Name, have, ErrUnsupported, want.Name, algo, want.Dtype)
}

// Config returns the checkpoint's config; do not modify it.
func (c *Checkpoint) Config() *Config { return c.config }

// Dir returns the directory.
func (c *Checkpoint) Dir() string { return c.dir }

// Rank returns rank r, 0 ≤ r < world_size.
func (c *Checkpoint) Rank(r int) (*Rank, error) {
	if r < 0 || r >= len(c.ranks) {
		return nil, fmt.Errorf("%s: %w: no rank %d among %d", c.dir, ErrInvalid, r, len(c.ranks))
	}
	return c.ranks[r], nil
}

// Close closes the ranks' files.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, r := range c.ranks {
		errs = append(errs, r.file.Close())
	}
	return errors.Join(errs...)
}

// Names lists the tensors of the model in the order of the forward pass; do not
// modify it.
func (r *Rank) Names() []string { return r.names }

// Tensor finds a tensor by name.
func (r *Rank) Tensor(name string) (Tensor, bool) {
	t, ok := r.byName[name]
	return t, ok
}

// Unexpected lists tensors in the file that the config does not call for.
func (r *Rank) Unexpected() []string { return r.extra }

// Size is the tensor's size in bytes.
func (t Tensor) Size() int64 { return t.data.Size }

// ReadAt reads the tensor's bytes, row-major and little-endian; off counts from
// its first byte. It implements io.ReaderAt.
func (t Tensor) ReadAt(p []byte, off int64) (int, error) { return t.data.ReadAt(p, off) }

// ReadAll fills dst, which must be Size bytes long.
func (t Tensor) ReadAll(dst []byte) error {
	if int64(len(dst)) != t.Size() {
		return fmt.Errorf("tensor %s: a buffer of %d bytes for its %d", t.Name, len(dst), t.Size())
	}
	_, err := t.data.ReadAt(dst, 0)
	return err
}

// chunkValues is how many values ReadFloat32 converts at a time.
const chunkValues = 16 << 10

// ReadFloat32 fills dst with values converted to float32, beginning with the
// first one of the given row (everything but the first dimension is a row). It
// needs no memory in proportion to dst.
func (t Tensor) ReadFloat32(dst []float32, row int64) error {
	width := int64(floatformat.Size(t.Dtype))
	if width == 0 {
		return fmt.Errorf("tensor %s: %s is read together with its scales", t.Name, t.Dtype)
	}
	off := row * t.data.RowBytes()
	if row < 0 || off < 0 || int64(len(dst)) > (t.Size()-off)/width {
		return fmt.Errorf("tensor %s of shape %v: %d values from row %d lie outside it", t.Name, t.Shape, len(dst), row)
	}
	buffer := make([]byte, min(int64(len(dst)), chunkValues)*width)
	for len(dst) > 0 {
		n := min(len(dst), chunkValues)
		b := buffer[:int64(n)*width]
		if _, err := t.data.ReadAt(b, off); err != nil {
			return err
		}
		floatformat.Decode(dst[:n], b, t.Dtype)
		dst, off = dst[n:], off+int64(len(b))
	}
	return nil
}
