package testmodel

import (
	"encoding/binary"
	"math"
	"path"
	"testing"
)

// Reference is what transformers computes on a checkpoint. Unless said
// otherwise it ran in float32 with eager attention, on the weights as they lie
// on disk; a quantised GGUF's are dequantised and rounded to bfloat16. Index p counts prompts, s the Steps greedy steps of each.
type Reference struct {
	Model     string `json:"model"`
	Weights   string `json:"weights"` // dtype of the values: bfloat16, float16, float32
	VocabSize int    `json:"vocab_size"`

	Prompts [][]int32 `json:"prompts"` // [p][position]
	// Logits [p][position][vocab_size] at every position of each prompt.
	Logits [][][]float32 `json:"-"`

	// Greedy continuation of each prompt, [p][s]. End ids do not stop it, and
	// it does not contain any. LogProbs are those of the chosen ids under the
	// unscaled softmax; Margins are the best logit minus the second best.
	GreedyIDs [][]int32   `json:"greedy_ids"`
	LogProbs  [][]float32 `json:"log_probs"`
	Margins   [][]float32 `json:"margins"`

	LogitsStd      float64 `json:"logits_std"`
	SmallestMargin float64 `json:"smallest_margin"`

	// Root mean square error of transformers' own bfloat16 run against the
	// float32 run: over the positions of each prompt, over all prompts
	// together, and over each prompt with its greedy ids forced.
	BF16RMS       []float64 `json:"bf16_rms"`
	BF16RMSAll    float64   `json:"bf16_rms_all"`
	BF16RMSForced []float64 `json:"bf16_rms_forced"`

	// Fast says that the checkpoint serves to check bfloat16 engines: weights
	// bfloat16 and every margin at least 0.3.
	Fast bool `json:"fast"`

	// Texts belong to checkpoints with a tokenizer: Texts[p] is Prompts[p].
	Texts []TextPrompt `json:"texts"`

	// Of GGUF files only: the tensors, and texts as the `tokenizers` library
	// encodes them with the file's vocabulary (none for "gguf-spm").
	GGUFTensors []GGUFTensor `json:"gguf_tensors"`
	Encodings   []Encoding   `json:"encodings"`
}

// TextPrompt is a prompt in words. Messages is set where Text is the chat
// template's rendering of them (with the generation prompt); such a text is
// encoded without adding special tokens.
type TextPrompt struct {
	Text       string    `json:"text"`
	Messages   []Message `json:"messages"`
	IDs        []int32   `json:"ids"`
	OutputText string    `json:"output_text"` // greedy ids decoded, special tokens skipped
}

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Steps is the number of greedy steps in a [Reference].
const Steps = 32

// Golden returns the reference outputs of a checkpoint of [Names] or
// [GGUFNames] (those that can be run).
func Golden(t testing.TB, name string) Reference {
	t.Helper()
	var r Reference
	readJSON(t, path.Join("testdata/goldens", name+".json"), &r)
	values := floats(t, path.Join("testdata/goldens", name+".logits"))
	r.Logits = make([][][]float32, len(r.Prompts))
	for p, prompt := range r.Prompts {
		if len(values) < len(prompt)*r.VocabSize {
			t.Fatalf("testmodel: %s.logits ends within prompt %d", name, p)
		}
		for range prompt {
			r.Logits[p] = append(r.Logits[p], values[:r.VocabSize:r.VocabSize])
			values = values[r.VocabSize:]
		}
	}
	if len(values) != 0 {
		t.Fatalf("testmodel: %s.logits holds %d values too many", name, len(values))
	}
	return r
}

func floats(t testing.TB, name string) []float32 {
	t.Helper()
	data := read(t, name)
	if len(data)%4 != 0 {
		t.Fatalf("testmodel: %s holds %d bytes, not a multiple of 4", name, len(data))
	}
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values
}
