package nemo

import (
	"context"
	"fmt"

	"github.com/trtgo/trtgo/export/source"
)

// Describe tells what a checkpoint holds, even where Open would refuse it. It
// fails when not even its form can be told.
func Describe(ctx context.Context, name string, o Options) (*source.Description, error) {
	m := newModel()
	defer m.Close()
	t, err := m.openTree(ctx, name, o)
	if err == nil {
		err = m.open(rooted(t), o)
	}
	if m.format == "" {
		return nil, fmt.Errorf("%s: %w", name, classified(err))
	}
	d := &source.Description{Format: m.format, Tensors: m.Inventory(), Problems: []string{}, Notes: m.notes}
	own, _ := parseYAML(m.text) // what is wrong with it is the error above
	d.Architecture, d.Config = architecture(own), own
	if err != nil {
		d.Problems = append(d.Problems, classified(err).Error())
		return d, nil
	}
	d.Config = m.config
	for _, problem := range m.Problems() {
		d.Problems = append(d.Problems, problem.Error())
	}
	return d, nil
}

// architecture gives the class that a config names.
func architecture(own map[string]any) string {
	for _, key := range []string{"_target_", "target"} {
		if name := lastPart(own[key]); name != "" {
			return name
		}
	}
	if names, ok := own["architectures"].([]any); ok && len(names) > 0 { // a config.json
		name, _ := names[0].(string)
		return name
	}
	return ""
}

// Architecture is the class that the config names: "MegatronGPTModel",
// "NemotronModel"; "" where it names none.
func (m *Model) Architecture() string {
	own, err := parseYAML(m.text)
	if err != nil {
		return ""
	}
	return architecture(own)
}
