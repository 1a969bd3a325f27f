package jinja

import "strconv"

// The grammar of expressions, loosest first: if-else, or, and, not, comparisons, + and -, ~, * / // %,
// ** (from the left), signs, then attributes, items, calls, filters and tests.

// tuple reads one expression, or several with commas.
func (p *parser) tuple(element func() node) node {
	first := element()
	if !p.peek().is('o', ",") {
		return first
	}
	list := listExpr{items: []node{first}, tuple: true}
	for p.skip('o', ",") {
		t := p.peek()
		if t.kind == 0 || t.is('o', ")") || t.is('o', "=") || t.is('n', "recursive") {
			break
		}
		list.items = append(list.items, element())
	}
	return list
}

func (p *parser) conditional() node {
	p.enter()
	defer func() { p.depth-- }()
	n := p.or()
	for p.skip('n', "if") {
		c := conditional{test: p.or(), yes: n}
		if p.skip('n', "else") {
			c.no = p.conditional()
		}
		n = c
	}
	return n
}

func (p *parser) or() node {
	n := p.and()
	for p.skip('n', "or") {
		n = binary{"or", n, p.and()}
	}
	return n
}

func (p *parser) and() node {
	n := p.not()
	for p.skip('n', "and") {
		n = binary{"and", n, p.not()}
	}
	return n
}

func (p *parser) not() node {
	if !p.skip('n', "not") {
		return p.comparison()
	}
	p.enter()
	defer func() { p.depth-- }()
	return unary{"not", p.not()}
}

func (p *parser) comparison() node {
	c := comparison{first: p.sum()}
	for {
		t := p.peek()
		switch {
		case t.kind == 'o' && (t.text == "==" || t.text == "!=" || t.text == "<" || t.text == "<=" || t.text == ">" || t.text == ">="), t.is('n', "in"):
			p.next()
		case t.is('n', "not") && len(p.tokens) > 1 && p.tokens[1].is('n', "in"):
			p.next()
			p.next()
			t.text = "not in"
		default:
			if c.ops == nil {
				return c.first
			}
			return c
		}
		c.ops = append(c.ops, t.text)
		c.operands = append(c.operands, p.sum())
	}
}

// leftToRight reads operators that bind from the left.
func (p *parser) leftToRight(operand func() node, ops ...string) node {
	n := operand()
	for {
		t := p.peek()
		found := false
		for _, op := range ops {
			found = found || t.is('o', op)
		}
		if !found {
			return n
		}
		p.next()
		n = binary{t.text, n, operand()}
	}
}

func (p *parser) sum() node { return p.leftToRight(p.concat, "+", "-") }

func (p *parser) concat() node {
	c := concat{[]node{p.product()}}
	for p.skip('o', "~") {
		c.operands = append(c.operands, p.product())
	}
	if len(c.operands) == 1 {
		return c.operands[0]
	}
	return c
}

func (p *parser) product() node { return p.leftToRight(p.power, "*", "/", "//", "%") }

func (p *parser) power() node {
	return p.leftToRight(func() node { return p.unary(true) }, "**")
}

// unary reads a sign or a primary. A filter applies to what its sign gives: -1|abs is 1.
func (p *parser) unary(filters bool) node {
	p.enter()
	defer func() { p.depth-- }()
	var n node
	if t := p.peek(); t.is('o', "-") || t.is('o', "+") {
		p.next()
		n = p.postfix(unary{t.text, p.unary(false)})
	} else {
		n = p.postfix(p.primary())
	}
	if !filters {
		return n
	}
	for {
		t := p.peek()
		switch {
		case t.is('o', "|"):
			p.next()
			f := filter{object: n, name: p.dotted()}
			if p.peek().is('o', "(") {
				f.arguments = p.arguments()
			}
			n = f
		case t.is('n', "is"):
			n = p.test(n)
		case t.is('o', "("):
			n = call{n, p.arguments()}
		default:
			return n
		}
	}
}

func (p *parser) test(object node) node {
	p.next()
	negated := p.skip('n', "not")
	t := test{object: object, name: p.dotted()}
	next := p.peek()
	switch {
	case next.is('o', "("):
		t.arguments = p.arguments()
	case next.kind == 's' || next.kind == 'i' || next.kind == 'f' || next.is('o', "[") || next.is('o', "{"),
		next.kind == 'n' && next.text != "else" && next.text != "or" && next.text != "and":
		if next.text == "is" && next.kind == 'n' {
			p.fail("tests with is cannot be chained")
		}
		t.positional = []node{p.postfix(p.primary())}
	}
	if negated {
		return unary{"not", t}
	}
	return t
}

func (p *parser) primary() node {
	t := p.next()
	switch t.kind {
	case 'n':
		switch t.text {
		case "true", "True":
			return constant{true}
		case "false", "False":
			return constant{false}
		case "none", "None":
			return constant{nil}
		}
		p.used[t.text] = true
		return name{t.text}
	case 's':
		s := t.text
		for p.peek().kind == 's' {
			s += p.next().text
		}
		return constant{s}
	case 'i', 'f':
		return constant{number(t)}
	}
	switch t.text {
	case "(":
		if p.skip('o', ")") {
			return listExpr{tuple: true}
		}
		n := p.tuple(p.conditional)
		p.expect('o', ")")
		return n
	case "[":
		return listExpr{items: p.elements("]", nil)}
	case "{":
		var d dictExpr
		d.keys = p.elements("}", func() {
			p.expect('o', ":")
			d.values = append(d.values, p.conditional())
		})
		return d
	}
	p.fail("want an expression, got " + t.String())
	return nil
}

// elements reads up to the bracket that ends a list or dict; after is called behind each element.
func (p *parser) elements(end string, after func()) []node {
	var out []node
	for !p.skip('o', end) {
		if len(out) > 0 {
			p.expect('o', ",")
			if p.skip('o', end) {
				break
			}
		}
		out = append(out, p.conditional())
		if after != nil {
			after()
		}
	}
	return out
}

// postfix reads attributes, items and calls.
func (p *parser) postfix(n node) node {
	for {
		switch t := p.peek(); {
		case t.is('o', "."):
			p.next()
			switch t := p.next(); t.kind {
			case 'n':
				n = getAttr{n, t.text}
			case 'i':
				n = getItem{n, constant{number(t)}}
			default:
				p.fail("want a name behind the dot, got " + t.String())
			}
		case t.is('o', "["):
			p.next()
			n = getItem{n, p.subscript()}
			p.expect('o', "]")
		case t.is('o', "("):
			n = call{n, p.arguments()}
		default:
			return n
		}
	}
}

// subscript reads what is between brackets: a key or a slice.
func (p *parser) subscript() node {
	var bounds [3]node
	for i := 0; ; {
		t := p.peek()
		switch {
		case t.is('o', ":") && i < 2:
			p.next()
			i++
		case t.is('o', "]") && i > 0:
			return slice{bounds[0], bounds[1], bounds[2]}
		case bounds[i] != nil:
			p.fail("unexpected " + t.String())
		case i == 0:
			bounds[0] = p.tuple(p.conditional)
			if p.peek().is('o', "]") {
				return bounds[0]
			}
		default:
			bounds[i] = p.conditional()
		}
	}
}

func (p *parser) arguments() arguments {
	var a arguments
	p.expect('o', "(")
	for first := true; !p.skip('o', ")"); first = false {
		if !first {
			p.expect('o', ",")
			if p.skip('o', ")") {
				break
			}
		}
		t := p.peek()
		switch {
		case t.is('o', "*"):
			p.next()
			a.star = p.conditional()
		case t.is('o', "**"):
			p.next()
			a.starStar = p.conditional()
		case t.kind == 'n' && p.tokens[1].is('o', "="):
			p.next()
			p.next()
			a.names = append(a.names, t.text)
			a.named = append(a.named, p.conditional())
		case a.names != nil:
			p.fail("argument " + strconv.Itoa(len(a.positional)+len(a.names)+1) + " has no name, but follows one that has")
		default:
			a.positional = append(a.positional, p.conditional())
		}
	}
	return a
}
