package tensorrt

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// rotaryTables are the two constants by which a form turns queries and keys.
type rotaryTables struct {
	of   *network.Rotary
	pair [2]*graph.Tensor
}

// shareTables gives the tables of r for so many positions, which layers that turn alike share. build makes
// them where there are none yet; suffix keeps the names of several apart.
func (l *lowering) shareTables(r *network.Rotary, positions int, build func(suffix string) [2]*graph.Tensor) (first, second *graph.Tensor) {
	for _, t := range l.tables {
		if t.of.Dim == r.Dim && t.of.Magnitude == r.Magnitude && slices.Equal(t.of.InvFreq, r.InvFreq) {
			return t.pair[0], t.pair[1]
		}
	}
	if err := checkTable(r, positions); err != nil {
		l.b.Fail(err)
	}
	suffix := ""
	if len(l.tables) > 0 {
		suffix = fmt.Sprintf("_%d", len(l.tables))
	}
	t := rotaryTables{r, build(suffix)}
	l.tables = append(l.tables, t)
	return t.pair[0], t.pair[1]
}

// rotary gives the attention plugin's tables: [dim/2] frequencies and [1, positions·dim], in
// which each position has dim/2 pairs of cosine and sine.
func (p *packed) rotary(r *network.Rotary) (invFreq, cosAndSin *graph.Tensor) {
	positions := p.positions()
	return p.shareTables(r, positions, func(suffix string) [2]*graph.Tensor {
		return [2]*graph.Tensor{
			p.b.Constant(computed("rotary_inv_freq"+suffix, []int64{int64(r.Dim / 2)}, func() []float32 { return r.InvFreq })),
			p.b.Constant(computed("rotary_cos_sin"+suffix, []int64{1, int64(positions * r.Dim)}, func() []float32 { return cosSin(r, positions) })),
		}
	})
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
