package model

import (
	"fmt"

	"github.com/trtgo/trtgo/build/network"
)

// activation is what a hidden_act stands for.
type activation struct {
	function network.Function
	gated    bool // in the GPT class
}

// activations has TensorRT-LLM's names. The GELUs mean what they mean in
// transformers, from whose checkpoints they come.
var activations = map[string]activation{
	"silu":              {network.Silu, false},
	"swiglu":            {network.Silu, true},
	"fast-swiglu":       {network.Silu, true},
	"relu":              {network.ReLU, false},
	"squared-relu":      {network.SquaredReLU, false},
	"gelu":              {network.Gelu, false},
	"geglu":             {network.Gelu, true},
	"gelu_new":          {network.GeluTanh, false},
	"gelu_fast":         {network.GeluTanh, false},
	"gelu_pytorch_tanh": {network.GeluTanh, false},
}

func activationOf(hiddenAct string) (activation, error) {
	a, ok := activations[hiddenAct]
	if !ok {
		return a, fmt.Errorf("%w: hidden_act %q is not supported; supported are silu, swiglu, fast-swiglu, relu, squared-relu, gelu, geglu, gelu_new, gelu_fast and gelu_pytorch_tanh",
			ErrConfig, hiddenAct)
	}
	return a, nil
}
