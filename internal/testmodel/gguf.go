package testmodel

import (
	"path/filepath"
	"strings"
	"testing"
)

// GGUFTensor is a tensor of a GGUF file as gguf-py dequantises it.
type GGUFTensor struct {
	Name   string  `json:"name"`
	Type   string  `json:"type"`   // ggml's name: F32, Q4_1, …
	Shape  []int64 `json:"shape"`  // outermost first, the reverse of the file's order
	SHA256 string  `json:"sha256"` // of the values as little-endian float32, rows in the file's order
}

// Encoding is a text with its ids, special tokens parsed and none added.
type Encoding struct {
	Text string  `json:"text"`
	IDs  []int32 `json:"ids"`
}

// GGUFNames returns the names of the GGUF files that export must take, sorted.
// They serve as names for [GGUF], [Golden] and [Listing]. "gguf-spm" has a
// SentencePiece vocabulary, the others have a byte-level one and a chat
// template.
//
// Two more files exist for [GGUF]: "gguf-unsupported-q5_0", which must be
// refused by the name of its tensor type, and "gguf-rope-freqs", which has
// llama3's rope scaling as a tensor of factors (rope_freqs.weight). The latter
// has a golden and a listing, for whoever maps the factors back to
// rotary_scaling; ignoring the tensor gives wrong logits.
func GGUFNames() []string {
	var names []string
	for _, file := range entries("testdata/gguf") {
		if stem := strings.TrimSuffix(file, ".gguf"); !strings.HasPrefix(stem, "unsupported-") && stem != "rope-freqs" {
			names = append(names, "gguf-"+stem)
		}
	}
	return names
}

// GGUF copies a GGUF file into a temporary directory of the test and returns
// the copy's path.
func GGUF(t testing.TB, name string) string {
	t.Helper()
	file := strings.TrimPrefix(name, "gguf-") + ".gguf"
	target := filepath.Join(t.TempDir(), file)
	write(t, target, read(t, "testdata/gguf/"+file))
	return target
}
