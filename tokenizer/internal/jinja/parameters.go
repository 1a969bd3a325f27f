package jinja

import (
	"slices"
	"sort"
)

// given are the arguments of a function by name.
type given struct {
	function string
	values   map[string]any
}

// parameters sorts positional and named arguments under names; too many, or unknown ones, are errors.
func parameters(function string, args []any, kwargs map[string]any, names ...string) given {
	if len(args) > len(names) {
		fail("%s takes at most %d arguments, not %d", function, len(names), len(args))
	}
	g := given{function, make(map[string]any, len(names))}
	for i, a := range args {
		g.values[names[i]] = a
	}
	for _, k := range sortedNames(kwargs) {
		if !slices.Contains(names, k) {
			fail("%s takes no argument named %s", function, k)
		}
		if _, twice := g.values[k]; twice {
			fail("%s got two values for %s", function, k)
		}
		g.values[k] = kwargs[k]
	}
	return g
}

func sortedNames(kwargs map[string]any) []string {
	names := make([]string, 0, len(kwargs))
	for k := range kwargs {
		names = append(names, k)
	}
	sort.Strings(names)
	return names
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
