package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// hfModel turns one piece of text into ids. Its own spelling of pieces is the vocabulary's.
type hfModel interface {
	encode(dst []int32, piece string) ([]int32, error)
}

// modelOptions are the small members of a model; vocab and merges are read apart.
type modelOptions struct {
	Type             string   `json:"type"`
	Dropout          *float64 `json:"dropout"`
	UnkToken         *string  `json:"unk_token"`
	UnkID            *int64   `json:"unk_id"`
	Prefix           *string  `json:"continuing_subword_prefix"`
	Suffix           *string  `json:"end_of_word_suffix"`
	FuseUnk          *bool    `json:"fuse_unk"`
	ByteFallback     *bool    `json:"byte_fallback"`
	IgnoreMerges     *bool    `json:"ignore_merges"`
	MaxInputChars    *int64   `json:"max_input_chars_per_word"`
	vocabText, merge string
}

// parseModel reads the model of a tokenizer.json. unk is the unknown token's id, -1 without.
func parseModel(members map[string]string) (model hfModel, vocab *vocabulary, unk int32, err error) {
	if members == nil {
		return nil, nil, 0, invalid("tokenizer.json has no model")
	}
	var o modelOptions
	if err := o.read(members); err != nil {
		return nil, nil, 0, err
	}
	switch o.Type {
	case "BPE":
		return o.bpe()
	case "Unigram":
		return o.unigram()
	case "WordPiece":
		return o.wordPiece()
	case "WordLevel":
		return o.wordLevel()
	}
	return nil, nil, 0, unsupported("model %q in tokenizer.json (BPE, Unigram, WordPiece and WordLevel are read)", o.Type)
}

func (o *modelOptions) read(members map[string]string) error {
	o.vocabText, o.merge = members["vocab"], members["merges"]
	delete(members, "vocab")
	delete(members, "merges")
	for key, target := range map[string]any{"type": &o.Type, "dropout": &o.Dropout, "unk_token": &o.UnkToken,
		"unk_id": &o.UnkID, "continuing_subword_prefix": &o.Prefix, "end_of_word_suffix": &o.Suffix, "fuse_unk": &o.FuseUnk,
		"byte_fallback": &o.ByteFallback, "ignore_merges": &o.IgnoreMerges, "max_input_chars_per_word": &o.MaxInputChars} {
		if v, ok := members[key]; ok {
			if err := json.Unmarshal([]byte(v), target); err != nil {
				return invalid("model: %s: %v", key, err)
			}
		}
	}
	if o.Type == "" {
		o.Type = o.guess() // files before the field existed
	}
	if o.vocabText == "" {
		return invalid("model %s has no vocab", o.Type)
	}
	return nil
}

// guess names the kind of a model without a type, by its members, in the library's order.
func (o *modelOptions) guess() string {
	switch {
	case o.merge != "":
		return "BPE"
	case o.Prefix != nil && o.MaxInputChars != nil:
		return "WordPiece"
	case o.UnkToken != nil:
		return "WordLevel"
	}
	return "Unigram"
}

// vocabulary reads vocab as an object of ids.
func (o *modelOptions) vocabulary() (*vocabulary, error) {
	type entry struct {
		end int
		id  int64
	}
	var entries []entry
	arena := make([]byte, 0, len(o.vocabText)/2)
	s := &jsonScanner{text: o.vocabText}
	err := s.object(func(token string) error {
		id, err := s.integer()
		arena = append(arena, token...)
		entries = append(entries, entry{len(arena), id})
		return err
	})
	if err != nil {
		return nil, invalid("model: vocab: %v", err)
	}
	// The tokens lie in one string of their own, so that they do not keep the whole file in memory.
	texts := string(arena)
	v := newVocabulary(len(entries))
	start := 0
	for _, e := range entries {
		if err := v.add(texts[start:e.end], e.id, maxID(len(entries))); err != nil {
			return nil, err
		}
		start = e.end
	}
	if v.count != len(entries) {
		return nil, invalid("model: vocab lists %d tokens, only %d different ones", len(entries), v.count)
	}
	return v, nil
}

func (o *modelOptions) bpe() (hfModel, *vocabulary, int32, error) {
	if o.Dropout != nil && *o.Dropout != 0 {
		return nil, nil, 0, unsupported("model BPE with dropout %v: its ids are random", *o.Dropout)
	}
	if o.merge == "" {
		return nil, nil, 0, invalid("model BPE has no merges")
	}
	v, err := o.vocabulary()
	if err != nil {
		return nil, nil, 0, err
	}
	m := &bpe{vocab: v, unk: -1, prefix: value(o.Prefix), suffix: value(o.Suffix), fuseUnk: value(o.FuseUnk), whole: value(o.IgnoreMerges)}
	if o.UnkToken != nil {
		id, ok := v.id(*o.UnkToken)
		if ok {
			m.unk = id
		} else {
			m.badUnk = *o.UnkToken
		}
	}
	if value(o.ByteFallback) {
		m.fallback = fallbackTokens(v)
	}
	if m.merges, err = parseMerges(o.merge, v, m.prefix); err != nil {
		return nil, nil, 0, err
	}
	return m, v, m.unk, nil
}

// value is what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// mergeReader reads the rules of a BPE model, spelled "a b" or ["a", "b"].
type mergeReader struct {
	scanner jsonScanner
	vocab   *vocabulary
	prefix  string // of tokens that continue a word; the joined token has it once
	table   *mergeTable
	rank    int32
	joined  []byte
}

// bytesPerRule is a little more than rules take in published files: the table need not grow then.
const bytesPerRule = 24

func parseMerges(text string, v *vocabulary, prefix string) (*mergeTable, error) {
	r := &mergeReader{scanner: jsonScanner{text: text}, vocab: v, prefix: prefix, table: newMergeTable(len(text) / bytesPerRule)}
	err := r.scanner.array(r.rule)
	if err != nil {
		return nil, invalid("model: merges: %v", err)
	}
	return r.table, nil
}

func (r *mergeReader) rule() error {
	if r.scanner.next() == '[' {
		return r.pair()
	}
	line, err := r.scanner.string()
	if err != nil || strings.HasPrefix(line, "#version") {
		return err
	}
	left, right, ok := strings.Cut(line, " ")
	if !ok || strings.Contains(right, " ") {
		return fmt.Errorf("merge %d, %q, is not two tokens", r.rank, line)
	}
	return r.add(left, right)
}

func (r *mergeReader) pair() error {
	var parts [2]string
	n := 0
	err := r.scanner.array(func() error {
		s, err := r.scanner.string()
		if n < 2 {
			parts[n] = s
		}
		n++
		return err
	})
	if err != nil {
		return err
	}
	if n != 2 {
		return fmt.Errorf("merge %d has %d parts, want 2", r.rank, n)
	}
	return r.add(parts[0], parts[1])
}

func (r *mergeReader) add(left, right string) error {
	a, ok := r.vocab.id(left)
	if !ok {
		return r.missing(left, right, left)
	}
	b, ok := r.vocab.id(right)
	if !ok {
		return r.missing(left, right, right)
	}
	if len(right) < len(r.prefix) {
		return fmt.Errorf("merge %d joins %q and %q, of which the second is shorter than continuing_subword_prefix %q", r.rank, left, right, r.prefix)
	}
	r.joined = append(append(r.joined[:0], left...), right[len(r.prefix):]...)
	id, ok := r.vocab.idOfBytes(r.joined)
	if !ok {
		return r.missing(left, right, string(r.joined))
	}
	r.table.put(a, b, merge{rank: r.rank, id: id})
	r.rank++
	return nil
}

func (r *mergeReader) missing(left, right, token string) error {
	return fmt.Errorf("merge %d joins %q and %q, but %q is not in the vocabulary", r.rank, left, right, token)
}
