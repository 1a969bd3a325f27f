package export

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// comparisons finds for every tensor of every rank what it has to be. It goes the
// other way than package checkpoint's placements, from the rank's tensors to the
// source, and does not use them.
func comparisons(m source.Model, c *checkpoint.Checkpoint) (list []*comparison, shards []*shard, err error) {
	s, err := newSharder(m, c.Config())
	if err != nil {
		return nil, nil, err
	}
	for rank := range c.Config().Mapping.WorldSize {
		r, err := c.Rank(rank)
		if err != nil {
			return nil, nil, err
		}
		if extra := r.Unexpected(); len(extra) > 0 {
			return nil, nil, fmt.Errorf("%w: %s has tensor %s, which a model of this config does not have", ErrDifferent, checkpoint.RankName(rank), extra[0])
		}
		for _, name := range r.Names() {
			have, _ := r.Tensor(name)
			t := &comparison{rank: rank, have: have, lost: TensorError{Rank: rank, Tensor: name}}
			if have.Dtype == floatformat.E4M3 {
				if t.scale, err = storedScale(r, strings.TrimSuffix(name, ".weight")+checkpoint.WeightScale); err != nil {
					return nil, nil, err
				}
			}
			if err := s.add(t); err != nil {
				return nil, nil, err
			}
			list = append(list, t)
		}
	}
	return list, s.list, nil
}

func storedScale(r *checkpoint.Rank, name string) (float32, error) {
	t, ok := r.Tensor(name)
	if !ok {
		return 0, fmt.Errorf("%w: tensor %s is missing", ErrInvalid, name)
	}
	var v [1]float32
	err := t.ReadFloat32(v[:], 0)
	return v[0], err
}

// sharder knows the whole model.
type sharder struct {
	m      source.Model
	config *checkpoint.Config
	shapes map[string][]int64 // of the whole model's weights
	cache  map[string]source.Tensor
	list   []*shard
	known  map[shardKey]*shard
}

// shardKey is a run of rows of a weight of the whole model.
type shardKey struct {
	weight    string
	row, rows int64
}

// use adds a use of rows of a weight.
func (s *sharder) use(key shardKey, from source.Tensor, u use) {
	if key.rows <= 0 {
		return
	}
	part, ok := s.known[key]
	if !ok {
		part = &shard{from: from, row: key.row, rows: key.rows}
		s.known[key] = part
		s.list = append(s.list, part)
	}
	part.uses = append(part.uses, u)
}

func newSharder(m source.Model, c *checkpoint.Config) (*sharder, error) {
	whole := c.Clone()
	whole.Mapping = checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1}
	if err := whole.Validate(); err != nil {
		return nil, err
	}
	s := &sharder{m: m, config: c, shapes: map[string][]int64{}, cache: map[string]source.Tensor{}, known: map[shardKey]*shard{}}
	for _, w := range whole.Weights() {
		s.shapes[w.Name] = w.Shape
	}
	return s, nil
}

// weight gives a weight of the whole model.
func (s *sharder) weight(name string) (source.Tensor, error) {
	if t, ok := s.cache[name]; ok {
		return t, nil
	}
	shape, ok := s.shapes[name]
	if !ok {
		return source.Tensor{}, fmt.Errorf("%w: no weight is known as %s", ErrInvalid, name)
	}
	t, err := s.m.Tensor(name, shape)
	if err != nil {
		return source.Tensor{}, err
	}
	if err := source.CheckShape(t.Origin, t.Shape, shape); err != nil {
		return source.Tensor{}, err
	}
	s.cache[name] = t
	return t, nil
}

// add finds the shards that a rank's tensor is made of.
func (s *sharder) add(t *comparison) error {
	name, err := s.global(t.rank, t.have.Name)
	if err != nil {
		return err
	}
	if v, ok, err := s.madeScale(name); ok || err != nil {
		s.use(shardKey{name, 0, 1}, v, use{comparison: t, columns: 1})
		return err
	}
	rows, u := t.have.Shape[0], use{comparison: t, columns: 1}
	if len(t.have.Shape) == 2 {
		u.columns = t.have.Shape[1]
	}
	r := int64(t.rank % s.config.Mapping.TPSize)
	if strings.Contains(name, ".attention.qkv.") && !strings.HasSuffix(name, checkpoint.InputFactor) {
		return s.addHeads(r, name, rows, u)
	}
	from, err := s.weight(name)
	if err != nil {
		return err
	}
	key := shardKey{name, 0, rows}
	switch s.dividedAlong(name, len(t.have.Shape)) {
	case 0: // what the last ranks have beyond the weight's end pads a vocabulary
		key.row = r * rows
		key.rows = max(0, min(rows, from.Shape[0]-key.row))
	case 1:
		u.column = r * u.columns
	}
	s.use(key, from, u)
	u.at, u.column = key.rows, 0
	padding := source.Tensor{Origin: from.Origin + " (padding)", Shape: []int64{rows - key.rows, u.columns}}
	s.use(shardKey{name + " (padding)", key.row + key.rows, rows - key.rows}, padding, u)
	return nil
}

// addHeads adds the three shards of a rank's qkv: the rank's share of the query
// heads, and the key and value heads that these attend with.
func (s *sharder) addHeads(r int64, name string, rows int64, u use) error {
	queries := s.config.NumAttentionHeads / int64(s.config.Mapping.TPSize)
	group := s.config.NumAttentionHeads / s.config.NumKeyValueHeads
	firstKey := r * queries / group
	keys := ((r+1)*queries-1)/group - firstKey + 1
	head := rows / (queries + 2*keys)
	for _, part := range []struct {
		module       string
		first, count int64
	}{{".attention.q.", r * queries, queries}, {".attention.k.", firstKey, keys}, {".attention.v.", firstKey, keys}} {
		weight := strings.Replace(name, ".attention.qkv.", part.module, 1)
		from, err := s.weight(weight)
		if err != nil {
			return err
		}
		s.use(shardKey{weight, part.first * head, part.count * head}, from, u)
		u.at += part.count * head
	}
	return nil
}

// dividedAlong gives the dimension that the ranks share, -1 where each has all. A
// linear that is divided by its inputs adds its bias once, after the sum.
func (s *sharder) dividedAlong(name string, dimensions int) int {
	const whole = -1
	switch {
	case name == "transformer.vocab_embedding.weight" && !s.config.UseParallelEmbedding:
		return whole
	case name == "transformer.vocab_embedding.weight":
		return int(s.config.EmbeddingShardingDim)
	case name == "lm_head.weight":
		return 0
	case strings.Contains(name, ".mlp.fc.") || strings.Contains(name, ".mlp.gate."):
		if strings.HasSuffix(name, checkpoint.InputFactor) {
			return whole
		}
		return 0
	case strings.Contains(name, ".attention.dense.") || strings.Contains(name, ".mlp.proj."):
		if strings.HasSuffix(name, checkpoint.InputFactor) {
			return 0
		}
		if dimensions == 2 {
			return 1
		}
	}
	return whole
}

// global gives a rank's tensor the name that it has in the whole model, where
// layers count through all stages.
func (s *sharder) global(rank int, name string) (string, error) {
	const prefix = "transformer.layers."
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return name, nil
	}
	number, rest, _ := strings.Cut(rest, ".")
	layer, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%w: tensor %s: %w", ErrInvalid, name, err)
	}
	for stage := range rank / s.config.Mapping.TPSize {
		layer += s.config.NumHiddenLayers / int64(s.config.Mapping.PPSize)
		if int64(stage) < s.config.NumHiddenLayers%int64(s.config.Mapping.PPSize) {
			layer++
		}
	}
	return fmt.Sprintf("%s%d.%s", prefix, layer, rest), nil
}

// madeScale gives a scale that no source has as such: the one of an FP8 linear is
// the largest of those of the weights in it, and that of its input the largest of
// all linears with this input; the one of a KV cache is the larger of keys' and
// values'.
func (s *sharder) madeScale(name string) (source.Tensor, bool, error) {
	if strings.HasSuffix(name, checkpoint.KVCacheScale) {
		v, err := cacheScale(s.m, name)
		return number(v), true, err
	}
	if s.config.Quantization.QuantAlgo != checkpoint.FP8 {
		return source.Tensor{}, false, nil
	}
	module, weights := strings.CutSuffix(name, checkpoint.WeightScale)
	if !weights {
		var ok bool
		if module, ok = strings.CutSuffix(name, checkpoint.InputScale); !ok {
			return source.Tensor{}, false, nil
		}
	}
	with := []string{module}
	switch at := strings.LastIndexByte(module, '.'); {
	case strings.HasSuffix(module, ".qkv"):
		with = []string{module[:at] + ".q", module[:at] + ".k", module[:at] + ".v"}
	case !weights && s.config.Gated() && (strings.HasSuffix(module, ".fc") || strings.HasSuffix(module, ".gate")):
		with = []string{module[:at] + ".fc", module[:at] + ".gate"}
	}
	largest := float32(0)
	for _, module := range with {
		t, err := s.weight(module + ".weight")
		if err != nil {
			return source.Tensor{}, false, err
		}
		if weights {
			largest = max(largest, t.Scale)
		} else {
			largest = max(largest, t.InputScale)
		}
	}
	t := number(largest)
	t.Origin = cmp.Or(t.Origin, "the scales of "+strings.Join(with, ", "))
	return t, true, nil
}
