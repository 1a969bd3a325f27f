//go:build linux

package elfscan_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/elfscan"
)

// tree is a directory that stands for a machine.
type tree struct {
	testing.TB
	root string
}

func (t tree) path(name string) string { return filepath.Join(t.root, name) }

func (t tree) library(name, text string, args ...string) string {
	t.Helper()
	return compile(t, t.path(name), text, append([]string{"-Wl,-soname," + filepath.Base(name)}, args...)...)
}

func (t tree) write(name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(t.path(name)), 0o755))
	require.NoError(t, os.WriteFile(t.path(name), []byte(text), 0o644))
}

func (t tree) link(target, name string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(t.path(name)), 0o755))
	require.NoError(t, os.Symlink(target, t.path(name)))
}

func (t tree) load(name, libraryPath string) *elfscan.Load {
	t.Helper()
	l, err := elfscan.NewSearch(t.root, libraryPath).Load(name)
	require.NoError(t, err)
	return l
}

func paths(l *elfscan.Load) []string {
	var list []string
	for _, library := range l.Libraries {
		list = append(list, library.Path)
	}
	return list
}

// The order of places is the loader's: DT_RPATH with that of those that asked, LD_LIBRARY_PATH, DT_RUNPATH, the system's.
func TestOrderOfPlaces(t *testing.T) {
	m := tree{t, t.TempDir()}
	var copies []string
	for _, d := range []string{"rpath", "libraries", "runpath", "conf", "lib"} {
		copies = append(copies, m.library(d+"/libinner.so", "int inner(void) { return 1; }"))
	}
	m.library("own/libmiddle.so", "int inner(void); int middle(void) { return inner(); }", copies[0])
	m.library("app/libold.so", "int middle(void); int f(void) { return middle(); }", m.path("own/libmiddle.so"), "-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/../own:/rpath")
	m.library("app/libnew.so", "int inner(void); int f(void) { return inner(); }", copies[0], "-Wl,--enable-new-dtags", "-Wl,-rpath,${ORIGIN}/../runpath")
	m.write("etc/ld.so.conf", "# a comment\ninclude ld.so.conf.d/*.conf\ninclude ld.so.conf\n")
	m.write("etc/ld.so.conf.d/a.conf", "/conf # ours\nhwcap 1 nosegneg\n")

	require.Equal(t, []string{"/app/libold.so", "/own/libmiddle.so", "/rpath/libinner.so"}, paths(m.load("/app/libold.so", "/libraries")))
	for i, want := range []string{"/libraries/libinner.so", "/runpath/libinner.so", "/conf/libinner.so", "/lib/libinner.so"} {
		require.Equal(t, []string{"/app/libnew.so", want}, paths(m.load("/app/libnew.so", "/libraries:")))
		require.NoError(t, os.Remove(copies[i+1]))
	}
	l := m.load("/app/libnew.so", "/libraries:")
	require.Len(t, l.Missing, 1)
	require.Equal(t, elfscan.Missing{Name: "libinner.so", NeededBy: "/app/libnew.so", Searched: []string{"/libraries", "/runpath", "/conf", "/lib"}}, l.Missing[0])
	require.Empty(t, l.Undefined, "what is missing may define them")
}

// Links lead where they would in the tree, never out of it.
func TestLinks(t *testing.T) {
	m := tree{t, t.TempDir()}
	m.library("opt/mpi/libmpi.so.40.30.1", "int MPI_Init(void) { return 0; }", "-Wl,-soname,libmpi.so.40")
	m.link("/opt/mpi/libmpi.so.40.30.1", "etc/alternatives/libmpi.so.40")
	m.link("../../etc/alternatives/libmpi.so.40", "usr/lib/libmpi.so.40")
	m.link("usr/lib", "lib")
	s := elfscan.NewSearch(m.root, "")
	found, ok := s.Find("libmpi.so.40")
	require.True(t, ok)
	require.Equal(t, "/lib/libmpi.so.40", found)
	resolved, err := s.Resolve(found)
	require.NoError(t, err)
	require.Equal(t, "/opt/mpi/libmpi.so.40.30.1", resolved)
	require.Equal(t, []string{"/lib/libmpi.so.40"}, s.Glob("/lib/libmpi*"))

	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, nil, 0o644))
	m.link(outside, "out")
	m.link("../../../../../../../../.."+outside, "up")
	m.link("loop", "loop")
	m.link(outside+"/x", "lib/libx.so")
	for _, name := range []string{"/out", "/up", "/../../.." + outside, "/loop", "/lib/libx.so", "/none"} {
		require.False(t, s.Exists(name), name)
		_, err := s.ReadFile(name, 10)
		require.Error(t, err, name)
	}
	_, ok = s.Find("libx.so")
	require.False(t, ok)
}

// A library for another processor is passed over; a damaged one is named.
func TestUnusableFiles(t *testing.T) {
	m := tree{t, t.TempDir()}
	inner := m.library("good/libinner.so", "int inner(void) { return 1; }")
	m.library("app/libf.so", "int inner(void); int f(void) { return inner(); }", inner)
	b, err := os.ReadFile(inner)
	require.NoError(t, err)
	binary.LittleEndian.PutUint16(b[18:], 21) // PowerPC
	m.write("foreign/libinner.so", string(b))
	m.write("damaged/libinner.so", "\x7fELF")
	require.Equal(t, []string{"/app/libf.so", "/good/libinner.so"}, paths(m.load("/app/libf.so", "/foreign:/damaged:/good")))
	l := m.load("/app/libf.so", "/foreign")
	require.EqualError(t, l.Missing[0].Err, "/foreign/libinner.so is for EM_PPC64, not "+l.Libraries[0].Machine)
	l = m.load("/app/libf.so", "/damaged")
	require.ErrorIs(t, l.Missing[0].Err, elfscan.ErrInvalid)
	_, err = elfscan.NewSearch(m.root, "").Load("/damaged/libinner.so")
	require.ErrorIs(t, err, elfscan.ErrInvalid)
}

// Symbols and versions that an older library does not have.
func TestOlderLibrary(t *testing.T) {
	m := tree{t, t.TempDir()}
	newer := m.library("new/libc9.so", "int old(void) { return 1; } int fresh(void) { return 2; }", versionScript(t, "C_1 { global: old; }; C_2 { global: fresh; } C_1;"))
	m.library("old/libc9.so", "int old(void) { return 1; }", versionScript(t, "C_1 { global: old; };"))
	m.library("plain/libc9.so", "int old(void) { return 1; }")
	m.library("app/libf.so", "int fresh(void); int perhaps(void) __attribute__((weak)); int f(void) { return fresh() + (perhaps ? perhaps() : 0); }", newer)

	l := m.load("/app/libf.so", "/new")
	require.Empty(t, l.Versions)
	require.Empty(t, l.Undefined)
	l = m.load("/app/libf.so", "/old")
	require.Equal(t, []elfscan.MissingVersion{{Version: "C_2", NeededBy: "/app/libf.so", Path: "/old/libc9.so"}}, l.Versions)
	require.Equal(t, []elfscan.Undefined{{Symbol: "fresh", NeededBy: "/app/libf.so"}}, l.Undefined)
	l = m.load("/app/libf.so", "/plain")
	require.Empty(t, l.Versions, "a library without versions is accepted")
	require.Len(t, l.Undefined, 1)
}

// Libraries that need each other are read once; static storage is added up, but that of libc is there anyway.
func TestCycleAndStaticTLS(t *testing.T) {
	m := tree{t, t.TempDir()}
	const model = `__attribute__((tls_model("initial-exec")))`
	m.library("lib/libc.so.6", "static __thread char e[50] "+model+"; char *place(int i) { return &e[i]; }")
	first := m.library("lib/liba.so", "int b(void); int a(void) { return b(); }")
	second := m.library("lib/libb.so", "static __thread char x[300] "+model+"; int a(void); char *place(int); int b(void) { return a() + x[*place(0)]++; }", first, m.path("lib/libc.so.6"))
	m.library("lib/liba.so", "static __thread char y[400] "+model+"; int b(void); int a(void) { return b() + y[0]++; }", second)
	l := m.load("/lib/liba.so", "")
	require.Equal(t, []string{"/lib/liba.so", "/lib/libb.so", "/lib/libc.so.6"}, paths(l))
	list, size := l.StaticTLS()
	require.Len(t, list, 2)
	require.EqualValues(t, 700, size)
}

// In the machine's own tree, LD_LIBRARY_PATH may be relative to the working directory.
func TestRelativeLibraryPath(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(here, "libs"), "/x"}, elfscan.NewSearch("/", "libs::/x/").LibraryPath)
	require.Equal(t, []string{"/libs"}, elfscan.NewSearch(here, "libs").LibraryPath)
}
