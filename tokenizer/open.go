package tokenizer

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Open reads the tokenizer of a model directory: tokenizer.json, or else tokenizer.model
// (SentencePiece), with tokenizer_config.json, special_tokens_map.json, generation_config.json,
// chat_template.jinja and chat_template.json where they exist.
//
// A tokenizer.model puts bos before a text when special tokens are added, as Llama's does, unless
// tokenizer_config.json says otherwise. A directory with neither file gives an error that wraps
// ErrNoTokenizer, a kind that is not implemented one that wraps ErrUnsupported, a damaged file one
// that wraps ErrInvalid.
func Open(dir string) (*Tokenizer, error) {
	for _, name := range []string{"tokenizer.json", "tokenizer.model"} {
		data, ok, err := readFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		t, err := load(name, data, dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
		return t, nil
	}
	return nil, fmt.Errorf("%w: %s has neither tokenizer.json nor tokenizer.model", ErrNoTokenizer, dir)
}

// load parses a tokenizer file and applies the settings of dir.
func load(name string, data []byte, dir string) (*Tokenizer, error) {
	s, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	list, err := s.config.addedList()
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".json") {
		t, err := parseHF(data, list, s.config.special())
		if err != nil {
			return nil, err
		}
		// transformers 5 ignores the clean-up for BPE, whose text it damages, unless forced.
		t.cleanUp = s.config.CleanUp && s.config.ForceCleanUp
		t.apply(s)
		return t, nil
	}
	t, err := parseSentencePiece(data, list, s.config.Legacy == nil || *s.config.Legacy)
	if err != nil {
		return nil, err
	}
	t.apply(s)
	return t, nil
}

// OpenFile reads one tokenizer file, tokenizer.json or a SentencePiece .model, and nothing beside
// it: the meaning of --vocab_file. A .model behaves as upstream's, which loads it as T5Tokenizer:
// when special tokens are added, eos follows the text and no bos precedes it.
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

func parseFile(path string, data []byte) (*Tokenizer, error) {
	// A .nemo archive names its files by hash, so a model need not be called .model.
	if strings.HasSuffix(path, ".json") {
		return parseHF(data, nil, nil)
	}
	t, err := parseSentencePiece(data, nil, false)
	if err != nil {
		return nil, err
	}
	if len(t.eos) > 0 {
		t.suffix = []int32{t.eos[0]}
	}
	return t, nil
}
