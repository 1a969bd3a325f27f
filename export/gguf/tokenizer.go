package gguf

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/tokenizer"
)

// kept is the tokenizer's metadata as a file, for a tokenizer of a kind that
// package tokenizer does not know.
func (m *Model) kept() (source.File, error) {
	keep := map[string]any{}
	for key, value := range m.file.metadata {
		if strings.HasPrefix(key, "tokenizer.") {
			keep[key] = jsonable(value)
		}
	}
	data, err := json.MarshalIndent(keep, "", " ")
	if err != nil {
		return source.File{}, fmt.Errorf("%s: tokenizer metadata: %w", m.path, err)
	}
	return source.File{Name: checkpoint.GGUFTokenizerName, Data: append(data, '\n')}, nil
}

// jsonable replaces what encoding/json does not take or misreads: numbers that
// are not finite become null, bytes a list of numbers.
func jsonable(value any) any {
	switch v := value.(type) {
	case float32:
		return jsonable(float64(v))
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil
		}
	case []float32:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = x
			if math.IsInf(float64(x), 0) || x != x {
				list[i] = nil
			}
		}
		return list
	case []float64:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = jsonable(x)
		}
		return list
	case []uint8:
		list := make([]int, len(v))
		for i, x := range v {
			list[i] = int(x)
		}
		return list
	case []any:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = jsonable(x)
		}
		return list
	}
	return value
}

// Files implements [source.Model]. A vocabulary of a kind that package tokenizer
// knows becomes tokenizer.json or tokenizer.model; of others the metadata is kept, so that no export
// fails because of a tokenizer.
func (m *Model) Files() ([]source.File, error) {
	m.tokenizerOnce.Do(m.convertTokenizer)
	return m.files, m.filesErr
}

func (m *Model) convertTokenizer() {
	if _, ok := m.file.metadata["tokenizer.ggml.model"]; !ok {
		m.tokenizerNote = "the file has no tokenizer: engines of this checkpoint take and give ids only"
		return
	}
	made, err := tokenizer.FromGGUF(m.file.metadata)
	if err != nil {
		m.tokenizerNote = fmt.Sprintf("the tokenizer's metadata is kept as %s, but text cannot be used (ids can): %v", checkpoint.GGUFTokenizerName, err)
		var kept source.File
		kept, m.filesErr = m.kept()
		m.files = append(m.files, kept)
	}
	if made == nil {
		return
	}
	for _, f := range []source.File{
		{Name: "tokenizer.json", Data: made.Tokenizer},
		{Name: "tokenizer.model", Data: made.Model},
		{Name: "tokenizer_config.json", Data: made.Config},
		{Name: "generation_config.json", Data: made.Generation},
	} {
		if f.Data != nil {
			m.files = append(m.files, f)
		}
	}
}
