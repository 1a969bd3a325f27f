package checkpoint_test

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// write makes a checkpoint whose every tensor's first value is its index.
func write(t *testing.T, dir string, c *checkpoint.Config) {
	t.Helper()
	w, err := checkpoint.Create(dir, c)
	require.NoError(t, err)
	for r := range c.Mapping.WorldSize {
		for i, tensor := range c.RankTensors(r) {
			bf16 := make([]byte, 2)
			binary.LittleEndian.PutUint16(bf16, 0x3f80+uint16(i)) // 1, 1.0078…
			require.NoError(t, w.WriteAt(r, tensor.Name, bf16, 0))
		}
	}
	require.NoError(t, w.AddFile("tokenizer.json", []byte("{}")))
	require.NoError(t, w.Commit())
}

func TestWriteAndOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "ckpt")
	want := divided(llamaConfig(), 2, 2)
	write(t, dir, want)

	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, want, c.Config())
	for r := range 4 {
		rank, err := c.Rank(r)
		require.NoError(t, err)
		require.Empty(t, rank.Unexpected())
		for i, info := range want.RankTensors(r) {
			require.Equal(t, info.Name, rank.Names()[i])
			tensor, ok := rank.Tensor(info.Name)
			require.True(t, ok)
			require.Equal(t, info.Shape, tensor.Shape)
			require.Equal(t, "BF16", tensor.Dtype)
			values := make([]float32, 2)
			require.NoError(t, tensor.ReadFloat32(values, 0))
			require.Equal(t, []float32{1 + float32(i)/128, 0}, values)
			all := make([]byte, tensor.Size())
			require.NoError(t, tensor.ReadAll(all))
			require.Equal(t, byte(0x80+i), all[0])
			require.Error(t, tensor.ReadAll(all[1:]))
			require.Error(t, tensor.ReadFloat32(values, info.Shape[0]))
			require.Error(t, tensor.ReadFloat32(values, -1))
		}
	}
	_, err = c.Rank(4)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	files, err := checkpoint.TokenizerFiles(dir)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "tokenizer.json")}, files)
}

func TestReadFloat32InPieces(t *testing.T) {
	c := llamaConfig()
	c.VocabSize = 3000
	dir := filepath.Join(t.TempDir(), "ckpt")
	w, err := checkpoint.Create(dir, c)
	require.NoError(t, err)
	n := 3000 * 24
	data := make([]byte, 2*n)
	for i := range n {
		binary.LittleEndian.PutUint16(data[2*i:], uint16(i)&0x7f7f)
	}
	require.NoError(t, w.WriteAt(0, "lm_head.weight", data, 0))
	require.NoError(t, w.Commit())
	opened, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer opened.Close()
	rank, _ := opened.Rank(0)
	head, _ := rank.Tensor("lm_head.weight")
	all, rows := make([]float32, n), make([]float32, 24*2900)
	require.NoError(t, head.ReadFloat32(all, 0))
	require.NoError(t, head.ReadFloat32(rows, 100))
	require.Equal(t, all[2400:], rows)
	require.NotZero(t, rows[len(rows)-1])
}

func TestAnInterruptedWriteLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "ckpt")
	w, err := checkpoint.Create(dir, llamaConfig())
	require.NoError(t, err)
	// What a kill would leave: a directory that Open refuses at any point.
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, err = checkpoint.Open(filepath.Join(parent, left[0].Name()))
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	_, err = checkpoint.Open(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoFileExists(t, filepath.Join(parent, left[0].Name(), "config.json"))

	require.NoError(t, w.Abort())
	require.NoError(t, w.Abort())
	left, err = os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Two exports to one place do not take each other's work for abandoned; the last
// one to finish wins.
func TestTwoAtATime(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "ckpt")
	first, err := checkpoint.Create(dir, llamaConfig())
	require.NoError(t, err)
	second, err := checkpoint.Create(dir, divided(llamaConfig(), 2, 1))
	require.NoError(t, err)
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 2)
	require.NoError(t, first.Commit())
	require.NoError(t, second.Commit())
	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, 2, c.Config().Mapping.TPSize)
}

func TestReplacing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "ckpt")
	write(t, dir, divided(llamaConfig(), 2, 1))
	write(t, dir, llamaConfig()) // a checkpoint of ours is replaced as a whole
	require.NoFileExists(t, filepath.Join(dir, "rank1.safetensors"))
	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 1)

	notes := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(notes, nil, 0o644))
	_, err = checkpoint.Create(dir, llamaConfig())
	require.ErrorIs(t, err, checkpoint.ErrExists)
	require.ErrorContains(t, err, "notes.txt")
	require.NoError(t, os.Remove(notes))

	foreign := llamaConfig()
	foreign.Producer.Name = "modelopt"
	text, err := foreign.Text()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644))
	_, err = checkpoint.Create(dir, llamaConfig())
	require.ErrorIs(t, err, checkpoint.ErrExists)
	require.ErrorContains(t, err, "no checkpoint of trtgo")

	file := filepath.Join(parent, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err = checkpoint.Create(file, llamaConfig())
	require.Error(t, err)
	require.FileExists(t, file)
}

// Something appears at the output's place while the export runs.
func TestCommitDoesNotReplaceWhatAppearedMeanwhile(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "ckpt")
	w, err := checkpoint.Create(dir, llamaConfig())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644))
	require.ErrorIs(t, w.Commit(), checkpoint.ErrExists)
	require.FileExists(t, filepath.Join(dir, "thesis.tex"))
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestOpenRefuses(t *testing.T) {
	rewrite := func(dir string, change func([]safetensors.Info) []safetensors.Info) {
		var infos []safetensors.Info
		for _, tensor := range llamaConfig().RankTensors(0) {
			infos = append(infos, safetensors.Info{Name: tensor.Name, Dtype: "BF16", Shape: tensor.Shape})
		}
		path := filepath.Join(dir, "rank0.safetensors")
		require.NoError(t, os.Remove(path))
		w, err := safetensors.Create(path, change(infos), nil)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	for _, test := range []struct {
		name    string
		spoil   func(dir string)
		is      error
		message string
	}{
		{"no config", func(dir string) { os.Remove(filepath.Join(dir, "config.json")) }, fs.ErrNotExist, "config.json"},
		{"no rank", func(dir string) { os.Remove(filepath.Join(dir, "rank0.safetensors")) }, checkpoint.ErrInvalid, "missing: rank0.safetensors"},
		{"truncated", func(dir string) { os.Truncate(filepath.Join(dir, "rank0.safetensors"), 20000) }, safetensors.ErrFormat, "truncated"},
		{"pointer", func(dir string) {
			os.WriteFile(filepath.Join(dir, "rank0.safetensors"), []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), 0o644)
		}, safetensors.ErrPointer, "rank0.safetensors"},
		{"tensor missing", func(dir string) {
			rewrite(dir, func(l []safetensors.Info) []safetensors.Info { return append(l[:4], l[5:]...) })
		}, checkpoint.ErrInvalid, "missing tensors: transformer.layers.0.post_layernorm.weight"},
		{"shape", func(dir string) {
			rewrite(dir, func(l []safetensors.Info) []safetensors.Info { l[0].Shape = []int64{24, 37}; return l })
		}, checkpoint.ErrInvalid, "transformer.vocab_embedding.weight has shape [24 37], config.json gives [37 24]"},
		{"dtype", func(dir string) {
			rewrite(dir, func(l []safetensors.Info) []safetensors.Info { l[2].Dtype = "I8"; return l })
		}, checkpoint.ErrUnsupported, "dtype I8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ckpt")
			write(t, dir, llamaConfig())
			test.spoil(dir)
			_, err := checkpoint.Open(dir)
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.message)
			require.ErrorContains(t, err, dir)
		})
	}
	t.Run("tolerated", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "ckpt")
		write(t, dir, llamaConfig())
		rewrite(dir, func(l []safetensors.Info) []safetensors.Info {
			l[len(l)-1] = safetensors.Info{Name: "rotary_inv_freq", Dtype: "F32", Shape: []int64{3}} // for lm_head
			return l
		})
		c, err := checkpoint.Open(dir)
		require.NoError(t, err)
		defer c.Close()
		rank, _ := c.Rank(0)
		require.Equal(t, []string{"rotary_inv_freq"}, rank.Unexpected())
		head, ok := rank.Tensor("lm_head.weight")
		require.True(t, ok)
		require.Equal(t, "lm_head.weight", head.Name)
		require.Equal(t, []int64{37, 24}, head.Shape)
	})
}

func TestManyMissingNamesAreCutShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ckpt")
	c := divided(llamaConfig(), 8, 5)
	write(t, dir, c)
	for r := range 40 {
		require.NoError(t, os.Remove(filepath.Join(dir, fmt.Sprintf("rank%d.safetensors", r))))
	}
	_, err := checkpoint.Open(dir)
	require.ErrorContains(t, err, "and 32 more")
	require.Less(t, len(strings.Split(err.Error(), ",")), 10)
}
