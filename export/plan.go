package export

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// job is one weight with its source and its places.
type job struct {
	checkpoint.Weight // with its dtype, never ""
	from              source.Tensor
	cols              int64 // values in a row

	// Of an E4M3 source: what each code becomes. Neither is set where the codes are
	// copied.
	codes  *[256]byte    // in an E4M3 target of another scale
	values *[256]float32 // in any other
}

// plan finds every weight of the target in the source before anything is
// written.
func plan(m source.Model, c *checkpoint.Config) ([]job, error) {
	var jobs []job
	scales := fp8Scales{weight: map[string]float32{}, input: map[string]float32{}}
	for _, w := range c.Weights() {
		w.Dtype = cmp.Or(w.Dtype, checkpoint.SafetensorsDtype(c.Dtype))
		j := job{Weight: w, cols: 1}
		if len(w.Shape) == 2 {
			j.cols = w.Shape[1]
		}
		if !fromOthers(w.Name, c.Quantization.QuantAlgo) {
			if err := j.find(m); err != nil {
				return nil, err
			}
		}
		if w.Dtype == floatformat.E4M3 {
			if err := scales.add(w.Name, j.from); err != nil {
				return nil, err
			}
		}
		jobs = append(jobs, j)
	}
	for i := range jobs {
		if err := jobs[i].scale(m, &scales); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// fromOthers tells of the scales that plan makes of those of other tensors.
func fromOthers(name, algo string) bool {
	return strings.HasSuffix(name, checkpoint.KVCacheScale) ||
		algo == checkpoint.FP8 && (strings.HasSuffix(name, checkpoint.WeightScale) || strings.HasSuffix(name, checkpoint.InputScale))
}

// find asks the source for the weight.
func (j *job) find(m source.Model) error {
	t, err := m.Tensor(j.Name, j.Shape)
	if err != nil {
		return err
	}
	if err := source.CheckShape(t.Origin, t.Shape, j.Shape); err != nil {
		return err
	}
	switch {
	case t.Dtype == floatformat.E4M3:
		if err := checkScale(t.Origin, "its scale", t.Scale); err != nil {
			return err
		}
	case t.Dtype == j.Dtype, floatformat.Size(t.Dtype) > 0 && floatformat.Size(j.Dtype) > 0:
	case floatformat.Size(t.Dtype) > 0 && j.Dtype == floatformat.E4M3: // see fp8Scales.add
	default:
		return fmt.Errorf("tensor %s: dtype %s is %w: F32, F16, BF16 and F8_E4M3 with a scale are", t.Origin, t.Dtype, ErrUnsupported)
	}
	j.from = t
	return nil
}

// scale fills in what depends on the scales of all tensors.
func (j *job) scale(m source.Model, scales *fp8Scales) error {
	switch {
	case strings.HasSuffix(j.Name, checkpoint.KVCacheScale):
		v, err := cacheScale(m, j.Name)
		j.from = number(v)
		return err
	case j.from.Rows == nil && j.from.Dtype == "":
		v, _ := scales.of(j.Name)
		j.from = number(v)
	case j.from.Dtype == floatformat.E4M3 && j.Dtype != floatformat.E4M3:
		j.values = floatformat.ScaledE4M3(j.from.Scale)
	case j.from.Dtype == floatformat.E4M3:
		if to := scales.weight[fusedModule(j.Name)]; to != j.from.Scale {
			j.codes = rescaled(j.from.Scale, to)
		}
	}
	return nil
}

// rescaled gives the code of each code's number under another scale, which is not
// smaller: at most half a step of E4M3 is lost, and no NaN arises.
func rescaled(from, to float32) *[256]byte {
	codes := new([256]byte)
	for code := range codes {
		codes[code] = floatformat.ToE4M3(floatformat.FromE4M3(byte(code)) * from / to)
	}
	return codes
}
