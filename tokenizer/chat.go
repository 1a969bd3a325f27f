package tokenizer

import "encoding/json"

type chatTemplates struct{}

func readChatTemplates(dir string, raw json.RawMessage) (chatTemplates, error) {
	return chatTemplates{}, nil
}
