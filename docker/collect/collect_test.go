//go:build linux

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// image is a tree laid out as TensorRT-LLM's image is, of small libraries.
type image struct {
	t    *testing.T
	root string
}

// write makes a file of text.
func (i *image) write(name, text string) {
	path := filepath.Join(i.root, name)
	require.NoError(i.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(i.t, os.WriteFile(path, []byte(text), 0o644))
}

func (i *image) link(name, target string) {
	path := filepath.Join(i.root, name)
	require.NoError(i.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(i.t, os.Symlink(target, path))
}

// library makes a library, or with -no-pie or -pie a program, that needs others: their paths in the tree, or a name of
// one that is nowhere.
func (i *image) library(name string, args ...string) {
	i.t.Helper()
	path := filepath.Join(i.root, name)
	require.NoError(i.t, os.MkdirAll(filepath.Dir(path), 0o755))
	kind := []string{"-shared", "-fPIC", "-Wl,-soname," + filepath.Base(name)}
	rest := []string{"-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined"}
	for _, a := range args {
		switch {
		case a == "-no-pie" || a == "-pie":
			kind = []string{a}
		case strings.HasPrefix(a, "-"):
			rest = append(rest, a)
		case strings.HasPrefix(a, "/"):
			rest = append(rest, filepath.Join(i.root, a))
		default: // needed, but not in the tree
			elsewhere := &image{i.t, i.t.TempDir()}
			elsewhere.library(a)
			rest = append(rest, filepath.Join(elsewhere.root, a))
		}
	}
	source := filepath.Join(i.t.TempDir(), "source.c")
	require.NoError(i.t, os.WriteFile(source, []byte("void _start(void) {}"), 0o644))
	out, err := exec.Command("cc", append(append(append(kind, "-nostdlib", "-o", path), source), rest...)...).CombinedOutput()
	require.NoError(i.t, err, "%s", out)
}

const (
	packages = "/usr/local/lib/python3.12/dist-packages"
	libs     = packages + "/tensorrt_llm/libs"
)

// newImage copies the tree, which is compiled once.
func newImage(t *testing.T) *image {
	once.Do(func() { compileImage(&image{t, shared}) })
	i := &image{t, t.TempDir()}
	require.NoError(t, os.CopyFS(i.root, os.DirFS(shared)))
	return i
}

var (
	once   sync.Once
	shared string
)

func TestMain(m *testing.M) {
	var err error
	if shared, err = os.MkdirTemp("", "collect"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(shared)
	os.Exit(status)
}

func compileImage(i *image) {
	i.link("lib", "usr/lib")
	i.write("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
	i.write("/etc/ld.so.conf.d/a.conf", "/usr/local/tensorrt/lib\n/app/tensorrt_llm/lib\n/opt/hpcx/hcoll/lib\n"+packages+"/torch/lib\n/opt/hpcx/ompi/lib\n")
	const system = "/usr/lib/x86_64-linux-gnu/"
	i.library(system + "libc.so.6")
	i.library(system + "libnuma.so.1")
	i.link(system+"libibverbs.so.1", "libibverbs.so.1.14.50")
	i.library(system+"libibverbs.so.1.14.50", "/usr/lib/x86_64-linux-gnu/libc.so.6")
	i.library("/usr/local/tensorrt/lib/libnvinfer.so.10.14.1", "/usr/lib/x86_64-linux-gnu/libc.so.6", "-Wl,-soname,libnvinfer.so.10")
	i.link("/usr/local/tensorrt/lib/libnvinfer.so.10", "libnvinfer.so.10.14.1")
	i.write("/usr/local/tensorrt/lib/libnvinfer_builder_resource.so.10.14.1", "large")

	i.link("/opt/hpcx/ompi", "ompi4")
	i.library("/opt/hpcx/ompi4/lib/libopen-pal.so.40", system+"libnuma.so.1")
	i.library("/opt/hpcx/ompi4/lib/libmpi.so.40", "/opt/hpcx/ompi4/lib/libopen-pal.so.40")
	i.library("/opt/hpcx/hcoll/lib/libhcoll.so.1")
	i.library("/opt/hpcx/ompi4/lib/openmpi/mca_coll_hcoll.so", "/opt/hpcx/hcoll/lib/libhcoll.so.1")
	i.write("/opt/hpcx/ompi4/lib/openmpi/mca_broken.so", "not an ELF file")
	i.link("/opt/hpcx/ompi4/lib/openmpi/mca_gone.so", "nowhere.so")
	i.write("/opt/hpcx/ompi4/etc/openmpi-mca-params.conf", "settings")
	i.library("/opt/hpcx/ompi4/bin/orterun", "-no-pie", "/opt/hpcx/ompi4/lib/libmpi.so.40")
	i.link("/opt/hpcx/ompi4/bin/mpirun", "orterun")

	i.library(packages + "/torch/lib/libc10.so")
	i.library(packages + "/torch/lib/libtorch_python.so")
	i.library(libs+"/libpg_utils.so", packages+"/torch/lib/libc10.so")
	i.library(libs+"/libdecoder_attention_0.so", "libcuda.so.1")
	i.library(libs+"/libtensorrt_llm.so", "-Wl,-rpath,$ORIGIN", "/usr/local/tensorrt/lib/libnvinfer.so.10", "/opt/hpcx/ompi4/lib/libmpi.so.40",
		libs+"/libpg_utils.so", libs+"/libdecoder_attention_0.so", "libcuda.so.1", system+"libc.so.6")
	i.library(libs+"/libnvinfer_plugin_tensorrt_llm.so", libs+"/libtensorrt_llm.so")
	i.library(libs + "/libth_common.so")
	i.write(packages+"/tensorrt_llm-1.2.1.dist-info/METADATA", "Version: 1.2.1")
	i.link("/app/tensorrt_llm/lib", libs)
	i.link("/app/tensorrt_llm/bin", packages+"/tensorrt_llm/bin")
	i.library(packages+"/tensorrt_llm/bin/executorWorker", "-pie", libs+"/libtensorrt_llm.so")
	i.library("/usr/local/lib/libtrtgo_tensorrt.so", libs+"/libtensorrt_llm.so")
	i.library("/usr/local/bin/trtgo", "-no-pie", system+"libc.so.6")
}

func (i *image) collect(list string) (string, *summary, error) {
	target := filepath.Join(i.t.TempDir(), "target")
	s, err := collect(options{root: i.root, target: target, list: list, loaderConfig: "/etc/ld.so.conf.d/trtgo.conf"})
	return target, s, err
}

// names lists the files below a directory; links as NAME -> TARGET.
func names(t *testing.T, dir string) (list []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		name := strings.TrimPrefix(path, dir)
		if target, err := os.Readlink(path); err == nil {
			name += " -> " + target
		}
		list = append(list, name)
		return nil
	}))
	return list
}

// The list of Dockerfile.runtime, over a tree laid out as its image.
func TestRuntimeList(t *testing.T) {
	target, s, err := newImage(t).collect("../libraries.list")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"/app/tensorrt_llm/bin -> " + packages + "/tensorrt_llm/bin",
		"/app/tensorrt_llm/lib -> " + libs,
		"/etc/ld.so.conf.d/trtgo.conf",
		"/opt/hpcx/hcoll/lib/libhcoll.so.1",
		"/opt/hpcx/ompi -> ompi4",
		"/opt/hpcx/ompi4/bin/mpirun -> orterun",
		"/opt/hpcx/ompi4/bin/orterun",
		"/opt/hpcx/ompi4/etc/openmpi-mca-params.conf",
		"/opt/hpcx/ompi4/lib/libmpi.so.40",
		"/opt/hpcx/ompi4/lib/libopen-pal.so.40",
		"/opt/hpcx/ompi4/lib/openmpi/mca_broken.so",
		"/opt/hpcx/ompi4/lib/openmpi/mca_coll_hcoll.so",
		"/usr/lib/x86_64-linux-gnu/libibverbs.so.1 -> libibverbs.so.1.14.50",
		"/usr/lib/x86_64-linux-gnu/libibverbs.so.1.14.50",
		"/usr/lib/x86_64-linux-gnu/libnuma.so.1",
		"/usr/local/bin/trtgo",
		"/usr/local/lib/libtrtgo_tensorrt.so",
		packages + "/tensorrt_llm-1.2.1.dist-info/METADATA",
		packages + "/tensorrt_llm/bin/executorWorker",
		libs + "/libdecoder_attention_0.so",
		libs + "/libnvinfer_plugin_tensorrt_llm.so",
		libs + "/libpg_utils.so",
		libs + "/libtensorrt_llm.so",
		packages + "/torch/lib/libc10.so",
		"/usr/local/tensorrt/lib/libnvinfer.so.10 -> libnvinfer.so.10.14.1",
		"/usr/local/tensorrt/lib/libnvinfer.so.10.14.1",
	}, names(t, target))
	conf, err := os.ReadFile(filepath.Join(target, "etc/ld.so.conf.d/trtgo.conf"))
	require.NoError(t, err)
	require.Equal(t, "/usr/local/tensorrt/lib\n/app/tensorrt_llm/lib\n/opt/hpcx/hcoll/lib\n"+packages+"/torch/lib\n/opt/hpcx/ompi/lib\n"+
		"/lib/x86_64-linux-gnu\n", string(conf), "in the order in which they were searched")
	info, err := os.Stat(filepath.Join(target, "usr/local/bin/trtgo"))
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&0o100, "the program can be executed")

	var text strings.Builder
	s.print(&text)
	require.Contains(t, text.String(), "left to the driver and the base: libc.so.6, libcuda.so.1\n")
	require.Contains(t, text.String(), "not there: /opt/hpcx/ucx/lib/ucx (UCX's transports, opened by libucs)\n")
}

// All that is missing is told at once, with who needs it; nothing of the sort is told of the driver.
func TestMissing(t *testing.T) {
	i := newImage(t)
	require.NoError(t, os.Remove(filepath.Join(i.root, "opt/hpcx/hcoll/lib/libhcoll.so.1")))
	target, s, err := i.collect("../libraries.list")
	require.NoError(t, err, "MPI passes over a component that cannot be loaded")
	require.FileExists(t, filepath.Join(target, "opt/hpcx/ompi/lib/openmpi/mca_coll_hcoll.so"))
	var text strings.Builder
	s.print(&text)
	require.Contains(t, text.String(), "missing, and passed over: libhcoll.so.1, needed by /opt/hpcx/ompi/lib/openmpi/mca_coll_hcoll.so; looked in ")

	require.NoError(t, os.Remove(filepath.Join(i.root, packages, "torch/lib/libc10.so")))
	require.NoError(t, os.Remove(filepath.Join(i.root, "usr/lib/x86_64-linux-gnu/libnuma.so.1")))
	_, _, err = i.collect("../libraries.list")
	require.ErrorContains(t, err, "2 libraries are missing in "+i.root)
	require.ErrorContains(t, err, "libc10.so, needed by /app/tensorrt_llm/lib/libpg_utils.so; looked in ")
	require.ErrorContains(t, err, "libnuma.so.1, needed by /opt/hpcx/ompi/lib/libopen-pal.so.40; looked in ")
	require.NotContains(t, err.Error(), "libcuda")
	require.NotContains(t, err.Error(), "libhcoll")

	require.NoError(t, os.Remove(filepath.Join(i.root, "usr/local/lib/libtrtgo_tensorrt.so")))
	_, _, err = i.collect("../libraries.list")
	require.ErrorContains(t, err, "nothing matches /usr/local/lib/libtrtgo_tensorrt.so, which is needed: its library for TensorRT")
}

func TestNeededFileIsNoLibrary(t *testing.T) {
	i := newImage(t)
	i.write(libs+"/libtensorrt_llm.so", "text")
	_, _, err := i.collect("../libraries.list")
	require.ErrorContains(t, err, "libtensorrt_llm.so")
	require.ErrorContains(t, err, "not a shared library that can be read")
}

// A program at a fixed address whose library is missing.
func TestMissingOfProgram(t *testing.T) {
	i := newImage(t)
	i.library("/usr/local/bin/trtgo", "-no-pie", "libgone.so.3")
	_, _, err := i.collect("../libraries.list")
	require.ErrorContains(t, err, "libgone.so.3, needed by /usr/local/bin/trtgo; looked in ")
}

// A program at a fixed address names the directories of its libraries.
func TestDirectoriesOfProgram(t *testing.T) {
	i := newImage(t)
	i.library("/opt/apart/lib/libapart.so.1", "/usr/lib/x86_64-linux-gnu/libc.so.6")
	i.library("/opt/apart/bin/program", "-no-pie", "-Wl,-rpath,$ORIGIN/../lib", "/opt/apart/lib/libapart.so.1")
	target := t.TempDir()
	_, err := collect(options{root: i.root, target: target, files: []string{"/opt/apart/bin/program"}})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"/opt/apart/bin/program", "/opt/apart/lib/libapart.so.1", "/usr/lib/x86_64-linux-gnu/libc.so.6"}, names(t, target))
}

func TestListMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"take /a # why":        `:1: there is no kind "take", want one of need, open, file, tree, driver, base`,
		"\nneed /a /b # why":   ":2: want a kind and one path, found 3 words",
		"need /a":              ":1: /a has no reason: write one after #",
		"need a # why":         `:1: "a" must be an absolute path or pattern`,
		"driver /a.so # why":   `:1: "/a.so" must be the name of a library`,
		"open /usr/[a # why":   `:1: "/usr/[a" must be an absolute path or pattern`,
		"need /absent # first": "nothing matches /absent, which is needed: first",
	} {
		list := filepath.Join(t.TempDir(), "list")
		require.NoError(t, os.WriteFile(list, []byte(text), 0o644))
		_, err := collect(options{root: t.TempDir(), target: t.TempDir(), list: list})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, list)
	}
}

// An image of its own has the loader and the links of the top.
func TestInterpreter(t *testing.T) {
	i := newImage(t)
	i.link("/lib64", "usr/lib64")
	i.link("/usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
	i.library("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
	i.library("/usr/local/bin/trtgo", "-no-pie", "/usr/lib/x86_64-linux-gnu/libc.so.6", "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2")
	target := t.TempDir()
	_, err := collect(options{root: i.root, target: target, files: []string{"/usr/local/bin/trtgo"}, interpreter: true})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"/lib -> usr/lib", "/lib64 -> usr/lib64", "/usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
		"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/local/bin/trtgo",
	}, names(t, target))
}
