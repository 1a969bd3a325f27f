package cpu

import (
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// expanded is the matrix of linears of which one at least is quantised in a way that the
// engine does not keep: the numbers that its weights stand for.
type expanded struct {
	columns int
	dtype   string // F32, F16 or BF16, as safetensors spells them
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
	s := &expanded{columns: w.section.Cols, dtype: safetensorsDtypes[w.section.Dtype]}
	for _, o := range w.linears {
		e, err := newExpander(o, rank, dtype)
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

// newExpander gives number × scale × the factor of the input: the activation's
// multiplication belongs to the column as well.
func newExpander(o *network.Linear, rank *checkpoint.Rank, dtype string) (expander, error) {
	if o.Quantisation == nil {
		tensor, _ := rank.Tensor(o.Weight.Name) // checkDtypes saw that it is there
		return func(dst []float32, row int) error { return tensor.ReadFloat32(dst, int64(row)) }, nil
	}
	n, err := newNumbers(o, rank, dtype)
	if err != nil {
		return nil, err
	}
	factor, err := inputFactor(o, rank)
	if err != nil {
		return nil, err
	}
	value := func(code int8) float32 { return float32(code) }
	if n.e4m3 {
		table := floatformat.ScaledE4M3(1)
		value = func(code int8) float32 { return table[uint8(code)] }
	}
	return func(dst []float32, row int) error {
		codes, scales := make([]int8, len(dst)), make([]float32, len(dst)/n.group)
		if err := n.read(codes, scales, row); err != nil {
			return err
		}
		for i, code := range codes {
			dst[i] = value(code) * scales[i/n.group]
			if factor != nil {
				dst[i] *= factor[i%n.columns]
			}
		}
		return nil
	}, nil
}
