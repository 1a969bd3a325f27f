package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func runeCount(s string) int { return utf8.RuneCountInString(s) }

// str is Python's str(v): what {{ v }} prints.
func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case markup:
		return string(v)
	case undefined:
		return ""
	}
	var b strings.Builder
	repr(&b, v, 0)
	return b.String()
}

// repr writes Python's repr(v).
func repr(b *strings.Builder, v any, depth int) {
	if depth > maxDepth {
		fail("a value is nested more than %d deep", maxDepth)
	}
	checkSize(b.Len())
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case *big.Int:
		b.WriteString(v.String())
	case float64:
		b.WriteString(floatRepr(v))
	case string:
		quoteRepr(b, v)
	case markup:
		b.WriteString("Markup(")
		quoteRepr(b, string(v))
		b.WriteByte(')')
	case undefined:
		b.WriteString("Undefined")
	case *List:
		reprItems(b, "[", v.Items, "]", depth)
	case *Tuple:
		if len(v.Items) == 1 {
			reprItems(b, "(", v.Items, ",)", depth)
			return
		}
		reprItems(b, "(", v.Items, ")", depth)
	case *view:
		reprItems(b, v.name+"([", v.items, "])", depth)
	case *Dict:
		b.WriteByte('{')
		for i, key := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			repr(b, key, depth+1)
			b.WriteString(": ")
			repr(b, v.values[i], depth+1)
		}
		b.WriteByte('}')
	case rangeValue:
		fmt.Fprintf(b, "range(%d, %d", v.start, v.stop)
		if v.step != 1 {
			fmt.Fprintf(b, ", %d", v.step)
		}
		b.WriteByte(')')
	default:
		fail("a %s has no text", typeName(v))
	}
}

func reprItems(b *strings.Builder, open string, list []any, end string, depth int) {
	b.WriteString(open)
	for i, item := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		repr(b, item, depth+1)
	}
	b.WriteString(end)
}

// floatRepr is repr of a float.
func floatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64)), "+")
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quoteRepr writes repr of a string: in single quotes, unless it has those and no double ones.
func quoteRepr(b *strings.Builder, s string) {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
}

// IsSpace is str.isspace: White_Space and the information separators.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F }

// splitLines is str.splitlines.
func splitLines(s string, keepEnds bool) []string {
	var out []string
	for s != "" {
		n := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if n < 0 {
			return append(out, s)
		}
		_, w := utf8.DecodeRuneInString(s[n:])
		if strings.HasPrefix(s[n:], "\r\n") {
			w = 2
		}
		if keepEnds {
			out = append(out, s[:n+w])
		} else {
			out = append(out, s[:n])
		}
		s = s[n+w:]
	}
	return out
}

// upperOf has the characters whose upper case is more than one character, each before its upper case.
var upperOf = map[rune]string{'ß': "SS", 'ŉ': "ʼN", 'ǰ': "J\u030c", 'ΐ': "Ϊ\u0301", 'ΰ': "Ϋ\u0301", 'և': "ԵՒ", 'ẖ': "H\u0331",
	'ẗ': "T\u0308", 'ẘ': "W\u030a", 'ẙ': "Y\u030a", 'ẚ': "Aʾ", 'ﬀ': "FF", 'ﬁ': "FI", 'ﬂ': "FL", 'ﬃ': "FFI", 'ﬄ': "FFL", 'ﬅ': "ST", 'ﬆ': "ST"}

func upper(s string) string {
	var b strings.Builder
	for _, r := range s {
		if u, ok := upperOf[r]; ok {
			b.WriteString(u)
		} else {
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

// lower is str.lower: a sigma that ends a word has a form of its own.
func lower(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && i > 0 && unicode.IsLetter(runes[i-1]) && (i+1 == len(runes) || !unicode.IsLetter(runes[i+1])):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// capitalize is str.capitalize.
func capitalize(s string) string {
	first, rest := cutRune(s)
	return title(first) + lower(rest)
}

// title is the title case of a character: of an upper case of several, only the first stays one.
func title(char string) string {
	r, _ := utf8.DecodeRuneInString(char)
	if u, ok := upperOf[r]; ok {
		first, rest := cutRune(u)
		return first + lower(rest)
	}
	return strings.ToTitle(char)
}

// escapeHTML is markupsafe.escape.
var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace

func escaped(v any) markup {
	if m, ok := v.(markup); ok {
		return m
	}
	return markup(escapeHTML(str(v)))
}
