package tokenizer

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// spNormalizer rewrites text: character map, white space, dummy prefix. A model has one before
// encoding, and may have one after decoding.
type spNormalizer struct {
	spec        spNormalizerSpec
	space       string // what a space becomes
	suffix      bool   // the dummy prefix stands behind the text
	userDefined *pieceTrie
	charsMap    doubleArray
	replacement string // NUL-terminated strings that charsMap points into

	// plain tells of ASCII characters which stand for themselves unless follows has the byte behind them.
	plain   [utf8.RuneSelf]bool
	follows [utf8.RuneSelf][4]uint64
}

// newSPNormalizer reads the character map. userDefined are strings that are copied as they are; nil for none.
func newSPNormalizer(spec spNormalizerSpec, suffix bool, userDefined *pieceTrie) (spNormalizer, error) {
	n := spNormalizer{spec: spec, space: " ", suffix: suffix, userDefined: userDefined}
	if spec.escapeSpace {
		n.space = spaceSymbol
	}
	if spec.charsMap != "" {
		if err := n.readCharsMap(spec.charsMap); err != nil {
			return n, err
		}
	}
	for c := range n.plain {
		_, user := n.userDefinedStep(byte(c))
		n.plain[c] = !user && n.charsMap.startsWith(byte(c), &n.follows[c])
	}
	return n, nil
}

func (n *spNormalizer) userDefinedStep(c byte) (uint32, bool) {
	if n.userDefined == nil {
		return 0, false
	}
	return n.userDefined.step(0, c)
}

// readCharsMap reads a precompiled_charsmap: the size of the trie in bytes, the trie, the strings.
func (n *spNormalizer) readCharsMap(data string) error {
	if len(data) <= 4 {
		return invalid("precompiled_charsmap has %d bytes", len(data))
	}
	size := binary.LittleEndian.Uint32([]byte(data[:4]))
	rest := data[4:]
	if uint64(size) >= uint64(len(rest)) || size%1024 != 0 || size == 0 {
		return invalid("precompiled_charsmap claims a trie of %d bytes (a multiple of 1024), %d are left", size, len(rest))
	}
	n.charsMap = make(doubleArray, size/4)
	for i := range n.charsMap {
		u := rest[4*i : 4*i+4]
		n.charsMap[i] = uint32(u[0]) | uint32(u[1])<<8 | uint32(u[2])<<16 | uint32(u[3])<<24
	}
	n.replacement = rest[size:]
	if !strings.HasSuffix(n.replacement, "\x00") {
		return invalid("precompiled_charsmap does not end with NUL")
	}
	if unit, ok := n.charsMap.valid(len(n.replacement)); !ok {
		return invalid("precompiled_charsmap has a trie whose unit %d of %d points outside", unit, len(n.charsMap))
	}
	return nil
}

// givesUTF8 reports whether all that text may be replaced by is UTF-8.
func (n *spNormalizer) givesUTF8() bool {
	if !utf8.ValidString(n.replacement) {
		return false
	}
	for i := range n.charsMap {
		if u := darts(n.charsMap[i]); u.isLeaf() && !utf8.RuneStart(n.replacement[u.value()]) {
			return false
		}
	}
	return true
}

// isPlain reports whether the byte at text[i] is a character that stands for itself.
func (n *spNormalizer) isPlain(text string, i int) bool {
	c := text[i]
	if c >= utf8.RuneSelf || !n.plain[c] {
		return false
	}
	if i+1 == len(text) {
		return true
	}
	next := text[i+1]
	return n.follows[c][next>>6]>>(next&63)&1 == 0
}

// normalize follows sentencepiece's Normalizer::Normalize. prefix says whether a dummy prefix may be put.
func (n *spNormalizer) normalize(text string, prefix bool) string {
	if n.spec.collapseSpace {
		text = n.trimLeft(text)
	}
	if text == "" {
		return ""
	}
	var out strings.Builder
	out.Grow(len(text) + len(text)/4 + len(n.space))
	prefix = prefix && n.spec.dummyPrefix
	if prefix && !n.suffix {
		out.WriteString(n.space)
	}
	afterSpace := n.spec.collapseSpace
	for text != "" {
		run := 0
		for run < len(text) && text[run] != ' ' && n.isPlain(text, run) {
			run++
		}
		if run > 0 {
			out.WriteString(text[:run])
			text = text[run:]
			afterSpace = false
			continue
		}
		if text[0] == ' ' && n.isPlain(text, 0) {
			if !afterSpace {
				out.WriteString(n.space)
			}
			afterSpace = n.spec.collapseSpace
			text = text[1:]
			continue
		}
		chunk, size := n.chunk(text)
		text = text[size:]
		if afterSpace {
			chunk = strings.TrimLeft(chunk, " ")
		}
		if chunk == "" {
			continue
		}
		afterSpace = n.spec.collapseSpace && strings.HasSuffix(chunk, " ")
		n.writeSpaced(&out, chunk)
	}
	s := out.String()
	if n.spec.collapseSpace {
		s = s[:len(s)-n.trailingSpace(s)]
	}
	if prefix && n.suffix {
		s += n.space
	}
	return s
}

// trimLeft leaves out what normalises to a single space at the beginning.
func (n *spNormalizer) trimLeft(text string) string {
	for text != "" {
		chunk, size := n.chunk(text)
		if chunk != " " {
			break
		}
		text = text[size:]
	}
	return text
}

// trailingSpace returns how many bytes of spaces, as they are written, s ends with.
func (n *spNormalizer) trailingSpace(s string) int {
	end := len(s)
	for strings.HasSuffix(s[:end], n.space) {
		end -= len(n.space)
	}
	return len(s) - end
}

func (n *spNormalizer) writeSpaced(out *strings.Builder, chunk string) {
	for {
		i := strings.IndexByte(chunk, ' ')
		if i < 0 {
			out.WriteString(chunk)
			return
		}
		out.WriteString(chunk[:i])
		out.WriteString(n.space)
		chunk = chunk[i+1:]
	}
}

// chunk returns the normalised form of the text's first unit and how many bytes that unit has: a
// user-defined piece, the longest entry of the character map, or one character. A byte that is not
// UTF-8 becomes U+FFFD by itself.
func (n *spNormalizer) chunk(text string) (string, int) {
	if _, ok := n.userDefinedStep(text[0]); ok {
		if size := n.userDefined.longestOf(text, userDefinedDepth); size > 0 {
			return text[:size], size
		}
	}
	if size, value := n.charsMap.longest(text); size > 0 && int(value) < len(n.replacement) {
		s := n.replacement[value:]
		return s[:strings.IndexByte(s, 0)], size
	}
	if r, size := utf8.DecodeRuneInString(text); r != utf8.RuneError || size > 1 {
		return text[:size], size
	}
	return "\uFFFD", 1
}

// spDenormalizing is one text that a normaliser gets in parts.
type spDenormalizing struct {
	n          *spNormalizer
	pending    string // what may be the beginning of an entry of the character map
	begun      bool   // something but leading spaces has come
	afterSpace bool
	spaces     int // written spaces that are kept back, because they are dropped at the end
}

// add appends to dst what becomes certain with text; at the end, final, all that is left.
func (d *spDenormalizing) add(dst []byte, text string, final bool) []byte {
	text = d.pending + text
	for text != "" && (final || !d.n.charsMap.goesOn(text)) {
		chunk, size := d.n.chunk(text)
		text = text[size:]
		if !d.begun {
			if d.n.spec.collapseSpace && chunk == " " {
				continue
			}
			d.begun, d.afterSpace = true, d.n.spec.collapseSpace
			if d.n.spec.dummyPrefix {
				dst = d.write(dst, " ")
			}
		}
		if d.afterSpace {
			chunk = strings.TrimLeft(chunk, " ")
		}
		if chunk != "" {
			d.afterSpace = d.n.spec.collapseSpace && strings.HasSuffix(chunk, " ")
			dst = d.write(dst, chunk)
		}
	}
	d.pending = text
	return dst
}

func (d *spDenormalizing) write(dst []byte, chunk string) []byte {
	chunk = strings.ReplaceAll(chunk, " ", d.n.space)
	if !d.n.spec.collapseSpace {
		return append(dst, chunk...)
	}
	body := len(chunk) - d.n.trailingSpace(chunk)
	if body > 0 {
		for ; d.spaces > 0; d.spaces-- {
			dst = append(dst, d.n.space...)
		}
		dst = append(dst, chunk[:body]...)
	}
	d.spaces += (len(chunk) - body) / len(d.n.space)
	return dst
}

// charsMapDepth is how many entries that begin one another are looked at.
const charsMapDepth = 32

// doubleArray is the trie of darts-clone (units of include/darts.h): bit 31 and the low byte are the
// label, bit 8 says that a string ends, bit 9 scales the offset.
type doubleArray []uint32

// longest returns the length of the longest entry that s begins with, of the first few, and its value.
func (d doubleArray) longest(s string) (size int, value uint32) {
	if len(d) == 0 {
		return 0, 0
	}
	at, found := darts(d[0]).offset(), 0
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
			size, value = i+1, darts(d[at]).value()
			if found++; found == charsMapDepth {
				break
			}
		}
	}
	return size, value
}

// goesOn reports whether s as a whole is a walk in the trie, so that more text may make a longer entry.
func (d doubleArray) goesOn(s string) bool {
	if len(d) == 0 {
		return false
	}
	at := darts(d[0]).offset()
	for i := range len(s) {
		at ^= uint32(s[i])
		if int64(at) >= int64(len(d)) || darts(d[at]).label() != uint32(s[i]) {
			return false
		}
		at ^= darts(d[at]).offset()
	}
	return int64(at) < int64(len(d))
}

// startsWith puts the bytes that follow c in entries into follows, and reports whether c itself is none.
func (d doubleArray) startsWith(c byte, follows *[4]uint64) bool {
	if !d.goesOn(string([]byte{c})) {
		return true
	}
	for next := range 256 {
		if d.goesOn(string([]byte{c, byte(next)})) {
			follows[next>>6] |= 1 << (next & 63)
		}
	}
	size, _ := d.longest(string([]byte{c}))
	return size == 0
}

// valid repeats the check of the library's loader: every walk stays inside, and every value below limit.
func (d doubleArray) valid(limit int) (unit int, ok bool) {
	root := darts(d[0])
	if root.label() != 0 || root.hasLeaf() || root.offset() == 0 || int64(root.offset()|0xFF) >= int64(len(d)) {
		return 0, false
	}
	for i := 1; i < len(d); i++ {
		u := darts(d[i])
		if u.isLeaf() {
			if int64(u.value()) >= int64(limit) {
				return i, false
			}
			continue
		}
		to := uint32(i) ^ u.offset()
		if int64(to|0xFF) >= int64(len(d)) || u.hasLeaf() && !darts(d[to]).isLeaf() {
			return i, false
		}
	}
	return 0, true
}

type darts uint32

func (u darts) offset() uint32 { return uint32(u>>10) << ((u & (1 << 9)) >> 6) }
func (u darts) label() uint32  { return uint32(u & (1<<31 | 0xFF)) }
func (u darts) hasLeaf() bool  { return u>>8&1 == 1 }
func (u darts) isLeaf() bool   { return u>>31 == 1 }
func (u darts) value() uint32  { return uint32(u & (1<<31 - 1)) }
