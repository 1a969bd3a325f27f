package checkpoint

import (
	"os"
	"path/filepath"
)

// GGUFTokenizerName is the file that keeps a GGUF file's tokenizer metadata when
// it has no tokenizer.json form.
const GGUFTokenizerName = "gguf_tokenizer.json"

var tokenizerNames = []string{
	"tokenizer.json", "tokenizer.model", "tekken.json", "qwen.tiktoken", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"chat_template.jinja", "chat_template.json", "generation_config.json", "vocab.json", "merges.txt",
	GGUFTokenizerName,
}

// TokenizerNames lists the files that travel from source to checkpoint to engine
// where they exist.
func TokenizerNames() []string { return append([]string(nil), tokenizerNames...) }

// TokenizerFiles lists the paths of those that dir has.
func TokenizerFiles(dir string) ([]string, error) {
	var paths []string
	for _, name := range tokenizerNames {
		path := filepath.Join(dir, name)
		stat, err := os.Stat(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if stat.Mode().IsRegular() {
			paths = append(paths, path)
		}
	}
	return paths, nil
}
