package tokenizer

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Character classes, as bits, of the pre-tokeniser patterns.
const (
	classLetter      uint16 = 1 << iota // \p{L}
	classNumber                         // \p{N}
	classSpace                          // \s, the White_Space property
	classUpper                          // Lu, Lt
	classLower                          // Ll
	classOther                          // Lm, Lo, M: what Tekken counts as both upper and lower
	classMark                           // \p{M}
	classPunctuation                    // \p{P}
	classSymbol                         // \p{S}
	classWord                           // \w of Rust's regular expressions
	classNumeric                        // what Rust calls numeric: \p{N} of a later Unicode
)

// categoryClasses are the classes of a general category, by its name.
var categoryClasses = map[string]uint16{
	"Lu": classLetter | classUpper, "Lt": classLetter | classUpper, "Ll": classLetter | classLower,
	"Lm": classLetter | classOther, "Lo": classLetter | classOther,
	"Mn": classOther | classMark, "Mc": classOther | classMark, "Me": classOther | classMark,
	"Nd": classNumber, "Nl": classNumber, "No": classNumber,
	"Pc": classPunctuation, "Pd": classPunctuation, "Ps": classPunctuation, "Pe": classPunctuation,
	"Pi": classPunctuation, "Pf": classPunctuation, "Po": classPunctuation,
	"Sm": classSymbol, "Sc": classSymbol, "Sk": classSymbol, "So": classSymbol,
}

// classTable maps a code point to its classes: one number for each code point makes a splitter's
// inner loop a load.
var classTable = sync.OnceValue(func() []uint16 {
	category, rust := categoryTable(), rustTable()
	var classes [32]uint16
	for i, name := range category.names {
		classes[i] = categoryClasses[name]
	}
	t := make([]uint16, unicode.MaxRune+1)
	for r, c := range category.values {
		t[r] = classes[c]
		if rust.values[r]&rustWord != 0 {
			t[r] |= classWord
		}
		if rust.values[r]&rustNumeric != 0 {
			t[r] |= classNumeric
		}
	}
	for _, r := range unicode.White_Space.R16 {
		for c := r.Lo; c <= r.Hi; c += r.Stride {
			t[c] |= classSpace
		}
	}
	return t
})

// nextRune returns the rune at s[i:], its classes and its width; width 0 at the end.
func nextRune(table []uint16, s string, i int) (r rune, class uint16, width int) {
	if i >= len(s) {
		return 0, 0, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		return rune(c), table[c], 1
	}
	r, width = utf8.DecodeRuneInString(s[i:])
	return r, table[r], width
}

// invalidLen returns how many bytes of s, which does not begin with a valid encoding, make up
// the maximal invalid part that one U+FFFD replaces (Unicode 3.9, "substitution of maximal
// subparts"; Rust's from_utf8_lossy does the same). open is true when s ended before the
// sequence did, so that more bytes could still complete it.
func invalidLen(s []byte) (n int, open bool) {
	lo, hi := byte(0x80), byte(0xBF)
	need := 0
	switch c := s[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
		if c == 0xE0 {
			lo = 0xA0
		} else if c == 0xED {
			hi = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 3
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F
		}
	default:
		return 1, false
	}
	for n = 1; n <= need; n++ {
		if n == len(s) {
			return n, true
		}
		if s[n] < lo || s[n] > hi {
			return n, false
		}
		lo, hi = 0x80, 0xBF
	}
	return n, false
}

// appendLossy appends to dst the valid text of src, each maximal invalid part replaced by
// U+FFFD. Unless final is set, an incomplete sequence at the end is left; rest is what is left.
func appendLossy(dst, src []byte, final bool) (out, rest []byte) {
	for len(src) > 0 {
		if r, w := utf8.DecodeRune(src); r != utf8.RuneError || w > 1 {
			dst = append(dst, src[:w]...)
			src = src[w:]
			continue
		}
		n, open := invalidLen(src)
		if open && !final {
			return dst, src
		}
		dst = append(dst, "\uFFFD"...)
		src = src[n:]
	}
	return dst, nil
}

// validText returns s with each maximal invalid part replaced by U+FFFD.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out, _ := appendLossy(make([]byte, 0, len(s)+8), []byte(s), true)
	return string(out)
}

// leadingSpace returns how many bytes at the start of s are white space.
func leadingSpace(s string) int {
	return len(s) - len(strings.TrimLeftFunc(s, isSpace))
}

// trailingSpace returns where the white space at the end of s begins.
func trailingSpace(s string) int {
	return len(strings.TrimRightFunc(s, isSpace))
}

func isSpace(r rune) bool { return classTable()[r]&classSpace != 0 }

func isPunctuation(r rune) bool { return rustTable().values[r]&rustPunctuation != 0 }

func isWord(r rune) bool { return classTable()[r]&classWord != 0 }
