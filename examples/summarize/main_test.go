//go:build cgo && linux && (amd64 || arm64)

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/rouge"
	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// The test binary is the example itself when it is told to be.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_SUMMARIZE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// example is the program, ready to run with these arguments.
func example(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), self, args...)
	command.Env = append(os.Environ(), "RUN_SUMMARIZE=1")
	return command
}

// tinyEngine exports and builds a random model with a tokenizer and a chat template.
func tinyEngine(t *testing.T) string {
	t.Helper()
	checkpoint, engine := filepath.Join(t.TempDir(), "checkpoint"), filepath.Join(t.TempDir(), "engine")
	_, err := export.Convert(t.Context(), testmodel.Dir(t, "llama-text"), export.Options{OutputDir: checkpoint, Dtype: "float32"})
	require.NoError(t, err)
	_, err = build.Build(t.Context(), build.Options{CheckpointDir: checkpoint, OutputDir: engine, MaxInputLen: 1536})
	require.NoError(t, err)
	return engine
}

// What the program prints, against the same requests made in one piece.
func TestExample(t *testing.T) {
	dir := tinyEngine(t)
	engine, err := trtllm.Open(t.Context(), dir)
	require.NoError(t, err)
	defer engine.Close()
	articles, err := readArticles("testdata/articles.jsonl")
	require.NoError(t, err)
	articles = articles[:4]

	const maxTokens = 24
	var summaries []string
	for _, a := range articles {
		content := "Summarize this news article in two or three sentences.\n\n" + a.Article
		response, err := engine.Generate(t.Context(), trtllm.Request{Messages: []tokenizer.Message{{Role: "user", Content: content}}, MaxTokens: maxTokens})
		require.NoError(t, err)
		summaries = append(summaries, response.Text)
	}
	var lines, want strings.Builder
	var scores []rouge.Scores
	for i, a := range articles {
		// A random model's words are in no reference but its own.
		a.Highlights = summaries[i] + "\nof its own, and " + summaries[(i+1)%len(summaries)]
		require.NoError(t, json.NewEncoder(&lines).Encode(a))
		s := rouge.New(rouge.Options{}).Score(summaries[i], a.Highlights)
		fmt.Fprintf(&want, "\n%s\n  %s\n  rouge1 %.1f, rougeL %.1f\n", a.ID, summaries[i], 100*s.Rouge1.FMeasure, 100*s.RougeL.FMeasure)
		scores = append(scores, s)
	}
	total := rouge.Aggregate(scores).Median
	require.Greater(t, total.Rouge1.FMeasure, 0.1)
	fmt.Fprintf(&want, "\nrouge1 %.2f  rouge2 %.2f  rougeL %.2f  rougeLsum %.2f\n", 100*total.Rouge1.FMeasure,
		100*total.Rouge2.FMeasure, 100*total.RougeL.FMeasure, 100*total.RougeLsum.FMeasure)

	dataset := filepath.Join(t.TempDir(), "articles.jsonl")
	require.NoError(t, os.WriteFile(dataset, []byte(lines.String()+"\n"), 0o600))
	got, err := example(t, "-engine", dir, "-dataset", dataset, "-max-tokens", fmt.Sprint(maxTokens)).Output()
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got))
}

func TestExampleIsInterrupted(t *testing.T) {
	command := example(t, "-engine", tinyEngine(t), "-dataset", "testdata/articles.jsonl", "-max-tokens", "500")
	var stderr strings.Builder
	command.Stderr = &stderr
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	_, err = io.ReadFull(stdout, make([]byte, len("\nferry-breakdown\n  ")))
	require.NoError(t, err)
	require.NoError(t, command.Process.Signal(os.Interrupt))
	_, err = io.Copy(io.Discard, stdout)
	require.NoError(t, err)
	require.Error(t, command.Wait())
	require.Equal(t, 1, command.ProcessState.ExitCode())
	require.Regexp(t, `^summarize: article [a-z-]+: .*context canceled`, stderr.String())
}

func TestExampleSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	good := `{"article":"a","highlights":"h","id":"x"}` + "\n"
	for says, dataset := range map[string]string{
		"no such file":                   filepath.Join(dir, "gone"),
		"article 1: EOF":                 write("empty", "\n"),
		"article 2: unexpected EOF":      write("half", good+`{"article":`),
		"article 2: article or highlig":  write("columns", good+`{"text":"a","summary":"h"}`),
		"article 1: invalid character '": write("text", "A ferry broke down."),
		"not an engine directory":        write("good", good),
	} {
		command := example(t, "-engine", dir, "-dataset", dataset)
		var stderr strings.Builder
		command.Stderr = &stderr
		require.Error(t, command.Run(), says)
		require.Equal(t, 1, command.ProcessState.ExitCode(), says)
		require.Contains(t, stderr.String(), says)
	}
}
