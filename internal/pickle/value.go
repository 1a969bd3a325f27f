package pickle

// Tuple is a Python tuple.
type Tuple []any

// List is a Python list.
type List struct {
	Items []any

	state
}

// Pair is one entry of a dict.
type Pair struct{ Key, Value any }

// Dict is a Python dict or collections.OrderedDict, in its order.
type Dict struct {
	Items []Pair
	// State holds the attributes that an OrderedDict carries besides its entries,
	// such as the _metadata of a PyTorch state dict; nil without.
	State any

	index map[any]int
	state
}

// Set is a Python set or frozenset. Equal items are not merged.
type Set struct {
	Items []any

	state
}

// Global is a name that the pickle refers to: a class, a function, a constant.
// Python 2's __builtin__ and copy_reg are given as builtins and copyreg.
type Global struct{ Module, Name string }

// String gives module and name joined by a dot.
func (g Global) String() string { return g.Module + "." + g.Name }

// Object is what calling Class would have made. It is a record; nothing was
// called.
type Object struct {
	Class  Global
	Args   Tuple
	Kwargs *Dict // of NEWOBJ_EX, else nil
	State  any   // of BUILD, else nil
	Items  []any // appended or added
	Pairs  []Pair

	state
}

// Field finds an attribute in a State that is a dict, or in the (dict, slots)
// pair of a class with slots.
func (o *Object) Field(name string) (any, bool) {
	switch s := o.State.(type) {
	case *Dict:
		return s.Get(name)
	case Tuple:
		for _, part := range s {
			if d, ok := part.(*Dict); ok {
				if v, ok := d.Get(name); ok {
					return v, true
				}
			}
		}
	}
	return nil, false
}

// indexed is the size from which a dict has an index.
const indexed = 8

// Get finds the value of a string key.
func (d *Dict) Get(key string) (any, bool) {
	if i := d.find(key); i >= 0 {
		return d.Items[i].Value, true
	}
	return nil, false
}

// find gives the position of a string, int64 or bool key, or -1.
func (d *Dict) find(key any) int {
	if d.index != nil {
		if i, ok := d.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range d.Items {
		if d.Items[i].Key == key {
			return i
		}
	}
	return -1
}

// set is d[key] = value. Only strings, int64s and bools are compared with the
// keys that are there; an equal tuple or object becomes a second entry.
func (d *Dict) set(key, value any) {
	switch key.(type) {
	case string, int64, bool:
	default:
		d.Items = append(d.Items, Pair{key, value})
		return
	}
	if i := d.find(key); i >= 0 {
		d.Items[i].Value = value
		return
	}
	d.Items = append(d.Items, Pair{key, value})
	switch {
	case d.index != nil:
		d.index[key] = len(d.Items) - 1
	case len(d.Items) > indexed:
		d.index = make(map[any]int, 2*indexed)
		for i, p := range d.Items {
			switch p.Key.(type) {
			case string, int64, bool:
				d.index[p.Key] = i
			}
		}
	}
}

// state is what the decoder knows about a container that may still grow: how
// deep it is, and whether it already lies in another one.
type state struct {
	depth  int32
	sealed bool
}

func (s *state) container() *state { return s }

// modern maps module names of Python 2.
func modern(module string) string {
	switch {
	case module == "__builtin__":
		return "builtins"
	case module == "copy_reg":
		return "copyreg"
	}
	return module
}
