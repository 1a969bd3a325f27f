package bigmodel

// parameter is one of Megatron-core's, as a distributed checkpoint of NeMo 1 has
// it: the layers of a model are stacked along an axis that comes first.
type parameter struct {
	name   string
	layers int64   // 0 where it is not stacked
	shape  []int64 // of one layer
	axis   int     // of shape that tensor-parallel ranks divide, -1 where they do not
	parts  int     // in how many fragments each rank has it: a gate and the rest are two
	layer  func(layer int64) content
}

// chunk is the part of a parameter that one rank of the training held.
type chunk struct {
	offset, sizes []int64
	index         []int64 // of the chunk along each axis
	content       content
}

// parameters lists the model's.
func (s Shape) parameters() []parameter {
	const attention, mlp = "decoder.layers.self_attention.", "decoder.layers.mlp."
	hidden, heads := s.HiddenSize, (s.NumAttentionHeads+2*s.NumKeyValueHeads)*s.HeadDim
	fragments := len(s.linear1(0))
	stacked := func(name string, shape []int64, axis, parts int, layer func(int64) content) parameter {
		return parameter{name, s.NumHiddenLayers, shape, axis, parts, layer}
	}
	once := func(name string, t tensor, axis int) parameter {
		return parameter{name, 0, t.shape, axis, 1, func(int64) content { return whole(t) }}
	}
	list := []parameter{
		once("embedding.word_embeddings.weight", s.embedding(), 0),
		stacked(attention+"linear_proj.weight", s.output(0).shape, 1, 1, func(l int64) content { return whole(s.output(l)) }),
		stacked(attention+"linear_qkv.weight", []int64{heads, hidden}, 0, 1, s.grouped),
		stacked(mlp+"linear_fc1.weight", []int64{int64(fragments) * s.IntermediateSize, hidden}, 0, fragments, func(l int64) content { return whole(s.linear1(l)...) }),
		stacked(mlp+"linear_fc2.weight", s.linear2(0).shape, 1, 1, func(l int64) content { return whole(s.linear2(l)) }),
	}
	for i, kind := range []string{"weight", "bias"}[:len(s.norm(""))] {
		list = append(list,
			stacked(attention+"linear_qkv.layer_norm_"+kind, []int64{hidden}, -1, 1, func(l int64) content { return whole(s.norm(s.in(l, "input_layernorm"))[i]) }),
			stacked(mlp+"linear_fc1.layer_norm_"+kind, []int64{hidden}, -1, 1, func(l int64) content { return whole(s.norm(s.in(l, "post_attention_layernorm"))[i]) }),
			once("decoder.final_layernorm."+kind, s.norm("model.norm")[i], -1),
		)
	}
	return append(list, once("output_layer.weight", s.head(), 0))
}

// grouped is linear_qkv: in each group first its query heads, then its key head,
// then its value head (Megatron-core, attention.py).
func (s Shape) grouped(layer int64) content {
	var c content
	queries := s.NumAttentionHeads / s.NumKeyValueHeads * s.HeadDim
	for g := range s.NumKeyValueHeads {
		c = append(c, whole(s.query(layer)).slice(g*queries, queries)...)
		c = append(c, whole(s.key(layer)).slice(g*s.HeadDim, s.HeadDim)...)
		c = append(c, whole(s.value(layer)).slice(g*s.HeadDim, s.HeadDim)...)
	}
	return c
}

// global is the whole parameter's shape.
func (p parameter) global() []int64 {
	if p.layers == 0 {
		return p.shape
	}
	return append([]int64{p.layers}, p.shape...)
}

// chunks divides a parameter among ranks, layer by layer.
func (p parameter) chunks(ranks int64) []chunk {
	fragments := ranks * int64(p.parts)
	if p.axis < 0 {
		fragments = 1
	}
	var list []chunk
	for layer := range max(p.layers, 1) {
		for f := range fragments {
			c := chunk{content: p.layer(layer)}
			if p.layers > 0 {
				c.offset, c.sizes, c.index = []int64{layer}, []int64{1}, []int64{layer}
			}
			for axis, n := range p.shape {
				if axis != p.axis {
					c.offset, c.sizes, c.index = append(c.offset, 0), append(c.sizes, n), append(c.index, 0)
					continue
				}
				n /= fragments
				c.offset, c.sizes, c.index = append(c.offset, f*n), append(c.sizes, n), append(c.index, f)
				if axis == 0 {
					c.content = c.content.slice(f*n, n)
				} else {
					c.content = c.content.between(f*n, n)
				}
			}
			list = append(list, c)
		}
	}
	return list
}
