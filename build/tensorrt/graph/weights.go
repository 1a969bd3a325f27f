package graph

import "fmt"

// Weights are the values of a constant, or of an input that stands for one. They
// have a recipe, not bytes: a network can be made and written without reading them.
type Weights struct {
	Name  string // unique in a network; the checkpoint's where it is one of its tensors
	Type  DataType
	Shape []int64
	// From are the tensors of the checkpoint that the values are made of; empty for
	// values that follow from the config.
	From []string
	// Recipe says in a word or two how, e.g. "as stored", "concatenated"; for people and for JSON.
	Recipe string
	// Scalars are the values of a constant that the network itself knows ([Builder.Scalars]), for people and for JSON.
	Scalars []float64
	// Read returns the values, row-major and little-endian, Bytes long. The memory
	// belongs to source and lives as long as that. It may be called from several goroutines.
	Read func(source Source) ([]byte, error)
}

// Source gives the bytes of the checkpoint's tensors.
type Source interface {
	// Tensor returns the stored bytes of a tensor of the rank, row-major and
	// little-endian: mapped, so they cost no memory, and valid until the source is closed.
	Tensor(name string) (Stored, error)
}

// Stored is a tensor of the checkpoint.
type Stored struct {
	Dtype string // as safetensors spells it
	Shape []int64
	Bytes []byte
}

// Elements is how many values there are.
func (w *Weights) Elements() int64 {
	n := int64(1)
	for _, d := range w.Shape {
		n *= d
	}
	return n
}

// Bytes is the size of the values.
func (w *Weights) Bytes() int64 { return w.Type.Bytes(w.Elements()) }

// Values reads the weights and checks the size of what came.
func (w *Weights) Values(source Source) ([]byte, error) {
	data, err := w.Read(source)
	if err != nil {
		return nil, fmt.Errorf("weights %s: %w", w.Name, err)
	}
	if int64(len(data)) != w.Bytes() {
		return nil, fmt.Errorf("%w: weights %s have %d bytes, %s%v needs %d", ErrInvalid, w.Name, len(data), w.Type, w.Shape, w.Bytes())
	}
	return data, nil
}

// Literal makes weights of values that are known, e.g. an epsilon.
func Literal(name string, t DataType, shape []int64, data []byte) *Weights {
	return &Weights{Name: name, Type: t, Shape: shape, Recipe: "literal", Read: func(Source) ([]byte, error) { return data, nil }}
}
