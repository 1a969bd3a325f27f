package filetree_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/filetree"
)

// deep is a name of more than a hundred characters (scripts/distributed_fixtures.py).
var deep = strings.Repeat("d", 60) + "/" + strings.Repeat("e", 60) + "/long"

var numbers = bytes.Repeat(func() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}(), 3)

func openTar(t *testing.T, path string) filetree.Tree {
	t.Helper()
	tree, err := filetree.OpenTar(path)
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

func openDir(t *testing.T, path string) filetree.Tree {
	t.Helper()
	tree, err := filetree.OpenDir(path)
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

func requireFile(t *testing.T, tree filetree.Tree, name string, want []byte) {
	t.Helper()
	f, err := tree.Open(name)
	require.NoError(t, err)
	require.Equal(t, int64(len(want)), f.Size())
	got := make([]byte, len(want)+1)
	n, err := f.ReadAt(got, 0)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, want, got[:n])
	if len(want) > 2 {
		_, err = f.ReadAt(got[:len(want)-2], 1)
		require.NoError(t, err)
		require.Equal(t, want[1:len(want)-1], got[:len(want)-2])
	}
	_, err = f.ReadAt(got, -1)
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)
}

// The same files in every format that tar writes, and as a directory.
func TestTrees(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(deep)), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	files := map[string][]byte{deep: []byte("a name of more than a hundred characters\n"), "a/b": []byte("b\n"), "a.c": numbers, "empty": {}}
	for name, data := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	for where, tree := range map[string]filetree.Tree{
		"directory": openDir(t, dir), "gnu": openTar(t, "testdata/gnu.tar"), "ustar": openTar(t, "testdata/ustar.tar"),
		"pax": openTar(t, "testdata/pax.tar"), "v7": openTar(t, "testdata/v7.tar"),
	} {
		want := []string{"a.c", "a/b", deep, "empty"}
		if where == "v7" { // has no room for long names
			want = []string{"a.c", "a/b", "empty"}
		}
		require.Equal(t, want, tree.Names(), where)
		for _, name := range want {
			requireFile(t, tree, name, files[name])
			require.True(t, filetree.Has(tree, name))
		}
		for _, name := range []string{"", ".", "a", "a/", "./a/b", "a//b", "/a/b", "../a", "a/../a/b", "a/b/c", "other"} {
			_, err := tree.Open(name)
			require.ErrorIs(t, err, fs.ErrNotExist, "%s %q", where, name)
			require.False(t, filetree.Has(tree, name))
		}
		text, err := filetree.ReadFile(tree, "a/b", 2)
		require.NoError(t, err)
		require.Equal(t, "b\n", string(text))
		_, err = filetree.ReadFile(tree, "a/b", 1)
		require.ErrorIs(t, err, filetree.ErrRefused)
		require.ErrorContains(t, err, "it has 2 bytes, more than the 1 that such a file may have")
		require.Empty(t, filetree.Skipped(tree))
	}
}

func TestSub(t *testing.T) {
	tree := openTar(t, "testdata/gnu.tar")
	sub := filetree.Sub(tree, "a")
	require.Equal(t, []string{"b"}, sub.Names())
	requireFile(t, sub, "b", []byte("b\n"))
	for _, name := range []string{"../a.c", "../a/b", "", "a/b", "/b", "./b"} {
		_, err := sub.Open(name)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
	}
	require.Equal(t, tree.Names(), filetree.Sub(tree, ".").Names())
	require.Equal(t, []string{strings.Repeat("e", 60) + "/long"}, filetree.Sub(tree, strings.Repeat("d", 60)+"/").Names())
	require.Equal(t, []string{"long"}, filetree.Sub(filetree.Sub(tree, strings.Repeat("d", 60)), strings.Repeat("e", 60)).Names())
	require.Empty(t, filetree.Sub(tree, "a.").Names())
	require.Empty(t, filetree.Sub(tree, "other").Names())
	require.NoError(t, sub.Close())
	requireFile(t, tree, "a/b", []byte("b\n"))
}

func TestLinksOfAnArchive(t *testing.T) {
	tree := openTar(t, "testdata/links.tar")
	require.Equal(t, []string{"a.c", "a/b", "a/chained", deep, "empty", "hard", "soft"}, tree.Names())
	for _, name := range []string{"hard", "soft", "a/chained"} {
		requireFile(t, tree, name, []byte("b\n"))
	}
	for _, name := range []string{"a/outside", "absolute", "folder", "folder/b", "pipe"} {
		_, err := tree.Open(name)
		require.ErrorIs(t, err, filetree.ErrRefused, name)
		require.ErrorContains(t, err, "testdata/links.tar: member "+strings.TrimSuffix(name, "/b"))
	}
}

func TestLinksOfADirectory(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a/b"), []byte("b\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(parent, "secret"), []byte("secret"), 0o644))
	for name, target := range map[string]string{
		"soft": "a/b", "a/chained": "../soft", "outside": "../secret", "a/outside": "../../secret", "absolute": filepath.Join(parent, "secret"),
		"folder": "a", "parent": "..", "nothing": "missing", "circle": "circle",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	tree := openDir(t, dir)
	require.Equal(t, []string{"a/b", "a/chained", "soft"}, tree.Names())
	for _, name := range tree.Names() {
		requireFile(t, tree, name, []byte("b\n"))
	}
	for name, want := range map[string]string{
		"outside": "leads out of the directory", "a/outside": "leads out of the directory", "absolute": "leads out of the directory",
		"folder": "a link to a directory", "folder/b": "a link to a directory", "parent": "leads out", "parent/secret": "leads out",
		"nothing": "a link to nothing", "circle": "in a circle",
	} {
		_, err := tree.Open(name)
		require.ErrorIs(t, err, filetree.ErrRefused, name)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, dir)
	}
	require.Len(t, filetree.Skipped(tree), 7)

	// A link that is put in the place of a file later leads nowhere either.
	require.NoError(t, os.Remove(filepath.Join(dir, "a/b")))
	require.NoError(t, os.Symlink("../../secret", filepath.Join(dir, "a/b")))
	other := openDir(t, t.TempDir())
	require.Empty(t, other.Names())
	_, err := tree.Open("a/b")
	require.Error(t, err)
	require.ErrorContains(t, err, filepath.Join(dir, "a/b"))
}

func TestDirectoriesThatCannotBeOpened(t *testing.T) {
	_, err := filetree.OpenDir(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = filetree.OpenDir("testdata/gnu.tar")
	require.Error(t, err)
	_, err = filetree.OpenTar("testdata")
	require.Error(t, err)
}

// Thousands of files may be open as Files while few are open for the system.
func TestManyFilesOfADirectory(t *testing.T) {
	dir := t.TempDir()
	const files = 300
	for i := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(fmt.Sprintf("%03d", i)), 0o644))
	}
	before := descriptors(t)
	tree := openDir(t, dir)
	var opened []filetree.File
	for i := range files {
		f, err := tree.Open(fmt.Sprint(i))
		require.NoError(t, err)
		opened = append(opened, f)
	}
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for round := range 3 * files {
				i := (g*37 + round*11) % files
				var text [3]byte
				if n, err := opened[i].ReadAt(text[:], 0); n != 3 || err != nil || string(text[:]) != fmt.Sprintf("%03d", i) {
					t.Errorf("file %d: %q, %v", i, text, err)
					return
				}
			}
		})
	}
	wait.Wait()
	require.Less(t, descriptors(t)-before, 60)
	require.NoError(t, tree.Close())
	require.LessOrEqual(t, descriptors(t), before+2)
	_, err := opened[0].ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, os.ErrClosed)
}

// descriptors counts the open files of this process, where the system lists them.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	return len(list)
}

func TestFilesThatChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("four"), 0o644))
	tree := openDir(t, dir)
	replaced, err := tree.Open("file")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+"2", []byte("FOUR"), 0o644))
	require.NoError(t, os.Rename(path+"2", path))
	_, err = replaced.ReadAt(make([]byte, 4), 0)
	require.ErrorContains(t, err, path+" changed while it was being read")

	cut, err := tree.Open("file")
	require.NoError(t, err)
	_, err = cut.ReadAt(make([]byte, 4), 0)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 2))
	_, err = cut.ReadAt(make([]byte, 4), 0)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, path+": its 4 bytes ended at 2")
	require.NoError(t, os.Remove(path))
	_, err = tree.Open("file")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Past 8 GiB the size is in a record of PAX, or in GNU's binary form.
func TestMembersBeyondEightGigabytes(t *testing.T) {
	const size = 9 << 30
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		path := filepath.Join(t.TempDir(), "large.tar")
		f, err := os.Create(path)
		require.NoError(t, err)
		w := tar.NewWriter(f)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "./large", Size: size, Format: format}))
		at, err := f.Seek(0, io.SeekCurrent)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("end"), at+size-3)
		require.NoError(t, err)
		_, err = f.Seek(at+size, io.SeekStart) // a hole
		require.NoError(t, err)
		w = tar.NewWriter(f)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "./small", Size: 5}))
		_, err = w.Write([]byte("small"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, f.Close())
		tree := openTar(t, path)
		require.Equal(t, []string{"large", "small"}, tree.Names())
		requireFile(t, tree, "small", []byte("small"))
		large, err := tree.Open("large")
		require.NoError(t, err)
		require.Equal(t, int64(size), large.Size())
		var end [3]byte
		_, err = large.ReadAt(end[:], size-3)
		require.NoError(t, err)
		require.Equal(t, "end", string(end[:]))
	}
}
