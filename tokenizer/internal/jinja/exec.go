package jinja

import (
	"maps"
	"strings"
)

// signal says why a body was left early.
type signal int

const (
	done signal = iota
	breaking
	continuing
)

// Render fills the template in. The variables are seen beside Jinja's own functions (range, dict,
// namespace, cycler, joiner). The error is an *Error, or wraps what a Func returned.
func (t *Template) Render(variables map[string]any) (text string, err error) {
	defer caught(&err)
	r := &renderer{globals: maps.Clone(builtins), out: &strings.Builder{}}
	maps.Copy(r.globals, variables)
	r.exec(&scope{}, t.body)
	return r.out.String(), nil
}

func (r *renderer) exec(s *scope, body []node) signal {
	for _, n := range body {
		if sig := r.execNode(s, n); sig != done {
			return sig
		}
	}
	return done
}

func (r *renderer) write(s string) {
	checkSize(r.out.Len() + len(s))
	r.out.WriteString(s)
}

func (r *renderer) execNode(s *scope, n node) signal {
	r.step()
	if r.depth++; r.depth > maxEvalDepth {
		fail("it is nested too deep")
	}
	sig := done
	switch n := n.(type) {
	case output:
		r.write(n.text)
	case position:
		sig = r.at(n.line, s, n.statement)
	case printed:
		r.write(str(r.eval(s, n.value)))
	case assign:
		r.assign(s, n.target, r.eval(s, n.value))
	case assignBlock:
		r.assign(s, n.target, r.filtered(s, n.filters, n.body))
	case ifElse:
		sig = r.ifElse(s, n)
	case forLoop:
		r.forLoop(s, n, r.eval(s, n.iterable), 1)
	case control:
		sig = continuing
		if n.word == "break" {
			sig = breaking
		}
	case with:
		inner := s.inner()
		for i, v := range r.evalAll(s, n.values) {
			r.assign(inner, n.targets[i], v)
		}
		sig = r.exec(inner, n.body)
	case group:
		sig = r.exec(s.inner(), n.body)
	case filterBlock:
		r.write(str(r.filtered(s, n.filters, n.body)))
	case *macro:
		s.set(n.name, &boundMacro{n, s})
	case callBlock:
		c := n.call.(call)
		args, kwargs := r.arguments(s, c.arguments)
		kwargs = kwargs.add("caller", &boundMacro{n.macro, s})
		r.write(str(r.invoke(r.eval(s, c.function), args, kwargs)))
	}
	r.depth--
	return sig
}

// at adds a line to the errors of a statement that have none.
func (r *renderer) at(line int, s *scope, n node) signal {
	defer func() {
		if e := recover(); e != nil {
			if e, ok := e.(*Error); ok && e.Line == 0 {
				e.Line = line
			}
			panic(e)
		}
	}()
	return r.execNode(s, n)
}

func (r *renderer) ifElse(s *scope, n ifElse) signal {
	for i, t := range n.tests {
		if truth(r.eval(s, t)) {
			return r.exec(s, n.bodies[i])
		}
	}
	if len(n.bodies) > len(n.tests) {
		return r.exec(s, n.bodies[len(n.tests)])
	}
	return done
}

// captured renders a body to text.
func (r *renderer) captured(s *scope, body []node) string {
	outer := r.out
	r.out = &strings.Builder{}
	r.exec(s, body)
	text := r.out.String()
	r.out = outer
	return text
}

// filtered renders a body and sends it through filters.
func (r *renderer) filtered(s *scope, filters []filter, body []node) any {
	var v any = r.captured(s.inner(), body)
	for _, f := range filters {
		args, kwargs := r.arguments(s, f.arguments)
		v = r.filter(f.name, v, args, kwargs)
	}
	return v
}

func (r *renderer) assign(s *scope, t target, v any) {
	switch {
	case t.parts != nil:
		values := items(v)
		if len(values) != len(t.parts) {
			fail("%d values for %d names", len(values), len(t.parts))
		}
		for i, part := range t.parts {
			r.assign(s, part, values[i])
		}
	case t.attribute != "":
		ns, ok := r.lookup(s, t.name).(*namespace)
		if !ok {
			fail("cannot assign an attribute to %s, which is no namespace", t.name)
		}
		ns.set(t.attribute, v)
	default:
		s.set(t.name, v)
	}
}

// boundMacro is a macro with the scope that it was defined in.
type boundMacro struct {
	macro *macro
	scope *scope
}

func (b *boundMacro) call(r *renderer, args []any, kwargs Keywords) any {
	m := b.macro
	if r.macros++; r.macros > maxMacroDepth {
		fail("macros call each other more than %d deep", maxMacroDepth)
	}
	s := b.scope.inner()
	for i, p := range m.params {
		value, named := kwargs.Get(p)
		kwargs = kwargs.without(p)
		switch d := i - (len(m.params) - len(m.defaults)); {
		case i < len(args) && named:
			fail("the macro %s got two values for %s", m.name, p)
		case i < len(args):
			value = args[i]
		case named:
		case d >= 0:
			value = r.eval(s, m.defaults[d])
		default:
			value = undefined{"parameter '" + p + "' was not provided"}
		}
		s.set(p, value)
	}
	if m.uses["caller"] {
		caller, ok := kwargs.Get("caller")
		if !ok {
			caller = undefined{"no caller defined"}
		}
		s.set("caller", caller)
		kwargs = kwargs.without("caller")
	}
	if m.uses["kwargs"] {
		d := NewDict()
		for _, k := range kwargs {
			d.Set(k.Name, k.Value)
		}
		s.set("kwargs", d)
	} else if len(kwargs) > 0 {
		fail("the macro %s takes no argument named %s", m.name, kwargs[0].Name)
	}
	rest := args[min(len(args), len(m.params)):]
	if m.uses["varargs"] {
		s.set("varargs", &Tuple{Items: rest})
	} else if len(rest) > 0 {
		fail("the macro %s takes %d arguments, not %d", m.name, len(m.params), len(args))
	}
	text := r.captured(s, m.body)
	r.macros--
	return text
}
