package nemo

import (
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/hf"
)

// parseConfigHF reads a Hugging Face config.json, which may describe a model whose
// weights lie in a bare distributed checkpoint under Megatron's names. Nemotron's
// norm weights are stored less one in both forms.
func parseConfigHF(text []byte) (*settings, error) {
	facts, err := hf.ReadFacts(text)
	if err != nil {
		return nil, err
	}
	c := facts.Config
	llama := c.Family() == checkpoint.LLaMA
	return &settings{
		given: c, architecture: facts.Architecture, notes: facts.Notes,
		numLayers: c.NumHiddenLayers, hiddenSize: c.HiddenSize, ffnHiddenSize: c.IntermediateSize,
		numAttentionHeads: c.NumAttentionHeads, numQueryGroups: c.NumKeyValueHeads, kvChannels: c.HeadSize, positions: c.MaxPositionEmbeddings,
		gated: llama, rmsNorm: llama, zeroCentred: !llama, tied: facts.Tied, dtype: c.Dtype, mcore: true,
		bias: facts.AttentionBias, qkvBias: facts.AttentionBias, mlpBias: facts.MLPBias, tensorParallel: 1, pipelineParallel: 1,
	}, nil
}
