package model

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// llama builds LLaMA and Mistral: RMS norms, a gated MLP whatever hidden_act
// (mlp.fc is the branch that is activated), rotary embedding of the whole head.
func llama(c *checkpoint.Config, mapping network.Mapping) (*network.Network, error) {
	if err := extra(c, "rotary_pct", "1", "1.0"); err != nil {
		return nil, err
	}
	act, err := activationOf(c.HiddenAct)
	if err != nil {
		return nil, err
	}
	act.gated = true
	epsilon := float32(c.NormEpsilon)
	d := decoder{
		Config: c, mapping: mapping, activation: act, rotaryDim: int(c.HeadSize),
		norm: func(b *network.Builder, name string, x *network.Tensor) *network.Tensor {
			return b.RMSNorm(name, x, epsilon)
		},
	}
	return d.network()
}
