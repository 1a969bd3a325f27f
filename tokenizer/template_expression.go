package tokenizer

import "strings"

// expressionWriter writes a tag's tokens for the engine, with calls in place of what the engine does
// otherwise than Python: a + b becomes trtgo_add(a, b), a ~ b trtgo_join(a, b), x|tojson
// x|trtgo_filter_tojson. Of Jinja's grammar it needs to know where the operands of + and ~ end: at a
// bracket, a comma, colon or equals sign, a comparison, or one of the words below; ~ binds closer
// than + and -, all other operators closer than both.
type expressionWriter struct {
	tokens []templateToken
	pos    int
}

var lowWords = map[string]bool{"and": true, "or": true, "not": true, "in": true, "if": true, "else": true}

// expression writes up to the bracket that closes, or to the end.
func (w *expressionWriter) expression() string {
	var out strings.Builder
	var sum additive
	pipe, is, dot := false, false, false
	for ; w.pos < len(w.tokens); w.pos++ {
		t := w.tokens[w.pos]
		switch t.kind {
		case ' ':
			sum.write(" ")
			continue
		case 's':
			sum.write(literal(t.text))
		case 'w':
			switch {
			case pipe && ownFilters[t.text] != nil:
				sum.write(filterName(t.text))
			case dot && unsafeMethods[t.text] && w.calls(w.pos):
				sum.write("trtgo_unsafe_" + t.text)
			case lowWords[t.text] && !is && !pipe && !dot:
				sum.flush(&out)
				out.WriteString(t.text)
			default:
				sum.write(t.text)
			}
			// In "is not none" and "is in", the words belong to the test.
			is = t.text == "is" && !dot || is && t.text == "not"
			pipe, dot = false, false
			continue
		case '(', '[', '{':
			w.pos++
			sum.write(t.text)
			sum.write(w.expression())
			if w.pos < len(w.tokens) {
				sum.write(w.tokens[w.pos].text)
			}
			if t.kind == '{' {
				sum.write(" ") // }} would end the tag
			}
		case ')', ']', '}':
			sum.flush(&out)
			return out.String()
		case '+', '-', '~':
			sum.operator(t.kind)
		case ',', ':', '=', '!', '<', '>':
			sum.flush(&out)
			out.WriteString(t.text)
		default:
			sum.write(t.text)
		}
		pipe, is, dot = t.kind == '|', false, t.kind == '.'
	}
	sum.flush(&out)
	return out.String()
}

// loop writes what follows the word for; the sequence becomes trtgo_iter(...).
func (w *expressionWriter) loop() string {
	all := w.tokens
	start, end, depth := -1, len(all), 0
	for i, t := range all {
		switch t.kind {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case 'w':
			switch {
			case depth > 0 || end < len(all):
			case start < 0 && t.text == "in":
				start = i + 1
			case start >= 0 && (t.text == "if" || t.text == "recursive"):
				end = i
			}
		}
	}
	if start < 0 {
		return w.expression()
	}
	part := func(tokens []templateToken) string { return (&expressionWriter{tokens: tokens}).expression() }
	rest := ""
	if end < len(all) {
		rest = all[end].text + part(pairNames(all[:start], all[end+1:]))
	}
	return part(all[:start]) + iterCall + "(" + part(all[start:end]) + ") " + rest
}

// pairNames makes the condition of "for k, v in items if condition" right: while the engine evaluates
// it, v is the whole pair and k is not set.
func pairNames(target, condition []templateToken) []templateToken {
	var names []string
	for _, t := range target {
		if t.kind == 'w' && t.text != "in" {
			names = append(names, t.text)
		}
	}
	if len(names) != 2 {
		return condition
	}
	out := append([]templateToken(nil), condition...)
	for i, t := range out {
		if t.kind != 'w' || i > 0 && out[i-1].kind == '.' {
			continue
		}
		switch t.text {
		case names[0]:
			out[i].text = names[1] + "[0]"
		case names[1]:
			out[i].text = names[1] + "[1]"
		}
	}
	return out
}

// unsafeMethods change a list or an object. transformers' sandbox refuses them when they are called; under
// another name the engine does too.
var unsafeMethods = map[string]bool{"append": true, "insert": true, "pop": true, "update": true, "extend": true,
	"clear": true, "remove": true, "reverse": true, "setdefault": true, "popitem": true, "sort": true}

// calls reports whether the token behind i opens an argument list.
func (w *expressionWriter) calls(i int) bool {
	return i+1 < len(w.tokens) && w.tokens[i+1].kind == '('
}

// additive collects a sum: operands of + and -, each of them operands of ~.
type additive struct {
	operand   strings.Builder
	joined    []string // operands of ~ so far
	terms     []string // operands of + and - so far
	operators []byte
}

func (a *additive) write(s string) { a.operand.WriteString(s) }

func (a *additive) operator(op byte) {
	if op != '~' && strings.TrimSpace(a.operand.String()) == "" {
		a.operand.WriteByte(op) // a sign
		return
	}
	a.joined = append(a.joined, a.operand.String())
	a.operand.Reset()
	if op != '~' {
		a.term()
		a.operators = append(a.operators, op)
	}
}

// term ends an operand of + or -.
func (a *additive) term() {
	term := a.joined[0]
	if len(a.joined) > 1 {
		term = joinCall + "(" + strings.Join(a.joined, ",") + ")"
	}
	a.terms = append(a.terms, term)
	a.joined = nil
}

// flush writes the sum and begins a new one.
func (a *additive) flush(out *strings.Builder) {
	a.joined = append(a.joined, a.operand.String())
	a.operand.Reset()
	a.term()
	sum := a.terms[0]
	for i := 0; i < len(a.operators); {
		if a.operators[i] == '-' {
			sum += "-" + a.terms[i+1]
			i++
			continue
		}
		args := sum
		for ; i < len(a.operators) && a.operators[i] == '+'; i++ {
			args += "," + a.terms[i+1]
		}
		sum = addCall + "(" + args + ")"
	}
	// Outer spaces stay outside, where words must not run together.
	out.WriteString(" " + sum + " ")
	a.terms, a.operators = nil, nil
}
