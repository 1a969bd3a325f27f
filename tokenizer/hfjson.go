package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The shape of a tokenizer.json (Hugging Face tokenizers, version "1.0").
type hfFile struct {
	Version       string          `json:"version"`
	AddedTokens   []hfAddedToken  `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

type hfAddedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"`
	Special    bool   `json:"special"`
}

type hfBPE struct {
	Type         string           `json:"type"`
	Vocab        map[string]int64 `json:"vocab"`
	Merges       hfMerges         `json:"merges"`
	Dropout      *float64         `json:"dropout"`
	UnkToken     *string          `json:"unk_token"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
	FuseUnk      bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
}

// hfMerges takes both spellings: "a b" and ["a","b"].
type hfMerges [][2]string

func (m *hfMerges) UnmarshalJSON(b []byte) error {
	// UnmarshalJSON gets one value without space around it; an array has at least a closing bracket.
	if b[0] == '[' && bytes.TrimLeft(b[1:], " \t\r\n")[0] == '[' {
		var pairs [][]string
		if err := json.Unmarshal(b, &pairs); err != nil {
			return err
		}
		*m = make(hfMerges, 0, len(pairs))
		for i, p := range pairs {
			if len(p) != 2 {
				return fmt.Errorf("merge %d has %d parts, want 2", i, len(p))
			}
			*m = append(*m, [2]string{p[0], p[1]})
		}
		return nil
	}
	var lines []string
	if err := json.Unmarshal(b, &lines); err != nil {
		return fmt.Errorf("merges are neither strings nor pairs: %w", err)
	}
	*m = make(hfMerges, 0, len(lines))
	for i, line := range lines {
		if strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return fmt.Errorf("merge %d, %q, is not two tokens", i, line)
		}
		*m = append(*m, [2]string{left, right})
	}
	return nil
}

// component is a node of a normalizer, pre_tokenizer, post_processor or decoder.
type component struct {
	Type            string            `json:"type"`
	Normalizers     []json.RawMessage `json:"normalizers"`
	PreTokenizers   []json.RawMessage `json:"pretokenizers"`
	Processors      []json.RawMessage `json:"processors"`
	Decoders        []json.RawMessage `json:"decoders"`
	AddPrefixSpace  *bool             `json:"add_prefix_space"`
	UseRegex        *bool             `json:"use_regex"`
	IndividualDigit bool              `json:"individual_digits"`
	Pattern         struct {
		Regex  *string `json:"Regex"`
		String *string `json:"String"`
	} `json:"pattern"`
	Behavior      string                      `json:"behavior"`
	Invert        bool                        `json:"invert"`
	Single        []map[string]templatePiece  `json:"single"`
	SpecialTokens map[string]templateSpecials `json:"special_tokens"`
}

type templatePiece struct {
	ID string `json:"id"`
}

type templateSpecials struct {
	IDs []int64 `json:"ids"`
}

// maxDepth bounds the nesting of Sequence components.
const maxDepth = 16

// flatten returns the components of raw in order, Sequences opened.
func flatten(raw json.RawMessage, where string, depth int) ([]component, error) {
	if len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil, nil
	}
	if depth > maxDepth {
		return nil, invalid("%s is nested more than %d deep", where, maxDepth)
	}
	var c component
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, invalid("%s: %v", where, err)
	}
	if c.Type != "Sequence" {
		return []component{c}, nil
	}
	var out []component
	for _, list := range [][]json.RawMessage{c.Normalizers, c.PreTokenizers, c.Processors, c.Decoders} {
		for _, part := range list {
			inner, err := flatten(part, where, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		}
	}
	return out, nil
}

// parseHF reads the bytes of a tokenizer.json. added are further added tokens, which go before the file's
// of the same text; special are tokens that are special when the vocabulary has them.
func parseHF(data []byte, added, special []hfAddedToken) (*Tokenizer, error) {
	var f hfFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, invalid("not a tokenizer.json: %v", err)
	}
	if f.Version != "" && f.Version != "1.0" {
		return nil, unsupported("version %q of tokenizer.json (1.0 is read)", f.Version)
	}
	model, vocab, err := parseHFModel(f.Model)
	if err != nil {
		return nil, err
	}
	normalizers, err := flatten(f.Normalizer, "normalizer", 0)
	if err != nil {
		return nil, err
	}
	if len(normalizers) > 0 {
		return nil, unsupported("normalizer %s in tokenizer.json", normalizers[0].Type)
	}
	e := &byteLevelEncoder{model: model}
	if err := e.parsePreTokenizer(f.PreTokenizer); err != nil {
		return nil, err
	}
	if err := checkByteLevelDecoder(f.Decoder); err != nil {
		return nil, err
	}
	tokens, err := assignAdded(slices.Concat(f.AddedTokens, added), vocab)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{vocab: vocab, added: newAddedVocab(markSpecial(tokens, special, vocab)), encoder: e, bos: -1, pad: -1, unk: model.unk, lossy: true}
	t.decoding = newByteLevelBytes(vocab)
	if err := t.parsePostProcessor(f.PostProcessor); err != nil {
		return nil, err
	}
	return t, nil
}

func parseHFModel(raw json.RawMessage) (*bpe, *vocabulary, error) {
	var kind struct {
		Type   string          `json:"type"`
		Merges json.RawMessage `json:"merges"`
	}
	if len(raw) == 0 {
		return nil, nil, invalid("tokenizer.json has no model")
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, nil, invalid("model: %v", err)
	}
	if kind.Type == "" && kind.Merges != nil {
		kind.Type = "BPE" // files before the field existed
	}
	if kind.Type != "BPE" {
		return nil, nil, unsupported("model %q in tokenizer.json (BPE is read)", kind.Type)
	}
	var m hfBPE
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, nil, invalid("model: %v", err)
	}
	switch {
	case m.ByteFallback:
		return nil, nil, unsupported("model BPE with byte_fallback (SentencePiece written as tokenizer.json)")
	case m.Prefix != nil && *m.Prefix != "":
		return nil, nil, unsupported("model BPE with continuing_subword_prefix %q", *m.Prefix)
	case m.Suffix != nil && *m.Suffix != "":
		return nil, nil, unsupported("model BPE with end_of_word_suffix %q", *m.Suffix)
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, nil, unsupported("model BPE with dropout %v: its ids are random", *m.Dropout)
	case len(m.Vocab) == 0:
		return nil, nil, invalid("model has no vocabulary")
	}
	vocab, err := vocabularyOf(m.Vocab)
	if err != nil {
		return nil, nil, err
	}
	b, err := newByteLevelBPE(vocab, m.Merges)
	if err != nil {
		return nil, nil, err
	}
	if m.UnkToken != nil {
		id, ok := vocab.id(*m.UnkToken)
		if !ok {
			return nil, nil, invalid("unk_token %q is not in the vocabulary", *m.UnkToken)
		}
		b.unk = id
	}
	b.fuseUnk = m.FuseUnk
	if m.IgnoreMerges {
		b.whole = wholePieces(vocab)
	}
	return b, vocab, nil
}

func vocabularyOf(m map[string]int64) (*vocabulary, error) {
	type entry struct {
		token string
		id    int64
	}
	entries := make([]entry, 0, len(m))
	for token, id := range m {
		entries = append(entries, entry{token, id})
	}
	// By id, so that errors do not depend on the order of a map.
	slices.SortFunc(entries, func(a, b entry) int {
		if c := cmp.Compare(a.id, b.id); c != 0 {
			return c
		}
		return strings.Compare(a.token, b.token)
	})
	v := newVocabulary(len(m))
	for _, e := range entries {
		if err := v.add(e.token, e.id, maxID(len(m))); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// newByteLevelBPE builds the merge table. Of a pair listed twice the later rank counts.
func newByteLevelBPE(v *vocabulary, merges [][2]string) (*bpe, error) {
	b := &bpe{merges: make(map[uint64]merge, len(merges)), unk: -1}
	for i := range b.bytes {
		b.bytes[i] = -1
		if id, ok := v.id(string(byteRune[i])); ok {
			b.bytes[i] = id
		}
	}
	for i, m := range merges {
		left, ok1 := v.id(m[0])
		right, ok2 := v.id(m[1])
		joined, ok3 := v.id(m[0] + m[1])
		if !ok1 || !ok2 || !ok3 {
			missing := m[0] + m[1]
			if !ok1 {
				missing = m[0]
			} else if !ok2 {
				missing = m[1]
			}
			return nil, invalid("merge %d joins %q and %q, but %q is not in the vocabulary", i, m[0], m[1], missing)
		}
		b.merges[pairKey(left, right)] = merge{rank: int32(i), id: joined}
	}
	return b, nil
}

// wholePieces maps the bytes of every token to it.
func wholePieces(v *vocabulary) map[string]int32 {
	m := make(map[string]int32, v.count)
	for id, token := range v.tokens {
		if !v.used[id] {
			continue
		}
		if raw, ok := byteLevelDecode(token); ok {
			m[raw] = int32(id)
		}
	}
	return m
}

// maxAdded bounds the text of an added token: searching takes 16 bytes for each of its bytes.
const maxAdded = 1 << 16

// assignAdded gives the added tokens their ids as HF tokenizers does on loading: the vocabulary's
// where it has the token, otherwise the next free one, whatever the file says.
func assignAdded(list []hfAddedToken, v *vocabulary) ([]*addedToken, error) {
	var out []*addedToken
	byContent := make(map[string]*addedToken, len(list))
	next := int64(v.count)
	highest := int64(-1)
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
			n := next
			if highest >= next {
				n = highest + 1
			}
			if err := v.add(a.Content, n, maxID(v.count)); err != nil {
				return nil, err
			}
			id = int32(n)
		}
		highest = max(highest, int64(id))
		t.id = id
		byContent[a.Content] = t
		out = append(out, t)
	}
	return out, nil
}

func (a hfAddedToken) token() *addedToken {
	t := &addedToken{content: a.Content, special: a.Special, singleWord: a.SingleWord,
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
		} else if id, ok := v.id(a.Content); ok && a.Content != "" {
			t := a.token()
			t.id = id
			byContent[a.Content] = t
			tokens = append(tokens, t)
		}
	}
	return tokens
}

// parsePostProcessor reads TemplateProcessing; ByteLevel only trims offsets.
func (t *Tokenizer) parsePostProcessor(raw json.RawMessage) error {
	parts, err := flatten(raw, "post_processor", 0)
	if err != nil {
		return err
	}
	for _, c := range parts {
		switch c.Type {
		case "ByteLevel":
		case "TemplateProcessing":
			if err := t.parseTemplate(c); err != nil {
				return err
			}
		default:
			return unsupported("post_processor %s in tokenizer.json", c.Type)
		}
	}
	return nil
}

func (t *Tokenizer) parseTemplate(c component) error {
	var before, after []int32
	seen := false
	for _, piece := range c.Single {
		for kind, p := range piece {
			switch kind {
			case "Sequence":
				if p.ID != "A" || seen {
					return unsupported("post_processor TemplateProcessing whose single form has more than the sequence A")
				}
				seen = true
			case "SpecialToken":
				for _, id := range c.SpecialTokens[p.ID].IDs {
					if _, ok := t.vocab.token(int32(id)); !ok || int64(int32(id)) != id {
						return invalid("post_processor adds %q with id %d, which no token has", p.ID, id)
					}
					if seen {
						after = append(after, int32(id))
					} else {
						before = append(before, int32(id))
					}
				}
				if len(c.SpecialTokens[p.ID].IDs) == 0 {
					return invalid("post_processor adds %q but special_tokens does not list it", p.ID)
				}
			default:
				return unsupported("post_processor TemplateProcessing piece %q", kind)
			}
		}
	}
	if !seen {
		return invalid("post_processor TemplateProcessing drops the text: its single form has no sequence A")
	}
	t.prefix = append(before, t.prefix...)
	t.suffix = append(t.suffix, after...)
	return nil
}
