package testmodel

import (
	"os"
	"path/filepath"
	"testing"
)

// SmolLM2 is what transformers computes on SmolLM2-135M-Instruct: the values
// of the Q4_1 GGUF rounded to bfloat16, run in float32 with eager attention
// (scripts/smollm2_goldens.py).
type SmolLM2 struct {
	Weights   string          `json:"weights"` // bfloat16
	VocabSize int             `json:"vocab_size"`
	Prompts   []SmolLM2Prompt `json:"prompts"`
}

// SmolLM2Prompt is one prompt, its greedy continuation and some rows of logits.
type SmolLM2Prompt struct {
	Name string `json:"name"` // english, chat, article, code, numbers, tongues
	// Text is encoded without adding special tokens. Where Messages is set,
	// Text is the chat template's rendering with the generation prompt.
	Text     string    `json:"text"`
	Messages []Message `json:"messages"`
	IDs      []int32   `json:"ids"`

	// 64 greedy steps; end ids do not stop them. OutputText skips special tokens.
	GreedyIDs  []int32   `json:"greedy_ids"`
	LogProbs   []float32 `json:"log_probs"`
	Margins    []float32 `json:"margins"`
	OutputText string    `json:"output_text"`

	Positions []SmolLM2Position `json:"positions"`
	// Root mean square error of torch's bfloat16 run on the same tokens: over
	// all logits of the sequence, and over those in Positions.
	BF16RMS     float64 `json:"bf16_rms"`
	BF16RMSBest float64 `json:"bf16_rms_best"`
}

// SmolLM2Position is a row of logits: that after Position+1 tokens of IDs
// followed by GreedyIDs.
type SmolLM2Position struct {
	Position  int       `json:"position"`
	IDs       []int32   `json:"ids"` // the 20 best, best first
	Logits    []float32 `json:"logits"`
	LogSumExp float32   `json:"log_sum_exp"` // over the whole vocabulary
}

const smolLM2File = "SmolLM2-135M-Instruct.Q4_1.gguf"

// SmolLM2Golden returns the reference outputs. They are embedded; the model
// itself is not, see [SmolLM2GGUF].
func SmolLM2Golden(t testing.TB) SmolLM2 {
	t.Helper()
	var g SmolLM2
	readJSON(t, "testdata/smollm2/golden.json", &g)
	return g
}

// SmolLM2GGUF returns the path of SmolLM2-135M-Instruct.Q4_1.gguf: that in
// TRTGO_SMOLLM2_GGUF, else the file in the repository's models directory, where
// `make demo` and `make test` put it. The file must not be changed. Without it
// the test is skipped, or fails if TRTGO_REQUIRE_MODELS is 1.
func SmolLM2GGUF(t testing.TB) string {
	t.Helper()
	name := os.Getenv("TRTGO_SMOLLM2_GGUF")
	if name == "" {
		name = filepath.Join(repository(t), "models", smolLM2File)
	}
	if _, err := os.Stat(name); err != nil {
		if os.Getenv("TRTGO_REQUIRE_MODELS") == "1" {
			t.Fatalf("SmolLM2: TRTGO_REQUIRE_MODELS is 1 but %v", err)
		}
		t.Skipf("SmolLM2 %s not present; make demo or make test fetches it", name)
	}
	return name
}

// repository is the directory of go.mod above the test's package directory,
// in which `go test` runs it.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("testmodel: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "."
		}
		dir = parent
	}
}
