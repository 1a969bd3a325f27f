package verify_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/csrc/native"
)

// fieldTypes are the types of fields on both sides.
var fieldTypes = map[graph.FieldType]native.FieldType{
	graph.FieldInt8: native.Int8, graph.FieldInt32: native.Int32, graph.FieldInt64: native.Int64,
	graph.FieldFloat32: native.Float32, graph.FieldText: native.TextType,
}

// submit hands what is claimed to the library as it stands, without comparing anything, and
// tells where the library first refused.
func (c *claimed) submit(t *testing.T, capabilities []int) (stage, error) {
	t.Helper()
	network, err := library(t).NewNetwork(native.NetworkOptions{Name: "malformed"})
	require.NoError(t, err)
	defer network.Close()
	ids := map[*graph.Tensor]int32{nil: -1}
	for _, in := range c.Inputs {
		x := in.Tensor
		names := make([]string, len(x.Shape))
		for i, d := range x.Shape {
			names[i] = d.Name
		}
		added, err := network.AddInput(native.Input{Name: x.Name, Type: string(x.Type), Dims: x.Shape.Sizes(), Names: names})
		if err != nil {
			return inputs, err
		}
		ids[x] = added.ID
	}
	for _, l := range c.Layers {
		if err := submitLayer(network, l, ids); err != nil {
			return layers, err
		}
	}
	for _, out := range c.Outputs {
		if err := network.MarkOutput(ids[out.Tensor], out.Name); err != nil {
			return outputs, err
		}
	}
	for p := range c.Profiles {
		var ranges []native.Range
		for _, in := range c.Inputs {
			least, best, most, err := c.Bounds(p, in)
			require.NoError(t, err)
			ranges = append(ranges, native.Range{Input: in.Tensor.Name, Min: least, Opt: best, Max: most})
		}
		if err := network.AddProfile(ranges); err != nil {
			return profile, err
		}
	}
	if err := network.Build(t.Context(), native.BuildOptions{Capabilities: capabilities}, planFile(t)); err != nil {
		return build, err
	}
	return never, nil
}

func submitLayer(network *native.Network, l graph.Layer, ids map[*graph.Tensor]int32) error {
	layer := native.Layer{Kind: l.Op.Kind(), Name: l.Name}
	for _, in := range l.Inputs {
		layer.Inputs = append(layer.Inputs, ids[in])
	}
	for _, f := range l.Op.Fields() {
		layer.Fields = append(layer.Fields, native.Field{Name: f.Name, Type: fieldTypes[f.Type], Ints: f.Ints, Floats: f.Floats, Text: f.Text})
	}
	if constant, ok := l.Op.(graph.Constant); ok {
		values, err := constant.Weights.Values(nil)
		if err != nil {
			return err
		}
		layer.Weights = values
	}
	added, err := network.AddLayer(layer)
	if err != nil {
		return err
	}
	if len(added) != len(l.Outputs) {
		return fmt.Errorf("%s gives %d tensors", l.Name, len(added))
	}
	for i, out := range l.Outputs {
		ids[out] = added[i].ID
	}
	return nil
}

// TestMalformedLibrary: the library refuses each too, by its own words; those that it takes are
// known, and why ours refuses them stands with them.
func TestMalformedLibrary(t *testing.T) {
	library(t)
	for _, list := range [][]malformed{arithmetic, shapes, quantisation, attention, interfaces} {
		for _, m := range list {
			t.Run(m.name, func(t *testing.T) {
				var c claimed
				m.make(&c)
				where, err := c.submit(t, []int{86, 89, 120})
				require.Equal(t, m.library, where, "%v", err)
				if m.library != never {
					require.ErrorContains(t, err, m.theirs)
				}
			})
		}
	}
}
