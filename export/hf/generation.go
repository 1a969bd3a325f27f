package hf

import "encoding/json"

// generationName is the file that says which ids begin, end and pad a text.
const generationName = "generation_config.json"

// generation is what transformers takes for [generationName] where a model has
// none: the ids in its config.json. It is nil when there are none of use.
func generation(f *fields) []byte {
	ids := map[string]any{"_from_model_config": true}
	for _, key := range []string{"bos_token_id", "eos_token_id", "pad_token_id"} {
		var one int64
		var several []int64
		switch raw := f.values[key]; {
		case raw == nil || string(raw) == "null":
		case json.Unmarshal(raw, &one) == nil && one >= 0:
			ids[key] = one
		case json.Unmarshal(raw, &several) == nil && len(several) > 0:
			ids[key] = several
		}
	}
	if len(ids) == 1 {
		return nil
	}
	text, _ := json.MarshalIndent(ids, "", "  ") // numbers can always be written
	return append(text, '\n')
}
