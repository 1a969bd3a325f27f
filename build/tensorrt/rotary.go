package tensorrt

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// rotaryTables are the constants that the attention plugin turns queries and keys with.
type rotaryTables struct {
	of              *network.Rotary
	invFreq, cosSin *graph.Tensor
}

// rotary gives the tables of r: [dim/2] frequencies and [1, positions·dim], in which each
// position has dim/2 pairs of cosine and sine. Layers that turn alike share them.
func (p *packed) rotary(r *network.Rotary) rotaryTables {
	for _, t := range p.tables {
		if t.of.Dim == r.Dim && t.of.Magnitude == r.Magnitude && slices.Equal(t.of.InvFreq, r.InvFreq) {
			return t
		}
	}
	positions, suffix := p.positions(), ""
	if err := checkTable(r, positions); err != nil {
		p.b.Fail(err)
	}
	if len(p.tables) > 0 {
		suffix = fmt.Sprintf("_%d", len(p.tables))
	}
	t := rotaryTables{of: r}
	t.invFreq = p.b.Constant(computed("rotary_inv_freq"+suffix, []int64{int64(r.Dim / 2)}, func() []float32 { return r.InvFreq }))
	t.cosSin = p.b.Constant(computed("rotary_cos_sin"+suffix, []int64{1, int64(positions * r.Dim)}, func() []float32 { return cosSin(r, positions) }))
	p.tables = append(p.tables, t)
	return t
}

// cosSin has cosine and sine of position·frequency, each product rounded to float32 as
// upstream's tables have it, times the magnitude.
func cosSin(r *network.Rotary, positions int) []float32 {
	table := make([]float32, 0, positions*r.Dim)
	for p := range positions {
		for _, f := range r.InvFreq {
			sin, cos := math.Sincos(float64(float32(p) * f))
			table = append(table, float32(cos*r.Magnitude), float32(sin*r.Magnitude))
		}
	}
	return table
}

// maxTable bounds a rotary table, in bytes: 8 million positions of heads of 128 elements.
const maxTable = 4 << 30

// checkTable refuses a table that nobody has the memory for; such sizes are mistakes of a config.
func checkTable(r *network.Rotary, positions int) error {
	if most := maxTable / (4 * r.Dim); positions > most {
		return fmt.Errorf("%w: the rotary table of %d positions has more than 4 GiB; lower max_seq_len, and max_position_embeddings of the checkpoint, to %d or less",
			ErrUnsupported, positions, most)
	}
	return nil
}

// computed are float32 values that follow from the config; they are made when they are read.
func computed(name string, shape []int64, values func() []float32) *graph.Weights {
	return &graph.Weights{Name: name, Type: graph.Float, Shape: shape, Recipe: "computed", Read: func(graph.Source) ([]byte, error) {
		list := values()
		data := make([]byte, 4*len(list))
		for i, v := range list {
			binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
		}
		return data, nil
	}}
}
