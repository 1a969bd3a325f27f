package jinja

import "strings"

// builtins are the functions that every template sees.
var builtins = map[string]any{
	"range":     Func(makeRange),
	"dict":      Func(makeDict),
	"namespace": Func(makeNamespace),
	"cycler":    Func(makeCycler),
	"joiner":    Func(makeJoiner),
}

// maxRange is the bound of jinja2's sandbox.
const maxRange = 100000

func makeRange(args []any, _ Keywords) (any, error) {
	if len(args) < 1 || len(args) > 3 {
		fail("range takes 1 to 3 numbers, not %d", len(args))
	}
	for _, a := range args {
		if !isWhole(a) {
			fail("range wants whole numbers, got %s", typeName(a))
		}
	}
	r := rangeValue{0, bound(args[0]), 1}
	if len(args) > 1 {
		r.start, r.stop = r.stop, bound(args[1])
	}
	if len(args) > 2 {
		r.step = bound(args[2])
	}
	if r.step == 0 {
		fail("range: the step is zero")
	}
	if r.len() > maxRange {
		fail("range has more than %d numbers", maxRange)
	}
	return r, nil
}

func makeDict(args []any, kwargs Keywords) (any, error) {
	d := NewDict()
	if len(args) > 1 {
		fail("dict takes 1 argument, not %d", len(args))
	}
	if len(args) == 1 {
		if from, ok := args[0].(*Dict); ok {
			d = from.copy()
		} else {
			for _, pair := range items(args[0]) {
				kv := items(pair)
				if len(kv) != 2 {
					fail("dict wants pairs, got %d values", len(kv))
				}
				d.Set(kv[0], kv[1])
			}
		}
	}
	for _, k := range kwargs {
		d.Set(k.Name, k.Value)
	}
	return d, nil
}

func (ns *namespace) set(name string, v any) {
	if strings.HasPrefix(name, "_") {
		fail("a namespace stores no attributes that begin with an underscore, like %q", name)
	}
	ns.attributes.Set(name, v)
}

func makeNamespace(args []any, kwargs Keywords) (any, error) {
	v, err := makeDict(args, kwargs)
	ns := &namespace{NewDict()}
	v.(*Dict).Each(func(k, value any) { ns.set(str(k), value) })
	return ns, err
}

func makeCycler(args []any, _ Keywords) (any, error) {
	if len(args) == 0 {
		fail("no items for cycling given")
	}
	at := 0
	ns := &namespace{NewDict()}
	ns.attributes.Set("current", args[0])
	move := func(to int) {
		at = to % len(args)
		ns.attributes.Set("current", args[at])
	}
	ns.attributes.Set("next", Func(func([]any, Keywords) (any, error) {
		v := args[at]
		move(at + 1)
		return v, nil
	}))
	ns.attributes.Set("reset", Func(func([]any, Keywords) (any, error) {
		move(0)
		return nil, nil
	}))
	return ns, nil
}

func makeJoiner(args []any, kwargs Keywords) (any, error) {
	p := parameters("joiner", args, kwargs, "sep")
	sep, used := p.text("sep", ", "), false
	return Func(func([]any, Keywords) (any, error) {
		if !used {
			used = true
			return "", nil
		}
		return sep, nil
	}), nil
}
