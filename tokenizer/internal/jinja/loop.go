package jinja

import "strings"

// loopContext is the variable loop. The element that comes next is fetched only when it is asked for, since
// the condition of a loop may depend on what its body has done.
type loopContext struct {
	source       *iterator
	size         func() (int, bool) // without running through the source
	index, depth int64              // both from 1
	before, now  any
	ahead        []any                        // fetched
	ended        bool                         // all is
	changed      []any                        // the arguments of loop.changed; nil before its first call
	render       func(v any, depth int64) any // of a recursive loop
}

func (l *loopContext) next() (any, bool) {
	if len(l.ahead) > 0 {
		v := l.ahead[0]
		l.ahead = l.ahead[1:]
		return v, true
	}
	return l.source.next()
}

// peek fetches n elements ahead, or as many as there are.
func (l *loopContext) peek(n int) {
	for len(l.ahead) < n && !l.ended {
		v, ok := l.source.next()
		if !ok {
			l.ended = true
			return
		}
		l.ahead = append(l.ahead, v)
		checkItems(len(l.ahead))
	}
}

func (l *loopContext) length() int64 {
	if n, ok := l.size(); ok {
		return int64(n)
	}
	l.peek(maxItems + 1)
	return l.index + int64(len(l.ahead))
}

func (l *loopContext) attribute(name string) (any, bool) {
	switch name {
	case "index":
		return l.index, true
	case "index0":
		return l.index - 1, true
	case "revindex":
		return l.length() - l.index + 1, true
	case "revindex0":
		return l.length() - l.index, true
	case "first":
		return l.index == 1, true
	case "last":
		l.peek(1)
		return len(l.ahead) == 0, true
	case "length":
		return l.length(), true
	case "depth":
		return l.depth, true
	case "depth0":
		return l.depth - 1, true
	case "previtem":
		if l.index == 1 {
			return undefined{"there is no previous item"}, true
		}
		return l.before, true
	case "nextitem":
		l.peek(1)
		if len(l.ahead) == 0 {
			return undefined{"there is no next item"}, true
		}
		return l.ahead[0], true
	case "cycle":
		return Func(func(args []any, _ Keywords) (any, error) {
			if len(args) == 0 {
				fail("no items for cycling given")
			}
			return args[(l.index-1)%int64(len(args))], nil
		}), true
	case "changed":
		return Func(func(args []any, _ Keywords) (any, error) {
			changed := l.changed == nil || !equalItems(args, l.changed, 0)
			l.changed = append([]any{}, args...)
			return changed, nil
		}), true
	}
	return nil, false
}

func (l *loopContext) recurse(args []any) any {
	if l.render == nil {
		fail("the loop is not recursive")
	}
	if len(args) != 1 {
		fail("loop takes 1 argument, not %d", len(args))
	}
	return l.render(args[0], l.depth+1)
}

func (r *renderer) forLoop(s *scope, n forLoop, over any, depth int64) {
	if depth > maxMacroDepth {
		fail("a loop calls itself more than %d deep", maxMacroDepth)
	}
	source := iterate(over)
	l := &loopContext{source: source, depth: depth, size: func() (int, bool) { return length(over) }}
	if n.check != nil {
		l.size = func() (int, bool) { return 0, false }
		l.source = &iterator{next: func() (any, bool) {
			for {
				v, ok := source.next()
				if !ok {
					return nil, false
				}
				r.step()
				inner := s.inner()
				r.assign(inner, n.target, v)
				if truth(r.eval(inner, n.check)) {
					return v, true
				}
			}
		}}
	}
	if n.recursive {
		l.render = func(v any, depth int64) any {
			outer := r.out
			r.out = &strings.Builder{}
			r.forLoop(s, n, v, depth)
			text := r.out.String()
			r.out = outer
			return text
		}
	}
	// As jinja2 compiles it, else runs unless a body came to its end, break and continue or not.
	whole := false
	for sig := done; sig != breaking; {
		v, ok := l.next()
		if !ok {
			break
		}
		r.step()
		l.index++
		l.before, l.now = l.now, v
		inner := s.inner()
		inner.set("loop", l)
		r.assign(inner, n.target, v)
		sig = r.exec(inner, n.body)
		whole = whole || sig == done
	}
	if !whole {
		r.exec(s.inner(), n.orElse)
	}
}
