package jinja

import (
	"slices"
	"strings"
	"unicode"
)

// method returns the method of a value, or nil. Those that would change a value are refused when they are
// called, as by jinja2's immutable sandbox.
func method(v any, name string) any {
	var call func(p []any, kwargs Keywords) any
	switch v := v.(type) {
	case string:
		call = stringMethod(v, name)
	case markup:
		call = stringMethod(string(v), name)
	case *Dict:
		call = dictMethod(v, name)
	case *List:
		call = sequenceMethod("list", v.Items, name)
	case *Tuple:
		call = sequenceMethod("tuple", v.Items, name)
	}
	if call == nil {
		return nil
	}
	return Func(func(args []any, kwargs Keywords) (any, error) { return call(args, kwargs), nil })
}

type methodFunc = func(args []any, kwargs Keywords) any

func unsafe(kind, name string) methodFunc {
	return func([]any, Keywords) any {
		fail("the method %s of a %s would change it, which templates may not", name, kind)
		return nil
	}
}

func dictMethod(d *Dict, name string) methodFunc {
	list := func(view *view) methodFunc {
		return func(args []any, kwargs Keywords) any {
			parameters(name, args, kwargs)
			return view
		}
	}
	switch name {
	case "get":
		return func(args []any, kwargs Keywords) any {
			p := parameters("get", args, kwargs, "key", "default")
			if v, ok := d.Get(p.required("key")); ok {
				return v
			}
			return p.value("default", nil)
		}
	case "items":
		return list(&view{"dict_items", pairs(d)})
	case "keys":
		return list(&view{"dict_keys", d.keys})
	case "values":
		return list(&view{"dict_values", d.values})
	case "copy":
		return func([]any, Keywords) any { return d.copy() }
	case "clear", "pop", "popitem", "setdefault", "update":
		return unsafe("dict", name)
	}
	return nil
}

func sequenceMethod(kind string, list []any, name string) methodFunc {
	operand := func(args []any, kwargs Keywords) any {
		return parameters(name, args, kwargs, "value").required("value")
	}
	switch name {
	case "index":
		return func(args []any, kwargs Keywords) any {
			v := operand(args, kwargs)
			i := slices.IndexFunc(list, func(item any) bool { return equal(item, v) })
			if i < 0 {
				fail("index: %s is not in the %s", str(v), kind)
			}
			return int64(i)
		}
	case "count":
		return func(args []any, kwargs Keywords) any {
			v, n := operand(args, kwargs), int64(0)
			for _, item := range list {
				if equal(item, v) {
					n++
				}
			}
			return n
		}
	}
	if kind != "list" {
		return nil
	}
	switch name {
	case "copy":
		return func([]any, Keywords) any { return &List{slices.Clone(list)} }
	case "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort":
		return unsafe("list", name)
	}
	return nil
}

// stringMethod returns the methods of str.
func stringMethod(s, name string) methodFunc {
	if f, ok := changes[name]; ok {
		return func(args []any, kwargs Keywords) any {
			parameters(name, args, kwargs)
			return f(s)
		}
	}
	if f, ok := predicates[name]; ok {
		return func(args []any, kwargs Keywords) any {
			parameters(name, args, kwargs)
			return f(s)
		}
	}
	if f, ok := stringMethods[name]; ok {
		return func(args []any, kwargs Keywords) any { return f(s, args, kwargs) }
	}
	switch name {
	case "encode", "translate", "maketrans", "format_map", "isidentifier", "isprintable":
		return func([]any, Keywords) any {
			fail("the method %s of a str is not supported", name)
			return nil
		}
	}
	return nil
}

var changes = map[string]func(string) string{
	"upper": upper, "lower": lower, "capitalize": capitalize, "casefold": lower,
	"title": func(s string) string {
		var b strings.Builder
		inWord := false
		for _, r := range s {
			if inWord {
				b.WriteString(lower(string(r)))
			} else {
				b.WriteString(title(string(r)))
			}
			inWord = unicode.IsLetter(r)
		}
		return b.String()
	},
	"swapcase": func(s string) string {
		var b strings.Builder
		for _, r := range s {
			if unicode.IsUpper(r) {
				b.WriteString(lower(string(r)))
			} else {
				b.WriteString(upper(string(r)))
			}
		}
		return b.String()
	},
}

var predicates = map[string]func(string) bool{
	"isalpha":   func(s string) bool { return all(s, unicode.IsLetter) },
	"isdigit":   func(s string) bool { return all(s, unicode.IsDigit) },
	"isdecimal": func(s string) bool { return all(s, unicode.IsDigit) },
	"isnumeric": func(s string) bool { return all(s, unicode.IsNumber) },
	"isalnum": func(s string) bool {
		return all(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
	},
	"isspace": func(s string) bool { return all(s, IsSpace) },
	"isascii": func(s string) bool { return s == "" || all(s, func(r rune) bool { return r < 0x80 }) },
	"islower": func(s string) bool { return cased(s, unicode.IsUpper, unicode.IsLower) },
	"isupper": func(s string) bool { return cased(s, unicode.IsLower, unicode.IsUpper) },
	"istitle": func(s string) bool {
		inWord, found := false, false
		for _, r := range s {
			if unicode.IsUpper(r) && inWord || unicode.IsLower(r) && !inWord {
				return false
			}
			inWord = unicode.IsUpper(r) || unicode.IsLower(r)
			found = found || inWord
		}
		return found
	},
}

func all(s string, f func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !f(r) }) < 0
}

// noNames refuses named arguments, which these methods do not have.
func noNames(name string, args []any, kwargs Keywords, names ...string) given {
	if len(kwargs) > 0 {
		fail("%s takes no named arguments", name)
	}
	return parameters(name, args, nil, names...)
}

type stringFunc = func(s string, args []any, kwargs Keywords) any

var stringMethods map[string]stringFunc

func init() {
	stringMethods = map[string]stringFunc{
		"strip": stripMethod("strip", true, true), "lstrip": stripMethod("lstrip", true, false), "rstrip": stripMethod("rstrip", false, true),
		"split": splitMethod, "rsplit": rsplitMethod,
		"startswith": affix("startswith", strings.HasPrefix), "endswith": affix("endswith", strings.HasSuffix),
		"find": find("find", strings.Index), "rfind": find("rfind", strings.LastIndex),
		"index": find("index", strings.Index), "rindex": find("rindex", strings.LastIndex),
		"partition": partition("partition", strings.Index), "rpartition": partition("rpartition", strings.LastIndex),
		"center": padded("center"), "ljust": padded("ljust"), "rjust": padded("rjust"), "zfill": padded("zfill"),
		"format": formatMethod,
		"splitlines": func(s string, args []any, kwargs Keywords) any {
			return texts(splitLines(s, parameters("splitlines", args, kwargs, "keepends").truth("keepends", false)))
		},
		"replace": func(s string, args []any, kwargs Keywords) any {
			p := noNames("replace", args, kwargs, "old", "new", "count")
			p.required("old")
			p.required("new")
			return replace(s, p.text("old", ""), p.text("new", ""), p.whole("count", -1))
		},
		"count": func(s string, args []any, kwargs Keywords) any {
			p := noNames("count", args, kwargs, "sub", "start", "end")
			p.required("sub")
			return int64(strings.Count(window(s, p), p.text("sub", "")))
		},
		"join": func(s string, args []any, kwargs Keywords) any {
			p := noNames("join", args, kwargs, "iterable")
			var parts []string
			for i, v := range items(p.required("iterable")) {
				part, ok := text(v)
				if !ok {
					fail("join: item %d is no str but %s", i, typeName(v))
				}
				parts = append(parts, part)
			}
			return strings.Join(parts, s)
		},
		"removeprefix": func(s string, args []any, kwargs Keywords) any {
			return strings.TrimPrefix(s, noNames("removeprefix", args, kwargs, "prefix").text("prefix", ""))
		},
		"removesuffix": func(s string, args []any, kwargs Keywords) any {
			return strings.TrimSuffix(s, noNames("removesuffix", args, kwargs, "suffix").text("suffix", ""))
		},
		"expandtabs": func(s string, args []any, kwargs Keywords) any {
			size := int(min(max(parameters("expandtabs", args, kwargs, "tabsize").whole("tabsize", 8), 0), 100))
			var b strings.Builder
			column := 0
			for _, r := range s {
				switch {
				case r == '\t' && size > 0:
					b.WriteString(strings.Repeat(" ", size-column%size))
					column += size - column%size
				case r == '\t':
				case r == '\n' || r == '\r':
					b.WriteRune(r)
					column = 0
				default:
					b.WriteRune(r)
					column++
				}
			}
			return b.String()
		},
	}
}

func texts(list []string) *List {
	out := &List{Items: make([]any, len(list))}
	for i, s := range list {
		out.Items[i] = s
	}
	return out
}

// strip takes white space, or the characters of chars, from the ends.
func strip(s string, chars any, left, right bool) string {
	gone := IsSpace
	if chars != nil {
		set, ok := text(chars)
		if !ok {
			fail("strip wants a str, not %s", typeName(chars))
		}
		gone = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, gone)
	}
	if right {
		s = strings.TrimRightFunc(s, gone)
	}
	return s
}

func stripMethod(name string, left, right bool) stringFunc {
	return func(s string, args []any, kwargs Keywords) any {
		return strip(s, noNames(name, args, kwargs, "chars").value("chars", nil), left, right)
	}
}

func splitMethod(s string, args []any, kwargs Keywords) any {
	p := parameters("split", args, kwargs, "sep", "maxsplit")
	limit := int(p.whole("maxsplit", -1))
	if p.value("sep", nil) == nil {
		var out []string
		for s = strings.TrimLeftFunc(s, IsSpace); s != ""; s = strings.TrimLeftFunc(s, IsSpace) {
			end := strings.IndexFunc(s, IsSpace)
			if end < 0 || len(out) == limit {
				end = len(s)
			}
			out = append(out, s[:end])
			s = s[end:]
		}
		return texts(out)
	}
	parts := -1 // all
	if limit >= 0 {
		parts = limit + 1
	}
	return texts(strings.SplitN(s, separator(p), parts))
}

func separator(p given) string {
	sep := p.text("sep", "")
	if sep == "" {
		fail("%s: the separator is empty", p.function)
	}
	return sep
}

func rsplitMethod(s string, args []any, kwargs Keywords) any {
	p := parameters("rsplit", args, kwargs, "sep", "maxsplit")
	limit := p.whole("maxsplit", -1)
	if p.value("sep", nil) == nil {
		if limit < 0 {
			return splitMethod(s, nil, nil)
		}
		fail("rsplit at white space with maxsplit is not supported")
	}
	sep := separator(p)
	var out []string
	for limit != 0 {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			break
		}
		out = append(out, s[i+len(sep):])
		s = s[:i]
		limit--
	}
	out = append(out, s)
	slices.Reverse(out)
	return texts(out)
}

// window is s[start:end] of the arguments.
func window(s string, p given) string {
	if p.value("start", nil) == nil && p.value("end", nil) == nil {
		return s
	}
	return sliced(s, p.value("start", nil), p.value("end", nil), nil).(string)
}

func affix(name string, has func(s, affix string) bool) stringFunc {
	return func(s string, args []any, kwargs Keywords) any {
		p := noNames(name, args, kwargs, "prefix", "start", "end")
		s = window(s, p)
		choices := []any{p.required("prefix")}
		if t, ok := choices[0].(*Tuple); ok {
			choices = t.Items
		}
		for _, c := range choices {
			part, ok := text(c)
			if !ok {
				fail("%s wants a str or a tuple of them, not %s", name, typeName(c))
			}
			if has(s, part) {
				return true
			}
		}
		return false
	}
}

// find counts characters, not bytes.
func find(name string, index func(s, sub string) int) stringFunc {
	return func(s string, args []any, kwargs Keywords) any {
		p := noNames(name, args, kwargs, "sub", "start", "end")
		p.required("sub")
		part := window(s, p)
		i := index(part, p.text("sub", ""))
		if i < 0 {
			if strings.HasSuffix(name, "index") {
				fail("%s: the text is not there", name)
			}
			return int64(-1)
		}
		at := int64(runeCount(part[:i]))
		if start := p.value("start", nil); start != nil {
			from := bound(start)
			if from < 0 {
				from = max(from+int64(runeCount(s)), 0)
			}
			at += from
		}
		return at
	}
}

func partition(name string, index func(s, sub string) int) stringFunc {
	return func(s string, args []any, kwargs Keywords) any {
		sep := separator(noNames(name, args, kwargs, "sep"))
		i := index(s, sep)
		switch {
		case i >= 0:
			return &Tuple{Items: []any{s[:i], sep, s[i+len(sep):]}}
		case name == "partition":
			return &Tuple{Items: []any{s, "", ""}}
		}
		return &Tuple{Items: []any{"", "", s}}
	}
}

func padded(name string) stringFunc {
	return func(s string, args []any, kwargs Keywords) any {
		p := noNames(name, args, kwargs, "width", "fill")
		p.required("width")
		width := min(p.whole("width", 0), maxSize)
		fill := p.text("fill", " ")
		if runeCount(fill) != 1 {
			fail("%s wants one character to fill with, not %q", name, fill)
		}
		gap := strings.Repeat(fill, max(int(width)-runeCount(s), 0))
		switch name {
		case "ljust":
			return s + gap
		case "rjust":
			return gap + s
		case "zfill":
			gap = strings.Repeat("0", len(gap))
			if s != "" && (s[0] == '-' || s[0] == '+') {
				return s[:1] + gap + s[1:]
			}
			return gap + s
		}
		return center(s, width, []rune(fill)[0])
	}
}
