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
