package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// ParseJSON reads JSON as Python's json.loads does: the order of keys and the difference of 1 and 1.0 stay.
func ParseJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := nextValue(d, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: more follows the value")
	}
	return v, nil
}

func nextValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		out := &List{}
		for d.More() {
			v, err := nextValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, v)
		}
		_, err := d.Token()
		return out, err
	case json.Delim('{'):
		out := NewDict()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := nextValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			out.Set(key, v)
		}
		_, err := d.Token()
		return out, err
	}
	if n, ok := token.(json.Number); ok {
		return jsonNumber(string(n)), nil
	}
	return token, nil // nil, a bool or a string
}

func jsonNumber(s string) any {
	if !strings.ContainsAny(s, ".eE") {
		// Python reads no more digits either.
		if n, ok := new(big.Int).SetString(s, 10); ok && len(s) <= 4300 {
			return shrink(n)
		}
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range: infinite, as in Python
	return f
}

// filterJSON is transformers' tojson: json.dumps with ensure_ascii off unless asked for, indent,
// separators and sort_keys.
func filterJSON(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("tojson", args, kwargs, "ensure_ascii", "indent", "separators", "sort_keys")
	d := dumper{item: ", ", key: ": ", ascii: p.truth("ensure_ascii", false), sort: p.truth("sort_keys", false)}
	if indent := p.value("indent", nil); indent != nil {
		d.item, d.lines = ",", true
		var ok bool
		if d.indent, ok = text(indent); !ok {
			d.indent = strings.Repeat(" ", int(min(max(p.whole("indent", 0), 0), 64)))
		}
	}
	if separators := p.value("separators", nil); separators != nil {
		pair := items(separators)
		if len(pair) != 2 {
			fail("tojson: separators must be two strings")
		}
		var ok1, ok2 bool
		d.item, ok1 = text(pair[0])
		d.key, ok2 = text(pair[1])
		if !ok1 || !ok2 {
			fail("tojson: separators must be two strings")
		}
	}
	d.value(v, 0)
	return d.out.String()
}

// dumper writes values as Python's json.dumps does.
type dumper struct {
	out         strings.Builder
	item, key   string // separators
	indent      string
	lines       bool
	ascii, sort bool
}

func (d *dumper) value(v any, depth int) {
	if depth > maxDepth {
		fail("tojson: nested more than %d deep", maxDepth)
	}
	checkSize(d.out.Len())
	switch v := v.(type) {
	case string:
		d.string(v)
	case markup:
		d.string(string(v))
	case *List:
		d.members('[', ']', len(v.Items), depth, func(i int) { d.value(v.Items[i], depth+1) })
	case *Tuple:
		d.members('[', ']', len(v.Items), depth, func(i int) { d.value(v.Items[i], depth+1) })
	case *Dict:
		d.dict(v, depth)
	default:
		s, ok := jsonScalar(v)
		if !ok {
			fail("tojson: %s has no JSON", typeName(v))
		}
		d.out.WriteString(s)
	}
}

// jsonScalar spells what JSON writes without quotes.
func jsonScalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "null", true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN", true
		case math.IsInf(v, 1):
			return "Infinity", true
		case math.IsInf(v, -1):
			return "-Infinity", true
		}
		return floatRepr(v), true
	}
	if !isWhole(v) {
		return "", false
	}
	return str(v), true
}

func (d *dumper) dict(v *Dict, depth int) {
	order := make([]int, v.Len())
	for i := range order {
		order[i] = i
	}
	if d.sort {
		slices.SortStableFunc(order, func(a, b int) int { return compare(v.keys[a], v.keys[b]) })
	}
	d.members('{', '}', len(order), depth, func(i int) {
		key := v.keys[order[i]]
		name, ok := text(key)
		if !ok {
			name, _ = jsonScalar(key)
		}
		d.string(name)
		d.out.WriteString(d.key)
		d.value(v.values[order[i]], depth+1)
	})
}

func (d *dumper) members(open, end byte, n, depth int, member func(int)) {
	d.out.WriteByte(open)
	for i := range n {
		if i > 0 {
			d.out.WriteString(d.item)
		}
		d.line(depth + 1)
		member(i)
	}
	if n > 0 {
		d.line(depth)
	}
	d.out.WriteByte(end)
}

func (d *dumper) line(depth int) {
	if d.lines {
		d.out.WriteByte('\n')
		for range depth {
			d.out.WriteString(d.indent)
		}
	}
}

func (d *dumper) string(s string) {
	d.out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			d.out.WriteByte('\\')
			d.out.WriteRune(r)
		case r == '\n':
			d.out.WriteString(`\n`)
		case r == '\r':
			d.out.WriteString(`\r`)
		case r == '\t':
			d.out.WriteString(`\t`)
		case r == '\b':
			d.out.WriteString(`\b`)
		case r == '\f':
			d.out.WriteString(`\f`)
		case r < 0x20 || d.ascii && r >= 0x7F && r < 0x10000:
			fmt.Fprintf(&d.out, `\u%04x`, r)
		case d.ascii && r >= 0x10000:
			fmt.Fprintf(&d.out, `\u%04x\u%04x`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
		default:
			d.out.WriteRune(r)
		}
	}
	d.out.WriteByte('"')
}
