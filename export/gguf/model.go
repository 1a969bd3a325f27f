package gguf

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/regularfile"
)

// Format is the name of this source.
const Format = "gguf"

// Model is an open GGUF file. It implements [source.Model].
type Model struct {
	path   string
	r      io.ReaderAt
	closer io.Closer
	file   *file
	config *checkpoint.Config
	notes  []string

	tokenizerOnce sync.Once
	tokenizerNote string
	files         []source.File
	filesErr      error
}

var _ source.Model = (*Model)(nil)

// Open opens the file and checks that metadata and tensors belong together.
// Errors name key or tensor and wrap checkpoint.ErrInvalid,
// checkpoint.ErrUnsupported or the system's error.
func Open(path string) (*Model, error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	m, err := New(f, size, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	m.closer = f
	return m, nil
}

func openFile(path string) (f *os.File, size int64, err error) {
	f, size, err = regularfile.Open(path)
	if errors.Is(err, regularfile.ErrRefused) {
		err = fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
	}
	return f, size, err
}

// New reads a file of size bytes from r, which Close does not close; path serves
// messages.
func New(r io.ReaderAt, size int64, path string) (*Model, error) {
	m, err := newUnchecked(r, size, path)
	if err != nil {
		return nil, err
	}
	if problems := m.Problems(); len(problems) > 0 {
		return nil, fmt.Errorf("%s: %w", path, problems[0])
	}
	return m, nil
}

func newUnchecked(r io.ReaderAt, size int64, path string) (*Model, error) {
	parsed, err := parse(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := &Model{path: path, r: r, file: parsed}
	if err := m.configure(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func (m *Model) tensor(name string) (*tensorInfo, bool) {
	i, ok := m.file.byName[name]
	if !ok {
		return nil, false
	}
	return &m.file.tensors[i], true
}

// text finds a string under key.
func (m *Model) text(key string) string {
	s, _ := m.file.metadata[key].(string)
	return s
}

var splitName = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// configure makes the checkpoint's config of the metadata.
func (m *Model) configure() error {
	if n, ok := integer(m.file.metadata, "split.count"); ok && n > 1 || splitName.MatchString(m.path) && !ok {
		return fmt.Errorf("a GGUF file in several parts is %w: join them with llama-gguf-split --merge", checkpoint.ErrUnsupported)
	}
	if a := m.text("general.architecture"); a != "llama" {
		return fmt.Errorf("GGUF architecture %.100q is %w: llama is", a, checkpoint.ErrUnsupported)
	}
	if n, _ := integer(m.file.metadata, "llama.expert_count"); n > 0 {
		return fmt.Errorf("llama.expert_count %d: a mixture of experts is %w", n, checkpoint.ErrUnsupported)
	}
	c := &checkpoint.Config{
		Architecture: "LlamaForCausalLM", LogitsDtype: checkpoint.Float32, HiddenAct: "silu",
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
		Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
	}
	m.config = c
	if err := m.sizes(); err != nil {
		return err
	}
	if err := m.rotary(); err != nil {
		return err
	}
	c.AttnBias, c.MLPBias = m.biased(".attn_"), m.biased(".ffn_")
	switch w, ok := integer(m.file.metadata, "llama.attention.sliding_window"); {
	case !ok && m.file.metadata["llama.attention.sliding_window"] != nil:
		return fmt.Errorf("llama.attention.sliding_window is %w as it is: one whole number is", checkpoint.ErrUnsupported)
	case w > 0:
		c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{w}}
	}
	m.chooseDtype()
	return c.Validate()
}

// biased tells whether some layer has a bias in the linears whose names contain
// part.
func (m *Model) biased(part string) bool {
	return slices.ContainsFunc(m.file.tensors, func(t tensorInfo) bool {
		return strings.HasSuffix(t.name, ".bias") && strings.Contains(t.name, part) && !strings.Contains(t.name, "norm")
	})
}

func (m *Model) sizes() error {
	c := m.config
	for _, s := range []struct {
		value *int64
		key   string
	}{
		{&c.HiddenSize, "llama.embedding_length"}, {&c.NumHiddenLayers, "llama.block_count"},
		{&c.IntermediateSize, "llama.feed_forward_length"}, {&c.NumAttentionHeads, "llama.attention.head_count"},
		{&c.MaxPositionEmbeddings, "llama.context_length"},
	} {
		var ok bool
		if *s.value, ok = integer(m.file.metadata, s.key); !ok {
			if _, given := m.file.metadata[s.key]; given {
				return fmt.Errorf("%s is %w as it is: one whole number is", s.key, checkpoint.ErrUnsupported)
			}
			return fmt.Errorf("%w: metadata key %s is missing", checkpoint.ErrInvalid, s.key)
		}
	}
	var ok bool
	if c.NormEpsilon, ok = number(m.file.metadata, "llama.attention.layer_norm_rms_epsilon"); !ok {
		return fmt.Errorf("%w: metadata key llama.attention.layer_norm_rms_epsilon is missing", checkpoint.ErrInvalid)
	}
	c.NumKeyValueHeads = c.NumAttentionHeads
	if _, given := m.file.metadata["llama.attention.head_count_kv"]; given {
		if c.NumKeyValueHeads, ok = integer(m.file.metadata, "llama.attention.head_count_kv"); !ok {
			return fmt.Errorf("llama.attention.head_count_kv that differs by layer is %w", checkpoint.ErrUnsupported)
		}
	}
	if c.HeadSize, ok = integer(m.file.metadata, "llama.attention.key_length"); !ok && c.NumAttentionHeads > 0 {
		c.HeadSize = c.HiddenSize / c.NumAttentionHeads
	}
	if v, ok := integer(m.file.metadata, "llama.attention.value_length"); ok && v != c.HeadSize {
		return fmt.Errorf("llama.attention.value_length %d other than the key length %d is %w", v, c.HeadSize, checkpoint.ErrUnsupported)
	}
	if d, ok := integer(m.file.metadata, "llama.rope.dimension_count"); ok && d != c.HeadSize {
		return fmt.Errorf("llama.rope.dimension_count %d of heads of %d (partial rotary embedding) is %w", d, c.HeadSize, checkpoint.ErrUnsupported)
	}
	embedding, ok := m.tensor(embeddingName)
	if !ok || len(embedding.shape) != 2 {
		return fmt.Errorf("%w: there is no matrix token_embd.weight", checkpoint.ErrInvalid)
	}
	c.VocabSize = embedding.shape[0]
	return nil
}

// rotary reads base and scaling, be it metadata or the tensor rope_freqs.
func (m *Model) rotary() error {
	for _, key := range []string{"llama.rope.freq_base", "llama.rope.scaling.factor", "llama.rope.scale_linear"} {
		if v, given := m.file.metadata[key]; given {
			if _, ok := number(m.file.metadata, key); !ok {
				return fmt.Errorf("%w: metadata key %s is a %T, not a number", checkpoint.ErrInvalid, key, v)
			}
		}
	}
	if v, given := m.file.metadata["llama.rope.scaling.type"]; given {
		if _, ok := v.(string); !ok {
			return fmt.Errorf("%w: metadata key llama.rope.scaling.type is a %T, not a text", checkpoint.ErrInvalid, v)
		}
	}
	if base, ok := number(m.file.metadata, "llama.rope.freq_base"); ok {
		m.config.RotaryBase = base
	}
	factor, scaled := number(m.file.metadata, "llama.rope.scaling.factor")
	if !scaled {
		factor, scaled = number(m.file.metadata, "llama.rope.scale_linear")
	}
	scaled = scaled && factor != 0 // llama.cpp takes 0 for none
	switch kind := m.text("llama.rope.scaling.type"); kind {
	case "", "none":
	case "linear":
		if !scaled {
			return fmt.Errorf("%w: metadata key llama.rope.scaling.factor is missing", checkpoint.ErrInvalid)
		}
	default:
		return fmt.Errorf("llama.rope.scaling.type %.100q is %w: none and linear are", kind, checkpoint.ErrUnsupported)
	}
	if scaled && factor != 1 && m.text("llama.rope.scaling.type") != "none" {
		m.config.RotaryScaling = &checkpoint.RotaryScaling{Type: checkpoint.RotaryLinear, Factor: factor}
	}
	t, ok := m.tensor("rope_freqs.weight")
	if !ok {
		return nil
	}
	if t.kind != 0 || len(t.shape) != 1 || t.shape[0] != m.config.HeadSize/2 || !(m.config.RotaryBase > 1) || math.IsInf(m.config.RotaryBase, 0) {
		return fmt.Errorf("%w: tensor rope_freqs.weight is %s of shape %v: %d values of F32 belong to heads of %d", checkpoint.ErrInvalid, kindName(t.kind), t.shape, m.config.HeadSize/2, m.config.HeadSize)
	}
	raw := make([]byte, t.size)
	if _, err := m.r.ReadAt(raw, t.offset); err != nil {
		return fmt.Errorf("tensor rope_freqs.weight: %w", err)
	}
	divisors := make([]float32, t.shape[0])
	floatformat.Decode(divisors, raw, "F32")
	var hints []int64
	if n, ok := integer(m.file.metadata, "llama.rope.scaling.original_context_length"); ok {
		hints = append(hints, n)
	}
	s, err := llama3Scaling(divisors, m.config.RotaryBase, hints)
	if err != nil || s == nil {
		return err
	}
	if m.config.RotaryScaling != nil {
		return fmt.Errorf("linear rope scaling together with rope_freqs.weight is %w", checkpoint.ErrUnsupported)
	}
	m.config.RotaryScaling = s
	m.notes = append(m.notes, fmt.Sprintf("rope_freqs.weight is llama3's scaling with factor %g and original_max_position_embeddings %d", s.Factor, s.OriginalMaxPositionEmbeddings))
	return nil
}

// chooseDtype keeps a float type and makes bfloat16 of quantised ones.
func (m *Model) chooseDtype() {
	m.config.Dtype = checkpoint.BFloat16
	quantised := slices.ContainsFunc(m.file.tensors, func(t tensorInfo) bool { return blocks[t.kind].dequantise != nil })
	if t, ok := m.tensor(embeddingName); ok && !quantised {
		switch blocks[t.kind].dtype {
		case "F32":
			m.config.Dtype = checkpoint.Float32
		case "F16":
			m.config.Dtype = checkpoint.Float16
		}
	}
}

// modules maps the checkpoint's modules to GGUF's. ffn_gate is the activated
// branch, upstream's mlp.fc.
var modules = map[string]string{
	"input_layernorm": "attn_norm", "post_layernorm": "ffn_norm",
	"attention.q": "attn_q", "attention.k": "attn_k", "attention.v": "attn_v", "attention.dense": "attn_output",
	"mlp.fc": "ffn_gate", "mlp.gate": "ffn_up", "mlp.proj": "ffn_down",
}

const (
	embeddingName = "token_embd.weight"
	headName      = "lm_head.weight" // the checkpoint's
)

// origin gives the GGUF name of a weight.
func (m *Model) origin(name string) string {
	switch name {
	case "transformer.vocab_embedding.weight":
		return embeddingName
	case headName:
		if _, there := m.tensor("output.weight"); there {
			return "output.weight"
		}
		return embeddingName
	case "transformer.ln_f.weight":
		return "output_norm.weight"
	}
	layer, rest, _ := strings.Cut(strings.TrimPrefix(name, "transformer.layers."), ".")
	dot := strings.LastIndexByte(rest, '.')
	return "blk." + layer + "." + modules[rest[:dot]] + rest[dot:]
}

// Tensor implements [source.Model].
func (m *Model) Tensor(name string, shape []int64) (source.Tensor, error) {
	origin := m.origin(name)
	t, ok := m.tensor(origin)
	if !ok {
		if strings.HasSuffix(name, ".bias") { // others of its kind are there
			return source.Tensor{Origin: origin, Dtype: "F32", Shape: shape}, nil
		}
		return source.Tensor{}, fmt.Errorf("%w: missing tensor %s", checkpoint.ErrInvalid, origin)
	}
	kind, err := kindOf(t)
	if err == nil {
		err = source.CheckShape(origin, t.shape, shape)
	}
	if err != nil {
		return source.Tensor{}, err
	}
	var read source.RowReader = &rows{r: m.r, t: t, kind: kind}
	var transforms []string
	if name == headName && origin == embeddingName {
		transforms = append(transforms, source.Tied)
	}
	if kind.dequantise != nil {
		transforms = append(transforms, "dequantised")
	}
	if strings.Contains(name, "attention.q.") || strings.Contains(name, "attention.k.") {
		rowBytes := int64(floatformat.Size(kind.dtype))
		if len(shape) == 2 {
			rowBytes *= shape[1]
		}
		read = &pairedRows{rows: read, head: m.config.HeadSize, rowBytes: rowBytes}
		transforms = append(transforms, "rows unpaired")
	}
	return source.Tensor{Origin: origin, Dtype: kind.dtype, Shape: t.shape, Transform: strings.Join(transforms, ", "), Rows: read}, nil
}

// Problems lists what is wrong with the tensors.
func (m *Model) Problems() []error {
	var problems []error
	expected := map[string]bool{"rope_freqs.weight": true}
	for _, w := range m.config.Weights() {
		expected[m.origin(w.Name)] = true
		if _, err := m.Tensor(w.Name, w.Shape); err != nil {
			problems = append(problems, err)
		}
	}
	for _, t := range m.file.tensors {
		if !expected[t.name] && !strings.HasSuffix(t.name, "attn_rot_embd") {
			problems = append(problems, fmt.Errorf("%w: tensor %s is not one of a llama model with this metadata", checkpoint.ErrInvalid, t.name))
		}
	}
	return problems
}

// Metadata has the file's metadata: numbers and texts as the Go types of their
// kind, arrays as slices of them ([]string, []int32, []float32, …). Do not modify
// it.
func (m *Model) Metadata() map[string]any { return m.file.metadata }

// Format implements [source.Model].
func (m *Model) Format() string { return Format }

// Config implements [source.Model].
func (m *Model) Config() *checkpoint.Config { return m.config }

// Architecture is the architecture that the file names.
func (m *Model) Architecture() string { return m.text("general.architecture") }

// Inventory implements [source.Model].
func (m *Model) Inventory() []source.Info {
	list := []source.Info{}
	for _, t := range m.file.tensors {
		list = append(list, source.Info{Name: t.name, Dtype: kindName(t.kind), Shape: t.shape, Bytes: t.size})
	}
	return list
}

// Notes implements [source.Model].
func (m *Model) Notes() []string {
	m.tokenizerOnce.Do(m.convertTokenizer)
	if m.tokenizerNote == "" {
		return m.notes
	}
	return append(slices.Clone(m.notes), m.tokenizerNote)
}

// Close implements [source.Model].
func (m *Model) Close() error {
	if m.closer == nil {
		return nil
	}
	return m.closer.Close()
}
