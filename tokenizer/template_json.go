package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/ardanlabs/jinja"
)

// maxJSONDepth bounds the nesting of messages and tools.
const maxJSONDepth = 200

// parseValue reads JSON, keeping the order of keys and the difference of 1 and 1.0.
func parseValue(raw []byte) (jinja.Value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := nextValue(d, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return jinja.Undefined(), fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return jinja.Undefined(), errors.New("not JSON: more follows the value")
	}
	return v, nil
}

func nextValue(d *json.Decoder, depth int) (jinja.Value, error) {
	if depth > maxJSONDepth {
		return jinja.Undefined(), fmt.Errorf("nested more than %d deep", maxJSONDepth)
	}
	token, err := d.Token()
	if err != nil {
		return jinja.Undefined(), err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return scalarValue(token), nil
	}
	if delim == '[' {
		var items []jinja.Value
		for d.More() {
			v, err := nextValue(d, depth+1)
			if err != nil {
				return v, err
			}
			items = append(items, v)
		}
		_, err := d.Token()
		return jinja.NewList(items), err
	}
	out := jinja.NewDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return out, err
		}
		v, err := nextValue(d, depth+1)
		if err != nil {
			return v, err
		}
		out.AsDict().Set(key.(string), v)
	}
	_, err = d.Token()
	return out, err
}

func scalarValue(token json.Token) jinja.Value {
	switch v := token.(type) {
	case bool:
		return jinja.NewBool(v)
	case string:
		return jinja.NewString(v)
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			if i, err := v.Int64(); err == nil {
				return jinja.NewInt(i)
			}
		}
		f, _ := v.Float64() // out of range: infinite, as in Python
		return jinja.NewFloat(f)
	}
	return jinja.None()
}

// dumpFilter is transformers' tojson: json.dumps with ensure_ascii off unless asked for, indent,
// separators and sort_keys.
func dumpFilter(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if len(args) == 0 {
		return jinja.Undefined(), errors.New("tojson wants a value")
	}
	d := dumper{item: ", ", key: ": "}
	if v, ok := argument(args, kwargs, 1, "ensure_ascii"); ok {
		d.ascii = v.IsTruthy()
	}
	if v, ok := argument(args, kwargs, 2, "indent"); ok && !v.IsNone() {
		d.item = ","
		d.lines = true
		switch {
		case v.IsInt():
			d.indent = strings.Repeat(" ", int(min(max(v.AsInt(), 0), 64)))
		case v.IsString():
			d.indent = v.AsString()
		}
	}
	if v, ok := argument(args, kwargs, 3, "separators"); ok && !v.IsNone() {
		if !v.IsList() || v.AsList().Len() != 2 || !v.AsList().Get(0).IsString() || !v.AsList().Get(1).IsString() {
			return jinja.Undefined(), errors.New("tojson: separators must be two strings")
		}
		d.item, d.key = v.AsList().Get(0).AsString(), v.AsList().Get(1).AsString()
	}
	if v, ok := argument(args, kwargs, 4, "sort_keys"); ok {
		d.sort = v.IsTruthy()
	}
	if err := d.value(args[0], 0); err != nil {
		return jinja.Undefined(), err
	}
	return jinja.NewString(d.out.String()), nil
}

// dumper writes values as Python's json.dumps does.
type dumper struct {
	out         strings.Builder
	item, key   string // separators
	indent      string
	lines       bool
	ascii, sort bool
}

func (d *dumper) value(v jinja.Value, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("tojson: nested more than %d deep", maxJSONDepth)
	}
	if d.out.Len() > maxPrinted {
		return fmt.Errorf("tojson: longer than %d bytes", maxPrinted)
	}
	switch {
	case v.IsNone():
		d.out.WriteString("null")
	case v.IsBool():
		d.out.WriteString(strconv.FormatBool(v.AsBool()))
	case v.IsInt():
		d.out.WriteString(strconv.FormatInt(v.AsInt(), 10))
	case v.IsFloat():
		d.out.WriteString(pythonFloat(v.AsFloat()))
	case v.IsString():
		d.string(v.AsString())
	case v.IsList():
		list := v.AsList()
		return d.members('[', ']', list.Len(), depth, func(i int) error {
			return d.value(list.Get(i), depth+1)
		})
	case v.IsDict():
		dict := v.AsDict()
		keys := dict.OrderedKeys()
		if d.sort {
			sort.Strings(keys)
		}
		return d.members('{', '}', len(keys), depth, func(i int) error {
			d.string(keys[i])
			d.out.WriteString(d.key)
			return d.value(dict.Data[keys[i]], depth+1)
		})
	default:
		return errors.New("tojson: an undefined value or a function has no JSON")
	}
	return nil
}

func (d *dumper) members(open, end byte, n, depth int, member func(int) error) error {
	d.out.WriteByte(open)
	for i := range n {
		if i > 0 {
			d.out.WriteString(d.item)
		}
		d.line(depth + 1)
		if err := member(i); err != nil {
			return err
		}
	}
	if n > 0 {
		d.line(depth)
	}
	d.out.WriteByte(end)
	return nil
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

// pythonFloat is repr of a float, with json.dumps' names for the special ones.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
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
