package tokenizer

import (
	"encoding/binary"
	"math"
)

// wireReader reads the protobuf wire format: a flat sequence of numbered fields.
type wireReader struct {
	data  []byte
	where string // for errors: the message's name
}

// A wireField is one field: number holds a varint or a fixed value, bytes a length-delimited one.
type wireField struct {
	tag    uint64
	wire   uint64
	number uint64
	bytes  []byte
}

const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// next returns the next field; ok is false at the end.
func (r *wireReader) next() (f wireField, ok bool, err error) {
	if len(r.data) == 0 {
		return f, false, nil
	}
	key, err := r.varint()
	if err != nil {
		return f, false, err
	}
	f.tag, f.wire = key>>3, key&7
	if f.tag == 0 {
		return f, false, invalid("%s: field number 0", r.where)
	}
	switch f.wire {
	case wireVarint:
		f.number, err = r.varint()
	case wireFixed64:
		var b []byte
		if b, err = r.take(8, f.tag); err == nil {
			f.number = binary.LittleEndian.Uint64(b)
		}
	case wireFixed32:
		var b []byte
		if b, err = r.take(4, f.tag); err == nil {
			f.number = uint64(binary.LittleEndian.Uint32(b))
		}
	case wireBytes:
		var n uint64
		if n, err = r.varint(); err == nil {
			f.bytes, err = r.take(n, f.tag)
		}
	default:
		err = invalid("%s: field %d has wire type %d", r.where, f.tag, f.wire)
	}
	return f, err == nil, err
}

func (r *wireReader) varint() (uint64, error) {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		return 0, invalid("%s: cut off or overlong number", r.where)
	}
	r.data = r.data[n:]
	return v, nil
}

func (r *wireReader) take(n, tag uint64) ([]byte, error) {
	if n > uint64(len(r.data)) {
		return nil, invalid("%s: field %d claims %d bytes, %d are left", r.where, tag, n, len(r.data))
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b, nil
}

// expect checks the wire type of a known field.
func (f wireField) expect(wire uint64, where string) error {
	if f.wire != wire {
		return invalid("%s: field %d has wire type %d, want %d", where, f.tag, f.wire, wire)
	}
	return nil
}

func (f wireField) float() float32 { return math.Float32frombits(uint32(f.number)) }

func (f wireField) bool() bool { return f.number != 0 }
