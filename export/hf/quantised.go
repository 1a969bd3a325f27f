package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/regularfile"
)

// modelOptName is the file in which ModelOpt says how it quantised a model; newer
// releases say it in config.json as well.
const modelOptName = "hf_quant_config.json"

// quantised says how the linears of a model are stored: as E4M3 numbers with one
// scale for each tensor, where by is set.
type quantised struct {
	by      string // who says so, for messages
	dynamic bool   // inputs are rounded by scales that are found at run time
	cache   bool   // there are scales for keys and values
}

// number is how compressed-tensors describes the numbers of a tensor.
type number struct {
	Bits     int             `json:"num_bits"`
	Type     string          `json:"type"`
	Strategy string          `json:"strategy"`
	Dynamic  json.RawMessage `json:"dynamic"` // true, false or "local"
}

func (n *number) dynamic() bool {
	return len(n.Dynamic) > 0 && string(n.Dynamic) != "false" && string(n.Dynamic) != "null"
}

// parseQuantised reads config.json's quantization_config.
func parseQuantised(f *fields) (quantised, error) {
	q := &fields{}
	if !f.get(&q.values, "quantization_config") {
		return quantised{}, nil
	}
	var method string
	q.get(&method, "quant_method")
	var producer checkpoint.Producer
	if q.get(&producer, "producer") && method == "" && producer.Name == "modelopt" {
		method = "modelopt"
	}
	var result quantised
	var err error
	switch method {
	case "fp8":
		result, err = autoFP8(q)
	case "compressed-tensors":
		result, err = compressedTensors(q)
	case "modelopt":
		result, err = modelOpt(q)
	default:
		if method == "" {
			method = "an unnamed method"
		}
		err = fmt.Errorf("weights quantised by %.100s (quantization_config) are %w: those of fp8, compressed-tensors and modelopt are, in FP8", method, checkpoint.ErrUnsupported)
	}
	if q.err != nil {
		err = fmt.Errorf("%w: quantization_config: %w", checkpoint.ErrInvalid, q.err)
	}
	return result, err
}

// autoFP8 reads AutoFP8's config, whose quant_method later was given to FP8 in blocks
// as well.
func autoFP8(q *fields) (quantised, error) {
	if blocks := q.values["weight_block_size"]; present(blocks) {
		return quantised{}, fmt.Errorf("FP8 with a scale for each block of %.40s weights is %w: one scale for each tensor is", blocks, checkpoint.ErrUnsupported)
	}
	result := quantised{by: "fp8", cache: present(q.values["kv_cache_scheme"])}
	scheme := ""
	q.get(&scheme, "activation_scheme")
	switch scheme {
	case "static":
	case "dynamic":
		result.dynamic = true
	default:
		return result, fmt.Errorf("quantization_config.activation_scheme %.50q is %w: static and dynamic are", scheme, checkpoint.ErrUnsupported)
	}
	return result, nil
}

func compressedTensors(q *fields) (quantised, error) {
	result := quantised{by: "compressed-tensors", cache: present(q.values["kv_cache_scheme"])}
	var groups map[string]struct {
		Weights *number `json:"weights"`
		Inputs  *number `json:"input_activations"`
	}
	q.get(&groups, "config_groups")
	if len(groups) == 0 {
		return result, fmt.Errorf("%w: quantization_config has no config_groups", checkpoint.ErrInvalid)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		w, in := groups[name].Weights, groups[name].Inputs
		switch {
		case w == nil:
			return result, fmt.Errorf("%w: quantization_config: %.50s says nothing of weights", checkpoint.ErrInvalid, name)
		case w.Bits != 8 || w.Type != "float":
			return result, fmt.Errorf("compressed-tensors weights of %d bits (%.20s) are %w: 8 bits of type float are", w.Bits, w.Type, checkpoint.ErrUnsupported)
		case w.Strategy == "channel":
			return result, fmt.Errorf("compressed-tensors weights with a scale for each channel (FP8_PER_CHANNEL_PER_TOKEN) are %w yet: one scale for each tensor is", checkpoint.ErrUnsupported)
		case w.Strategy != "tensor":
			return result, fmt.Errorf("compressed-tensors weights with scales by %.50s are %w: one scale for each tensor is", w.Strategy, checkpoint.ErrUnsupported)
		}
		result.dynamic = result.dynamic || in == nil || in.dynamic()
		if in != nil && !in.dynamic() && (in.Bits != 8 || in.Type != "float" || in.Strategy != "tensor") {
			return result, fmt.Errorf("compressed-tensors inputs of %d bits (%.20s) by %.20s are %w: 8 bits of type float by tensor are", in.Bits, in.Type, in.Strategy, checkpoint.ErrUnsupported)
		}
	}
	return result, cacheNumber(q)
}

// cacheNumber checks a kv_cache_scheme that is written as compressed-tensors does.
func cacheNumber(q *fields) error {
	var n number
	if raw := q.values["kv_cache_scheme"]; present(raw) && json.Unmarshal(raw, &n) == nil && (n.Bits != 8 || n.Type != "float" || n.dynamic()) {
		return fmt.Errorf("a KV cache of %d bits (%.20s) is %w: 8 bits of type float with fixed scales are", n.Bits, n.Type, checkpoint.ErrUnsupported)
	}
	return nil
}

// modelOpt reads what ModelOpt writes, in either of its places.
func modelOpt(q *fields) (quantised, error) {
	result := quantised{by: "modelopt", cache: present(q.values["kv_cache_scheme"])}
	var algo, cache string
	q.get(&algo, "quant_algo")
	q.get(&cache, "kv_cache_quant_algo")
	switch cache {
	case "":
	case "FP8":
		result.cache = true
	default:
		return result, fmt.Errorf("a KV cache that ModelOpt quantised as %.50s is %w: FP8 is", cache, checkpoint.ErrUnsupported)
	}
	if algo != "FP8" {
		return result, fmt.Errorf("weights that ModelOpt quantised as %.50s are %w: FP8 is", algo, checkpoint.ErrUnsupported)
	}
	return result, cacheNumber(q)
}

// readModelOpt reads ModelOpt's own file, where config.json does not say it.
func (c *config) readModelOpt(dir string) error {
	path := filepath.Join(dir, modelOptName)
	text, err := regularfile.Read(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) || c.quantised.by != "" {
		return nil
	}
	if err != nil {
		return err
	}
	var file struct {
		Quantization map[string]json.RawMessage `json:"quantization"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("%s: %w: %w", path, checkpoint.ErrInvalid, err)
	}
	q := &fields{values: file.Quantization}
	if c.quantised, err = modelOpt(q); err == nil && q.err != nil {
		err = fmt.Errorf("%w: quantization: %w", checkpoint.ErrInvalid, q.err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func present(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null" && string(raw) != `"none"`
}

// quantise says in the checkpoint's words which linears are FP8, which their
// tensors tell.
func (m *Model) quantise() error {
	c := m.config
	if c.quantised.by == "" {
		return nil
	}
	c.Quantization.QuantAlgo = checkpoint.FP8
	if c.quantised.cache {
		c.Quantization.KVCacheQuantAlgo = checkpoint.KVCacheFP8
	}
	parts, stored := map[string][]string{}, map[string]int64{} // modules without their layer
	for layer := range c.NumHiddenLayers {
		prefix := fmt.Sprintf("transformer.layers.%d.", layer)
		for _, module := range m.linears() {
			in := true
			for i, part := range module.parts {
				t, ok := m.weights.Tensor(m.origin(prefix + part + ".weight"))
				quantised := ok && t.Dtype == floatformat.E4M3
				if i > 0 && quantised != in {
					return fmt.Errorf("%w: of the linears of one input, %s is FP8 and %s is not: TensorRT-LLM computes them as one", checkpoint.ErrInvalid,
						m.origin(prefix+part+".weight"), m.origin(prefix+module.parts[0]+".weight"))
				}
				in = quantised
			}
			if in {
				stored[module.name]++
				continue
			}
			parts[module.name] = append(parts[module.name], prefix+module.name)
		}
	}
	if len(stored) == 0 {
		return fmt.Errorf("%w: quantization_config says that %s quantised the model, but no linear is %s", checkpoint.ErrInvalid, c.quantised.by, floatformat.E4M3)
	}
	c.Quantization.ExcludeModules = []string{"lm_head"}
	for _, module := range slices.Sorted(maps.Keys(parts)) {
		if stored[module] == 0 { // no layer has it
			c.Quantization.ExcludeModules = append(c.Quantization.ExcludeModules, "*."+module)
			continue
		}
		c.Quantization.ExcludeModules = append(c.Quantization.ExcludeModules, parts[module]...)
	}
	return nil
}

// fused is a linear of the checkpoint with the weights that it is made of.
type fused struct {
	name  string
	parts []string
}

func (m *Model) linears() []fused {
	list := []fused{
		{"attention.qkv", []string{"attention.q", "attention.k", "attention.v"}},
		{"attention.dense", []string{"attention.dense"}}, {"mlp.fc", []string{"mlp.fc"}}, {"mlp.proj", []string{"mlp.proj"}},
	}
	if m.config.Gated() {
		list = append(list, fused{"mlp.gate", []string{"mlp.gate"}})
	}
	return list
}

// Suffixes of the scales of a linear.
const (
	weightScale = ".weight_scale"
	inputScale  = ".input_scale"
)

// scales reads those of an E4M3 weight; input is 0 where it has none.
func (m *Model) scales(origin string) (weight, input float32, err error) {
	module := strings.TrimSuffix(origin, ".weight")
	weight, err = m.scale(module + weightScale)
	if err == nil && !m.config.quantised.dynamic && origin != headName {
		input, err = m.scale(module + inputScale)
	}
	return weight, input, err
}

// scale reads a number that others are multiplied by.
func (m *Model) scale(name string) (float32, error) {
	t, ok := m.weights.Tensor(name)
	if !ok {
		return 0, fmt.Errorf("%w: missing tensor %s", checkpoint.ErrInvalid, name)
	}
	width := floatformat.Size(t.Dtype)
	if width == 0 {
		return 0, fmt.Errorf("%s: tensor %s: a scale of dtype %s is %w: F32, F16 and BF16 are", t.File, name, t.Dtype, checkpoint.ErrUnsupported)
	}
	if t.Bytes != int64(width) {
		return 0, fmt.Errorf("%s: tensor %s of shape %v is %w: one scale for each tensor is", t.File, name, t.Shape, checkpoint.ErrUnsupported)
	}
	raw, value := make([]byte, width), make([]float32, 1)
	if n, err := t.ReadAt(raw, 0); n < width {
		return 0, fmt.Errorf("%s: tensor %s: %w", t.File, name, err)
	}
	floatformat.Decode(value, raw, t.Dtype)
	if s := value[0]; !(s > 0) || math.IsInf(float64(s), 0) {
		return 0, fmt.Errorf("%s: %w: tensor %s is %g, not a number above 0", t.File, checkpoint.ErrInvalid, name, s)
	}
	return value[0], nil
}

// cacheNames are where writers put the scale of a layer's keys (x is "k") or values:
// AutoFP8 and compressed-tensors, ModelOpt, older ones, the oldest with one for both.
func cacheNames(layer int64, x string) []string {
	p := fmt.Sprintf("model.layers.%d.self_attn.", layer)
	return []string{p + x + "_scale", p + x + "_proj." + x + "_scale", p + x + "_proj.output_scale", p + "kv_scale"}
}

// CacheScales implements [source.CacheScaler].
func (m *Model) CacheScales(layer int64) (k, v float32, err error) {
	find := func(x string) (float32, error) {
		names := cacheNames(layer, x)
		for _, name := range names {
			if _, ok := m.weights.Tensor(name); ok {
				return m.scale(name)
			}
		}
		return 0, fmt.Errorf("%w: the KV cache is FP8, but there is no %s: export with kv_cache_dtype none", checkpoint.ErrInvalid, strings.Join(names, " or "))
	}
	if k, err = find("k"); err == nil {
		v, err = find("v")
	}
	return k, v, err
}

// isScale tells of tensors that belong to the weights of a quantised model, or to its
// KV cache.
func isScale(name string) bool {
	return slices.ContainsFunc([]string{weightScale, inputScale, ".output_scale", ".k_scale", ".v_scale", ".kv_scale"},
		func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}
