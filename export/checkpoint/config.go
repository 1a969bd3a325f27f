package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// Dtypes of a checkpoint, as config.json spells them.
const (
	Float32  = "float32"
	Float16  = "float16"
	BFloat16 = "bfloat16"
)

// Config is config.json: the whole model's sizes (never one rank's) and how it
// is divided. Fields that upstream lets default are filled in when read.
type Config struct {
	// Architecture is the model class's Hugging Face name, for instance
	// "LlamaForCausalLM". See [Config.Family].
	Architecture string
	Dtype        string // of weights and activations: float16, bfloat16, float32
	LogitsDtype  string

	VocabSize             int64 // not padded
	HiddenSize            int64
	NumHiddenLayers       int64
	NumAttentionHeads     int64
	NumKeyValueHeads      int64 // before any repetition for tensor parallelism
	HeadSize              int64 // not always HiddenSize / NumAttentionHeads
	IntermediateSize      int64
	MaxPositionEmbeddings int64

	HiddenAct             string // upstream's names: silu, squared-relu, …
	NormEpsilon           float64
	PositionEmbeddingType string

	// RotaryPct is the part of each head that rotates (GPT family; 1 in the
	// LLaMA family). RotaryScaling is nil for plain rotary embedding.
	RotaryPct     float64
	RotaryBase    float64
	RotaryScaling *RotaryScaling

	// QKLayernorm is written as false; a model that has it is not supported.
	QKLayernorm bool

	// AttnBias and MLPBias say whether the linears of attention and MLP have
	// biases. The GPT family has one switch for both ("bias").
	AttnBias, MLPBias bool

	UseParallelEmbedding bool
	EmbeddingShardingDim int64 // 0 vocabulary, 1 hidden

	Mapping      Mapping
	Quantization Quantization
	// RuntimeDefaults is nil when absent.
	RuntimeDefaults *RuntimeDefaults
	Producer        *Producer

	// Extra has every other key as it was read; all are written back.
	Extra map[string]json.RawMessage
}

// Mapping divides the model among ranks.
type Mapping struct {
	WorldSize, TPSize, PPSize int
	// Extra has the keys that newer releases write.
	Extra map[string]json.RawMessage
}

// RuntimeDefaults are hints for the runtime.
type RuntimeDefaults struct {
	// MaxAttentionWindow gives the sliding windows of the layers in tokens,
	// repeated cyclically.
	MaxAttentionWindow []int64
	Extra              map[string]json.RawMessage
}

// Producer says who wrote the checkpoint.
type Producer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// TargetVersion is the release of TensorRT-LLM that was asked for.
	TargetVersion string `json:"target_version,omitempty"`
}

// maxConfig bounds config.json; real ones have a few kilobytes, those with a
// list of excluded modules some hundred.
const maxConfig = 16 << 20

// ReadConfig reads and validates the file at path.
func ReadConfig(path string) (*Config, error) {
	text, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readConfig(path string) ([]byte, error) {
	text, err := regularfile.Read(path, maxConfig)
	if errors.Is(err, regularfile.ErrRefused) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return text, err
}

// ParseConfig reads config.json's text, fills in upstream's defaults and
// validates. Errors name the field and wrap [ErrInvalid] or [ErrUnsupported].
func ParseConfig(text []byte) (*Config, error) {
	r, err := newObject(text)
	if err != nil {
		return nil, fmt.Errorf("%w: config: %w", ErrInvalid, err)
	}
	c := &Config{
		LogitsDtype: Float32, HiddenAct: "gelu", NormEpsilon: 1e-5, PositionEmbeddingType: "learned_absolute",
		RotaryPct: 1, RotaryBase: 10000,
	}
	r.take("architecture", &c.Architecture)
	r.take("dtype", &c.Dtype)
	r.take("logits_dtype", &c.LogitsDtype)
	r.take("vocab_size", &c.VocabSize)
	r.take("hidden_size", &c.HiddenSize)
	r.take("num_hidden_layers", &c.NumHiddenLayers)
	r.take("num_attention_heads", &c.NumAttentionHeads)
	c.NumKeyValueHeads = c.NumAttentionHeads
	r.take("num_key_value_heads", &c.NumKeyValueHeads)
	if c.NumAttentionHeads > 0 {
		c.HeadSize = c.HiddenSize / c.NumAttentionHeads
	}
	r.take("head_size", &c.HeadSize)
	if c.HiddenSize < 1<<40 {
		c.IntermediateSize = 4 * c.HiddenSize
	}
	r.take("intermediate_size", &c.IntermediateSize)
	r.take("max_position_embeddings", &c.MaxPositionEmbeddings)
	r.take("hidden_act", &c.HiddenAct)
	r.take("norm_epsilon", &c.NormEpsilon)
	r.take("position_embedding_type", &c.PositionEmbeddingType)
	r.take("rotary_base", &c.RotaryBase)
	r.take("qk_layernorm", &c.QKLayernorm)
	delete(r.fields, "rotary_embedding_dim") // the models go by head_size and rotary_pct
	r.take("use_parallel_embedding", &c.UseParallelEmbedding)
	r.take("embedding_sharding_dim", &c.EmbeddingShardingDim)
	switch c.Family() {
	case GPT:
		bias := true
		r.take("bias", &bias)
		r.take("rotary_pct", &c.RotaryPct)
		c.AttnBias, c.MLPBias = bias, bias
	case LLaMA:
		r.take("attn_bias", &c.AttnBias)
		r.take("mlp_bias", &c.MLPBias)
	}
	r.sub("rotary_scaling", func(o *object) { c.RotaryScaling = parseRotaryScaling(o) })
	c.Mapping = Mapping{WorldSize: 1, TPSize: 1, PPSize: 1}
	r.sub("mapping", func(o *object) {
		o.take("tp_size", &c.Mapping.TPSize)
		o.take("pp_size", &c.Mapping.PPSize)
		o.take("world_size", &c.Mapping.WorldSize)
		c.Mapping.Extra = o.rest()
	})
	r.sub("quantization", func(o *object) { c.Quantization = parseQuantization(o) })
	r.sub("runtime_defaults", func(o *object) {
		c.RuntimeDefaults = &RuntimeDefaults{}
		o.take("max_attention_window", &c.RuntimeDefaults.MaxAttentionWindow)
		c.RuntimeDefaults.Extra = o.rest()
	})
	if raw, ok := r.fields["producer"]; ok && json.Unmarshal(raw, &c.Producer) == nil {
		delete(r.fields, "producer")
	}
	c.Extra = r.rest()
	if r.err != nil {
		return nil, fmt.Errorf("%w: config: %w", ErrInvalid, r.err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// object takes known keys out of a JSON object and keeps the rest. A null leaves
// the default.
type object struct {
	path   string
	fields map[string]json.RawMessage
	err    error
}

func newObject(text []byte) (*object, error) {
	o := &object{}
	if err := json.Unmarshal(text, &o.fields); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *object) take(key string, value any) {
	raw, ok := o.fields[key]
	if !ok {
		return
	}
	delete(o.fields, key)
	if o.err != nil || bytes.Equal(raw, []byte("null")) {
		return
	}
	if err := json.Unmarshal(raw, value); err != nil {
		o.err = fmt.Errorf("%s%s: %w", o.path, key, err)
	}
}

func (o *object) sub(key string, read func(*object)) {
	var fields map[string]json.RawMessage
	o.take(key, &fields)
	if o.err != nil || fields == nil {
		return
	}
	inner := &object{path: o.path + key + ".", fields: fields}
	read(inner)
	o.err = inner.err
}

func (o *object) rest() map[string]json.RawMessage {
	if len(o.fields) == 0 {
		return nil
	}
	return o.fields
}

// MarshalJSON writes the fields in a fixed order, unknown keys last and sorted.
func (c *Config) MarshalJSON() ([]byte, error) {
	w := &fieldWriter{}
	w.add("architecture", c.Architecture)
	w.add("dtype", c.Dtype)
	w.add("logits_dtype", c.LogitsDtype)
	w.add("vocab_size", c.VocabSize)
	w.add("hidden_size", c.HiddenSize)
	w.add("num_hidden_layers", c.NumHiddenLayers)
	w.add("num_attention_heads", c.NumAttentionHeads)
	w.add("num_key_value_heads", c.NumKeyValueHeads)
	w.add("head_size", c.HeadSize)
	w.add("intermediate_size", c.IntermediateSize)
	w.add("hidden_act", c.HiddenAct)
	w.add("norm_epsilon", float(c.NormEpsilon))
	w.add("position_embedding_type", c.PositionEmbeddingType)
	w.add("max_position_embeddings", c.MaxPositionEmbeddings)
	switch c.Family() {
	case GPT:
		w.add("bias", c.AttnBias)
		w.add("rotary_pct", float(c.RotaryPct))
	case LLaMA:
		w.add("attn_bias", c.AttnBias)
		w.add("mlp_bias", c.MLPBias)
	}
	w.add("rotary_base", float(c.RotaryBase))
	w.add("rotary_scaling", c.RotaryScaling)
	w.add("rotary_embedding_dim", c.RotaryDim())
	w.add("qk_layernorm", c.QKLayernorm)
	w.add("use_parallel_embedding", c.UseParallelEmbedding)
	w.add("embedding_sharding_dim", c.EmbeddingShardingDim)
	w.add("mapping", &c.Mapping)
	w.add("quantization", &c.Quantization)
	if c.RuntimeDefaults != nil {
		w.add("runtime_defaults", c.RuntimeDefaults)
	}
	if c.Producer != nil {
		w.add("producer", c.Producer)
	}
	return w.close(c.Extra)
}

// MarshalJSON writes only the keys that every release takes.
func (m *Mapping) MarshalJSON() ([]byte, error) {
	w := &fieldWriter{}
	w.add("world_size", m.WorldSize)
	w.add("tp_size", m.TPSize)
	w.add("pp_size", m.PPSize)
	return w.close(m.Extra)
}

// MarshalJSON writes the windows and any other default that was read.
func (r *RuntimeDefaults) MarshalJSON() ([]byte, error) {
	w := &fieldWriter{}
	if r.MaxAttentionWindow != nil {
		w.add("max_attention_window", r.MaxAttentionWindow)
	}
	return w.close(r.Extra)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// float is written with a decimal point, so that Python reads a float.
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	if v := float64(f); v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.AppendFloat(nil, v, 'f', 1, 64), nil
	}
	return json.Marshal(float64(f))
}

type fieldWriter struct {
	text []byte
	err  error
}

func (w *fieldWriter) add(key string, value any) {
	name, _ := json.Marshal(key)
	text, err := json.Marshal(value)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("%s: %w", key, err)
	}
	if len(w.text) > 0 {
		w.text = append(w.text, ',')
	}
	w.text = append(append(append(w.text, name...), ':'), text...)
}

func (w *fieldWriter) close(extra map[string]json.RawMessage) ([]byte, error) {
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		w.add(key, extra[key])
	}
	return append(append([]byte("{"), w.text...), '}'), w.err
}

// Text is the config as a file: indented by four spaces, as upstream writes it.
func (c *Config) Text() ([]byte, error) {
	raw, err := c.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "    "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Clone returns a copy that shares nothing that may be changed.
func (c *Config) Clone() *Config {
	d := *c
	d.Extra = maps.Clone(c.Extra)
	d.Mapping.Extra = maps.Clone(c.Mapping.Extra)
	d.Quantization.Extra = maps.Clone(c.Quantization.Extra)
	d.Quantization.ExcludeModules = slices.Clone(c.Quantization.ExcludeModules)
	if c.RotaryScaling != nil {
		r := *c.RotaryScaling
		r.Extra = maps.Clone(r.Extra)
		d.RotaryScaling = &r
	}
	if c.RuntimeDefaults != nil {
		r := *c.RuntimeDefaults
		r.MaxAttentionWindow = slices.Clone(r.MaxAttentionWindow)
		r.Extra = maps.Clone(r.Extra)
		d.RuntimeDefaults = &r
	}
	if c.Producer != nil {
		p := *c.Producer
		d.Producer = &p
	}
	return &d
}
