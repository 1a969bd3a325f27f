package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// GGUFFiles are a GGUF's tokenizer as the files of a Hugging Face directory. One of Tokenizer and Model is
// there, unless the kind is not implemented.
type GGUFFiles struct {
	Tokenizer  []byte // tokenizer.json
	Model      []byte // tokenizer.model, SentencePiece's
	Config     []byte // tokenizer_config.json, the chat template in it
	Generation []byte // generation_config.json: bos, pad, and the ids that end a turn
}

// Token types of GGUF (tokenizer.ggml.token_type).
const (
	ggufNormal      = 1
	ggufUnknown     = 2
	ggufControl     = 3
	ggufUserDefined = 4
	ggufUnused      = 5
)

// endOfTurn are control tokens that end a generation whatever the metadata calls them.
var endOfTurn = []string{"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>"}

// FromGGUF turns the tokenizer.* metadata of a GGUF file into tokenizer.json or tokenizer.model, and
// tokenizer_config.json and generation_config.json. Values are Go's basic types and slices of them; whole
// numbers may have any width. By tokenizer.ggml.model,
//
//   - gpt2, byte-level BPE, becomes a tokenizer.json with the pre-tokeniser that the model named by
//     tokenizer.ggml.pre was trained with, where that is known;
//   - gemma4 a tokenizer.json with BPE over spaces written as ▁;
//   - bert one with WordPiece;
//   - llama and t5 a tokenizer.model, BPE and Unigram, which is what those vocabularies come from.
//
// For others the error wraps ErrUnsupported and names the kind; the files returned with it lack the tokenizer
// alone. Contradictory metadata gives ErrInvalid. Special ids beyond the vocabulary are ignored, as llama.cpp does.
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
	if err := g.write(files); errors.Is(err, ErrUnsupported) {
		return files, err
	} else if err != nil {
		return nil, err
	}
	if files.Model != nil {
		_, err = parseSentencePiece(files.Model, nil, true)
	} else {
		_, err = parseHF(files.Tokenizer, nil, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("GGUF tokenizer: %w", err)
	}
	return files, nil
}

// write makes the tokenizer's file.
func (g *ggufVocabulary) write(files *GGUFFiles) (err error) {
	switch g.model {
	case "gpt2":
		if !g.known {
			return unsupported("GGUF pre-tokeniser %q (tokenizer.ggml.pre)", g.preName)
		}
		files.Tokenizer, err = g.byteLevelJSON()
	case "gemma4":
		files.Tokenizer, err = g.spacedJSON()
	case "bert":
		files.Tokenizer, err = g.wordPieceJSON()
	case "llama", "t5":
		files.Model, err = g.sentencePiece()
	default:
		err = unsupported("GGUF vocabulary model %q (gpt2, gemma4, bert, llama and t5 are read)", g.model)
	}
	return err
}

type ggufVocabulary struct {
	meta    map[string]any
	model   string // tokenizer.ggml.model
	tokens  []string
	types   []int64
	merges  []string
	preName string
	pre     ggufPre
	known   bool
}

func (g *ggufVocabulary) read() error {
	var ok bool
	g.model, _ = g.meta["tokenizer.ggml.model"].(string)
	if g.tokens, ok = g.meta["tokenizer.ggml.tokens"].([]string); !ok || len(g.tokens) == 0 {
		return invalid("GGUF: tokenizer.ggml.tokens is missing, empty or not a list of strings")
	}
	seen := make(map[string]int, len(g.tokens))
	for i, t := range g.tokens {
		if !utf8.ValidString(t) {
			return invalid("GGUF: token %d, %q, is not UTF-8", i, t)
		}
		if j, dup := seen[t]; dup {
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

func (g *ggufVocabulary) addBOS() bool {
	return g.flag("add_bos_token", g.pre.addBOS || g.model == "llama" || g.model == "gemma4")
}

// config writes tokenizer_config.json.
func (g *ggufVocabulary) config() ([]byte, error) {
	c := object{"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false}
	for key, name := range map[string]string{"bos": "bos_token", "eos": "eos_token",
		"unknown": "unk_token", "padding": "pad_token", "seperator": "sep_token", "mask": "mask_token", "cls": "cls_token"} {
		if id := g.id(key); id >= 0 {
			c[name] = g.tokens[id]
		}
	}
	if g.known || g.fromSentencePiece() {
		c["add_bos_token"] = g.addBOS()
		c["add_eos_token"] = g.flag("add_eos_token", g.model == "t5")
	}
	if g.fromSentencePiece() {
		c["added_tokens_decoder"] = g.addedDecoder()
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
