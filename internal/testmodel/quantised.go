package testmodel

import (
	"os"
	"path"
	"path/filepath"
	"testing"
)

// QuantisedReference is what must come of a quantised form of a tiny model; torch
// computed it, see scripts/quantised_goldens.py.
type QuantisedReference struct {
	Prompts   [][]int32 `json:"prompts"`
	VocabSize int       `json:"vocab_size"`
	// Ranks has the tensors of each rank file that export must write in the model's
	// own dtype, by "tp2-pp1". Only of forms of FP8.
	Ranks map[string][][]Tensor `json:"ranks"`
	// Logits [position of all prompts][vocab_size] of the quantised network, by the
	// dtype of its engine: with bfloat16, weights are rounded to it once expanded.
	Logits map[string][][]float32 `json:"-"`
	// Error is how far Logits are from the unquantised model's, whose standard
	// deviation is LogitsStd.
	Error     map[string]QuantisationError `json:"error"`
	LogitsStd float64                      `json:"logits_std"`
}

// QuantisationError says how far logits are from others.
type QuantisationError struct {
	RMS        float64 `json:"rms"`
	Largest    float64 `json:"largest"`
	SameArgmax float64 `json:"same_argmax"` // part of the positions
}

// Quantised returns the reference of a form: nemotron or llama-gqa with ".fp8",
// ".int8_wo" or ".int4_wo", llama-gqa.awq, or nemotron.fp8_kv, whose cache is FP8, too.
func Quantised(t testing.TB, name string) QuantisedReference {
	t.Helper()
	var r QuantisedReference
	readJSON(t, path.Join("testdata/quantised", name+".json"), &r)
	values := floats(t, path.Join("testdata/quantised", name+".logits"))
	rows := 0
	for _, prompt := range r.Prompts {
		rows += len(prompt)
	}
	if len(values) != 2*rows*r.VocabSize {
		t.Fatalf("testmodel: %s.logits holds %d values, not 2 × %d × %d", name, len(values), rows, r.VocabSize)
	}
	r.Logits = map[string][][]float32{}
	for _, dtype := range []string{"bfloat16", "float32"} {
		for range rows {
			r.Logits[dtype] = append(r.Logits[dtype], values[:r.VocabSize:r.VocabSize])
			values = values[r.VocabSize:]
		}
	}
	return r
}

// QuantisedDir copies a quantised form into a temporary directory of the test and
// returns its path: nemotron.fp8 (as AutoFP8 writes it) and llama-gqa.fp8 (as
// compressed-tensors does) are Hugging Face directories, llama-gqa.awq is a
// TensorRT-LLM checkpoint in ModelOpt's layout. The test may change the copy.
func QuantisedDir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatalf("testmodel: %v", err)
	}
	source := path.Join("testdata/quantised", name)
	list, err := testdata.ReadDir(source)
	if err != nil {
		t.Fatalf("testmodel: no quantised form %q: %v", name, err)
	}
	for _, e := range list {
		write(t, filepath.Join(dir, e.Name()), read(t, path.Join(source, e.Name())))
	}
	return dir
}
