package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// tensorInfo is an entry of the tensor table.
type tensorInfo struct {
	name   string
	shape  []int64 // outermost dimension first, as everywhere else here
	kind   uint32
	offset int64 // in the file
	size   int64 // in bytes; 0 where the type is not known
}

// file is a parsed GGUF header.
type file struct {
	version  uint32
	metadata map[string]any
	tensors  []tensorInfo
	byName   map[string]int
}

const (
	maxHeader      = 100 << 20 // as for safetensors; large vocabularies take a quarter of it
	maxTensors     = 1 << 17
	maxKeys        = 1 << 16
	maxName        = 1 << 16
	maxText        = 1 << 24
	maxElements    = 1 << 24
	maxDims        = 4
	maxArrayDepth  = 4
	maxAlignment   = 1 << 20
	defaultAligned = 32
)

// parser reads the header. left is what remains of the file, or of the longest
// header read, which bounds every count before anything is allocated.
type parser struct {
	r    *bufio.Reader
	left int64
	long bool // the file is longer than any header
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: "+format, append([]any{checkpoint.ErrInvalid}, args...)...)
	}
}

// bytes reads n bytes; a read that fails gives zeros and keeps the error.
func (p *parser) bytes(dst []byte) {
	if p.err != nil {
		clear(dst)
		return
	}
	if int64(len(dst)) > p.left {
		if p.long {
			p.fail("the header is longer than %d bytes", maxHeader)
		} else {
			p.fail("the header runs past the end of the file (truncated?)")
		}
		clear(dst)
		return
	}
	if _, err := io.ReadFull(p.r, dst); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			p.fail("the file ended inside its header (truncated?)")
		} else {
			p.err = err
		}
		clear(dst)
	}
	p.left -= int64(len(dst))
}

func (p *parser) u8() uint8 {
	var b [1]byte
	p.bytes(b[:])
	return b[0]
}

func (p *parser) u16() uint16 {
	var b [2]byte
	p.bytes(b[:])
	return binary.LittleEndian.Uint16(b[:])
}

func (p *parser) u32() uint32 {
	var b [4]byte
	p.bytes(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

func (p *parser) u64() uint64 {
	var b [8]byte
	p.bytes(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// count reads a number of things of which each takes at least size bytes.
func (p *parser) count(what string, size, most int64) int64 {
	n := p.u64()
	if limit := min(p.left/size, most); p.err == nil && n > uint64(limit) {
		p.fail("%d %s do not fit into the %d bytes that follow (limit %d)", n, what, p.left, limit)
		return 0
	}
	return int64(n)
}

func (p *parser) text(most int64) string {
	b := make([]byte, p.count("bytes of text", 1, most))
	p.bytes(b)
	return string(b)
}

// parse reads header, metadata and tensor table of a file of size bytes.
func parse(r io.ReaderAt, size int64) (*file, error) {
	most := min(size, maxHeader)
	p := &parser{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10), left: most, long: size > maxHeader}
	var magic [4]byte
	p.bytes(magic[:])
	if p.err == nil && string(magic[:]) != "GGUF" {
		p.fail("it begins with %q, not GGUF", magic[:])
	}
	f := &file{version: p.u32(), metadata: map[string]any{}, byName: map[string]int{}}
	if p.err == nil && f.version != 2 && f.version != 3 {
		if bits.ReverseBytes32(f.version) <= 3 {
			return nil, fmt.Errorf("big-endian GGUF is %w", checkpoint.ErrUnsupported)
		}
		return nil, fmt.Errorf("GGUF version %d is %w: 2 and 3 are", f.version, checkpoint.ErrUnsupported)
	}
	tensors := p.count("tensors", 24, maxTensors)
	keys := p.count("metadata keys", 13, maxKeys)
	for i := int64(0); i < keys && p.err == nil; i++ {
		key := p.text(maxName)
		value := p.value(p.u32(), 0)
		if _, twice := f.metadata[key]; twice {
			p.fail("metadata key %q occurs twice", key)
		}
		f.metadata[key] = value
		if p.err != nil {
			return nil, fmt.Errorf("metadata key %d (%.100q): %w", i, key, p.err)
		}
	}
	for i := int64(0); i < tensors && p.err == nil; i++ {
		f.tensors = append(f.tensors, p.tensor())
	}
	if p.err != nil {
		return nil, p.err
	}
	return f, f.place(most-p.left, size)
}

func (p *parser) tensor() tensorInfo {
	t := tensorInfo{name: p.text(maxName)}
	dims := p.u32()
	if p.err == nil && (dims < 1 || dims > maxDims) {
		p.fail("tensor %q has %d dimensions, not between 1 and %d", t.name, dims, maxDims)
	}
	for range dims {
		if p.err != nil {
			return t
		}
		d := p.u64()
		if d == 0 || d > 1<<40 {
			p.fail("tensor %q has a dimension of %d", t.name, d)
		}
		t.shape = append([]int64{int64(d)}, t.shape...) // the file has the innermost first
	}
	t.kind = p.u32()
	offset := p.u64()
	if offset > math.MaxInt64 {
		p.fail("tensor %q begins at %d", t.name, offset)
	}
	t.offset = int64(offset)
	return t
}

// place turns offsets, which count from the end of the header, into offsets in
// the file and checks that known tensors lie inside it, each by itself.
func (f *file) place(header, size int64) error {
	align := int64(defaultAligned)
	if v, ok := f.metadata["general.alignment"]; ok {
		n, ok := v.(uint32)
		if !ok {
			return fmt.Errorf("%w: general.alignment is not a whole number of 32 bits", checkpoint.ErrInvalid)
		}
		if n == 0 || n > maxAlignment || n&(n-1) != 0 {
			return fmt.Errorf("%w: general.alignment is %d, not a power of two up to %d", checkpoint.ErrInvalid, n, maxAlignment)
		}
		align = int64(n)
	}
	base := (header + align - 1) / align * align
	for i := range f.tensors {
		t := &f.tensors[i]
		if _, twice := f.byName[t.name]; twice {
			return fmt.Errorf("%w: tensor %q occurs twice", checkpoint.ErrInvalid, t.name)
		}
		f.byName[t.name] = i
		if t.offset%align != 0 {
			return fmt.Errorf("%w: tensor %q begins at %d, no multiple of the alignment %d", checkpoint.ErrInvalid, t.name, t.offset, align)
		}
		b, known := blocks[t.kind]
		if !known {
			continue // refused by name when it is used
		}
		n := uint64(1)
		for _, d := range t.shape {
			hi, lo := bits.Mul64(n, uint64(d))
			if n = lo; hi != 0 || lo > math.MaxInt64/256 {
				return fmt.Errorf("%w: tensor %q of shape %v is larger than any file", checkpoint.ErrInvalid, t.name, t.shape)
			}
		}
		if row := t.shape[len(t.shape)-1]; row%b.values != 0 {
			return fmt.Errorf("%w: tensor %q: rows of %d values are no multiple of %s's blocks of %d", checkpoint.ErrInvalid, t.name, row, b.name, b.values)
		}
		t.size = int64(n) / b.values * b.bytes
		if t.offset > size-base || t.size > size-base-t.offset {
			return fmt.Errorf("%w: tensor %q: %d bytes from %d lie beyond the end of the file at %d (truncated?)", checkpoint.ErrInvalid, t.name, t.size, base+t.offset, size)
		}
		t.offset += base
	}
	return nil
}
