package filetree_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/filetree"
)

func gzipped(t *testing.T, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	path := filepath.Join(t.TempDir(), "x.nemo")
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o644))
	return path
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestInflateTar(t *testing.T) {
	plain, err := os.ReadFile("testdata/pax.tar")
	require.NoError(t, err)
	path, dir := gzipped(t, plain), t.TempDir()
	is, err := filetree.IsGzip(path)
	require.NoError(t, err)
	require.True(t, is)
	last := int64(0)
	tree, err := filetree.InflateTar(t.Context(), path, dir, func(done int64) {
		require.GreaterOrEqual(t, done, last)
		last = done
	})
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, info.Size(), last)
	requireFile(t, tree, "a/b", []byte("b\n"))
	requireFile(t, tree, "a.c", numbers)
	require.NoError(t, tree.Close())
	require.NoError(t, tree.Close())
	requireEmpty(t, dir)

	_, err = filetree.InflateTar(t.Context(), gzipped(t, []byte("no archive")), dir, nil)
	require.ErrorIs(t, err, filetree.ErrFormat)
	requireEmpty(t, dir)

	// What is no archive is not inflated at all.
	_, err = filetree.InflateTar(t.Context(), gzipped(t, make([]byte, 1<<20)), dir, func(int64) { t.Error("it went on") })
	require.ErrorIs(t, err, filetree.ErrFormat)
	require.ErrorContains(t, err, "what is compressed does not begin with the header of a tar archive")
	requireEmpty(t, dir)
}

func TestIsGzip(t *testing.T) {
	for _, text := range []string{"", "\x1f", "\x1f\x8b\x07", "plain"} {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		is, err := filetree.IsGzip(path)
		require.NoError(t, err)
		require.False(t, is)
	}
	_, err := filetree.IsGzip(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestInflateLeavesNothingBehind(t *testing.T) {
	data := noise(2 << 20)
	path, dir := gzipped(t, data), t.TempDir()
	file, err := filetree.Inflate(t.Context(), path, dir, nil)
	require.NoError(t, err)
	require.Equal(t, int64(len(data)), file.Size())
	got := make([]byte, len(data))
	_, err = file.ReadAt(got, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	require.NoError(t, file.Close())
	require.NoError(t, file.Close())
	requireEmpty(t, dir)

	// Stopped from outside.
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = filetree.Inflate(ctx, path, dir, func(done int64) {
		if done > 1<<20 {
			cancel(stop)
		}
	})
	require.ErrorIs(t, err, stop)
	require.ErrorContains(t, err, "inflating "+path)
	requireEmpty(t, dir)

	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for what, bad := range map[string][]byte{
		"cut": whole[:len(whole)/2], "without its end": whole[:len(whole)-1], "empty": nil,
		"damaged":     append(append(append([]byte{}, whole[:1000]...), 0xff^whole[1000]), whole[1001:]...),
		"wrong sum":   append(append([]byte{}, whole[:len(whole)-8]...), make([]byte, 8)...),
		"with a tail": append(append([]byte{}, whole...), "tail"...),
	} {
		require.NoError(t, os.WriteFile(path, bad, 0o644))
		_, err := filetree.Inflate(t.Context(), path, dir, nil)
		require.ErrorIs(t, err, filetree.ErrFormat, what)
		require.ErrorContains(t, err, path, what)
		requireEmpty(t, dir)
	}
	_, err = filetree.Inflate(t.Context(), path, filepath.Join(dir, "missing"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Little is inflated to much: the disk's space is looked at again and again.
func TestInflateStopsBeforeTheDiskIsFull(t *testing.T) {
	path, dir := gzipped(t, make([]byte, 80<<20)), t.TempDir()
	left := int64(130 << 20)
	filetree.LimitSpace(t, func() int64 { left -= 30 << 20; return left })
	_, err := filetree.Inflate(t.Context(), path, dir, nil)
	require.ErrorContains(t, err, "are left on the disk of "+dir+": it needs more space there, or another temporary directory")
	require.ErrorContains(t, err, "bytes were inflated and 73400320 are left")
	requireEmpty(t, dir)
}
