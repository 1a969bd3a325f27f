package trtllm

import (
	"fmt"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// numbers gives a weight of 4 bits as float32: number × scale of its group × factor of
// its input. The scale is rounded to the model's dtype first, as upstream's builder
// does.
func (m *Model) numbers(w checkpoint.Weight, pairs *chunked.Array, shape []int64) (source.Tensor, error) {
	module := w.Name[:len(w.Name)-len(".weight")]
	scales, err := m.whole(m.weights[module+checkpoint.WeightScale])
	if err != nil {
		return source.Tensor{}, err
	}
	g := &groups{pairs: pairs, scales: scales, columns: shape[1], size: m.config.Quantization.Group(), dtype: checkpoint.SafetensorsDtype(m.config.Dtype)}
	if factor, ok := m.weights[fusedModule(w.Name)+checkpoint.InputFactor]; ok {
		a, err := m.whole(factor)
		if err != nil {
			return source.Tensor{}, err
		}
		g.factor = make([]float32, shape[1])
		raw := make([]byte, a.Size())
		if n, err := a.ReadAt(raw, 0); n < len(raw) {
			return source.Tensor{}, fmt.Errorf("reading %s: %w", factor.Name, err)
		}
		floatformat.Decode(g.factor, raw, a.Dtype())
	}
	transform := "4 bits by groups"
	if parts := joined(w); parts != "" {
		transform = parts + ", " + transform
	}
	return source.Tensor{Origin: w.Name, Dtype: "F32", Shape: shape, Rows: g, Transform: transform}, nil
}

type groups struct {
	pairs, scales *chunked.Array
	columns, size int64
	factor        []float32 // nil for none
	dtype         string
}

// ReadRows implements [source.RowReader].
func (g *groups) ReadRows(dst []byte, row int64) error {
	pairs := make([]byte, g.columns)
	raw := make([]byte, g.scales.RowBytes())
	scales, narrow := make([]float32, g.columns/g.size), make([]byte, g.columns/g.size*width(g.dtype))
	values := make([]float32, g.columns)
	for ; len(dst) > 0; row++ {
		if n, err := g.pairs.ReadAt(pairs, row/2*g.columns); n < len(pairs) {
			return err
		}
		if n, err := g.scales.ReadAt(raw, row*int64(len(raw))); n < len(raw) {
			return err
		}
		floatformat.Decode(scales, raw, "F32")
		floatformat.Encode(narrow, scales, g.dtype)
		floatformat.Decode(scales, narrow, g.dtype)
		floatformat.DecodeInt4(values, pairs, row%2 == 1)
		for k := range values {
			values[k] *= scales[int64(k)/g.size]
			if g.factor != nil {
				values[k] *= g.factor[k]
			}
		}
		floatformat.Encode(dst[:4*len(values)], values, "F32")
		dst = dst[4*len(values):]
	}
	return nil
}
