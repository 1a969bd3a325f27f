package evaluator

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// weightOnly is x·(weight·scale), a scale for each output; the weight is [K, N] in the order
// of the mixed GEMM.
func weightOnly(c *call) (*Tensor, error) {
	f := c.fields
	bits := 8
	switch kind := f.int32("weight_type_id"); kind {
	case 1:
	case 2:
		bits = 4
	default:
		return nil, fmt.Errorf("weight_type_id is %d", kind)
	}
	if err := c.typed(); err != nil {
		return nil, err
	}
	if err := c.inputs(3); err != nil {
		return nil, err
	}
	x, w, scale := c.in[0], c.in[1], c.in[2]
	inputs, outputs := x.Shape[len(x.Shape)-1], scale.Shape[len(scale.Shape)-1]
	if w.Type != graph.Int8 || !slices.Equal(w.Shape, []int64{inputs, outputs * int64(bits) / 8}) || scale.Type != x.Type {
		return nil, fmt.Errorf("multiplies %s by %d-bit weights %s with scales %s", x, bits, w, scale)
	}
	values, err := unpermute(w.raw, int(inputs), int(outputs), bits)
	if err != nil {
		return nil, err
	}
	for i := range values {
		values[i] *= scale.Float[i%int(outputs)]
	}
	return product(x, values, inputs, outputs)
}

// product multiplies by weights, which the kernels round to the type of x when they scale them.
func product(x *Tensor, values []float32, inputs, outputs int64) (*Tensor, error) {
	w := Floats(x.Type, values, inputs, outputs).rounded()
	return matrixMultiply(graph.MatrixMultiply{Op0: graph.None, Op1: graph.None}, []*Tensor{x, w})
}

// Bits of quant_algo.
const (
	groupBias      = 1
	groupZero      = 2
	groupPreScale  = 4
	groupFP8Alpha  = 8
	groupInt8      = 16
	groupSupported = groupBias | groupPreScale | groupInt8
)

// groupwise is (x·pre-quant scale)·(weight·scale) + bias, with a scale for each group of
// inputs and output. The weight's bytes are those of a [K, N] matrix in the order of the
// mixed GEMM, called numbers of the model's type.
func groupwise(c *call) (*Tensor, error) {
	f := c.fields
	algo, size := f.int32("quant_algo"), int64(f.int32("group_size"))
	if algo&^groupSupported != 0 {
		return nil, fmt.Errorf("quant_algo is %d; the evaluator has no zeros and no FP8", algo)
	}
	f.float("alpha") // of FP8 only
	if err := c.typed(); err != nil {
		return nil, err
	}
	bits, n := 4, 3
	if algo&groupInt8 != 0 {
		bits = 8
	}
	for _, bit := range []int{groupBias, groupPreScale} {
		if algo&bit != 0 {
			n++
		}
	}
	if err := c.inputs(n); err != nil {
		return nil, err
	}
	x, rest := c.in[0], c.in[1:]
	if algo&groupPreScale != 0 {
		scaled, err := prescaled(x, rest[0])
		if err != nil {
			return nil, err
		}
		x, rest = scaled, rest[1:]
	}
	w, scale := rest[0], rest[1]
	inputs, outputs := x.Shape[len(x.Shape)-1], scale.Shape[len(scale.Shape)-1]
	if w.Type != x.Type || size < 1 || !slices.Equal(scale.Shape, []int64{inputs / size, outputs}) || w.Shape[0] != inputs || w.Type.Bytes(volume(w.Shape))*8 != inputs*outputs*int64(bits) {
		return nil, fmt.Errorf("multiplies %s by %d-bit weights %s with scales %s of groups of %d", x, bits, w, scale, size)
	}
	values, err := unpermute(w.raw, int(inputs), int(outputs), bits)
	if err != nil {
		return nil, err
	}
	for i := range values {
		k := int64(i) / outputs
		values[i] *= scale.Float[k/size*outputs+int64(i)%outputs]
	}
	out, err := product(x, values, inputs, outputs)
	if err == nil && algo&groupBias != 0 {
		out, err = elementWise(graph.ElementWise{Operation: graph.Sum}, []*Tensor{out, rest[2].reshaped([]int64{1, outputs})})
	}
	return out, err
}

func prescaled(x, factor *Tensor) (*Tensor, error) {
	columns := x.Shape[len(x.Shape)-1]
	if factor.Type != x.Type || volume(factor.Shape) != columns {
		return nil, fmt.Errorf("scales %s by %s", x, factor)
	}
	return elementWise(graph.ElementWise{Operation: graph.Prod}, []*Tensor{x, factor.reshaped([]int64{1, columns})})
}

// unpermute reads the weights [rows, columns] of a mixed GEMM (compute capability 8.0,
// activations of 16 bits) from the order that it wants. Value (row, column) lies where:
// rows are permuted in groups of 16 (8 bits) or 32 (4 bits); the matrix is transposed;
// 2 or 4 columns take turns, 64 rows at a time; values are unsigned, and their order
// within 32 bits is even places first (4 bits), or 0 2 1 3 (8 bits).
func unpermute(raw []byte, rows, columns, bits int) ([]float32, error) {
	group, turns, word := 16, 2, 32/bits
	if bits == 4 {
		group, turns = 32, 4
	}
	const tile = 64
	if rows%tile != 0 || columns%turns != 0 || len(raw) != rows*columns*bits/8 {
		return nil, fmt.Errorf("%d bytes are no mixed GEMM's %d-bit weights [%d, %d]", len(raw), bits, rows, columns)
	}
	values := make([]float32, rows*columns)
	for row := range rows {
		// Rows come in pairs, 8 apart: 0 1 8 9 (16 17 24 25), then 2 3 10 11 …
		g := row % group
		place := row - g + g%8/2*(group/4) + g/8*2 + g%2
		for column := range columns {
			at := column/turns*rows*turns + place/tile*tile*turns + column%turns*tile + place%tile
			inWord := at % word
			if bits == 4 {
				inWord = inWord%2*4 + inWord/2
			} else {
				inWord = [4]int{0, 2, 1, 3}[inWord]
			}
			at += inWord - at%word
			code := int(raw[at*bits/8])
			if bits == 4 {
				code = code >> (4 * (at % 2)) & 15
			}
			values[row*columns+column] = float32(code - 1<<(bits-1))
		}
	}
	return values, nil
}
