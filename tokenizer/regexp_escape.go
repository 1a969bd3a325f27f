package tokenizer

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// namedSets are the classes that \ and a letter stand for.
var namedSets = map[byte]func() runeSet{
	'd': func() runeSet { return categories("Nd") },
	'w': func() runeSet { return oniguruma(onigurumaWord) },
	's': func() runeSet { return spaceSet() },
	'h': posixSets["xdigit"],
}

// controls are the characters that \ and a letter stand for.
var controls = map[byte]rune{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f', 'v': '\v', 'a': 7, 'e': 27}

// escape reads what begins with a backslash outside of brackets.
func (p *regexpParser) escape() (*regexpNode, rune, error) {
	if p.at+1 >= len(p.text) {
		return nil, 0, p.errorf("the pattern ends in a backslash")
	}
	simple := func(n *regexpNode) (*regexpNode, rune, error) {
		p.at += 2
		return n, -1, nil
	}
	switch c := p.text[p.at+1]; c {
	case 'A':
		return simple(&regexpNode{op: opBeginText})
	case 'z':
		return simple(&regexpNode{op: opEndText})
	case 'Z':
		return simple(&regexpNode{op: opEndTextLine})
	case 'G':
		return simple(&regexpNode{op: opSearchStart})
	case 'b', 'B':
		return simple(&regexpNode{op: opWordEdge, negate: c == 'B'})
	case 'N':
		return simple(&regexpNode{op: opSet, set: runeSet{{'\n', '\n'}}.negated()})
	case 'O':
		return simple(&regexpNode{op: opSet, set: runeSet{{0, unicode.MaxRune}}})
	case 'R':
		crlf := &regexpNode{op: opConcat, subs: []*regexpNode{{op: opSet, set: runeSet{{'\r', '\r'}}}, {op: opSet, set: runeSet{{'\n', '\n'}}}}}
		breaks := &regexpNode{op: opSet, set: runeSet{{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}}
		return simple(&regexpNode{op: opAtomic, subs: []*regexpNode{{op: opAlternate, subs: []*regexpNode{crlf, breaks}}}})
	case 'k', 'g', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return nil, 0, p.errorf("%q (a reference to a group) is not read", p.text[p.at:p.at+2])
	case 'K', 'X', 'y', 'Y', 'c', 'C', 'M':
		return nil, 0, p.errorf("%q is not read", p.text[p.at:p.at+2])
	}
	set, err := p.setEscape()
	if err != nil {
		return nil, 0, err
	}
	if set != nil {
		return &regexpNode{op: opSet, set: set}, -1, nil
	}
	r, err := p.charEscape()
	return nil, r, err
}

// setEscape reads an escape that stands for a set of characters; nil for another.
func (p *regexpParser) setEscape() (runeSet, error) {
	c := p.text[p.at+1]
	if c|0x20 == 'w' && p.brackets > 0 {
		// Within brackets Oniguruma has another \w: without ², ³, ¹, ¼, ½ and ¾.
		p.at += 2
		set := oniguruma(onigurumaPosixWord)
		if c == 'W' {
			set = set.negated()
		}
		return set, nil
	}
	if f, ok := namedSets[c|0x20]; ok && c|0x20 >= 'a' {
		p.at += 2
		if c < 'a' {
			return f().negated(), nil
		}
		return f(), nil
	}
	if (c != 'p' && c != 'P') || !strings.HasPrefix(p.text[p.at+2:], "{") {
		return nil, nil
	}
	end := strings.IndexByte(p.text[p.at:], '}')
	if end < 0 {
		return nil, p.errorf("the name of a property does not end")
	}
	name, negated := strings.CutPrefix(p.text[p.at+3:p.at+end], "^")
	set, ok := propertySet(name)
	if !ok {
		return nil, p.errorf("the property %q is not known", name)
	}
	p.at += end + 1
	if negated != (c == 'P') {
		set = set.negated()
	}
	return set, nil
}

// charEscape reads an escape that stands for one character.
func (p *regexpParser) charEscape() (rune, error) {
	p.at++
	c := p.text[p.at]
	if r, ok := controls[c]; ok {
		p.at++
		return r, nil
	}
	switch {
	case c == 'x' && strings.HasPrefix(p.text[p.at:], "x{"):
		end := strings.IndexByte(p.text[p.at:], '}')
		if end < 0 {
			return 0, p.errorf("\\x{ does not end")
		}
		return p.codeEscape(p.at+2, p.at+end, 16, 1)
	case c == 'x':
		return p.codeEscape(p.at+1, p.digitsEnd(p.at+1, 2, "0123456789abcdefABCDEF"), 16, 0)
	case c == 'u':
		return p.codeEscape(p.at+1, min(p.at+5, len(p.text)), 16, 0)
	case c == '0':
		return p.codeEscape(p.at, p.digitsEnd(p.at, 3, "01234567"), 8, 0)
	}
	return p.rune(), nil
}

func (p *regexpParser) digitsEnd(from, most int, digits string) int {
	end := from
	for end < len(p.text) && end < from+most && strings.IndexByte(digits, p.text[end]) >= 0 {
		end++
	}
	return end
}

// codeEscape reads the number of a character and goes on behind it.
func (p *regexpParser) codeEscape(from, end, base, behind int) (rune, error) {
	n, err := strconv.ParseUint(p.text[from:end], base, 32)
	if err != nil || n > unicode.MaxRune || n >= 0xD800 && n < 0xE000 || base == 16 && behind == 0 && n > 0x7F && end-from < 4 {
		return 0, p.errorf("%q is no character's number", p.text[from:end])
	}
	p.at = end + behind
	return rune(n), nil
}

// bracket reads a class in brackets.
func (p *regexpParser) bracket() (*regexpNode, error) {
	set, negate, err := p.bracketSet()
	if err != nil {
		return nil, err
	}
	if !p.flags.fold {
		if negate {
			set = set.negated()
		}
		return &regexpNode{op: opSet, set: set}, nil
	}
	single := set.folded()
	if negate {
		return &regexpNode{op: opSet, set: single.negated()}, nil
	}
	ways := []*regexpNode{{op: opSet, set: single}}
	for _, r := range slices.Sorted(maps.Keys(multiFolds())) {
		if set.has(r) {
			ways = append(ways, foldedText(multiFolds()[r]))
		}
	}
	if len(ways) == 1 {
		return ways[0], nil
	}
	return &regexpNode{op: opAlternate, subs: ways}, nil
}

// bracketSet reads a class from its opening to its closing bracket.
func (p *regexpParser) bracketSet() (set runeSet, negate bool, err error) {
	if p.depth++; p.depth > maxRegexpDepth {
		return nil, false, p.errorf("classes are nested more than %d deep", maxRegexpDepth)
	}
	p.brackets++
	defer func() { p.depth--; p.brackets-- }()
	p.at++
	negate = p.accept("^")
	if p.peek("]") && strings.IndexByte(p.text[p.at+1:], ']') < 0 {
		return nil, false, p.errorf("a class is empty")
	}
	var all runeSet // what the parts before && have in common
	intersect := false
	for first := true; ; first = false {
		switch {
		case !p.more():
			return nil, false, p.errorf("a class is not closed")
		case p.peek("]") && !first:
			p.at++
			if intersect {
				set = set.intersection(all)
			}
			return set, negate, nil
		case p.accept("&&"):
			if intersect {
				set = set.intersection(all)
			}
			all, set, intersect = set, nil, true
		default:
			item, err := p.bracketItem()
			if err != nil {
				return nil, false, err
			}
			set = set.union(item)
		}
	}
}

// bracketItem reads one member of a class: a nested class, a named one, a character or a range.
func (p *regexpParser) bracketItem() (runeSet, error) {
	if p.peek("[:") {
		if set, ok := p.posix(); ok {
			return set, nil
		}
	}
	if p.peek("[") {
		set, negate, err := p.bracketSet()
		if negate {
			set = set.negated()
		}
		return set, err
	}
	lo, set, err := p.bracketChar()
	if err != nil || set != nil {
		return set, err
	}
	if !p.peek("-") || p.peek("-]") || p.peek("-&&") || p.at+1 >= len(p.text) {
		return runeSet{{lo, lo}}, nil
	}
	p.at++
	if p.peek("[") {
		return nil, p.errorf("a range that ends in a class is not read")
	}
	hi, set, err := p.bracketChar()
	if err != nil {
		return nil, err
	}
	if set != nil {
		return set.union(runeSet{{lo, lo}, {'-', '-'}}), nil
	}
	if hi < lo {
		return nil, p.errorf("the range %q to %q is empty", lo, hi)
	}
	return runeSet{{lo, hi}}, nil
}

// bracketChar reads a character within brackets, or an escape that stands for a set.
func (p *regexpParser) bracketChar() (rune, runeSet, error) {
	if !p.peek(`\`) {
		return p.rune(), nil, nil
	}
	if p.at+1 >= len(p.text) {
		return 0, nil, p.errorf("the pattern ends in a backslash")
	}
	switch c := p.text[p.at+1]; c {
	case 'b':
		p.at += 2
		return '\b', nil, nil
	case 'R', 'X', 'c', 'C', 'M', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return 0, nil, p.errorf("%q within brackets is not read", p.text[p.at:p.at+2])
	}
	set, err := p.setEscape()
	if err != nil || set != nil {
		return 0, set, err
	}
	r, err := p.charEscape()
	return r, nil, err
}

// posix reads [:name:] or [:^name:].
func (p *regexpParser) posix() (runeSet, bool) {
	end := strings.Index(p.text[p.at:], ":]")
	if end < 0 {
		return nil, false
	}
	name, negate := strings.CutPrefix(p.text[p.at+2:p.at+end], "^")
	f, ok := posixSets[name]
	if !ok {
		return nil, false
	}
	p.at += end + 2
	if negate {
		return f().negated(), true
	}
	return f(), true
}
