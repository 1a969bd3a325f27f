package evaluator

import (
	"fmt"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// gptAttention is TensorRT-LLM's attention of packed tokens over a paged cache: contexts,
// whole or in chunks, before generations, whose beams find the past of theirs by
// cache_indirection.
func gptAttention(c *call) (*Tensor, error) {
	g, err := gptFieldsOf(c.fields)
	if err != nil {
		return nil, err
	}
	in, err := gptInputsOf(g, c)
	if err != nil {
		return nil, err
	}
	cache, err := cacheOf(g, &in, c.Memory, c.Typed)
	if err != nil {
		return nil, err
	}
	out := newTensor(g.dtype, []int64{in.qkv.Shape[0], int64(g.heads * g.headSize)})
	beams, generation, token := int(in.indirection.Shape[1]), 0, 0
	for i, kind := range in.requestTypes {
		length := int(in.sequenceLength[i])
		s := sequence{gptFields: g, in: &in, cache: cache, index: i, first: length - 1}
		if kind == 0 {
			s.first = length - int(in.contextLength[i])
			s.context = true
		} else {
			s.request, s.beam, s.beams = generation/beams, generation%beams, beams
			generation++
		}
		if err := s.attend(out, token, length-s.first); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		token += length - s.first
	}
	if generation%beams != 0 {
		return nil, fmt.Errorf("%d generations are not in groups of %d beams", generation, beams)
	}
	if g.fp8Output {
		return out.quantised(in.outputToQuantised), nil
	}
	return out, nil
}

// quantised multiplies by a factor and rounds to FP8.
func (t *Tensor) quantised(factor float32) *Tensor {
	out := newTensor(graph.FP8, t.Shape)
	for i, v := range t.Float {
		out.Float[i] = floatformat.FromE4M3(floatformat.ToE4M3(v * factor))
	}
	return out
}

// sequence is one row of the batch.
type sequence struct {
	gptFields
	in                   *gptInputs
	cache                *blockCache
	index                int // among all
	first                int // position of the first token of this step
	context              bool
	request, beam, beams int // of a generation, among those
}

// attend takes n tokens: all of them go into the cache before any looks back.
func (s *sequence) attend(out *Tensor, token, n int) error {
	width := (s.heads + 2*s.kvHeads) * s.headSize
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = append([]float32(nil), s.in.qkv.Float[(token+i)*width:(token+i+1)*width]...)
		if err := s.rotate(rows[i], s.first+i); err != nil {
			return err
		}
		kv := s.heads * s.headSize
		if err := s.cache.write(s.index, s.first+i, rows[i][kv:kv+s.kvHeads*s.headSize], rows[i][kv+s.kvHeads*s.headSize:]); err != nil {
			return err
		}
	}
	for i, row := range rows {
		for h := range s.heads {
			if err := s.head(out.Float[((token+i)*s.heads+h)*s.headSize:][:s.headSize], row[h*s.headSize:], h, s.first+i, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// rotate turns queries and keys by the table of cosines and sines.
func (s *sequence) rotate(row []float32, position int) error {
	if s.rotaryDim == 0 {
		return nil
	}
	if position >= s.maxPositions {
		return fmt.Errorf("position %d is outside the table of %d", position, s.maxPositions)
	}
	table := s.in.cosSin[position*s.rotaryDim:]
	for h := range s.heads + s.kvHeads {
		turn(row[h*s.headSize:], table, table[1:], 2, s.rotaryDim, s.interleaved)
	}
	return nil
}

// head attends from one query to the last tokens that the window holds.
func (s *sequence) head(out, query []float32, head, position int, rows [][]float32) error {
	kv := head / (s.heads / s.kvHeads)
	from := max(0, position-int(s.in.window[s.layer])+1)
	scores := make([]float64, position+1-from)
	values := make([]float32, 0, len(scores)*s.headSize)
	for p := from; p <= position; p++ {
		key, value, err := s.past(p, kv, rows)
		if err != nil {
			return err
		}
		scores[p-from] = dot(query, 1, key, 1, s.headSize) * float64(s.scale)
		values = append(values, value...)
	}
	weighted(out, scores, values)
	return nil
}

// past gives key and value of a position. A context's own are taken from the step itself,
// unless the kernel reads them back from the cache (use_paged_context_fmha), which shows
// where that is quantised.
func (s *sequence) past(position, kv int, rows [][]float32) (key, value []float32, err error) {
	if s.context && !s.pagedContext && position >= s.first {
		row := rows[position-s.first]
		return row[(s.heads+kv)*s.headSize:][:s.headSize], row[(s.heads+s.kvHeads+kv)*s.headSize:][:s.headSize], nil
	}
	index := s.index
	if !s.context && s.beams > 1 && position < s.first {
		beam := int(s.in.indirection.Int[(s.request*s.beams+s.beam)*int(s.in.indirection.Shape[2])+position])
		if beam < 0 || beam >= s.beams {
			return nil, nil, fmt.Errorf("cache_indirection says beam %d of %d for position %d", beam, s.beams, position)
		}
		index += beam - s.beam
	}
	return s.cache.read(index, position, kv)
}
