package pickle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors that Decode's are wrapped in.
var (
	// ErrFormat says that the bytes are no pickle, or end too early.
	ErrFormat = errors.New("invalid pickle")
	// ErrGlobal says that the pickle names something that Allow refuses.
	ErrGlobal = errors.New("pickle refused")
	// ErrLimit says that the pickle exceeds one of the Limits.
	ErrLimit = errors.New("pickle too large")
)

// Limits bound what one pickle may take. Zero stands for the default.
type Limits struct {
	Bytes   int64 // read; 256 MiB
	Values  int   // pushed on the stack; 16 million
	Memo    int   // entries; 8 million
	Stack   int   // values and marks at once; 4 million
	Nesting int   // containers in containers; 200
}

func (l Limits) filled() Limits {
	if l.Bytes == 0 {
		l.Bytes = 256 << 20
	}
	if l.Values == 0 {
		l.Values = 16 << 20
	}
	if l.Memo == 0 {
		l.Memo = 8 << 20
	}
	if l.Stack == 0 {
		l.Stack = 4 << 20
	}
	if l.Nesting == 0 {
		l.Nesting = 200
	}
	return l
}

// Options say what a pickle may contain.
type Options struct {
	// Allow tells whether a name may occur. Nil refuses every name.
	Allow func(module, name string) bool
	// Persistent gives the value of a persistent id, which is a string or, from
	// protocol 1 on, any value. Nil refuses persistent ids.
	Persistent func(id any) (any, error)
	// Construct, unless nil, is asked what becomes of class(*args); where it
	// returns false the value is an *Object, or the Dict, Set or []byte for the
	// few names of Python that stand for one: collections.OrderedDict,
	// builtins.set, frozenset, bytes and bytearray, _codecs.encode. What it returns
	// cannot be changed by the pickle any more unless it is one of this package's
	// containers.
	Construct func(class Global, args Tuple) (value any, ok bool, err error)
	Limits    Limits
}

// Decoder reads pickles that follow each other. It is not safe for concurrent
// use.
type Decoder struct {
	opts   Options
	limits Limits

	r    *bufio.Reader
	off  int64 // of the next byte
	end  int64 // of the input
	stop int64 // where this pickle has to end, for Limits.Bytes

	stack  []slot
	marks  []int // lengths of the stack at each mark
	values int
	memo   []slot // entries 0, 1, 2, …
	sparse map[uint64]slot
	word   [8]byte
}

// slot is a value with its depth, which a Tuple cannot hold itself.
type slot struct {
	value any
	depth int
}

// NewDecoder reads size bytes of r from its start.
func NewDecoder(r io.ReaderAt, size int64, opts Options) *Decoder {
	return &Decoder{
		opts: opts, limits: opts.Limits.filled(), end: size,
		r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 32<<10),
	}
}

// Offset is the position after the last byte read: after Decode, the one behind
// the pickle.
func (d *Decoder) Offset() int64 { return d.off }

// Decode reads one pickle. It returns io.EOF where none begins; every other error
// wraps [ErrFormat], [ErrGlobal] or [ErrLimit], or is the reader's or a hook's,
// and names the position. After an error the Decoder is of no more use.
func (d *Decoder) Decode() (any, error) {
	if d.off == d.end {
		return nil, io.EOF
	}
	d.stop = min(d.end, d.off+min(d.limits.Bytes, d.end))
	d.stack, d.marks, d.memo, d.sparse, d.values = nil, nil, nil, nil, 0
	for {
		at := d.off
		op, err := d.byte()
		if err != nil {
			return nil, err
		}
		if op == opStop {
			break
		}
		run := operations[op]
		if run == nil {
			return nil, fmt.Errorf("%w: byte %d is %#02x, which is no opcode that can be read", ErrFormat, at, op)
		}
		if err := run(d); err != nil {
			return nil, fmt.Errorf("byte %d: %w", at, err)
		}
	}
	if len(d.stack) != 1 || len(d.marks) != 0 {
		return nil, fmt.Errorf("%w: it stops at byte %d with %d values and %d marks on the stack, not with one value", ErrFormat, d.off, len(d.stack), len(d.marks))
	}
	root := d.stack[0].value
	d.stack, d.memo, d.sparse = nil, nil, nil
	return root, nil
}

// fits checks a length before anything is allocated for it.
func (d *Decoder) fits(n uint64) error {
	switch {
	case n <= uint64(d.stop-d.off):
		return nil
	case n <= uint64(d.end-d.off):
		return fmt.Errorf("%w: more than %d bytes", ErrLimit, d.limits.Bytes)
	}
	return fmt.Errorf("%w: it claims %d bytes where %d are left (truncated?)", ErrFormat, n, d.end-d.off)
}

func (d *Decoder) byte() (byte, error) {
	if err := d.fits(1); err != nil {
		return 0, err
	}
	b, err := d.r.ReadByte()
	if err != nil {
		return 0, ended(err)
	}
	d.off++
	return b, nil
}

// fixed reads a little-endian number of n bytes.
func (d *Decoder) fixed(n int) (uint64, error) {
	if err := d.fits(uint64(n)); err != nil {
		return 0, err
	}
	d.word = [8]byte{}
	if _, err := io.ReadFull(d.r, d.word[:n]); err != nil {
		return 0, ended(err)
	}
	d.off += int64(n)
	return binary.LittleEndian.Uint64(d.word[:]), nil
}

// counted reads a length of width bytes and as many bytes as it says.
func (d *Decoder) counted(width int) ([]byte, error) {
	n, err := d.fixed(width)
	if err != nil {
		return nil, err
	}
	if err := d.fits(n); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(d.r, b); err != nil {
		return nil, ended(err)
	}
	d.off += int64(n)
	return b, nil
}

// line reads up to a newline, which is dropped.
func (d *Decoder) line() (string, error) {
	var line []byte
	for {
		b, err := d.byte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		line = append(line, b)
	}
}

// ended is the error of an input that is shorter than it was said to be.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the input ends early", ErrFormat)
	}
	return err
}

// push puts a value with its depth on the stack.
func (d *Decoder) push(value any, depth int) error {
	if d.values++; d.values > d.limits.Values {
		return fmt.Errorf("%w: more than %d values", ErrLimit, d.limits.Values)
	}
	if len(d.stack)+len(d.marks) >= d.limits.Stack {
		return fmt.Errorf("%w: more than %d values on the stack", ErrLimit, d.limits.Stack)
	}
	d.stack = append(d.stack, slot{value, depth})
	return nil
}

// floor is the length below which nothing may be popped.
func (d *Decoder) floor() int {
	if n := len(d.marks); n > 0 {
		return d.marks[n-1]
	}
	return 0
}

// top gives the n topmost values without popping them.
func (d *Decoder) top(n int) ([]slot, error) {
	if len(d.stack)-d.floor() < n {
		return nil, fmt.Errorf("%w: the stack has %d values where %d are needed", ErrFormat, len(d.stack)-d.floor(), n)
	}
	return d.stack[len(d.stack)-n:], nil
}

// pop removes the n topmost values. They are valid until the next push.
func (d *Decoder) pop(n int) ([]slot, error) {
	taken, err := d.top(n)
	if err == nil {
		d.stack = d.stack[:len(d.stack)-n]
	}
	return taken, err
}

// popMark removes the values above the last mark, and the mark.
func (d *Decoder) popMark() ([]slot, error) {
	n := len(d.marks)
	if n == 0 {
		return nil, fmt.Errorf("%w: no mark on the stack", ErrFormat)
	}
	taken := d.stack[d.marks[n-1]:]
	d.stack, d.marks = d.stack[:d.marks[n-1]], d.marks[:n-1]
	return taken, nil
}

type container interface{ container() *state }

// put notes that values go into a container of the given depth, and returns the
// container's depth with them.
func (d *Decoder) put(depth int, values ...slot) (int, error) {
	for _, s := range values {
		inner := s.depth
		if c, ok := s.value.(container); ok {
			c.container().sealed = true
			inner = int(c.container().depth)
		}
		depth = max(depth, inner+1)
	}
	if depth > d.limits.Nesting {
		return 0, fmt.Errorf("%w: values nested more than %d deep", ErrLimit, d.limits.Nesting)
	}
	return depth, nil
}

// grow checks that the container may still change and puts values into it.
func (d *Decoder) grow(c container, values ...slot) error {
	s := c.container()
	if s.sealed {
		return fmt.Errorf("%w: a value is changed after it was put into another one (does it contain itself?)", ErrFormat)
	}
	depth, err := d.put(int(s.depth), values...)
	if err != nil {
		return err
	}
	if s.sealed {
		return fmt.Errorf("%w: a value contains itself", ErrFormat)
	}
	s.depth = int32(depth)
	return nil
}

func (d *Decoder) store(key uint64) error {
	taken, err := d.top(1)
	if err != nil {
		return err
	}
	switch {
	case key < uint64(len(d.memo)):
		d.memo[key] = taken[0]
	case len(d.memo)+len(d.sparse) >= d.limits.Memo:
		return fmt.Errorf("%w: more than %d memo entries", ErrLimit, d.limits.Memo)
	case key == uint64(len(d.memo)) && d.sparse == nil:
		d.memo = append(d.memo, taken[0])
	default:
		if d.sparse == nil {
			d.sparse = map[uint64]slot{}
		}
		d.sparse[key] = taken[0]
	}
	return nil
}

func (d *Decoder) recall(key uint64) error {
	s, ok := d.sparse[key]
	if key < uint64(len(d.memo)) {
		s, ok = d.memo[key], true
	}
	if !ok {
		return fmt.Errorf("%w: memo entry %d was never stored", ErrFormat, key)
	}
	return d.push(s.value, s.depth)
}
