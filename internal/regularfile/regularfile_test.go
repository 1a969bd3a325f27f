package regularfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/regularfile"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	_, err := regularfile.Read(path, 5)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("seven b"), 0o644))
	text, err := regularfile.Read(path, 7)
	require.NoError(t, err)
	require.Equal(t, "seven b", string(text))
	_, err = regularfile.Read(path, 6)
	require.ErrorIs(t, err, regularfile.ErrRefused)
	require.ErrorContains(t, err, path+": not a regular file of at most 6 bytes: it has 7")

	require.NoError(t, os.WriteFile(path, nil, 0o644))
	text, err = regularfile.Read(path, 6)
	require.NoError(t, err)
	require.Empty(t, text)
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	_, _, err := regularfile.Open(dir)
	require.ErrorIs(t, err, regularfile.ErrRefused)
	require.ErrorContains(t, err, dir)

	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(path, make([]byte, 9), 0o644))
	require.NoError(t, os.Symlink(path, link))
	f, size, err := regularfile.Open(link)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, int64(9), size)
}
