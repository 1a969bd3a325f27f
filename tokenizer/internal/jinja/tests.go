package jinja

import "unicode"

// test is v is name(args).
func (r *renderer) test(name string, v any, args []any, kwargs Keywords) bool {
	operand := func() any { return parameters("the test "+name, args, kwargs, "other").required("other") }
	switch name {
	case "eq", "equalto", "==":
		return holds("==", v, operand())
	case "ne", "!=":
		return holds("!=", v, operand())
	case "lt", "lessthan", "<":
		return holds("<", v, operand())
	case "le", "<=":
		return holds("<=", v, operand())
	case "gt", "greaterthan", ">":
		return holds(">", v, operand())
	case "ge", ">=":
		return holds(">=", v, operand())
	case "in":
		return contains(operand(), v)
	case "sameas":
		return same(v, operand())
	case "divisibleby":
		return equal(operate("%", v, operand()), int64(0))
	}
	check, ok := plainTests[name]
	if !ok {
		fail("no test named %q", name)
	}
	parameters("the test "+name, args, kwargs)
	return check(v)
}

// plainTests take no argument.
var plainTests map[string]func(v any) bool

func init() {
	plainTests = map[string]func(v any) bool{
		"defined":   func(v any) bool { _, u := v.(undefined); return !u },
		"undefined": func(v any) bool { _, u := v.(undefined); return u },
		"none":      func(v any) bool { return v == nil },
		"boolean":   func(v any) bool { _, b := v.(bool); return b },
		"true":      func(v any) bool { return v == true },
		"false":     func(v any) bool { return v == false },
		"integer":   func(v any) bool { _, b := v.(bool); return isWhole(v) && !b },
		"float":     isFloat,
		"number":    isNumber,
		"string":    func(v any) bool { _, ok := text(v); return ok },
		"mapping":   func(v any) bool { _, ok := v.(*Dict); return ok },
		"sequence":  isSequence,
		"iterable":  isIterable,
		"callable":  isCallable,
		"escaped":   func(v any) bool { _, ok := v.(markup); return ok },
		"odd":       func(v any) bool { return equal(operate("%", v, int64(2)), int64(1)) },
		"even":      func(v any) bool { return equal(operate("%", v, int64(2)), int64(0)) },
		"lower":     func(v any) bool { return cased(str(v), unicode.IsUpper, unicode.IsLower) },
		"upper":     func(v any) bool { return cased(str(v), unicode.IsLower, unicode.IsUpper) },
		"filter":    func(v any) bool { return filters[str(v)] != nil },
		"test":      func(v any) bool { return plainTests[str(v)] != nil || operatorTests[str(v)] },
	}
}

var operatorTests = map[string]bool{"eq": true, "equalto": true, "==": true, "ne": true, "!=": true, "lt": true, "lessthan": true,
	"<": true, "le": true, "<=": true, "gt": true, "greaterthan": true, ">": true, "ge": true, ">=": true, "in": true, "sameas": true,
	"divisibleby": true}

func isSequence(v any) bool {
	_, ok := length(v)
	_, isView := v.(*view)
	return ok && !isView
}

func isIterable(v any) bool {
	_, ok := length(v)
	_, once := v.(*iterator)
	return ok || once
}

func isCallable(v any) bool {
	switch v.(type) {
	case Func, *boundMacro, *loopContext, undefined:
		return true
	}
	return false
}

// cased reports whether s has a character of the one case and none of the other.
func cased(s string, not, want func(rune) bool) bool {
	found := false
	for _, c := range s {
		if not(c) || unicode.IsTitle(c) {
			return false
		}
		found = found || want(c)
	}
	return found
}
