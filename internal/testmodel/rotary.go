package testmodel

import (
	"encoding/json"
	"maps"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Rotary is a checkpoint of [Names] whose config has another rotary embedding than
// it was made with, and what transformers then computes in float32.
type Rotary struct {
	Model      string         `json:"model"`
	VocabSize  int            `json:"vocab_size"`
	Parameters map[string]any `json:"rope_parameters"` // as transformers 5 spells it
	Prompt     []int32        `json:"prompt"`
	Positions  []int          `json:"positions"` // of the prompt, that Logits has
	Logits     [][]float32    `json:"-"`         // [len(Positions)][VocabSize]
}

// RotaryNames returns the names of the rotary embeddings, sorted.
func RotaryNames() []string {
	var names []string
	for _, file := range entries("testdata/rotary") {
		if name, ok := strings.CutSuffix(file, ".json"); ok {
			names = append(names, name)
		}
	}
	return names
}

// RotaryGolden returns the rotary embedding called name.
func RotaryGolden(t testing.TB, name string) Rotary {
	t.Helper()
	var r Rotary
	readJSON(t, path.Join("testdata/rotary", name+".json"), &r)
	values := floats(t, path.Join("testdata/rotary", name+".logits"))
	if len(values) != len(r.Positions)*r.VocabSize {
		t.Fatalf("testmodel: %s.logits holds %d values for %d positions of %d", name, len(values), len(r.Positions), r.VocabSize)
	}
	for i := range r.Positions {
		r.Logits = append(r.Logits, values[i*r.VocabSize:(i+1)*r.VocabSize])
	}
	return r
}

// Dir is the checkpoint as [Dir] gives it, with the rotary embedding in config.json,
// or where old is set, spelled as transformers 4 does.
func (r Rotary) Dir(t testing.TB, old bool) string {
	t.Helper()
	dir := Dir(t, r.Model)
	var config map[string]any
	readJSON(t, path.Join("testdata/models", r.Model, "config.json"), &config)
	config["rope_parameters"] = r.Parameters
	if old {
		delete(config, "rope_parameters")
		scaling := maps.Clone(r.Parameters)
		config["rope_theta"] = scaling["rope_theta"]
		delete(scaling, "rope_theta")
		config["rope_scaling"] = scaling
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("testmodel: %v", err)
	}
	write(t, filepath.Join(dir, "config.json"), text)
	return dir
}
