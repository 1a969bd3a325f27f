package cpu

import (
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// expanded is the matrix of linears of which one at least is quantised: the numbers
// that its weights stand for.
type expanded struct {
	columns int
	dtype   string // F32 or BF16, as safetensors spells them
	parts   []part
}

// part is the matrix of one linear.
type part struct {
	rows   int
	expand expander
}

// expander fills dst with whole rows, beginning with the given one.
type expander func(dst []float32, row int) error

func newExpanded(w weight, rank *checkpoint.Rank, dtype string) (*expanded, error) {
	s := &expanded{columns: w.section.Cols, dtype: "F32"}
	if w.section.Dtype == cpuengine.DtypeBF16 {
		s.dtype = "BF16"
	}
	for _, o := range w.linears {
		e, err := newExpander(o, rank, checkpoint.SafetensorsDtype(dtype))
		if err != nil {
			return nil, err
		}
		s.parts = append(s.parts, part{o.Weight.Shape[0], e})
	}
	return s, nil
}

// ReadRows implements cpuengine.Source.
func (s *expanded) ReadRows(dst []byte, first, n int) error {
	values := make([]float32, n*s.columns)
	for rest := values; len(rest) > 0; {
		row, p := first+n-len(rest)/s.columns, 0
		for p < len(s.parts)-1 && row >= s.parts[p].rows {
			row -= s.parts[p].rows
			p++
		}
		count := min(len(rest)/s.columns, s.parts[p].rows-row)
		if count < 1 {
			return fmt.Errorf("the tensors end %d rows early", len(rest)/s.columns)
		}
		if err := s.parts[p].expand(rest[:count*s.columns], row); err != nil {
			return err
		}
		rest = rest[count*s.columns:]
	}
	infinite := func(v float32) bool { return math.IsInf(float64(v), 0) }
	if floatformat.Encode(dst, values, s.dtype) || slices.ContainsFunc(values, infinite) {
		return fmt.Errorf("%w: a weight times its scale is too large for %s", checkpoint.ErrInvalid, s.dtype)
	}
	return nil
}

// newExpander chooses by the linear's quantisation. dtype is the model's: that of
// scales which upstream's builder rounds to it.
func newExpander(o *network.Linear, rank *checkpoint.Rank, dtype string) (expander, error) {
	tensor, _ := rank.Tensor(o.Weight.Name) // checkDtypes saw that it is there
	q := o.Quantisation
	if q == nil {
		return func(dst []float32, row int) error { return tensor.ReadFloat32(dst, int64(row)) }, nil
	}
	switch q.Algo {
	case checkpoint.FP8:
		scale, err := readScale(rank, q.WeightScale)
		if err != nil {
			return nil, err
		}
		return eightBits(tensor, scale, o.In.Width), nil
	case checkpoint.W8A16:
		return rounded(tensor, o.In.Width, 8, dtype), nil
	case checkpoint.W4A16:
		return rounded(tensor, o.In.Width, 4, dtype), nil
	case checkpoint.W4A16AWQ:
		return newGroups(o, rank, tensor, dtype)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, q.Algo)
}

// eightBits multiplies E4M3 numbers by their scale.
func eightBits(t checkpoint.Tensor, scale float32, columns int) expander {
	table := floatformat.ScaledE4M3(scale)
	return func(dst []float32, row int) error {
		codes := make([]byte, len(dst))
		if _, err := t.ReadAt(codes, int64(row)*int64(columns)); err != nil {
			return err
		}
		for i, code := range codes {
			if code&0x7f == floatformat.E4M3NaN {
				return fmt.Errorf("%w: tensor %s has NaN in row %d", checkpoint.ErrInvalid, t.Name, row+i/columns)
			}
			dst[i] = table[code]
		}
		return nil
	}
}

// rounded rounds plain weights as trtllm-build does when it loads them: to signed numbers
// of some bits by a float32 scale for each output, which are multiplied by the scale
// rounded to the model's dtype.
func rounded(t checkpoint.Tensor, columns, bits int, dtype string) expander {
	return func(dst []float32, row int) error {
		if err := t.ReadFloat32(dst, int64(row)); err != nil {
			return err
		}
		codes := make([]int8, columns)
		for ; len(dst) > 0; dst = dst[columns:] {
			values := dst[:columns]
			stored := []float32{floatformat.RoundSymmetric(codes, values, bits)}
			roundTo(stored, dtype)
			for i, code := range codes {
				values[i] = float32(code) * stored[0]
			}
		}
		return nil
	}
}

// groups expands 4-bit weights with a scale for each group of inputs.
type groups struct {
	weight, scale checkpoint.Tensor
	columns, size int
	factor        []float32 // of each input; nil for none
	dtype         string
}

func newGroups(o *network.Linear, rank *checkpoint.Rank, weight checkpoint.Tensor, dtype string) (expander, error) {
	q := o.Quantisation
	g := &groups{weight: weight, columns: o.In.Width, size: q.Group, dtype: dtype}
	g.scale, _ = rank.Tensor(q.WeightScale.Name)
	if q.InputFactor != nil {
		t, _ := rank.Tensor(q.InputFactor.Name)
		g.factor = make([]float32, g.columns)
		if err := t.ReadFloat32(g.factor, 0); err != nil {
			return nil, err
		}
	}
	return g.expand, nil
}

// expand gives number × scale × the factor of the input: the activation's
// multiplication belongs to the column as well. Even rows are the low halves of the
// bytes, odd ones the high halves.
func (g *groups) expand(dst []float32, row int) error {
	rows := len(dst) / g.columns
	scales := make([]float32, rows*(g.columns/g.size))
	if err := g.scale.ReadFloat32(scales, int64(row)); err != nil {
		return err
	}
	roundTo(scales, g.dtype)
	pairs := make([]byte, g.columns)
	for i := range rows {
		if _, err := g.weight.ReadAt(pairs, int64((row+i)/2)*int64(g.columns)); err != nil {
			return err
		}
		values, own := dst[i*g.columns:][:g.columns], scales[i*(g.columns/g.size):]
		floatformat.DecodeInt4(values, pairs, (row+i)%2 == 1)
		for k := range values {
			values[k] *= own[k/g.size]
			if g.factor != nil {
				values[k] *= g.factor[k]
			}
		}
	}
	return nil
}

// roundTo rounds values to the nearest numbers of a dtype.
func roundTo(values []float32, dtype string) {
	raw := make([]byte, len(values)*floatformat.Size(dtype))
	floatformat.Encode(raw, values, dtype)
	floatformat.Decode(values, raw, dtype)
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

// inputScales reads the scales of all inputs that are rounded.
func inputScales(net *network.Network, rank *checkpoint.Rank) (map[*network.Weight]float32, error) {
	scales := map[*network.Weight]float32{}
	for _, op := range net.Ops {
		o, ok := op.(*network.Linear)
		if !ok || o.Quantisation == nil || o.Quantisation.InputScale == nil {
			continue
		}
		v, err := readScale(rank, o.Quantisation.InputScale)
		if err != nil {
			return nil, err
		}
		scales[o.Quantisation.InputScale] = v
	}
	return scales, nil
}
