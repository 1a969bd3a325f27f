package export

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/trtgo/trtgo/internal/floatformat"
)

// comparer is one worker's state. Its buffers are reused from stretch to stretch.
type comparer struct {
	source, columns, target []byte
	want, got               []float32
}

// compare reads a stretch of the source once and finds the first value that differs
// in any of its uses.
func (c *comparer) compare(s stretch, p *progress) error {
	if s.from.Rows != nil {
		c.source = grow(c.source, s.count*s.width()*width(s.from.Dtype))
		if err := s.from.Rows.ReadRows(c.source, s.row+s.first); err != nil {
			return fmt.Errorf("reading %s: %w", s.from.Origin, err)
		}
	}
	for i := range s.uses {
		u := &s.uses[i]
		if err := c.one(s, u); err != nil {
			return err
		}
		p.add(s.count*u.columns*width(u.have.Dtype), u.have.Name)
	}
	return nil
}

func (c *comparer) one(s stretch, u *use) error {
	size := width(u.have.Dtype)
	c.target = grow(c.target, s.count*u.columns*size)
	if _, err := u.have.ReadAt(c.target, (u.at+s.first)*u.columns*size); err != nil {
		return fmt.Errorf("reading %s: %w", u.have.Name, err)
	}
	if s.from.Rows == nil {
		return s.zeros(u, c.target)
	}
	want := c.cut(s, u)
	if same := s.from.Dtype == u.have.Dtype && s.from.Scale == u.scale; same {
		return s.equal(u, c.target, want)
	}
	if err := c.decode(s, u, want); err != nil {
		return err
	}
	return c.nearest(s, u)
}

// cut gives the use's columns of what was read.
func (c *comparer) cut(s stretch, u *use) []byte {
	if u.columns == s.width() {
		return c.source
	}
	size := width(s.from.Dtype)
	row, part := s.width()*size, u.columns*size
	c.columns = grow(c.columns, s.count*part)
	for i := range s.count {
		copy(c.columns[i*part:(i+1)*part], c.source[i*row+u.column*size:])
	}
	return c.columns
}

// zeros checks what no weight of the source becomes.
func (s stretch) zeros(u *use, target []byte) error {
	for i, b := range target {
		if b != 0 {
			at := int64(i) / width(u.have.Dtype)
			return s.differs(u, at, text(target, at, u.have.Dtype, u.scale), "0")
		}
	}
	return nil
}

// equal checks bytes that were to be copied.
func (s stretch) equal(u *use, target, source []byte) error {
	if bytes.Equal(target, source) {
		return nil
	}
	i := 0
	for target[i] == source[i] {
		i++
	}
	at := int64(i) / width(u.have.Dtype)
	return s.differs(u, at, text(target, at, u.have.Dtype, u.scale), text(source, at, u.have.Dtype, u.scale))
}

// decode makes numbers of both sides.
func (c *comparer) decode(s stretch, u *use, source []byte) error {
	n := s.count * u.columns
	c.want, c.got = grow(c.want, n), grow(c.got, n)
	for _, side := range []struct {
		values []float32
		raw    []byte
		dtype  string
		scale  float32
	}{{c.want, source, s.from.Dtype, s.from.Scale}, {c.got, c.target, u.have.Dtype, u.scale}} {
		switch {
		case floatformat.Size(side.dtype) > 0:
			floatformat.Decode(side.values, side.raw, side.dtype)
		case side.dtype == floatformat.E4M3:
			for i, code := range side.raw[:n] {
				side.values[i] = floatformat.FromE4M3(code) * side.scale
			}
		default:
			return fmt.Errorf("tensor %s: comparing %s with the source's %s is %w", u.have.Name, u.have.Dtype, s.from.Dtype, ErrUnsupported)
		}
	}
	return nil
}

// nearest checks that each number is the nearest to the source's that its dtype
// has, and keeps the largest errors. A number under a scale was divided and
// multiplied in float32, so that one half-way may have gone either way.
func (c *comparer) nearest(s stretch, u *use) error {
	f := binaryFormats[u.have.Dtype]
	absolute, relative := 0.0, 0.0
	for i, want := range c.want {
		want, got := float64(want), float64(c.got[i])
		ok := false
		if u.have.Dtype == floatformat.E4M3 {
			half := f.step(want/float64(u.scale)) * float64(u.scale) / 2
			ok = math.Abs(got-want) <= half*(1+1e-6)
		} else {
			ok = math.Float64bits(got) == math.Float64bits(f.round(want)) || math.IsNaN(got) && math.IsNaN(want)
		}
		if !ok {
			return s.differs(u, int64(i), number32(got), number32(want))
		}
		if e := math.Abs(got - want); e > 0 {
			absolute, relative = max(absolute, e), max(relative, e/math.Abs(want))
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lost.Absolute, u.lost.Relative = max(u.lost.Absolute, absolute), max(u.lost.Relative, relative)
	return nil
}

// differs names the value at a place that counts from the stretch's first.
func (s stretch) differs(u *use, at int64, got, want string) error {
	row, column := s.first+at/u.columns, at%u.columns
	return fmt.Errorf("%w: rank %d, tensor %s, row %d, column %d is %s; %s, row %d, column %d gives %s", ErrDifferent,
		u.rank, u.have.Name, u.at+row, column, got, s.from.Origin, s.row+row, u.column+column, want)
}

// text writes a stored value.
func text(raw []byte, at int64, dtype string, scale float32) string {
	size := width(dtype)
	raw = raw[at*size : (at+1)*size]
	switch {
	case dtype == floatformat.E4M3:
		return fmt.Sprintf("%s (code 0x%02X)", number32(float64(floatformat.FromE4M3(raw[0])*scale)), raw[0])
	case floatformat.Size(dtype) == 0:
		return fmt.Sprintf("0x%02X", raw[0])
	}
	var v [1]float32
	floatformat.Decode(v[:], raw, dtype)
	return number32(float64(v[0]))
}

func number32(v float64) string { return strconv.FormatFloat(v, 'g', -1, 32) }

// binaryFormat is a floating-point format by its definition: numbers of precision
// bits, the leading one included, whose smallest normal one is 2^least and whose
// largest ones are of 2^most.
type binaryFormat struct{ precision, least, most int }

var binaryFormats = map[string]binaryFormat{
	"F32": {24, -126, 127}, "F16": {11, -14, 15}, "BF16": {8, -126, 127}, floatformat.E4M3: {4, -6, 8},
}

// overflow is the smallest number that would be rounded to infinity: half a step
// beyond the largest one.
func (f binaryFormat) overflow() float64 {
	return math.Ldexp(2-math.Ldexp(1, -f.precision), f.most)
}

// step is the distance of the format's numbers around v, if it had no largest one.
func (f binaryFormat) step(v float64) float64 {
	const bias = 1023
	exponent := int(math.Float64bits(v)>>52&0x7ff) - bias
	return math.Float64frombits(uint64(max(exponent, f.least)-f.precision+1+bias) << 52)
}

// round gives the nearest number of the format, of two equally near ones the even
// one.
func (f binaryFormat) round(v float64) float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	step := f.step(v)
	return math.RoundToEven(v/step) * step
}
