package tokenizer

import (
	"encoding/json"
)

type hfAddedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"`
	Special    bool   `json:"special"`
}

// parseHF reads the bytes of a tokenizer.json. added are further added tokens, which go before the file's
// of the same text; special are tokens that are special when the vocabulary has them.
func parseHF(data []byte, added, special []hfAddedToken) (*Tokenizer, error) {
	file, members, err := scanNested(string(data), "model")
	if err != nil {
		return nil, invalid("not a tokenizer.json: %v", err)
	}
	if v, ok := file["version"]; ok && v != `"1.0"` {
		return nil, unsupported("version %s of tokenizer.json (\"1.0\" is read)", v)
	}
	model, vocab, unk, err := parseModel(members)
	if err != nil {
		return nil, err
	}
	normalizers, err := parseNormalizers(file["normalizer"])
	if err != nil {
		return nil, err
	}
	stages, byteLevel, err := parsePreTokenizers(file["pre_tokenizer"])
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{vocab: vocab, normalizers: normalizers, bos: -1, pad: -1, unk: unk, lossy: true}
	if m, ok := model.(*bpe); ok {
		m.byteLevel = byteLevel && m.prefix == "" && m.suffix == "" && m.fallback == nil
		byteLevel = byteLevel && !m.byteLevel
		m.prepare()
	}
	if byteLevel {
		stages = append(stages, spellBytes{})
	}
	t.encoder = &pipeline{stages: stages, model: model}
	if t.added, err = parseAdded(file["added_tokens"], added, special, vocab, normalizers); err != nil {
		return nil, err
	}
	for _, s := range stages {
		if m, ok := s.(metaspace); ok && m.scheme == "first" {
			t.added.firstMatters = true
		}
	}
	if t.decoding, err = newHFDecoding(file["decoder"], vocab, t.added.shown); err != nil {
		return nil, err
	}
	if t.prefix, t.suffix, err = parsePostProcessor(file["post_processor"]); err != nil {
		return nil, err
	}
	for _, ids := range [][]int32{t.prefix, t.suffix} {
		for _, id := range ids {
			if _, ok := vocab.token(id); !ok {
				return nil, invalid("post_processor adds the id %d, which no token has", id)
			}
		}
	}
	return t, t.parseLimits(file["truncation"], file["padding"])
}

// isBPE reports whether a tokenizer.json has a BPE model.
func (t *Tokenizer) isBPE() bool {
	p, ok := t.encoder.(*pipeline)
	if !ok {
		return false
	}
	_, ok = p.model.(*bpe)
	return ok
}

// parseAdded reads added_tokens and joins them with those of a configuration.
func parseAdded(raw string, added, special []hfAddedToken, vocab *vocabulary, n normalizers) (*addedVocab, error) {
	var list []hfAddedToken
	if raw != "" {
		if err := json.Unmarshal([]byte(raw), &list); err != nil {
			return nil, invalid("added_tokens: %v", err)
		}
	}
	tokens, err := assignAdded(nil, list, vocab)
	if err != nil {
		return nil, err
	}
	if tokens, err = assignAdded(tokens, added, vocab); err != nil {
		return nil, err
	}
	tokens = markSpecial(tokens, special, vocab)
	for _, t := range tokens {
		if !t.normalized || len(n) == 0 {
			continue
		}
		// Of one of which nothing is left, nothing is found.
		if t.pattern, err = n.normalize(t.content); err != nil {
			return nil, err
		}
	}
	v := newAddedVocab(tokens)
	if vocab.listed > vocab.count {
		// Of a token that is listed twice both ids are special: the library goes by the text.
		for id, text := range vocab.tokens {
			if _, other := v.shown[int32(id)]; v.texts[text] && !other {
				v.markSpecial(int32(id))
			}
		}
	}
	return v, nil
}

// maxAdded bounds the text of an added token: searching takes 16 bytes for each of its bytes.
const maxAdded = 1 << 16

// assignAdded gives the added tokens their ids as HF tokenizers does on loading: the vocabulary's
// where it has the token, otherwise the next free one, whatever the file says. known are those of an
// earlier list, behind which the free ones begin.
func assignAdded(known []*addedToken, list []hfAddedToken, v *vocabulary) ([]*addedToken, error) {
	byContent := make(map[string]*addedToken, len(known)+len(list))
	next := int64(v.entries())
	for _, t := range known {
		byContent[t.content] = t
		next = max(next, int64(t.id)+1)
	}
	out := known
	limit := maxID(v.count + len(list))
	for _, a := range list {
		if a.Content == "" {
			continue
		}
		if len(a.Content) > maxAdded {
			return nil, invalid("an added token has %d bytes, allowed are %d", len(a.Content), maxAdded)
		}
		t := a.token()
		if seen := byContent[a.Content]; seen != nil {
			t.id, t.special = seen.id, t.special || seen.special
			*seen = *t
			continue
		}
		id, ok := v.id(a.Content)
		if !ok {
			if err := v.addBeside(a.Content, next, limit); err != nil {
				return nil, err
			}
			id = int32(next)
			next++
		}
		t.id = id
		byContent[a.Content] = t
		out = append(out, t)
	}
	return out, nil
}

func (a hfAddedToken) token() *addedToken {
	t := &addedToken{content: a.Content, pattern: a.Content, special: a.Special, singleWord: a.SingleWord,
		lstrip: a.LStrip, rstrip: a.RStrip, normalized: !a.Special}
	if a.Normalized != nil {
		t.normalized = *a.Normalized
	}
	return t
}

// markSpecial makes tokens special that a configuration names, as transformers does. Those that are in the
// vocabulary only become added tokens; for others it would make up ids that a model has no row for, so
// they are left out.
func markSpecial(tokens []*addedToken, special []hfAddedToken, v *vocabulary) []*addedToken {
	byContent := make(map[string]*addedToken, len(tokens))
	for _, t := range tokens {
		byContent[t.content] = t
	}
	for _, a := range special {
		if t := byContent[a.Content]; t != nil {
			t.special = true
		} else if id, ok := v.lookUp(a.Content); ok && a.Content != "" {
			t := a.token()
			t.id = id
			byContent[a.Content] = t
			tokens = append(tokens, t)
		}
	}
	return tokens
}
