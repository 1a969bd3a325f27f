package evaluator

import (
	"fmt"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// stepBatch has the vectors of a step that all ranks get.
type stepBatch struct {
	tokens, positions             []int32 // of each token
	types, past, sequence, length []int32 // of each sequence, beams counted
	last                          []int32 // tokens up to each row of logits
	blocks                        [][]int // of each sequence
	generations                   []*Sequence
}

// batch lays the works out, contexts first, and gives them blocks.
func (r *Runtime) batch(batch []Work) (*stepBatch, error) {
	b := &stepBatch{}
	for i, w := range batch {
		s := w.Sequence
		switch {
		case w.Tokens > s.Left() || w.Tokens == 0 && (s.Left() > 0 || len(s.beams[0].tokens) != s.done+1):
			return nil, fmt.Errorf("work %d: %d tokens of a sequence that has %d left of its prompt and %d to come", i, w.Tokens, s.Left(), len(s.beams[0].tokens)-s.done)
		case w.Tokens > 0 && len(b.generations) > 0:
			return nil, fmt.Errorf("work %d: a context behind a generation", i)
		}
		if err := r.allot(s, s.done+max(1, w.Tokens)); err != nil {
			return nil, err
		}
		if w.Tokens > 0 {
			b.context(s, w.Tokens)
		} else {
			b.generation(s)
		}
	}
	return b, nil
}

// allot gives the beams blocks for n tokens. Those that the prompt fills belong to all beams.
func (r *Runtime) allot(s *Sequence, n int) error {
	for len(s.beams[0].blocks)*r.TokensPerBlock < n {
		end := (len(s.beams[0].blocks) + 1) * r.TokensPerBlock
		for i := range s.beams {
			if i > 0 && end <= len(s.prompt) {
				s.beams[i].blocks = append(s.beams[i].blocks, s.beams[0].blocks[len(s.beams[i].blocks)])
				continue
			}
			if len(r.free) == 0 {
				return fmt.Errorf("no block of the KV cache is left")
			}
			s.beams[i].blocks = append(s.beams[i].blocks, r.free[0])
			r.free = r.free[1:]
		}
	}
	return nil
}

func (b *stepBatch) context(s *Sequence, n int) {
	for i := range n {
		b.tokens = append(b.tokens, s.prompt[s.done+i])
		b.positions = append(b.positions, int32(s.done+i))
	}
	s.done += n
	// The length of a context's past counts the tokens of this step.
	b.types, b.past, b.sequence, b.length = append(b.types, 0), append(b.past, int32(s.done)), append(b.sequence, int32(s.done)), append(b.length, int32(n))
	b.last, b.blocks = append(b.last, int32(len(b.tokens))), append(b.blocks, s.beams[0].blocks)
}

func (b *stepBatch) generation(s *Sequence) {
	for i := range s.beams {
		b.tokens = append(b.tokens, s.beams[i].tokens[s.done])
		b.positions = append(b.positions, int32(s.done))
		b.types, b.past = append(b.types, 1), append(b.past, int32(s.done))
		b.sequence, b.length = append(b.sequence, int32(s.done+1)), append(b.length, int32(len(s.prompt)))
		b.last, b.blocks = append(b.last, int32(len(b.tokens))), append(b.blocks, s.beams[i].blocks)
	}
	s.done++
	b.generations = append(b.generations, s)
}

// inputs are all that the runtime has for a rank; an engine takes those that it knows.
func (r *Runtime) inputs(b *stepBatch, own *rank) map[string]*Tensor {
	vector := func(values []int32) *Tensor { return Int32s(values, int64(len(values))) }
	windows, mapping := make([]int32, len(own.layers)), make([]int32, 0, 2*len(own.layers))
	for i, layer := range own.layers {
		if windows[i] = int32(r.MaxSeqLen); len(r.MaxAttentionWindow) > 0 {
			windows[i] = int32(min(r.MaxSeqLen, r.MaxAttentionWindow[layer%len(r.MaxAttentionWindow)]))
		}
		mapping = append(mapping, 0, int32(i)) // pool, and layer in it
	}
	offsets := r.offsets(b, len(own.layers))
	hidden := newTensor(own.inputs["hidden_states_input"], []int64{int64(len(b.tokens)), int64(r.HiddenSize)})
	return map[string]*Tensor{
		"input_ids": vector(b.tokens), "position_ids": vector(b.positions), "hidden_states_input": hidden, "last_token_ids": vector(b.last),
		"kv_cache_block_offsets": offsets, "host_kv_cache_block_offsets": offsets,
		"host_kv_cache_pool_pointers": Ints(graph.Int64, []int64{own.pool, 0}, 1, 2), "host_kv_cache_pool_mapping": Int32s(mapping, int64(len(own.layers)), 2),
		"sequence_length": vector(b.sequence), "host_request_types": vector(b.types), "host_past_key_value_lengths": vector(b.past),
		"context_lengths": vector(b.length), "host_context_lengths": vector(b.length), "cache_indirection": r.indirection(b),
		"host_runtime_perf_knobs": Ints(graph.Int64, make([]int64, 16), 16), "host_context_progress": Ints(graph.Int64, []int64{0}, 1),
		"host_max_attention_window_sizes": vector(windows), "host_sink_token_length": vector([]int32{0}),
	}
}

// offsets is the block table [pools, sequences, keys and values, blocks]. It counts blocks of
// one layer: those of all layers of a block are neighbours, keys before values.
func (r *Runtime) offsets(b *stepBatch, layers int) *Tensor {
	most := r.MaxSeqLen
	if r.MaxBeamWidth > 1 {
		most += r.TokensPerBlock
	}
	blocks := (most + r.TokensPerBlock - 1) / r.TokensPerBlock
	table := make([]int32, len(b.blocks)*2*blocks)
	for i, list := range b.blocks {
		for k, block := range list {
			table[2*i*blocks+k] = int32(block * layers * 2)
			table[(2*i+1)*blocks+k] = int32(block*layers*2 + 1)
		}
	}
	return Int32s(table, 1, int64(len(b.blocks)), 2, int64(blocks))
}

// indirection has a row for each of the engine's requests; the generations' come first.
func (r *Runtime) indirection(b *stepBatch) *Tensor {
	values := make([]int32, r.MaxBatchSize*r.MaxBeamWidth*r.MaxSeqLen)
	for i, s := range b.generations {
		for k, row := range s.indirection {
			copy(values[(i*r.MaxBeamWidth+k)*r.MaxSeqLen:], row)
		}
	}
	return Int32s(values, int64(r.MaxBatchSize), int64(r.MaxBeamWidth), int64(r.MaxSeqLen))
}
