package filetree_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/filetree"
)

func newTar(data []byte) (filetree.Tree, error) {
	return filetree.NewTar(bytes.NewReader(data), int64(len(data)), "x.nemo", nil)
}

// packed makes an archive of members, each with its own name as its content.
func packed(t *testing.T, members ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range members {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, h.Name)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestArchivesThatAreRefused(t *testing.T) {
	name := func(name string) tar.Header { return tar.Header{Name: name} }
	for what, c := range map[string]struct {
		members []tar.Header
		want    string
	}{
		"absolute":       {[]tar.Header{name("/etc/passwd")}, `member "/etc/passwd" leads out of the archive`},
		"parent":         {[]tar.Header{name("a/../../b")}, `member "a/../../b" leads out of the archive`},
		"parent itself":  {[]tar.Header{name("..")}, `member ".." leads out of the archive`},
		"directory":      {[]tar.Header{{Name: "../x/", Typeflag: tar.TypeDir}}, "leads out of the archive"},
		"twice":          {[]tar.Header{name("a/b"), name("./a//b")}, `two of its members are called "a/b"`},
		"file and link":  {[]tar.Header{name("a"), {Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}}, `two of its members are called "a"`},
		"link and file":  {[]tar.Header{{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}, name("a")}, `two of its members are called "a"`},
		"device twice":   {[]tar.Header{{Name: "a", Typeflag: tar.TypeChar}, name("a")}, `two of its members are called "a"`},
		"very long name": {[]tar.Header{name(strings.Repeat("n/", 3000) + "n")}, "or its name has more than 4096 bytes"},
	} {
		_, err := newTar(packed(t, c.members...))
		require.ErrorIs(t, err, filetree.ErrRefused, what)
		require.ErrorContains(t, err, "x.nemo: it is refused: ", what)
		require.ErrorContains(t, err, c.want, what)
	}
	for _, name := range []string{"sparse-gnu", "sparse-pax-0.0", "sparse-pax-0.1", "sparse-pax-1.0"} {
		_, err := filetree.OpenTar(filepath.Join("testdata", name+".tar"))
		require.ErrorIs(t, err, filetree.ErrRefused, name)
		require.ErrorContains(t, err, `member "holes" is stored as a sparse file`, name)
	}
}

func TestLinksThatAreNotFollowed(t *testing.T) {
	link := func(kind byte, name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: kind, Linkname: target}
	}
	tree, err := newTar(packed(t,
		tar.Header{Name: "a"}, link(tar.TypeLink, "hard", "./a"), link(tar.TypeLink, "out", "../a"), link(tar.TypeLink, "root", "/a"),
		link(tar.TypeSymlink, "one", "two"), link(tar.TypeSymlink, "two", "one"), link(tar.TypeSymlink, "self", "self"),
		link(tar.TypeLink, "missing", "b"), link(tar.TypeSymlink, "up", "../a"), tar.Header{Name: "null", Typeflag: tar.TypeChar}))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "hard"}, tree.Names())
	for _, name := range []string{"out", "root", "one", "two", "self", "missing", "up", "null"} {
		_, err := tree.Open(name)
		require.ErrorIs(t, err, filetree.ErrRefused, name)
	}
}

func TestArchivesThatAreCut(t *testing.T) {
	whole, err := os.ReadFile("testdata/pax.tar")
	require.NoError(t, err)
	tree, err := newTar(whole)
	require.NoError(t, err)
	end := 0 // of the last member
	for n := range len(whole) / 512 {
		if !bytes.Equal(whole[n*512:(n+1)*512], make([]byte, 512)) {
			end = (n + 1) * 512
		}
	}
	want := tree.Names()
	for n := 0; n < len(whole); n += 128 {
		tree, err := newTar(whole[:n])
		if n == end+512 || n >= end+1024 { // GNU tar too takes one block of zeros for the end
			require.NoError(t, err, n)
			require.Equal(t, want, tree.Names())
			continue
		}
		require.ErrorIs(t, err, filetree.ErrFormat, "%d bytes", n)
		require.ErrorContains(t, err, "incomplete", "%d bytes", n)
	}
	_, err = newTar([]byte(strings.Repeat("no archive ", 100)))
	require.ErrorIs(t, err, filetree.ErrFormat)
	require.ErrorContains(t, err, "x.nemo: invalid archive: it does not begin with the header of a tar archive")
}

// A header may claim any size; nothing is allocated for it.
func TestMemberBeyondTheEnd(t *testing.T) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "./weights", Size: 1 << 50, Format: tar.FormatPAX}))
	out.Write(make([]byte, 2048))
	_, err := newTar(out.Bytes())
	require.ErrorIs(t, err, filetree.ErrFormat)
	require.ErrorContains(t, err, `member "./weights" of 1125899906842624 bytes begins at byte 1536, but the archive ends at 3584: it is incomplete`)
}

func TestNumberOfFilesIsBounded(t *testing.T) {
	data := packed(t, tar.Header{Name: "a"}, tar.Header{Name: "b"}, tar.Header{Name: "c"})
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} { // and the directory itself
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	filetree.LimitFiles(t, 3)
	_, err := newTar(data)
	require.NoError(t, err)
	openDir(t, dir)
	filetree.LimitFiles(t, 2)
	_, err = newTar(data)
	require.ErrorIs(t, err, filetree.ErrRefused)
	require.ErrorContains(t, err, "it has more than 2 members")
	_, err = filetree.OpenDir(dir)
	require.ErrorIs(t, err, filetree.ErrRefused)
	require.ErrorContains(t, err, "more than 2 files")
}

// failing is a disk that cannot read beyond some byte.
type failing struct {
	*bytes.Reader
	from int64
}

var errDisk = io.ErrClosedPipe

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, errDisk
	}
	return f.Reader.ReadAt(p, off)
}

func TestReadErrorsNameTheMember(t *testing.T) {
	data := packed(t, tar.Header{Name: "a"}, tar.Header{Name: "b"})
	_, err := filetree.NewTar(failing{bytes.NewReader(data), 600}, int64(len(data)), "x.nemo", nil)
	require.ErrorIs(t, err, errDisk)
	r := failing{bytes.NewReader(data), int64(len(data))}
	tree, err := filetree.NewTar(&r, int64(len(data)), "x.nemo", nil)
	require.NoError(t, err)
	f, err := tree.Open("b")
	require.NoError(t, err)
	r.from = 100
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, errDisk)
	require.ErrorContains(t, err, "x.nemo: member b: reading 1 bytes at 1536")
}

func FuzzTar(f *testing.F) {
	for _, name := range []string{"gnu", "ustar", "pax", "v7", "links", "sparse-gnu", "sparse-pax-0.0", "sparse-pax-0.1", "sparse-pax-1.0"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".tar"))
		require.NoError(f, err)
		f.Add(bytes.TrimRight(data, "\x00"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := newTar(append(data, make([]byte, 1024)...))
		if err != nil {
			return
		}
		for _, name := range tree.Names() {
			file, err := tree.Open(name)
			require.NoError(t, err)
			require.LessOrEqual(t, file.Size(), int64(len(data)+1024))
			require.False(t, strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") || name == "..", name)
			n, _ := file.ReadAt(make([]byte, file.Size()), 0)
			require.Equal(t, file.Size(), int64(n))
		}
	})
}
