package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// regularExpression is a compiled regular expression with the meaning that Oniguruma gives it: of all ways to match at a
// place the first in the order of alternatives and of greedy repetition. It matches by trying and stepping
// back, so some patterns take time that grows with the square of the text, or faster: after a number of steps
// that is generous for any text that a pattern was meant for, matching gives up with an error. It is immutable and safe for
// concurrent use. Patterns of known models do not come here: see knownPatterns.
type regularExpression struct {
	source string
	code   []regexpInst
}

// regexpInst is an instruction of the matcher.
type regexpInst struct {
	op       instOp
	class    *runeClass
	next     int // where to go on; a jump's target
	other    int // a fork's second way
	min, max int // instRepeat: how many characters; instBehind: how many before; max < 0: no limit
	negate   bool
}

type instOp byte

const (
	instMatch  instOp = iota
	instChar          // one character of class
	instRepeat        // min to max characters of class, as many as possible
	instOnce          // the same, without giving back
	instFork          // next, and if that fails other
	instJump
	instAtomic // the program at other up to its instMatch, then next
	instLook   // the same, without moving
	instBehind // the program at other, from a place before up to here
	instEnd    // of such a program: only where the look began
	instMark   // the place goes to register other
	instMoved  // fails where register other has this place: an empty repetition
	instAssert // the assertion of the parser's operation other
)

// What a pattern may need: instructions, and classes of characters, of which each takes some 10 kB.
const (
	maxRegexpCode    = 20000
	maxRegexpClasses = 2000
)

func parseRegexp(source string) (pattern, error) {
	p := &regexpParser{text: source}
	n, err := p.parse()
	if err != nil {
		return nil, err
	}
	c := &regexpCompiler{classes: make(map[string]*runeClass)}
	if err := c.compile(n); err != nil {
		return nil, err
	}
	c.emit(regexpInst{op: instMatch})
	return &regularExpression{source: source, code: c.code}, nil
}

// steps is how many times matching may step back for one match: the constant, and so much for each byte.
const (
	regexpSteps        = 10_000_000
	regexpStepsPerByte = 64
)

func (re *regularExpression) find(text string, from int) (start, end int, err error) {
	m := regexpMatcher{code: re.code, text: text, search: from, budget: regexpSteps + regexpStepsPerByte*(len(text)-from)}
	for at := from; ; {
		end, ok := m.run(0, at)
		if m.budget < 0 {
			return 0, 0, fmt.Errorf("%w: the pattern %q takes too many steps at byte %d of a text of %d bytes", ErrUnsupported, re.source, from, len(text))
		}
		if ok {
			return at, end, nil
		}
		if at >= len(text) {
			return -1, -1, nil
		}
		_, w := utf8.DecodeRuneInString(text[at:])
		at += w
	}
}
