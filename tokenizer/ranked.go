package tokenizer

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// rankedVocabulary is a byte-level BPE vocabulary as tiktoken has it: tokens are byte strings, and two
// neighbours are joined if what they make is a token, the one of the lowest rank first.
type rankedVocabulary struct {
	tokens  []string // in order of rank
	ids     []int32  // by place in tokens
	pattern string   // what cuts text before merging; what it does not match is dropped
	nfc     bool     // text is normalised first
}

// Len, Less and Swap order the tokens by rank.
func (r *rankedVocabulary) Len() int           { return len(r.tokens) }
func (r *rankedVocabulary) Less(i, j int) bool { return r.ids[i] < r.ids[j] }
func (r *rankedVocabulary) Swap(i, j int) {
	r.tokens[i], r.tokens[j] = r.tokens[j], r.tokens[i]
	r.ids[i], r.ids[j] = r.ids[j], r.ids[i]
}

// load makes the tokenizer, whose vocabulary spells tokens as a tokenizer.json does, without special
// tokens. It is the pipeline of such a file but for the rules of merging: a file ranks pairs, and
// here all pairs that make one token have its rank.
func (r *rankedVocabulary) load() (*Tokenizer, error) {
	if err := r.checkBytes(); err != nil {
		return nil, err
	}
	stages, err := r.stages()
	if err != nil {
		return nil, err
	}
	vocab, err := r.vocabulary()
	if err != nil {
		return nil, err
	}
	m := &bpe{vocab: vocab, merges: r.merges(), byteLevel: true, whole: true, unk: -1}
	m.prepare()
	t := &Tokenizer{vocab: vocab, encoder: &pipeline{stages: stages, model: m}, bos: -1, pad: -1, unk: -1, lossy: true, fromModel: true}
	if r.nfc {
		t.normalizers, err = parseNormalizers(`{"type":"NFC"}`)
	}
	return t, err
}

// vocabulary spells the tokens; no two of them may be the same.
func (r *rankedVocabulary) vocabulary() (*vocabulary, error) {
	ends, arena := make([]int, len(r.tokens)), []byte(nil)
	for i, token := range r.tokens {
		arena = appendByteLevel(arena, token)
		ends[i] = len(arena)
	}
	spelled, start := string(arena), 0
	v := newVocabulary(len(r.tokens))
	for i, end := range ends {
		before := v.count
		if err := v.add(spelled[start:end], int64(r.ids[i]), maxID(len(r.tokens))); err != nil {
			return nil, err
		}
		if v.count == before {
			return nil, invalid("two tokens are both %q, the later with rank %d", r.tokens[i], r.ids[i])
		}
		start = end
	}
	return v, nil
}

// stages returns the pre-tokeniser.
func (r *rankedVocabulary) stages() ([]preTokenizer, error) {
	if known, ok := tiktokenPatterns[r.pattern]; ok {
		return []preTokenizer{splitAll{known}}, nil
	}
	pattern, err := fromRust(r.pattern)
	if err != nil {
		return nil, err
	}
	split, err := json.Marshal(object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Removed", "invert": true})
	if err != nil {
		return nil, err
	}
	stages, _, err := parsePreTokenizers(string(split))
	return stages, err
}

// fromRust turns a pattern of tiktoken's engine into one of Oniguruma's, where ^ and $ stand at every line. A
// possessive count, {1,3}+, is a count of counts there, and refused.
func fromRust(pattern string) (string, error) {
	var out strings.Builder
	inClass := 0
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			out.WriteByte(c)
			i++
			out.WriteByte(pattern[i])
			continue
		case c == '[':
			inClass++
		case c == ']' && inClass > 0:
			inClass--
		case inClass > 0:
		case c == '^':
			out.WriteString(`\A`)
			continue
		case c == '$':
			out.WriteString(`\z`)
			continue
		case c == '+' && i > 0 && pattern[i-1] == '}' && (i < 2 || pattern[i-2] != '\\'):
			if open := strings.LastIndexByte(pattern[:i], '{'); open < 2 || pattern[open-1] != 'p' && pattern[open-1] != 'P' || pattern[open-2] != '\\' {
				return "", unsupported("pattern %q: a possessive count, %q", pattern, pattern[max(open, 0):i+1])
			}
		}
		out.WriteByte(pattern[i])
	}
	return out.String(), nil
}

// checkBytes checks that every byte is a token: else there would be text that cannot be encoded.
func (r *rankedVocabulary) checkBytes() error {
	var there [256]bool
	for _, token := range r.tokens {
		if len(token) == 1 {
			there[token[0]] = true
		}
	}
	for b, ok := range there {
		if !ok {
			return invalid("no token stands for the byte 0x%02X", b)
		}
	}
	return nil
}

// merges lists each pair of tokens that makes a token.
func (r *rankedVocabulary) merges() *mergeTable {
	trie := newPieceTrie(r.tokens, r.ids)
	table := newMergeTable(2 * len(r.tokens))
	for i, token := range r.tokens {
		node := uint32(0)
		for cut := 1; cut < len(token); cut++ {
			node, _ = trie.step(node, token[cut-1])
			left, ok := trie.value(node)
			if !ok {
				continue
			}
			if end, ok := trie.walk(0, token[cut:]); ok {
				if right, ok := trie.value(end); ok {
					table.put(left, right, merge{rank: int32(i), id: r.ids[i]})
				}
			}
		}
	}
	return table
}

// rankedDecoding decodes ids to the bytes that they stand for, by id.
type rankedDecoding struct {
	text []string
	// apart are special tokens that end a run of others, whose bytes are text by themselves.
	apart map[int32]bool
}

// decoding returns it, with the special tokens that v has beyond those in r.
func (r *rankedVocabulary) decoding(v *vocabulary, apart map[int32]bool) *rankedDecoding {
	d := &rankedDecoding{text: make([]string, len(v.tokens)), apart: apart}
	copy(d.text, v.tokens)
	for i, id := range r.ids {
		d.text[id] = r.tokens[i]
	}
	return d
}

func (d *rankedDecoding) newState() decodeState { return &rankedState{d: d} }

// appendWhole implements [wholeDecoding]: the bytes of all tokens, looked at once.
func (d *rankedDecoding) appendWhole(dst []byte, t *Tokenizer, ids []int32, skip bool) (text []byte, done int) {
	if d.apart != nil {
		return dst, 0
	}
	for i, id := range ids {
		if _, ok := t.vocab.token(id); !ok {
			return dst, i
		}
		if !skip || !t.added.isSpecial(id) {
			dst = append(dst, d.text[id]...)
		}
	}
	if utf8.Valid(dst) {
		return dst, len(ids)
	}
	text, _ = appendLossy(make([]byte, 0, len(dst)+8), dst, true)
	return text, len(ids)
}

// rankedState is one decoding; pending is the start of an unfinished character.
type rankedState struct {
	d       *rankedDecoding
	pending []byte
}

func (s *rankedState) add(dst []byte, id int32, keepSpecial bool) []byte {
	if !s.d.apart[id] {
		s.pending = append(s.pending, s.d.text[id]...)
		return s.drain(dst, false)
	}
	dst = s.drain(dst, true)
	if keepSpecial {
		dst = append(dst, s.d.text[id]...)
	}
	return dst
}

func (s *rankedState) flush(dst []byte) []byte { return s.drain(dst, true) }

func (s *rankedState) drain(dst []byte, final bool) []byte {
	dst, rest := appendLossy(dst, s.pending, final)
	s.pending = append(s.pending[:0], rest...)
	return dst
}
