package checkpoint

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/trtgo/trtgo/internal/namelist"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// Description is what can be said about a directory, be it a checkpoint that Open
// takes or not.
type Description struct {
	Architecture string
	// Config is a *Config, or the file's own object where Problems say why not.
	Config any
	// Tensors are those of the rank files, up to the first one that is missing or
	// damaged.
	Tensors  []StoredTensor
	Problems []string
}

// StoredTensor is a tensor as its file has it.
type StoredTensor struct {
	File, Name, Dtype string
	Shape             []int64
	Bytes             int64
}

// Describe fails only when there is no readable config.json.
func Describe(dir string) (*Description, error) {
	path := filepath.Join(dir, ConfigName)
	text, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	var own map[string]any
	if err := json.Unmarshal(text, &own); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrInvalid, err)
	}
	d := &Description{Config: own}
	d.Architecture, _ = own["architecture"].(string)
	if config, err := ParseConfig(text); err == nil {
		d.Config = config
	}
	for r := 0; ; r++ {
		f, err := safetensors.Open(filepath.Join(dir, RankName(r)))
		if err != nil {
			break // Open below says which one is missing or damaged
		}
		for _, t := range f.Header().Tensors {
			d.Tensors = append(d.Tensors, StoredTensor{RankName(r), t.Name, t.Dtype, t.Shape, t.Size})
		}
		f.Close()
	}
	c, err := Open(dir)
	if err != nil {
		d.Problems = append(d.Problems, err.Error())
		return d, nil
	}
	for r, rank := range c.ranks {
		if extra := rank.Unexpected(); len(extra) > 0 {
			d.Problems = append(d.Problems, fmt.Sprintf("%s has tensors that the config does not call for, which are ignored: %s", RankName(r), namelist.First(extra)))
		}
	}
	return d, c.Close()
}
