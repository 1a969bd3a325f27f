package testmodel

import (
	"path"
	"testing"
)

// LogProbReference is what transformers computes on a checkpoint in float32, on the
// weights as they lie on disk (scripts/logprob_goldens.py). All log-probs are under
// the softmax of the raw logits.
type LogProbReference struct {
	Model     string          `json:"model"`
	Weights   string          `json:"weights"` // dtype of the values: bfloat16, float32
	VocabSize int             `json:"vocab_size"`
	Prompts   []LogProbPrompt `json:"prompts"`
	Generated []GreedyVariant `json:"generated"`
}

// LogProbPrompt is a prompt and the first greedy steps after it. LogProbs[0] is 0:
// nothing predicts the first token; Best[i] belongs to the token IDs[i+1].
type LogProbPrompt struct {
	IDs            []int32   `json:"ids"`
	LogProbs       []float32 `json:"log_probs"`
	Best           []Best    `json:"best"`
	GreedyIDs      []int32   `json:"greedy_ids"`
	GreedyLogProbs []float32 `json:"greedy_log_probs"`
	GreedyBest     []Best    `json:"greedy_best"`
	Cumulative     float64   `json:"cumulative"` // sum of GreedyLogProbs
}

// Best are the six best tokens of a place, best first: id, log-prob, id, log-prob …
type Best []float64

// Len is the number of tokens.
func (b Best) Len() int { return len(b) / 2 }

// At gives the token of a rank and its log-prob.
func (b Best) At(rank int) (id int32, logProb float64) { return int32(b[2*rank]), b[2*rank+1] }

// GreedyVariant is what generate() makes of Prompts[Prompt] greedily when logits are
// edited. End ids do not stop it. In every step the best edited logit is at least
// 0.02 above the second.
type GreedyVariant struct {
	Prompt            int       `json:"prompt"`
	RepetitionPenalty float32   `json:"repetition_penalty"` // over prompt and output; 0 is none
	NoRepeatNgramSize int       `json:"no_repeat_ngram_size"`
	BadWordsIDs       [][]int32 `json:"bad_words_ids"`
	IDs               []int32   `json:"ids"`
	LogProbs          []float32 `json:"log_probs"`
}

// LogProbNames returns the names of the checkpoints that have a [LogProbReference].
func LogProbNames() []string {
	names := entries("testdata/logprobs")
	for i, name := range names {
		names[i] = name[:len(name)-len(".json")]
	}
	return names
}

// LogProbs returns the reference log-probs of a checkpoint of [LogProbNames].
func LogProbs(t testing.TB, name string) LogProbReference {
	t.Helper()
	var r LogProbReference
	readJSON(t, path.Join("testdata/logprobs", name+".json"), &r)
	return r
}
