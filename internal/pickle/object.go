package pickle

import (
	"fmt"
	"slices"
)

// global is GLOBAL: a module's line and a name's.
func (d *Decoder) global() error {
	g, err := d.globalLines()
	if err != nil {
		return err
	}
	return d.push(g, 0)
}

func (d *Decoder) globalLines() (Global, error) {
	module, err := d.line()
	if err != nil {
		return Global{}, err
	}
	name, err := d.line()
	if err != nil {
		return Global{}, err
	}
	return d.permitted(module, name)
}

func (d *Decoder) stackGlobal(taken []slot) error {
	module, ok := taken[0].value.(string)
	name, ok2 := taken[1].value.(string)
	if !ok || !ok2 {
		return fmt.Errorf("%w: a name is made of a %s and a %s, not of two strings", ErrFormat, kind(taken[0].value), kind(taken[1].value))
	}
	g, err := d.permitted(module, name)
	if err != nil {
		return err
	}
	return d.push(g, 0)
}

// permitted asks the caller whether the pickle may use a name.
func (d *Decoder) permitted(module, name string) (Global, error) {
	module = modern(module)
	if d.opts.Allow == nil || !d.opts.Allow(module, name) {
		return Global{}, fmt.Errorf("%w: it uses %s, which is not among the names that are read as data here; nothing of it was run", ErrGlobal, clipped(module+"."+name))
	}
	return Global{module, name}, nil
}

// clipped quotes a name only as far as a message can hold it.
func clipped(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most] + "…"
	}
	quoted := fmt.Sprintf("%q", name)
	return quoted[1 : len(quoted)-1]
}

// construct is class(*args), or class(*args, **kwargs).
func (d *Decoder) construct(taken []slot) error {
	class, ok := taken[0].value.(Global)
	if !ok {
		return fmt.Errorf("%w: it calls a %s, which is no name", ErrFormat, kind(taken[0].value))
	}
	args, ok := taken[1].value.(Tuple)
	if !ok {
		return fmt.Errorf("%w: %v is called with a %s, not a tuple", ErrFormat, class, kind(taken[1].value))
	}
	var kwargs *Dict
	if len(taken) == 3 {
		if kwargs, ok = taken[2].value.(*Dict); !ok {
			return fmt.Errorf("%w: %v is called with a %s, not a dict of arguments", ErrFormat, class, kind(taken[2].value))
		}
		if len(kwargs.Items) == 0 {
			kwargs = nil
		}
	}
	depth, err := d.put(0, taken...)
	if err != nil {
		return err
	}
	value, err := d.made(class, args, kwargs)
	if err != nil {
		return fmt.Errorf("%v: %w", class, err)
	}
	if c, ok := value.(container); ok {
		s := c.container()
		if s.sealed {
			return d.push(value, 0) // one of the arguments
		}
		s.depth = max(s.depth, int32(depth))
	}
	return d.push(value, depth)
}

func (d *Decoder) made(class Global, args Tuple, kwargs *Dict) (any, error) {
	if d.opts.Construct != nil && kwargs == nil {
		if value, ok, err := d.opts.Construct(class, args); ok || err != nil {
			return value, err
		}
	}
	if known := natives[class]; known != nil && kwargs == nil {
		return known(args)
	}
	return &Object{Class: class, Args: args, Kwargs: kwargs}, nil
}

// inst is INST: lines of a class, and arguments above a mark.
func (d *Decoder) inst() error {
	class, err := d.globalLines()
	if err != nil {
		return err
	}
	taken, err := d.popMark()
	if err != nil {
		return err
	}
	return d.constructFrom(slot{value: class}, taken)
}

// obj is OBJ: a class and its arguments above a mark.
func (d *Decoder) obj(taken []slot) error {
	if len(taken) == 0 {
		return fmt.Errorf("%w: an object without a class", ErrFormat)
	}
	return d.constructFrom(taken[0], taken[1:])
}

func (d *Decoder) constructFrom(class slot, args []slot) error {
	depth, err := d.put(0, args...)
	if err != nil {
		return err
	}
	return d.construct([]slot{class, {Tuple(values(args)), depth}})
}

// build is BUILD: the state of the value below it.
func (d *Decoder) build(taken []slot) error {
	top, err := d.top(1)
	if err != nil {
		return err
	}
	switch c := top[0].value.(type) {
	case *Object:
		if err := d.grow(c, taken...); err != nil {
			return err
		}
		c.State = taken[0].value
	case *Dict:
		if err := d.grow(c, taken...); err != nil {
			return err
		}
		c.State = taken[0].value
	default:
		return fmt.Errorf("%w: a %s is given a state", ErrFormat, kind(c))
	}
	return nil
}

func (d *Decoder) persistentLine() error {
	id, err := d.line()
	if err != nil {
		return err
	}
	return d.persistent([]slot{{value: id}})
}

func (d *Decoder) persistent(taken []slot) error {
	if d.opts.Persistent == nil {
		return fmt.Errorf("%w: it refers to something outside of it by a persistent id", ErrFormat)
	}
	value, err := d.opts.Persistent(taken[0].value)
	if err != nil {
		return err
	}
	return d.push(value, 0)
}

// natives are the names of Python's library that stand for a plain value.
var natives = map[Global]func(Tuple) (any, error){
	{"collections", "OrderedDict"}: orderedDict,
	{"builtins", "set"}:            set,
	{"builtins", "frozenset"}:      set,
	{"builtins", "bytes"}:          byteString,
	{"builtins", "bytearray"}:      byteString,
	{"_codecs", "encode"}:          byteString,
}

// items gives the only argument, a list or tuple; none is an empty one.
func items(args Tuple) ([]any, error) {
	if len(args) == 0 {
		return nil, nil
	}
	if len(args) == 1 {
		switch a := args[0].(type) {
		case *List:
			return slices.Clone(a.Items), nil
		case Tuple:
			return slices.Clone(a), nil
		}
	}
	return nil, fmt.Errorf("%w: the argument is not one list", ErrFormat)
}

func set(args Tuple) (any, error) {
	list, err := items(args)
	return &Set{Items: list}, err
}

// orderedDict reads OrderedDict(), and OrderedDict([[key, value], …]) of Python 2.
func orderedDict(args Tuple) (any, error) {
	list, err := items(args)
	if err != nil {
		return nil, err
	}
	d := &Dict{}
	for _, entry := range list {
		pair, err := items(Tuple{entry})
		if err != nil || len(pair) != 2 {
			return nil, fmt.Errorf("%w: an entry is not a pair", ErrFormat)
		}
		d.set(pair[0], pair[1])
	}
	return d, nil
}

// byteString reads how protocols before 3 write bytes: as a string of the
// characters 0 to 255 with the name of their encoding.
func byteString(args Tuple) (any, error) {
	switch len(args) {
	case 0:
		return []byte{}, nil
	case 1:
		if b, ok := args[0].([]byte); ok {
			return b, nil
		}
	case 2:
		s, ok := args[0].(string)
		switch encoding := args[1]; {
		case !ok:
		case encoding == "latin1" || encoding == "latin-1":
			return latin1(s)
		case encoding == "utf-8" || encoding == "utf8":
			return []byte(s), nil
		}
	}
	return nil, fmt.Errorf("%w: the arguments are not a string and its encoding", ErrFormat)
}

func latin1(s string) ([]byte, error) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return nil, fmt.Errorf("%w: %q is no latin-1 character", ErrFormat, r)
		}
		b = append(b, byte(r))
	}
	return b, nil
}

// kind names a value's type as Python does.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []byte:
		return "bytes"
	case Tuple:
		return "tuple"
	case *List:
		return "list"
	case *Dict:
		return "dict"
	case *Set:
		return "set"
	case Global:
		return "name (" + clipped(v.String()) + ")"
	case *Object:
		return "object of " + clipped(v.Class.String())
	}
	return fmt.Sprintf("%T", v)
}
