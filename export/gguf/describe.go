package gguf

import (
	"fmt"

	"github.com/trtgo/trtgo/export/source"
)

// Describe tells what the file holds, even where Open would refuse it. It fails
// only when the header cannot be read.
func Describe(path string) (*source.Description, error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parsed, err := parse(f, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := &Model{path: path, r: f, file: parsed}
	d := &source.Description{Format: Format, Architecture: m.Architecture(), Tensors: m.Inventory(), Problems: []string{}}
	if err := m.configure(); err != nil {
		d.Config = scalars(parsed.metadata)
		d.Problems = append(d.Problems, err.Error())
		return d, nil
	}
	d.Config, d.Notes = m.config, m.Notes()
	for _, problem := range m.Problems() {
		d.Problems = append(d.Problems, problem.Error())
	}
	return d, nil
}

// scalars are the metadata without its arrays, which may be vocabularies.
func scalars(metadata map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range metadata {
		switch value.(type) {
		case string, bool, uint8, int8, uint16, int16, uint32, int32, uint64, int64, float32, float64:
			out[key] = jsonable(value)
		}
	}
	return out
}
