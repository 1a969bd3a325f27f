package tokenizer

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// precompiled applies a SentencePiece character map as the library does: not the longest entry at each
// place, but to each cluster of characters of up to five bytes the shortest entry that it begins with,
// which then stands for all of it; in other clusters to each character.
type precompiled struct {
	charsMap     doubleArray
	replacements string // NUL-terminated strings that charsMap points into
}

func parsePrecompiled(encoded string) (normalizer, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, invalid("normalizer Precompiled: precompiled_charsmap is not base64: %v", err)
	}
	var n spNormalizer
	if err := n.readCharsMap(string(data)); err != nil {
		return nil, err
	}
	if !n.givesUTF8() {
		return nil, invalid("normalizer Precompiled: the replacements of precompiled_charsmap are not UTF-8")
	}
	return &precompiled{n.charsMap, n.replacement}, nil
}

// longestMapped is the most bytes of a cluster that is mapped as a whole.
const longestMapped = 5

func (p *precompiled) normalize(text string) (string, error) {
	var out strings.Builder
	out.Grow(len(text))
	for state := -1; text != ""; {
		var cluster string
		if len(text) > 1 && text[0] < utf8.RuneSelf && text[1] < utf8.RuneSelf && text[0] != '\r' {
			cluster, text, state = text[:1], text[1:], -1
		} else {
			cluster, text, state = firstCluster(text, state)
		}
		if len(cluster) <= longestMapped {
			if s, ok := p.find(cluster); ok {
				out.WriteString(s)
				continue
			}
		}
		for _, r := range cluster {
			char := string(r)
			if s, ok := p.find(char); ok {
				char = s
			}
			out.WriteString(char)
		}
	}
	return out.String(), nil
}

// newMarks are the marks that uniseg does not know yet.
var newMarks = rangeTable([]unicode.Range32{
	{Lo: 0x897, Hi: 0x897}, {Lo: 0x1ACF, Hi: 0x1ADD}, {Lo: 0x1AE0, Hi: 0x1AEB}, {Lo: 0x10D69, Hi: 0x10D6D}, {Lo: 0x10EFC, Hi: 0x10EFC}, {Lo: 0x113B8, Hi: 0x113C0},
	{Lo: 0x113C2, Hi: 0x113C2}, {Lo: 0x113C5, Hi: 0x113C5}, {Lo: 0x113C7, Hi: 0x113CA}, {Lo: 0x113CC, Hi: 0x113D0}, {Lo: 0x113D2, Hi: 0x113D2},
	{Lo: 0x113E1, Hi: 0x113E2}, {Lo: 0x11F5A, Hi: 0x11F5A}, {Lo: 0x1611E, Hi: 0x1612F}, {Lo: 0x1E5EE, Hi: 0x1E5EF},
})

// firstCluster cuts the first cluster of characters from a text.
func firstCluster(text string, state int) (cluster, rest string, newState int) {
	cluster, rest, _, newState = uniseg.FirstGraphemeClusterInString(text, state)
	for rest != "" && cluster[0] >= ' ' {
		if r, _ := utf8.DecodeRuneInString(rest); !unicode.Is(newMarks, r) {
			break
		}
		more, _, _, _ := uniseg.FirstGraphemeClusterInString(rest, -1)
		cluster, rest, newState = text[:len(cluster)+len(more)], rest[len(more):], -1
	}
	return cluster, rest, newState
}

// find returns what the shortest entry that s begins with is replaced by.
func (p *precompiled) find(s string) (string, bool) {
	n, value := 0, uint32(0)
	for i := 1; i <= len(s) && n == 0; i++ {
		n, value = p.charsMap.longest(s[:i])
	}
	if n == 0 || int64(value) > int64(len(p.replacements)) {
		return "", false
	}
	text := p.replacements[value:]
	if end := strings.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	return text, true
}
