package rouge

import "strings"

// Tokenize splits text into tokens as rouge-score does: lower-cased runs of a–z and 0–9, stemmed if the scorer stems. All other
// characters separate, so accented letters split words ("café" gives "caf"). Invalid UTF-8 separates too.
//
// Lower-casing is that of all Unicode, which maps two characters beyond ASCII to ASCII letters: the Kelvin sign to "k" and the
// dotted capital I to "i" and a combining dot, which separates.
func (s *Scorer) Tokenize(text string) []string {
	var tokens []string
	var word strings.Builder
	flush := func() {
		if word.Len() == 0 {
			return
		}
		token := word.String()
		word.Reset()
		if s.options.Stemmer && len(token) > 3 {
			token = Stem(token)
		}
		tokens = append(tokens, token)
	}
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			word.WriteByte(byte(r))
		case r >= 'A' && r <= 'Z':
			word.WriteByte(byte(r - 'A' + 'a'))
		case r == '\u212a': // Kelvin sign
			word.WriteByte('k')
		case r == '\u0130': // dotted capital I
			word.WriteByte('i')
			flush()
		default:
			flush()
		}
	}
	flush()
	return tokens
}

// lines tokenizes each line of text, or each sentence where the caller splits it. Only "\n" ends a line, as in rouge-score.
func (s *Scorer) lines(words *vocabulary, text string) [][]int32 {
	split := s.options.Sentences
	if split == nil {
		split = func(text string) []string { return strings.Split(text, "\n") }
	}
	var lines [][]int32
	for _, line := range split(text) {
		if tokens := s.Tokenize(line); len(tokens) > 0 {
			lines = append(lines, words.number(tokens))
		}
	}
	return lines
}

// vocabulary numbers distinct words, since numbers compare faster than strings. The zero value is empty and ready.
type vocabulary struct {
	ids map[string]int32
}

func (v *vocabulary) number(words []string) []int32 {
	if v.ids == nil {
		v.ids = make(map[string]int32)
	}
	ids := make([]int32, len(words))
	for i, word := range words {
		id, known := v.ids[word]
		if !known {
			id = int32(len(v.ids))
			v.ids[word] = id
		}
		ids[i] = id
	}
	return ids
}
