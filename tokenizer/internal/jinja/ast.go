package jinja

// Expressions.
type (
	constant struct{ value any }
	name     struct{ id string }
	listExpr struct {
		items []node
		tuple bool
	}
	dictExpr struct{ keys, values []node }
	getAttr  struct {
		object node
		name   string
	}
	getItem struct{ object, key node }
	slice   struct{ start, stop, step node } // nil where it is left out
	call    struct {
		function node
		arguments
	}
	filter struct {
		object node // nil: the text of a block
		name   string
		arguments
	}
	test struct {
		object node
		name   string
		arguments
	}
	unary struct {
		op      string
		operand node
	}
	binary struct {
		op          string
		left, right node
	}
	concat     struct{ operands []node }
	comparison struct {
		first    node
		ops      []string
		operands []node
	}
	conditional struct{ test, yes, no node } // no may be nil
)

// arguments of a call; star and starStar are *args and **kwargs.
type arguments struct {
	positional     []node
	names          []string
	named          []node
	star, starStar node
}

// Statements.
type (
	output  struct{ text string }
	printed struct{ value node }
	forLoop struct {
		target          target
		iterable, check node
		recursive       bool
		body, orElse    []node
	}
	ifElse struct {
		tests  []node
		bodies [][]node // one more than tests when there is an else
	}
	assign struct {
		target target
		value  node
	}
	assignBlock struct {
		target  target
		filters []filter
		body    []node
	}
	with struct {
		targets []target
		values  []node
		body    []node
	}
	macro struct {
		name     string
		params   []string
		defaults []node // of the last parameters
		body     []node
		uses     map[string]bool // of caller, varargs and kwargs
	}
	callBlock struct {
		macro *macro
		call  node
	}
	filterBlock struct {
		filters []filter
		body    []node
	}
	group    struct{ body []node } // {% generation %}
	control  struct{ word string } // break, continue
	node     any
	position struct { // a statement's line, for errors
		line      int
		statement node
	}
)

// A target is what an assignment writes to: a name, a namespace's attribute, or several targets.
type target struct {
	name, attribute string
	parts           []target
}
