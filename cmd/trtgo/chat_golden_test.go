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

// Conversations are what transformers' template and generate make of them
// (scripts/chat_goldens.py), the forgetting included; reuse of the KV cache changes nothing.
func TestChatEqualsTransformers(t *testing.T) {
	data, err := os.ReadFile("testdata/chat.json")
	require.NoError(t, err)
	var conversations []struct {
		System       string
		MaxSeqLen    int `json:"max_seq_len"`
		MaxOutputLen int `json:"max_output_len"`
		Messages     []string
		Turns        []jsonTurn
	}
	require.NoError(t, json.Unmarshal(data, &conversations))
	require.NotEmpty(t, conversations)

	dir := t.TempDir()
	checkpoint := filepath.Join(dir, "checkpoint")
	require.Zero(t, run([]string{"trtgo", "export", testmodel.Dir(t, "llama-text"), "-o", checkpoint, "--dtype", "float32", "--quiet"}, nil, os.Stdout, os.Stderr))
	for i, want := range conversations {
		engine := filepath.Join(dir, fmt.Sprint("engine", i))
		require.Zero(t, run([]string{"trtgo", "build", "--checkpoint_dir", checkpoint, "-o", engine, "--max_batch_size", "1", "--max_seq_len", strconv.Itoa(want.MaxSeqLen), "--quiet"}, nil, os.Stdout, os.Stderr))
		for _, reuse := range []string{"true", "false"} {
			t.Run(fmt.Sprintf("conversation %d, reuse %s", i, reuse), func(t *testing.T) {
				stdin := block + strings.Join(want.Messages, block+"\n"+block) + block
				var stdout, stderr bytes.Buffer
				require.Zero(t, run([]string{
					"trtgo", "chat", "--engine_dir", engine, "--system", want.System, "--max_output_len", strconv.Itoa(want.MaxOutputLen),
					"--kv_cache_enable_block_reuse=" + reuse, "--json", "--quiet",
				}, strings.NewReader(stdin), &stdout, &stderr), &stderr)
				lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
				require.Len(t, lines, len(want.Turns))
				reused := 0
				for i, line := range lines {
					var got jsonTurn
					require.NoError(t, json.Unmarshal([]byte(line), &got))
					reused += got.ReusedTokens
					got.ReusedTokens, want.Turns[i].Index = 0, i
					require.Equal(t, want.Turns[i], got)
				}
				require.Equal(t, reuse == "true", reused > 0)
			})
		}
	}
}
