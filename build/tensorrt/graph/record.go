package graph

import (
	"encoding/json"
	"io"
)

// record is the JSON form of a network: what was added, in order, by TensorRT's names.
type record struct {
	Name     string              `json:"name"`
	Inputs   []recordInput       `json:"inputs"`
	Weights  []recordWeights     `json:"weights"`
	Layers   []recordLayer       `json:"layers"`
	Outputs  []recordOutput      `json:"outputs"`
	Profiles []map[string]Ranges `json:"profiles"`
}

// Ranges are least, best and largest shape of an input.
type Ranges struct {
	Min []int64 `json:"min"`
	Opt []int64 `json:"opt"`
	Max []int64 `json:"max"`
}

type recordTensor struct {
	ID    int      `json:"id"`
	Type  DataType `json:"type"`
	Shape []any    `json:"shape"` // a number, or the name of a dimension that the runtime says; "?" has no name
}

type recordInput struct {
	recordTensor
	Name   string `json:"name"`
	Host   bool   `json:"host,omitempty"`
	Weight string `json:"weight,omitempty"`
}

type recordWeights struct {
	Name   string   `json:"name"`
	Type   DataType `json:"type"`
	Shape  []int64  `json:"shape"`
	Bytes  int64    `json:"bytes"`
	From   []string `json:"from,omitempty"`
	Recipe string   `json:"recipe,omitempty"`

	Values []float64 `json:"values,omitempty"` // of a literal
}

type recordField struct {
	Name  string    `json:"name"`
	Type  FieldType `json:"type"`
	Value any       `json:"value"`
}

type recordLayer struct {
	Name      string         `json:"name"`
	Kind      string         `json:"kind"`
	Plugin    string         `json:"plugin,omitempty"` // creator
	Version   string         `json:"version,omitempty"`
	Namespace string         `json:"namespace,omitempty"`
	Fields    []recordField  `json:"fields,omitempty"`
	Weights   string         `json:"weights,omitempty"` // of a Constant
	Inputs    []*int         `json:"inputs,omitempty"`  // ids; null where an optional one is absent
	Outputs   []recordTensor `json:"outputs"`
}

type recordOutput struct {
	Name   string `json:"name"`
	Tensor int    `json:"tensor"`
}

// WriteJSON writes the network for people and for comparisons: indented, in the order of the calls, without the
// weights' values but those of literals. What it writes is the same for the same network.
func (n *Network) WriteJSON(w io.Writer) error {
	r := record{Name: n.Name}
	for _, in := range n.Inputs {
		ri := recordInput{recordTensor: recordOf(in.Tensor), Name: in.Tensor.Name, Host: in.Host}
		if in.Weight != nil {
			ri.Weight = in.Weight.Name
		}
		r.Inputs = append(r.Inputs, ri)
	}
	for _, weights := range n.Weights() {
		r.Weights = append(r.Weights, recordWeights{weights.Name, weights.Type, append([]int64{}, weights.Shape...), weights.Bytes(), weights.From, weights.Recipe, weights.Scalars})
	}
	for _, l := range n.Layers {
		r.Layers = append(r.Layers, recordOfLayer(l))
	}
	for _, out := range n.Outputs {
		r.Outputs = append(r.Outputs, recordOutput{out.Name, out.Tensor.ID})
	}
	for p := range n.Profiles {
		ranges := map[string]Ranges{}
		for _, in := range n.Inputs {
			least, best, most, err := n.Bounds(p, in)
			if err != nil {
				return err
			}
			ranges[in.Tensor.Name] = Ranges{least, best, most}
		}
		r.Profiles = append(r.Profiles, ranges)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

func recordOf(t *Tensor) recordTensor {
	shape := make([]any, len(t.Shape))
	for i, d := range t.Shape {
		if shape[i] = d.Size; d.Size < 0 {
			shape[i] = d.String()
		}
	}
	return recordTensor{t.ID, t.Type, shape}
}

func recordOfLayer(l Layer) recordLayer {
	r := recordLayer{Name: l.Name, Kind: l.Op.Kind()}
	switch op := l.Op.(type) {
	case Constant:
		r.Weights = op.Weights.Name
	case Plugin:
		r.Plugin, r.Version, r.Namespace = op.Creator, op.Version, op.Namespace
	}
	for _, f := range l.Op.Fields() {
		r.Fields = append(r.Fields, recordField{f.Name, f.Type, f.value()})
	}
	for _, in := range l.Inputs {
		if in == nil {
			r.Inputs = append(r.Inputs, nil)
		} else {
			r.Inputs = append(r.Inputs, &in.ID)
		}
	}
	for _, out := range l.Outputs {
		r.Outputs = append(r.Outputs, recordOf(out))
	}
	return r
}

// value is the field's value as JSON has it: a number where there is one.
func (f Field) value() any {
	switch {
	case f.Type == FieldText:
		return f.Text
	case f.Type == FieldFloat32 && len(f.Floats) == 1:
		return f.Floats[0]
	case f.Type == FieldFloat32:
		return f.Floats
	case len(f.Ints) == 1:
		return f.Ints[0]
	}
	return append([]int64{}, f.Ints...) // [] where there are none, as a scalar's dimensions
}
