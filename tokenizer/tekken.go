package tokenizer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// tekkenFile is a tekken.json, as mistral-common 1.13.1 reads it.
type tekkenFile struct {
	Config struct {
		Pattern    string `json:"pattern"`
		VocabSize  int64  `json:"default_vocab_size"`
		NumSpecial int64  `json:"default_num_special_tokens"`
		Version    string `json:"version"`
	} `json:"config"`
	Vocab []struct {
		Rank  int64  `json:"rank"`
		Bytes string `json:"token_bytes"` // base64
	} `json:"vocab"`
	SpecialTokens []struct {
		Rank int64  `json:"rank"`
		Text string `json:"token_str"`
	} `json:"special_tokens"`
}

// tekkenVersions are those that mistral-common knows. A file up to v7 may leave special_tokens out.
var tekkenVersions = []string{"v1", "v2", "v3", "v7", "v11", "v13", "v15"}

// tekkenDefaults are the special tokens of files that list none; the rest are <SPECIAL_20> and so on.
var tekkenDefaults = []string{"<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
	"[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]",
	"[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"}

// isTekken reports whether a JSON file is a tekken.json.
func isTekken(data []byte) bool {
	return bytes.Contains(data, []byte(`"token_bytes"`)) && bytes.Contains(data, []byte(`"default_num_special_tokens"`))
}

// parseTekken reads the bytes of a tekken.json. Text never gives a special token by its spelling, as
// in mistral-common, unless parsed is set.
func parseTekken(data []byte, parsed bool) (*Tokenizer, error) {
	var f tekkenFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, invalid("not a tekken.json: %v", err)
	}
	special, err := f.special()
	if err != nil {
		return nil, err
	}
	r, err := f.ranked(int64(len(special)))
	if err != nil {
		return nil, err
	}
	t, err := r.load()
	if err != nil {
		return nil, err
	}
	return t, t.addTekkenSpecials(special, r, parsed)
}

// special lists the special tokens, whose ids are their places.
func (f *tekkenFile) special() ([]string, error) {
	version := slices.Index(tekkenVersions, f.Config.Version)
	if version < 0 {
		return nil, unsupported("tekken.json of version %q (%v are read)", f.Config.Version, tekkenVersions)
	}
	var list []string
	for i, s := range f.SpecialTokens {
		if s.Rank != int64(i) {
			return nil, invalid("special token %d, %q, has rank %d", i, s.Text, s.Rank)
		}
		list = append(list, s.Text)
	}
	if f.SpecialTokens == nil {
		if version > slices.Index(tekkenVersions, "v7") {
			return nil, invalid("a tekken.json of version %s has to list its special_tokens", f.Config.Version)
		}
		list = slices.Clone(tekkenDefaults)
	}
	n := f.Config.NumSpecial
	if n < int64(len(list)) || n > maxID(len(f.Vocab)) {
		return nil, invalid("default_num_special_tokens is %d, with %d special tokens and %d others", n, len(list), len(f.Vocab))
	}
	for i := len(list); int64(i) < n; i++ {
		list = append(list, "<SPECIAL_"+strconv.Itoa(i)+">")
	}
	seen := make(map[string]int, n)
	for i, s := range list {
		if j, dup := seen[s]; dup {
			return nil, invalid("special tokens %d and %d are both %q", j, i, s)
		}
		seen[s] = i
	}
	return list, nil
}

// ranked returns the tokens in use, which are the first of those stored, behind n special ones.
func (f *tekkenFile) ranked(n int64) (*rankedVocabulary, error) {
	inner := f.Config.VocabSize - n
	if inner < 256 || inner > int64(len(f.Vocab)) {
		return nil, invalid("default_vocab_size is %d, but there are %d special tokens and %d others", f.Config.VocabSize, n, len(f.Vocab))
	}
	r := &rankedVocabulary{pattern: f.Config.Pattern}
	for i, v := range f.Vocab[:inner] {
		token, err := base64.StdEncoding.DecodeString(v.Bytes)
		switch {
		case err != nil || len(token) == 0:
			return nil, invalid("token %d has the token_bytes %q, want base64", i, v.Bytes)
		case v.Rank != int64(i):
			return nil, invalid("token %d has rank %d", i, v.Rank)
		case i < 256 && (len(token) != 1 || int(token[0]) != i):
			return nil, invalid("token %d stands for %q, want the byte 0x%02X", i, token, i)
		}
		r.tokens, r.ids = append(r.tokens, string(token)), append(r.ids, int32(n)+int32(i))
	}
	return r, nil
}

// addTekkenSpecials puts the special tokens in front of the vocabulary.
func (t *Tokenizer) addTekkenSpecials(special []string, r *rankedVocabulary, parsed bool) error {
	t.control = make(map[int32]bool, len(special))
	var added []*addedToken
	for i, s := range special {
		if err := t.vocab.add(s, int64(i), int64(len(special))); err != nil {
			return fmt.Errorf("special token %q: %w", s, err)
		}
		t.control[int32(i)] = true
		if parsed && s != "" {
			added = append(added, &addedToken{id: int32(i), content: s, special: true})
		}
	}
	named := func(s string) int32 { return int32(slices.Index(special, s)) }
	t.added, t.decoding = newAddedVocab(added), r.decoding(t.vocab, t.control)
	t.bos, t.pad, t.unk = named("<s>"), named("<pad>"), named("<unk>")
	if eos := named("</s>"); eos >= 0 {
		t.eos = []int32{eos}
	}
	return nil
}
