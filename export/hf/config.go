package hf

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// family has what differs between the supported classes: upstream's class and
// the defaults of the transformers configuration class.
type family struct {
	architecture string // in the checkpoint
	epsKeys      []string
	eps          float64
	act          string
	positions    int64
	window       int64 // sliding_window when the key is absent
	keyHeads     int64 // num_key_value_heads when the key is absent; 0 for all heads
}

var llamaEps = []string{"rms_norm_eps", "norm_eps", "layer_norm_eps"}

var supported = map[string]family{
	"LlamaForCausalLM":    {"LlamaForCausalLM", llamaEps, 1e-6, "silu", 2048, 0, 0},
	"MistralForCausalLM":  {"MistralForCausalLM", llamaEps, 1e-6, "silu", 4096 * 32, 4096, 8},
	"NemotronForCausalLM": {"GPTForCausalLM", []string{"norm_eps", "layer_norm_eps", "rms_norm_eps"}, 1e-5, "relu2", 4096, 0, 0},
}

// spelled are other names of supported classes, and model types for configs that
// name no class.
var spelled = map[string]string{
	"LLaMAForCausalLM": "LlamaForCausalLM",
	"llama":            "LlamaForCausalLM", "mistral": "MistralForCausalLM", "nemotron": "NemotronForCausalLM",
}

// activations maps transformers' names to upstream's.
var activations = map[string]string{
	"silu": "silu", "swish": "silu", "relu": "relu", "relu2": "squared-relu", "gelu": "gelu",
	"gelu_new": "gelu_new", "gelu_fast": "gelu_fast", "gelu_pytorch_tanh": "gelu_pytorch_tanh", "tanh": "tanh",
}

// Architectures lists the supported architectures.
func Architectures() []string { return slices.Sorted(maps.Keys(supported)) }

// config is a parsed config.json.
type config struct {
	*checkpoint.Config
	source string // architecture in the source
	tied   bool
	dtype  string // "" when the config gives none
	// quantised is what quantization_config says.
	quantised quantised
	notes     []string
	// attnBias and mlpBias are the source's, which may differ in the GPT class too.
	attnBias, mlpBias bool
	generation        []byte // see generation
}

// parseConfig turns config.json into a checkpoint's config. Its Dtype is left
// empty where the file gives none.
func parseConfig(text []byte) (*config, error) {
	f := &fields{}
	if err := json.Unmarshal(finite(text), &f.values); err != nil {
		return nil, fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
	}
	c := &config{Config: &checkpoint.Config{
		LogitsDtype: checkpoint.Float32, PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
		Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
	}}
	fam, err := c.architecture(f)
	if err != nil {
		return nil, err
	}
	if c.quantised, err = parseQuantised(f); err != nil {
		return nil, err
	}
	if err := c.sizes(f, fam); err != nil {
		return nil, err
	}
	if err := c.traits(f, fam); err != nil {
		return nil, err
	}
	if err := c.windows(f, fam); err != nil {
		return nil, err
	}
	if err := c.rotary(f); err != nil {
		return nil, err
	}
	if f.err != nil {
		return nil, fmt.Errorf("%w: %w", checkpoint.ErrInvalid, f.err)
	}
	c.generation = generation(f)
	return c, nil
}

func (c *config) architecture(f *fields) (family, error) {
	var names []string
	var name string
	f.get(&names, "architectures")
	if len(names) > 0 {
		name = names[0]
	} else {
		f.get(&name, "model_type")
	}
	if f.err != nil {
		return family{}, fmt.Errorf("%w: %w", checkpoint.ErrInvalid, f.err)
	}
	if other, ok := spelled[name]; ok {
		name = other
	}
	c.source = name
	fam, ok := supported[name]
	switch {
	case ok:
		c.Architecture = fam.architecture
		return fam, nil
	case strings.HasPrefix(name, "NemotronH") || name == "nemotron_h":
		return fam, fmt.Errorf("architecture %s (hybrid Mamba-2) is %w yet: it is planned for a later release", name, checkpoint.ErrUnsupported)
	case name == "":
		return fam, fmt.Errorf("%w: neither architectures nor model_type says what model this is", checkpoint.ErrInvalid)
	}
	return fam, fmt.Errorf("architecture %.100s is %w: %s are", name, checkpoint.ErrUnsupported, strings.Join(Architectures(), ", "))
}

func (c *config) sizes(f *fields, fam family) error {
	for _, s := range []struct {
		value *int64
		key   string
	}{
		{&c.VocabSize, "vocab_size"}, {&c.HiddenSize, "hidden_size"}, {&c.IntermediateSize, "intermediate_size"},
		{&c.NumHiddenLayers, "num_hidden_layers"}, {&c.NumAttentionHeads, "num_attention_heads"},
	} {
		if !f.integer(s.value, s.key) && f.err == nil {
			return fmt.Errorf("%w: %s is missing", checkpoint.ErrInvalid, s.key)
		}
	}
	c.NumKeyValueHeads = c.NumAttentionHeads
	if _, given := f.values["num_key_value_heads"]; !given && fam.keyHeads > 0 {
		c.NumKeyValueHeads = fam.keyHeads
	}
	f.integer(&c.NumKeyValueHeads, "num_key_value_heads")
	if !f.integer(&c.HeadSize, "head_dim", "kv_channels") && c.NumAttentionHeads > 0 {
		if c.HiddenSize%c.NumAttentionHeads != 0 {
			return fmt.Errorf("%w: head_dim is missing and hidden_size %d is no multiple of num_attention_heads %d", checkpoint.ErrInvalid, c.HiddenSize, c.NumAttentionHeads)
		}
		c.HeadSize = c.HiddenSize / c.NumAttentionHeads
	}
	c.MaxPositionEmbeddings = fam.positions
	f.integer(&c.MaxPositionEmbeddings, "max_position_embeddings")
	return nil
}

// traits reads what is no size: epsilon, activation, biases, the tied head, the
// dtype.
func (c *config) traits(f *fields, fam family) error {
	c.NormEpsilon = fam.eps
	f.get(&c.NormEpsilon, fam.epsKeys...)
	act := fam.act
	f.get(&act, "hidden_act", "hidden_activation")
	var ok bool
	if c.HiddenAct, ok = activations[act]; !ok {
		return fmt.Errorf("activation %.100q is %w: %s are", act, checkpoint.ErrUnsupported, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
	}
	f.get(&c.attnBias, "attention_bias", "bias")
	f.get(&c.mlpBias, "mlp_bias")
	c.AttnBias, c.MLPBias = c.attnBias, c.mlpBias
	if c.Family() == checkpoint.GPT { // one switch for both; absent ones are written as zeros
		c.AttnBias = c.attnBias || c.mlpBias
		c.MLPBias = c.AttnBias
	}
	f.get(&c.tied, "tie_word_embeddings")
	var dtype string
	f.get(&dtype, "dtype", "torch_dtype")
	switch dtype = strings.TrimPrefix(dtype, "torch."); dtype {
	case "float16", "half":
		c.dtype = checkpoint.Float16
	case checkpoint.BFloat16, checkpoint.Float32:
		c.dtype = dtype
	}
	return nil
}

// windows reads the sliding window. With layer_types transformers takes a mistral
// for a Ministral, whose full_attention layers see everything.
func (c *config) windows(f *fields, fam family) error {
	if fam.window == 0 {
		return nil
	}
	window := fam.window
	if _, given := f.values["sliding_window"]; given {
		window = 0 // null is none
		f.integer(&window, "sliding_window")
	}
	var types []string
	f.get(&types, "layer_types")
	if window <= 0 {
		return nil
	}
	if len(types) == 0 {
		c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{window}}
		return nil
	}
	if int64(len(types)) != c.NumHiddenLayers {
		return fmt.Errorf("%w: layer_types has %d entries for num_hidden_layers %d", checkpoint.ErrInvalid, len(types), c.NumHiddenLayers)
	}
	list := make([]int64, len(types))
	for i, kind := range types {
		switch kind {
		case "sliding_attention":
			list[i] = window
		case "full_attention":
			list[i] = max(c.MaxPositionEmbeddings, window)
		default:
			return fmt.Errorf("layer_types has %.100q, which is %w: sliding_attention and full_attention are", kind, checkpoint.ErrUnsupported)
		}
	}
	switch first := types[0]; {
	case slices.ContainsFunc(types, func(t string) bool { return t != first }):
		c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: list}
	case first == "sliding_attention":
		c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: list[:1]}
	}
	return nil
}
