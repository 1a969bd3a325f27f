package model

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// gpt builds the GPT class as Nemotron and Minitron use it: LayerNorm with
// bias (the 1 of LayerNorm1P is already in the weights), rotary embedding of a
// part of the head, an MLP that only swiglu, fast-swiglu and geglu gate.
func gpt(c *checkpoint.Config, mapping network.Mapping) (*network.Network, error) {
	if err := extra(c, "gpt_variant", `"gpt2"`, `"nemotron"`); err != nil {
		return nil, err
	}
	act, err := activationOf(c.HiddenAct)
	if err != nil {
		return nil, err
	}
	epsilon := float32(c.NormEpsilon)
	d := decoder{
		Config: c, mapping: mapping, activation: act, rotaryDim: int(c.RotaryDim()),
		norm: func(b *network.Builder, name string, x *network.Tensor) *network.Tensor {
			return b.LayerNorm(name, x, epsilon)
		},
	}
	return d.network()
}
