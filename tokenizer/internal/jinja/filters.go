package jinja

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

type filterFunc func(r *renderer, v any, args []any, kwargs Keywords) any

// filters by name. Of Jinja's own, filesizeformat, pprint, random, striptags, urlize, wordwrap and
// xmlattr are missing: no chat template has a use for them.
var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"abs": filterAbs, "attr": filterAttr, "batch": filterBatch, "default": filterDefault, "d": filterDefault,
		"dictsort": filterDictSort, "first": filterFirst, "last": filterLast, "float": filterFloat, "int": filterInt,
		"format": filterFormat, "groupby": filterGroupBy, "indent": filterIndent, "items": filterItems, "join": filterJoin,
		"length": filterLength, "count": filterLength, "map": filterMap, "max": filterMax, "min": filterMin,
		"replace": filterReplace, "reverse": filterReverse, "round": filterRound,
		"slice": filterSlice, "sort": filterSort, "sum": filterSum,
		"tojson": filterJSON, "trim": filterTrim, "truncate": filterTruncate, "unique": filterUnique, "center": filterCenter,
		"urlencode":   filterURLEncode,
		"capitalize":  plain(func(v any) any { return capitalize(str(v)) }),
		"lower":       plain(func(v any) any { return lower(str(v)) }),
		"upper":       plain(func(v any) any { return upper(str(v)) }),
		"title":       plain(func(v any) any { return titleFilter(str(v)) }),
		"wordcount":   plain(func(v any) any { return int64(len(words.FindAllString(str(v), -1))) }),
		"list":        plain(func(v any) any { return &List{items(v)} }),
		"string":      plain(func(v any) any { return softText(v) }),
		"escape":      plain(func(v any) any { return escaped(v) }),
		"e":           plain(func(v any) any { return escaped(v) }),
		"forceescape": plain(func(v any) any { return markup(escapeHTML(str(v))) }),
		"safe":        plain(func(v any) any { return markup(str(v)) }),
	}
	// These call filters and tests by their name.
	for _, name := range []string{"select", "reject", "selectattr", "rejectattr"} {
		filters[name] = selection(name)
	}
}

// plain is a filter without arguments.
func plain(f func(v any) any) filterFunc {
	return func(_ *renderer, v any, args []any, kwargs Keywords) any {
		parameters("the filter", args, kwargs)
		return f(v)
	}
}

func (r *renderer) filter(name string, v any, args []any, kwargs Keywords) any {
	f, ok := filters[name]
	if !ok {
		fail("no filter named %q", name)
	}
	return f(r, v, args, kwargs)
}

// softText is str(v), but markup stays markup.
func softText(v any) any {
	if m, ok := v.(markup); ok {
		return m
	}
	return str(v)
}

func filterAbs(_ *renderer, v any, args []any, kwargs Keywords) any {
	parameters("abs", args, kwargs)
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	if !isNumber(v) {
		fail("abs wants a number, not %s", typeName(v))
	}
	if f, ok := v.(float64); ok {
		return math.Abs(f)
	}
	if compareNumbers(v, int64(0)) < 0 {
		return sign("-", v)
	}
	return sign("+", v)
}

// filterAttr gets an attribute and never an item.
func filterAttr(_ *renderer, v any, args []any, kwargs Keywords) any {
	name := str(parameters("attr", args, kwargs, "name").required("name"))
	if _, ok := v.(*Dict); !ok {
		return attribute(v, name)
	}
	if m := method(v, name); m != nil {
		return m
	}
	return noAttribute(v, name)
}

// filterDefault replaces an undefined value, and with its second argument every false one.
func filterDefault(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("default", args, kwargs, "default_value", "boolean")
	if _, u := v.(undefined); u || p.truth("boolean", false) && !truth(v) {
		return p.value("default_value", "")
	}
	return v
}

func filterLength(_ *renderer, v any, args []any, kwargs Keywords) any {
	parameters("length", args, kwargs)
	n, ok := length(v)
	if !ok {
		fail("%s has no length", typeName(v))
	}
	return int64(n)
}

func filterFloat(_ *renderer, v any, args []any, kwargs Keywords) any {
	def := parameters("float", args, kwargs, "default").value("default", 0.0)
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	if isNumber(v) {
		return float(v)
	}
	if s, ok := text(v); ok {
		if f, ok := parseFloat(s); ok {
			return f
		}
	}
	return def
}

// parseFloat is float(s); Go's hexadecimal floats are none.
func parseFloat(s string) (float64, bool) {
	s = strings.TrimFunc(s, IsSpace)
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) || strings.ContainsAny(s, "xX_") {
		return 0, false
	}
	return f, true
}

var integerText = regexp.MustCompile(`^[-+]?[0-9A-Za-z]+(_[0-9A-Za-z]+)*$`)

// parseInt is int(s, base).
func parseInt(s string, base int) (any, bool) {
	s = strings.TrimFunc(s, IsSpace)
	digits := strings.TrimLeft(s, "+-")
	if prefix, ok := map[int]string{16: "0x", 8: "0o", 2: "0b"}[base]; ok && len(digits) > 2 && strings.EqualFold(digits[:2], prefix) {
		s = s[:len(s)-len(digits)] + digits[2:]
	}
	if base < 2 || base > 36 || len(s) > 4300 || !integerText.MatchString(s) {
		return nil, false
	}
	n, ok := new(big.Int).SetString(strings.ReplaceAll(s, "_", ""), base)
	if !ok {
		return nil, false
	}
	return shrink(n), true
}

func filterInt(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("int", args, kwargs, "default", "base")
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	if s, ok := text(v); ok {
		if n, ok := parseInt(s, int(p.whole("base", 10))); ok {
			return n
		}
		f, ok := parseFloat(s)
		if !ok {
			return p.value("default", int64(0))
		}
		v = f
	}
	switch f := v.(type) {
	case bool:
		return whole(f)
	case float64:
		if math.Abs(f) < 1<<63 {
			return int64(f)
		}
		return p.value("default", int64(0))
	}
	if isWhole(v) {
		return v
	}
	return p.value("default", int64(0))
}

func filterRound(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("round", args, kwargs, "precision", "method")
	precision := p.whole("precision", 0)
	if precision < 0 || precision > 30 {
		fail("round: the precision %d is not supported", precision)
	}
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	if !isNumber(v) {
		fail("round wants a number, not %s", typeName(v))
	}
	scale := math.Pow10(int(precision))
	switch method := p.text("method", "common"); method {
	case "common":
		if isWhole(v) {
			return sign("+", v)
		}
		f, _ := strconv.ParseFloat(strconv.FormatFloat(float(v), 'f', int(precision), 64), 64)
		return f
	case "ceil":
		return math.Ceil(float(v)*scale) / scale
	case "floor":
		return math.Floor(float(v)*scale) / scale
	}
	fail("round: the method must be common, ceil or floor")
	return nil
}

func filterFormat(_ *renderer, v any, args []any, kwargs Keywords) any {
	if len(kwargs) > 0 {
		fail("format with named arguments is not supported")
	}
	return printf(str(v), &Tuple{Items: args})
}
