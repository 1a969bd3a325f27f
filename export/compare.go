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
	source, target []byte
	want, got      []float32
}

// compare reads a stretch on both sides and finds the first value that differs.
func (c *comparer) compare(s stretch) error {
	from := &s.shard.from
	size := width(s.have.Dtype)
	columns := s.shard.columns
	c.target = grow(c.target, s.rows*columns*size)
	if _, err := s.have.ReadAt(c.target, (s.shard.at+s.first)*columns*size); err != nil {
		return fmt.Errorf("reading %s: %w", s.have.Name, err)
	}
	if from.Rows == nil {
		return s.zeros(c.target)
	}
	c.source = grow(c.source, s.rows*s.shard.width()*width(from.Dtype))
	if err := from.Rows.ReadRows(c.source, s.shard.row+s.first); err != nil {
		return fmt.Errorf("reading %s: %w", from.Origin, err)
	}
	c.cut(s)
	if same := from.Dtype == s.have.Dtype && from.Scale == s.scale; same {
		return s.equal(c.target, c.source)
	}
	if err := c.decode(s); err != nil {
		return err
	}
	return c.nearest(s)
}

// cut leaves the shard's columns in c.source.
func (c *comparer) cut(s stretch) {
	if s.shard.columns == s.shard.width() {
		return
	}
	size := width(s.shard.from.Dtype)
	row, part := s.shard.width()*size, s.shard.columns*size
	for i := range s.rows {
		copy(c.source[i*part:(i+1)*part], c.source[i*row+s.shard.column*size:])
	}
	c.source = c.source[:s.rows*part]
}

// zeros checks what no weight of the source becomes.
func (s stretch) zeros(target []byte) error {
	for i, b := range target {
		if b != 0 {
			at := int64(i) / width(s.have.Dtype)
			return s.differs(at, text(target, at, s.have.Dtype, s.scale), "0")
		}
	}
	return nil
}

// equal checks bytes that were to be copied.
func (s stretch) equal(target, source []byte) error {
	if bytes.Equal(target, source) {
		return nil
	}
	i := 0
	for target[i] == source[i] {
		i++
	}
	at := int64(i) / width(s.have.Dtype)
	return s.differs(at, text(target, at, s.have.Dtype, s.scale), text(source, at, s.have.Dtype, s.scale))
}

// decode makes numbers of both sides.
func (c *comparer) decode(s stretch) error {
	n := s.rows * s.shard.columns
	c.want, c.got = grow(c.want, n), grow(c.got, n)
	for _, side := range []struct {
		values []float32
		raw    []byte
		dtype  string
		scale  float32
	}{{c.want, c.source, s.shard.from.Dtype, s.shard.from.Scale}, {c.got, c.target, s.have.Dtype, s.scale}} {
		switch {
		case floatformat.Size(side.dtype) > 0:
			floatformat.Decode(side.values, side.raw, side.dtype)
		case side.dtype == floatformat.E4M3:
			for i, code := range side.raw[:n] {
				side.values[i] = floatformat.FromE4M3(code) * side.scale
			}
		default:
			return fmt.Errorf("tensor %s: comparing %s with the source's %s is %w", s.have.Name, s.have.Dtype, s.shard.from.Dtype, ErrUnsupported)
		}
	}
	return nil
}

// nearest checks that each number is the nearest to the source's that its dtype
// has, and keeps the largest errors. A number under a scale was divided and
// multiplied in float32, so that one half-way may have gone either way.
func (c *comparer) nearest(s stretch) error {
	f := binaryFormats[s.have.Dtype]
	absolute, relative := 0.0, 0.0
	for i, want := range c.want {
		want, got := float64(want), float64(c.got[i])
		ok := false
		if s.have.Dtype == floatformat.E4M3 {
			half := f.step(want/float64(s.scale)) * float64(s.scale) / 2
			ok = math.Abs(got-want) <= half*(1+1e-6)
		} else {
			ok = math.Float64bits(got) == math.Float64bits(f.round(want)) || math.IsNaN(got) && math.IsNaN(want)
		}
		if !ok {
			return s.differs(int64(i), number32(got), number32(want))
		}
		if e := math.Abs(got - want); e > 0 {
			absolute, relative = max(absolute, e), max(relative, e/math.Abs(want))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost.Absolute, s.lost.Relative = max(s.lost.Absolute, absolute), max(s.lost.Relative, relative)
	return nil
}

// differs names the value at a place that counts from the stretch's first.
func (s stretch) differs(at int64, got, want string) error {
	row, column := s.first+at/s.shard.columns, at%s.shard.columns
	return fmt.Errorf("%w: rank %d, tensor %s, row %d, column %d is %s; %s, row %d, column %d gives %s", ErrDifferent,
		s.rank, s.have.Name, s.shard.at+row, column, got, s.shard.from.Origin, s.shard.row+row, s.shard.column+column, want)
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
