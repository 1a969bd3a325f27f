package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// pattern finds matches in text.
type pattern interface {
	// find returns the first match that begins at from or behind it; start < 0 for none.
	find(text string, from int) (start, end int, err error)
}

// span is a stretch of a text: a match, or what lies between two.
type span struct {
	start, end int
	match      bool
}

// appendSpans cuts text at the matches of p. An empty match right behind a match is none; other empty ones
// make empty spans.
func appendSpans(dst []span, p pattern, text string) ([]span, error) {
	done, last := 0, -1 // done: where the spans end; last: where the last match ended
	for from := 0; from <= len(text); {
		start, end, err := p.find(text, from)
		if err != nil {
			return nil, err
		}
		if start < 0 {
			break
		}
		if start == end && end == last {
			_, w := utf8.DecodeRuneInString(text[from:])
			from += max(w, 1)
			continue
		}
		from, last = end, end
		if done < start {
			dst = append(dst, span{done, start, false})
		}
		dst = append(dst, span{start, end, true})
		done = end
	}
	if done < len(text) {
		dst = append(dst, span{done, len(text), false})
	}
	return dst, nil
}

// literalPattern is a pattern that matches itself. It is not empty.
type literalPattern string

func (l literalPattern) find(text string, from int) (int, int, error) {
	i := strings.Index(text[from:], string(l))
	if i < 0 {
		return -1, -1, nil
	}
	return from + i, from + i + len(l), nil
}

// characters is a pattern that matches one character of a set.
type characters func(r rune) bool

func (set characters) find(text string, from int) (int, int, error) {
	for i, r := range text[from:] {
		if set(r) {
			return from + i, from + i + utf8.RuneLen(r), nil
		}
	}
	return -1, -1, nil
}

// everywhere is the empty pattern, which matches between all characters.
type everywhere struct{}

func (everywhere) find(_ string, from int) (int, int, error) { return from, from, nil }

// patternJSON is a pattern in a tokenizer.json: a string to be taken as it is, or a regular expression.
type patternJSON struct {
	Regex  *string `json:"Regex"`
	String *string `json:"String"`
}

func (p patternJSON) compile(where string) (pattern, error) {
	switch {
	case p.String != nil && p.Regex == nil:
		if *p.String == "" {
			return everywhere{}, nil
		}
		return literalPattern(*p.String), nil
	case p.Regex != nil && p.String == nil:
		re, err := parseRegexp(*p.Regex)
		if err != nil {
			return nil, unsupported("%s with the pattern %q: %v", where, *p.Regex, err)
		}
		return re, nil
	}
	return nil, invalid("%s: pattern is neither a String nor a Regex", where)
}

// behavior is what a cut does with the matches at which it cuts.
type behavior string

const (
	behaviorRemoved    behavior = "Removed"
	behaviorIsolated   behavior = "Isolated"
	behaviorPrevious   behavior = "MergedWithPrevious" // joined to what is before it
	behaviorNext       behavior = "MergedWithNext"
	behaviorContiguous behavior = "Contiguous" // matches that touch are one piece
)

func (b behavior) check(where string) error {
	switch b {
	case behaviorRemoved, behaviorIsolated, behaviorPrevious, behaviorNext, behaviorContiguous:
		return nil
	}
	return invalid("%s has behavior %q, want Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", where, string(b))
}

// group calls yield for each piece of the text that the spans are of.
func (b behavior) group(spans []span, yield func(start, end int) error) error {
	for i := 0; i < len(spans); {
		n := b.pieceLength(spans[i:])
		if n == 0 {
			i++ // removed
			continue
		}
		if err := yield(spans[i].start, spans[i+n-1].end); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// pieceLength returns how many of the spans make up the next piece; 0 if the first one is left out.
func (b behavior) pieceLength(spans []span) int {
	n := 1
	switch b {
	case behaviorRemoved:
		if spans[0].match {
			return 0
		}
	case behaviorPrevious:
		if !spans[0].match && len(spans) > 1 && spans[1].match {
			n = 2
		}
	case behaviorNext:
		if spans[0].match && len(spans) > 1 && !spans[1].match {
			n = 2
		}
	case behaviorContiguous:
		for n < len(spans) && spans[n].match == spans[0].match {
			n++
		}
	}
	return n
}
