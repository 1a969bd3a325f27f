package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
)

// maxFile bounds what is read of any file here; the largest tokenizer.json known is 33 MB.
const maxFile = 512 << 20

// readFile reads a file whole; ok is false when it does not exist.
func readFile(path string) (data []byte, ok bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.IsDir() {
		return nil, false, fmt.Errorf("%s is a directory, not a file", path)
	}
	if info.Size() > maxFile {
		return nil, false, invalid("%s has %d bytes, allowed are %d", path, info.Size(), int64(maxFile))
	}
	var all bytes.Buffer
	all.Grow(int(info.Size()) + bytes.MinRead) // no second look at a file that does not grow
	if _, err = all.ReadFrom(io.LimitReader(f, maxFile)); err != nil {
		return nil, false, err
	}
	return all.Bytes(), true, nil
}

// namedToken is a token in a configuration: a string, or an object with content and flags. As in
// transformers, one that is named is special.
type namedToken hfAddedToken

func (t *namedToken) UnmarshalJSON(b []byte) error {
	*t = namedToken{Special: true}
	var s *string
	if json.Unmarshal(b, &s) == nil {
		if s != nil {
			t.Content = *s
		}
		return nil
	}
	if err := json.Unmarshal(b, (*hfAddedToken)(t)); err != nil {
		return fmt.Errorf("a token is neither a string nor an object with content: %w", err)
	}
	t.Special = true
	return nil
}

// namedTokens is a list of tokens, or an object of them.
type namedTokens []namedToken

func (l *namedTokens) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*[]namedToken)(l)) == nil {
		return nil
	}
	var byName map[string]namedToken
	if err := json.Unmarshal(b, &byName); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		*l = append(*l, byName[name])
	}
	return nil
}

// idList is an id, a list of ids, or null.
type idList []int64

func (l *idList) UnmarshalJSON(b []byte) error {
	var one *int64
	if json.Unmarshal(b, &one) == nil {
		if one != nil {
			*l = idList{*one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]int64)(l))
}

// tokenizerConfig is what is used of a tokenizer_config.json.
type tokenizerConfig struct {
	AddBOS       *bool                   `json:"add_bos_token"`
	AddEOS       *bool                   `json:"add_eos_token"`
	Legacy       *bool                   `json:"legacy"`
	CleanUp      bool                    `json:"clean_up_tokenization_spaces"`
	ForceCleanUp bool                    `json:"clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"`
	ChatTemplate json.RawMessage         `json:"chat_template"`
	Added        map[string]hfAddedToken `json:"added_tokens_decoder"`
	Class        string                  `json:"tokenizer_class"`
	PatStr       string                  `json:"pat_str"` // of a tiktoken file: tiktoken's name of its pattern
	Pattern      string                  `json:"pattern"` // and transformers'
	Extra        namedTokens             `json:"extra_special_tokens"`
	Additional   namedTokens             `json:"additional_special_tokens"`
	specialTokens
}

// specialTokens are the named tokens of tokenizer_config.json and special_tokens_map.json.
type specialTokens struct {
	BOS  namedToken `json:"bos_token"`
	EOS  namedToken `json:"eos_token"`
	UNK  namedToken `json:"unk_token"`
	PAD  namedToken `json:"pad_token"`
	SEP  namedToken `json:"sep_token"`
	CLS  namedToken `json:"cls_token"`
	MASK namedToken `json:"mask_token"`
}

// byName lists the tokens under the names by which chat templates see them.
func (s *specialTokens) byName() map[string]*namedToken {
	return map[string]*namedToken{"bos_token": &s.BOS, "eos_token": &s.EOS, "unk_token": &s.UNK,
		"pad_token": &s.PAD, "sep_token": &s.SEP, "cls_token": &s.CLS, "mask_token": &s.MASK}
}

// fill takes from other what s lacks.
func (s *specialTokens) fill(other specialTokens) {
	theirs := other.byName()
	for name, t := range s.byName() {
		if t.Content == "" {
			*t = *theirs[name]
		}
	}
}

// variables are what chat templates see of the tokens; absent ones are undefined.
func (s *specialTokens) variables() map[string]string {
	m := make(map[string]string)
	for name, t := range s.byName() {
		if t.Content != "" {
			m[name] = t.Content
		}
	}
	return m
}

type generationConfig struct {
	BOS idList `json:"bos_token_id"`
	EOS idList `json:"eos_token_id"`
	PAD idList `json:"pad_token_id"`
}

// readJSON reads an optional JSON file of dir into v and reports whether it was there.
func readJSON(dir, name string, v any) (bool, error) {
	data, ok, err := readFile(filepath.Join(dir, name))
	if err != nil || !ok {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, invalid("%s: %v", name, err)
	}
	return true, nil
}

// settings are the configuration files beside a tokenizer.
type settings struct {
	config     tokenizerConfig
	generation generationConfig
	chat       chatTemplates
}

func readSettings(dir string) (*settings, error) {
	var s settings
	if _, err := readJSON(dir, "tokenizer_config.json", &s.config); err != nil {
		return nil, err
	}
	var named specialTokens
	if _, err := readJSON(dir, "special_tokens_map.json", &named); err != nil {
		return nil, err
	}
	s.config.fill(named)
	if _, err := readJSON(dir, "generation_config.json", &s.generation); err != nil {
		return nil, err
	}
	var err error
	s.chat, err = readChatTemplates(dir, s.config.ChatTemplate)
	return &s, err
}

// addedList returns added_tokens_decoder in order of id.
func (c *tokenizerConfig) addedList() ([]hfAddedToken, error) {
	list := make([]hfAddedToken, 0, len(c.Added))
	for key, a := range c.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return nil, invalid("tokenizer_config.json: added_tokens_decoder has the key %q, want an id", key)
		}
		a.ID = id
		list = append(list, a)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	return list, nil
}

// special lists the tokens that are special by their name in the configuration.
func (c *tokenizerConfig) special() []hfAddedToken {
	var list []hfAddedToken
	named := c.byName()
	for _, name := range slices.Sorted(maps.Keys(named)) {
		list = append(list, hfAddedToken(*named[name]))
	}
	for _, t := range slices.Concat(c.Extra, c.Additional) {
		list = append(list, hfAddedToken(t))
	}
	return list
}

// apply puts the settings into a tokenizer. Ids that the vocabulary lacks are ignored: configurations
// are copied from model to model.
func (t *Tokenizer) apply(s *settings) {
	t.chat = s.chat
	c := &s.config
	id := func(token namedToken, old int32) int32 {
		if found, ok := t.vocab.lookUp(token.Content); ok && token.Content != "" {
			return found
		}
		return old
	}
	t.bos, t.pad, t.unk = id(c.BOS, t.bos), id(c.PAD, t.pad), id(c.UNK, t.unk)
	own := id(c.EOS, -1)
	if own < 0 && len(t.eos) > 0 {
		own = t.eos[0]
	}
	t.eos = nil
	for _, e := range append(append(idList(nil), s.generation.EOS...), int64(own)) {
		if _, ok := t.vocab.token(int32(e)); ok && int64(int32(e)) == e && !slices.Contains(t.eos, int32(e)) {
			t.eos = append(t.eos, int32(e))
		}
	}
	first := func(l idList, old int32) int32 {
		if old < 0 && len(l) > 0 {
			if _, ok := t.vocab.token(int32(l[0])); ok && int64(int32(l[0])) == l[0] {
				return int32(l[0])
			}
		}
		return old
	}
	t.bos, t.pad = first(s.generation.BOS, t.bos), first(s.generation.PAD, t.pad)
	t.named = c.variables()
	if _, ok := t.named["bos_token"]; !ok && t.bos >= 0 && t.fromModel {
		t.named["bos_token"] = t.vocab.tokens[t.bos]
	}
	if _, ok := t.named["eos_token"]; !ok && own >= 0 && t.fromModel {
		t.named["eos_token"] = t.vocab.tokens[own]
	}
	if t.fromModel {
		t.surround(c, own)
	}
}

// surround sets what is put around a text of a tokenizer.model, by add_bos_token and add_eos_token. What
// a tokenizer.json puts there is its post-processor's: transformers 5 does not look at those two then.
func (t *Tokenizer) surround(c *tokenizerConfig, eos int32) {
	addBOS, addEOS := true, false
	if c.AddBOS != nil {
		addBOS = *c.AddBOS
	}
	if c.AddEOS != nil {
		addEOS = *c.AddEOS
	}
	t.prefix, t.suffix = nil, nil
	if addBOS && t.bos >= 0 {
		t.prefix = []int32{t.bos}
	}
	if addEOS && eos >= 0 {
		t.suffix = []int32{eos}
	}
}
