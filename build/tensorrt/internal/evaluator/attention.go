package evaluator

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// rotaryEmbedding turns the pairs (j, j + dim/2), or (2j, 2j+1) when interleaved, by the angle
// whose cosine and sine stand at the row's position.
func rotaryEmbedding(op graph.Op, in []*Tensor) (*Tensor, error) {
	o, x, cos, sin := op.(graph.RotaryEmbedding), in[0], in[1], in[2]
	batch, heads, steps, size := int(x.Shape[0]), int(x.Shape[1]), int(x.Shape[2]), int(x.Shape[3])
	dim := o.Dim
	if dim == 0 {
		dim = size
	}
	out := newTensor(x.Type, x.Shape)
	copy(out.Float, x.Float)
	for i := range batch * heads * steps {
		row := i/(heads*steps)*steps + i%steps // of [B, S]
		if len(in) == 4 {
			position := in[3].Int[row]
			if position < 0 || position >= cos.Shape[0] {
				return nil, fmt.Errorf("position %d is outside the table of %d", position, cos.Shape[0])
			}
			row = int(position)
		}
		turn(out.Float[i*size:(i+1)*size], cos.Float[row*dim/2:], sin.Float[row*dim/2:], 1, dim, o.Interleaved)
	}
	return out, nil
}

// turn turns the first dim values of a head. Cosines and sines are stride apart.
func turn(head, cos, sin []float32, stride, dim int, interleaved bool) {
	for j := range dim / 2 {
		first, second := j, j+dim/2
		if interleaved {
			first, second = 2*j, 2*j+1
		}
		a, b, c, s := float64(head[first]), float64(head[second]), float64(cos[j*stride]), float64(sin[j*stride])
		head[first], head[second] = float32(a*c-b*s), float32(b*c+a*s)
	}
}

// kvCacheUpdate writes each sequence's update from its place on. What would lie beyond the
// cache vanishes.
func kvCacheUpdate(_ graph.Op, in []*Tensor) (*Tensor, error) {
	cache, update, index := in[0], in[1], in[2]
	out := newTensor(cache.Type, cache.Shape)
	copy(out.Float, cache.Float)
	heads, most, size, steps := cache.Shape[1], cache.Shape[2], cache.Shape[3], update.Shape[2]
	if update.Shape[0] != cache.Shape[0] || update.Shape[1] != heads || update.Shape[3] != size || int64(len(index.Int)) != cache.Shape[0] {
		return nil, fmt.Errorf("writes %v at %v into %v", update.Shape, index.Shape, cache.Shape)
	}
	for b, first := range index.Int {
		for h := range heads {
			for s := range steps {
				if to := first + s; to >= 0 && to < most {
					row := int64(b)*heads + h
					copy(out.Float[(row*most+to)*size:][:size], update.Float[(row*steps+s)*size:])
				}
			}
		}
	}
	return out, nil
}

// attention is softmax(q·kᵀ + mask)·v; q is scaled already. A row that the mask leaves
// nothing is not a number.
func attention(_ graph.Op, in []*Tensor) (*Tensor, error) {
	q, k, v := in[0], in[1], in[2]
	heads, rows, size := q.Shape[1], q.Shape[2], q.Shape[3]
	kvHeads, keys := k.Shape[1], k.Shape[2]
	scores := []int64{q.Shape[0], heads, rows, keys}
	var at []int
	if len(in) == 4 {
		if shape, err := broadcast(scores, in[3].Shape); err != nil || volume(shape) != volume(scores) {
			return nil, fmt.Errorf("masks scores %v with %v", scores, in[3].Shape)
		}
		at = places(in[3].Shape, scores)
	}
	out := newTensor(q.Type, q.Shape)
	for i := range q.Shape[0] * heads * rows {
		head := i / rows
		kv := (head/heads*kvHeads + head%heads/(heads/kvHeads)) * keys * size
		row := make([]float64, keys)
		for s := range row {
			row[s] = dot(q.Float[i*size:], 1, k.Float[kv+int64(s)*size:], 1, int(size))
			if at != nil {
				row[s] += masked(in[3], at[int(i*keys)+s])
			}
		}
		weighted(out.Float[i*size:(i+1)*size], row, v.Float[kv:])
	}
	return out, nil
}

// masked is what is added to a score.
func masked(mask *Tensor, at int) float64 {
	switch {
	case real(mask.Type):
		return float64(mask.Float[at])
	case mask.Int[at] == 0:
		return math.Inf(-1)
	}
	return 0
}

// weighted writes Σ softmax(scores)·values; values are rows as wide as out.
func weighted(out []float32, scores []float64, values []float32) {
	most, sum := math.Inf(-1), 0.0
	for _, s := range scores {
		most = max(most, s)
	}
	for i, s := range scores {
		scores[i] = math.Exp(s - most)
		sum += scores[i]
	}
	for d := range out {
		total := 0.0
		for i, s := range scores {
			if s != 0 {
				total += s * float64(values[i*len(out)+d])
			}
		}
		out[d] = float32(total / sum)
	}
}
