package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// regexpOp is the kind of a node of a parsed regular expression.
type regexpOp byte

const (
	opEmpty       regexpOp = iota
	opSet                  // one character of set
	opConcat               // subs one after the other
	opAlternate            // the first of subs with which the rest matches
	opRepeat               // subs[0] min to max times
	opLook                 // subs[0] matches here: ahead, or before with behind; not with negate
	opAtomic               // subs[0], and no second thoughts about it
	opBeginText            // \A
	opEndText              // \z
	opEndTextLine          // \Z
	opBeginLine            // ^
	opEndLine              // $
	opWordEdge             // \b; \B with negate
	opSearchStart          // \G
)

// regexpNode is a node of a parsed regular expression.
type regexpNode struct {
	op         regexpOp
	set        runeSet
	subs       []*regexpNode
	min, max   int // max < 0: no limit
	lazy       bool
	possessive bool
	behind     bool
	negate     bool

	low, high int // the width, once it is known
	measured  bool
}

const (
	maxRegexpBytes = 1 << 16
	maxRegexpDepth = 100
	maxRepeat      = 1000
)

// regexpParser reads Oniguruma's syntax, which is the library's, as far as it is regular; back-references and
// calls are refused by name.
type regexpParser struct {
	text  string
	at    int
	flags regexpFlags
	depth int

	brackets int // how many classes in brackets are open
}

// regexpFlags are the options (?imx).
type regexpFlags struct {
	fold     bool // i: case is ignored
	dotAll   bool // m: . matches line breaks too
	extended bool // x: white space and comments do not count
}

func (p *regexpParser) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", p.at, fmt.Sprintf(format, args...))
}

func (p *regexpParser) more() bool { return p.at < len(p.text) }

// peek reports whether the text goes on with s.
func (p *regexpParser) peek(s string) bool { return strings.HasPrefix(p.text[p.at:], s) }

func (p *regexpParser) accept(s string) bool {
	if !p.peek(s) {
		return false
	}
	p.at += len(s)
	return true
}

func (p *regexpParser) rune() rune {
	r, w := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += w
	return r
}

// parse reads a whole pattern.
func (p *regexpParser) parse() (*regexpNode, error) {
	if !utf8.ValidString(p.text) {
		return nil, p.errorf("the pattern is not UTF-8")
	}
	if len(p.text) > maxRegexpBytes {
		return nil, p.errorf("the pattern has %d bytes, allowed are %d", len(p.text), maxRegexpBytes)
	}
	n, err := p.alternation()
	if err == nil && p.more() {
		return nil, p.errorf("a parenthesis is closed that was not opened")
	}
	return n, err
}

func (p *regexpParser) alternation() (*regexpNode, error) {
	if p.depth++; p.depth > maxRegexpDepth {
		return nil, p.errorf("groups are nested more than %d deep", maxRegexpDepth)
	}
	defer func() { p.depth-- }()
	var branches []*regexpNode
	for {
		n, err := p.concatenation()
		if err != nil {
			return nil, err
		}
		branches = append(branches, n)
		if !p.accept("|") {
			break
		}
	}
	if len(branches) == 1 {
		return branches[0], nil
	}
	return &regexpNode{op: opAlternate, subs: branches}, nil
}

// concatenation reads up to | or the end of the group. Characters in a row that ignore case are gathered: several
// of them may be equal to one.
func (p *regexpParser) concatenation() (*regexpNode, error) {
	n := &regexpNode{op: opConcat}
	var folding []rune
	flush := func() {
		if len(folding) > 0 {
			n.subs = append(n.subs, foldedText(folding))
			folding = nil
		}
	}
	for p.more() && !p.peek("|") && !p.peek(")") {
		if p.skipExtended() {
			continue
		}
		atom, char, err := p.atom()
		if err != nil {
			return nil, err
		}
		if atom == nil && char < 0 {
			continue // a comment, or options for the rest
		}
		if atom == nil && p.flags.fold && !p.quantified() {
			folding = append(folding, char)
			continue
		}
		flush()
		if atom == nil {
			atom = p.character(char)
		}
		if atom, err = p.quantifiers(atom); err != nil {
			return nil, err
		}
		n.subs = append(n.subs, atom)
	}
	flush()
	if len(n.subs) == 1 {
		return n.subs[0], nil
	}
	return n, nil
}

func (p *regexpParser) character(r rune) *regexpNode {
	if p.flags.fold {
		return foldedText([]rune{r})
	}
	return &regexpNode{op: opSet, set: runeSet{{r, r}}}
}

// skipExtended skips white space and comments under x.
func (p *regexpParser) skipExtended() bool {
	if !p.flags.extended {
		return false
	}
	switch c := p.text[p.at]; {
	case c == '#':
		if n := strings.IndexByte(p.text[p.at:], '\n'); n >= 0 {
			p.at += n + 1
		} else {
			p.at = len(p.text)
		}
		return true
	case c == ' ' || c >= '\t' && c <= '\r':
		p.at++
		return true
	}
	return false
}

// foldedText matches characters in a row, ignoring case. Where several of them are equal to one the ways part,
// and share what follows.
func foldedText(text []rune) *regexpNode {
	rest := make([]*regexpNode, len(text)+1) // what matches from each character on
	rest[len(text)] = &regexpNode{op: opEmpty}
	for i := len(text) - 1; i >= 0; i-- {
		rest[i] = foldedFrom(text[i:], rest[i:])
	}
	return rest[0]
}

// foldedFrom matches text, where rest holds what matches behind each character.
func foldedFrom(text []rune, rest []*regexpNode) *regexpNode {
	var ways []*regexpNode
	then := func(first *regexpNode, n int) {
		if rest[n].op != opEmpty {
			first = &regexpNode{op: opConcat, subs: []*regexpNode{first, rest[n]}}
		}
		ways = append(ways, first)
	}
	then(&regexpNode{op: opSet, set: runeSet{{text[0], text[0]}}.folded()}, 1)
	for n := 2; n <= 3; n++ {
		var equal []runeRange
		for r, f := range multiFolds() {
			if len(f) == n && foldsTo(text, f) {
				equal = append(equal, runeRange{r, r})
			}
		}
		if equal != nil {
			then(&regexpNode{op: opSet, set: canonical(equal)}, n)
		}
	}
	if f := multiFolds()[text[0]]; f != nil {
		several := &regexpNode{op: opConcat}
		for _, r := range f {
			several.subs = append(several.subs, &regexpNode{op: opSet, set: runeSet{{r, r}}.folded()})
		}
		then(several, 1)
	}
	if len(ways) == 1 {
		return ways[0]
	}
	return &regexpNode{op: opAlternate, subs: ways}
}

// foldsTo reports whether text begins with characters that are equal to fold but for case.
func foldsTo(text, fold []rune) bool {
	if len(text) < len(fold) {
		return false
	}
	for i, r := range fold {
		if !(runeSet{{r, r}}).folded().has(text[i]) {
			return false
		}
	}
	return true
}

// quantified reports whether a quantifier follows.
func (p *regexpParser) quantified() bool {
	if !p.more() {
		return false
	}
	c := p.text[p.at]
	return c == '*' || c == '+' || c == '?' || p.intervalLength() > 0
}

// intervalLength returns the length of {n}, {n,}, {,m} or {n,m}; 0 for a brace that is as any character.
func (p *regexpParser) intervalLength() int {
	end := strings.IndexByte(p.text[p.at:], '}')
	if end < 0 || !p.peek("{") {
		return 0
	}
	low, high, comma := strings.Cut(p.text[p.at+1:p.at+end], ",")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if !digits(low) || !digits(high) || low == "" && high == "" || low == "" && !comma {
		return 0
	}
	return end + 1
}

// quantifiers applies those that follow to a node, each to what is before it.
func (p *regexpParser) quantifiers(n *regexpNode) (*regexpNode, error) {
	for p.more() {
		r := &regexpNode{op: opRepeat, subs: []*regexpNode{n}, max: -1}
		interval := 0
		switch {
		case p.accept("*"):
		case p.accept("+"):
			r.min = 1
		case p.accept("?"):
			r.max = 1
		default:
			interval = p.intervalLength()
			if interval == 0 {
				return n, nil
			}
			if err := p.bounds(r, p.text[p.at+1:p.at+interval-1]); err != nil {
				return nil, err
			}
			p.at += interval
		}
		if n.op == opLook || n.op >= opBeginText {
			return nil, p.errorf("a quantifier after an assertion is not read")
		}
		// {n}? is {n} or nothing, and {n,m}+ repeats {n,m}: only the signs have a possessive form.
		fixed := interval > 0 && r.min == r.max
		if !fixed && p.accept("?") {
			r.lazy = true
		} else if interval == 0 && p.accept("+") {
			r.possessive = true
		}
		n = r
	}
	return n, nil
}

func (p *regexpParser) bounds(r *regexpNode, text string) error {
	low, high, comma := strings.Cut(text, ",")
	r.min, _ = strconv.Atoi("0" + low)
	r.max, _ = strconv.Atoi("0" + high)
	if !comma {
		r.max = r.min
	} else if high == "" {
		r.max = -1
	}
	if r.min > maxRepeat || r.max > maxRepeat {
		return p.errorf("{%s} repeats more than %d times", text, maxRepeat)
	}
	if r.max >= 0 && r.min > r.max {
		return p.errorf("{%s} has a lower bound above the upper one", text)
	}
	return nil
}

// atom reads one thing that can be quantified: a node, or a plain character. Neither (nil, -1) for a comment
// or an option.
func (p *regexpParser) atom() (*regexpNode, rune, error) {
	switch c := p.text[p.at]; c {
	case '(':
		n, err := p.group()
		return n, -1, err
	case '[':
		n, err := p.bracket()
		return n, -1, err
	case '.':
		p.at++
		set := runeSet{{'\n', '\n'}}.negated()
		if p.flags.dotAll {
			set = runeSet{{0, unicode.MaxRune}}
		}
		return &regexpNode{op: opSet, set: set}, -1, nil
	case '^':
		p.at++
		return &regexpNode{op: opBeginLine}, -1, nil
	case '$':
		p.at++
		return &regexpNode{op: opEndLine}, -1, nil
	case '*', '+', '?':
		return nil, 0, p.errorf("%q has nothing before it to repeat", c)
	case '\\':
		return p.escape()
	}
	return nil, p.rune(), nil
}

// group reads what begins with an opening parenthesis.
func (p *regexpParser) group() (*regexpNode, error) {
	flags := p.flags
	defer func() { p.flags = flags }()
	n := &regexpNode{op: opConcat}
	switch {
	case !p.peek("(?"):
		p.at++
	case p.accept("(?#"):
		end := strings.IndexByte(p.text[p.at:], ')')
		if end < 0 {
			return nil, p.errorf("a comment does not end")
		}
		p.at += end + 1
		return nil, nil
	case p.accept("(?:"):
	case p.accept("(?>"):
		n.op = opAtomic
	case p.accept("(?="):
		n.op = opLook
	case p.accept("(?!"):
		n.op, n.negate = opLook, true
	case p.accept("(?<="):
		n.op, n.behind = opLook, true
	case p.accept("(?<!"):
		n.op, n.behind, n.negate = opLook, true, true
	case p.peek("(?<"), p.peek("(?'"):
		end := strings.IndexAny(p.text[p.at+3:], ">'")
		if end <= 0 {
			return nil, p.errorf("the name of a group does not end")
		}
		p.at += 3 + end + 1
	case p.peek("(?(") || p.peek("(?~") || p.peek("(?@") || p.peek("(?{") || p.peek("(?P"):
		return nil, p.errorf("%q (conditions, absence, recursion, code) is not read", p.text[p.at:p.at+3])
	default:
		rest, err := p.options()
		if err != nil {
			return nil, err
		}
		if rest {
			return p.optionsForRest()
		}
	}
	inner, err := p.alternation()
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, p.errorf("a group is not closed")
	}
	n.subs = []*regexpNode{inner}
	return n, nil
}

// options reads (?imx-imx: or (?imx-imx). rest is true for the latter, which hold for the rest of the group.
func (p *regexpParser) options() (rest bool, err error) {
	p.at += len("(?")
	on := true
	for p.more() {
		c := p.rune()
		switch c {
		case 'i':
			p.flags.fold = on
		case 'm':
			p.flags.dotAll = on
		case 'x':
			p.flags.extended = on
		case '-':
			on = false
		case ':':
			return false, nil
		case ')':
			return true, nil
		default:
			return false, p.errorf("the option %q is not read", c)
		}
	}
	return false, p.errorf("a group is not closed")
}

// optionsForRest reads what follows (?i) up to the end of the group around it: a group of its own, as
// Oniguruma has it, so that an alternative behind the options is one within them.
func (p *regexpParser) optionsForRest() (*regexpNode, error) {
	inner, err := p.alternation()
	if err != nil {
		return nil, err
	}
	return &regexpNode{op: opConcat, subs: []*regexpNode{inner}}, nil
}
