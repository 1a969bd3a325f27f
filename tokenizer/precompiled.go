package tokenizer

import (
	"encoding/base64"
	"strings"
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
			cluster, text, _, state = uniseg.FirstGraphemeClusterInString(text, state)
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
