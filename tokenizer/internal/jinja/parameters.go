package jinja

import "slices"

// given are the arguments of a function by name.
type given struct {
	function string
	values   map[string]any
}

// parameters sorts positional and named arguments under names; too many, or unknown ones, are errors.
func parameters(function string, args []any, kwargs Keywords, names ...string) given {
	if len(args) > len(names) {
		fail("%s takes at most %d arguments, not %d", function, len(names), len(args))
	}
	g := given{function, make(map[string]any, len(names))}
	for i, a := range args {
		g.values[names[i]] = a
	}
	for _, k := range kwargs {
		if !slices.Contains(names, k.Name) {
			fail("%s takes no argument named %s", function, k.Name)
		}
		if _, twice := g.values[k.Name]; twice {
			fail("%s got two values for %s", function, k.Name)
		}
		g.values[k.Name] = k.Value
	}
	return g
}

// Keywords are the named arguments of a call, in the order in which they were written: dict(b=1, a=2) keeps it.
type Keywords []Keyword

// Keyword is one of them.
type Keyword struct {
	Name  string
	Value any
}

// Get finds an argument by its name.
func (k Keywords) Get(name string) (any, bool) {
	for _, keyword := range k {
		if keyword.Name == name {
			return keyword.Value, true
		}
	}
	return nil, false
}

// add appends an argument, which must not be there.
func (k Keywords) add(name string, value any) Keywords {
	if _, twice := k.Get(name); twice {
		fail("the argument %s is there twice", name)
	}
	return append(k, Keyword{name, value})
}

// without leaves an argument out.
func (k Keywords) without(name string) Keywords {
	return slices.DeleteFunc(slices.Clone(k), func(keyword Keyword) bool { return keyword.Name == name })
}

func (g given) value(name string, def any) any {
	if v, ok := g.values[name]; ok {
		return v
	}
	return def
}

func (g given) required(name string) any {
	v, ok := g.values[name]
	if !ok {
		fail("%s wants the argument %s", g.function, name)
	}
	return v
}

func (g given) truth(name string, def bool) bool { return truth(g.value(name, def)) }

func (g given) text(name, def string) string {
	v := g.value(name, def)
	s, ok := text(v)
	if !ok {
		fail("%s: %s must be a str, not %s", g.function, name, typeName(v))
	}
	return s
}

func (g given) whole(name string, def int64) int64 {
	v := g.value(name, def)
	if !isWhole(v) {
		fail("%s: %s must be an int, not %s", g.function, name, typeName(v))
	}
	return bound(v)
}
