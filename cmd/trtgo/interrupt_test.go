//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

// command is a running trtgo in a process of its own, for signals.
type command struct {
	*exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func startCommand(t *testing.T, args ...string) *command {
	exe, err := os.Executable()
	require.NoError(t, err)
	c := &command{Cmd: &exec.Cmd{Path: exe, Args: append([]string{"trtgo"}, args...)}} // the name makes TestMain run main
	c.Stderr = &c.stderr
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	c.stdout = bufio.NewReader(stdout)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// interrupted sends Ctrl-C and returns the rest of stdout. The status must be 130.
func (c *command) interrupted(t *testing.T) string {
	require.NoError(t, c.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(c.stdout)
	require.NoError(t, err)
	_ = c.Wait()
	require.Equal(t, 130, c.ProcessState.ExitCode(), c.stderr.String())
	require.True(t, strings.HasSuffix(c.stderr.String(), "trtgo: interrupted\n"), c.stderr.String())
	return string(rest)
}

// TestInterruptedOutputs interrupts export and build while they write: nothing
// may be left of the output.
func TestInterruptedOutputs(t *testing.T) {
	source := testmodel.Dir(t, "llama-gqa")
	dir := t.TempDir()
	checkpoint := filepath.Join(dir, "checkpoint")
	require.Zero(t, run([]string{"trtgo", "export", source, "-o", checkpoint, "--quiet"}, nil, io.Discard, os.Stderr))
	enlargeVocabulary(t, source, "model.safetensors")
	enlargeVocabulary(t, checkpoint, "rank0.safetensors")
	out := filepath.Join(dir, "out")
	for _, args := range [][]string{
		{"export", source, "-o", out, "--dtype", "float32"},
		{"build", "--checkpoint_dir", checkpoint, "-o", out},
	} {
		t.Run(args[0], func(t *testing.T) {
			c := startCommand(t, args...)
			require.Eventually(t, func() bool {
				begun, err := filepath.Glob(filepath.Join(dir, ".out.partial-*", "*"))
				return err == nil && len(begun) > 0
			}, time.Minute, time.Millisecond)
			require.Empty(t, c.interrupted(t))
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, left, 1, "%v", left)
			require.Equal(t, "checkpoint", left[0].Name())
		})
	}
}

// enlargeVocabulary makes embedding and head of a checkpoint so large, and all
// weights zero, that writing them takes a while. The file is sparse.
func enlargeVocabulary(t *testing.T, dir, weights string) {
	const old, enlarged = 257, 1 << 20
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	config = bytes.Replace(config, fmt.Appendf(nil, `"vocab_size": %d`, old), fmt.Appendf(nil, `"vocab_size": %d`, enlarged), 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644))

	path := filepath.Join(dir, weights)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var header map[string]struct {
		Dtype   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	text := content[8 : 8+binary.LittleEndian.Uint64(content)]
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &all))
	delete(all, "__metadata__")
	text, err = json.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &header))
	end := int64(0)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		tensor := header[name]
		size := tensor.Offsets[1] - tensor.Offsets[0]
		if tensor.Shape[0] == old {
			tensor.Shape[0] = enlarged
			size = size / old * enlarged
		}
		tensor.Offsets = [2]int64{end, end + size}
		end += size
		header[name] = tensor
	}
	text, err = json.Marshal(header)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), 0o644))
	require.NoError(t, os.Truncate(path, int64(8+len(text))+end))
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

// A command that takes Ctrl-C and does not notice it can still be ended.
func TestTakenInterrupts(t *testing.T) {
	var i interrupts
	require.False(t, i.hand(), "nobody takes it")
	taken := takeInterrupts(context.WithValue(t.Context(), interruptsKey{}, &i))
	require.True(t, i.hand())
	require.False(t, i.hand(), "the one before was not noticed")
	<-taken
	require.True(t, i.hand())
}
