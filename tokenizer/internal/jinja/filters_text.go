package jinja

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

var (
	words     = regexp.MustCompile(`[\p{L}\p{N}_]+`)
	wordBegin = regexp.MustCompile(`[-\s({\[<]+`)
)

// titleFilter begins each word with a capital, where Jinja says that a word begins.
func titleFilter(s string) string {
	var b strings.Builder
	word := func(w string) {
		first, rest := cutRune(w)
		b.WriteString(upper(first) + lower(rest))
	}
	for s != "" {
		at := wordBegin.FindStringIndex(s)
		if at == nil {
			word(s)
			break
		}
		word(s[:at[0]])
		b.WriteString(s[at[0]:at[1]])
		s = s[at[1]:]
	}
	return b.String()
}

func filterTrim(_ *renderer, v any, args []any, kwargs Keywords) any {
	chars := parameters("trim", args, kwargs, "chars").value("chars", nil)
	return strip(str(v), chars, true, true)
}

func filterReplace(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("replace", args, kwargs, "old", "new", "count")
	count := int64(-1)
	if c := p.value("count", nil); c != nil {
		count = p.whole("count", -1)
	}
	return replace(str(v), str(p.required("old")), str(p.required("new")), count)
}

func replace(s, old, with string, count int64) string {
	if n := len(with) - len(old); n > 0 {
		checkSize(len(s) + n*(strings.Count(s, old)+1))
	}
	return strings.Replace(s, old, with, int(count))
}

func filterIndent(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("indent", args, kwargs, "width", "first", "blank")
	by, ok := text(p.value("width", int64(4)))
	if !ok {
		by = strings.Repeat(" ", int(min(max(p.whole("width", 4), 0), 1000)))
	}
	lines := splitLines(str(v)+"\n", false)
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == 0 && p.truth("first", false) || i > 0 && (line != "" || p.truth("blank", false)) {
			b.WriteString(by)
		}
		b.WriteString(line)
		checkSize(b.Len())
	}
	return b.String()
}

func filterTruncate(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("truncate", args, kwargs, "length", "killwords", "end", "leeway")
	runes, end := []rune(str(v)), p.text("end", "...")
	size := p.whole("length", 255)
	if int64(len(runes)) <= size+p.whole("leeway", 5) {
		return string(runes)
	}
	keep := size - int64(runeCount(end))
	if keep < 0 {
		fail("truncate: the length %d is less than that of %q", size, end)
	}
	s := string(runes[:min(keep, int64(len(runes)))])
	if !p.truth("killwords", false) {
		if i := strings.LastIndexByte(s, ' '); i >= 0 {
			s = s[:i]
		}
	}
	return s + end
}

func filterCenter(_ *renderer, v any, args []any, kwargs Keywords) any {
	return center(str(v), parameters("center", args, kwargs, "width").whole("width", 80), ' ')
}

// center is str.center: of an odd number of spaces, the one more goes left of a text of even length.
func center(s string, width int64, fill rune) string {
	gap := int(min(width, maxSize)) - runeCount(s)
	if gap <= 0 {
		return s
	}
	left := gap/2 + gap&int(width)&1
	return strings.Repeat(string(fill), left) + s + strings.Repeat(string(fill), gap-left)
}

func filterURLEncode(_ *renderer, v any, args []any, kwargs Keywords) any {
	parameters("urlencode", args, kwargs)
	if _, ok := v.(*Dict); ok {
		fail("urlencode of a dict is not supported")
	}
	var b strings.Builder
	for _, c := range []byte(str(v)) {
		if c < 0x80 && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c))) || strings.IndexByte("_.-~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
