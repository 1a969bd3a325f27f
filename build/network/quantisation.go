package network

import "fmt"

// Dtypes of weights that are not numbers by themselves.
const (
	Float8 Dtype = "float8_e4m3" // to be multiplied by a scale
	Int4   Dtype = "int4"        // signed; the checkpoint stores rows 2i and 2i+1 in one
)

// Scheme says how a linear is quantised.
type Scheme struct {
	// Algo is the checkpoint's quant_algo: FP8, W4A16_AWQ, or W8A16 and W4A16, whose
	// weights the builder rounds. "" is none.
	Algo string
	// Group is the number of inputs that share a scale, of W4A16_AWQ.
	Group int
	// ScalesInput: the input of a W4A16_AWQ linear is multiplied by a vector.
	ScalesInput bool
}

// Quantisation is a scheme with its weights.
type Quantisation struct {
	Scheme
	WeightScale *Weight // FP8: [1]; W4A16_AWQ: [out, in/Group]
	InputScale  *Weight // FP8: [1]; the input is rounded to the nearest multiple of a float8
	InputFactor *Weight // [in] or nil
}

func (q *Quantisation) parameters() []*Weight {
	if q == nil {
		return nil
	}
	return present(q.WeightScale, q.InputScale, q.InputFactor)
}

func (q *Quantisation) describe() string {
	if q == nil {
		return ""
	}
	s := " " + q.Algo
	for _, w := range q.parameters() {
		s += " " + w.String()
	}
	return s
}

func (q *Quantisation) check(out, in int) error {
	if q == nil {
		return nil
	}
	for _, w := range []struct {
		weight *Weight
		what   string
		shape  []int
	}{
		{q.WeightScale, "scale of the weight", q.scaleShape(out, in)},
		{q.InputScale, "scale of the input", []int{1}},
		{q.InputFactor, "factor of the input", []int{in}},
	} {
		if w.weight == nil {
			continue
		}
		if err := shaped(w.weight, w.what, w.shape...); err != nil {
			return err
		}
	}
	switch q.Algo {
	case "FP8":
		if q.WeightScale == nil || q.InputScale == nil {
			return fmt.Errorf("an FP8 linear needs scales of weight and input")
		}
	case "W4A16_AWQ":
		if q.Group < 1 || in%q.Group != 0 || q.WeightScale == nil {
			return fmt.Errorf("%d inputs in groups of %d need their scales", in, q.Group)
		}
	case "W8A16", "W4A16":
	default:
		return fmt.Errorf("unknown quantisation %q", q.Algo)
	}
	return nil
}

func (q *Quantisation) scaleShape(out, in int) []int {
	if q.Group > 0 {
		return []int{out, in / q.Group}
	}
	return []int{1}
}

// Stored is the shape that the weight has in the checkpoint.
func (w *Weight) Stored() []int {
	if w.Dtype == Int4 {
		return []int{w.Shape[0] / 2, w.Shape[1]}
	}
	return w.Shape
}

// Quantise makes the builder ask, for each linear by its name in the checkpoint, how
// it is quantised. With cache, attention has a scale of its keys and values.
func (b *Builder) Quantise(scheme func(module string) Scheme, cache bool) {
	b.scheme, b.cache = scheme, cache
}

// quantised makes the weights that the scheme of a linear adds, and gives the dtype of
// its own.
func (b *Builder) quantised(name string, op *Linear) {
	if b.scheme == nil {
		return
	}
	s := b.scheme(name)
	if s.Algo == "" {
		return
	}
	q := &Quantisation{Scheme: s}
	op.Quantisation = q
	out, in := op.Out.Width, op.In.Width
	const scale = ".weights_scaling_factor"
	switch s.Algo {
	case "FP8":
		op.Weight.Dtype = Float8
		q.WeightScale = b.scaleWeight(name+scale, 1)
		q.InputScale = b.scaleWeight(name+".activation_scaling_factor", 1)
	case "W4A16_AWQ":
		op.Weight.Dtype = Int4
		q.WeightScale = b.scaleWeight(name+scale, q.scaleShape(out, in)...)
		if s.ScalesInput {
			q.InputFactor = b.weight(name+".prequant_scaling_factor", in)
		}
	}
}

// scaleWeight declares a weight that is float32 whatever the network's dtype is.
func (b *Builder) scaleWeight(name string, shape ...int) *Weight {
	w := b.weight(name, shape...)
	w.Dtype = Float32
	return w
}
