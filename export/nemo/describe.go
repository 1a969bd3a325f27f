package nemo

import (
	"context"
	"fmt"
	"math"

	"github.com/trtgo/trtgo/export/internal/damage"
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
		return nil, fmt.Errorf("%s: %w", name, damage.Classified(err))
	}
	d := &source.Description{Format: m.format, Tensors: m.Inventory(), Problems: []string{}, Notes: m.notes}
	own, _ := parseYAML(m.text) // what is wrong with it is the error above
	d.Architecture, d.Config = architecture(own), printable(own)
	if err != nil {
		d.Problems = append(d.Problems, damage.Classified(err).Error())
		return d, nil
	}
	d.Architecture, d.Config = m.Architecture(), m.config
	for _, problem := range m.Problems() {
		d.Problems = append(d.Problems, problem.Error())
	}
	return d, nil
}

// printable writes out the numbers that JSON has not.
func printable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = printable(item)
		}
	case []any:
		for i, item := range v {
			v[i] = printable(item)
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	}
	return v
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
	if m.settings.class != "" {
		return m.settings.class
	}
	own, err := parseYAML(m.text)
	if err != nil {
		return ""
	}
	return architecture(own)
}
