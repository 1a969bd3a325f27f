package nemo

import (
	"fmt"
	"math"
	"strings"
)

const (
	// maxInterpolations bounds how many references are followed for one value.
	maxInterpolations = 100
	// maxInterpolated bounds the bytes of a text that is put together.
	maxInterpolated = 4 << 10
)

// unresolved stands for a value that could not be worked out: an interpolation
// with a resolver that is not known here, or one that leads nowhere.
type unresolved struct{ text, why string }

// interpolate replaces OmegaConf's interpolations in all of the tree: ${a.b}
// (from the root), ${.a} and ${..a} (from the value's own mapping and the one
// around it) and NeMo's resolvers multiply, sum, div and int_div. A config that
// lay under `model:` when it was written may say ${model.a}.
func interpolate(root map[string]any) {
	in := &interpolator{root: root}
	in.tree(root, nil)
}

type interpolator struct {
	root  map[string]any
	steps int
}

// tree works through a value in place; around are the mappings it lies in, the
// innermost last.
func (in *interpolator) tree(v any, around []map[string]any) any {
	switch v := v.(type) {
	case map[string]any:
		around = append(around[:len(around):len(around)], v)
		for key, item := range v {
			v[key] = in.tree(item, around)
		}
	case []any:
		for i, item := range v {
			v[i] = in.tree(item, around)
		}
	case string:
		in.steps = 0
		return in.text(v, around)
	}
	return v
}

// text resolves the interpolations of one string. A string that is nothing but
// one gives the value itself, otherwise texts are joined.
func (in *interpolator) text(s string, around []map[string]any) any {
	start := strings.Index(s, "${")
	if start < 0 {
		return s
	}
	if in.steps++; in.steps > maxInterpolations {
		return unresolved{s, "it refers to itself"}
	}
	end := closing(s[start+2:])
	if end < 0 {
		return unresolved{s, "a brace is not closed"}
	}
	end += start + 2
	value := in.expression(s[start+2:end], around)
	if bad, ok := value.(unresolved); ok {
		return unresolved{s, bad.why}
	}
	if start == 0 && end == len(s)-1 {
		return value
	}
	rest := in.text(s[end+1:], around)
	if bad, ok := rest.(unresolved); ok {
		return unresolved{s, bad.why}
	}
	switch value.(type) {
	case map[string]any, []any:
		return unresolved{s, "a mapping or a list is no part of a text"}
	}
	joined := s[:start] + fmt.Sprint(value) + fmt.Sprint(rest)
	if len(joined) > maxInterpolated {
		return unresolved{s, fmt.Sprintf("it would have more than %d bytes", maxInterpolated)}
	}
	return joined
}

// closing finds the brace that closes an interpolation.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

func (in *interpolator) expression(s string, around []map[string]any) any {
	if resolver, args, ok := strings.Cut(s, ":"); ok && !strings.Contains(resolver, "${") {
		return in.resolver(strings.TrimSpace(resolver), args, around)
	}
	at := in.root
	if strings.HasPrefix(s, ".") {
		up := len(s) - len(strings.TrimLeft(s, "."))
		if up > len(around) {
			return unresolved{s, "it leaves the config"}
		}
		s, around = s[up:], around[:len(around)-up+1]
		at = around[len(around)-1]
	} else {
		around = []map[string]any{in.root}
		if _, there := at["model"]; !there {
			s = strings.TrimPrefix(s, "model.")
		}
	}
	var value any = at
	for key := range strings.SplitSeq(s, ".") {
		m, ok := value.(map[string]any)
		if !ok {
			return unresolved{s, "it leads nowhere"}
		}
		if value, ok = m[key]; !ok {
			return unresolved{s, "it leads nowhere"}
		}
		if inner, ok := value.(map[string]any); ok {
			around = append(around[:len(around):len(around)], inner)
		}
	}
	if text, ok := value.(string); ok {
		return in.text(text, around)
	}
	return value
}

// resolver computes NeMo's arithmetic resolvers.
func (in *interpolator) resolver(name, args string, around []map[string]any) any {
	var values []float64
	for _, arg := range arguments(args) {
		v, ok := number(in.text(strings.TrimSpace(arg), around))
		if !ok {
			return unresolved{name, "its arguments are no numbers"}
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		return unresolved{name, "it has no arguments"}
	}
	result := values[0]
	for _, v := range values[1:] {
		switch name {
		case "multiply":
			result *= v
		case "sum":
			result += v
		case "div":
			result /= v
		case "int_div":
			result = math.Floor(result / v)
		}
	}
	switch name {
	case "multiply", "sum", "div", "int_div":
		if result == math.Trunc(result) && math.Abs(result) < 1<<53 {
			return int64(result)
		}
		return result
	}
	return unresolved{name, fmt.Sprintf("resolver %q is not known", name)}
}

// arguments splits at the commas that are in no inner interpolation.
func arguments(s string) []string {
	var list []string
	depth, from := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth == 0 {
				list = append(list, s[from:i])
				from = i + 1
			}
		}
	}
	return append(list, s[from:])
}
