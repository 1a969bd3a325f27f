package pickle

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

const opStop = '.'

// operations has what each opcode does, by Python's Lib/pickletools.py. Absent
// are those for extension codes and for buffers outside of the pickle, whose
// content only the writer knows.
var operations = [256]func(*Decoder) error{
	0x80: (*Decoder).protocol, // PROTO
	0x95: (*Decoder).frame,    // FRAME

	'N':  constant(nil),   // NONE
	0x88: constant(true),  // NEWTRUE
	0x89: constant(false), // NEWFALSE
	'J':  number(4, func(n uint64) any { return int64(int32(n)) }),
	'K':  number(1, func(n uint64) any { return int64(n) }),
	'M':  number(2, func(n uint64) any { return int64(n) }),
	'G':  number(8, bigEndianFloat),   // BINFLOAT
	0x8a: counted(1, long),            // LONG1
	0x8b: counted(4, long),            // LONG4
	'U':  counted(1, raw),             // SHORT_BINSTRING
	'T':  counted(4, raw),             // BINSTRING
	'C':  counted(1, blob),            // SHORT_BINBYTES
	'B':  counted(4, blob),            // BINBYTES
	0x8e: counted(8, blob),            // BINBYTES8
	0x96: counted(8, blob),            // BYTEARRAY8
	0x8c: counted(1, text),            // SHORT_BINUNICODE
	'X':  counted(4, text),            // BINUNICODE
	0x8d: counted(8, text),            // BINUNICODE8
	'I':  lineValue(parseInt),         // INT
	'L':  lineValue(parseLong),        // LONG
	'F':  lineValue(parseFloat),       // FLOAT
	'S':  lineValue(parseQuoted),      // STRING
	'V':  lineValue(parseUnicode),     // UNICODE
	']':  fresh(newList),              // EMPTY_LIST
	'}':  fresh(newDict),              // EMPTY_DICT
	0x8f: fresh(newSet),               // EMPTY_SET
	'l':  marked((*Decoder).list),     // LIST
	'd':  marked((*Decoder).dict),     // DICT
	't':  marked((*Decoder).tuple),    // TUPLE
	0x91: marked((*Decoder).frozen),   // FROZENSET
	'e':  marked((*Decoder).append),   // APPENDS
	'u':  marked((*Decoder).setItems), // SETITEMS
	0x90: marked((*Decoder).append),   // ADDITEMS
	')':  taking(0, (*Decoder).tuple), // EMPTY_TUPLE
	0x85: taking(1, (*Decoder).tuple),
	0x86: taking(2, (*Decoder).tuple),
	0x87: taking(3, (*Decoder).tuple),
	'a':  taking(1, (*Decoder).append),   // APPEND
	's':  taking(2, (*Decoder).setItems), // SETITEM

	'(': (*Decoder).mark,
	'0': (*Decoder).drop,                                            // POP
	'1': marked(func(*Decoder, []slot) error { return nil }),        // POP_MARK
	'2': (*Decoder).duplicate,                                       // DUP
	'p': lineKey((*Decoder).store), 'g': lineKey((*Decoder).recall), // PUT, GET
	'q': key(1, (*Decoder).store), 'h': key(1, (*Decoder).recall), // BINPUT, BINGET
	'r': key(4, (*Decoder).store), 'j': key(4, (*Decoder).recall), // LONG_BINPUT, LONG_BINGET
	0x94: (*Decoder).memoize,

	'c':  (*Decoder).global,
	0x93: taking(2, (*Decoder).stackGlobal),
	'R':  taking(2, (*Decoder).construct), // REDUCE
	0x81: taking(2, (*Decoder).construct), // NEWOBJ
	0x92: taking(3, (*Decoder).construct), // NEWOBJ_EX
	'i':  (*Decoder).inst,
	'o':  marked((*Decoder).obj),
	'b':  taking(1, (*Decoder).build),
	'P':  (*Decoder).persistentLine,
	'Q':  taking(1, (*Decoder).persistent), // BINPERSID
}

func constant(v any) func(*Decoder) error {
	return func(d *Decoder) error { return d.push(v, 0) }
}

func number(width int, convert func(uint64) any) func(*Decoder) error {
	return func(d *Decoder) error {
		n, err := d.fixed(width)
		if err != nil {
			return err
		}
		return d.push(convert(n), 0)
	}
}

func counted(width int, convert func([]byte) (any, error)) func(*Decoder) error {
	return func(d *Decoder) error {
		b, err := d.counted(width)
		if err != nil {
			return err
		}
		v, err := convert(b)
		if err != nil {
			return err
		}
		return d.push(v, 0)
	}
}

// fresh pushes an empty container.
func fresh(make func() any) func(*Decoder) error {
	return func(d *Decoder) error { return d.push(make(), 0) }
}

func newList() any { return &List{} }
func newDict() any { return &Dict{} }
func newSet() any  { return &Set{} }

// marked hands over what lies above the last mark, taking the n topmost values.
func marked(do func(*Decoder, []slot) error) func(*Decoder) error {
	return func(d *Decoder) error {
		taken, err := d.popMark()
		if err != nil {
			return err
		}
		return do(d, taken)
	}
}

func taking(n int, do func(*Decoder, []slot) error) func(*Decoder) error {
	return func(d *Decoder) error {
		taken, err := d.pop(n)
		if err != nil {
			return err
		}
		return do(d, taken)
	}
}

// key reads a memo key of width bytes.
func key(width int, do func(*Decoder, uint64) error) func(*Decoder) error {
	return func(d *Decoder) error {
		n, err := d.fixed(width)
		if err != nil {
			return err
		}
		return do(d, n)
	}
}

func (d *Decoder) protocol() error {
	v, err := d.byte()
	if err == nil && v > 5 {
		err = fmt.Errorf("%w: protocol %d is newer than 5", ErrFormat, v)
	}
	return err
}

// frame checks the length only: frames help those who read from a pipe.
func (d *Decoder) frame() error {
	n, err := d.fixed(8)
	if err != nil {
		return err
	}
	return d.fits(n)
}

func bigEndianFloat(n uint64) any {
	var swapped uint64
	for range 8 {
		swapped = swapped<<8 | n&0xff
		n >>= 8
	}
	return math.Float64frombits(swapped)
}

func raw(b []byte) (any, error)  { return string(b), nil }
func blob(b []byte) (any, error) { return b, nil }

func text(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: a string of %d bytes is not UTF-8", ErrFormat, len(b))
	}
	return string(b), nil
}

// long reads a little-endian two's complement number.
func long(b []byte) (any, error) {
	if len(b) > maxLong {
		return nil, fmt.Errorf("%w: an integer of %d bytes", ErrLimit, len(b))
	}
	if len(b) == 0 {
		return int64(0), nil
	}
	negative := b[len(b)-1]&0x80 != 0
	n := new(big.Int).SetBytes(reversed(b))
	if negative {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return narrow(n), nil
}

func reversed(b []byte) []byte {
	slices.Reverse(b)
	return b
}

// narrow gives an int64 where it suffices.
func narrow(n *big.Int) any {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

func values(slots []slot) []any {
	if len(slots) == 0 {
		return nil
	}
	items := make([]any, len(slots))
	for i, s := range slots {
		items[i] = s.value
	}
	return items
}

func (d *Decoder) tuple(taken []slot) error {
	depth, err := d.put(0, taken...)
	if err != nil {
		return err
	}
	return d.push(Tuple(values(taken)), depth)
}

func (d *Decoder) list(taken []slot) error {
	l := &List{Items: values(taken)}
	if err := d.grow(l, taken...); err != nil {
		return err
	}
	return d.push(l, 0)
}

func (d *Decoder) frozen(taken []slot) error {
	s := &Set{Items: values(taken)}
	if err := d.grow(s, taken...); err != nil {
		return err
	}
	return d.push(s, 0)
}

func (d *Decoder) dict(taken []slot) error {
	taken = slices.Clone(taken) // push would overwrite them
	if err := d.push(&Dict{}, 0); err != nil {
		return err
	}
	return d.setItems(taken)
}

// append puts values into the list, set or object on top of the stack.
func (d *Decoder) append(taken []slot) error {
	top, err := d.top(1)
	if err != nil {
		return err
	}
	c, ok := top[0].value.(container)
	if !ok {
		return fmt.Errorf("%w: items are appended to a %s", ErrFormat, kind(top[0].value))
	}
	if err := d.grow(c, taken...); err != nil {
		return err
	}
	for _, s := range taken {
		switch c := c.(type) {
		case *List:
			c.Items = append(c.Items, s.value)
		case *Set:
			c.Items = append(c.Items, s.value)
		case *Object:
			c.Items = append(c.Items, s.value)
		default:
			return fmt.Errorf("%w: items are appended to a %s", ErrFormat, kind(c))
		}
	}
	return nil
}

// setItems puts keys and values, in turn, into the dict or object on top.
func (d *Decoder) setItems(taken []slot) error {
	top, err := d.top(1)
	if err != nil {
		return err
	}
	if len(taken)%2 != 0 {
		return fmt.Errorf("%w: a key without a value", ErrFormat)
	}
	c, ok := top[0].value.(container)
	if !ok {
		return fmt.Errorf("%w: entries are put into a %s", ErrFormat, kind(top[0].value))
	}
	if err := d.grow(c, taken...); err != nil {
		return err
	}
	for i := 0; i < len(taken); i += 2 {
		switch c := c.(type) {
		case *Dict:
			c.set(taken[i].value, taken[i+1].value)
		case *Object:
			c.Pairs = append(c.Pairs, Pair{taken[i].value, taken[i+1].value})
		default:
			return fmt.Errorf("%w: entries are put into a %s", ErrFormat, kind(c))
		}
	}
	return nil
}

func (d *Decoder) mark() error {
	if len(d.stack)+len(d.marks) >= d.limits.Stack {
		return fmt.Errorf("%w: more than %d values on the stack", ErrLimit, d.limits.Stack)
	}
	d.marks = append(d.marks, len(d.stack))
	return nil
}

// drop is POP, which also takes a mark away where that is on top.
func (d *Decoder) drop() error {
	if n := len(d.marks); n > 0 && d.marks[n-1] == len(d.stack) {
		d.marks = d.marks[:n-1]
		return nil
	}
	_, err := d.pop(1)
	return err
}

func (d *Decoder) duplicate() error {
	top, err := d.top(1)
	if err != nil {
		return err
	}
	return d.push(top[0].value, top[0].depth)
}

func (d *Decoder) memoize() error { return d.store(uint64(len(d.memo) + len(d.sparse))) }
