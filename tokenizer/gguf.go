package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// GGUFFiles are a GGUF's tokenizer as the files of a Hugging Face directory.
type GGUFFiles struct {
	Tokenizer  []byte // tokenizer.json; nil when the kind is not implemented
	Config     []byte // tokenizer_config.json, the chat template in it
	Generation []byte // generation_config.json: bos, pad, and the ids that end a turn
}

// Token types of GGUF (tokenizer.ggml.token_type).
const (
	ggufUnknown     = 2
	ggufControl     = 3
	ggufUserDefined = 4
)

// ggufPre is what llama.cpp does for a value of tokenizer.ggml.pre. Its "default" is a split of its own
// that no model was trained with, and is not here.
type ggufPre struct {
	pattern      string // of a Split; "" for ByteLevel's own, GPT-2's
	digits       bool   // Digits(individual_digits) first
	ignoreMerges bool
	addBOS       bool // unless tokenizer.ggml.add_bos_token says otherwise
}

var ggufPres = map[string]ggufPre{
	"gpt-2":     {},
	"phi-2":     {},
	"smollm":    {digits: true},
	"starcoder": {digits: true},
	"llama-bpe": {pattern: patternLlama3, ignoreMerges: true, addBOS: true},
	"llama3":    {pattern: patternLlama3, ignoreMerges: true, addBOS: true},
	"llama-v3":  {pattern: patternLlama3, ignoreMerges: true, addBOS: true},
	"pixtral":   {pattern: patternLlama3, ignoreMerges: true, addBOS: true},
	"tekken":    {pattern: patternTekken, ignoreMerges: true, addBOS: true},
}

// endOfTurn are control tokens that end a generation whatever the metadata calls them.
var endOfTurn = []string{"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>"}

// FromGGUF turns the tokenizer.* metadata of a GGUF file into tokenizer.json, tokenizer_config.json and
// generation_config.json. Values are Go's basic types and slices of them; whole numbers may have any
// width. Of tokenizer.ggml.model only "gpt2" (byte-level BPE) is implemented, with the values of
// tokenizer.ggml.pre that name a known pre-tokeniser. For others the error wraps ErrUnsupported and names
// it; the files returned with it lack Tokenizer alone. Contradictory metadata gives ErrInvalid.
// Special ids beyond the vocabulary are ignored, as llama.cpp does.
func FromGGUF(meta map[string]any) (*GGUFFiles, error) {
	g := &ggufVocabulary{meta: meta}
	if err := g.read(); err != nil {
		return nil, err
	}
	files := &GGUFFiles{}
	var err error
	if files.Config, err = g.config(); err != nil {
		return nil, err
	}
	if files.Generation, err = g.generation(); err != nil {
		return nil, err
	}
	model, _ := meta["tokenizer.ggml.model"].(string)
	if model != "gpt2" {
		return files, unsupported("GGUF vocabulary model %q (gpt2 is read)", model)
	}
	if !g.known {
		return files, unsupported("GGUF pre-tokeniser %q (tokenizer.ggml.pre)", g.preName)
	}
	if files.Tokenizer, err = g.tokenizer(); err != nil {
		return nil, err
	}
	if _, err := parseHF(files.Tokenizer, nil, nil); err != nil {
		return nil, fmt.Errorf("GGUF tokenizer: %w", err)
	}
	return files, nil
}

type ggufVocabulary struct {
	meta    map[string]any
	tokens  []string
	types   []int64
	merges  []string
	preName string
	pre     ggufPre
	known   bool
}

func (g *ggufVocabulary) read() error {
	var ok bool
	if g.tokens, ok = g.meta["tokenizer.ggml.tokens"].([]string); !ok || len(g.tokens) == 0 {
		return invalid("GGUF: tokenizer.ggml.tokens is missing, empty or not a list of strings")
	}
	seen := make(map[string]int, len(g.tokens))
	for i, t := range g.tokens {
		if !utf8.ValidString(t) {
			return invalid("GGUF: token %d, %q, is not UTF-8", i, t)
		}
		if j, dup := seen[t]; dup && g.meta["tokenizer.ggml.model"] == "gpt2" {
			return invalid("GGUF: tokens %d and %d are both %q", j, i, t)
		}
		seen[t] = i
	}
	if v, there := g.meta["tokenizer.ggml.token_type"]; there {
		if g.types, ok = integers(v); !ok {
			return invalid("GGUF: tokenizer.ggml.token_type is not a list of whole numbers")
		}
		if len(g.types) != len(g.tokens) {
			return invalid("GGUF: %d tokens, but %d token types", len(g.tokens), len(g.types))
		}
	}
	if v, there := g.meta["tokenizer.ggml.merges"]; there {
		if g.merges, ok = v.([]string); !ok {
			return invalid("GGUF: tokenizer.ggml.merges is not a list of strings")
		}
	}
	g.preName, _ = g.meta["tokenizer.ggml.pre"].(string)
	g.pre, g.known = ggufPres[g.preName]
	return nil
}

// id returns the id under a key, or -1.
func (g *ggufVocabulary) id(key string) int64 {
	n, ok := integer(g.meta["tokenizer.ggml."+key+"_token_id"])
	if !ok || n < 0 || n >= int64(len(g.tokens)) {
		return -1
	}
	return n
}

func (g *ggufVocabulary) flag(key string, def bool) bool {
	if b, ok := g.meta["tokenizer.ggml."+key].(bool); ok {
		return b
	}
	return def
}

func (g *ggufVocabulary) kind(id int64) int64 {
	if g.types == nil {
		return 0
	}
	return g.types[id]
}

// ends lists the ids that end a generation, the model's own first.
func (g *ggufVocabulary) ends() []int64 {
	var ids []int64
	add := func(id int64) {
		if id >= 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, key := range []string{"eos", "eot", "eom"} {
		add(g.id(key))
	}
	for id, token := range g.tokens {
		if g.kind(int64(id)) == ggufControl && slices.Contains(endOfTurn, token) {
			add(int64(id))
		}
	}
	return ids
}

type object map[string]any

// tokenizer writes tokenizer.json.
func (g *ggufVocabulary) tokenizer() ([]byte, error) {
	byteLevel := object{"type": "ByteLevel", "add_prefix_space": g.flag("add_space_prefix", false),
		"trim_offsets": true, "use_regex": g.pre.pattern == ""}
	pre := []object{byteLevel}
	if g.pre.digits {
		pre = []object{{"type": "Digits", "individual_digits": true}, byteLevel}
	}
	if g.pre.pattern != "" {
		pre = []object{{"type": "Split", "pattern": object{"Regex": g.pre.pattern},
			"behavior": "Isolated", "invert": false}, byteLevel}
	}
	merges := g.merges
	if merges == nil {
		merges = []string{}
	}
	model := object{"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
		"end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false,
		"ignore_merges": g.pre.ignoreMerges, "vocab": orderedVocab(g.tokens), "merges": merges}
	return marshal(object{"version": "1.0", "truncation": nil, "padding": nil,
		"added_tokens": g.added(), "normalizer": nil,
		"pre_tokenizer":  object{"type": "Sequence", "pretokenizers": pre},
		"post_processor": g.postProcessor(),
		"decoder":        object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model":          model})
}

// added lists the tokens that are cut out of text: control and unknown ones as special, user-defined
// ones not. Unused and byte tokens are vocabulary only.
func (g *ggufVocabulary) added() []object {
	out := []object{}
	for id, token := range g.tokens {
		kind := g.kind(int64(id))
		special := kind == ggufControl || kind == ggufUnknown
		if token == "" || !special && kind != ggufUserDefined {
			continue
		}
		out = append(out, object{"id": id, "content": token, "single_word": false, "lstrip": false,
			"rstrip": false, "normalized": false, "special": special})
	}
	return out
}

func (g *ggufVocabulary) postProcessor() object {
	offsets := object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}
	single := []object{{"Sequence": object{"id": "A", "type_id": 0}}}
	pair := []object{{"Sequence": object{"id": "A", "type_id": 0}}, {"Sequence": object{"id": "B", "type_id": 1}}}
	specials := object{}
	special := func(id int64, typeID int) object {
		name := g.tokens[id]
		specials[name] = object{"id": name, "ids": []int64{id}, "tokens": []string{name}}
		return object{"SpecialToken": object{"id": name, "type_id": typeID}}
	}
	if bos := g.id("bos"); bos >= 0 && g.addBOS() {
		single = slices.Insert(single, 0, special(bos, 0))
		pair = slices.Insert(slices.Insert(pair, 1, special(bos, 1)), 0, special(bos, 0))
	}
	if eos := g.id("eos"); eos >= 0 && g.flag("add_eos_token", false) {
		single = append(single, special(eos, 0))
		pair = append(slices.Insert(pair, len(pair)-1, special(eos, 0)), special(eos, 1))
	}
	if len(specials) == 0 {
		return offsets
	}
	return object{"type": "Sequence", "processors": []object{offsets,
		{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials}}}
}

func (g *ggufVocabulary) addBOS() bool { return g.flag("add_bos_token", g.pre.addBOS) }

// config writes tokenizer_config.json.
func (g *ggufVocabulary) config() ([]byte, error) {
	c := object{"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false}
	for key, name := range map[string]string{"bos": "bos_token", "eos": "eos_token",
		"unknown": "unk_token", "padding": "pad_token", "seperator": "sep_token", "mask": "mask_token"} {
		if id := g.id(key); id >= 0 {
			c[name] = g.tokens[id]
		}
	}
	if g.known {
		c["add_bos_token"] = g.addBOS()
		c["add_eos_token"] = g.flag("add_eos_token", false)
	}
	template, ok := g.meta["tokenizer.chat_template"].(string)
	if ok {
		c["chat_template"] = template
	}
	if names, _ := g.meta["tokenizer.chat_templates"].([]string); len(names) > 0 {
		list := []object{}
		if ok {
			list = append(list, object{"name": "default", "template": template})
		}
		for _, name := range names {
			if s, there := g.meta["tokenizer.chat_template."+name].(string); there && !(ok && name == "default") {
				list = append(list, object{"name": name, "template": s})
			}
		}
		if len(list) > 0 {
			c["chat_template"] = list
		}
	}
	return marshal(c)
}

// generation writes generation_config.json.
func (g *ggufVocabulary) generation() ([]byte, error) {
	c := object{"_from_model_config": false}
	if id := g.id("bos"); id >= 0 {
		c["bos_token_id"] = id
	}
	if id := g.id("padding"); id >= 0 {
		c["pad_token_id"] = id
	}
	switch ids := g.ends(); len(ids) {
	case 0:
	case 1:
		c["eos_token_id"] = ids[0]
	default:
		c["eos_token_id"] = ids
	}
	return marshal(c)
}

// orderedVocab is a vocabulary whose JSON lists the tokens in order of id.
type orderedVocab []string

func (v orderedVocab) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, token := range v {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := marshal(token)
		if err != nil {
			return nil, err
		}
		b = append(b, bytes.TrimSpace(key)...)
		b = fmt.Appendf(b, ":%d", i)
	}
	return append(b, '}'), nil
}

// marshal is json.MarshalIndent without HTML's escapes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// integer accepts every width, and floats that are whole.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case uint:
		return int64(n), n <= 1<<62
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint64:
		return int64(n), n <= 1<<62
	case float32:
		return int64(n), n == float32(int64(n))
	case float64:
		return int64(n), n == float64(int64(n))
	}
	return 0, false
}

// integers accepts a slice of any of those.
func integers(v any) ([]int64, bool) {
	switch list := v.(type) {
	case []int:
		return widen(list)
	case []int8:
		return widen(list)
	case []int16:
		return widen(list)
	case []int32:
		return widen(list)
	case []int64:
		return list, true
	case []uint8:
		return widen(list)
	case []uint16:
		return widen(list)
	case []uint32:
		return widen(list)
	case []uint64:
		return widen(list)
	case []any:
		out := make([]int64, len(list))
		for i, e := range list {
			n, ok := integer(e)
			if !ok {
				return nil, false
			}
			out[i] = n
		}
		return out, true
	}
	return nil, false
}

func widen[T int | int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](list []T) ([]int64, bool) {
	out := make([]int64, len(list))
	for i, n := range list {
		out[i] = int64(n)
	}
	return out, true
}
