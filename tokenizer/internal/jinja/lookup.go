package jinja

import "strings"

// attribute is v.name: a method, an attribute, or, of a dict, the value under that key.
func attribute(v any, name string) any {
	if strings.HasPrefix(name, "__") {
		return undefined{"access to the attribute '" + name + "' is unsafe"}
	}
	switch v := v.(type) {
	case undefined:
		v.fail()
	case *namespace:
		if value, ok := v.attributes.Get(name); ok {
			return value
		}
	case *loopContext:
		if value, ok := v.attribute(name); ok {
			return value
		}
	case *boundMacro:
		switch name {
		case "name":
			return v.macro.name
		case "arguments":
			t := &Tuple{}
			for _, p := range v.macro.params {
				t.Items = append(t.Items, p)
			}
			return t
		}
	case *Tuple:
		for i, n := range v.names {
			if n == name {
				return v.Items[i]
			}
		}
	}
	if m := method(v, name); m != nil {
		return m
	}
	if d, ok := v.(*Dict); ok {
		if value, ok := d.Get(name); ok {
			return value
		}
	}
	return noAttribute(v, name)
}

func noAttribute(v any, name string) any {
	if v == nil {
		return undefined{"None has no attribute '" + name + "'"}
	}
	return undefined{"'" + typeName(v) + " object' has no attribute '" + name + "'"}
}

// item is v[key].
func item(v, key any) any {
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	if d, ok := v.(*Dict); ok {
		if value, ok := d.Get(key); ok {
			return value
		}
	} else if isWhole(key) {
		if value, ok := element(v, whole(key)); ok {
			return value
		}
		return undefined{"'" + typeName(v) + " object' has no element " + str(key)}
	}
	if s, ok := text(key); ok {
		if _, isDict := v.(*Dict); isDict {
			if m := method(v, s); m != nil {
				return m
			}
			return noAttribute(v, s)
		}
		return attribute(v, s)
	}
	return undefined{"'" + typeName(v) + " object' has no element " + typeName(key)}
}

// element returns the element at i, which counts from the end when it is negative.
func element(v any, i int64) (any, bool) {
	n, ok := length(v)
	if !ok {
		return nil, false
	}
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		return nil, false
	}
	switch v := v.(type) {
	case *List:
		return v.Items[i], true
	case *Tuple:
		return v.Items[i], true
	case rangeValue:
		return v.start + i*v.step, true
	}
	if s, ok := text(v); ok {
		for range i {
			_, s = cutRune(s)
		}
		first, _ := cutRune(s)
		return first, true
	}
	return nil, false
}

// cutRune returns the first character of s and the rest.
func cutRune(s string) (string, string) {
	for i := range s {
		if i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// sliced is v[start:stop:step].
func sliced(v, start, stop, step any) any {
	n, ok := length(v)
	if u, isUndefined := v.(undefined); isUndefined {
		u.fail()
	}
	if !ok {
		fail("%s cannot be sliced", typeName(v))
	}
	by := int64(1)
	if step != nil {
		by = bound(step)
	}
	if by == 0 {
		fail("the step of a slice is zero")
	}
	lo, hi := int64(0), int64(n)
	if by < 0 {
		lo, hi = -1, int64(n)-1
	}
	clamp := func(v any, def int64) int64 {
		if v == nil {
			return def
		}
		i := bound(v)
		if i < 0 {
			i += int64(n)
		}
		return min(max(i, lo), hi)
	}
	from, to := clamp(start, lo), clamp(stop, hi)
	if by < 0 {
		from, to = clamp(start, hi), clamp(stop, lo)
	}
	r := rangeValue{from, to, by}
	pick := func(get func(i int64) any) []any {
		out := make([]any, 0, r.len())
		for i := range r.len() {
			out = append(out, get(r.start+i*r.step))
		}
		return out
	}
	switch v := v.(type) {
	case *List:
		return &List{pick(func(i int64) any { return v.Items[i] })}
	case *Tuple:
		return &Tuple{Items: pick(func(i int64) any { return v.Items[i] })}
	case rangeValue:
		return rangeValue{v.start + from*v.step, v.start + to*v.step, v.step * by}
	}
	if s, ok := text(v); ok {
		runes := []rune(s)
		var b strings.Builder
		for i := range r.len() {
			b.WriteRune(runes[r.start+i*r.step])
		}
		return b.String()
	}
	fail("%s cannot be sliced", typeName(v))
	return nil
}

// bound is a number in a slice.
func bound(v any) int64 {
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	if !isWhole(v) {
		fail("a slice wants whole numbers, got %s", typeName(v))
	}
	return min(max(whole(v), -1<<40), 1<<40)
}
