package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// preTokenizer is one stage of cutting text into the pieces that a model encodes one by one.
type preTokenizer interface {
	// cut hands the pieces of text on. text is not empty. origin says how many bytes at its start stand
	// where the whole text begins, 0 if none was put in front of it; it is less than 0 for a piece from
	// further on.
	cut(e *encoding, next int, text string, origin int) error
}

// pipeline encodes text that holds no added token: normalised text is cut by one stage after the other, each
// on the pieces of the one before, and a model encodes what is left.
type pipeline struct {
	stages []preTokenizer
	model  hfModel
}

// encoding is the state of encoding one text.
type encoding struct {
	p     *pipeline
	table []uint16
	ids   []int32
	spans [][]span // of each stage, for use again
}

func (p *pipeline) encode(dst []int32, text string, first bool) ([]int32, error) {
	e := encoding{p: p, table: classTable(), ids: dst}
	origin := -1
	if first {
		origin = 0
	}
	err := e.feed(0, text, origin)
	return e.ids, err
}

// feed gives a piece to a stage, or behind the last one to the model.
func (e *encoding) feed(stage int, text string, origin int) (err error) {
	if text == "" {
		return nil
	}
	if stage < len(e.p.stages) {
		return e.p.stages[stage].cut(e, stage+1, text, origin)
	}
	e.ids, err = e.p.model.encode(e.ids, text)
	return err
}

// splitAll cuts by a splitter that is known to cover the text.
type splitAll struct{ split splitter }

func (s splitAll) cut(e *encoding, next int, text string, origin int) error {
	for i := 0; i < len(text); {
		end := s.split(e.table, text, i)
		if err := e.feed(next, text[i:end], origin-i); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// splitAt cuts at the matches of a pattern, or with invert at what lies between them.
type splitAt struct {
	pattern  pattern
	behavior behavior
	invert   bool
}

func (s splitAt) cut(e *encoding, next int, text string, origin int) error {
	for len(e.spans) < next {
		e.spans = append(e.spans, nil)
	}
	spans, err := appendSpans(e.spans[next-1][:0], s.pattern, text)
	if err != nil {
		return err
	}
	e.spans[next-1] = spans
	if s.invert {
		for i := range spans {
			spans[i].match = !spans[i].match
		}
	}
	return s.behavior.group(spans, func(start, end int) error {
		return e.feed(next, text[start:end], origin-start)
	})
}

// prefixSpace puts a space before a piece that does not begin with one (ByteLevel's add_prefix_space).
type prefixSpace struct{}

func (prefixSpace) cut(e *encoding, next int, text string, origin int) error {
	if text[0] != ' ' {
		text, origin = " "+text, inserted(origin, 1)
	}
	return e.feed(next, text, origin)
}

// inserted is an origin after n bytes were put in front.
func inserted(origin, n int) int {
	if origin < 0 {
		return origin
	}
	return origin + n
}

// spellBytes spells each byte as ByteLevel does, where the model does not do that by itself.
type spellBytes struct{}

func (spellBytes) cut(e *encoding, next int, text string, origin int) error {
	return e.feed(next, string(appendByteLevel(nil, text)), origin)
}

// metaspace turns spaces into a symbol, puts one in front, and cuts before each.
type metaspace struct {
	symbol string // one character
	scheme string // always, first, never: where one is put in front
	split  bool
}

func (m metaspace) cut(e *encoding, next int, text string, origin int) error {
	text = strings.ReplaceAll(text, " ", m.symbol)
	if (m.scheme == "always" || m.scheme == "first" && origin >= 0) && !strings.HasPrefix(text, m.symbol) {
		text, origin = m.symbol+text, inserted(origin, len(m.symbol))
	}
	if !m.split {
		return e.feed(next, text, origin)
	}
	// Symbols in a row are pieces of their own but for the last.
	for at := 0; at < len(text); {
		end := len(text)
		if n := strings.Index(text[at+1:], m.symbol); n >= 0 {
			end = at + 1 + n
		}
		if err := e.feed(next, text[at:end], origin-at); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// fixedLength cuts pieces of so many characters.
type fixedLength int

func (n fixedLength) cut(e *encoding, next int, text string, origin int) error {
	for at := 0; at < len(text); {
		end := at
		for i := 0; i < int(n) && end < len(text); i++ {
			_, w := utf8.DecodeRuneInString(text[end:])
			end += w
		}
		if err := e.feed(next, text[at:end], origin-at); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// unicodeScripts cuts where the script changes; spaces, and characters that the library's table lacks, go
// with any, and kana with Han.
type unicodeScripts struct{}

func (unicodeScripts) cut(e *encoding, next int, text string, origin int) error {
	scripts := libraryScript().values
	start, last := -1, -1 // the script before, -1 for none yet
	for i, r := range text {
		script := int(scripts[r])
		if script != 0 && script != last {
			if start >= 0 {
				if err := e.feed(next, text[start:i], origin-start); err != nil {
					return err
				}
			}
			start = i
		}
		if script != 0 {
			last = script
		}
	}
	if start < 0 {
		return nil // the library drops a piece without any script
	}
	return e.feed(next, text[start:], origin-start)
}
