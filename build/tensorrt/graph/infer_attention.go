package graph

import "fmt"

func (o RotaryEmbedding) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 3, 4); err != nil {
		return nil, err
	}
	x, cos, sin := in[0], in[1], in[2]
	if len(x.Shape) != 4 || !x.Type.floating() {
		return nil, fmt.Errorf("turns %s%s, not [B, N, S, D]", x.Type, x.Shape)
	}
	if cos.Type != x.Type || sin.Type != x.Type {
		return nil, fmt.Errorf("turns %s by %s and %s", x.Type, cos.Type, sin.Type)
	}
	dim := int64(o.Dim)
	if dim == 0 {
		dim = x.Shape[3].Size
	}
	rank := 3
	if given(in, 3) {
		rank = 2
		if ids := in[3]; !ids.Type.integer() || len(ids.Shape) != 2 || !ids.Shape[0].agrees(x.Shape[0]) || !ids.Shape[1].agrees(x.Shape[2]) {
			return nil, fmt.Errorf("positions %s%s do not belong to %s", ids.Type, ids.Shape, x.Shape)
		}
	}
	if dim%2 != 0 || dim > x.Shape[3].Size {
		return nil, fmt.Errorf("turns %d of %s", dim, x.Shape)
	}
	for _, t := range []*Tensor{cos, sin} {
		if len(t.Shape) != rank || t.Shape[rank-1].Size != dim/2 {
			return nil, fmt.Errorf("turns %d of %s by a table %s", dim, x.Shape, t.Shape)
		}
	}
	return one(x.Type, x.Shape), nil
}

func (KVCacheUpdate) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 3, 3); err != nil {
		return nil, err
	}
	cache, update, index := in[0], in[1], in[2]
	if len(cache.Shape) != 4 || len(update.Shape) != 4 || cache.Type != update.Type || !cache.Type.floating() {
		return nil, fmt.Errorf("writes %s%s into %s%s", update.Type, update.Shape, cache.Type, cache.Shape)
	}
	for _, d := range []int{0, 1, 3} {
		if !cache.Shape[d].agrees(update.Shape[d]) {
			return nil, fmt.Errorf("writes %s into %s", update.Shape, cache.Shape)
		}
	}
	if cache.Shape[2].Size < 0 {
		return nil, fmt.Errorf("the length of the cache %s must be fixed", cache.Shape)
	}
	if index.Type != Int32 || len(index.Shape) != 1 || !index.Shape[0].agrees(cache.Shape[0]) {
		return nil, fmt.Errorf("places %s%s do not belong to the cache %s", index.Type, index.Shape, cache.Shape)
	}
	return one(cache.Type, cache.Shape), nil
}

func (o Attention) infer(in []*Tensor) ([]Tensor, error) {
	if err := want(in, 3, 4); err != nil {
		return nil, err
	}
	q, k, v := in[0], in[1], in[2]
	if len(q.Shape) != 4 || len(k.Shape) != 4 || len(v.Shape) != 4 || k.Type != q.Type || v.Type != q.Type {
		return nil, fmt.Errorf("attends from %s%s to %s%s and %s%s", q.Type, q.Shape, k.Type, k.Shape, v.Type, v.Shape)
	}
	heads, kvHeads := q.Shape[1].Size, k.Shape[1].Size
	if kvHeads < 1 || heads%kvHeads != 0 || !k.Shape[3].agrees(q.Shape[3]) || !k.Shape[0].agrees(q.Shape[0]) {
		return nil, fmt.Errorf("attends from %s to %s", q.Shape, k.Shape)
	}
	for d := range k.Shape {
		if !k.Shape[d].agrees(v.Shape[d]) {
			return nil, fmt.Errorf("keys %s and values %s differ", k.Shape, v.Shape)
		}
	}
	if q.Type != Half && q.Type != BF16 && !(o.Decomposable && q.Type == Float) {
		return nil, fmt.Errorf("attention of %s has no fused kernel", q.Type)
	}
	if given(in, 3) {
		mask, scores := in[3], Shape{q.Shape[0], q.Shape[1], q.Shape[2], k.Shape[2]}
		if mask.Type != Bool && mask.Type != q.Type {
			return nil, fmt.Errorf("masks %s with %s", q.Type, mask.Type)
		}
		if _, err := broadcast(scores, mask.Shape); err != nil {
			return nil, fmt.Errorf("masks scores %s with %s", scores, mask.Shape)
		}
	}
	return one(q.Type, q.Shape), nil
}
