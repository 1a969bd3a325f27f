package hf

import (
	"fmt"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// Facts are what a config.json says about a model whose weights are stored by
// another program, under names of its own.
type Facts struct {
	// Config has an empty Dtype where the file gives none.
	Config *checkpoint.Config
	// Architecture is the class of transformers: "NemotronForCausalLM".
	Architecture string
	// Tied tells that the head is the embedding; AttentionBias and MLPBias that the
	// linears there have biases.
	Tied, AttentionBias, MLPBias bool
	Notes                        []string
}

// ReadFacts reads the text of a config.json. Quantised models are refused: their
// weights are stored in forms of transformers' own. Errors are those of [Open].
func ReadFacts(text []byte) (*Facts, error) {
	c, err := parseConfig(text)
	if err != nil {
		return nil, err
	}
	if c.quantised.by != "" {
		return nil, fmt.Errorf("a quantised model (quantization_config) in another program's form is %w", checkpoint.ErrUnsupported)
	}
	c.Config.Dtype = c.dtype
	return &Facts{Config: c.Config, Architecture: c.source, Tied: c.tied, AttentionBias: c.attnBias, MLPBias: c.mlpBias, Notes: c.notes}, nil
}
