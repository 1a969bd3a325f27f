package nemo

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// param is one parameter as it is stored; ReadAt gives its values in row-major
// order, little-endian, wherever they lie.
type param struct {
	io.ReaderAt
	origin string // its key in the container, for messages
	dtype  string // as safetensors spells it
	shape  []int64
	joined string // how it was put together, in words; "" for one that is whole
}

// params are the parameters of a model under Megatron-core's names without the
// prefixes that frameworks put before them.
type params struct {
	list  map[string]param
	files map[string]string // container file of a key, where there are several
}

// add enters a parameter under the name that key stands for.
func (p *params) add(key string, v param) error {
	name, ok := canonical(key)
	if !ok {
		return nil
	}
	if virtualStage.MatchString(name) {
		return fmt.Errorf("%s: weights of virtual pipeline stages are %w: save the model as a distributed checkpoint", key, checkpoint.ErrUnsupported)
	}
	for _, f := range foreign {
		if f.name.MatchString(name) {
			return fmt.Errorf("%s: %s %w", key, f.what, checkpoint.ErrUnsupported)
		}
	}
	if other, there := p.list[name]; there {
		return fmt.Errorf("%w: parameters %s and %s are the same one", checkpoint.ErrInvalid, other.origin, key)
	}
	v.origin = key
	p.list[name] = v
	return nil
}

// canonical strips prefixes and translates legacy names; it refuses what is no
// weight: optimizer state, FP8 metadata, rotary frequencies.
func canonical(key string) (string, bool) {
	name := key
	for {
		rest, cut := strings.CutPrefix(name, "model.")
		if !cut {
			rest, cut = strings.CutPrefix(name, "module.")
		}
		if !cut {
			break
		}
		name = rest
	}
	if optimizerState.MatchString(name) || strings.Contains(name, "_extra_state") || strings.HasSuffix(name, "inv_freq") {
		return "", false
	}
	if headCopies[name] {
		return headName, true
	}
	if rest, legacy := strings.CutPrefix(name, "language_model."); legacy {
		name = legacyNames.Replace(rest)
	}
	return name, true
}

var (
	// optimizerState matches the state of one optimizer, or of one of several
	// (Megatron-core, optimizer.py).
	optimizerState = regexp.MustCompile(`^(?:chained_\d+\.)?optimizer\.`)
	// virtualStage matches the state dicts of a rank that has several stages.
	virtualStage = regexp.MustCompile(`^model_?\d+\.`)
)

// foreign are the parameters of networks that are not read, which a config may not
// tell.
var foreign = []struct {
	name *regexp.Regexp
	what string
}{
	{regexp.MustCompile(`\.adapters?[._]|\.adapter_layer\.|\.lora_`), "adapters (LoRA) have to be merged into their base model first: they alone are"},
	{regexp.MustCompile(`^decoder\.layers\.(?:\d+\.)?mixer\.`), "the mixer of a hybrid Mamba-2 model is, until a later release,"},
	{regexp.MustCompile(`\.mlp\.(?:experts|shared_experts|router)\.`), "a mixture of experts is"},
	{regexp.MustCompile(`\.[qk]_layernorm\.`), "a norm of queries and keys (qk_layernorm) is"},
	{regexp.MustCompile(`^embedding\.position_embeddings\.`), "a learned position embedding is"},
}

// headCopies are the names under which the last stage kept its copy of a tied
// embedding before Megatron-core, which calls it output_layer.
var headCopies = map[string]bool{"word_embeddings.weight": true, "word_embeddings_for_head.weight": true}

// legacyNames turns the names of NeMo before Megatron-core into its (NeMo,
// convert_gpt_nemo_to_mcore.py).
var legacyNames = strings.NewReplacer(
	"encoder.final_layernorm", "decoder.final_layernorm",
	"encoder.layers", "decoder.layers",
	"self_attention.query_key_value", "self_attention.linear_qkv",
	"self_attention.dense", "self_attention.linear_proj",
	"mlp.dense_h_to_4h_2.", "mlp.linear_fc1_2.",
	"mlp.dense_h_to_4h.", "mlp.linear_fc1.",
	"mlp.dense_4h_to_h.", "mlp.linear_fc2.",
	"post_attention_layernorm.", "mlp.linear_fc1.layer_norm_",
	"input_layernorm.", "self_attention.linear_qkv.layer_norm_",
)

// secondHalf tells whether a name is that of the second half of a gated MLP that
// is stored in two.
func secondHalf(name string) bool { return strings.Contains(name, "linear_fc1_2.") }

// names lists the parameters, sorted.
func (p *params) names() []string {
	names := make([]string, 0, len(p.list))
	for name := range p.list {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// aliases are other names that writers give the same parameter of a layer: those
// of the layers that are not Transformer Engine's, and the older ones of the final
// norm.
var aliases = map[string]string{
	"self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
	"self_attention.linear_qkv.layer_norm_bias":   "input_layernorm.bias",
	"mlp.linear_fc1.layer_norm_weight":            "pre_mlp_layernorm.weight",
	"mlp.linear_fc1.layer_norm_bias":              "pre_mlp_layernorm.bias",
}

// find gives a parameter of the whole model.
func (p *params) find(name string) (param, bool) {
	if v, ok := p.list[name]; ok {
		return v, true
	}
	if rest, ok := strings.CutPrefix(name, "decoder.final_layernorm."); ok {
		v, ok := p.list["decoder.final_norm."+rest]
		return v, ok
	}
	return param{}, false
}

// layer gives a parameter of one layer, which may be stored by itself or as a
// slice of one that has all layers in front.
func (p *params) layer(layer int64, name string) (param, bool) {
	for _, name := range []string{name, aliases[name]} {
		if name == "" {
			continue
		}
		if v, ok := p.list["decoder.layers."+strconv.FormatInt(layer, 10)+"."+name]; ok {
			return v, true
		}
		if v, ok := p.list["decoder.layers."+name]; ok && len(v.shape) > 1 && layer < v.shape[0] {
			return v.slice(layer), true
		}
	}
	return param{}, false
}

// slice gives entry i of the first dimension.
func (v param) slice(i int64) param {
	size := elements(v.shape[1:]) * int64(floatformat.Size(v.dtype))
	return param{
		ReaderAt: io.NewSectionReader(v.ReaderAt, i*size, size), origin: fmt.Sprintf("%s[%d]", v.origin, i),
		dtype: v.dtype, shape: v.shape[1:], joined: v.joined,
	}
}

func elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

var layerNumber = regexp.MustCompile(`^decoder\.layers\.(\d+)\.`)

// numLayers counts the layers that are stored.
func (p *params) numLayers() int64 {
	n := int64(0)
	for name, v := range p.list {
		if m := layerNumber.FindStringSubmatch(name); m != nil {
			if i, err := strconv.ParseInt(m[1], 10, 32); err == nil {
				n = max(n, i+1)
			}
		} else if strings.HasPrefix(name, "decoder.layers.") && len(v.shape) > 0 {
			n = max(n, v.shape[0])
		}
	}
	return n
}
