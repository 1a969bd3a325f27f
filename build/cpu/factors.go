package cpu

import (
	"slices"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
)

// inputNumbers are what quantised linears do to their inputs, and caches to keys and values.
type inputNumbers struct {
	scales  map[*network.Weight]float32   // of every InputScale and CacheScale
	factors map[*network.Weight][]float32 // of every InputFactor that is not all ones
}

func readInputNumbers(net *network.Network, rank *checkpoint.Rank) (inputNumbers, error) {
	in := inputNumbers{map[*network.Weight]float32{}, map[*network.Weight][]float32{}}
	for _, op := range net.Ops {
		if a, ok := op.(*network.Attention); ok && a.CacheScale != nil {
			v, err := readScale(rank, a.CacheScale)
			if err != nil {
				return in, err
			}
			in.scales[a.CacheScale] = v
		}
		o, ok := op.(*network.Linear)
		if !ok || o.Quantisation == nil {
			continue
		}
		if w := o.Quantisation.InputScale; w != nil {
			v, err := readScale(rank, w)
			if err != nil {
				return in, err
			}
			in.scales[w] = v
		}
		factor, err := inputFactor(o, rank)
		if err != nil {
			return in, err
		}
		if slices.ContainsFunc(factor, func(v float32) bool { return v != 1 }) {
			in.factors[o.Quantisation.InputFactor] = factor
		}
	}
	return in, nil
}

// inputFactor is what a linear's input is multiplied by, nil for nothing.
func inputFactor(o *network.Linear, rank *checkpoint.Rank) ([]float32, error) {
	w := o.Quantisation.InputFactor
	if w == nil {
		return nil, nil
	}
	t, _ := rank.Tensor(w.Name)
	factor := make([]float32, o.In.Width)
	return factor, t.ReadFloat32(factor, 0)
}

// factor is that of a linear's input, nil where it is taken as it is.
func (l *lowering) factor(o *network.Linear) []float32 {
	if o.Quantisation == nil {
		return nil
	}
	return l.inputs.factors[o.Quantisation.InputFactor]
}

// moved gives the linear whose factor what writes t can apply in the place of all that read
// t, or nil: a norm's weights are multiplied by it, an activation's or attention's output is.
func (l *lowering) moved(t *network.Tensor) *network.Linear {
	switch l.writers[t].(type) {
	case *network.Norm, *network.Activation, *network.Gated, *network.Attention:
	default:
		return nil
	}
	var first *network.Linear
	for _, reader := range l.readers[t] {
		o, ok := l.net.Ops[reader].(*network.Linear)
		if !ok || l.factor(o) == nil || l.format(o).Dtype == "" {
			return nil
		}
		if first == nil {
			first = o
		}
		if !slices.Equal(l.factor(o), l.factor(first)) {
			return nil
		}
	}
	return first
}

// format gives dtype and groups of a section that keeps a linear's numbers; without dtype
// there is none.
func (l *lowering) format(o *network.Linear) cpuengine.Section {
	q := o.Quantisation
	if q == nil {
		return cpuengine.Section{}
	}
	switch q.Algo {
	case checkpoint.FP8:
		return cpuengine.Section{Dtype: cpuengine.DtypeFP8}
	case checkpoint.W8A16:
		return cpuengine.Section{Dtype: cpuengine.DtypeInt8}
	case checkpoint.W4A16:
		return cpuengine.Section{Dtype: cpuengine.DtypeInt4}
	}
	if !slices.Contains(cpuengine.GroupSizes, q.Group) {
		return cpuengine.Section{}
	}
	scales := cpuengine.DtypeF32 // they hold float16 too
	if l.dtype == cpuengine.DtypeBF16 {
		scales = cpuengine.DtypeBF16
	}
	return cpuengine.Section{Dtype: cpuengine.DtypeInt4, Group: q.Group, ScaleDtype: scales}
}

// keeps gives the section of linears that are computed as one and whose numbers are kept;
// without dtype they are expanded.
func (l *lowering) keeps(linears []*network.Linear) cpuengine.Section {
	format := l.format(linears[0])
	for _, o := range linears {
		if l.format(o) != format || l.factor(o) != nil && l.moved(o.In) == nil {
			return cpuengine.Section{}
		}
	}
	return format
}
