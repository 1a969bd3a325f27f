package tokenizer

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// spNormalizer rewrites text before BPE: character map, white space, dummy prefix.
type spNormalizer struct {
	model       *spModel
	userDefined trie // copied as they are
	charsMap    doubleArray
	replacement string // NUL-terminated strings that charsMap points into
}

func newSPNormalizer(m *spModel) (spNormalizer, error) {
	n := spNormalizer{model: m}
	for i, p := range m.pieces {
		if p.kind == pieceUserDefined {
			n.userDefined.add(p.text, int32(i))
		}
	}
	if len(m.charsMap) == 0 {
		return n, nil
	}
	if len(m.charsMap) < 4 {
		return n, invalid("precompiled_charsmap has %d bytes", len(m.charsMap))
	}
	size := binary.LittleEndian.Uint32(m.charsMap)
	rest := m.charsMap[4:]
	if uint64(size) > uint64(len(rest)) || size%4 != 0 || size == 0 {
		return n, invalid("precompiled_charsmap claims a trie of %d bytes, %d are left", size, len(rest))
	}
	n.charsMap = make(doubleArray, size/4)
	for i := range n.charsMap {
		n.charsMap[i] = binary.LittleEndian.Uint32(rest[4*i:])
	}
	n.replacement = string(rest[size:])
	return n, nil
}

// normalize follows sentencepiece's Normalizer::Normalize.
func (n *spNormalizer) normalize(text string, prefix bool) string {
	m := n.model
	if m.collapseSpace {
		for text != "" {
			chunk, size := n.chunk(text)
			if chunk != " " {
				break
			}
			text = text[size:]
		}
	}
	if text == "" {
		return ""
	}
	space := " "
	if m.escapeSpace {
		space = spaceSymbol
	}
	var out strings.Builder
	out.Grow(len(text) + len(text)/4 + len(space))
	prefix = prefix && m.dummyPrefix
	if prefix && !m.whitespaceAsSuffix {
		out.WriteString(space)
	}
	afterSpace := m.collapseSpace
	for text != "" {
		chunk, size := n.chunk(text)
		text = text[size:]
		if afterSpace {
			chunk = strings.TrimLeft(chunk, " ")
		}
		if chunk == "" {
			continue
		}
		afterSpace = m.collapseSpace && strings.HasSuffix(chunk, " ")
		for {
			i := strings.IndexByte(chunk, ' ')
			if i < 0 {
				break
			}
			out.WriteString(chunk[:i])
			out.WriteString(space)
			chunk = chunk[i+1:]
		}
		out.WriteString(chunk)
	}
	s := out.String()
	if m.collapseSpace {
		for strings.HasSuffix(s, space) {
			s = s[:len(s)-len(space)]
		}
	}
	if prefix && m.whitespaceAsSuffix {
		s += space
	}
	return s
}

// chunk returns the normalised form of the text's first unit and how many bytes that unit has: a
// user-defined piece, the longest entry of the character map, or one character. A byte that is not
// UTF-8 becomes U+FFFD by itself.
func (n *spNormalizer) chunk(text string) (string, int) {
	if size, _ := n.userDefined.longest(text); size > 0 {
		return text[:size], size
	}
	if size, value := n.charsMap.longest(text); size > 0 && int(value) < len(n.replacement) {
		s := n.replacement[value:]
		if end := strings.IndexByte(s, 0); end >= 0 {
			s = s[:end]
		}
		return s, size
	}
	if r, size := utf8.DecodeRuneInString(text); r != utf8.RuneError || size > 1 {
		return text[:size], size
	}
	return "\uFFFD", 1
}

// doubleArray is the trie of darts-clone (units of include/darts.h): bit 31 and the low byte are the
// label, bit 8 says that a string ends, bit 9 scales the offset.
type doubleArray []uint32

// longest returns the length of the longest entry that s begins with, and its value.
func (d doubleArray) longest(s string) (size int, value uint32) {
	if len(d) == 0 {
		return 0, 0
	}
	at := darts(d[0]).offset()
	for i := range len(s) {
		at ^= uint32(s[i])
		if int64(at) >= int64(len(d)) {
			break
		}
		unit := darts(d[at])
		if unit.label() != uint32(s[i]) {
			break
		}
		at ^= unit.offset()
		if int64(at) >= int64(len(d)) {
			break
		}
		if unit.hasLeaf() {
			size, value = i+1, d[at]&(1<<31-1)
		}
	}
	return size, value
}

type darts uint32

func (u darts) offset() uint32 { return uint32(u>>10) << ((u & (1 << 9)) >> 6) }
func (u darts) label() uint32  { return uint32(u & (1<<31 | 0xFF)) }
func (u darts) hasLeaf() bool  { return u>>8&1 == 1 }
