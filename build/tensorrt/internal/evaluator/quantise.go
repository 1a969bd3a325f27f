package evaluator

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/floatformat"
)

func quantize(op graph.Op, in []*Tensor) (*Tensor, error) {
	o, x := op.(graph.Quantize), in[0]
	scale, err := scales(x, in[1], o.Axis)
	if err != nil {
		return nil, err
	}
	out := newTensor(o.To, x.Shape)
	for i, v := range x.Float {
		v /= scale[i]
		switch o.To {
		case graph.FP8:
			out.Float[i] = floatformat.FromE4M3(floatformat.ToE4M3(v))
		case graph.Int8:
			out.Int[i] = int64(min(max(math.RoundToEven(float64(v)), -128), 127))
		default:
			return nil, fmt.Errorf("the evaluator cannot quantise to %s", o.To)
		}
	}
	return out, nil
}

func dequantize(op graph.Op, in []*Tensor) (*Tensor, error) {
	o, x := op.(graph.Dequantize), in[0]
	scale, err := scales(x, in[1], o.Axis)
	if err != nil {
		return nil, err
	}
	out := newTensor(o.To, x.Shape)
	for i := range out.Float {
		if x.Type == graph.FP8 {
			out.Float[i] = x.Float[i] * scale[i]
		} else {
			out.Float[i] = float32(x.Int[i]) * scale[i]
		}
	}
	return out, nil
}

// scales gives the scale of each element: the only one, that of its place along axis, or
// that of its block.
func scales(x, scale *Tensor, axis int) ([]float32, error) {
	list := make([]float32, x.Elements())
	steps, blocks := rowMajor(x.Shape), rowMajor(scale.Shape)
	for i := range list {
		at := 0
		switch {
		case axis >= 0 && len(scale.Shape) == 1:
			at = i / steps[axis] % int(x.Shape[axis])
		case len(scale.Shape) == len(x.Shape):
			for d, n := range x.Shape {
				at += i / steps[d] % int(n) / int(n/scale.Shape[d]) * blocks[d]
			}
		case len(scale.Shape) > 0:
			return nil, fmt.Errorf("scale %s does not fit %s along axis %d", scale, x, axis)
		}
		if at >= len(scale.Float) {
			return nil, fmt.Errorf("scale %s is too small for %s along axis %d", scale, x, axis)
		}
		list[i] = scale.Float[at]
	}
	return list, nil
}
