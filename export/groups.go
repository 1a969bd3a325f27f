package export

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// GroupSizes are what Options.GroupSize may be.
var GroupSizes = []int{32, 64, 128}

// grouped is a model whose linears are rounded to 4 bits, with a scale for each group of
// inputs, on the way: the layout of W4A16_AWQ, whose inputs are multiplied by one.
type grouped struct {
	source.Model
	target *checkpoint.Config
}

// inGroups gives the model as a target in W4A16_AWQ wants it: one that is not so itself
// is rounded.
func inGroups(m source.Model, target *checkpoint.Config) source.Model {
	if target.Quantization.QuantAlgo != checkpoint.W4A16AWQ || m.Config().Quantization.QuantAlgo == checkpoint.W4A16AWQ {
		return m
	}
	return &grouped{m, target}
}

// Tensor implements [source.Model].
func (g *grouped) Tensor(name string, shape []int64) (source.Tensor, error) {
	group := g.target.Quantization.Group()
	dtype := checkpoint.SafetensorsDtype(g.target.Dtype)
	switch module, kind := moduleOf(name); {
	case kind == checkpoint.InputFactor:
		return source.Tensor{Origin: name, Dtype: "F32", Shape: shape, Rows: ones{}, Transform: "ones"}, nil
	case kind == checkpoint.WeightScale:
		r, err := g.rounder(module, []int64{shape[0], shape[1] * group}, group, dtype)
		if err != nil {
			return source.Tensor{}, err
		}
		return source.Tensor{Origin: r.from.Origin, Dtype: "F32", Shape: shape, Rows: (*groupScales)(r), Transform: fmt.Sprintf("scales of groups of %d", group)}, nil
	case kind == ".weight" && g.target.LinearAlgo(module) != "" && isLinear(module):
		r, err := g.rounder(module, []int64{2 * shape[0], shape[1]}, group, dtype)
		if err != nil {
			return source.Tensor{}, err
		}
		return source.Tensor{Origin: r.from.Origin, Dtype: "I8", Shape: shape, Rows: (*groupNumbers)(r), Transform: fmt.Sprintf("4 bits by groups of %d", group)}, nil
	}
	return g.Model.Tensor(name, shape)
}

// moduleOf divides a tensor's name into its module and the rest, "" for others.
func moduleOf(name string) (module, kind string) {
	for _, kind := range []string{".weight", checkpoint.WeightScale, checkpoint.InputFactor} {
		if module, ok := strings.CutSuffix(name, kind); ok {
			return module, kind
		}
	}
	return name, ""
}

// isLinear tells the linears of a layer from norms, embedding and head.
func isLinear(module string) bool {
	return strings.Contains(module, ".attention.") || strings.Contains(module, ".mlp.")
}

// rounder reads a weight and rounds its rows.
type rounder struct {
	from    source.Tensor
	columns int
	group   int
	dtype   string // what the builder rounds scales to
}

func (g *grouped) rounder(module string, shape []int64, group int64, dtype string) (*rounder, error) {
	j := job{Weight: checkpoint.Weight{Name: module + ".weight", Dtype: "F32", Shape: shape}}
	if err := j.find(g.Model); err != nil {
		return nil, err
	}
	return &rounder{j.from, int(shape[1]), int(group), dtype}, nil
}

// row reads the numbers of one row.
func (r *rounder) row(row int64) ([]float32, error) {
	values := make([]float32, r.columns)
	if r.from.Rows == nil { // zeros
		return values, nil
	}
	raw := make([]byte, int64(r.columns)*width(r.from.Dtype))
	if err := r.from.Rows.ReadRows(raw, row); err != nil {
		return nil, err
	}
	if r.from.Dtype == floatformat.E4M3 {
		for i, code := range raw {
			values[i] = floatformat.FromE4M3(code) * r.from.Scale
		}
	} else {
		floatformat.Decode(values, raw, r.from.Dtype)
	}
	if v := largest(values); !(v <= math.MaxFloat32) {
		return nil, fmt.Errorf("%w: tensor %s has a weight of %g in row %d, which cannot be rounded to 4 bits", ErrInvalid, r.from.Origin, v, row)
	}
	return values, nil
}

// scales gives a row's scales as the builder will round them: the largest magnitude of a
// group becomes 7, but where rounding the scale makes it more or less.
func (r *rounder) scales(values []float32) ([]float32, error) {
	scales := make([]float32, len(values)/r.group)
	for i := range scales {
		scales[i] = largest(values[i*r.group:][:r.group]) / 7
	}
	raw := make([]byte, len(scales)*int(width(r.dtype)))
	if floatformat.Encode(raw, scales, r.dtype) {
		return nil, fmt.Errorf("%w: tensor %s: the scale %g of a group is too large for %s", ErrOverflow, r.from.Origin, slices.Max(scales), r.dtype)
	}
	floatformat.Decode(scales, raw, r.dtype)
	return scales, nil
}

// largest is the greatest magnitude; an infinity is above numbers, NaN above both.
func largest(values []float32) float32 {
	most := uint32(0) // magnitudes compare as their bits do
	for _, v := range values {
		most = max(most, math.Float32bits(v)&^(1<<31))
	}
	return math.Float32frombits(most)
}

// groupScales are the scales of all rows, F32.
type groupScales rounder

// ReadRows implements [source.RowReader].
func (s *groupScales) ReadRows(dst []byte, row int64) error {
	r := (*rounder)(s)
	for size := 4 * r.columns / r.group; len(dst) > 0; dst, row = dst[size:], row+1 {
		values, err := r.row(row)
		if err != nil {
			return err
		}
		scales, err := r.scales(values)
		if err != nil {
			return err
		}
		floatformat.Encode(dst[:size], scales, "F32")
	}
	return nil
}

// groupNumbers are the numbers of all rows, I8: rows 2i and 2i+1 in the low and high
// halves of row i.
type groupNumbers rounder

// ReadRows implements [source.RowReader].
func (s *groupNumbers) ReadRows(dst []byte, row int64) error {
	r := (*rounder)(s)
	for ; len(dst) > 0; dst, row = dst[r.columns:], row+1 {
		clear(dst[:r.columns])
		for half := range int64(2) {
			values, err := r.row(2*row + half)
			if err != nil {
				return err
			}
			scales, err := r.scales(values)
			if err != nil {
				return err
			}
			for g, scale := range scales {
				own := dst[g*r.group:][:r.group]
				for k, v := range values[g*r.group:][:r.group] {
					own[k] |= roundInt4(v, scale) << (4 * half)
				}
			}
		}
	}
	return nil
}

// roundInt4 gives the nearest of 16 multiples of a scale, ties to even, as its low 4 bits.
func roundInt4(v, scale float32) byte {
	if scale == 0 {
		return 0
	}
	return byte(int8(min(max(math.RoundToEven(float64(v/scale)), -8), 7))) & 15
}

// ones is a row of F32.
type ones struct{}

// ReadRows implements [source.RowReader].
func (ones) ReadRows(dst []byte, row int64) error {
	for ; len(dst) > 0; dst = dst[4:] {
		binary.LittleEndian.PutUint32(dst, math.Float32bits(1))
	}
	return nil
}
