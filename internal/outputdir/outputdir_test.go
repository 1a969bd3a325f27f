package outputdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/outputdir"
)

var errForeign = errors.New("foreign")

// ours takes directories that have a config.json.
func ours(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		return errForeign
	}
	return nil
}

func create(t *testing.T, dir string) *outputdir.Dir {
	t.Helper()
	d, err := outputdir.Create(dir, ours)
	require.NoError(t, err)
	return d
}

func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestCommitAndAbort(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "a", "b")
	d := create(t, dir)
	require.True(t, outputdir.Partial(d.Path))
	require.False(t, outputdir.Partial(dir))
	require.NoDirExists(t, dir)
	put(t, filepath.Join(d.Path, "config.json"), "1")
	require.NoError(t, d.Commit())
	require.NoError(t, d.Abort())
	require.Equal(t, []string{"config.json"}, names(t, dir))

	d = create(t, dir) // replaces it as a whole
	put(t, filepath.Join(d.Path, "other"), "2")
	require.FileExists(t, filepath.Join(dir, "config.json"))
	require.NoError(t, d.Commit())
	require.Equal(t, []string{"other"}, names(t, dir))
	require.Equal(t, []string{"b"}, names(t, filepath.Dir(dir)))

	_, err := outputdir.Create(dir, ours)
	require.ErrorIs(t, err, errForeign)
	d = create(t, dir+"2")
	require.NoError(t, d.Abort())
	require.NoError(t, d.Abort())
	require.Equal(t, []string{"b"}, names(t, filepath.Dir(dir)))
}

// A link keeps pointing where it did, and that place gets the directory.
func TestLinkIsFollowed(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	link, target := filepath.Join(parent, "link"), filepath.Join(elsewhere, "target")
	require.NoError(t, os.Symlink(target, link))
	_, err := outputdir.Create(link, ours)
	require.ErrorIs(t, err, outputdir.ErrRefused)
	require.ErrorContains(t, err, link+": this cannot be the output directory: it is a link to a place that does not exist")

	require.NoError(t, os.Mkdir(target, 0o755))
	d := create(t, link)
	require.Equal(t, elsewhere, filepath.Dir(d.Path), "on the file system that it will stay on")
	put(t, filepath.Join(d.Path, "config.json"), "1")
	require.NoError(t, d.Commit())
	require.Equal(t, []string{"config.json"}, names(t, target))
	to, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, target, to)
}

func TestWhatCannotBeReplaced(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, here := range []string{".", dir} {
		err := outputdir.Check(here, ours)
		require.ErrorIs(t, err, outputdir.ErrRefused)
		require.ErrorContains(t, err, here+": this cannot be the output directory: it is the working directory")
	}
	require.NoError(t, outputdir.Check("inside", ours))

	put(t, filepath.Join(dir, "file"), "")
	require.ErrorIs(t, outputdir.Check("file", ours), outputdir.ErrRefused)
	require.ErrorContains(t, outputdir.Check("file/x", ours), "file/x")
}

// Something appears at the place while the directory is written.
func TestCommitLooksAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	d := create(t, dir)
	require.NoError(t, os.Mkdir(dir, 0o755))
	put(t, filepath.Join(dir, "thesis.tex"), "")
	require.ErrorIs(t, d.Commit(), errForeign)
	require.Equal(t, []string{"thesis.tex"}, names(t, dir))
	require.Equal(t, []string{"out"}, names(t, filepath.Dir(dir)))
}

// Many at once: each commit succeeds, one of them keeps the name, whole.
func TestManyAtOnce(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "out")
	var all sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		all.Go(func() {
			d, err := outputdir.Create(dir, ours)
			if err != nil {
				errs[i] = err
				return
			}
			text := []byte(strconv.Itoa(i))
			errs[i] = errors.Join(os.WriteFile(filepath.Join(d.Path, "weights"), text, 0o644),
				os.WriteFile(filepath.Join(d.Path, "config.json"), text, 0o644), d.Commit())
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, []string{"out"}, names(t, parent))
	require.Equal(t, []string{"config.json", "weights"}, names(t, dir))
	weights, err := os.ReadFile(filepath.Join(dir, "weights"))
	require.NoError(t, err)
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	require.Equal(t, weights, config)
}

// A checkpoint that is there is there at every moment, or, where names cannot be
// swapped, aside and complete.
func TestReplacingLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	write := func(text string) {
		d := create(t, dir)
		put(t, filepath.Join(d.Path, "config.json"), text)
		require.NoError(t, d.Commit())
	}
	write("1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			write("2")
		}
	}()
	for looking := true; looking; {
		select {
		case <-done:
			looking = false
		default:
			if runtime.GOOS == "linux" {
				_, err := os.Stat(filepath.Join(dir, "config.json"))
				require.NoError(t, err)
			}
		}
	}
	require.Equal(t, []string{"c"}, names(t, filepath.Dir(dir)))
}

func TestFileSystemsThatCannotSwap(t *testing.T) {
	outputdir.WithoutSwap(t)
	dir := filepath.Join(t.TempDir(), "c")
	for _, text := range []string{"1", "2"} {
		d := create(t, dir)
		put(t, filepath.Join(d.Path, "config.json"), text)
		require.NoError(t, d.Commit())
		got, err := os.ReadFile(filepath.Join(dir, "config.json"))
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		require.Equal(t, []string{"c"}, names(t, filepath.Dir(dir)))
	}
}
