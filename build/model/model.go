// Package model makes the network of a model family: a function from the
// checkpoint's config, with its mapping, and a rank to a network.Network. There is
// one file per family; the architectures that a family builds stand in one
// table, named as in config.json.
//
//	config, err := checkpoint.ReadConfig("ckpt/config.json")
//	…
//	net, err := model.New(config, 0)
//	if errors.Is(err, model.ErrArchitecture) { … } // the message names those that work
//
// What a family's network does not have is refused by its key, never ignored.
package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

var (
	// ErrArchitecture is wrapped by errors about an architecture of no family.
	ErrArchitecture = errors.New("unsupported architecture")
	// ErrConfig is wrapped by errors about a config that asks for something that
	// the family's network does not have.
	ErrConfig = errors.New("unsupported model config")
)

// family builds the network of a rank; the config was validated.
type family func(c *checkpoint.Config, mapping network.Mapping) (*network.Network, error)

var families = map[string]family{
	"LlamaForCausalLM":    llama,
	"MistralForCausalLM":  llama,
	"GPTForCausalLM":      gpt,
	"NemotronForCausalLM": gpt,
}

// Architectures returns the supported architectures, sorted.
func Architectures() []string { return slices.Sorted(maps.Keys(families)) }

// New returns the validated network of one rank of a checkpoint. Errors wrap [ErrArchitecture], [ErrConfig], network.ErrInvalid or
// the errors of checkpoint.Config.Validate.
func New(c *checkpoint.Config, rank int) (*network.Network, error) {
	build, ok := families[c.Architecture]
	if !ok {
		return nil, fmt.Errorf("%w: %s; supported are %s", ErrArchitecture, c.Architecture, strings.Join(Architectures(), ", "))
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	mapping := network.Mapping{TPSize: c.Mapping.TPSize, PPSize: c.Mapping.PPSize, Rank: rank}
	if err := mapping.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	net, err := build(c, mapping)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Architecture, err)
	}
	return net, nil
}

// extra refuses a key that checkpoint.Config keeps unread, unless its JSON text
// is one of neutral or null.
func extra(c *checkpoint.Config, key string, neutral ...string) error {
	raw := string(c.Extra[key])
	if raw == "" || raw == "null" || slices.Contains(neutral, raw) {
		return nil
	}
	return fmt.Errorf("%w: %s is %.100s, supported is %s", ErrConfig, key, raw, strings.Join(neutral, " or "))
}
