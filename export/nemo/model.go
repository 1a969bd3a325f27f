package nemo

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/namelist"
)

// Formats, as `trtgo inspect` prints them.
const (
	FormatZarr      = "nemo-zarr"       // NeMo 1, model_weights/ in zarr
	FormatTorchDist = "nemo-torch-dist" // NeMo 1, model_weights/ in torch_dist
	FormatCkpt      = "nemo-ckpt"       // NeMo 1, model_weights.ckpt, one or one a rank
	FormatNemo2     = "nemo2"           // NeMo 2, weights/ and context/
	FormatMcore     = "mcore-dist"      // a bare Megatron-core directory
	FormatDCP       = "torch-dcp"       // a bare PyTorch distributed checkpoint
)

// Model is an open checkpoint. It implements [source.Model].
type Model struct {
	format   string
	text     []byte // of the config file
	config   *checkpoint.Config
	settings *settings
	params   *params
	files    []source.File
	notes    []string
	closers  []io.Closer
}

var _ source.Model = (*Model)(nil)

// finish turns settings into a config, which needs the embedding's size.
func (m *Model) finish() error {
	embedding, ok := m.params.find(embeddingName)
	if !ok {
		return fmt.Errorf("%w: there is no %s", checkpoint.ErrInvalid, embeddingName)
	}
	if len(embedding.shape) != 2 {
		return fmt.Errorf("%w: %s has shape %v, not two dimensions", checkpoint.ErrInvalid, embedding.origin, embedding.shape)
	}
	stored := map[string]string{"BF16": checkpoint.BFloat16, "F16": checkpoint.Float16, "F32": checkpoint.Float32, "F64": checkpoint.Float32}[embedding.dtype]
	s := m.settings
	switch {
	case s.dtype == "" && stored == "":
		s.dtype = checkpoint.BFloat16
	case s.dtype == "":
		s.dtype = stored
	case stored != "" && stored != s.dtype:
		m.notes = append(m.notes, fmt.Sprintf("the weights are stored as %s, the config's precision is %s: the latter counts as the model's dtype", stored, s.dtype))
	}
	vocab, err := m.vocabulary(embedding)
	if err != nil {
		return err
	}
	config, err := s.config(vocab)
	if err != nil {
		return err
	}
	if n := m.params.numLayers(); n != s.numLayers {
		return fmt.Errorf("%w: %d layers are stored, num_layers is %d", checkpoint.ErrInvalid, n, s.numLayers)
	}
	if s.gated && !s.rmsNorm {
		m.notes = append(m.notes, "LayerNorm with a gated MLP becomes upstream's GPT class")
	}
	m.notes = append(m.notes, s.notes...)
	m.config = config
	return nil
}

// vocabulary gives the number of rows of the embedding to take: all of them, unless
// a config.json knows how many are no padding.
func (m *Model) vocabulary(embedding param) (int64, error) {
	rows := embedding.shape[0]
	if m.settings.given == nil || m.settings.given.VocabSize == rows {
		return rows, nil
	}
	size := m.settings.given.VocabSize
	if size > rows {
		return 0, fmt.Errorf("%w: %s has %d rows, vocab_size of the config.json is %d", checkpoint.ErrInvalid, embedding.origin, rows, size)
	}
	m.notes = append(m.notes, fmt.Sprintf("%s has %d rows, of which the last %d pad it: vocab_size of the config.json is %d", embedding.origin, rows, rows-size, size))
	return size, nil
}

const (
	embeddingName = "embedding.word_embeddings.weight"
	headName      = "output_layer.weight"
)

// modules maps the checkpoint's modules of a layer to Megatron-core's parameters;
// the dot before weight or bias is part of the name there or is not.
var modules = map[string]string{
	"input_layernorm": "self_attention.linear_qkv.layer_norm_", "post_layernorm": "mlp.linear_fc1.layer_norm_",
	"attention.q": "self_attention.linear_qkv.", "attention.k": "self_attention.linear_qkv.", "attention.v": "self_attention.linear_qkv.",
	"attention.dense": "self_attention.linear_proj.", "mlp.fc": "mlp.linear_fc1.", "mlp.gate": "mlp.linear_fc1.", "mlp.proj": "mlp.linear_fc2.",
}

// Tensor implements [source.Model].
func (m *Model) Tensor(name string, shape []int64) (source.Tensor, error) {
	switch name {
	case "transformer.vocab_embedding.weight":
		return m.whole(embeddingName, shape, false)
	case "lm_head.weight":
		if m.settings.tied {
			t, err := m.whole(embeddingName, shape, false)
			return told(t, source.Tied), err
		}
		return m.whole(headName, shape, false)
	}
	if kind, ok := strings.CutPrefix(name, "transformer.ln_f."); ok {
		return m.whole("decoder.final_layernorm."+kind, shape, kind == "weight")
	}
	number, rest, _ := strings.Cut(strings.TrimPrefix(name, "transformer.layers."), ".")
	layer, err := strconv.ParseInt(number, 10, 64)
	dot := strings.LastIndexByte(rest, '.')
	if err != nil || dot < 0 || modules[rest[:dot]] == "" {
		return source.Tensor{}, fmt.Errorf("%w: no parameter is known for %s", checkpoint.ErrInvalid, name)
	}
	module, kind := rest[:dot], rest[dot+1:]
	theirs := modules[module] + kind
	switch module {
	case "attention.q", "attention.k", "attention.v":
		return m.qkv(layer, theirs, module[len("attention."):], shape)
	case "mlp.fc", "mlp.gate":
		if m.config.Gated() {
			return m.half(layer, theirs, module == "mlp.gate", shape)
		}
	}
	p, ok := m.params.layer(layer, theirs)
	if !ok {
		return m.absent(layer, theirs, shape)
	}
	plus := m.settings.zeroCentred && kind == "weight" && strings.HasSuffix(module, "_layernorm")
	return m.tensor(p, shape, shape, nil, plus)
}

// absent is a parameter that is not stored: zero where it is a bias that the
// target has and the source has not, otherwise an error.
func (m *Model) absent(layer int64, name string, shape []int64) (source.Tensor, error) {
	origin := fmt.Sprintf("decoder.layers.%d.%s", layer, name)
	if strings.HasSuffix(name, ".bias") && !m.settings.hasBias(name) {
		return source.Tensor{Origin: origin, Dtype: "F32", Shape: shape}, nil
	}
	return source.Tensor{}, fmt.Errorf("%w: missing parameter %s", checkpoint.ErrInvalid, origin)
}

func (m *Model) whole(name string, shape []int64, norm bool) (source.Tensor, error) {
	p, ok := m.params.find(name)
	if !ok {
		return source.Tensor{}, fmt.Errorf("%w: missing parameter %s", checkpoint.ErrInvalid, name)
	}
	if !norm && m.settings.given != nil && len(p.shape) == 2 && p.shape[0] > shape[0] { // see vocabulary
		t, err := m.tensor(p, []int64{p.shape[0], shape[1]}, shape, []source.Piece{{Rows: shape[0]}}, false)
		return told(t, "without padding"), err
	}
	return m.tensor(p, shape, shape, nil, norm && m.settings.zeroCentred)
}

// qkv takes the query, key or value heads out of linear_qkv, whose rows are
// grouped: in each of num_query_groups groups first the group's query heads, then
// its key head, then its value head, kv_channels rows each (Megatron-core,
// attention.py).
func (m *Model) qkv(layer int64, name, which string, shape []int64) (source.Tensor, error) {
	p, ok := m.params.layer(layer, name)
	if !ok {
		return m.absent(layer, name, shape)
	}
	s := m.settings
	perGroup := s.numAttentionHeads / s.numQueryGroups
	stored := slices.Clone(shape)
	stored[0] = (s.numAttentionHeads + 2*s.numQueryGroups) * s.kvChannels
	var pieces []source.Piece
	heads := map[string]string{"q": "query", "k": "key", "v": "value"}[which]
	for g := range s.numQueryGroups {
		first := g * (perGroup + 2)
		switch which {
		case "q":
			pieces = append(pieces, source.Piece{Row: first * s.kvChannels, Rows: perGroup * s.kvChannels})
		case "k":
			pieces = append(pieces, source.Piece{Row: (first + perGroup) * s.kvChannels, Rows: s.kvChannels})
		case "v":
			pieces = append(pieces, source.Piece{Row: (first + perGroup + 1) * s.kvChannels, Rows: s.kvChannels})
		}
	}
	t, err := m.tensor(p, stored, shape, pieces, false)
	return told(t, heads+" heads of each group"), err
}

// half takes a half of a gated linear_fc1: the rows that go through the activation
// come first, the plain factor's follow. Some writers store the halves apart: as
// weight_w and weight_v (Megatron-core's singleton_local_shards), or as
// dense_h_to_4h and dense_h_to_4h_2 (before Megatron-core).
func (m *Model) half(layer int64, name string, second bool, shape []int64) (source.Tensor, error) {
	for _, apart := range [][2]string{{name + "_w", name + "_v"}, {name, strings.Replace(name, "linear_fc1.", "linear_fc1_2.", 1)}} {
		first, ok := m.params.layer(layer, apart[0])
		other, too := m.params.layer(layer, apart[1])
		if ok && too {
			if second {
				first = other
			}
			return m.tensor(first, shape, shape, nil, false)
		}
	}
	p, ok := m.params.layer(layer, name)
	if !ok {
		return m.absent(layer, name, shape)
	}
	stored, row, which := slices.Clone(shape), int64(0), "first half"
	stored[0] *= 2
	if second {
		row, which = shape[0], "second half"
	}
	t, err := m.tensor(p, stored, shape, []source.Piece{{Row: row, Rows: shape[0]}}, false)
	return told(t, which), err
}

// told adds a word to what is said of a tensor.
func told(t source.Tensor, word string) source.Tensor {
	if t.Transform != "" {
		word = t.Transform + ", " + word
	}
	t.Transform = word
	return t
}

// tensor gives pieces of a stored parameter, or all of it, as a source's tensor.
func (m *Model) tensor(p param, stored, shape []int64, pieces []source.Piece, plus bool) (source.Tensor, error) {
	if err := source.CheckShape(p.origin, p.shape, stored); err != nil {
		return source.Tensor{}, err
	}
	if floatformat.Size(p.dtype) == 0 {
		return source.Tensor{}, fmt.Errorf("parameter %s: dtype %s is %w: F32, F16 and BF16 are", p.origin, p.dtype, checkpoint.ErrUnsupported)
	}
	rowBytes := elements(shape[1:]) * int64(floatformat.Size(p.dtype))
	t := source.Tensor{Origin: p.origin, Dtype: p.dtype, Shape: shape, Transform: p.joined, Rows: source.Rows(p.ReaderAt, rowBytes)}
	if pieces != nil {
		t.Rows = source.Pieces(p.ReaderAt, rowBytes, pieces)
	}
	if plus {
		t.Dtype, t.Rows = "F32", source.OnePlus(t.Rows, p.dtype)
		t = told(t, source.PlusOne)
	}
	return t, nil
}

// Problems lists what is wrong with the parameters: missing ones, wrong shapes,
// dtypes that cannot be converted, ones that nothing expects.
func (m *Model) Problems() []error {
	var problems []error
	used := map[string]bool{}
	for _, w := range m.config.Weights() {
		t, err := m.Tensor(w.Name, w.Shape)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		origin, _, _ := strings.Cut(t.Origin, "[")
		used[origin] = true
	}
	var unexpected []string
	for _, name := range m.params.names() {
		if p := m.params.list[name]; !used[p.origin] && name != headName {
			unexpected = append(unexpected, p.origin)
		}
	}
	if len(unexpected) > 0 {
		problems = append(problems, fmt.Errorf("%w: parameters that a model of this config does not have: %s", checkpoint.ErrInvalid, namelist.First(unexpected)))
	}
	return problems
}

// Format implements [source.Model].
func (m *Model) Format() string { return m.format }

// Config implements [source.Model].
func (m *Model) Config() *checkpoint.Config { return m.config }

// Inventory implements [source.Model].
func (m *Model) Inventory() []source.Info {
	list := []source.Info{}
	for _, name := range m.params.names() {
		p := m.params.list[name]
		list = append(list, source.Info{
			Name: p.origin, Dtype: p.dtype, Shape: p.shape, Bytes: elements(p.shape) * int64(floatformat.Size(p.dtype)), File: m.params.files[p.origin],
		})
	}
	return list
}

// Files implements [source.Model].
func (m *Model) Files() ([]source.File, error) { return m.files, nil }

// Notes implements [source.Model].
func (m *Model) Notes() []string { return m.notes }

// Close implements [source.Model].
func (m *Model) Close() error {
	var first error
	for _, c := range slices.Backward(m.closers) {
		if err := c.Close(); err != nil && first == nil {
			first = err
		}
	}
	m.closers = nil
	return first
}
