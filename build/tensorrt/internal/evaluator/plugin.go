package evaluator

import (
	"fmt"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// call is what a plugin is called with.
type call struct {
	*run
	layer  *graph.Layer
	fields *fields
	in     []*Tensor
}

// plugins by their creator's name.
var plugins = map[string]func(*call) (*Tensor, error){
	"GPTAttention": gptAttention, "Gemm": gemm,
	"AllReduce": allReduce, "AllGather": allGather, "Send": send, "Recv": receive,
	"WeightOnlyQuantMatmul": weightOnly, "WeightOnlyGroupwiseQuantMatmul": groupwise,
}

// plugin looks a creator up as the registry does, and refuses fields that nothing read.
func (r *run) plugin(l *graph.Layer, o graph.Plugin, in []*Tensor) ([]*Tensor, error) {
	f, ok := plugins[o.Creator]
	if !ok || o.Version != "1" || o.Namespace != "tensorrt_llm" {
		return nil, fmt.Errorf("there is no plugin %s version %q in namespace %q", o.Creator, o.Version, o.Namespace)
	}
	for i, t := range in {
		if t == nil {
			return nil, fmt.Errorf("input %d is missing", i)
		}
	}
	c := &call{run: r, layer: l, fields: &fields{list: o.Attributes, read: map[string]bool{}}, in: in}
	out, err := f(c)
	if err == nil {
		err = c.fields.check()
	}
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", o.Creator, err)
	}
	return []*Tensor{out}, nil
}

// fields parses attributes as the plugins do: by name, with the exact type and one value.
type fields struct {
	list []graph.Field
	read map[string]bool
	err  error
}

func (f *fields) find(name string, t graph.FieldType, most int) graph.Field {
	f.read[name] = true
	for _, field := range f.list {
		if field.Name != name {
			continue
		}
		if n := field.Length(); (field.Type != t || n < 1 || n > most) && f.err == nil {
			f.err = fmt.Errorf("field %s is %s with %d values, want %s", name, field.Type, n, t)
		}
		return field
	}
	if f.err == nil {
		f.err = fmt.Errorf("field %s is missing", name)
	}
	return graph.Field{}
}

func (f *fields) integer(name string, t graph.FieldType) int {
	field := f.find(name, t, 1)
	if len(field.Ints) == 0 {
		return 0
	}
	return int(field.Ints[0])
}

func (f *fields) int32(name string) int { return f.integer(name, graph.FieldInt32) }

// int8 is how plugins spell a flag, or a small enumerator.
func (f *fields) int8(name string) int { return f.integer(name, graph.FieldInt8) }

func (f *fields) float(name string) float32 {
	field := f.find(name, graph.FieldFloat32, 1)
	if len(field.Floats) == 0 {
		return 0
	}
	return field.Floats[0]
}

func (f *fields) group() []int {
	var group []int
	for _, n := range f.find("group", graph.FieldInt32, 1<<16).Ints {
		group = append(group, int(n))
	}
	return group
}

// must refuses a field that is not as the evaluator needs it.
func (f *fields) must(name string, got, want int) {
	if got != want && f.err == nil {
		f.err = fmt.Errorf("field %s is %d; the evaluator has only %d", name, got, want)
	}
}

func (f *fields) check() error {
	if f.err != nil {
		return f.err
	}
	for _, field := range f.list {
		if !f.read[field.Name] {
			return fmt.Errorf("field %s is none of the plugin's", field.Name)
		}
	}
	return nil
}

// dataType finds the type that has a number.
func dataType(number int) (graph.DataType, error) {
	for _, t := range []graph.DataType{graph.Float, graph.Half, graph.BF16} {
		if int(t.Number()) == number {
			return t, nil
		}
	}
	return "", fmt.Errorf("type_id %d is no floating-point type", number)
}

// inputs refuses another number of inputs.
func (c *call) inputs(n int) error {
	if len(c.in) != n {
		return fmt.Errorf("it has %d inputs, the fields say %d", len(c.in), n)
	}
	return nil
}

// host tells whether an input is one of the network's in the CPU's memory.
func (c *call) host(i int) bool {
	for _, in := range c.net.Inputs {
		if in.Tensor == c.layer.Inputs[i] {
			return in.Host
		}
	}
	return false
}
