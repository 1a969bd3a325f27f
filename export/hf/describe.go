package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// Describe tells what the directory holds, even where Open would refuse it. It
// fails only when there is no readable config.json.
func Describe(dir string) (*source.Description, error) {
	format := Format
	if !holds(dir, safetensors.SingleName, safetensors.IndexName) && holds(dir, pickleName, pickleIndexName) {
		format = FormatPickle
	}
	return describe(dir, filepath.Join(dir, "config.json"), format, openWeights)
}

// DescribeDistributed is [Describe] for what [OpenDistributed] opens. Without a
// config it still tells the tensors.
func DescribeDistributed(dir, path string) (*source.Description, error) {
	d, err := describe(dir, configPath(dir, path), FormatDistributed, openDistributed)
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		return &source.Description{Format: FormatDistributed, Tensors: stored(dir, openDistributed), Problems: []string{withoutConfig(dir, err).Error()}}, nil
	}
	return d, err
}

func describe(dir, path, format string, open func(dir string) (weights, []string, error)) (*source.Description, error) {
	text, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	var own map[string]any
	if err := json.Unmarshal(finite(text), &own); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, checkpoint.ErrInvalid, err)
	}
	d := &source.Description{Format: format, Config: own, Tensors: []source.Info{}, Problems: []string{}}
	if names, ok := own["architectures"].([]any); ok && len(names) > 0 {
		d.Architecture, _ = names[0].(string)
	}
	m, err := assemble(dir, path, open)
	if err != nil {
		d.Problems, d.Tensors = append(d.Problems, err.Error()), stored(dir, open)
		return d, nil
	}
	defer m.Close()
	d.Architecture, d.Config, d.Tensors, d.Notes = m.Architecture(), m.Config(), m.Inventory(), m.Notes()
	for _, problem := range m.Problems() {
		d.Problems = append(d.Problems, problem.Error())
	}
	return d, nil
}

// stored lists the tensors of a directory that is no model, if they can be read.
func stored(dir string, open func(dir string) (weights, []string, error)) []source.Info {
	list := []source.Info{}
	weights, _, err := open(dir)
	if err != nil {
		return list
	}
	defer weights.Close()
	for _, name := range weights.Names() {
		t, _ := weights.Tensor(name)
		list = append(list, info(t))
	}
	return list
}

// holds tells whether dir has one of the files.
func holds(dir string, names ...string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}
