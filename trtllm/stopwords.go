package trtllm

import (
	"strings"

	"github.com/trtgo/trtgo/tokenizer"
)

// sequenceText decodes one sequence and looks for stop words in its text.
type sequenceText struct {
	decoder   *tokenizer.Decoder // nil: no text
	stopWords stopWords
	minTokens int // stop words are held back until then
	tokens    int
	ended     bool
}

// add decodes more tokens; last says that no others follow. When a stop word is
// completed, text ends with it and n is the number of ids up to and including the
// one that completed it.
func (s *sequenceText) add(ids []int32, last bool) (text string, n int, stopped bool) {
	if s.decoder == nil {
		return "", len(ids), false
	}
	for i, id := range ids {
		// An id that the tokenizer does not know has no text: models have more
		// rows than their tokenizer has tokens.
		piece, _ := s.decoder.Add(id)
		s.tokens++
		if end := s.stopWords.find(piece); end >= 0 && s.tokens >= s.minTokens {
			return text + piece[:end], i + 1, true
		}
		text += piece
	}
	if last {
		piece := s.decoder.Flush()
		if end := s.stopWords.find(piece); end >= 0 && s.tokens >= s.minTokens {
			return text + piece[:end], len(ids), true
		}
		text += piece
	}
	return text, len(ids), false
}

// stopWords finds words in a text that comes in pieces, wherever the pieces end.
type stopWords struct {
	words   []string
	longest int
	tail    string // the end of the text so far, shorter than the longest word
}

func newStopWords(words []string) stopWords {
	s := stopWords{}
	for _, word := range words {
		if word != "" {
			s.words = append(s.words, word)
			s.longest = max(s.longest, len(word))
		}
	}
	return s
}

// find takes the next piece and returns where in it the word ends that ends
// first, or -1 when none does.
func (s *stopWords) find(piece string) int {
	if len(s.words) == 0 || piece == "" {
		return -1
	}
	text := s.tail + piece
	first := -1
	for _, word := range s.words {
		from := max(0, len(s.tail)-len(word)+1) // what ended in an earlier piece is over
		if i := strings.Index(text[from:], word); i >= 0 {
			if end := from + i + len(word) - len(s.tail); first < 0 || end < first {
				first = end
			}
		}
	}
	s.tail = text[max(0, len(text)-s.longest+1):]
	return first
}
