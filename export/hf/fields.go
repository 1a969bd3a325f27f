package hf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// fields reads keys of a JSON object; the first error sticks.
type fields struct {
	values map[string]json.RawMessage
	err    error
}

// get reads the first of the keys that is there and not null into value.
func (f *fields) get(value any, keys ...string) bool {
	for _, key := range keys {
		raw, ok := f.values[key]
		if !ok || string(raw) == "null" {
			continue
		}
		if err := json.Unmarshal(raw, value); err != nil {
			if f.err == nil {
				f.err = fmt.Errorf("%s: %w", key, mistyped(raw, value, err))
			}
			return false
		}
		return true
	}
	return false
}

// mistyped says in JSON's words what is there instead of what is wanted.
func mistyped(raw json.RawMessage, value any, err error) error {
	var want string
	switch value.(type) {
	case *bool:
		want = "true or false"
	case *float64:
		want = "a number of 64 bits"
	case *string:
		want = "a text"
	case *[]string:
		want = "a list of texts"
	case *map[string]json.RawMessage:
		want = "an object"
	default:
		return err
	}
	return fmt.Errorf("%.60s is not %s", raw, want)
}

// integer reads a whole number, which some writers spell 4096.0.
func (f *fields) integer(value *int64, keys ...string) bool {
	var number float64
	if !f.get(&number, keys...) {
		return false
	}
	if number != math.Trunc(number) || math.Abs(number) > 1<<53 {
		if f.err == nil {
			f.err = fmt.Errorf("%s: %g is not a whole number up to 2^53", keys[0], number)
		}
		return false
	}
	*value = int64(number)
	return true
}

// finite turns the bare Infinity, -Infinity and NaN that Python writes and JSON
// does not know into texts, which no key that is read takes for a number. Texts
// are left alone.
func finite(text []byte) []byte {
	var out []byte
	inText := false
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case inText && ch == '\\':
			out = append(out, ch)
			if i++; i < len(text) {
				out = append(out, text[i])
			}
			continue
		case ch == '"':
			inText = !inText
		case !inText && (ch == '-' || ch == 'I' || ch == 'N'):
			if n := nonFinite(text[i:]); n > 0 {
				out = append(append(append(out, '"'), text[i:i+n]...), '"')
				i += n - 1
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}

func nonFinite(text []byte) int {
	for _, word := range []string{"-Infinity", "Infinity", "NaN"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return len(word)
		}
	}
	return 0
}
