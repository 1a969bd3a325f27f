package jinja

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of brackets, statements and values.
const maxDepth = 200

// maxSource bounds a template's source; the longest known has 30 kB.
const maxSource = 1 << 18

// Template is a compiled template. It is immutable and safe for concurrent use.
type Template struct{ body []node }

// Compile parses a template. The error is an *Error.
func Compile(source string) (t *Template, err error) {
	defer caught(&err)
	if len(source) > maxSource {
		fail("it has %d bytes, allowed are %d", len(source), maxSource)
	}
	p := &parser{parts: lex(source), used: map[string]bool{}}
	body, _ := p.statements()
	return &Template{body: body}, nil
}

type parser struct {
	parts  []part
	at     int
	tokens []token // of the current tag, what is left
	depth  int
	used   map[string]bool // names read since the last macro began
	loops  int
}

func (p *parser) fail(message string) { panic(&Error{Line: p.tokens[0].line, Message: message}) }

func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.fail("it is nested more than " + strconv.Itoa(maxDepth) + " deep")
	}
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (t token) is(kind byte, text string) bool { return t.kind == kind && t.text == text }

// skip reads an operator or a word if it comes next.
func (p *parser) skip(kind byte, text string) bool {
	if p.peek().is(kind, text) {
		p.next()
		return true
	}
	return false
}

func (t token) String() string {
	if t.kind == 0 {
		return "the end of the tag"
	}
	return strconv.Quote(t.text)
}

func (p *parser) expect(kind byte, text string) {
	if t := p.peek(); !p.skip(kind, text) {
		p.fail("want " + strconv.Quote(text) + ", got " + t.String())
	}
}

func (p *parser) word() string {
	t := p.next()
	if t.kind != 'n' {
		p.fail("want a name, got " + t.String())
	}
	return t.text
}

func (p *parser) end() {
	if t := p.peek(); t.kind != 0 {
		p.fail("unexpected " + t.String())
	}
}

// statements reads up to one of the tags in ends, or to the end; it returns which. The tokens behind
// that tag's word are left.
func (p *parser) statements(ends ...string) (body []node, end string) {
	for p.at < len(p.parts) {
		part := p.parts[p.at]
		p.at++
		switch part.kind {
		case 't':
			body = append(body, output{part.text})
			continue
		case '{':
			p.tokens = part.tokens
			body = append(body, position{part.line, printed{p.tuple(p.conditional)}})
			p.end()
			continue
		}
		p.tokens = part.tokens
		word := p.word()
		if slices.Contains(ends, word) {
			return body, word
		}
		p.enter()
		s := p.statement(word)
		p.depth--
		p.end()
		body = append(body, position{part.line, s})
	}
	if ends != nil {
		p.fail("want {% " + strings.Join(ends, " %} or {% ") + " %}, got the end of the template")
	}
	return body, ""
}

// block reads a body up to its end tag.
func (p *parser) block(end string) []node {
	p.end()
	body, _ := p.statements(end)
	return body
}

func (p *parser) statement(word string) node {
	switch word {
	case "for":
		return p.forLoop()
	case "if":
		return p.ifElse()
	case "set":
		return p.set()
	case "macro":
		return p.macro(p.word(), "endmacro")
	case "call":
		m := &macro{name: "caller"}
		if p.peek().is('o', "(") {
			p.parameters(m)
		}
		c, ok := p.unary(true).(call)
		if !ok {
			p.fail("{% call %} wants a call")
		}
		p.macroBody(m, "endcall")
		return callBlock{m, c}
	case "filter":
		f := p.filters(true)
		return filterBlock{f, p.block("endfilter")}
	case "with":
		return p.with()
	case "generation":
		return group{p.block("endgeneration")}
	case "break", "continue":
		if p.loops == 0 {
			p.fail(word + " outside of a loop")
		}
		return control{word}
	case "block", "extends", "include", "import", "from", "autoescape":
		p.fail("{% " + word + " %} is not supported in chat templates")
	}
	p.fail("unknown tag " + strconv.Quote(word))
	return nil
}

func (p *parser) forLoop() node {
	var f forLoop
	f.target = p.target(false)
	p.expect('n', "in")
	f.iterable = p.tuple(p.or)
	if p.skip('n', "if") {
		f.check = p.conditional()
	}
	f.recursive = p.skip('n', "recursive")
	p.end()
	p.loops++
	var end string
	f.body, end = p.statements("endfor", "else")
	p.loops--
	if end == "else" {
		f.orElse = p.block("endfor")
	}
	return f
}

func (p *parser) ifElse() node {
	var c ifElse
	for {
		c.tests = append(c.tests, p.tuple(p.or))
		p.end()
		body, end := p.statements("elif", "else", "endif")
		c.bodies = append(c.bodies, body)
		switch end {
		case "else":
			c.bodies = append(c.bodies, p.block("endif"))
			return c
		case "endif":
			return c
		}
	}
}

func (p *parser) set() node {
	t := p.target(true)
	if p.skip('o', "=") {
		return assign{t, p.tuple(p.conditional)}
	}
	f := p.filters(false)
	return assignBlock{t, f, p.block("endset")}
}

func (p *parser) with() node {
	var w with
	for p.peek().kind != 0 {
		if len(w.targets) > 0 {
			p.expect('o', ",")
		}
		w.targets = append(w.targets, p.target(false))
		p.expect('o', "=")
		w.values = append(w.values, p.conditional())
	}
	w.body = p.block("endwith")
	return w
}

// target reads what is assigned to: a, a.b, (a, b) or a, b.
func (p *parser) target(attributes bool) target {
	one := func() target {
		if p.skip('o', "(") {
			t := p.target(false)
			p.expect('o', ")")
			return t
		}
		t := target{name: p.word()}
		if slices.Contains([]string{"true", "false", "none", "True", "False", "None"}, t.name) {
			p.fail("cannot assign to " + t.name)
		}
		if attributes && p.skip('o', ".") {
			t.attribute = p.word()
		}
		return t
	}
	p.enter()
	defer func() { p.depth-- }()
	first := one()
	if !p.peek().is('o', ",") {
		return first
	}
	t := target{parts: []target{first}}
	for p.skip('o', ",") {
		if next := p.peek(); next.kind != 'n' && !next.is('o', "(") || next.text == "in" {
			break
		}
		t.parts = append(t.parts, one())
	}
	return t
}

func (p *parser) macro(name, end string) node {
	m := &macro{name: name}
	p.parameters(m)
	p.macroBody(m, end)
	return m
}

func (p *parser) parameters(m *macro) {
	p.expect('o', "(")
	for !p.skip('o', ")") {
		if len(m.params) > 0 {
			p.expect('o', ",")
		}
		m.params = append(m.params, p.word())
		if p.skip('o', "=") {
			m.defaults = append(m.defaults, p.conditional())
		} else if m.defaults != nil {
			p.fail("a parameter without a default follows one that has one")
		}
	}
}

func (p *parser) macroBody(m *macro, end string) {
	outer, loops := p.used, p.loops
	p.used, p.loops = map[string]bool{}, 0
	m.body = p.block(end)
	m.uses = p.used
	for n := range p.used {
		outer[n] = true
	}
	p.used, p.loops = outer, loops
}

// filters reads a | b(c) | d; the first without its bar when bare is set.
func (p *parser) filters(bare bool) []filter {
	var out []filter
	for bare || p.skip('o', "|") {
		bare = false
		f := filter{name: p.dotted()}
		if p.peek().is('o', "(") {
			f.arguments = p.arguments()
		}
		out = append(out, f)
	}
	return out
}

func (p *parser) dotted() string {
	s := p.word()
	for p.skip('o', ".") {
		s += "." + p.word()
	}
	return s
}

func number(t token) any {
	if t.kind == 'f' {
		f, _ := strconv.ParseFloat(t.text, 64) // out of range: infinite, as in Python
		return f
	}
	n, ok := new(big.Int).SetString(t.text, 0)
	if !ok { // 00
		n = new(big.Int)
	}
	return shrink(n)
}
