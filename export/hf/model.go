package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/namelist"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// Format is the name of this source where the weights are safetensors; see
// [FormatPickle].
const Format = "hf-safetensors"

// maxConfig bounds config.json.
const maxConfig = 16 << 20

// Model is an open Hugging Face directory. It implements [source.Model].
type Model struct {
	dir     string
	config  *config
	weights weights
	notes   []string
}

var (
	_ source.Model       = (*Model)(nil)
	_ source.CacheScaler = (*Model)(nil)
)

// Open opens the directory and checks that config and tensors belong together:
// every weight there with its shape, none left over. Errors name file, field or
// tensor, and wrap checkpoint.ErrInvalid, checkpoint.ErrUnsupported or the
// system's error.
func Open(dir string) (*Model, error) {
	m, err := assemble(dir, filepath.Join(dir, "config.json"), openWeights)
	return checked(dir, m, err)
}

// checked refuses a model that has problems.
func checked(dir string, m *Model, err error) (*Model, error) {
	if err != nil {
		return nil, err
	}
	if problems := m.Problems(); len(problems) > 0 {
		m.Close()
		return nil, fmt.Errorf("%s: %w", dir, problems[0])
	}
	return m, nil
}

// assemble opens the weights of a directory when their config has been read.
func assemble(dir, path string, open func(dir string) (weights, []string, error)) (*Model, error) {
	text, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	config, err := parseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := config.readModelOpt(dir); err != nil {
		return nil, err
	}
	weights, notes, err := open(dir)
	if err != nil {
		return nil, err
	}
	m := &Model{dir: dir, config: config, weights: weights, notes: append(config.notes, notes...)}
	m.chooseDtype()
	embedding, _ := weights.Tensor(embeddingName)
	switch head, there := weights.Tensor(headName); {
	case !there && !config.tied:
		m.notes = append(m.notes, "there is no lm_head.weight, though config.json does not tie it: the embedding is used")
	case there && config.tied && !head.sameAs(embedding):
		m.notes = append(m.notes, "lm_head.weight is not used: config.json ties the head to the embedding")
	}
	if err = m.quantise(); err == nil {
		err = config.Validate()
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func readConfig(path string) ([]byte, error) {
	text, err := regularfile.Read(path, maxConfig)
	if errors.Is(err, regularfile.ErrRefused) {
		err = fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
	}
	return text, err
}

// openWeights takes safetensors before pickles, and notes what is left.
func openWeights(dir string) (weights, []string, error) {
	safe, err := safetensors.OpenModel(dir)
	if err == nil {
		var notes []string
		if holds(dir, pickleName, pickleIndexName) {
			notes = append(notes, "there are safetensors and PyTorch pickles: the safetensors are read")
		}
		return safeWeights{safe}, notes, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || holds(dir, safetensors.IndexName) { // or a shard is missing
		return nil, nil, classified(err)
	}
	if !holds(dir, pickleName, pickleIndexName) {
		return nil, nil, fmt.Errorf("%s: %w: it has neither %s nor %s, nor PyTorch's %s or %s: %w", dir, checkpoint.ErrInvalid,
			safetensors.SingleName, safetensors.IndexName, pickleName, pickleIndexName, err)
	}
	p, err := openPickles(dir)
	if err != nil {
		return nil, nil, classified(err)
	}
	var notes []string
	if len(p.others) > 0 {
		notes = append(notes, "left out, because they are no tensors: "+enumerate(p.others))
	}
	return p, notes, nil
}

// chooseDtype takes what the config declares, else what the embedding has.
func (m *Model) chooseDtype() {
	stored := ""
	if t, ok := m.weights.Tensor(embeddingName); ok {
		stored = map[string]string{"BF16": checkpoint.BFloat16, "F16": checkpoint.Float16, "F32": checkpoint.Float32, "F64": checkpoint.Float32}[t.Dtype]
	}
	m.config.Dtype = m.config.dtype
	switch {
	case m.config.Dtype == "" && stored == "":
		m.config.Dtype = checkpoint.BFloat16
	case m.config.Dtype == "":
		m.config.Dtype = stored
	case stored != "" && stored != m.config.Dtype:
		m.notes = append(m.notes, fmt.Sprintf("the weights are stored as %s, config.json declares %s: the latter counts as the model's dtype", stored, m.config.Dtype))
	}
}

// Problems lists what is wrong with the weights: missing ones, wrong shapes,
// dtypes that cannot be converted, tensors that nothing expects.
func (m *Model) Problems() []error {
	var problems []error
	var missing []string
	expected := map[string]bool{}
	for _, w := range m.plainConfig().Weights() {
		origin := m.origin(w.Name)
		if _, ok := m.weights.Tensor(origin); !ok && !m.mayLack(w.Name) {
			if !expected[origin] { // a tied embedding is wanted twice
				missing = append(missing, origin)
			}
			expected[origin] = true
			continue
		}
		expected[origin] = true
		if _, err := m.Tensor(w.Name, w.Shape); err != nil {
			problems = append(problems, err)
		}
	}
	if len(missing) > 0 {
		problems = append([]error{fmt.Errorf("%w: missing tensors: %s", checkpoint.ErrInvalid, enumerate(missing))}, problems...)
	}
	var unexpected []string
	for _, name := range m.weights.Names() {
		if !expected[name] && !ignored(name) && !(m.config.quantised.by != "" && isScale(name)) {
			unexpected = append(unexpected, name)
		}
	}
	if len(unexpected) > 0 {
		problems = append(problems, fmt.Errorf("%w: tensors that a %s of this config does not have: %s", checkpoint.ErrInvalid, m.config.source, enumerate(unexpected)))
	}
	return problems
}

// plainConfig is the config of the weights alone.
func (m *Model) plainConfig() *checkpoint.Config {
	c := m.config.Clone()
	c.Quantization = checkpoint.Quantization{}
	return c
}

// ignored tells of tensors that old files carry and every reader recomputes, and
// of a head that is tied to the embedding anyway.
func ignored(name string) bool {
	return strings.HasSuffix(name, "rotary_emb.inv_freq") || name == headName
}

// enumerate sorts names for a message.
func enumerate(names []string) string {
	slices.Sort(names)
	return namelist.First(names)
}

const (
	embeddingName = "model.embed_tokens.weight"
	headName      = "lm_head.weight"
)

// modules maps the checkpoint's modules to transformers'. In a gated MLP
// upstream's fc is the activated branch, transformers' gate_proj.
var modules = map[string]string{
	"input_layernorm": "input_layernorm", "post_layernorm": "post_attention_layernorm",
	"attention.q": "self_attn.q_proj", "attention.k": "self_attn.k_proj", "attention.v": "self_attn.v_proj",
	"attention.dense": "self_attn.o_proj", "mlp.gate": "mlp.up_proj", "mlp.proj": "mlp.down_proj",
}

// origin gives the Hugging Face name of a weight.
func (m *Model) origin(name string) string {
	switch name {
	case "transformer.vocab_embedding.weight":
		return embeddingName
	case headName:
		if _, there := m.weights.Tensor(headName); there && !m.config.tied {
			return headName
		}
		return embeddingName
	}
	if kind, ok := strings.CutPrefix(name, "transformer.ln_f."); ok {
		return "model.norm." + kind
	}
	layer, rest, _ := strings.Cut(strings.TrimPrefix(name, "transformer.layers."), ".")
	dot := strings.LastIndexByte(rest, '.')
	module, kind := rest[:dot], rest[dot:]
	theirs := modules[module]
	if module == "mlp.fc" {
		theirs = "mlp.up_proj"
		if m.config.Gated() {
			theirs = "mlp.gate_proj"
		}
	}
	return "model.layers." + layer + "." + theirs + kind
}

// mayLack tells of biases that the GPT class wants and this model does not have:
// it has one switch for those of attention and MLP, transformers has two.
func (m *Model) mayLack(name string) bool {
	if m.config.Family() != checkpoint.GPT || !strings.HasSuffix(name, ".bias") {
		return false
	}
	return strings.Contains(name, ".attention.") && !m.config.attnBias || strings.Contains(name, ".mlp.") && !m.config.mlpBias
}

// Format implements [source.Model].
func (m *Model) Format() string { return m.weights.Format() }

// Config implements [source.Model].
func (m *Model) Config() *checkpoint.Config { return m.config.Config }

// Architecture is the architecture that config.json names.
func (m *Model) Architecture() string { return m.config.source }

// Tensor implements [source.Model].
func (m *Model) Tensor(name string, shape []int64) (source.Tensor, error) {
	origin := m.origin(name)
	t, ok := m.weights.Tensor(origin)
	if !ok {
		if m.mayLack(name) {
			return source.Tensor{Origin: origin, Dtype: "F32", Shape: shape}, nil
		}
		return source.Tensor{}, fmt.Errorf("%w: missing tensor %s", checkpoint.ErrInvalid, origin)
	}
	if err := source.CheckShape(origin, t.Shape, shape); err != nil {
		return source.Tensor{}, fmt.Errorf("%s: %w", t.File, err)
	}
	out := source.Tensor{Origin: origin, Dtype: t.Dtype, Shape: t.Shape, Rows: source.Rows(t, t.RowBytes())}
	if t.Dtype == floatformat.E4M3 && m.config.quantised.by != "" && len(t.Shape) == 2 {
		var err error
		out.Scale, out.InputScale, err = m.scales(origin)
		return out, err
	}
	if floatformat.Size(t.Dtype) == 0 {
		return source.Tensor{}, fmt.Errorf("%s: tensor %s: dtype %s is %w yet: F32, F16 and BF16 are", t.File, origin, t.Dtype, checkpoint.ErrUnsupported)
	}
	if m.config.source == "NemotronForCausalLM" && strings.HasSuffix(name, ".weight") && (strings.Contains(name, "layernorm") || strings.Contains(name, "ln_f")) {
		out.Dtype, out.Rows, out.Transform = "F32", source.OnePlus(out.Rows, t.Dtype), source.PlusOne
	}
	if name == headName && origin == embeddingName {
		out.Transform = source.Tied
	}
	return out, nil
}

// Inventory implements [source.Model].
func (m *Model) Inventory() []source.Info {
	list := []source.Info{}
	for _, name := range m.weights.Names() {
		t, _ := m.weights.Tensor(name)
		list = append(list, info(t))
	}
	return list
}

func info(t weight) source.Info {
	return source.Info{Name: t.Name, Dtype: t.Dtype, Shape: t.Shape, Bytes: t.Bytes, File: t.File}
}

// Files implements [source.Model].
func (m *Model) Files() ([]source.File, error) {
	paths, err := checkpoint.TokenizerFiles(m.dir)
	var files []source.File
	for _, path := range paths {
		files = append(files, source.File{Name: filepath.Base(path), Path: path})
	}
	if m.config.generation != nil && !holds(m.dir, generationName) {
		files = append(files, source.File{Name: generationName, Data: m.config.generation})
	}
	return files, err
}

// Notes implements [source.Model].
func (m *Model) Notes() []string { return m.notes }

// Close implements [source.Model].
func (m *Model) Close() error { return m.weights.Close() }
