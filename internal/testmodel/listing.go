package testmodel

import (
	"fmt"
	"path"
	"testing"
)

// Checkpoint is what export must write: config.json and the rank files.
// It comes from an independent transform (scripts/checkpoint_listing.py).
type Checkpoint struct {
	// Config is config.json without "producer", as encoding/json reads it into
	// any: numbers are float64. Every key must be there with this value, and
	// nothing else but "producer". For GGUF sources, whose metadata is
	// float32, norm_epsilon and rotary_base are the shortest decimals.
	Config map[string]any `json:"config"`
	// Ranks[r] lists rank{r}.safetensors, sorted by name.
	Ranks [][]Tensor `json:"ranks"`
}

// Tensor is one tensor of a rank file.
type Tensor struct {
	Name   string  `json:"name"`
	Dtype  string  `json:"dtype"` // safetensors' spelling: F32, F16, BF16
	Shape  []int64 `json:"shape"`
	SHA256 string  `json:"sha256"` // of the little-endian bytes, in hexadecimal
}

// Listing returns the checkpoint that export must write for a model of [Names]
// or [GGUFNames] in a dtype (float32, float16, bfloat16) and division. There
// is one for each dtype at tp 1, pp 1, and for some models others
// (scripts/checkpoint_listing.py, EXTRA). The embedding is not sharded.
func Listing(t testing.TB, name, dtype string, tp, pp int) Checkpoint {
	t.Helper()
	return listing(t, name, fmt.Sprintf("%s.tp%d-pp%d", dtype, tp, pp))
}

// ListingParallelEmbedding is [Listing] with use_parallel_embedding and the
// embedding sharded over dim: 0 the vocabulary, 1 the hidden size.
func ListingParallelEmbedding(t testing.TB, name, dtype string, tp, pp, dim int) Checkpoint {
	t.Helper()
	return listing(t, name, fmt.Sprintf("%s.tp%d-pp%d-emb%d", dtype, tp, pp, dim))
}

func listing(t testing.TB, name, variant string) Checkpoint {
	t.Helper()
	var variants map[string]Checkpoint
	readJSON(t, path.Join("testdata/listings", name+".json"), &variants)
	c, ok := variants[variant]
	if !ok {
		t.Fatalf("testmodel: no listing of %s for %s", name, variant)
	}
	return c
}
