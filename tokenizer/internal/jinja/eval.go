package jinja

import (
	"math/big"
	"strings"
)

// renderer is the state of one rendering.
type renderer struct {
	globals map[string]any
	out     *strings.Builder
	depth   int // of evaluations within each other
	macros  int // calls of macros within each other
	steps   int
}

const (
	maxEvalDepth  = 20000
	maxMacroDepth = 200
	maxSteps      = 4 << 20 // nodes evaluated and loops gone round; a long conversation takes some 100,000
)

// scope holds the names of a block; a name that it lacks is looked for outside.
type scope struct {
	names map[string]any
	outer *scope
}

func (s *scope) inner() *scope { return &scope{outer: s} }

func (s *scope) set(name string, value any) {
	if s.names == nil {
		s.names = make(map[string]any)
	}
	s.names[name] = value
}

func (r *renderer) lookup(s *scope, name string) any {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v
		}
	}
	if v, ok := r.globals[name]; ok {
		return v
	}
	return undefined{"'" + name + "' is undefined"}
}

func (r *renderer) step() {
	if r.steps++; r.steps > maxSteps {
		fail("it takes more than %d steps", maxSteps)
	}
}

// eval returns the value of an expression.
func (r *renderer) eval(s *scope, n node) any {
	r.step()
	if r.depth++; r.depth > maxEvalDepth {
		fail("it is nested too deep")
	}
	v := r.evalNode(s, n)
	r.depth--
	return v
}

func (r *renderer) evalNode(s *scope, n node) any {
	switch n := n.(type) {
	case constant:
		return n.value
	case name:
		return r.lookup(s, n.id)
	case getAttr:
		return attribute(r.eval(s, n.object), n.name)
	case getItem:
		object := r.eval(s, n.object)
		if cut, ok := n.key.(slice); ok {
			return sliced(object, r.optional(s, cut.start), r.optional(s, cut.stop), r.optional(s, cut.step))
		}
		return item(object, r.eval(s, n.key))
	case listExpr:
		list := r.evalAll(s, n.items)
		if n.tuple {
			return &Tuple{Items: list}
		}
		return &List{list}
	case dictExpr:
		d := NewDict()
		for i, k := range n.keys {
			d.Set(r.eval(s, k), r.eval(s, n.values[i]))
		}
		return d
	case call:
		return r.call(s, n)
	case filter:
		args, kwargs := r.arguments(s, n.arguments)
		return r.filter(n.name, r.eval(s, n.object), args, kwargs)
	case test:
		args, kwargs := r.arguments(s, n.arguments)
		return r.test(n.name, r.eval(s, n.object), args, kwargs)
	case unary:
		return sign(n.op, r.eval(s, n.operand))
	case binary:
		return r.binary(s, n)
	case concat:
		var b strings.Builder
		for _, o := range n.operands {
			b.WriteString(str(r.eval(s, o)))
			checkSize(b.Len())
		}
		return b.String()
	case comparison:
		return r.comparison(s, n)
	case conditional:
		if truth(r.eval(s, n.test)) {
			return r.eval(s, n.yes)
		}
		if n.no == nil {
			return undefined{"the inline if-expression is false and has no else"}
		}
		return r.eval(s, n.no)
	}
	return nil
}

func (r *renderer) optional(s *scope, n node) any {
	if n == nil {
		return nil
	}
	return r.eval(s, n)
}

func (r *renderer) evalAll(s *scope, nodes []node) []any {
	out := make([]any, len(nodes))
	for i, n := range nodes {
		out[i] = r.eval(s, n)
	}
	return out
}

func sign(op string, v any) any {
	if op == "not" {
		return !truth(v)
	}
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	if !isNumber(v) {
		fail("%s has no sign", typeName(v))
	}
	if op == "-" {
		if f, ok := v.(float64); ok {
			return -f
		}
		return shrink(new(big.Int).Neg(bigInt(v)))
	}
	return arithmetic("+", int64(0), v)
}

func (r *renderer) binary(s *scope, n binary) any {
	left := r.eval(s, n.left)
	switch n.op {
	case "and":
		if !truth(left) {
			return left
		}
		return r.eval(s, n.right)
	case "or":
		if truth(left) {
			return left
		}
		return r.eval(s, n.right)
	}
	return operate(n.op, left, r.eval(s, n.right))
}

// operate is a binary operator on two values.
func operate(op string, a, b any) any {
	if u, ok := a.(undefined); ok {
		u.fail()
	}
	if u, ok := b.(undefined); ok {
		if _, format := text(a); op != "%" || !format {
			u.fail()
		}
	}
	if isNumber(a) && isNumber(b) {
		return arithmetic(op, a, b)
	}
	switch op {
	case "+":
		if v, ok := add(a, b); ok {
			return v
		}
	case "*":
		if isWhole(a) {
			a, b = b, a
		}
		if isWhole(b) {
			if v, ok := repeat(a, whole(b)); ok {
				return v
			}
		}
	case "%":
		if s, ok := text(a); ok {
			return printf(s, b)
		}
	}
	fail("%s and %s cannot be put together by %s", typeName(a), typeName(b), op)
	return nil
}

func add(a, b any) (any, bool) {
	if x, ok := text(a); ok {
		y, ok := text(b)
		if !ok {
			return nil, false
		}
		checkSize(len(x) + len(y))
		_, safeA := a.(markup)
		_, safeB := b.(markup)
		if safeA || safeB {
			return escaped(a) + escaped(b), true
		}
		return x + y, true
	}
	join := func(a, b []any) []any {
		checkItems(len(a) + len(b))
		return append(append(make([]any, 0, len(a)+len(b)), a...), b...)
	}
	switch a := a.(type) {
	case *List:
		if b, ok := b.(*List); ok {
			return &List{join(a.Items, b.Items)}, true
		}
	case *Tuple:
		if b, ok := b.(*Tuple); ok {
			return &Tuple{Items: join(a.Items, b.Items)}, true
		}
	}
	return nil, false
}

func repeat(v any, n int64) (any, bool) {
	n = min(max(n, 0), maxSize+1)
	many := func(items []any) []any {
		checkItems(int(n) * min(len(items), maxItems))
		var out []any
		for range n {
			out = append(out, items...)
		}
		return out
	}
	if s, ok := text(v); ok {
		checkSize(int(n) * len(s))
		s = strings.Repeat(s, int(n))
		if _, ok := v.(markup); ok {
			return markup(s), true
		}
		return s, true
	}
	switch v := v.(type) {
	case *List:
		return &List{many(v.Items)}, true
	case *Tuple:
		return &Tuple{Items: many(v.Items)}, true
	}
	return nil, false
}

func (r *renderer) comparison(s *scope, n comparison) any {
	left := r.eval(s, n.first)
	for i, op := range n.ops {
		right := r.eval(s, n.operands[i])
		if !holds(op, left, right) {
			return false
		}
		left = right
	}
	return true
}

func holds(op string, a, b any) bool {
	switch op {
	case "==":
		return equal(a, b)
	case "!=":
		return !equal(a, b)
	case "in":
		return contains(b, a)
	case "not in":
		return !contains(b, a)
	}
	c := compare(a, b)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c == 1 || c > 0 && !isNumber(a)
	}
	return c == 0 || c == 1 || c > 0 && !isNumber(a)
}

// contains is Python's "v in container".
func contains(container, v any) bool {
	if s, ok := text(container); ok {
		part, ok := text(v)
		if !ok {
			fail("only a str can be in a str, not %s", typeName(v))
		}
		return strings.Contains(s, part)
	}
	if d, ok := container.(*Dict); ok {
		_, ok := d.Get(v)
		return ok
	}
	for it := iterate(container); ; {
		item, ok := it.next()
		if !ok {
			return false
		}
		if equal(item, v) {
			return true
		}
	}
}

// arguments evaluates the arguments of a call.
func (r *renderer) arguments(s *scope, a arguments) ([]any, Keywords) {
	args := r.evalAll(s, a.positional)
	if a.star != nil {
		args = append(args, items(r.eval(s, a.star))...)
	}
	if a.names == nil && a.starStar == nil {
		return args, nil
	}
	var kwargs Keywords
	for i, n := range a.names {
		kwargs = kwargs.add(n, r.eval(s, a.named[i]))
	}
	if a.starStar != nil {
		d, ok := r.eval(s, a.starStar).(*Dict)
		if !ok {
			fail("what stands behind ** is no dict")
		}
		d.Each(func(k, v any) { kwargs = kwargs.add(str(k), v) })
	}
	return args, kwargs
}

func (r *renderer) call(s *scope, n call) any {
	f := r.eval(s, n.function)
	args, kwargs := r.arguments(s, n.arguments)
	return r.invoke(f, args, kwargs)
}

func (r *renderer) invoke(f any, args []any, kwargs Keywords) any {
	switch f := f.(type) {
	case Func:
		v, err := f(args, kwargs)
		if err != nil {
			fail("%s", err.Error())
		}
		return v
	case *boundMacro:
		return f.call(r, args, kwargs)
	case *loopContext:
		return f.recurse(args)
	case undefined:
		f.fail()
	}
	fail("%s cannot be called", typeName(f))
	return nil
}
