//go:build cgo && linux && (amd64 || arm64)

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

// The whole road against upstream's loop with transformers' tokenizer and model (scripts/summarize_goldens.py): prompts, their
// order and batches, generated text, what is kept and what is printed.
func TestSummarizeEqualsTransformers(t *testing.T) {
	data, err := os.ReadFile("../../internal/evaluation/testdata/summarize.json")
	require.NoError(t, err)
	var golden struct {
		Articles []json.RawMessage
		Cases    []struct {
			Seed             int
			BatchSize        int    `json:"batch_size"`
			MaxIte           int    `json:"max_ite"`
			MaxInputLength   int    `json:"max_input_length"`
			MinInputLength   int    `json:"min_input_length"`
			AddSpecialTokens bool   `json:"add_special_tokens"`
			TrtllmOut        string `json:"trtllm_out"`
			OutputTokens     int    `json:"output_tokens"`
			Median           []float64
			Perplexity       float64
		}
	}
	require.NoError(t, json.Unmarshal(data, &golden))
	require.NotEmpty(t, golden.Cases)

	dir := t.TempDir()
	checkpoint, engine, articles := filepath.Join(dir, "checkpoint"), filepath.Join(dir, "engine"), filepath.Join(dir, "articles.jsonl")
	require.NoError(t, os.WriteFile(articles, bytes.Join(rawLines(golden.Articles), []byte("\n")), 0o600))
	t.Setenv("TRTGO_THREADS", "1")
	trtgo := func(t *testing.T, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Zero(t, run(append([]string{"trtgo"}, append(args, "--quiet")...), strings.NewReader(""), &stdout, &stderr), stderr.String())
		return stdout.String()
	}
	trtgo(t, "export", testmodel.Dir(t, "llama-text"), "-o", checkpoint, "--dtype", "float32")
	trtgo(t, "build", "--checkpoint_dir", checkpoint, "--output_dir", engine, "--max_batch_size", "8")
	for i, c := range golden.Cases {
		t.Run(fmt.Sprintf("case %d", i), func(t *testing.T) {
			out := t.TempDir()
			args := []string{"summarize", "--test_trt_llm", "--engine_dir", engine, "--dataset", articles, "--output_dir", out, "--output_len", "8",
				"--random_seed", strconv.Itoa(c.Seed), "--batch_size", strconv.Itoa(c.BatchSize), "--max_ite", strconv.Itoa(c.MaxIte),
				"--max_input_length", strconv.Itoa(c.MaxInputLength), "--min_input_length", strconv.Itoa(c.MinInputLength),
				"--eval_ppl"}
			if !c.AddSpecialTokens {
				args = append(args, "--no_add_special_tokens")
			}
			printed := trtgo(t, args...)
			kept, err := os.ReadFile(filepath.Join(out, "trtllm.out"))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("Engine path: %s\nTokenizer path: %s\n", engine, engine)+c.TrtllmOut, string(kept))
			require.Contains(t, printed, fmt.Sprintf("TensorRT-LLM (total output tokens: %d)\n", c.OutputTokens))
			for kind, name := range []string{"rouge1", "rouge2", "rougeL", "rougeLsum"} {
				_, rest, found := strings.Cut(printed, "\n  "+name+": ")
				require.True(t, found, printed)
				value, _, _ := strings.Cut(rest, "\n")
				got, err := strconv.ParseFloat(value, 64)
				require.NoError(t, err)
				require.InDelta(t, c.Median[kind], got, 1e-12, name)
			}
			_, rest, found := strings.Cut(printed, "\n  Per-token perplexity: ")
			require.True(t, found, printed)
			got, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			require.NoError(t, err)
			require.InEpsilon(t, c.Perplexity, got, 1e-5)
		})
	}
}

func rawLines(values []json.RawMessage) [][]byte {
	lines := make([][]byte, len(values))
	for i, v := range values {
		lines[i] = v
	}
	return lines
}
