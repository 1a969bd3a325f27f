//go:build cgo && linux && (amd64 || arm64)

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/tokenizer"
)

// longEngine is an engine that can talk for long, and its tokenizer.
func longEngine(t *testing.T) (string, *tokenizer.Tokenizer) {
	dir := t.TempDir()
	engine := filepath.Join(dir, "engine")
	require.Zero(t, run([]string{"trtgo", "export", testmodel.Dir(t, "llama-text"), "-o", filepath.Join(dir, "checkpoint"), "--quiet"}, nil, io.Discard, os.Stderr))
	require.Zero(t, run([]string{"trtgo", "build", "--checkpoint_dir", filepath.Join(dir, "checkpoint"), "-o", engine, "--max_batch_size", "4", "--max_input_len", "59000", "--max_seq_len", "60000", "--quiet"}, nil, io.Discard, io.Discard))
	tok, err := tokenizer.Open(engine)
	require.NoError(t, err)
	return engine, tok
}

// TestInterruptedRun interrupts generation: what there is by then is printed, and
// no file is written.
func TestInterruptedRun(t *testing.T) {
	engine, _ := longEngine(t)
	dir := t.TempDir()

	t.Run("streaming", func(t *testing.T) {
		c := startCommand(t, "run", "--engine_dir", engine, "--max_output_len", "50000", "--input_text", "a", "b", "--end_id", "-1", "--streaming")
		line, err := c.stdout.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "Input [Text 0]: \"<|bos|>a\"\n", line)
		require.Regexp(t, `^Output \[Text 0 Beam 0\]: "`, c.interrupted(t))
	})
	t.Run("json", func(t *testing.T) {
		pipe := filepath.Join(dir, "prompts.jsonl") // written when the engine is open
		require.NoError(t, syscall.Mkfifo(pipe, 0o600))
		csv := filepath.Join(dir, "ids.csv")
		c := startCommand(t, "run", "--engine_dir", engine, "--max_output_len", "50000", "--input_file", pipe, "--end_id", "-1", "--json", "--output_csv", csv)
		require.NoError(t, os.WriteFile(pipe, []byte("\"a\"\n\"b\"\n"), 0o600))
		lines := strings.Split(strings.TrimSuffix(c.interrupted(t), "\n"), "\n")
		require.Len(t, lines, 2)
		for i, line := range lines {
			require.Regexp(t, fmt.Sprintf(`^\{"index":%d,"sequence":0,"input_ids":\[[0-9,]+\],"output_ids":\[[0-9,]*\],"text":".*","finish_reason":"cancelled"\}$`, i), line)
		}
		require.NoFileExists(t, csv)
	})
	t.Run("perplexity", func(t *testing.T) {
		text, kept := filepath.Join(dir, "text.txt"), filepath.Join(dir, "windows.jsonl")
		require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("The river rose in the night. ", 2000)), 0o600))
		c := startCommand(t, "eval", "perplexity", "--engine_dir", engine, text, "--max_length", "64", "--stride", "8", "--output", kept)
		require.Eventually(t, func() bool {
			content, err := os.ReadFile(kept + ".partial")
			return err == nil && strings.Count(string(content), "\n") > 2
		}, time.Minute, time.Millisecond)
		require.Empty(t, c.interrupted(t))
		require.NoFileExists(t, kept)
		require.Regexp(t, `warning: \d+ of \d+ windows were scored before, perplexity [0-9.]+; they are kept in .*windows.jsonl.partial: the same command goes on from there`, c.stderr.String())
	})
	t.Run("mmlu", func(t *testing.T) {
		kept := filepath.Join(dir, "answers.jsonl")
		for _, split := range []string{"dev", "test"} {
			path := filepath.Join(dir, "mmlu", split, "anatomy_"+split+".csv")
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("Which bone is in the leg?,femur,ulna,rib,jaw,A\n", 3000)), 0o600))
		}
		c := startCommand(t, "eval", "mmlu", "--engine_dir", engine, "--data_dir", filepath.Join(dir, "mmlu"), "--output", kept)
		require.Eventually(t, func() bool {
			content, err := os.ReadFile(kept + ".partial")
			return err == nil && strings.Count(string(content), "\n") > 2
		}, time.Minute, time.Millisecond)
		require.Empty(t, c.interrupted(t))
		require.NoFileExists(t, kept)
		require.Regexp(t, `warning: \d+ of 3000 questions were answered before, accuracy [0-9.]+, log-likelihood accuracy [0-9.]+; they are kept in .*answers.jsonl.partial: the same`, c.stderr.String())
	})
	t.Run("compare", func(t *testing.T) {
		text, page, temporary := filepath.Join(dir, "long.txt"), filepath.Join(dir, "page.html"), filepath.Join(dir, "temporary")
		require.NoError(t, os.Mkdir(temporary, 0o755))
		require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("The river rose in the night. ", 9000)), 0o600))
		c := startCommand(t, "eval", "compare", filepath.Join(filepath.Dir(engine), "checkpoint"), engine, text, "--max_length", "64", "--stride", "8", "--report", page, "--temp_dir", temporary)
		require.Eventually(t, func() bool {
			built, err := filepath.Glob(filepath.Join(temporary, "trtgo-compare-*", "A", "config.json"))
			return err == nil && len(built) == 1
		}, time.Minute, time.Millisecond)
		require.Empty(t, c.interrupted(t))
		require.NoFileExists(t, page)
		left, err := os.ReadDir(temporary)
		require.NoError(t, err)
		require.Empty(t, left)
	})
	t.Run("summarize", func(t *testing.T) {
		articles, kept := filepath.Join(dir, "articles.jsonl"), filepath.Join(dir, "kept.jsonl")
		require.NoError(t, os.WriteFile(articles, []byte(strings.Repeat(`{"article":"a b c","highlights":"a"}`+"\n", 1000)), 0o600))
		c := startCommand(t, "summarize", "--engine_dir", engine, "--test_trt_llm", "--dataset", articles, "--output_len", "200", "--max_ite", "1000", "--end_id", "-1", "--streaming",
			"--output", kept, "--output_dir", filepath.Join(dir, "out"))
		for line := ""; !strings.Contains(line, "(rouge1"); { // until an article is done
			var err error
			line, err = c.stdout.ReadString('\n')
			require.NoError(t, err)
		}
		require.NotContains(t, c.interrupted(t), "result")
		require.NoFileExists(t, kept)
		require.NoFileExists(t, filepath.Join(dir, "out", "trtllm.out"))
		require.Regexp(t, `warning: \d+ articles were summarised before: mean rouge1 .*; kept in .*kept.jsonl.partial and .*trtllm.out.partial`, c.stderr.String())
		require.FileExists(t, kept+".partial")
	})
}
