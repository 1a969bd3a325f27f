package tensorrt_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// anonymous is the memory of this process, in bytes, that no file backs.
func anonymous(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(string(line), "RssAnon: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	t.Skip("this kernel does not tell how much memory is anonymous")
	return 0
}

// A mapped checkpoint costs no memory of the process: reading each byte of 96 MiB adds
// pages of the file alone.
func TestSourceTakesNoMemory(t *testing.T) {
	config := tinycheckpoint.Config(t, "llama-gqa")
	config.VocabSize = 384 << 10 // embedding and head of 48 MiB each
	dir := t.TempDir()
	text, err := config.Text()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, checkpoint.ConfigName), text, 0o644))
	var infos []safetensors.Info
	for _, want := range config.RankTensors(0) {
		infos = append(infos, safetensors.Info{Name: want.Name, Dtype: checkpoint.SafetensorsDtype(config.Dtype), Shape: want.Shape})
	}
	w, err := safetensors.Create(filepath.Join(dir, checkpoint.RankName(0)), infos, nil)
	require.NoError(t, err)
	require.NoError(t, w.WriteAt("lm_head.weight", []byte{1, 2}, 0))
	require.NoError(t, w.Close())

	ckpt, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer ckpt.Close()
	source, err := tensorrt.OpenSource(ckpt, 0)
	require.NoError(t, err)
	defer source.Close()
	before, read, sum := anonymous(t), 0, 0
	for _, name := range []string{"transformer.vocab_embedding.weight", "lm_head.weight"} {
		stored, err := source.Tensor(name)
		require.NoError(t, err)
		read += len(stored.Bytes)
		for _, b := range stored.Bytes {
			sum += int(b)
		}
	}
	require.Equal(t, 96<<20, read)
	require.Equal(t, 3, sum)
	require.Less(t, anonymous(t)-before, int64(16<<20))
}
