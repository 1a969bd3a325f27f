package jinja

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var conversion = regexp.MustCompile(`^%([-+ 0#]*)([0-9]{1,4})?(\.[0-9]{1,3})?(.)`)

// printf is the operator % of str.
func printf(format string, v any) string {
	args := []any{v}
	t, isTuple := v.(*Tuple)
	if isTuple {
		args = t.Items
	}
	var b strings.Builder
	for format != "" {
		at := strings.IndexByte(format, '%')
		if at < 0 {
			b.WriteString(format)
			break
		}
		b.WriteString(format[:at])
		m := conversion.FindStringSubmatch(format[at:])
		if m == nil {
			fail("%q is no format that is supported", format[at:])
		}
		format = format[at+len(m[0]):]
		if m[4] == "%" {
			b.WriteByte('%')
			continue
		}
		if len(args) == 0 {
			fail("too few values for the format")
		}
		b.WriteString(convert(m, args[0]))
		args = args[1:]
		checkSize(b.Len())
	}
	if len(args) > 0 && (isTuple || !isMappingLike(v)) {
		fail("%d values more than the format takes", len(args))
	}
	return b.String()
}

// isMappingLike holds for what may be left over: Python looks values up in it.
func isMappingLike(v any) bool {
	switch v.(type) {
	case *Dict, *List, undefined:
		return true
	}
	return false
}

func convert(m []string, v any) string {
	flags, width, precision := m[1], m[2], m[3]
	verb := "%" + flags + width + precision
	switch m[4] {
	case "s", "r":
		s := str(v)
		if m[4] == "r" {
			var b strings.Builder
			repr(&b, v, 0)
			s = b.String()
		}
		return fmt.Sprintf("%"+strings.Trim(flags, "+0# ")+width+precision+"s", s)
	case "d", "i", "x", "X", "o":
		if f, ok := v.(float64); ok && strings.Contains("di", m[4]) {
			return fmt.Sprintf(verb+"d", int64(f))
		}
		if isWhole(v) {
			return fmt.Sprintf(verb+strings.Replace(m[4], "i", "d", 1), bigInt(v))
		}
	case "f", "F", "e", "E", "g", "G":
		if isNumber(v) {
			if precision == "" {
				verb += ".6"
			}
			return fmt.Sprintf(verb+m[4], float(v))
		}
	case "c":
		if s, ok := text(v); ok && runeCount(s) == 1 {
			return s
		}
	default:
		fail("the format %q is not supported", m[0])
	}
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	fail("the format %q wants a number, not %s", m[0], typeName(v))
	return ""
}

// formatMethod is str.format with {}, {0} and {name}.
func formatMethod(s string, args []any, kwargs Keywords) any {
	var b strings.Builder
	next := 0
	for s != "" {
		at := strings.IndexAny(s, "{}")
		if at < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:at])
		if strings.HasPrefix(s[at:], "{{") || strings.HasPrefix(s[at:], "}}") {
			b.WriteByte(s[at])
			s = s[at+2:]
			continue
		}
		end := strings.IndexByte(s[at:], '}')
		if s[at] == '}' || end < 0 {
			fail("format: a single %q in the text", s[at:at+1])
		}
		field := s[at+1 : at+end]
		s = s[at+end+1:]
		b.WriteString(str(formatField(field, &next, args, kwargs)))
		checkSize(b.Len())
	}
	return b.String()
}

func formatField(field string, next *int, args []any, kwargs Keywords) any {
	if strings.ContainsAny(field, ":!.[{") {
		fail("format: the field {%s} is not supported", field)
	}
	i, err := strconv.Atoi(field)
	if field == "" {
		i, err = *next, nil
		*next++
	}
	if err == nil {
		if i < 0 || i >= len(args) {
			fail("format: there is no value %d", i)
		}
		return args[i]
	}
	v, ok := kwargs.Get(field)
	if !ok {
		fail("format: there is no value named %s", field)
	}
	return v
}
