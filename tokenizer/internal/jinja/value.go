package jinja

import (
	"fmt"
	"math"
	"math/big"
)

// Error says what is wrong with a template or with the values that it was given.
type Error struct {
	Line    int // 0 where it is not known
	Message string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// fail ends a compilation or a rendering.
func fail(format string, args ...any) {
	panic(&Error{Message: fmt.Sprintf(format, args...)})
}

// caught turns fail's panic into an error.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		*err = r
	default:
		panic(r)
	}
}

// List is a Python list.
type List struct{ Items []any }

// Tuple is a Python tuple; names are those of a named tuple.
type Tuple struct {
	Items []any
	names []string
}

// Dict is a Python dict: keys are nil, bool, int64, float64 or string.
type Dict struct {
	keys   []any
	values []any
	index  map[any]int
}

// NewDict returns an empty dict.
func NewDict() *Dict { return &Dict{index: make(map[any]int)} }

// hashable returns what equal keys have in common: 1, 1.0 and True are the same key.
func hashable(key any) (any, bool) {
	switch k := key.(type) {
	case nil, string, int64:
		return k, true
	case bool:
		return whole(k), true
	case markup:
		return string(k), true
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			return int64(k), true
		}
		return k, true
	}
	return nil, false
}

// Set puts a value under a key.
func (d *Dict) Set(key, value any) {
	h, ok := hashable(key)
	if !ok {
		fail("%s cannot be a key", typeName(key))
	}
	if i, ok := d.index[h]; ok {
		d.values[i] = value
		return
	}
	d.index[h] = len(d.keys)
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
}

// Get returns the value under a key.
func (d *Dict) Get(key any) (any, bool) {
	h, ok := hashable(key)
	if !ok {
		return nil, false
	}
	i, ok := d.index[h]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

// Len returns the number of entries.
func (d *Dict) Len() int { return len(d.keys) }

// Each calls f for each entry in order.
func (d *Dict) Each(f func(key, value any)) {
	for i, k := range d.keys {
		f(k, d.values[i])
	}
}

func (d *Dict) copy() *Dict {
	out := NewDict()
	d.Each(out.Set)
	return out
}

// Func is a function that templates can call.
type Func func(args []any, kwargs Keywords) (any, error)

// markup is a string that is safe as HTML: text added to it is escaped.
type markup string

// undefined is the value of what does not exist; hint says what that was.
type undefined struct{ hint string }

func (u undefined) fail() { fail("%s", u.hint) }

// namespace is what namespace() makes: its attributes can be set.
type namespace struct{ attributes *Dict }

// rangeValue is Python's range.
type rangeValue struct{ start, stop, step int64 }

func (r rangeValue) len() int64 {
	if r.step > 0 && r.start < r.stop {
		return (r.stop-r.start-1)/r.step + 1
	}
	if r.step < 0 && r.start > r.stop {
		return (r.start-r.stop-1)/-r.step + 1
	}
	return 0
}

// view is what keys(), values() and items() of a dict give.
type view struct {
	name  string
	items []any
}

// iterator is what Python's generators are here: it can be run through once.
type iterator struct{ next func() (any, bool) }

func iteratorOf(items []any) *iterator {
	return &iterator{next: func() (any, bool) {
		if len(items) == 0 {
			return nil, false
		}
		v := items[0]
		items = items[1:]
		return v, true
	}}
}

// typeName is Python's name of a value's type, for messages.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string, markup:
		return "str"
	case *List:
		return "list"
	case *Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case undefined:
		return "undefined"
	case *namespace:
		return "namespace"
	case rangeValue:
		return "range"
	case *view:
		return "dict view"
	case *iterator:
		return "generator"
	case *loopContext:
		return "loop"
	}
	return "function"
}

func text(v any) (string, bool) {
	switch s := v.(type) {
	case string:
		return s, true
	case markup:
		return string(s), true
	}
	return "", false
}

// truth is Python's bool(v).
func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case *iterator, *namespace:
		return true
	}
	n, ok := length(v)
	return !ok || n > 0
}

// length is Python's len(v); ok is false for what has none.
func length(v any) (int, bool) {
	switch v := v.(type) {
	case string:
		return runeCount(v), true
	case markup:
		return runeCount(string(v)), true
	case *List:
		return len(v.Items), true
	case *Tuple:
		return len(v.Items), true
	case *Dict:
		return v.Len(), true
	case *view:
		return len(v.items), true
	case rangeValue:
		return int(v.len()), true
	case undefined:
		return 0, true
	}
	return 0, false
}

// iterate returns what a loop over v runs through.
func iterate(v any) *iterator {
	switch v := v.(type) {
	case *iterator:
		return v
	case *List:
		return iteratorOf(v.Items)
	case *Tuple:
		return iteratorOf(v.Items)
	case *view:
		return iteratorOf(v.items)
	case *Dict:
		return iteratorOf(v.keys)
	case undefined:
		return iteratorOf(nil)
	case rangeValue:
		n, i := v.len(), int64(0)
		return &iterator{next: func() (any, bool) {
			if i == n {
				return nil, false
			}
			i++
			return v.start + (i-1)*v.step, true
		}}
	}
	if s, ok := text(v); ok {
		items := make([]any, 0, len(s))
		for _, r := range s {
			items = append(items, string(r))
		}
		return iteratorOf(items)
	}
	fail("%s cannot be looped over", typeName(v))
	return nil
}

// items returns all that a loop over v gives.
func items(v any) []any {
	var out []any
	for it := iterate(v); ; {
		item, ok := it.next()
		if !ok {
			return out
		}
		out = append(out, item)
		checkItems(len(out))
	}
}

const (
	maxSize  = 16 << 20 // bytes of a string that a template makes
	maxItems = 1 << 20  // elements of a list
)

func checkSize(n int) {
	if n > maxSize {
		fail("a text grows beyond %d bytes", maxSize)
	}
}

func checkItems(n int) {
	if n > maxItems {
		fail("a list grows beyond %d elements", maxItems)
	}
}
