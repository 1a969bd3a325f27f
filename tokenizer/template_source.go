package tokenizer

import (
	"bytes"
	"fmt"
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
// It also decodes Python's string escapes, renames the filters that this package provides, and
// counts the depth of macros, whose endless recursion would end the process.

const (
	macroEnter = "trtgo_macro_enter"
	macroLeave = "trtgo_macro_leave"
)

// ownFilters are filters that the engine has, but not as transformers has them. The engine looks
// for unknown filters among the variables.
var ownFilters = map[string]bool{"tojson": true}

func filterName(name string) string { return "trtgo_" + name }

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
	l.out.WriteString("{{ ")
	l.literal(s)
	l.out.WriteString(" }}")
}

// literal writes a string as the engine reads it.
func (l *templateLexer) literal(s string) {
	l.out.WriteByte('"')
	for i := range len(s) {
		switch s[i] {
		case '"', '\\':
			l.out.WriteByte('\\')
		}
		l.out.WriteByte(s[i])
	}
	l.out.WriteByte('"')
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

// tag copies an expression or a statement, up to and with its end.
func (l *templateLexer) tag(open, end string) error {
	start := l.out.Len()
	block := open == "{%"
	if block && l.rawBlock() {
		return l.raw()
	}
	words := tagWords{}
	brackets := 0
	l.out.WriteString(open)
	for {
		if l.pos >= len(l.src) {
			return fmt.Errorf("a tag %s has no end %s", open, end)
		}
		rest := l.src[l.pos:]
		sign := byte(0)
		if (rest[0] == '-' || rest[0] == '+' && block) && strings.HasPrefix(rest[1:], end) {
			sign = rest[0]
			rest = rest[1:]
			l.pos++
		}
		if brackets == 0 && strings.HasPrefix(rest, end) {
			l.pos += len(end)
			l.out.WriteString(" " + end)
			l.macro(start, words.first)
			l.stripAfter(sign, block)
			return nil
		}
		if sign != 0 {
			return fmt.Errorf("a tag ends inside brackets")
		}
		c := rest[0]
		switch {
		case c == '"' || c == '\'':
			if err := l.strings(); err != nil {
				return err
			}
			words.pipe = false
			continue
		case strings.IndexByte("([{", c) >= 0:
			if brackets++; brackets > maxBrackets {
				return fmt.Errorf("brackets are nested more than %d deep", maxBrackets)
			}
		case strings.IndexByte(")]}", c) >= 0:
			brackets--
		}
		l.word(&words, rest)
	}
}

// tagWords is what is known of a tag's words so far.
type tagWords struct {
	first string
	pipe  bool // the last word was |
}

// word copies one word or character.
func (l *templateLexer) word(w *tagWords, rest string) {
	c := rest[0]
	n := 0
	for n < len(rest) && (rest[n] == '_' || rest[n] >= utf8.RuneSelf || isASCIIAlnum(rest[n])) {
		n++
	}
	switch {
	case n > 0:
		name := rest[:n]
		if w.first == "" {
			w.first = name
		}
		if w.pipe && ownFilters[name] {
			name = filterName(name)
		}
		l.out.WriteString(name)
		w.pipe = false
		l.pos += n
	case c == ' ' || c == '\t' || c == '\n':
		l.pos++
		l.out.WriteByte(' ')
	default:
		w.pipe = c == '|'
		l.pos++
		l.out.WriteByte(c)
		if c == '}' || c == '{' {
			l.out.WriteByte(' ')
		}
	}
}

func isASCIIAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// macro counts the depth of macros in and out.
func (l *templateLexer) macro(start int, first string) {
	switch first {
	case "macro":
		l.out.WriteString("{{ " + macroEnter + "() }}")
	case "endmacro":
		tag := string(l.out.Bytes()[start:])
		l.out.Truncate(start)
		l.out.WriteString("{{ " + macroLeave + "() }}" + tag)
	}
}

// strings reads string literals; Jinja joins those that follow each other.
func (l *templateLexer) strings() error {
	joined := ""
	for {
		s, err := l.stringLiteral()
		if err != nil {
			return err
		}
		joined += s
		next := strings.TrimLeftFunc(l.src[l.pos:], pythonSpace)
		if next == "" || next[0] != '"' && next[0] != '\'' {
			break
		}
		l.pos = len(l.src) - len(next)
	}
	l.literal(joined)
	return nil
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
