package cpu

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// lowBits are the bits of a float32 that bfloat16 does not have.
func lowBits(f float32) uint32 { return math.Float32bits(f) & 0xffff }

// newSource gives the values of a planned section of a model of the given dtype.
func newSource(w weight, rank *checkpoint.Rank, dtype string) (cpuengine.Source, error) {
	if w.values != nil {
		return values(w.values), nil
	}
	if w.linears != nil {
		return newExpanded(w, rank, dtype)
	}
	s := &tensorSource{columns: w.section.Cols, dtype: "F32"}
	if w.section.Dtype == cpuengine.DtypeBF16 {
		s.dtype = "BF16"
	}
	for _, t := range w.tensors {
		tensor, _ := rank.Tensor(t.Name) // checkDtypes saw that it is there
		s.tensors = append(s.tensors, tensor)
	}
	return s, nil
}

// values is a source of one row that is in memory.
type values []float32

func (v values) ReadRows(dst []byte, first, n int) error {
	floatformat.Encode(dst, v, "F32")
	return nil
}

// tensorSource reads tensors that lie one behind the other, in dtype.
type tensorSource struct {
	tensors []checkpoint.Tensor
	columns int
	dtype   string // F32 or BF16, as safetensors spells them
}

func (s *tensorSource) ReadRows(dst []byte, first, n int) error {
	to := int64(floatformat.Size(s.dtype))
	begin := int64(first) * int64(s.columns) // in values, over all tensors
	for _, t := range s.tensors {
		from := int64(floatformat.Size(t.Dtype))
		length := t.Size() / from
		if begin >= length {
			begin -= length
			continue
		}
		count := min(int64(len(dst))/to, length-begin)
		if count == 0 {
			return nil
		}
		if err := s.read(dst[:count*to], t, begin*from); err != nil {
			return err
		}
		dst, begin = dst[count*to:], 0
	}
	if len(dst) > 0 {
		return fmt.Errorf("the tensors end %d bytes early", len(dst))
	}
	return nil
}

// read fills dst from the bytes of t at offset, converting when dtypes differ.
// To bfloat16 it converts only values that New found to be exact.
func (s *tensorSource) read(dst []byte, t checkpoint.Tensor, offset int64) error {
	if t.Dtype == s.dtype {
		_, err := t.ReadAt(dst, offset)
		return err
	}
	count := len(dst) / floatformat.Size(s.dtype)
	raw := make([]byte, count*floatformat.Size(t.Dtype))
	if _, err := t.ReadAt(raw, offset); err != nil {
		return err
	}
	floats := make([]float32, count)
	floatformat.Decode(floats, raw, t.Dtype)
	floatformat.Encode(dst, floats, s.dtype)
	return nil
}
