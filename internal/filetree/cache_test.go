package filetree_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/filetree"
)

// TestCacheOfHuggingFace reads a snapshot, a directory of one, and a snapshot
// through a link to it.
func TestCacheOfHuggingFace(t *testing.T) {
	top := t.TempDir()
	repository := filepath.Join(top, "hub", "models--nvidia--tiny")
	snapshot := filepath.Join(repository, "snapshots", "6f3c")
	require.NoError(t, os.MkdirAll(filepath.Join(snapshot, "weights"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(repository, "blobs", "deep"), 0o700))
	other := filepath.Join(top, "hub", "models--other", "blobs")
	require.NoError(t, os.MkdirAll(other, 0o700))
	for file, text := range map[string]string{"blobs/aa": "first", "blobs/bb": "second", "blobs/deep/cc": "deep", "refs": "6f3c"} {
		require.NoError(t, os.WriteFile(filepath.Join(repository, file), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(other, "dd"), []byte("other"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(filepath.Join(top, "secret"), filepath.Join(repository, "blobs", "ee")))
	for name, target := range map[string]string{
		"model.yaml": "../../blobs/aa", "weights/.metadata": "../../../blobs/bb", "absolute": filepath.Join(repository, "blobs", "aa"),
		"missing": "../../blobs/zz", "deep": "../../blobs/deep/cc", "directory": "../../blobs/deep", "blobs": "../../blobs", "beside": "../../refs",
		"other": "../../../models--other/blobs/dd", "secret": "../../../../secret", "through": "../../blobs/ee", "around": "../../blobs/../../models--other/blobs/dd",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(snapshot, name)))
	}
	linked := filepath.Join(top, "minitron")
	require.NoError(t, os.Symlink(snapshot, linked))
	for _, path := range []string{snapshot, linked} {
		tree := openDir(t, path)
		require.Equal(t, []string{"absolute", "model.yaml", "weights/.metadata"}, tree.Names())
		requireFile(t, tree, "model.yaml", []byte("first"))
		requireFile(t, tree, "weights/.metadata", []byte("second"))
		for _, name := range []string{"missing", "deep", "directory", "blobs", "beside", "other", "secret", "through", "around"} {
			_, err := tree.Open(name)
			require.ErrorIs(t, err, filetree.ErrRefused, name)
		}
	}
	requireFile(t, openDir(t, filepath.Join(snapshot, "weights")), ".metadata", []byte("second"))
	tree := openDir(t, snapshot)
	require.NoError(t, os.Remove(filepath.Join(repository, "blobs", "aa")))
	require.NoError(t, os.Symlink(filepath.Join(top, "secret"), filepath.Join(repository, "blobs", "aa")))
	_, err := tree.Open("model.yaml")
	require.ErrorIs(t, err, filetree.ErrRefused, "a blob that became a link")
}
