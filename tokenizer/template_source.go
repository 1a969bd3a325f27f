package tokenizer

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Jinja's white-space control is the lexer's work, and exact prompts depend on it: trim_blocks and
// lstrip_blocks (both on in transformers), the marks - and +, comments, raw blocks, one trailing
// newline. prepareTemplate does all of that here and hands the engine a template without free text:
// what is text becomes {{ "text" }}, so that nothing is left for the engine to trim.
//
// It also decodes Python's string escapes, sends through this package's functions what the engine
// does otherwise than Python (template_expression.go), and counts the depth of macros, whose endless
// recursion would end the process.

// maxBrackets bounds nested brackets, over which the engine's parser recurses.
const maxBrackets = 100

type templateLexer struct {
	src string
	pos int
	out bytes.Buffer
	// lineStart is true when what was last read ended a line, or at the start.
	lineStart bool
}

func prepareTemplate(src string) (string, error) {
	if len(src) > maxTemplate {
		return "", fmt.Errorf("it has %d bytes, allowed are %d", len(src), maxTemplate)
	}
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	l := &templateLexer{src: src, lineStart: true}
	for l.pos < len(l.src) {
		if err := l.next(); err != nil {
			return "", fmt.Errorf("line %d: %w", 1+strings.Count(l.src[:min(l.pos, len(l.src))], "\n"), err)
		}
	}
	return l.out.String(), nil
}

// next reads the text up to the next tag, and the tag.
func (l *templateLexer) next() error {
	rest := l.src[l.pos:]
	at := -1
	for i := 0; ; {
		n := strings.IndexByte(rest[i:], '{')
		if n < 0 || i+n+1 >= len(rest) {
			break
		}
		i += n
		if c := rest[i+1]; c == '{' || c == '%' || c == '#' {
			at = i
			break
		}
		i++
	}
	if at < 0 {
		l.text(rest)
		l.pos = len(l.src)
		return nil
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
	switch kind {
	case '#':
		return l.comment()
	case '{':
		return l.tag("{{", "}}")
	}
	return l.tag("{%", "%}")
}

// stripBefore is what a tag's beginning does to the text before it.
func (l *templateLexer) stripBefore(text string, sign byte, block bool) string {
	switch {
	case sign == '-':
		return strings.TrimRightFunc(text, pythonSpace)
	case sign == '+' || !block:
		return text
	}
	line := strings.LastIndexByte(text, '\n') + 1
	if line == 0 && !l.lineStart {
		return text
	}
	if strings.TrimFunc(text[line:], pythonSpace) == "" {
		return text[:line]
	}
	return text
}

// pythonSpace is str.isspace: White_Space and the information separators.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F }

func (l *templateLexer) text(s string) {
	if s == "" {
		return
	}
	l.out.WriteString("{{ " + literal(s) + " }}")
}

// literal spells a string as the engine reads it.
func literal(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// stripAfter is what a tag's end does to what follows; the position is behind the tag.
func (l *templateLexer) stripAfter(sign byte, block bool) {
	switch {
	case sign == '-':
		end := len(l.src) - len(strings.TrimLeftFunc(l.src[l.pos:], pythonSpace))
		l.lineStart = end > l.pos && l.src[end-1] == '\n'
		l.pos = end
	case sign != '+' && block && strings.HasPrefix(l.src[l.pos:], "\n"):
		l.pos++
		l.lineStart = true
	}
}

func (l *templateLexer) comment() error {
	n := strings.Index(l.src[l.pos:], "#}")
	if n < 0 {
		return fmt.Errorf("a comment has no end")
	}
	sign := byte(0)
	if n > 0 {
		sign = l.src[l.pos+n-1]
	}
	l.pos += n + 2
	l.stripAfter(sign, true)
	return nil
}

// tag reads an expression or a statement, up to and with its end.
func (l *templateLexer) tag(open, end string) error {
	block := open == "{%"
	if block && l.rawBlock() {
		return l.raw()
	}
	var tokens []templateToken
	brackets := 0
	for {
		if l.pos >= len(l.src) {
			return fmt.Errorf("a tag %s has no end %s", open, end)
		}
		rest := l.src[l.pos:]
		sign := byte(0)
		if rest[0] == '-' || rest[0] == '+' && block {
			sign = rest[0]
		}
		if brackets <= 0 {
			if strings.HasPrefix(rest, end) {
				sign = 0
			} else if sign != 0 && strings.HasPrefix(rest[1:], end) {
				l.pos++
			} else {
				sign = 1
			}
			if sign != 1 {
				l.pos += len(end)
				l.statement(open, tokens)
				l.stripAfter(sign, block)
				return nil
			}
		}
		token, err := l.token()
		if err != nil {
			return err
		}
		switch token.kind {
		case '(', '[', '{':
			if brackets++; brackets > maxBrackets {
				return fmt.Errorf("brackets are nested more than %d deep", maxBrackets)
			}
		case ')', ']', '}':
			if brackets--; brackets < 0 {
				return fmt.Errorf("%q closes nothing", token.text)
			}
		}
		tokens = append(tokens, token)
	}
}

// templateToken is a word (kind 'w', numbers too), a string ('s', text is its value), white space
// (' ') or an operator, whose kind is its first character.
type templateToken struct {
	kind byte
	text string
}

// numberLiteral is a decimal number; the dot of x.5 belongs to the word before it.
var numberLiteral = regexp.MustCompile(`^[0-9][0-9_]*(\.[0-9]+)?([eE][+-]?[0-9]{1,3}\b)?`)

// token reads the next token.
func (l *templateLexer) token() (templateToken, error) {
	rest := l.src[l.pos:]
	if rest[0] == '"' || rest[0] == '\'' {
		s, err := l.strings()
		return templateToken{'s', s}, err
	}
	if number := numberLiteral.FindString(rest); number != "" {
		l.pos += len(number)
		number = strings.ReplaceAll(number, "_", "")
		if strings.ContainsAny(number, "eE") { // which the engine does not read
			f, _ := strconv.ParseFloat(number, 64)
			if number = strconv.FormatFloat(f, 'f', -1, 64); !strings.Contains(number, ".") {
				number += ".0"
			}
		}
		return templateToken{'w', number}, nil
	}
	n := 0
	for n < len(rest) && (rest[n] == '_' || rest[n] >= utf8.RuneSelf || isASCIIAlnum(rest[n])) {
		n++
	}
	if n > 0 {
		l.pos += n
		return templateToken{'w', rest[:n]}, nil
	}
	if space := len(rest) - len(strings.TrimLeftFunc(rest, pythonSpace)); space > 0 {
		l.pos += space
		return templateToken{' ', " "}, nil
	}
	n = 1
	for _, op := range []string{"==", "!=", "<=", ">=", "//", "**"} {
		if strings.HasPrefix(rest, op) {
			n = 2
		}
	}
	l.pos += n
	return templateToken{rest[0], rest[:n]}, nil
}

func isASCIIAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// statement writes a tag, and around macros the counting of their depth.
func (l *templateLexer) statement(open string, tokens []templateToken) {
	if open == "{{" {
		w := expressionWriter{tokens: tokens}
		l.out.WriteString("{{ " + printCall + "(" + w.expression() + ") }}")
		return
	}
	for len(tokens) > 0 && tokens[0].kind == ' ' {
		tokens = tokens[1:]
	}
	first := ""
	if len(tokens) > 0 {
		first = tokens[0].text
		tokens = tokens[1:]
	}
	w := expressionWriter{tokens: tokens}
	switch first {
	case "endmacro":
		l.out.WriteString("{{ " + macroLeave + "() }}{% endmacro %}")
	case "for":
		l.out.WriteString("{% for " + w.loop() + " %}")
	default:
		l.out.WriteString("{% " + first + w.expression() + " %}")
	}
	if first == "macro" {
		l.out.WriteString("{{ " + macroEnter + "() }}")
	}
}

// strings reads string literals; Jinja joins those that follow each other.
func (l *templateLexer) strings() (string, error) {
	joined := ""
	for {
		s, err := l.stringLiteral()
		if err != nil {
			return "", err
		}
		joined += s
		next := strings.TrimLeftFunc(l.src[l.pos:], pythonSpace)
		if next == "" || next[0] != '"' && next[0] != '\'' {
			return joined, nil
		}
		l.pos = len(l.src) - len(next)
	}
}

// stringLiteral reads one literal with Python's escapes.
func (l *templateLexer) stringLiteral() (string, error) {
	quote := l.src[l.pos]
	var b strings.Builder
	for i := l.pos + 1; i < len(l.src); i++ {
		c := l.src[i]
		if c == quote {
			l.pos = i + 1
			return b.String(), nil
		}
		if c != '\\' || i+1 == len(l.src) {
			b.WriteByte(c)
			continue
		}
		i++
		i += escape(&b, l.src[i:])
	}
	return "", fmt.Errorf("a string has no end")
}

// escape writes what the escape at s (behind the backslash) means and returns how many bytes beyond
// the first it takes.
func escape(b *strings.Builder, s string) int {
	simple := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'a': 7, 'b': 8, 'f': 12, 'v': 11,
		'\\': '\\', '\'': '\'', '"': '"'}
	if c, ok := simple[s[0]]; ok {
		b.WriteByte(c)
		return 0
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	if digits > 0 && len(s) > digits {
		if v, err := strconv.ParseUint(s[1:1+digits], 16, 32); err == nil && v <= unicode.MaxRune {
			b.WriteRune(rune(v))
			return digits
		}
	}
	if s[0] == '\n' {
		return 0 // a line that goes on
	}
	n := 0
	for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	if v, err := strconv.ParseUint(s[:n], 8, 32); err == nil {
		b.WriteRune(rune(v))
		return n - 1
	}
	b.WriteByte('\\')
	b.WriteByte(s[0])
	return 0
}

// rawBlock reads the rest of {% raw %} and reports whether it was that.
func (l *templateLexer) rawBlock() bool {
	rest := strings.TrimLeftFunc(l.src[l.pos:], pythonSpace)
	rest, ok := strings.CutPrefix(rest, "raw")
	if !ok {
		return false
	}
	rest = strings.TrimLeftFunc(rest, pythonSpace)
	trimmed, minus := strings.CutPrefix(rest, "-%}")
	if minus {
		l.pos = len(l.src) - len(trimmed)
		l.stripAfter('-', true)
		return true
	}
	if rest, ok = strings.CutPrefix(rest, "%}"); ok {
		l.pos = len(l.src) - len(rest)
	}
	return ok
}

// raw copies the text up to {% endraw %}.
func (l *templateLexer) raw() error {
	for at := l.pos; ; {
		n := strings.Index(l.src[at:], "{%")
		if n < 0 {
			return fmt.Errorf("a raw block has no end")
		}
		at += n
		rest := l.src[at+2:]
		sign := byte(0)
		if rest != "" && (rest[0] == '-' || rest[0] == '+') {
			sign, rest = rest[0], rest[1:]
		}
		rest, ok := strings.CutPrefix(strings.TrimLeftFunc(rest, pythonSpace), "endraw")
		rest = strings.TrimLeftFunc(rest, pythonSpace)
		end := byte(0)
		if rest != "" && (rest[0] == '-' || rest[0] == '+') {
			end, rest = rest[0], rest[1:]
		}
		if rest, found := strings.CutPrefix(rest, "%}"); ok && found {
			l.text(l.stripBefore(l.src[l.pos:at], sign, true))
			l.lineStart = false
			l.pos = len(l.src) - len(rest)
			l.stripAfter(end, true)
			return nil
		}
		at += 2
	}
}
