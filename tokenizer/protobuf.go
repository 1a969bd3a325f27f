package tokenizer

import "math"

// wireReader reads the protobuf wire format: a flat sequence of numbered fields. What it hands out lies
// in the data, without copies.
type wireReader struct {
	data  string
	at    int    // what is before it has been read
	where string // for errors: the message's name
}

// A wireField is one field: number holds a varint or a fixed value, bytes a length-delimited one.
type wireField struct {
	tag    uint64
	wire   uint64
	number uint64
	bytes  string
}

const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// next returns the next field; ok is false at the end.
func (r *wireReader) next() (f wireField, ok bool, err error) {
	if r.at == len(r.data) {
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
		f.number, err = r.fixed(8, f.tag)
	case wireFixed32:
		f.number, err = r.fixed(4, f.tag)
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
	v := uint64(0)
	data := r.data[r.at:]
	for i := 0; i < len(data) && i < 10; i++ {
		c := data[i]
		if i == 9 && c > 1 {
			break
		}
		v |= uint64(c&0x7F) << (7 * i)
		if c < 0x80 {
			r.at += i + 1
			return v, nil
		}
	}
	return 0, invalid("%s: cut off or overlong number", r.where)
}

// fixed reads a little-endian number of n bytes.
func (r *wireReader) fixed(n, tag uint64) (uint64, error) {
	b, err := r.take(n, tag)
	v := uint64(0)
	for i := range len(b) {
		v |= uint64(b[i]) << (8 * i)
	}
	return v, err
}

func (r *wireReader) take(n, tag uint64) (string, error) {
	if left := len(r.data) - r.at; n > uint64(left) {
		return "", invalid("%s: field %d claims %d bytes, %d are left", r.where, tag, n, left)
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
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
