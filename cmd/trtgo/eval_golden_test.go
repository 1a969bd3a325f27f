//go:build cgo && linux && (amd64 || arm64)

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// evalGolden is eval.json: what transformers computes on SmolLM2-135M-Instruct (scripts/eval_goldens.py).
type evalGolden struct {
	TextTokens int `json:"text_tokens"`
	Bytes      int
	Perplexity []struct {
		MaxLength  int `json:"max_length"`
		Stride     int
		Tokens     int
		Windows    int
		NLL        float64
		Perplexity float64
	}
	Compare struct {
		MaxLength int `json:"max_length"`
		Stride    int
		Position  []int
		KL        []float64
		LogProbA  []float64 `json:"log_prob_a"`
		LogProbB  []float64 `json:"log_prob_b"`
		BestA     []int32   `json:"best_a"`
		BestB     []int32   `json:"best_b"`
	}
	MMLU map[string][]struct {
		PromptTokens int `json:"prompt_tokens"`
		Written      string
		Upstream     bool      // right by upstream's method
		Letters      []float64 // log-probs
		Pick         string
		Likelihood   bool // right by the other one
	}
}

const evalTestdata = "../../internal/evaluation/testdata"

func loadEvalGolden(t *testing.T) evalGolden {
	content, err := os.ReadFile(filepath.Join(evalTestdata, "eval.json"))
	require.NoError(t, err)
	var golden evalGolden
	require.NoError(t, json.Unmarshal(content, &golden))
	return golden
}

// smolEngine builds an engine of SmolLM2-135M-Instruct in float32, with linears as qformat says.
func smolEngine(t *testing.T, qformat string) string {
	gguf := testmodel.SmolLM2GGUF(t)
	dir := t.TempDir()
	checkpoint, engine := filepath.Join(dir, "checkpoint"), filepath.Join(dir, "engine")
	require.Zero(t, run([]string{"trtgo", "export", gguf, "-o", checkpoint, "--dtype", "float32", "--qformat", qformat, "--quiet"}, nil, io.Discard, os.Stderr))
	require.Zero(t, run([]string{"trtgo", "build", "--checkpoint_dir", checkpoint, "-o", engine, "--max_batch_size", "8", "--max_input_len", "1000", "--max_seq_len", "1024", "--max_num_tokens", "512", "--quiet"}, nil, io.Discard, os.Stderr))
	require.NoError(t, os.RemoveAll(checkpoint))
	return engine
}

// runJSON runs a command that prints lines of JSON and reads them.
func runJSON[T any](t *testing.T, args ...string) []T {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(append([]string{"trtgo"}, args...), nil, &stdout, &stderr), "%s", &stderr)
	var lines []T
	for decoder := json.NewDecoder(&stdout); ; {
		var line T
		err := decoder.Decode(&line)
		if err == io.EOF {
			return lines
		}
		require.NoError(t, err)
		lines = append(lines, line)
	}
}

// What eval computes on a real model is what transformers computes on it.
func TestEvaluationsEqualTransformers(t *testing.T) {
	if testing.Short() { // the race detector has seen it all by then
		t.Skip("a real model")
	}
	golden := loadEvalGolden(t)
	engine := smolEngine(t, "full_prec")
	t.Run("perplexity", func(t *testing.T) { perplexityEqualsTransformers(t, golden, engine) })
	t.Run("mmlu", func(t *testing.T) { mmluEqualsTransformers(t, golden, engine) })
	t.Run("compare", func(t *testing.T) { compareEqualsTransformers(t, golden, engine, smolEngine(t, "int8_wo")) })
}

func perplexityEqualsTransformers(t *testing.T, golden evalGolden, engine string) {
	require.Len(t, golden.Perplexity, 2)
	for _, want := range golden.Perplexity {
		lines := runJSON[jsonPerplexity](t, "eval", "perplexity", "--engine_dir", engine, filepath.Join(evalTestdata, "text.txt"), "--json", "--quiet",
			"--max_length", strconv.Itoa(want.MaxLength), "--stride", strconv.Itoa(want.Stride))
		require.Len(t, lines, 1)
		got := lines[0]
		require.Equal(t, []int{golden.TextTokens, golden.Bytes, want.Tokens, want.Windows}, []int{got.TextTokens, got.Bytes, got.Tokens, got.Windows})
		require.InEpsilon(t, want.NLL/float64(want.Tokens), got.NLLPerToken, 1e-5)
		require.InEpsilon(t, want.Perplexity, got.Perplexity.Perplexity, 1e-4)
	}
}

func mmluEqualsTransformers(t *testing.T, golden evalGolden, engine string) {
	kept := filepath.Join(t.TempDir(), "answers.jsonl")
	lines := runJSON[jsonMMLU](t, "eval", "mmlu", "--engine_dir", engine, "--data_dir", filepath.Join(evalTestdata, "mmlu"), "--json", "--quiet", "--output", kept)
	content, err := os.ReadFile(kept)
	require.NoError(t, err)
	right, likely, n := 0, 0, 0
	for line := range bytes.Lines(content) {
		var got evaluation.Answer
		require.NoError(t, json.Unmarshal(line, &got))
		if got.Subject == "" {
			continue // the head
		}
		n++
		want := golden.MMLU[got.Subject][got.Number]
		require.Equal(t, want.Written, got.Written, "%s %d", got.Subject, got.Number)
		require.Equal(t, []bool{want.Upstream, want.Likelihood}, []bool{got.Correct, got.LikelyCorrect})
		require.Equal(t, want.Pick, got.Likeliest)
		require.InDeltaSlice(t, want.Letters, got.LogProbs, 3e-4)
		require.Equal(t, 5, got.Shots)
		if want.Upstream {
			right++
		}
		if want.Likelihood {
			likely++
		}
	}
	require.Equal(t, 18, n)
	total := lines[len(lines)-1]
	require.InDelta(t, float64(right)/18, *total.Accuracy, 1e-12)
	require.InDelta(t, float64(likely)/18, *total.LikelihoodAccuracy, 1e-12)
}

// Of float32 and int8 weights, against torch with the rounded weights. What is told of each token is summed up here in the same way.
func compareEqualsTransformers(t *testing.T, golden evalGolden, a, b string) {
	want := golden.Compare
	n := len(want.KL)
	lines := runJSON[evaluation.CompareSummary](t, "eval", "compare", a, b, filepath.Join(evalTestdata, "text.txt"), "--json", "--quiet",
		"--max_length", strconv.Itoa(want.MaxLength), "--stride", strconv.Itoa(want.Stride), "--largest", strconv.Itoa(n))
	require.Len(t, lines, 1)
	got := lines[0]
	require.Equal(t, n, got.Tokens)
	require.Len(t, got.Largest, n, "all tokens are told")
	same, kl := 0.0, 0.0
	for _, l := range got.Largest {
		i := slices.Index(want.Position, l.Position)
		require.InDelta(t, want.KL[i], l.KL, 1e-5+0.01*want.KL[i], "token %d", l.Position)
		require.InDelta(t, want.LogProbA[i], l.LogProbA, 3e-4, "token %d", l.Position)
		require.InDelta(t, want.LogProbB[i], l.LogProbB, 3e-3, "token %d", l.Position)
		require.Equal(t, []int32{want.BestA[i], want.BestB[i]}, []int32{l.TopA[0].Token, l.TopB[0].Token}, "token %d", l.Position)
	}
	for i := range n {
		kl += want.KL[i] / float64(n)
		if want.BestA[i] == want.BestB[i] {
			same += 1 / float64(n)
		}
	}
	require.InEpsilon(t, kl, got.KL.Mean, 0.005)
	require.InDelta(t, same, got.SameBest, 1e-9)
	require.Less(t, got.SameBest, 1.0, "otherwise agreement is not tested")
}
