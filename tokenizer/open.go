package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fileNames are what Open looks for, in this order.
var fileNames = []string{"tokenizer.json", "tokenizer.model", "tekken.json", "*.tiktoken"}

// Open reads the tokenizer of a model directory: tokenizer.json, or else tokenizer.model
// (SentencePiece, or Llama-3's file of ranks), tekken.json or a *.tiktoken file, with
// tokenizer_config.json, special_tokens_map.json, generation_config.json, chat_template.jinja and
// chat_template.json where they exist. What a file is, its content says.
//
// When special tokens are added, a tokenizer.json puts what its post-processor says. The others put
// bos before a text, if the model has one, and no eos behind it, unless tokenizer_config.json says otherwise
// by add_bos_token and add_eos_token. Special tokens are parsed in text if tokenizer.json or
// added_tokens_decoder lists them; those of a tiktoken file always; those of a tekken.json also if a
// chat template is there.
//
// A directory without any of these files gives an error that wraps ErrNoTokenizer, a kind that is not
// implemented one that wraps ErrUnsupported, a damaged file one that wraps ErrInvalid.
func Open(dir string) (*Tokenizer, error) {
	for _, name := range fileNames {
		path, err := onlyFile(dir, name)
		if err != nil {
			return nil, err
		}
		if path == "" {
			continue
		}
		data, ok, err := readFile(path)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		t, err := load(path, data, dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return t, nil
	}
	return nil, fmt.Errorf("%w: %s has none of %s", ErrNoTokenizer, dir, strings.Join(fileNames, ", "))
}

// onlyFile returns the path of a file that a name or pattern stands for; "" for none.
func onlyFile(dir, name string) (string, error) {
	suffix, pattern := strings.CutPrefix(name, "*")
	if !pattern {
		return filepath.Join(dir, name), nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	found := ""
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if found != "" {
			return "", invalid("%s has %s and %s, and one is wanted: name the file itself, or take the other away", dir, found, e.Name())
		}
		found = e.Name()
	}
	if found == "" {
		return "", nil
	}
	return filepath.Join(dir, found), nil
}

// isJSON reports whether a file is JSON, by its name or its beginning; no other kind begins so.
func isJSON(path string, data []byte) bool {
	if strings.HasSuffix(path, ".json") {
		return true
	}
	s := strings.TrimLeft(string(data[:min(len(data), 4096)]), "\uFEFF \t\r\n")
	return strings.HasPrefix(s, "{")
}

// load parses a tokenizer file and applies the settings of dir.
func load(path string, data []byte, dir string) (*Tokenizer, error) {
	s, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	list, err := s.config.addedList()
	if err != nil {
		return nil, err
	}
	var t *Tokenizer
	switch {
	case isJSON(path, data) && isTekken(data):
		t, err = parseTekken(data, len(list) > 0 || len(s.chat.byName) > 0)
	case isJSON(path, data):
		t, err = parseHF(data, list, s.config.special())
		if err == nil {
			// transformers 5 ignores the clean-up for BPE, whose text it damages, unless forced.
			t.cleanUp = s.config.CleanUp && (s.config.ForceCleanUp || !t.isBPE())
		}
	case isTiktoken(data):
		t, err = parseTiktoken(data, &s.config)
	default:
		t, err = parseSentencePiece(data, list, s.config.Legacy == nil || *s.config.Legacy)
	}
	if err != nil {
		return nil, err
	}
	t.apply(s)
	return t, nil
}

// OpenFile reads one tokenizer file, of any kind that Open reads, and nothing beside it: the meaning of
// --vocab_file. A SentencePiece model behaves as upstream's, which loads it as T5Tokenizer: when special
// tokens are added, eos follows the text and no bos precedes it. A tekken.json and a tiktoken file put bos
// before it, if they have one.
func OpenFile(path string) (*Tokenizer, error) {
	data, ok, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s does not exist", ErrNoTokenizer, path)
	}
	t, err := parseFile(path, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// parseFile tells files by their content: a .nemo archive names them by hash.
func parseFile(path string, data []byte) (t *Tokenizer, err error) {
	switch {
	case isJSON(path, data) && isTekken(data):
		t, err = parseTekken(data, false)
	case isJSON(path, data):
		return parseHF(data, nil, nil)
	case isTiktoken(data):
		t, err = parseTiktoken(data, &tokenizerConfig{})
	default:
		if t, err = parseSentencePiece(data, nil, false); err == nil && len(t.eos) > 0 {
			t.suffix = []int32{t.eos[0]}
		}
		return t, err
	}
	if err == nil && t.bos >= 0 {
		t.prefix = []int32{t.bos}
	}
	return t, err
}
