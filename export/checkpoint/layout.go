package checkpoint

// TensorInfo names a tensor of one rank's file and gives its shape.
type TensorInfo struct {
	Name  string
	Dtype string // as safetensors spells it; "" for the config's
	Shape []int64
}

// Weight is one weight of the whole model before it is divided. Its name is the
// checkpoint's, with two differences: layers count through all pipeline stages,
// and attention.q, attention.k and attention.v stand in place of attention.qkv,
// but for scales that the three share ([WeightScale] of FP8, [InputScale],
// [InputFactor]).
type Weight struct {
	Name       string
	Dtype      string // as safetensors spells it; "" for the config's
	Shape      []int64
	Placements []Placement
}

// Placement says where a part of a weight goes: the rectangle of Rows rows from
// Row and Columns columns from Column becomes the rows from At of a rank's
// tensor. A weight of one dimension has one column. What no placement covers (the
// rows that pad a vocabulary) is zero.
type Placement struct {
	Rank            int
	Tensor          string
	Row, Rows       int64
	Column, Columns int64
	At              int64
}

// split tells how a weight is divided among the ranks of one stage.
type split int

const (
	replicated split = iota
	byRows           // output rows; the last rank's may be short (vocabulary)
	byColumns        // input columns
	queryHeads       // rows of attention.q
	keyHeads         // rows of attention.k, possibly repeated
	valueHeads       // rows of attention.v, likewise
)

// part is one weight of a stage.
type part struct {
	weight string // name in the whole model
	tensor string // name in the rank's file
	dtype  string // "" for the config's
	shape  []int64
	split  split
	head   int64 // rows of a head, of queryHeads, keyHeads and valueHeads
}

// stageLayers gives the first layer of a pipeline stage and how many it has: the
// first num_hidden_layers % pp_size stages have one more than the others.
func (c *Config) stageLayers(stage int) (first, count int64) {
	pp, s := int64(c.Mapping.PPSize), int64(stage)
	each, more := c.NumHiddenLayers/pp, c.NumHiddenLayers%pp
	return s*each + min(s, more), each + (min(s+1, more) - min(s, more))
}

// place gives the part's rectangle on one tensor-parallel rank, and the rows and
// columns of the rank's tensor.
func (c *Config) place(p *part, tpRank int) (at Placement, rows, columns int64) {
	tp, r := int64(c.Mapping.TPSize), int64(tpRank)
	all, width := p.shape[0], int64(1)
	if len(p.shape) == 2 {
		width = p.shape[1]
	}
	at = Placement{Tensor: p.tensor, Rows: all, Columns: width}
	rows, columns = all, width
	d := p.head
	q := c.NumAttentionHeads / tp * d
	kv := max(c.NumKeyValueHeads/tp, 1) * d
	switch p.split {
	case byRows:
		rows = (all + tp - 1) / tp
		at.Row = min(r*rows, all)
		at.Rows = min(rows, all-at.Row)
	case byColumns:
		columns = width / tp
		at.Column, at.Columns = r*columns, columns
	case queryHeads:
		at.Row, at.Rows = r*q, q
		rows = q + 2*kv
	case keyHeads, valueHeads:
		// With more ranks than heads, neighbours share one.
		at.Row, at.Rows = r*c.NumKeyValueHeads/tp*d, kv
		at.At = q
		if p.split == valueHeads {
			at.At += kv
		}
		rows = q + 2*kv
	}
	return at, rows, columns
}

// RankTensors lists the tensors of a rank's file, in the order of the forward
// pass. The config has to be valid.
func (c *Config) RankTensors(rank int) []TensorInfo {
	var list []TensorInfo
	for _, p := range c.parts(rank / c.Mapping.TPSize) {
		if p.split == keyHeads || p.split == valueHeads {
			continue // rows of the tensor that queryHeads began
		}
		_, rows, columns := c.place(&p, rank%c.Mapping.TPSize)
		shape := []int64{rows}
		if len(p.shape) == 2 {
			shape = append(shape, columns)
		}
		list = append(list, TensorInfo{p.tensor, p.dtype, shape})
	}
	return list
}

// Weights lists the weights of the whole model with the places of their parts on
// all ranks. The config has to be valid.
func (c *Config) Weights() []Weight {
	var list []Weight
	for stage := range c.Mapping.PPSize {
		for _, p := range c.parts(stage) {
			w := Weight{Name: p.weight, Dtype: p.dtype, Shape: p.shape}
			for r := range c.Mapping.TPSize {
				at, _, _ := c.place(&p, r)
				at.Rank = stage*c.Mapping.TPSize + r
				if at.Rows > 0 {
					w.Placements = append(w.Placements, at)
				}
			}
			list = append(list, w)
		}
	}
	return list
}
