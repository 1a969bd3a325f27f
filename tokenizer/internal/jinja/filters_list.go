package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// getter returns what the argument attribute of sort, map and others selects: "a.b.0" is v.a.b[0].
func getter(path any) func(v any) any {
	if path == nil {
		return func(v any) any { return v }
	}
	keys := []any{path}
	if s, ok := text(path); ok {
		keys = nil
		for _, part := range strings.Split(s, ".") {
			if i, err := strconv.ParseUint(part, 10, 31); err == nil {
				keys = append(keys, int64(i))
			} else {
				keys = append(keys, part)
			}
		}
	}
	return func(v any) any {
		for _, k := range keys {
			v = item(v, k)
		}
		return v
	}
}

// folded makes strings equal that differ in case only.
func folded(v any) any {
	if s, ok := text(v); ok {
		return lower(s)
	}
	return v
}

// sortKey is the key of sort, which takes several attributes with commas, and of its relatives.
func sortKey(attribute any, caseSensitive bool) func(v any) any {
	fold := folded
	if caseSensitive {
		fold = func(v any) any { return v }
	}
	s, ok := text(attribute)
	if !ok || !strings.Contains(s, ",") {
		get := getter(attribute)
		return func(v any) any { return fold(get(v)) }
	}
	var gets []func(any) any
	for _, part := range strings.Split(s, ",") {
		gets = append(gets, getter(part))
	}
	return func(v any) any {
		t := &Tuple{}
		for _, get := range gets {
			t.Items = append(t.Items, fold(get(v)))
		}
		return t
	}
}

// sorted sorts by key and keeps the order of equals.
func sorted(list []any, key func(any) any, reverse bool) []any {
	type entry struct{ key, value any }
	entries := make([]entry, len(list))
	for i, v := range list {
		entries[i] = entry{key(v), v}
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		if reverse {
			a, b = b, a
		}
		return compare(a.key, b.key)
	})
	out := make([]any, len(list))
	for i, e := range entries {
		out[i] = e.value
	}
	return out
}

func filterSort(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("sort", args, kwargs, "reverse", "case_sensitive", "attribute")
	key := sortKey(p.value("attribute", nil), p.truth("case_sensitive", false))
	return &List{sorted(items(v), key, p.truth("reverse", false))}
}

func filterDictSort(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("dictsort", args, kwargs, "case_sensitive", "by", "reverse")
	d, ok := v.(*Dict)
	if !ok {
		fail("dictsort wants a dict, not %s", typeName(v))
	}
	at := map[string]int64{"key": 0, "value": 1}
	by, ok := at[p.text("by", "key")]
	if !ok {
		fail("dictsort: by must be key or value")
	}
	return &List{sorted(pairs(d), sortKey(by, p.truth("case_sensitive", false)), p.truth("reverse", false))}
}

func pairs(d *Dict) []any {
	out := make([]any, 0, d.Len())
	d.Each(func(k, v any) { out = append(out, &Tuple{Items: []any{k, v}}) })
	return out
}

func filterItems(_ *renderer, v any, args []any, kwargs Keywords) any {
	parameters("items", args, kwargs)
	switch d := v.(type) {
	case *Dict:
		return iteratorOf(pairs(d))
	case undefined:
		return iteratorOf(nil)
	}
	fail("items wants a dict, not %s", typeName(v))
	return nil
}

func filterGroupBy(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("groupby", args, kwargs, "attribute", "default", "case_sensitive")
	path, def := p.required("attribute"), p.value("default", nil)
	get := func(v any) any {
		found := getter(path)(v)
		if _, u := found.(undefined); u && def != nil {
			return def
		}
		return found
	}
	fold := folded
	if p.truth("case_sensitive", false) {
		fold = func(v any) any { return v }
	}
	key := func(v any) any { return fold(get(v)) }
	out := &List{}
	var last any
	for _, v := range sorted(items(v), key, false) {
		k := key(v)
		if len(out.Items) == 0 || !equal(k, last) {
			out.Items = append(out.Items, &Tuple{Items: []any{get(v), &List{}}, names: []string{"grouper", "list"}})
			last = k
		}
		members := out.Items[len(out.Items)-1].(*Tuple).Items[1].(*List)
		members.Items = append(members.Items, v)
	}
	return out
}

func filterUnique(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("unique", args, kwargs, "case_sensitive", "attribute")
	key := sortKey(p.value("attribute", nil), p.truth("case_sensitive", false))
	seen := NewDict()
	var out []any
	for _, v := range items(v) {
		k := key(v)
		if _, ok := seen.Get(k); !ok {
			seen.Set(k, nil)
			out = append(out, v)
		}
	}
	return iteratorOf(out)
}

func filterMax(_ *renderer, v any, args []any, kwargs Keywords) any {
	return extreme("max", v, args, kwargs, 1)
}

func filterMin(_ *renderer, v any, args []any, kwargs Keywords) any {
	return extreme("min", v, args, kwargs, -1)
}

func extreme(name string, v any, args []any, kwargs Keywords, sign int) any {
	p := parameters(name, args, kwargs, "case_sensitive", "attribute")
	key := sortKey(p.value("attribute", nil), p.truth("case_sensitive", false))
	var best any = undefined{"no aggregated item, the sequence was empty"}
	for i, v := range items(v) {
		if i == 0 || sign*compare(key(v), key(best)) > 0 {
			best = v
		}
	}
	return best
}

func filterSum(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("sum", args, kwargs, "attribute", "start")
	get, sum := getter(p.value("attribute", nil)), p.value("start", int64(0))
	for _, v := range items(v) {
		sum = operate("+", sum, get(v))
	}
	return sum
}

func filterJoin(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("join", args, kwargs, "d", "attribute")
	get, sep := getter(p.value("attribute", nil)), str(p.value("d", ""))
	var b strings.Builder
	for i, v := range items(v) {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(str(get(v)))
		checkSize(b.Len())
	}
	return b.String()
}

func filterFirst(_ *renderer, v any, args []any, kwargs Keywords) any {
	parameters("first", args, kwargs)
	if first, ok := iterate(v).next(); ok {
		return first
	}
	return undefined{"no first item, the sequence was empty"}
}

func filterLast(_ *renderer, v any, args []any, kwargs Keywords) any {
	parameters("last", args, kwargs)
	if _, once := v.(*iterator); once {
		fail("a generator has no last item; make it a list first")
	}
	if list := items(v); len(list) > 0 {
		return list[len(list)-1]
	}
	return undefined{"no last item, the sequence was empty"}
}

func filterReverse(_ *renderer, v any, args []any, kwargs Keywords) any {
	parameters("reverse", args, kwargs)
	if s, ok := text(v); ok {
		runes := []rune(s)
		slices.Reverse(runes)
		return string(runes)
	}
	list := slices.Clone(items(v))
	slices.Reverse(list)
	return iteratorOf(list)
}

func filterBatch(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("batch", args, kwargs, "linecount", "fill_with")
	p.required("linecount")
	n, fill := int(p.whole("linecount", 0)), p.value("fill_with", nil)
	if n < 1 || n > maxRange {
		fail("batch: the size %d is not between 1 and %d", n, maxRange)
	}
	var out []any
	for list := items(v); len(list) > 0; {
		part := &List{slices.Clone(list[:min(n, len(list))])}
		list = list[len(part.Items):]
		for fill != nil && len(part.Items) < n {
			part.Items = append(part.Items, fill)
		}
		out = append(out, part)
	}
	return iteratorOf(out)
}

func filterSlice(_ *renderer, v any, args []any, kwargs Keywords) any {
	p := parameters("slice", args, kwargs, "slices", "fill_with")
	p.required("slices")
	n, fill, list := int(p.whole("slices", 0)), p.value("fill_with", nil), items(v)
	if n < 1 || n > maxRange {
		fail("slice: the number %d is not between 1 and %d", n, maxRange)
	}
	size, longer := len(list)/n, len(list)%n
	var out []any
	for i := range n {
		count := size
		if i < longer {
			count++
		}
		part := &List{slices.Clone(list[:count])}
		list = list[count:]
		if fill != nil && i >= longer {
			part.Items = append(part.Items, fill)
		}
		out = append(out, part)
	}
	return iteratorOf(out)
}

// filterMap applies a filter, or gets an attribute of, each element.
func filterMap(r *renderer, v any, args []any, kwargs Keywords) any {
	var f func(v any) any
	if path, ok := kwargs.Get("attribute"); ok && len(args) == 0 {
		p := parameters("map", args, kwargs, "attribute", "default")
		get, def := getter(path), p.value("default", nil)
		f = func(v any) any {
			found := get(v)
			if _, u := found.(undefined); u && def != nil {
				return def
			}
			return found
		}
	} else {
		if len(args) == 0 {
			fail("map wants the name of a filter")
		}
		name := str(args[0])
		f = func(v any) any { return r.filter(name, v, args[1:], kwargs) }
	}
	return lazily(v, func(v any) (any, bool) { return f(v), true })
}

// lazily is a generator over what f keeps of v. A false v, None too, gives an empty one.
func lazily(v any, f func(v any) (any, bool)) *iterator {
	var source *iterator
	return &iterator{next: func() (any, bool) {
		if source == nil {
			if source = iteratorOf(nil); truth(v) {
				source = iterate(v)
			}
		}
		for {
			item, ok := source.next()
			if !ok {
				return nil, false
			}
			if out, keep := f(item); keep {
				return out, true
			}
		}
	}}
}

// selection is select, reject, selectattr or rejectattr: elements for which a test holds, by default that
// they are true.
func selection(name string) filterFunc {
	attribute, want := strings.HasSuffix(name, "attr"), strings.HasPrefix(name, "select")
	return func(r *renderer, v any, args []any, kwargs Keywords) any {
		get := getter(nil)
		if attribute {
			if len(args) == 0 {
				fail("%s wants an attribute", name)
			}
			get, args = getter(args[0]), args[1:]
		}
		check := truth
		if len(args) > 0 {
			test := str(args[0])
			check = func(v any) bool { return r.test(test, v, args[1:], kwargs) }
		}
		return lazily(v, func(v any) (any, bool) { return v, check(get(v)) == want })
	}
}
