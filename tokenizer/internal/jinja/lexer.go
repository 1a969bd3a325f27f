package jinja

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A part is a stretch of text, or the tokens of a tag.
type part struct {
	kind   byte // 't' text, '{' an expression, '%' a statement
	text   string
	tokens []token
	line   int
}

// A token is a name (kind 'n'), a string ('s'), an integer ('i'), a float ('f'), an operator, whose kind
// is 'o', or the end of the tag (0).
type token struct {
	kind byte
	text string
	line int
}

// lexer cuts a template into parts. White-space control is its work, and exact prompts depend on it:
// trim_blocks and lstrip_blocks, the marks - and +, comments, raw blocks, one trailing newline.
type lexer struct {
	src   string
	pos   int
	parts []part
	// lineStart is true when what was last read ended a line, or at the start.
	lineStart bool
}

func lex(src string) []part {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, lineStart: true}
	for l.pos < len(l.src) {
		l.next()
	}
	return l.parts
}

func (l *lexer) line() int { return 1 + strings.Count(l.src[:min(l.pos, len(l.src))], "\n") }

func (l *lexer) fail(message string) { panic(&Error{Line: l.line(), Message: message}) }

// next reads the text up to the next tag, and the tag.
func (l *lexer) next() {
	rest := l.src[l.pos:]
	at := -1
	for i := 0; ; i++ {
		n := strings.IndexByte(rest[i:], '{')
		if n < 0 || i+n+1 >= len(rest) {
			break
		}
		i += n
		if c := rest[i+1]; c == '{' || c == '%' || c == '#' {
			at = i
			break
		}
	}
	if at < 0 {
		l.text(rest)
		l.pos = len(l.src)
		return
	}
	kind := rest[at+1]
	after := at + 2
	sign := byte(0)
	if after < len(rest) && (rest[after] == '-' || rest[after] == '+') {
		sign = rest[after]
		after++
	}
	l.text(l.stripBefore(rest[:at], sign, kind != '{'))
	l.lineStart = false
	l.pos += after
	if kind == '#' {
		l.comment()
	} else if kind == '{' || !l.raw() {
		l.tag(kind)
	}
}

// stripBefore is what a tag's beginning does to the text before it.
func (l *lexer) stripBefore(text string, sign byte, block bool) string {
	switch {
	case sign == '-':
		return strings.TrimRightFunc(text, IsSpace)
	case sign == '+' || !block:
		return text
	}
	line := strings.LastIndexByte(text, '\n') + 1
	if line == 0 && !l.lineStart {
		return text
	}
	if strings.TrimFunc(text[line:], IsSpace) == "" {
		return text[:line]
	}
	return text
}

func (l *lexer) text(s string) {
	if s != "" {
		l.parts = append(l.parts, part{kind: 't', text: s})
	}
}

// stripAfter is what a tag's end does to what follows; the position is behind the tag.
func (l *lexer) stripAfter(sign byte, block bool) {
	switch {
	case sign == '-':
		end := len(l.src) - len(strings.TrimLeftFunc(l.src[l.pos:], IsSpace))
		l.lineStart = end > l.pos && l.src[end-1] == '\n'
		l.pos = end
	case sign != '+' && block && strings.HasPrefix(l.src[l.pos:], "\n"):
		l.pos++
		l.lineStart = true
	}
}

func (l *lexer) comment() {
	n := strings.Index(l.src[l.pos:], "#}")
	if n < 0 {
		l.fail("a comment has no end")
	}
	sign := byte(0)
	if n > 0 {
		sign = l.src[l.pos+n-1]
	}
	l.pos += n + 2
	l.stripAfter(sign, true)
}

// tag reads an expression or a statement, up to and with its end.
func (l *lexer) tag(kind byte) {
	end, block := "}}", kind == '%'
	if block {
		end = "%}"
	}
	p := part{kind: kind, line: l.line()}
	brackets := 0
	for {
		l.pos = len(l.src) - len(strings.TrimLeftFunc(l.src[l.pos:], IsSpace))
		rest := l.src[l.pos:]
		if rest == "" {
			l.fail("a tag has no end " + end)
		}
		sign := byte(0)
		if rest[0] == '-' || rest[0] == '+' && block {
			sign, rest = rest[0], rest[1:]
		}
		if brackets == 0 && strings.HasPrefix(rest, end) {
			l.pos = len(l.src) - len(rest) + len(end)
			p.tokens = append(p.tokens, token{line: p.line})
			l.parts = append(l.parts, p)
			l.stripAfter(sign, block)
			return
		}
		t := l.token()
		t.line = p.line
		switch t.text {
		case "(", "[", "{":
			if t.kind == 'o' {
				brackets++
			}
		case ")", "]", "}":
			if t.kind == 'o' {
				if brackets--; brackets < 0 {
					l.fail(t.text + " closes nothing")
				}
			}
		}
		p.tokens = append(p.tokens, t)
	}
}

var (
	floatLiteral   = regexp.MustCompile(`^([0-9]+_)*[0-9]+((\.([0-9]+_)*[0-9]+)?[eE][+-]?([0-9]+_)*[0-9]+|\.([0-9]+_)*[0-9]+)`)
	integerLiteral = regexp.MustCompile(`^(0[bB](_?[01])+|0[oO](_?[0-7])+|0[xX](_?[0-9a-fA-F])+|[1-9](_?[0-9])*|0(_?0)*)`)
	operators      = []string{"==", "!=", "<=", ">=", "//", "**"}
)

// token reads the next token.
func (l *lexer) token() token {
	rest := l.src[l.pos:]
	if rest[0] == '"' || rest[0] == '\'' {
		return token{kind: 's', text: l.stringLiteral()}
	}
	// The digits of x.0.1 are no float.
	if s := floatLiteral.FindString(rest); s != "" && (l.pos == 0 || l.src[l.pos-1] != '.') {
		l.pos += len(s)
		return token{kind: 'f', text: strings.ReplaceAll(s, "_", "")}
	}
	if s := integerLiteral.FindString(rest); s != "" {
		l.pos += len(s)
		return token{kind: 'i', text: strings.ReplaceAll(s, "_", "")}
	}
	n := 0
	for n < len(rest) {
		r, w := utf8.DecodeRuneInString(rest[n:])
		if r != '_' && !unicode.IsLetter(r) && (n == 0 || !unicode.IsDigit(r) && !unicode.Is(unicode.M, r)) {
			break
		}
		n += w
	}
	if n > 0 {
		l.pos += n
		return token{kind: 'n', text: rest[:n]}
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			l.pos += 2
			return token{kind: 'o', text: op}
		}
	}
	if !strings.Contains("+-/*%~[](){}<>=.:|,", rest[:1]) {
		r, _ := utf8.DecodeRuneInString(rest)
		l.fail("unexpected character " + strconv.QuoteRune(r))
	}
	l.pos++
	return token{kind: 'o', text: rest[:1]}
}

// stringLiteral reads one literal with Python's escapes.
func (l *lexer) stringLiteral() string {
	quote := l.src[l.pos]
	var b strings.Builder
	for i := l.pos + 1; i < len(l.src); i++ {
		c := l.src[i]
		if c == quote {
			l.pos = i + 1
			return b.String()
		}
		if c != '\\' || i+1 == len(l.src) {
			b.WriteByte(c)
			continue
		}
		i++
		n, ok := escape(&b, l.src[i:])
		if !ok {
			l.fail("a malformed escape in a string: \\" + l.src[i:i+1])
		}
		i += n
	}
	l.fail("a string has no end")
	return ""
}

var simpleEscapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'a': 7, 'b': 8, 'f': 12, 'v': 11, '\\': '\\', '\'': '\'', '"': '"'}

// escape writes what the escape at s (behind the backslash) means and returns how many bytes beyond
// the first it takes. Names of characters are not supported.
func escape(b *strings.Builder, s string) (beyond int, ok bool) {
	if c, ok := simpleEscapes[s[0]]; ok {
		b.WriteByte(c)
		return 0, true
	}
	if digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]; digits > 0 || s[0] == 'N' {
		if digits == 0 || len(s) <= digits {
			return 0, false
		}
		v, err := strconv.ParseUint(s[1:1+digits], 16, 32)
		b.WriteRune(rune(v))
		return digits, err == nil && v <= unicode.MaxRune
	}
	if s[0] == '\n' {
		return 0, true // a line that goes on
	}
	n := 0
	for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	if v, err := strconv.ParseUint(s[:n], 8, 32); err == nil {
		b.WriteRune(rune(v))
		return n - 1, true
	}
	b.WriteByte('\\')
	b.WriteByte(s[0])
	return 0, true
}

var (
	rawBegin = regexp.MustCompile(`^\s*raw\s*(-%}|%})`)
	rawEnd   = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*([-+]?)%}`)
)

// raw reads the rest of {% raw %} and the text up to {% endraw %}, and reports whether it was that.
func (l *lexer) raw() bool {
	begin := rawBegin.FindStringSubmatch(l.src[l.pos:])
	if begin == nil {
		return false
	}
	l.pos += len(begin[0])
	if begin[1] == "-%}" {
		l.stripAfter('-', true)
	}
	rest := l.src[l.pos:]
	m := rawEnd.FindStringSubmatchIndex(rest)
	if m == nil {
		l.fail("a raw block has no end")
	}
	sign := func(from, to int) byte {
		if from == to {
			return 0
		}
		return rest[from]
	}
	l.text(l.stripBefore(rest[:m[0]], sign(m[2], m[3]), true))
	l.lineStart = false
	l.pos += m[1]
	l.stripAfter(sign(m[4], m[5]), true)
	return true
}
