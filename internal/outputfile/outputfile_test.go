package outputfile_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/outputfile"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := outputfile.Create(path)
	require.NoError(t, err)
	defer f.Discard()
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Commit())
}

func TestAFileAppearsWhenItIsComplete(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	require.NoError(t, os.WriteFile(path, []byte("older"), 0o600))
	f, err := outputfile.Create(path)
	require.NoError(t, err)
	_, err = f.WriteString("newer")
	require.NoError(t, err)
	require.NoError(t, f.Flush())
	require.Equal(t, "older", content(t, path))
	require.NoError(t, f.Commit())
	f.Discard()
	require.Equal(t, "newer", content(t, path))
	require.Equal(t, []string{"out"}, names(t, dir))
}

func TestDiscardLeavesTheOlderFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	require.NoError(t, os.WriteFile(path, []byte("older"), 0o600))
	f, err := outputfile.Create(path)
	require.NoError(t, err)
	_, err = f.WriteString("half")
	require.NoError(t, err)
	f.Discard()
	f.Discard()
	require.Error(t, f.Commit(), "it is gone")
	require.Equal(t, "older", content(t, path))
	require.Equal(t, []string{"out"}, names(t, dir))
}

// A new file has the permissions that any other program would give it, a replaced one keeps its own.
func TestPermissions(t *testing.T) {
	dir := t.TempDir()
	usual := filepath.Join(dir, "usual")
	require.NoError(t, os.WriteFile(usual, nil, 0o666)) // as the umask allows
	private := filepath.Join(dir, "private")
	require.NoError(t, os.WriteFile(private, nil, 0o600))
	open := filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(open, nil, 0o600))
	require.NoError(t, os.Chmod(open, 0o666))
	for path, like := range map[string]string{filepath.Join(dir, "new"): usual, private: private, open: open} {
		want := mode(t, like)
		write(t, path, "x")
		require.Equal(t, want, mode(t, path), path)
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode()
}

func TestALinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "there"), 0o755))
	target, link := filepath.Join(dir, "there", "out"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(target, []byte("older"), 0o600))
	if err := os.Symlink(target, link); err != nil {
		t.Skip("no links here:", err)
	}
	write(t, link, "newer")
	require.Equal(t, "newer", content(t, target))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, info.Mode().Type())
}

// Replacing /dev/null, which root may do, would harm every other program.
func TestADeviceIsWritten(t *testing.T) {
	if _, err := os.Stat(os.DevNull); err != nil {
		t.Skip(err)
	}
	before := mode(t, os.DevNull)
	write(t, os.DevNull, "into the void")
	require.Equal(t, before, mode(t, os.DevNull))
	f, err := outputfile.Create(os.DevNull)
	require.NoError(t, err)
	f.Discard()
	require.Equal(t, before, mode(t, os.DevNull))
}

func TestPathsThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	_, err := outputfile.Create(dir)
	require.ErrorContains(t, err, "is a directory, not a file")
	_, err = outputfile.Create(filepath.Join(dir, "gone", "out"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = outputfile.Create(filepath.Join(file, "out"))
	require.Error(t, err)
	require.Equal(t, []string{"file"}, names(t, dir))
}

func Example() {
	path := filepath.Join(os.TempDir(), "trtgo-example-output.txt")
	defer os.Remove(path)
	f, err := outputfile.Create(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Discard() // does nothing after Commit
	fmt.Fprint(f, "complete")
	if err := f.Commit(); err != nil {
		fmt.Println(err)
	}
	text, _ := os.ReadFile(path)
	fmt.Println(string(text))
	// Output: complete
}

func TestKeepNamesAPartialFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	require.NoError(t, os.WriteFile(path, []byte("older"), 0o600))
	f, err := outputfile.Create(path)
	require.NoError(t, err)
	_, err = f.WriteString("half")
	require.NoError(t, err)
	name, err := f.Keep()
	require.NoError(t, err)
	require.Equal(t, path+".partial", name)
	for file, want := range map[string]string{path: "older", name: "half"} {
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	f.Discard()
	require.FileExists(t, name)
}
