package tensorrt

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// dataTypes are the types of weights and activations that are numbers by themselves.
var dataTypes = map[network.Dtype]graph.DataType{network.Float32: graph.Float, network.Float16: graph.Half, network.BFloat16: graph.BF16}

// safetensorsDtypes are those of files.
var safetensorsDtypes = map[graph.DataType]string{graph.Float: "F32", graph.Half: "F16", graph.BF16: "BF16", graph.FP8: "F8_E4M3", graph.Int8: "I8"}

// weight gives the values of a weight, in the shape and type that the checkpoint has.
func (l *lowering) weight(w *network.Weight) *graph.Tensor {
	return l.give(l.plain(w), l.managedAll)
}

// plain are the values of a weight of plain numbers.
func (l *lowering) plain(w *network.Weight) *graph.Weights {
	t, ok := dataTypes[w.Dtype]
	if !ok {
		l.b.Fail(fmt.Errorf("%w: weight %s of dtype %s where plain numbers are needed", ErrUnsupported, w.Name, w.Dtype))
	}
	found, ok := l.weights[w]
	if !ok {
		found = stored(w.Name, t, wide(w.Shape))
		l.weights[w] = found
	}
	return found
}

// give makes a tensor of weights: an input, or a constant of the plan.
func (l *lowering) give(w *graph.Weights, input bool) *graph.Tensor {
	if input {
		return l.b.WeightInput(w)
	}
	return l.b.Constant(w)
}

// row is a vector as [1, …, n], to be combined with x.
func (l *lowering) row(w *network.Weight, x *graph.Tensor) *graph.Tensor {
	return l.rowOf(l.weight(w), x)
}

// rowOf makes [1, …, n] of [n], with as many dimensions as x has.
func (l *lowering) rowOf(vector, x *graph.Tensor) *graph.Tensor {
	shape := make([]graph.Dim, len(x.Shape))
	for i := range shape {
		shape[i] = graph.Fixed(1)
	}
	shape[len(shape)-1] = vector.Shape[0]
	return l.b.Reshape(vector, shape...)
}

// scalar is a number that is combined with x.
func (l *lowering) scalar(value float64, x *graph.Tensor) *graph.Tensor {
	return l.b.Scalars(x.Type, slices.Repeat([]int64{1}, len(x.Shape)), value)
}

// addBias adds a vector to each row; nil adds nothing.
func (l *lowering) addBias(x *graph.Tensor, bias *network.Weight) *graph.Tensor {
	if bias == nil {
		return x
	}
	return l.b.ElementWise(x, graph.Sum, l.row(bias, x))
}

// stored are weights that the checkpoint has, converted where it has another type.
func stored(name string, t graph.DataType, shape []int64) *graph.Weights {
	return &graph.Weights{Name: name, Type: t, Shape: shape, From: []string{name}, Recipe: "as stored",
		Read: func(source graph.Source) ([]byte, error) { return readAs(source, name, t, shape) }}
}

// reciprocal is 1/w of a weight of one float32, called name.
func (l *lowering) reciprocal(name string, w *network.Weight) *graph.Weights {
	if found, ok := l.reciprocals[w]; ok {
		return found
	}
	found := &graph.Weights{Name: name, Type: graph.Float, Shape: wide(w.Shape), From: []string{w.Name}, Recipe: "reciprocal"}
	found.Read = func(source graph.Source) ([]byte, error) {
		data, err := readAs(source, w.Name, graph.Float, found.Shape)
		if err != nil {
			return nil, err
		}
		values := make([]float32, found.Elements())
		floatformat.Decode(values, data, "F32")
		for i, v := range values {
			if !(v > 0) {
				return nil, fmt.Errorf("%w: the scale %s is %g, want a number above 0", graph.ErrInvalid, w.Name, v)
			}
			values[i] = 1 / v
		}
		data = make([]byte, found.Bytes())
		floatformat.Encode(data, values, "F32")
		return data, nil
	}
	l.reciprocals[w] = found
	return found
}

// readAs reads a tensor of the checkpoint as type t. Nothing is copied where it is stored so.
func readAs(source graph.Source, name string, t graph.DataType, shape []int64) ([]byte, error) {
	s, err := source.Tensor(name)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(s.Shape, shape) {
		return nil, fmt.Errorf("%w: the checkpoint has %s as %v, the network needs %v", graph.ErrInvalid, name, s.Shape, shape)
	}
	to := safetensorsDtypes[t]
	if s.Dtype == to {
		return s.Bytes, nil
	}
	if t != graph.Float && t != graph.Half && t != graph.BF16 || floatformat.Size(s.Dtype) == 0 {
		return nil, fmt.Errorf("%w: the checkpoint has %s as %s, the network needs %s", graph.ErrInvalid, name, s.Dtype, t)
	}
	values := make([]float32, len(s.Bytes)/floatformat.Size(s.Dtype))
	floatformat.Decode(values, s.Bytes, s.Dtype)
	data := make([]byte, len(values)*floatformat.Size(to))
	if floatformat.Encode(data, values, to) {
		return nil, fmt.Errorf("%w: %s has values beyond %s", graph.ErrInvalid, name, t)
	}
	return data, nil
}

// concatenated are matrices of one width, or vectors, behind one another.
func concatenated(name string, t graph.DataType, parts ...*network.Weight) *graph.Weights {
	w := &graph.Weights{Name: name, Type: t, Shape: wide(parts[0].Shape), Recipe: "rows concatenated"}
	w.Shape[0] = 0
	for _, p := range parts {
		w.Shape[0] += int64(p.Shape[0])
		w.From = append(w.From, p.Name)
	}
	w.Read = func(source graph.Source) ([]byte, error) {
		data := make([]byte, 0, w.Bytes())
		for _, p := range parts {
			rows, err := readAs(source, p.Name, t, wide(p.Shape))
			if err != nil {
				return nil, err
			}
			data = append(data, rows...)
		}
		return data, nil
	}
	return w
}

func wide(values []int) []int64 {
	list := make([]int64, len(values))
	for i, v := range values {
		list[i] = int64(v)
	}
	return list
}
