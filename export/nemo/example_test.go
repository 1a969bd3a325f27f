package nemo_test

import (
	"context"
	"fmt"

	"github.com/trtgo/trtgo/export/nemo"
)

func ExampleOpen() {
	m, err := nemo.Open(context.Background(), "../../internal/testmodel/testdata/nemo/nemotron.zarr.tar", nemo.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	c := m.Config()
	fmt.Println(m.Format(), c.Architecture, c.NumHiddenLayers, "layers of", c.HiddenSize)
	t, err := m.Tensor("transformer.layers.0.attention.k.weight", []int64{c.NumKeyValueHeads * c.HeadSize, c.HiddenSize})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Origin, t.Dtype, t.Shape, t.Transform)
	// Output:
	// nemo-zarr GPTForCausalLM 4 layers of 48
	// model.decoder.layers.self_attention.linear_qkv.weight[0] BF16 [32 48] key heads of each group
}
