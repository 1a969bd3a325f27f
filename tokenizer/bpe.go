package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// bpe is byte-pair encoding: a piece's symbols, one for each character, are joined by the lowest-ranked
// rule that applies to two neighbours, the leftmost of equals, until none applies.
type bpe struct {
	vocab  *vocabulary
	merges *mergeTable

	// byteLevel says that pieces come as the bytes of text, each of which the vocabulary spells as one
	// character; otherwise they come as the vocabulary spells them.
	byteLevel bool
	// single holds the token of each byte (byteLevel) or of each ASCII character, -1 where there is none.
	single [256]int32

	// prefix and suffix are part of the spelling of symbols behind the first and of the last
	// (continuing_subword_prefix, end_of_word_suffix).
	prefix, suffix string
	// fallback holds the tokens <0x00> to <0xFF> for characters without a token (byte_fallback), -1
	// where there is none; nil without.
	fallback *[256]int32
	// unk is the token of other such characters; without, -1, they are dropped. fuseUnk makes one of a run
	// of them.
	unk     int32
	fuseUnk bool
	// badUnk names an unk_token that the vocabulary lacks: text that needs it is refused.
	badUnk string
	// whole looks for the whole piece among the tokens first (ignore_merges).
	whole   bool
	longest int // bytes of the longest token

	// boundary is set when pieces can be cut before a space symbol without changing what they
	// merge to; a cut is allowed behind each character that is not in joined.
	boundary bool
	joined   map[rune]bool

	cache pieceCache
}

// prepare fills the tables that follow from the vocabulary and the rules.
func (m *bpe) prepare() {
	for i := range m.single {
		m.single[i] = -1
		r := rune(i)
		if m.byteLevel {
			r = byteRune[i]
		} else if i >= utf8.RuneSelf {
			continue
		}
		if id, ok := m.vocab.id(string(r)); ok {
			m.single[i] = id
		}
	}
	for _, token := range m.vocab.tokens {
		m.longest = max(m.longest, len(token))
	}
	m.boundary = !m.byteLevel && m.findBoundaries()
}

// findBoundaries notes behind which characters a rule joins a space symbol. It reports false when the
// spelling of the rules does not tell: with tokens that stand for something else than their text.
func (m *bpe) findBoundaries() bool {
	space, ok := m.vocab.id(spaceSymbol)
	if !ok || space == m.unk || m.prefix != "" || m.suffix != "" {
		return false
	}
	stands := make(map[int32]bool)
	if m.fallback != nil {
		for _, id := range m.fallback {
			stands[id] = true
		}
	}
	if m.unk >= 0 {
		stands[m.unk] = true
	}
	m.joined = make(map[rune]bool)
	for _, s := range m.merges.slots {
		if s.key == noPair {
			continue
		}
		left, right := int32(s.key>>32), int32(s.key)
		if stands[left] || stands[right] {
			return false
		}
		if strings.HasPrefix(m.vocab.tokens[right], spaceSymbol) {
			r, _ := utf8.DecodeLastRuneInString(m.vocab.tokens[left])
			m.joined[r] = true
		}
	}
	return true
}

// encode appends the ids of one piece of text to dst.
func (m *bpe) encode(dst []int32, piece string) ([]int32, error) {
	if len(piece) == 1 && m.single[piece[0]] >= 0 && m.prefix == "" && m.suffix == "" {
		return append(dst, m.single[piece[0]]), nil
	}
	if m.whole && !m.byteLevel {
		if id, ok := m.vocab.id(piece); ok {
			return append(dst, id), nil
		}
	}
	if !m.boundary {
		return m.encodeWord(dst, piece)
	}
	var err error
	for piece != "" && err == nil {
		n := m.wordLength(piece)
		dst, err = m.encodeWord(dst, piece[:n])
		piece = piece[n:]
	}
	return dst, err
}

// wordLength returns where the first word of a piece ends: before a space symbol that no rule joins to
// what stands before it.
func (m *bpe) wordLength(piece string) int {
	for i := 1; ; {
		n := strings.Index(piece[i:], spaceSymbol)
		if n < 0 {
			return len(piece)
		}
		i += n
		r, w := utf8.DecodeLastRuneInString(piece[:i])
		if string(r) != spaceSymbol && !m.joined[r] && m.leavesSymbol(piece[i-w:i]) {
			return i
		}
		i += len(spaceSymbol)
	}
}

// leavesSymbol reports whether a character is sure to stand between its neighbours: one without a token may be
// dropped.
func (m *bpe) leavesSymbol(char string) bool {
	if m.unk >= 0 {
		return true
	}
	_, ok := m.symbol(char)
	return ok
}

func (m *bpe) encodeWord(dst []int32, word string) ([]int32, error) {
	cacheable := len(word) <= maxCachedPiece
	if cacheable {
		if ids, ok := m.cache.get(word); ok {
			return append(dst, ids...), nil
		}
	}
	start := len(dst)
	if id, ok := m.wholeWord(word); ok {
		dst = append(dst, id)
	} else {
		var err error
		if m.byteLevel {
			dst, err = m.byteSymbols(dst, word)
		} else {
			dst, err = m.symbols(dst, word)
		}
		if err != nil {
			return nil, err
		}
		dst = dst[:start+m.merge(dst[start:])]
	}
	if cacheable {
		m.cache.put(word, dst[start:])
	}
	return dst, nil
}

// wholeWord finds a byte-level piece that is a token as a whole, under ignore_merges.
func (m *bpe) wholeWord(word string) (int32, bool) {
	if !m.whole || !m.byteLevel || len(word) > m.longest {
		return 0, false
	}
	var spelling [256]byte
	return m.vocab.idOfBytes(appendByteLevel(spelling[:0], word))
}

// byteSymbols appends the ids of a piece's bytes.
func (m *bpe) byteSymbols(dst []int32, piece string) ([]int32, error) {
	unknown := false
	for i := range len(piece) {
		id := m.single[piece[i]]
		if id >= 0 {
			dst = append(dst, id)
			unknown = false
			continue
		}
		if m.badUnk != "" {
			return nil, m.noUnknown()
		}
		if m.unk >= 0 && !(unknown && m.fuseUnk) {
			dst = append(dst, m.unk)
			unknown = true
		}
	}
	return dst, nil
}

// symbols appends the ids of a piece's characters. An unknown token is held back until a character with a
// token comes, or the end, so that tokens of bytes go before it: the library does so.
func (m *bpe) symbols(dst []int32, piece string) ([]int32, error) {
	unknown := false
	for i := 0; i < len(piece); {
		w := 1
		if piece[i] >= utf8.RuneSelf {
			_, w = utf8.DecodeRuneInString(piece[i:])
		}
		symbol := piece[i : i+w]
		if m.prefix != "" && i > 0 {
			symbol = m.prefix + symbol
		}
		if i += w; m.suffix != "" && i == len(piece) {
			symbol += m.suffix
		}
		id, ok := m.symbol(symbol)
		if ok {
			if unknown {
				dst = append(dst, m.unk)
				unknown = false
			}
			dst = append(dst, id)
			continue
		}
		if m.fallback != nil {
			if dst, ok = appendFallback(dst, m.fallback, symbol); ok {
				continue
			}
		}
		if m.badUnk != "" {
			return nil, m.noUnknown()
		}
		if m.unk >= 0 {
			if unknown && !m.fuseUnk {
				dst = append(dst, m.unk)
			}
			unknown = true
		}
	}
	if unknown {
		dst = append(dst, m.unk)
	}
	return dst, nil
}

func (m *bpe) symbol(s string) (int32, bool) {
	if len(s) == 1 && s[0] < utf8.RuneSelf {
		id := m.single[s[0]]
		return id, id >= 0
	}
	return m.vocab.id(s)
}

func (m *bpe) noUnknown() error {
	return invalid("the text needs unk_token %q, which is not in the vocabulary", m.badUnk)
}

// fallbackTokens looks up the tokens <0x00> to <0xFF>.
func fallbackTokens(v *vocabulary) *[256]int32 {
	const hex = "0123456789ABCDEF"
	var ids [256]int32
	for b := range ids {
		ids[b] = -1
		if id, ok := v.id("<0x" + string(hex[b>>4]) + string(hex[b&15]) + ">"); ok {
			ids[b] = id
		}
	}
	return &ids
}

// appendFallback appends the tokens of the bytes of s, if all of them have one.
func appendFallback(dst []int32, tokens *[256]int32, s string) ([]int32, bool) {
	for i := range len(s) {
		if tokens[s[i]] < 0 {
			return dst, false
		}
	}
	for i := range len(s) {
		dst = append(dst, tokens[s[i]])
	}
	return dst, true
}
