package nemo

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// settings are what a NeMo config says about a model, whichever of its two
// generations wrote it.
type settings struct {
	numLayers, hiddenSize, ffnHiddenSize                     int64
	numAttentionHeads, numQueryGroups, kvChannels, positions int64

	class         string // of the model, where the config has classes
	architecture  string // where the config's class names one, otherwise ""
	activation    string // upstream's name of the function itself: silu, squared-relu, gelu, …
	gated         bool
	rmsNorm       bool
	zeroCentred   bool // norm weights are stored less one
	epsilon       float64
	bias          bool // of attention's linears
	qkvBias       bool // of linear_qkv, whatever bias says
	mlpBias       bool
	rotaryPercent float64
	rotaryBase    float64
	rotaryScaling *checkpoint.RotaryScaling
	window        int64 // sliding attention window in tokens, 0 for none
	tied          bool  // there is no output_layer
	dtype         string
	mcore         bool // Megatron-core's parameter names, not the legacy ones

	tensorParallel, pipelineParallel int64 // when it was saved
	virtualStages                    int64 // of each pipeline stage
	tokenizer                        tokenizerSettings
	notes                            []string

	// given is the config of a model that a Hugging Face config.json describes.
	given *checkpoint.Config
}

// hasBias tells whether a linear has a bias: "self_attention.linear_qkv.bias".
func (s *settings) hasBias(name string) bool {
	switch {
	case strings.HasPrefix(name, "mlp."):
		return s.mlpBias
	case strings.HasPrefix(name, "self_attention.linear_qkv."):
		return s.bias || s.qkvBias
	}
	return s.bias
}

// tokenizerSettings name the tokenizer's files: in the archive's root for NeMo 1,
// below context/ for NeMo 2.
type tokenizerSettings struct {
	library string // sentencepiece, megatron, huggingface, tiktoken, …
	kind    string // `type`: a class of Megatron's, or a Hugging Face id
	model   string
	vocab   string
	merges  string
}

// newSettings has the defaults of both generations and reads the sizes, whose keys
// they share.
func newSettings(f *fields) (*settings, error) {
	s := &settings{epsilon: 1e-5, bias: true, rotaryPercent: 1, rotaryBase: 10000, tied: true, tensorParallel: 1, pipelineParallel: 1}
	f.need(&s.numLayers, "num_layers")
	f.need(&s.hiddenSize, "hidden_size")
	f.need(&s.numAttentionHeads, "num_attention_heads")
	s.ffnHiddenSize = 4 * min(s.hiddenSize, 1<<40)
	f.integer(&s.ffnHiddenSize, "ffn_hidden_size")
	s.numQueryGroups = s.numAttentionHeads
	f.integer(&s.numQueryGroups, "num_query_groups")
	if !f.integer(&s.kvChannels, "kv_channels") && f.err == nil && s.numAttentionHeads > 0 {
		if s.hiddenSize%s.numAttentionHeads != 0 {
			return nil, fmt.Errorf("%w: kv_channels is missing and hidden_size %d is no multiple of num_attention_heads %d", checkpoint.ErrInvalid, s.hiddenSize, s.numAttentionHeads)
		}
		s.kvChannels = s.hiddenSize / s.numAttentionHeads
	}
	return s, f.err
}

// config turns settings into an undivided checkpoint's config. vocabSize is the
// number of rows of the embedding, padding included: NeMo's config does not know it.
func (s *settings) config(vocabSize int64) (*checkpoint.Config, error) {
	if s.given != nil {
		c := s.given.Clone()
		c.VocabSize, c.Dtype = vocabSize, s.dtype
		return c, c.Validate()
	}
	c := &checkpoint.Config{
		Architecture: s.architecture, Dtype: s.dtype, LogitsDtype: checkpoint.Float32,
		VocabSize: vocabSize, HiddenSize: s.hiddenSize, NumHiddenLayers: s.numLayers,
		NumAttentionHeads: s.numAttentionHeads, NumKeyValueHeads: s.numQueryGroups, HeadSize: s.kvChannels,
		IntermediateSize: s.ffnHiddenSize, MaxPositionEmbeddings: s.positions,
		HiddenAct: s.activation, NormEpsilon: s.epsilon, PositionEmbeddingType: "rope_gpt_neox",
		RotaryPct: s.rotaryPercent, RotaryBase: s.rotaryBase, RotaryScaling: s.rotaryScaling,
		Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
	}
	if s.window > 0 {
		c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{s.window}}
	}
	switch {
	case s.rmsNorm && s.gated && s.activation == "silu":
		if c.Architecture == "" {
			c.Architecture = "LlamaForCausalLM"
		}
		if s.rotaryPercent != 1 {
			return nil, fmt.Errorf("rotary_percentage %g with RMSNorm and a gated MLP is %w: upstream's LLaMA class rotates whole heads", s.rotaryPercent, checkpoint.ErrUnsupported)
		}
		c.AttnBias, c.MLPBias = s.bias || s.qkvBias, s.mlpBias
	case s.rmsNorm:
		return nil, fmt.Errorf("RMSNorm with activation %s (gated: %t) is %w: upstream has it with a gated silu alone", s.activation, s.gated, checkpoint.ErrUnsupported)
	default:
		c.Architecture = "GPTForCausalLM"
		c.AttnBias = s.bias || s.qkvBias || s.mlpBias
		c.MLPBias = c.AttnBias // one switch for both; absent ones are written as zeros
		if s.gated {
			act, ok := map[string]string{"silu": "swiglu", "gelu": "geglu"}[s.activation]
			if !ok {
				return nil, fmt.Errorf("a gated %s is %w: gated silu and gelu are", s.activation, checkpoint.ErrUnsupported)
			}
			c.HiddenAct = act
		}
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// activations maps NeMo 1's names to upstream's; what ends in "glu" is gated.
var activations = map[string]string{
	"gelu": "gelu", "geglu": "gelu", "fast-geglu": "gelu", "openai-gelu": "gelu_new", "relu": "relu",
	"squared-relu": "squared-relu", "swiglu": "silu", "fast-swiglu": "silu",
}

// functions maps the last part of NeMo 2's activation_func to upstream's names.
var functions = map[string]string{
	"squared_relu": "squared-relu", "silu": "silu", "gelu": "gelu", "openai_gelu": "gelu_new", "relu": "relu",
}

func unknownActivation(name string, known map[string]string) error {
	return fmt.Errorf("activation %.100q is %w: %s are", name, checkpoint.ErrUnsupported, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
}

// fields reads values of a YAML mapping; the first error sticks.
type fields struct {
	values map[string]any
	err    error
}

func (f *fields) fail(key string, v any, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s: %.100s is no %s", checkpoint.ErrInvalid, key, shown(v), want)
	}
}

// shown gives a value for a message. Mappings and lists are not written out: an
// interpolation may have put one into itself.
func shown(v any) string {
	switch v.(type) {
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v)
}

// get gives the first of the keys that is there and not null.
func (f *fields) get(keys ...string) (key string, v any, ok bool) {
	for _, key := range keys {
		v := f.values[key]
		if bad, is := v.(unresolved); is {
			if f.err == nil {
				f.err = fmt.Errorf("%w: %s: %.100s cannot be resolved: %s", checkpoint.ErrInvalid, key, bad.text, bad.why)
			}
			return key, nil, false
		}
		if v != nil && v != "" {
			return key, v, true
		}
	}
	return "", nil, false
}

func (f *fields) integer(value *int64, keys ...string) bool {
	key, v, ok := f.get(keys...)
	if !ok {
		return false
	}
	n, ok := number(v)
	if !ok || n != float64(int64(n)) {
		f.fail(key, v, "whole number")
		return false
	}
	*value = int64(n)
	return true
}

func (f *fields) float(value *float64, keys ...string) bool {
	key, v, ok := f.get(keys...)
	if !ok {
		return false
	}
	n, ok := number(v)
	if !ok || math.IsNaN(n) {
		f.fail(key, v, "number")
		return false
	}
	*value = n
	return true
}

func (f *fields) boolean(value *bool, keys ...string) bool {
	key, v, ok := f.get(keys...)
	if !ok {
		return false
	}
	switch b := v.(type) {
	case bool:
		*value = b
		return true
	case string, int64: // YAML 1.1's, and Python's
		switch strings.ToLower(fmt.Sprint(b)) {
		case "true", "yes", "on", "1":
			*value = true
			return true
		case "false", "no", "off", "0":
			*value = false
			return true
		}
	}
	f.fail(key, v, "boolean")
	return false
}

func (f *fields) text(value *string, keys ...string) bool {
	_, v, ok := f.get(keys...)
	if !ok {
		return false
	}
	switch v.(type) {
	case string, int64, float64:
		*value = fmt.Sprint(v)
		return true
	}
	return false
}

func (f *fields) mapping(key string) map[string]any {
	m, _ := f.values[key].(map[string]any)
	return m
}

// need reads whole numbers without which there is no model.
func (f *fields) need(value *int64, key string) {
	switch given := f.integer(value, key); {
	case f.err != nil:
	case !given:
		f.err = fmt.Errorf("%w: %s is missing", checkpoint.ErrInvalid, key)
	case *value < 1:
		f.fail(key, *value, "number above 0")
	}
}

// dtypeOf turns a precision ("bf16", "bf16-mixed", 16, "torch.bfloat16") into a
// dtype; "" is one that says nothing.
func dtypeOf(precision string) string {
	switch p := strings.TrimPrefix(strings.ToLower(precision), "torch."); {
	case strings.HasPrefix(p, "bf16"), p == "bfloat16":
		return checkpoint.BFloat16
	case p == "16", strings.HasPrefix(p, "16-"), p == "fp16", p == "float16", p == "half":
		return checkpoint.Float16
	case p == "32", strings.HasPrefix(p, "32-"), p == "fp32", p == "float32", p == "float":
		return checkpoint.Float32
	}
	return ""
}
