package tensorrt

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/mixedgemm"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// integers are the weights of a linear as signed numbers of 4 or 8 bits with scales, each for
// group inputs of an output. They are rounded when they are read (W8A16 and W4A16, one
// group), or stored by the checkpoint (W4A16_AWQ).
type integers struct {
	o       *network.Linear
	dtype   graph.DataType // of the scales
	bits    int
	out, in int
	group   int
}

func newIntegers(o *network.Linear, dtype graph.DataType) integers {
	w := integers{o: o, dtype: dtype, bits: 4, out: o.Weight.Shape[0], in: o.Weight.Shape[1], group: o.Weight.Shape[1]}
	switch o.Quantisation.Algo {
	case checkpoint.W8A16:
		w.bits = 8
	case checkpoint.W4A16AWQ:
		w.group = o.Quantisation.Group
	}
	return w
}

// stored tells whether the checkpoint has the numbers.
func (w integers) stored() bool { return w.o.Quantisation.WeightScale != nil }

// from are the tensors that the numbers, or their scales, are made of.
func (w integers) from(scales bool) []string {
	if scales && w.stored() {
		return []string{w.o.Quantisation.WeightScale.Name}
	}
	return []string{w.o.Weight.Name}
}

// open finds the tensor of a weight and checks that it is what the network says.
func open(source graph.Source, weight *network.Weight) (graph.Stored, error) {
	s, err := source.Tensor(weight.Name)
	if err != nil {
		return s, err
	}
	fits := floatformat.Size(s.Dtype) > 0
	switch weight.Dtype {
	case network.Int4:
		fits = s.Dtype == "I8"
	case network.Float8:
		fits = s.Dtype == floatformat.E4M3
	}
	if want := wide(weight.Stored()); !fits || !slices.Equal(s.Shape, want) {
		return s, fmt.Errorf("%w: the checkpoint has %s as %s%v, the network needs %s in shape %v", graph.ErrInvalid, weight.Name, s.Dtype, s.Shape, weight.Dtype, want)
	}
	return s, nil
}

// eachRow calls row for each output with its numbers and, where they are rounded, their scale. Rows
// come in any order, from several goroutines.
func (w integers) eachRow(source graph.Source, row func(n int, numbers []int8)) error {
	s, err := open(source, w.o.Weight)
	if err != nil {
		return err
	}
	return inParallel(w.out, func(first, last int) error {
		numbers, values := make([]int8, w.in), make([]float32, w.in)
		width := w.in * floatformat.Size(s.Dtype)
		for n := first; n < last; n++ {
			if w.stored() {
				unpack(numbers, s.Bytes[n/2*w.in:], n%2 == 1)
			} else {
				floatformat.Decode(values, s.Bytes[n*width:], s.Dtype)
				scale := floatformat.RoundSymmetric(numbers, values, w.bits)
				if err := w.finite(scale, n); err != nil {
					return err
				}
			}
			row(n, numbers)
		}
		return nil
	})
}

// unpack takes the lower or the higher halves of bytes.
func unpack(numbers []int8, pairs []byte, high bool) {
	shift := 4
	if high {
		shift = 0
	}
	for i := range numbers {
		numbers[i] = int8(pairs[i]<<shift) >> 4
	}
}

func (w integers) finite(scale float32, row int) error {
	if v := float64(scale); math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%w: tensor %s has NaN or an infinity in row %d", checkpoint.ErrInvalid, w.o.Weight.Name, row)
	}
	return nil
}

// readScales gives the scales as float32, [out, in/group].
func (w integers) readScales(source graph.Source) ([]float32, error) {
	scales := make([]float32, w.out*(w.in/w.group))
	if w.stored() {
		s, err := open(source, w.o.Quantisation.WeightScale)
		if err == nil {
			floatformat.Decode(scales, s.Bytes, s.Dtype)
		}
		return scales, err
	}
	s, err := open(source, w.o.Weight)
	if err != nil {
		return nil, err
	}
	return scales, inParallel(w.out, func(first, last int) error {
		values := make([]float32, w.in)
		width := w.in * floatformat.Size(s.Dtype)
		for n := first; n < last; n++ {
			floatformat.Decode(values, s.Bytes[n*width:], s.Dtype)
			scales[n] = floatformat.SymmetricScale(values, w.bits)
			if err := w.finite(scales[n], n); err != nil {
				return err
			}
		}
		return nil
	})
}

// permuted are the numbers as the plugins for weights of few bits want them, made up with zeros to
// out rows of in numbers.
func (w integers) permuted(name string, t graph.DataType, shape []int64, layout *mixedgemm.Layout, out, in int) *graph.Weights {
	return &graph.Weights{Name: name, Type: t, Shape: shape, From: w.from(false), Recipe: fmt.Sprintf("%d bits, permuted", w.bits),
		Read: func(source graph.Source) ([]byte, error) {
			if err := layout.Check(out, in); err != nil {
				return nil, err
			}
			data := make([]byte, layout.Bytes(out, in))
			zeros := make([]int8, in)
			for n := w.out; n < out; n++ {
				layout.Put(data, n, zeros)
			}
			return data, w.eachRow(source, func(n int, numbers []int8) {
				if in > w.in {
					numbers = append(append(make([]int8, 0, in), numbers...), zeros[w.in:]...)
				}
				layout.Put(data, n, numbers)
			})
		}}
}

// plain are the numbers row by row, two of 4 bits in a byte, the first one low.
func (w integers) plain(name string) *graph.Weights {
	t := graph.Int8
	if w.bits == 4 {
		t = graph.Int4
	}
	return &graph.Weights{Name: name, Type: t, Shape: []int64{int64(w.out), int64(w.in)}, From: w.from(false), Recipe: fmt.Sprintf("%d bits", w.bits),
		Read: func(source graph.Source) ([]byte, error) {
			width := w.in * w.bits / 8
			data := make([]byte, w.out*width)
			return data, w.eachRow(source, func(n int, numbers []int8) {
				row := data[n*width:][:width]
				for i := range row {
					if w.bits == 8 {
						row[i] = byte(numbers[i])
						continue
					}
					row[i] = byte(numbers[2*i])&15 | byte(numbers[2*i+1])<<4
				}
			})
		}}
}

// scales are the scales in the model's dtype, one for each output and block of inputs, which is a
// group or part of one. place gives each its place in shape; other places are zero.
func (w integers) scales(name, recipe string, shape []int64, block int, place func(n, block int) int) *graph.Weights {
	found := &graph.Weights{Name: name, Type: w.dtype, Shape: shape, From: w.from(true), Recipe: recipe}
	found.Read = func(source graph.Source) ([]byte, error) {
		values, err := w.readScales(source)
		if err != nil {
			return nil, err
		}
		placed := make([]float32, found.Elements())
		for n := range w.out {
			for i := range w.in / block {
				placed[place(n, i)] = values[n*(w.in/w.group)+i*block/w.group]
			}
		}
		return w.encode(found, placed)
	}
	return found
}

func (w integers) encode(found *graph.Weights, values []float32) ([]byte, error) {
	data := make([]byte, found.Bytes())
	if floatformat.Encode(data, values, safetensorsDtypes[found.Type]) {
		return nil, fmt.Errorf("%w: a scale of %s is beyond %s", checkpoint.ErrInvalid, w.o.Weight.Name, found.Type)
	}
	return data, nil
}

// madeUp is a vector of the checkpoint, with zeros behind it where shape has more numbers.
func madeUp(w *network.Weight, name string, t graph.DataType, shape []int64) *graph.Weights {
	found := &graph.Weights{Name: name, Type: t, Shape: shape, From: []string{w.Name}, Recipe: "as stored"}
	if found.Elements() > int64(w.Shape[0]) {
		found.Recipe = "made up with zeros"
	}
	found.Read = func(source graph.Source) ([]byte, error) {
		data, err := readAs(source, w.Name, t, wide(w.Shape))
		if err != nil || int64(len(data)) == found.Bytes() {
			return data, err
		}
		return append(make([]byte, 0, found.Bytes()), data...)[:found.Bytes()], nil
	}
	return found
}

// eightBits are the E4M3 numbers of a weight as they are stored.
func eightBits(w *network.Weight) *graph.Weights {
	return &graph.Weights{Name: w.Name, Type: graph.FP8, Shape: wide(w.Shape), From: []string{w.Name}, Recipe: "as stored",
		Read: func(source graph.Source) ([]byte, error) { return readEightBits(source, w) }}
}

func readEightBits(source graph.Source, w *network.Weight) ([]byte, error) {
	s, err := open(source, w)
	if err != nil {
		return nil, err
	}
	for _, code := range []byte{floatformat.E4M3NaN, floatformat.E4M3NaN | 0x80} {
		if i := bytes.IndexByte(s.Bytes, code); i >= 0 {
			return nil, fmt.Errorf("%w: tensor %s has NaN in row %d", checkpoint.ErrInvalid, w.Name, i/w.Shape[1])
		}
	}
	return s.Bytes, nil
}

// largestScale is the larger of the scales of linears that become one.
func largestScale(source graph.Source, scales ...*network.Weight) (float32, error) {
	largest := float32(0)
	for _, s := range scales {
		v, err := readScale(source, s.Name)
		if err != nil {
			return 0, err
		}
		largest = max(largest, v)
	}
	return largest, nil
}

// scaleOf is the largest of some scales, of no dimensions, in float32.
func scaleOf(name string, scales ...*network.Weight) *graph.Weights {
	w := &graph.Weights{Name: name, Type: graph.Float, Recipe: "as stored"}
	for _, s := range scales {
		w.From = append(w.From, s.Name)
	}
	if len(scales) > 1 {
		w.Recipe = "largest"
	}
	w.Read = func(source graph.Source) ([]byte, error) {
		v, err := largestScale(source, scales...)
		data := make([]byte, 4)
		floatformat.Encode(data, []float32{v}, "F32")
		return data, err
	}
	return w
}

// joined are E4M3 weights behind one another: multiplied by their scales, divided by the
// largest, and rounded anew (fuse_gate_mlp of modeling_utils.py does so in float32).
func joined(name string, linears ...*network.Linear) *graph.Weights {
	found := &graph.Weights{Name: name, Type: graph.FP8, Shape: []int64{0, int64(linears[0].Weight.Shape[1])}, Recipe: "joined, rounded to the largest scale"}
	var scales []*network.Weight
	for _, o := range linears {
		found.Shape[0] += int64(o.Weight.Shape[0])
		found.From = append(found.From, o.Weight.Name, o.Quantisation.WeightScale.Name)
		scales = append(scales, o.Quantisation.WeightScale)
	}
	found.Read = func(source graph.Source) ([]byte, error) {
		largest, err := largestScale(source, scales...)
		if err != nil {
			return nil, err
		}
		data := make([]byte, 0, found.Bytes())
		for _, o := range linears {
			codes, err := readEightBits(source, o.Weight)
			if err != nil {
				return nil, err
			}
			own, err := readScale(source, o.Quantisation.WeightScale.Name)
			if err != nil {
				return nil, err
			}
			table := floatformat.ScaledE4M3(own)
			var again [256]byte
			for code, v := range table {
				again[code] = floatformat.ToE4M3(v / largest)
			}
			for _, code := range codes {
				data = append(data, again[code])
			}
		}
		return data, nil
	}
	return found
}

// readScale reads one number that others are multiplied by.
func readScale(source graph.Source, name string) (float32, error) {
	data, err := readAs(source, name, graph.Float, []int64{1})
	if err != nil {
		return 0, err
	}
	v := make([]float32, 1)
	floatformat.Decode(v, data, "F32")
	if !(v[0] > 0) || math.IsInf(float64(v[0]), 0) {
		return 0, fmt.Errorf("%w: tensor %s is %g, not a number above 0", checkpoint.ErrInvalid, name, v[0])
	}
	return v[0], nil
}

// inParallel divides n rows among the processors. It returns the first error of the first rows that have one.
func inParallel(n int, rows func(first, last int) error) error {
	parts := min(runtime.GOMAXPROCS(0), n)
	errs := make([]error, parts)
	var wait sync.WaitGroup
	for i := range parts {
		wait.Go(func() { errs[i] = rows(i*n/parts, (i+1)*n/parts) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
