package cpu

import (
	"errors"
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// numbers is the weight of one quantised linear: codes with a scale for each output, or for
// each group of inputs of an output.
type numbers struct {
	rows, columns, group int // group is columns where an output has one scale
	// read fills whole rows, beginning with the given one.
	read func(codes []int8, scales []float32, row int) error
	e4m3 bool // codes are E4M3 numbers, otherwise whole ones
}

func (n *numbers) groups() int { return n.columns / n.group }

// newNumbers chooses by the linear's quantisation. dtype is the model's, as safetensors
// spells it: that of scales which upstream's builder rounds to it.
func newNumbers(o *network.Linear, rank *checkpoint.Rank, dtype string) (*numbers, error) {
	tensor, _ := rank.Tensor(o.Weight.Name) // checkDtypes saw that it is there
	q := o.Quantisation
	n := &numbers{rows: o.Weight.Shape[0], columns: o.In.Width, group: o.In.Width}
	switch q.Algo {
	case checkpoint.FP8:
		scale, err := readScale(rank, q.WeightScale)
		if err != nil {
			return nil, err
		}
		n.read, n.e4m3 = eightBits(tensor, scale, n.columns), true
	case checkpoint.W8A16:
		n.read = rounded(tensor, n.columns, 8, dtype)
	case checkpoint.W4A16:
		n.read = rounded(tensor, n.columns, 4, dtype)
	case checkpoint.W4A16AWQ:
		n.group = q.Group
		scale, _ := rank.Tensor(q.WeightScale.Name)
		n.read = halves(tensor, scale, n.columns, n.groups(), dtype)
	default:
		return nil, fmt.Errorf("%w: %s", ErrUnsupported, q.Algo)
	}
	return n, nil
}

// eightBits gives E4M3 numbers, with one scale.
func eightBits(t checkpoint.Tensor, scale float32, columns int) func([]int8, []float32, int) error {
	return func(codes []int8, scales []float32, row int) error {
		raw := make([]byte, len(codes))
		if _, err := t.ReadAt(raw, int64(row)*int64(columns)); err != nil {
			return err
		}
		for i, code := range raw {
			if code&0x7f == floatformat.E4M3NaN {
				return fmt.Errorf("%w: tensor %s has NaN in row %d", checkpoint.ErrInvalid, t.Name, row+i/columns)
			}
			codes[i] = int8(code)
		}
		for i := range scales {
			scales[i] = scale
		}
		return nil
	}
}

// rounded rounds plain weights as trtllm-build does when it loads them: to signed numbers
// of some bits by a float32 scale for each output, which are multiplied by the scale
// rounded to the model's dtype.
func rounded(t checkpoint.Tensor, columns, bits int, dtype string) func([]int8, []float32, int) error {
	return func(codes []int8, scales []float32, row int) error {
		values := make([]float32, len(codes))
		if err := t.ReadFloat32(values, int64(row)); err != nil {
			return err
		}
		for i := range scales {
			scales[i] = floatformat.RoundSymmetric(codes[i*columns:][:columns], values[i*columns:][:columns], bits)
		}
		roundTo(scales, dtype)
		return nil
	}
}

// halves reads 4-bit weights with a scale for each group of inputs. Even rows are the low
// halves of the bytes, odd ones the high halves.
func halves(weight, scale checkpoint.Tensor, columns, groups int, dtype string) func([]int8, []float32, int) error {
	return func(codes []int8, scales []float32, row int) error {
		if err := scale.ReadFloat32(scales, int64(row)); err != nil {
			return err
		}
		roundTo(scales, dtype)
		pairs := make([]byte, columns)
		for ; len(codes) > 0; codes, row = codes[columns:], row+1 {
			if _, err := weight.ReadAt(pairs, int64(row/2)*int64(columns)); err != nil {
				return err
			}
			floatformat.DecodeInt4(codes[:columns], pairs, row%2 == 1)
		}
		return nil
	}
}

// roundTo rounds values to the nearest numbers of a dtype.
func roundTo(values []float32, dtype string) {
	raw := make([]byte, len(values)*floatformat.Size(dtype))
	floatformat.Encode(raw, values, dtype)
	floatformat.Decode(values, raw, dtype)
}

// checkScales refuses scales with which a weight could not be computed.
func (n *numbers) checkScales(scales []float32, row int) error {
	largest := float64(128)
	if n.e4m3 {
		largest = 448
	}
	for i, s := range scales {
		if v := math.Abs(float64(s)) * largest; !(v <= math.MaxFloat32) {
			return fmt.Errorf("%w: row %d: a weight times its scale, %g, is too large for F32", checkpoint.ErrInvalid, row+i/n.groups(), s)
		}
	}
	return nil
}

// kept is the matrix of linears whose numbers the engine keeps.
type kept struct {
	section cpuengine.Section
	parts   []*numbers
}

func newKept(w weight, rank *checkpoint.Rank, dtype string) (*kept, error) {
	s := &kept{section: w.section}
	for _, o := range w.linears {
		n, err := newNumbers(o, rank, dtype)
		if err != nil {
			return nil, err
		}
		s.parts = append(s.parts, n)
	}
	return s, nil
}

// ReadRows is never asked for: the numbers need their scales.
func (s *kept) ReadRows([]byte, int, int) error {
	return errors.New("quantised weights are packed ones")
}

// ReadPacked implements cpuengine.PackedSource.
func (s *kept) ReadPacked(dst []byte, first, n int) error {
	groups := s.parts[0].groups()
	packed := cpuengine.Numbers{Codes: make([]int8, n*s.section.Cols), Scales: make([]float32, n*groups)}
	at := 0
	for _, p := range s.parts {
		if first >= p.rows {
			first -= p.rows
			continue
		}
		count := min(n-at, p.rows-first)
		scales := packed.Scales[at*groups:][:count*groups]
		if err := p.read(packed.Codes[at*p.columns:][:count*p.columns], scales, first); err != nil {
			return err
		}
		if err := p.checkScales(scales, first); err != nil {
			return err
		}
		first, at = 0, at+count
	}
	cpuengine.PackNumbers(dst, s.section, n, packed)
	return nil
}

// readScale reads one number that others are multiplied by.
func readScale(rank *checkpoint.Rank, w *network.Weight) (float32, error) {
	t, _ := rank.Tensor(w.Name)
	v := make([]float32, 1)
	if err := t.ReadFloat32(v, 0); err != nil {
		return 0, err
	}
	if !(v[0] > 0) || math.IsInf(float64(v[0]), 0) {
		return 0, fmt.Errorf("%w: tensor %s is %g, not a number above 0", checkpoint.ErrInvalid, w.Name, v[0])
	}
	return v[0], nil
}
