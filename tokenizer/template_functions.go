package tokenizer

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/ardanlabs/jinja"
)

// Names that prepareTemplate writes into templates. What they call follows Python where the engine
// does not: it prints None as nothing and 1.0 as 1, adds anything to a string, and loops over None.
const (
	macroEnter = "trtgo_macro_enter"
	macroLeave = "trtgo_macro_leave"
	printCall  = "trtgo_print"
	addCall    = "trtgo_add"
	joinCall   = "trtgo_join"
	iterCall   = "trtgo_iter"
)

const (
	maxRange      = 100000 // jinja2's sandbox allows as much
	maxMacroDepth = 200
)

// ownFilters go before the engine's filters of the same name. The engine looks for filters that it
// does not know among the variables, under filterName.
var ownFilters = map[string]func([]jinja.Value, map[string]jinja.Value) (jinja.Value, error){
	"tojson":  dumpFilter,
	"default": defaultFilter,
	"d":       defaultFilter,
	"string":  printPython,
	"length":  lengthFilter,
	"count":   lengthFilter,
}

func filterName(name string) string { return "trtgo_filter_" + name }

// argument returns a positional or a named argument.
func argument(args []jinja.Value, kwargs map[string]jinja.Value, i int, name string) (jinja.Value, bool) {
	if i < len(args) {
		return args[i], true
	}
	v, ok := kwargs[name]
	return v, ok
}

func raiseException(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if v, ok := argument(args, kwargs, 0, "message"); ok && v.IsString() {
		return jinja.Undefined(), fmt.Errorf("the template says: %s", v.AsString())
	}
	return jinja.Undefined(), fmt.Errorf("the template raised an exception")
}

// rangeList is Python's range with the sandbox's bound.
func rangeList(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	var n [3]int64
	if len(args) < 1 || len(args) > 3 {
		return jinja.Undefined(), fmt.Errorf("range takes 1 to 3 numbers, not %d", len(args))
	}
	for i, a := range args {
		if !a.IsInt() {
			return jinja.Undefined(), fmt.Errorf("range wants whole numbers, got %s", a.String())
		}
		n[i] = a.AsInt()
	}
	start, stop, step := n[0], n[1], n[2]
	switch len(args) {
	case 1:
		start, stop, step = 0, n[0], 1
	case 2:
		step = 1
	}
	if step == 0 {
		return jinja.Undefined(), fmt.Errorf("range: the step is zero")
	}
	var items []jinja.Value
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(items) == maxRange {
			return jinja.Undefined(), fmt.Errorf("range has more than %d numbers", maxRange)
		}
		items = append(items, jinja.NewInt(i))
		if step > 0 && i > stop-step || step < 0 && i < stop-step {
			break // the next step might overflow
		}
	}
	return jinja.NewList(items), nil
}

// printPython is str: what {{ }} prints. An undefined value prints as nothing.
func printPython(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	if len(args) == 0 {
		return jinja.NewString(""), nil
	}
	return jinja.NewString(pythonString(args[0])), nil
}

func pythonString(v jinja.Value) string {
	switch {
	case v.IsString():
		return v.AsString()
	case v.IsUndefined():
		return ""
	}
	var b strings.Builder
	pythonRepr(&b, v, 0)
	return b.String()
}

// maxPrinted bounds what one value prints: a list can hold itself, or another one many times.
const maxPrinted = 16 << 20

// pythonRepr writes repr(v).
func pythonRepr(b *strings.Builder, v jinja.Value, depth int) {
	switch {
	case depth > maxJSONDepth || b.Len() > maxPrinted:
		b.WriteString("...")
	case v.IsString():
		quoteRepr(b, v.AsString())
	case v.IsFloat():
		b.WriteString(strings.NewReplacer("NaN", "nan", "Infinity", "inf").Replace(pythonFloat(v.AsFloat())))
	case v.IsList():
		b.WriteByte('[')
		for i, item := range v.AsList().Items {
			if i > 0 {
				b.WriteString(", ")
			}
			pythonRepr(b, item, depth+1)
		}
		b.WriteByte(']')
	case v.IsDict():
		b.WriteByte('{')
		for i, key := range v.AsDict().Keys {
			if i > 0 {
				b.WriteString(", ")
			}
			quoteRepr(b, key)
			b.WriteString(": ")
			pythonRepr(b, v.AsDict().Data[key], depth+1)
		}
		b.WriteByte('}')
	default:
		b.WriteString(v.String()) // None, True, 1
	}
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

// joinPython is the operator ~.
func joinPython(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	var b strings.Builder
	for _, v := range args {
		b.WriteString(pythonString(v))
	}
	return jinja.NewString(b.String()), nil
}

// addPython is the operator +, from the left: numbers, strings and lists, each to its own kind.
func addPython(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	if text, ok := addStrings(args); ok {
		return text, nil
	}
	sum := args[0]
	for _, v := range args[1:] {
		switch {
		case sum.IsString() && v.IsString():
			sum = jinja.NewString(sum.AsString() + v.AsString())
		case sum.IsList() && v.IsList():
			a, b := sum.AsList().Items, v.AsList().Items
			sum = jinja.NewList(append(append(make([]jinja.Value, 0, len(a)+len(b)), a...), b...))
		case isWhole(sum) && isWhole(v):
			sum = jinja.NewInt(whole(sum) + whole(v))
		case (isWhole(sum) || sum.IsFloat()) && (isWhole(v) || v.IsFloat()):
			sum = jinja.NewFloat(float(sum) + float(v))
		default:
			return jinja.Undefined(), fmt.Errorf("cannot add %s to %s", kindName(v), kindName(sum))
		}
	}
	return sum, nil
}

// addStrings is the common case, without quadratic copying.
func addStrings(args []jinja.Value) (jinja.Value, bool) {
	var b strings.Builder
	for _, v := range args {
		if !v.IsString() {
			return v, false
		}
		b.WriteString(v.AsString())
	}
	return jinja.NewString(b.String()), true
}

func isWhole(v jinja.Value) bool { return v.IsInt() || v.IsBool() }

func whole(v jinja.Value) int64 {
	if v.IsInt() {
		return v.AsInt()
	}
	if v.AsBool() {
		return 1
	}
	return 0
}

func float(v jinja.Value) float64 {
	if v.IsFloat() {
		return v.AsFloat()
	}
	return float64(whole(v))
}

func kindName(v jinja.Value) string {
	switch {
	case v.IsUndefined():
		return "an undefined value"
	case v.IsNone():
		return "None"
	case v.IsBool():
		return "a truth value"
	case v.IsNumber():
		return "a number"
	case v.IsString():
		return "a string"
	case v.IsList():
		return "a list"
	case v.IsDict():
		return "an object"
	}
	return "a function"
}

// iterPython is what a loop runs over.
func iterPython(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	if v := args[0]; v.IsList() || v.IsDict() || v.IsString() || v.IsUndefined() {
		return v, nil
	}
	return jinja.Undefined(), fmt.Errorf("cannot loop over %s", kindName(args[0]))
}

// defaultFilter replaces an undefined value, and with its second argument every false one.
func defaultFilter(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	def, ok := argument(args, kwargs, 1, "default_value")
	if !ok {
		def = jinja.NewString("")
	}
	boolean, _ := argument(args, kwargs, 2, "boolean")
	if v := args[0]; !v.IsUndefined() && (v.IsTruthy() || !boolean.IsTruthy()) {
		return v, nil
	}
	return def, nil
}

func lengthFilter(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	v := args[0]
	n := 0
	switch {
	case v.IsString():
		n = len([]rune(v.AsString()))
	case v.IsList():
		n = v.AsList().Len()
	case v.IsDict():
		n = v.AsDict().Len()
	case v.IsUndefined():
	default:
		return jinja.Undefined(), fmt.Errorf("%s has no length", kindName(v))
	}
	return jinja.NewInt(int64(n)), nil
}
