package cpu

import (
	"fmt"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// safetensorsDtypes are safetensors' names of the engine's.
var safetensorsDtypes = map[string]string{cpuengine.DtypeF32: "F32", cpuengine.DtypeF16: "F16", cpuengine.DtypeBF16: "BF16"}

// newSource gives the values of a planned section of a model of the given dtype.
func newSource(w weight, rank *checkpoint.Rank, dtype string) (cpuengine.Source, error) {
	if w.values != nil {
		return values(w.values), nil
	}
	switch {
	case w.kept:
		return newKept(w, rank, checkpoint.SafetensorsDtype(dtype))
	case w.linears != nil:
		return newExpanded(w, rank, checkpoint.SafetensorsDtype(dtype))
	}
	s := &tensorSource{columns: w.section.Cols, dtype: safetensorsDtypes[w.section.Dtype]}
	for _, t := range w.tensors {
		tensor, _ := rank.Tensor(t.Name) // checkDtypes saw that it is there
		s.tensors = append(s.tensors, tensor)
	}
	if w.factor != nil {
		return s.times(w.factor)
	}
	return s, nil
}

// times gives a vector's values, each multiplied by a factor.
func (s *tensorSource) times(factor []float32) (values, error) {
	raw := make([]byte, len(factor)*floatformat.Size(s.dtype))
	if err := s.ReadRows(raw, 0, 1); err != nil {
		return nil, err
	}
	v := make(values, len(factor))
	floatformat.Decode(v, raw, s.dtype)
	for i := range v {
		v[i] *= factor[i]
	}
	return v, nil
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
	dtype   string // F32, F16 or BF16, as safetensors spells them
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

// read fills dst from the bytes of t at offset; where dtypes differ, to float32.
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
