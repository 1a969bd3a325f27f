package benchmark

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// ErrShape is wrapped by errors about weights that cannot be made up.
var ErrShape = errors.New("no such shape")

// WriteMadeUp writes an engine of pseudo-random weights that a model of this shape
// would have: activations keep a size of about one. progress, which may be nil, is told
// the bytes written so far. The file is new; the caller removes it, after an error too.
func WriteMadeUp(ctx context.Context, path string, s Shape, w Weights, progress func(done, total int64)) (err error) {
	l := lower(s, w)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	writer, err := cpuengine.NewWriter(file, l.program, l.sections)
	if err != nil {
		return fmt.Errorf("%w: %s in %s, groups of %d: %w", ErrShape, s.Name, w.Dtype, w.Group, err)
	}
	if progress != nil {
		total := writer.Size()
		writer.Progress = func(done int64) { progress(done, total) }
	}
	for i := range l.sections {
		if err := writer.WriteSection(ctx, &madeUp{&l.sections[i]}); err != nil {
			return err
		}
	}
	return writer.Close()
}

// MadeUpBytes is about how large the engine is.
func MadeUpBytes(s Shape, w Weights) (int64, error) {
	var total int64
	for _, section := range lower(s, w).sections {
		size, err := cpuengine.PackedSize(section)
		if err != nil {
			return 0, fmt.Errorf("%w: %s in %s: %s: %w", ErrShape, s.Name, w.Dtype, section.Name, err)
		}
		total += size
	}
	return total, nil
}

// madeUp is a section of pseudo-random numbers.
type madeUp struct{ section *cpuengine.Section }

// ReadRows is never asked for: there are packed weights only.
func (m *madeUp) ReadRows([]byte, int, int) error {
	return errors.New("made-up weights are packed ones")
}

// ReadPacked implements cpuengine.PackedSource.
func (m *madeUp) ReadPacked(dst []byte, first, _ int) error {
	s := m.section
	switch {
	case s.Name == "rotary_inv_freq":
		for i := range s.Cols { // of the usual base
			putFloat(dst[4*i:], math.Pow(10000, -float64(i)/float64(s.Cols)))
		}
	case s.Layout == cpuengine.LayoutRows && s.Rows == 1: // of a norm: weights of one, biases of zero
		value := 1.0
		if strings.HasSuffix(s.Name, ".bias") {
			value = 0
		}
		for i := range s.Cols {
			putFloat(dst[4*i:], value)
		}
	default:
		m.fill(dst, uint64(first))
	}
	return nil
}

func putFloat(dst []byte, v float64) {
	binary.LittleEndian.PutUint32(dst, math.Float32bits(float32(v)))
}

// fill writes panels, or rows of a plain dtype.
func (m *madeUp) fill(dst []byte, seed uint64) {
	s := m.section
	size := 1 / math.Sqrt(float64(s.Cols)) // of a weight, for outputs as large as inputs
	if s.Layout == cpuengine.LayoutRows {
		size = 1
	}
	exponent := int(math.Floor(math.Log2(size)))
	random := xorshift(seed*0x9e3779b97f4a7c15 + uint64(len(s.Name))<<32 | 1)
	switch s.Dtype {
	case cpuengine.DtypeF32:
		random.fill(dst, 0x807fffff_807fffff, uint64(127+exponent)<<23*0x1_00000001)
	case cpuengine.DtypeBF16:
		random.fill(dst, 0x807f_807f_807f_807f, uint64(127+exponent)<<7*0x1_0001_0001_0001)
	case cpuengine.DtypeF16:
		random.fill(dst, 0x83ff_83ff_83ff_83ff, uint64(15+exponent)<<10*0x1_0001_0001_0001)
	case cpuengine.DtypeFP8: // below 2, and never NaN
		random.fill(dst, 0xbfbfbfbf_bfbfbfbf, 0)
		m.putScales(dst, 2*size)
	case cpuengine.DtypeInt8:
		random.fill(dst, math.MaxUint64, 0)
		m.putScales(dst, size/74) // the deviation of its numbers
	case cpuengine.DtypeInt4:
		random.fill(dst, math.MaxUint64, 0)
		m.putScales(dst, size/4.6)
	}
}

// putScales writes a line of scales wherever the panels have one: at the beginning of
// each, or of each block of groups.
func (m *madeUp) putScales(dst []byte, scale float64) {
	const line, bf16PerLine = 64, 2
	s := m.section
	one := *s
	one.Rows = cpuengine.PanelRows
	panel64, _ := cpuengine.PackedSize(one) // NewWriter has asked before
	panel := int(panel64)
	header := make([]byte, line)
	for i := range line / 4 {
		putFloat(header[4*i:], scale)
	}
	block := panel
	if s.Group > 0 {
		for i := range line / 2 {
			binary.LittleEndian.PutUint16(header[2*i:], uint16(math.Float32bits(float32(scale))>>16))
		}
		block = line + bf16PerLine*s.Group/8*line
	}
	for panels := range slices.Chunk(dst, panel) {
		for blocks := range slices.Chunk(panels, block) {
			copy(blocks, header)
		}
	}
}

// xorshift is a cheap source of numbers whose quality does not matter: Marsaglia's
// xorshift64.
type xorshift uint64

// fill writes (random & mask) | bits all over dst, a multiple of 8 bytes or little more.
func (x *xorshift) fill(dst []byte, mask, bits uint64) {
	state := uint64(*x)
	i := 0
	for ; i+8 <= len(dst); i += 8 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		binary.LittleEndian.PutUint64(dst[i:], state&mask|bits)
	}
	if i < len(dst) {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], state&mask|bits)
		copy(dst[i:], last[:])
	}
	*x = xorshift(state)
}
