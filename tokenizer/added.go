package tokenizer

import "unicode/utf8"

// addedToken is an entry of added_tokens: text that is cut out before pre-tokenising.
type addedToken struct {
	id         int32
	content    string
	pattern    string // what is searched: the content, normalised if normalized is set
	special    bool
	normalized bool
	singleWord bool // only where no word character touches it
	lstrip     bool // takes the white space before it
	rstrip     bool // and after it
}

// addedVocab finds added tokens in text: leftmost first, of those the longest.
type addedVocab struct {
	special []bool           // by id
	texts   map[string]bool  // of special tokens
	shown   map[int32]string // tokens that are decoded as they are searched: in normalised form
	raw     matcher          // normalized == false: searched in the raw text, first
	// firstMatters is set when a pre-tokenizer asks whether a piece begins where the text does.
	firstMatters bool
	norm         matcher // normalized == true: searched in what is left, after normalising
}

func newAddedVocab(tokens []*addedToken) *addedVocab {
	v := &addedVocab{shown: make(map[int32]string)}
	special := make(map[string]bool)
	v.texts = special
	for _, t := range tokens {
		if !t.normalized {
			t.pattern = t.content
		}
		special[t.content] = special[t.content] || t.special
	}
	for _, t := range tokens {
		switch {
		case t.pattern == "": // nothing is found of it
		case t.normalized:
			v.norm.add(t)
		default:
			v.raw.add(t)
		}
		if t.pattern != t.content {
			v.shown[t.id] = t.pattern
		}
		if special[t.pattern] { // the library looks up what it shows
			v.markSpecial(t.id)
		}
	}
	return v
}

func (v *addedVocab) markSpecial(id int32) {
	for int(id) >= len(v.special) {
		v.special = append(v.special, false)
	}
	v.special[id] = true
}

func (v *addedVocab) isSpecial(id int32) bool {
	return int(id) < len(v.special) && id >= 0 && v.special[id]
}

// segment is a stretch of text, or an added token when id >= 0.
type segment struct {
	text  string
	id    int32
	first bool // it begins where the text does
}

// split cuts text at added tokens, and normalises what is between those that are searched in the raw
// text. plainSpecial leaves special tokens in the text.
func (v *addedVocab) split(text string, n normalizers, plainSpecial bool) ([]segment, error) {
	segments := v.raw.split(nil, text, plainSpecial)
	if v.norm.empty() && len(n) == 0 {
		return segments, nil
	}
	var out []segment
	for _, s := range segments {
		if s.id >= 0 {
			out = append(out, s)
			continue
		}
		text, err := n.normalize(s.text)
		if err != nil {
			return nil, err
		}
		before := len(out)
		out = v.norm.split(out, text, plainSpecial)
		if len(out) > before {
			out[before].first = s.first && (!v.firstMatters || n.keepsStart(s.text, text))
		}
	}
	return out, nil
}

// matcher finds added tokens in text.
type matcher struct {
	trie   trie
	tokens []*addedToken
}

func (m *matcher) empty() bool { return len(m.tokens) == 0 }

func (m *matcher) add(t *addedToken) {
	m.trie.add(t.pattern, int32(len(m.tokens)))
	m.tokens = append(m.tokens, t)
}

// split appends the segments of s to dst.
func (m *matcher) split(dst []segment, s string, plainSpecial bool) []segment {
	if m.empty() {
		if s == "" {
			return dst
		}
		return append(dst, segment{text: s, id: -1, first: true})
	}
	done := 0 // text before it is in dst
	for i := 0; i < len(s); {
		n, value := m.trie.longest(s[i:])
		if n == 0 {
			i++
			continue
		}
		start, end := i, i+n
		i = end
		t := m.tokens[value]
		if plainSpecial && t.special {
			continue
		}
		if t.singleWord && (wordEndsAt(s, start) || wordBeginsAt(s, end)) {
			continue
		}
		if t.lstrip {
			start = max(trailingSpace(s[:start]), done)
		}
		if t.rstrip {
			end += leadingSpace(s[end:])
		}
		if start >= end {
			continue // white space that the token before it took
		}
		if done < start {
			dst = append(dst, segment{text: s[done:start], id: -1, first: done == 0})
		}
		dst = append(dst, segment{id: t.id})
		done = end
	}
	if done < len(s) {
		dst = append(dst, segment{text: s[done:], id: -1, first: done == 0})
	}
	return dst
}

func wordEndsAt(s string, i int) bool {
	r, w := utf8.DecodeLastRuneInString(s[:i])
	return w > 0 && isWord(r)
}

func wordBeginsAt(s string, i int) bool {
	r, w := utf8.DecodeRuneInString(s[i:])
	return w > 0 && isWord(r)
}
