package trtllm

import (
	"strings"

	"github.com/trtgo/trtgo/tokenizer"
)

// sequenceText decodes one sequence and looks for stop words in its text.
type sequenceText struct {
	decoder   *tokenizer.Decoder // nil: no text
	stopWords stopWords
	minTokens int // stop words are no ends until then
	tokens    int
}

// add decodes more tokens; last says that no others follow. text is what has become
// certain. When a stop word is completed, text ends with it, or before it when words
// are trimmed, and n is the number of ids up to and including the one that completed it.
func (s *sequenceText) add(ids []int32, last bool) (text string, n int, stopped bool) {
	if s.decoder == nil {
		return "", len(ids), false
	}
	for i, id := range ids {
		// An id that the tokenizer does not know has no text: models have more
		// rows than their tokenizer has tokens.
		piece, _ := s.decoder.Add(id)
		s.tokens++
		certain, stopped := s.stopWords.next(piece, s.tokens >= s.minTokens)
		text += certain
		if stopped {
			return text, i + 1, true
		}
	}
	if last {
		certain, stopped := s.stopWords.next(s.decoder.Flush(), s.tokens >= s.minTokens)
		text += certain
		if stopped {
			return text, len(ids), true
		}
		text += s.stopWords.release()
	}
	return text, len(ids), false
}

// stopWords finds words in a text that comes in pieces, wherever the pieces end.
type stopWords struct {
	words []string
	trim  bool
	held  string // the end of the text so far that may be the beginning of a word
}

func newStopWords(words []string, trim bool) stopWords {
	s := stopWords{trim: trim}
	for _, word := range words {
		if word != "" {
			s.words = append(s.words, word)
		}
	}
	return s
}

// next takes the next piece and returns the text that has become certain: all but what
// may be the beginning of a word. When a word ends in the piece, and may do so, it is
// the text up to the end of the word that ends first, or to its beginning.
func (s *stopWords) next(piece string, mayEnd bool) (text string, found bool) {
	if len(s.words) == 0 {
		return piece, false
	}
	text = s.held + piece
	if mayEnd {
		if start, end := s.find(text, len(s.held)); end >= 0 {
			s.held = ""
			if s.trim {
				end = start
			}
			return text[:end], true
		}
	}
	certain := len(text) - s.beginning(text)
	s.held = text[certain:]
	return text[:certain], false
}

// find returns where in text the word is that ends first after n; the longest one,
// when several end there. end is -1 when there is none.
func (s *stopWords) find(text string, n int) (start, end int) {
	start, end = -1, -1
	for _, word := range s.words {
		from := max(0, n-len(word)+1) // what ended up to n is over
		if i := strings.Index(text[from:], word); i >= 0 {
			i += from
			if e := i + len(word); end < 0 || e < end || e == end && i < start {
				start, end = i, e
			}
		}
	}
	return start, end
}

// beginning is the length of the longest end of text that a word begins with.
func (s *stopWords) beginning(text string) int {
	longest := 0
	for _, word := range s.words {
		for n := min(len(word)-1, len(text)); n > longest; n-- {
			if strings.HasSuffix(text, word[:n]) {
				longest = n
				break
			}
		}
	}
	return longest
}

// release gives up what is held: no more text comes.
func (s *stopWords) release() string {
	held := s.held
	s.held = ""
	return held
}
