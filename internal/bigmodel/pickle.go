package bigmodel

import (
	"encoding/binary"
	"math"
)

// pickler writes a pickle as Python's C pickler does: strings and globals once,
// then by their number in the memo. Protocol 2 is torch.save's, 4 that of a
// distributed checkpoint's .metadata.
type pickler struct {
	out      []byte
	protocol byte
	memo     map[string]int
	next     int
}

func newPickler(protocol byte) *pickler {
	return &pickler{out: []byte{0x80, protocol}, protocol: protocol, memo: map[string]int{}}
}

// end gives the pickle; one of protocol 4 is one frame.
func (p *pickler) end() []byte {
	p.op('.')
	if p.protocol < 4 {
		return p.out
	}
	framed := append([]byte{0x80, p.protocol, 0x95}, binary.LittleEndian.AppendUint64(nil, uint64(len(p.out)-2))...)
	return append(framed, p.out[2:]...)
}

func (p *pickler) op(codes ...byte) { p.out = append(p.out, codes...) }

// put gives the object on top of the stack the next number.
func (p *pickler) put() int {
	switch {
	case p.protocol >= 4:
		p.op(0x94)
	case p.next < 256:
		p.op('q', byte(p.next))
	default:
		p.op('r')
		p.out = binary.LittleEndian.AppendUint32(p.out, uint32(p.next))
	}
	p.next++
	return p.next - 1
}

// once writes an object that put ends, or refers to it where it was written
// before.
func (p *pickler) once(key string, write func()) {
	n, known := p.memo[key]
	switch {
	case !known:
		write()
		p.memo[key] = p.put()
	case n < 256:
		p.op('h', byte(n))
	default:
		p.op('j')
		p.out = binary.LittleEndian.AppendUint32(p.out, uint32(n))
	}
}

func (p *pickler) str(s string) {
	p.once("string "+s, func() {
		if p.protocol >= 4 && len(s) < 256 {
			p.op(0x8c, byte(len(s)))
		} else {
			p.op('X')
			p.out = binary.LittleEndian.AppendUint32(p.out, uint32(len(s)))
		}
		p.out = append(p.out, s...)
	})
}

func (p *pickler) global(module, name string) {
	p.once("global "+module+" "+name, func() {
		if p.protocol >= 4 {
			p.str(module)
			p.str(name)
			p.op(0x93)
			return
		}
		p.out = append(p.out, "c"+module+"\n"+name+"\n"...)
	})
}

// integer writes a number that is not negative.
func (p *pickler) integer(n int64) {
	switch {
	case n < 1<<8:
		p.op('K', byte(n))
	case n < 1<<16:
		p.op('M', byte(n), byte(n>>8))
	case n <= math.MaxInt32:
		p.op('J')
		p.out = binary.LittleEndian.AppendUint32(p.out, uint32(n))
	default:
		bytes := binary.LittleEndian.AppendUint64(nil, uint64(n))
		size := 8
		for size > 1 && bytes[size-1] == 0 && bytes[size-2] < 0x80 {
			size--
		}
		p.op(0x8a, byte(size))
		p.out = append(p.out, bytes[:size]...)
	}
}

// tuple writes a tuple of n objects.
func (p *pickler) tuple(n int, write func()) {
	switch {
	case n == 0:
		p.op(')')
		return
	case n <= 3:
		write()
		p.op(0x84 + byte(n))
	default:
		p.op('(')
		write()
		p.op('t')
	}
	p.put()
}

func (p *pickler) integers(list []int64) {
	p.tuple(len(list), func() {
		for _, n := range list {
			p.integer(n)
		}
	})
}

// batch is how many items the pickler sets at once.
const batch = 1000

// items writes n items of the dict or list on top of the stack.
func (p *pickler) items(n int, single, several byte, write func(i int)) {
	for first := 0; first < n; first += batch {
		last := min(first+batch, n)
		if last-first == 1 {
			write(first)
			p.op(single)
			continue
		}
		p.op('(')
		for i := first; i < last; i++ {
			write(i)
		}
		p.op(several)
	}
}

// dict writes a dict of n entries, each a key and a value.
func (p *pickler) dict(n int, write func(i int)) {
	p.op('}')
	p.put()
	p.items(n, 's', 'u', write)
}

func (p *pickler) list(n int, write func(i int)) {
	p.op(']')
	p.put()
	p.items(n, 'a', 'e', write)
}

// field is an attribute of an object.
type field struct {
	name  string
	write func()
}

// object writes an instance of a class with its attributes.
func (p *pickler) object(module, class string, fields ...field) {
	p.global(module, class)
	p.op(')', 0x81)
	p.put()
	p.dict(len(fields), func(i int) {
		p.str(fields[i].name)
		fields[i].write()
	})
	p.op('b')
}

// orderedDict writes an empty OrderedDict; items may follow.
func (p *pickler) orderedDict() {
	p.global("collections", "OrderedDict")
	p.op(')', 'R')
	p.put()
}

// tensor writes a contiguous bfloat16 tensor that has the whole storage called
// key (torch/_tensor.py, _reduce_ex_internal).
func (p *pickler) tensor(key string, shape []int64) {
	elements, strides := int64(1), make([]int64, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = elements
		elements *= shape[i]
	}
	p.global("torch._utils", "_rebuild_tensor_v2")
	p.tuple(6, func() {
		p.tuple(5, func() {
			p.str("storage")
			p.global("torch", "BFloat16Storage")
			p.str(key)
			p.str("cpu")
			p.integer(elements)
		})
		p.op('Q')
		p.integer(0)
		p.integers(shape)
		p.integers(strides)
		p.op(0x89)
		p.orderedDict()
	})
	p.op('R')
	p.put()
}
