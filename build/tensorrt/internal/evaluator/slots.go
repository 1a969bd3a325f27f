package evaluator

import (
	"fmt"
	"math/rand/v2"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// Slots runs an engine without plugins as tensorrt.LowerNative documents: each sequence has
// a slot, a step is one row a slot, padded. Padding, and caches before they are written, hold
// numbers that would show. It is used by one goroutine.
type Slots struct {
	*Evaluator
	SlotsConfig
	sequences []*Sequence
	caches    map[string]*Tensor
	chance    *rand.Rand
}

// SlotsConfig is what the engine was built for.
type SlotsConfig struct {
	MaxSeqLen           int
	GatherContextLogits bool
	VocabSize           int
}

// NewSlots loads an engine.
func NewSlots(net *graph.Network, source graph.Source, c SlotsConfig, typed bool) (*Slots, error) {
	e, err := New(net, Options{Source: source, Typed: typed})
	if err != nil {
		return nil, err
	}
	return &Slots{Evaluator: e, SlotsConfig: c, caches: map[string]*Tensor{}, chance: rand.New(rand.NewPCG(5, 6))}, nil
}

// Add gives a prompt the next slot.
func (s *Slots) Add(prompt []int32) *Sequence {
	q := &Sequence{prompt: prompt, beams: []beam{{tokens: prompt[:len(prompt):len(prompt)]}}}
	s.sequences = append(s.sequences, q)
	return q
}

// slotRow is what a slot gets of a step.
type slotRow struct {
	tokens []int32
	first  int // position
}

// Step is as [Runtime.Step].
func (s *Slots) Step(batch []Work) ([][][]float32, error) {
	rows := make([]slotRow, len(s.sequences))
	for i, q := range s.sequences {
		rows[i].first = q.done // of a slot that is idle: where its next token goes
	}
	longest := 1
	for _, w := range batch {
		n := max(1, w.Tokens)
		slot := s.slot(w.Sequence)
		tokens := w.Sequence.beams[0].tokens
		if slot < 0 || w.Sequence.done+n > len(tokens) {
			return nil, fmt.Errorf("%d tokens of a sequence with %d", n, len(tokens)-w.Sequence.done)
		}
		rows[slot].tokens = tokens[w.Sequence.done:][:n]
		w.Sequence.done += n
		longest = max(longest, n)
	}
	outputs, err := s.Run(s.inputs(rows, longest))
	if err != nil {
		return nil, err
	}
	for name := range s.caches {
		s.caches[name] = outputs["updated_"+name]
	}
	return s.logits(batch, rows, longest, outputs["logits"])
}

func (s *Slots) slot(q *Sequence) int {
	for i := range s.sequences {
		if s.sequences[i] == q {
			return i
		}
	}
	return -1
}

// inputs pads rows to n tokens.
func (s *Slots) inputs(rows []slotRow, n int) map[string]*Tensor {
	var ids, positions, first, last []int32
	for _, row := range rows {
		for i := range n {
			if i < len(row.tokens) {
				ids, positions = append(ids, row.tokens[i]), append(positions, int32(row.first+i))
			} else {
				ids, positions = append(ids, s.chance.Int32N(int32(s.VocabSize))), append(positions, s.chance.Int32N(int32(s.MaxSeqLen)))
			}
		}
		first, last = append(first, int32(row.first)), append(last, int32(max(1, len(row.tokens))))
	}
	batch := int64(len(rows))
	inputs := map[string]*Tensor{
		"input_ids": Int32s(ids, batch, int64(n)), "position_ids": Int32s(positions, batch, int64(n)),
		"write_indices": Int32s(first, batch),
	}
	if !s.GatherContextLogits {
		inputs["last_token_ids"] = Int32s(last, batch)
	}
	for _, in := range s.net.Inputs {
		if name := in.Tensor.Name; in.Weight == nil && len(in.Tensor.Shape) == 4 {
			s.caches[name] = s.cache(name, in.Tensor, batch)
			inputs[name] = s.caches[name]
		}
	}
	return inputs
}

// cache is the part of a cache that so many slots use. It may have become larger: then it begins with numbers
// that no token wrote.
func (s *Slots) cache(name string, t *graph.Tensor, batch int64) *Tensor {
	shape := append([]int64{batch}, t.Shape.Sizes()[1:]...)
	out := newTensor(t.Type, shape)
	for i := range out.Float {
		out.Float[i] = 1000
	}
	if old := s.caches[name]; old != nil {
		copy(out.Float, old.Float)
	}
	return out
}

func (s *Slots) logits(batch []Work, rows []slotRow, n int, t *Tensor) ([][][]float32, error) {
	width := s.VocabSize
	if t == nil || t.Shape[len(t.Shape)-1] != int64(width) {
		return nil, fmt.Errorf("logits are %v, want %d columns", t, width)
	}
	var list [][][]float32
	for _, w := range batch {
		slot := s.slot(w.Sequence)
		if !s.GatherContextLogits {
			list = append(list, [][]float32{t.Float[slot*width:][:width]})
			continue
		}
		var own [][]float32
		for i := range rows[slot].tokens {
			own = append(own, t.Float[(slot*n+i)*width:][:width])
		}
		list = append(list, own)
	}
	return list, nil
}
