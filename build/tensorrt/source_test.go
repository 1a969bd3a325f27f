package tensorrt_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/filetree"
)

func openSource(t testing.TB, dir string, rank int) *tensorrt.Source {
	t.Helper()
	ckpt, err := checkpoint.Open(dir)
	require.NoError(t, err)
	source, err := tensorrt.OpenSource(ckpt, rank)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, source.Close())
		require.NoError(t, ckpt.Close())
	})
	return source
}

func requireTensors(t *testing.T, ckpt *checkpoint.Checkpoint, rank int) {
	t.Helper()
	source, err := tensorrt.OpenSource(ckpt, rank)
	require.NoError(t, err)
	r, err := ckpt.Rank(rank)
	require.NoError(t, err)
	var wait sync.WaitGroup
	for _, name := range r.Names() {
		wait.Go(func() {
			tensor, _ := r.Tensor(name)
			want := make([]byte, tensor.Size())
			if tensor.ReadAll(want) != nil {
				t.Errorf("%s cannot be read", name)
			}
			got, err := source.Tensor(name)
			if err != nil || string(got.Bytes) != string(want) || got.Dtype != tensor.Dtype || len(got.Shape) != len(tensor.Shape) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wait.Wait()
	_, err = source.Tensor("transformer.layers.9.x")
	require.ErrorIs(t, err, graph.ErrInvalid)
	require.NoError(t, source.Close())
	require.NoError(t, source.Close())
}

func TestSource(t *testing.T) {
	dir := tinycheckpoint.Dir(t, "llama-gqa", func(c *checkpoint.Config) { c.Mapping = checkpoint.Mapping{WorldSize: 4, TPSize: 2, PPSize: 2} })
	ckpt, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer ckpt.Close()
	for rank := range 4 {
		requireTensors(t, ckpt, rank)
	}
	_, err = tensorrt.OpenSource(ckpt, 4)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
}

func TestSourceOfArchive(t *testing.T) {
	dir := tinycheckpoint.Dir(t, "nemotron", nil)
	path := filepath.Join(t.TempDir(), "checkpoint.tar")
	f, err := os.Create(path)
	require.NoError(t, err)
	w := tar.NewWriter(f)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	tree, err := filetree.OpenTar(path)
	require.NoError(t, err)
	defer tree.Close()
	ckpt, err := checkpoint.OpenTree(tree, path)
	require.NoError(t, err)
	defer ckpt.Close()
	requireTensors(t, ckpt, 0)
}

func TestSourceClosed(t *testing.T) {
	ckpt, err := checkpoint.Open(tinycheckpoint.Dir(t, "nemotron", nil))
	require.NoError(t, err)
	defer ckpt.Close()
	source, err := tensorrt.OpenSource(ckpt, 0)
	require.NoError(t, err)
	require.NoError(t, source.Close())
	_, err = source.Tensor("lm_head.weight")
	if err == nil {
		t.Skip("nothing is mapped here")
	}
	require.ErrorIs(t, err, os.ErrClosed)
}
