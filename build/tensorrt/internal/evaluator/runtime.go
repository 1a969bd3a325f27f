package evaluator

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// Config is what a runtime reads from an engine's config.json. Sizes are the whole model's.
type Config struct {
	TPSize, PPSize                              int
	NumLayers, NumKVHeads, HeadSize, HiddenSize int
	CacheBytes                                  int64 // of a number of the KV cache
	TokensPerBlock                              int
	MaxBatchSize, MaxBeamWidth, MaxSeqLen       int
	GatherContextLogits                         bool
	MaxAttentionWindow                          []int // of each layer, repeated; nil is MaxSeqLen
	VocabSize                                   int
	LogitsType                                  graph.DataType
}

// Runtime runs the engines of all ranks together, step by step, and binds their inputs
// by name as TensorRT-LLM's C++ runtime does (RuntimeBuffers, TransformerBuffers). Blocks of the KV
// cache are given out in no order; what was never written is not a number. It is used by
// one goroutine.
type Runtime struct {
	Config
	ranks []*rank
	world *World
	free  []int // blocks
}

// rank is one engine with its part of the cache.
type rank struct {
	*Evaluator
	layers  []int // global numbers
	pool    int64
	inputs  map[string]graph.DataType
	network *graph.Network
}

// NewRuntime loads the networks of all ranks, in order. blocks is the size of the KV cache.
func NewRuntime(networks []*graph.Network, sources []graph.Source, c Config, typed bool, blocks int) (*Runtime, error) {
	if len(networks) != c.TPSize*c.PPSize || len(sources) != len(networks) {
		return nil, fmt.Errorf("%d networks and %d checkpoints for tp_size %d and pp_size %d", len(networks), len(sources), c.TPSize, c.PPSize)
	}
	r := &Runtime{Config: c, world: NewWorld(), free: rand.New(rand.NewPCG(1, 2)).Perm(blocks)}
	for i, net := range networks {
		memory := &Memory{}
		e, err := New(net, Options{Source: sources[i], Typed: typed, Memory: memory, World: r.world, Rank: i})
		if err != nil {
			return nil, fmt.Errorf("rank %d: %w", i, err)
		}
		own := &rank{Evaluator: e, network: net, layers: c.layers(i / c.TPSize), inputs: map[string]graph.DataType{}}
		for _, in := range net.Inputs {
			own.inputs[in.Tensor.Name] = in.Tensor.Type
		}
		n := blocks * len(own.layers) * 2 * c.TokensPerBlock * max(1, c.NumKVHeads/c.TPSize) * c.HeadSize
		own.pool = memory.Allocate(n, c.CacheBytes)
		values, err := memory.At(own.pool, n, c.CacheBytes)
		if err != nil {
			return nil, err
		}
		for k := range values {
			values[k] = float32(math.NaN())
		}
		r.ranks = append(r.ranks, own)
	}
	return r, nil
}

// Engine is the engine of a rank, to be observed.
func (r *Runtime) Engine(rank int) *Evaluator { return r.ranks[rank].Evaluator }

// layers of a pipeline stage: the first stages have one more where they do not divide.
func (c *Config) layers(stage int) []int {
	each, more := c.NumLayers/c.PPSize, c.NumLayers%c.PPSize
	first := stage*each + min(stage, more)
	if stage < more {
		each++
	}
	list := make([]int, each)
	for i := range list {
		list[i] = first + i
	}
	return list
}

// Sequence is a request.
type Sequence struct {
	prompt []int32
	beams  []beam
	done   int // tokens in the cache, of each beam
	// indirection [beam][position] is the beam whose blocks have the position.
	indirection [][]int32
}

type beam struct {
	tokens []int32 // prompt and output
	blocks []int
}

// Add starts a request.
func (r *Runtime) Add(prompt []int32) *Sequence { return r.AddBeams(prompt, 1) }

// AddBeams starts a request of as many beams, which must be all that the engine has.
func (r *Runtime) AddBeams(prompt []int32, beams int) *Sequence {
	s := &Sequence{prompt: prompt}
	for range beams {
		s.beams = append(s.beams, beam{tokens: slices.Clone(prompt)})
		s.indirection = append(s.indirection, make([]int32, r.MaxSeqLen))
	}
	return s
}

// Left is how many tokens of the prompt no step has taken yet.
func (s *Sequence) Left() int { return max(0, len(s.prompt)-s.done) }

// Tokens are prompt and output of a beam.
func (s *Sequence) Tokens(beam int) []int32 { return slices.Clone(s.beams[beam].tokens) }

// Append gives each beam the next token; it goes on from the beam that parents says (nil: from
// itself), as the decoder's update of cache_indirection does.
func (s *Sequence) Append(tokens []int32, parents []int) {
	if parents == nil {
		for i := range s.beams {
			s.beams[i].tokens = append(s.beams[i].tokens, tokens[i])
		}
		return
	}
	histories, indirection := make([][]int32, len(s.beams)), make([][]int32, len(s.beams))
	for i, parent := range parents {
		histories[i] = append(s.Tokens(parent), tokens[i])
		indirection[i] = slices.Clone(s.indirection[parent])
		if s.done > len(s.prompt) { // the parent wrote the last one into its own block
			indirection[i][s.done-1] = int32(parent)
		}
	}
	for i := range s.beams {
		s.beams[i].tokens, s.indirection[i] = histories[i], indirection[i]
	}
}

// Work is a sequence's part of a step.
type Work struct {
	Sequence *Sequence
	Tokens   int // of its prompt; 0 is a generation of all beams
}

// Step runs one step and returns, for each work, the rows of logits: of a prompt the last token's, or
// all with GatherContextLogits; of a generation each beam's.
func (r *Runtime) Step(batch []Work) ([][][]float32, error) {
	b, err := r.batch(batch)
	if err != nil {
		return nil, err
	}
	outputs := make([]map[string]*Tensor, len(r.ranks))
	if err := r.world.Run(len(r.ranks), func(i int) error {
		bound := map[string]*Tensor{}
		for name, t := range r.inputs(b, r.ranks[i]) {
			if _, ok := r.ranks[i].inputs[name]; ok {
				bound[name] = t
			}
		}
		var err error
		outputs[i], err = r.ranks[i].Run(bound)
		return err
	}); err != nil {
		return nil, err
	}
	return r.logits(batch, b, outputs)
}

// logits checks the last stage's output, which all its ranks have alike.
func (r *Runtime) logits(batch []Work, b *stepBatch, outputs []map[string]*Tensor) ([][][]float32, error) {
	ranks := r.TPSize * r.PPSize
	width := (r.VocabSize + ranks - 1) / ranks * ranks // as ModelConfig.getVocabSizePadded
	count := len(b.last)
	if r.GatherContextLogits {
		count = len(b.tokens)
	}
	var t *Tensor
	for i := (r.PPSize - 1) * r.TPSize; i < ranks; i++ {
		own := outputs[i]["logits"]
		if own == nil || own.Type != r.LogitsType || !slices.Equal(own.Shape, []int64{int64(count), int64(width)}) {
			return nil, fmt.Errorf("rank %d has logits %v, the runtime expects %s[%d %d]", i, own, r.LogitsType, count, width)
		}
		if t != nil && !slices.Equal(t.Float, own.Float) {
			return nil, fmt.Errorf("rank %d has other logits than the rank before", i)
		}
		t = own
	}
	var list [][][]float32
	row := 0
	for _, w := range batch {
		n := 1
		switch {
		case w.Tokens == 0:
			n = len(w.Sequence.beams)
		case r.GatherContextLogits:
			n = w.Tokens
		}
		var rows [][]float32
		for range n {
			rows = append(rows, t.Float[row*width:][:r.VocabSize])
			row++
		}
		list = append(list, rows)
	}
	return list, nil
}
