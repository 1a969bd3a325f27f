//go:build cgo && linux

package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/elfscan"
	"github.com/trtgo/trtgo/internal/nativetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("TRTGO_TEST_HOSTILE"); path != "" {
		os.Exit(panicWith(path, os.Getenv("TRTGO_TEST_NETWORK")))
	}
	if engine := os.Getenv("TRTGO_TEST_ENGINE"); engine != "" {
		if err := liveThrough(engine, os.Getenv("TRTGO_TEST_PLUGINS"), os.Getenv("TRTGO_TEST_TENSORRT")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		syscall.Exit(0) // not os.Exit: under the race detector it runs upstream's atexit(), which ends MPI again
	}
	goleak.VerifyTestMain(m)
}

// open opens the library without TensorRT.
func open(t *testing.T, o Options) *Library {
	t.Helper()
	if o.Path == "" {
		o.Path = nativetest.Library(t)
	}
	lib, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lib.Close()) })
	return lib
}

func newNetwork(t *testing.T, lib *Library) *Network {
	t.Helper()
	net, err := lib.NewNetwork(NetworkOptions{Name: "net", Threads: 3})
	require.NoError(t, err)
	t.Cleanup(net.Close)
	return net
}

func planFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "plan"))
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// TestFunctions: the loader looks for what the header declares, and the libraries export that.
func TestFunctions(t *testing.T) {
	names := func(file, pattern string) []string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var list []string
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			list = append(list, match[1])
		}
		require.NotEmpty(t, list)
		slices.Sort(list)
		return list
	}
	declared := names("trtgo.h", `(?m)^TRTGO_API [^;(]*\btrtgo_(\w+)\(`)
	require.Equal(t, declared, names("loader.h", `(?m)^  X\((\w+)\)`))
	require.Equal(t, declared, names("../tensorrt/exports.map", `(?m)^ +trtgo_(\w+);`))
}

func TestOpen(t *testing.T) {
	lib := open(t, Options{Flavour: TensorRT, Plugins: "libplugins.so"})
	require.Equal(t, Versions{Flavour: TensorRT, Headers: 101401, TensorRT: 101401, Producer: "fake", ExecutorHeaders: "1.2.1", Executor: "1.2.1"}, lib.Versions())
	require.Equal(t, []Message{{Info, "loaded libnvinfer.so.10"}, {Info, "plugins libplugins.so in tensorrt_llm"}}, lib.Messages())
	require.Empty(t, lib.Messages())
	fields, err := lib.PluginFields("Gemm", "1", "tensorrt_llm")
	require.NoError(t, err)
	require.Equal(t, []PluginField{{"factor", "INT32"}, {"scale", "FLOAT32"}, {"unsent", "INT8"}}, fields)
	_, err = lib.PluginFields("Twice", "1", "tensorrt_llm")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `getCreator: no library registered plugin Twice version 1 in namespace "tensorrt_llm"`)
}

func TestOpenRefuses(t *testing.T) {
	path := nativetest.Library(t)
	empty := filepath.Join(t.TempDir(), "empty.so")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, c := range map[string]struct {
		options Options
		kind    error
		want    string
	}{
		"no such file":     {Options{Path: "/nowhere/libtrtgo_tensorrt.so"}, ErrNotFound, "/nowhere/libtrtgo_tensorrt.so"},
		"no library":       {Options{Path: empty}, ErrNotFound, "cannot load " + empty + ": the file is no library for this machine, or only a part of one: copy it again, or build it here; native error: "},
		"another ABI":      {Options{Path: nativetest.Library(t, "WITHOUT_ABI")}, ErrVersion, "no TRTGO_ABI_1: it is of another version of trtgo"},
		"missing function": {Options{Path: nativetest.Library(t, "WITHOUT_PLUGIN_FIELD")}, ErrVersion, "no function trtgo_library_plugin_field"},
		"another flavour":  {Options{Path: path, Flavour: TensorRTRTX}, ErrVersion, "drives tensorrt, want a library that drives tensorrt-rtx"},
		"unknown flavour":  {Options{Flavour: "cuda"}, ErrInvalid, `no flavour "cuda"`},
		"no TensorRT":      {Options{Path: path, TensorRT: "missing"}, ErrNotFound, "cannot load missing"},
		"another TensorRT": {Options{Path: path, TensorRT: "other"}, ErrVersion, "other is version 100900"},
	} {
		t.Run(name, func(t *testing.T) {
			lib, err := Open(c.options)
			require.Nil(t, lib)
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.want)
			for _, other := range sentinels {
				if !errors.Is(other, c.kind) {
					require.NotErrorIs(t, err, other)
				}
			}
		})
	}
}

// TestFind: the variable wins and must be right; the error lists where it was looked for.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "libtrtgo_rtx.so")
	t.Setenv("LD_LIBRARY_PATH", "/first:"+dir)
	t.Setenv("TRTGO_NATIVE_LIB_RTX", "")
	found, err := Find(TensorRTRTX)
	if err == nil && found != path {
		t.Skip("this machine has " + found)
	}
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "libtrtgo_rtx.so is not there: build it (cmake -DTENSORRT_RTX_ROOT=HEADERS) and put it beside the program, or name it in TRTGO_NATIVE_LIB_RTX; looked in ")
	require.ErrorContains(t, err, ", /first, "+dir+", /usr/local/lib, /")
	var missing *MissingError
	require.ErrorAs(t, err, &missing)
	require.Subset(t, missing.Searched, elfscan.NewSearch("/", "").System, "what the system's loader searches")
	require.Len(t, missing.Searched, len(slices.Compact(slices.Sorted(slices.Values(missing.Searched)))), "each once")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	found, err = Find(TensorRTRTX)
	require.NoError(t, err)
	require.Equal(t, path, found)
	t.Setenv("TRTGO_NATIVE_LIB_RTX", filepath.Join(dir, "other.so"))
	_, err = Find(TensorRTRTX)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "TRTGO_NATIVE_LIB_RTX names a library that is not there")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.so"), nil, 0o600))
	found, err = Find(TensorRTRTX)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "other.so"), found)
	t.Chdir(dir)
	for variable, file := range map[string]string{"other.so": "other.so", "": "libtrtgo_rtx.so"} {
		t.Setenv("TRTGO_NATIVE_LIB_RTX", variable)
		t.Setenv("LD_LIBRARY_PATH", ".")
		found, err = Find(TensorRTRTX)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, file), found, "dlopen would look for a mere name elsewhere")
	}
}

// TestCalls: each call arrives with what it was given, and weights still have their values when
// they are read, at the build.
func TestCalls(t *testing.T) {
	net := newNetwork(t, open(t, Options{}))
	x, err := net.AddInput(Input{Name: "x", Type: "BF16", Dims: []int64{-1, 1 << 33}, Names: []string{"num_tokens", ""}})
	require.NoError(t, err)
	require.Equal(t, Tensor{ID: 0, Dims: []int64{-1, 1 << 33}, Type: "BF16"}, x)
	_, err = net.AddInput(Input{Name: "scalar", Type: "FLOAT"})
	require.NoError(t, err)
	w, err := net.AddLayer(Layer{Kind: "Constant", Name: "w", Fields: []Field{Text("type", "INT8"), Ints("dims", 4, 2)}, Weights: []byte{1, 2, 3, 4, 5, 6, 7, 8}, WeightsName: "w.weight"})
	require.NoError(t, err)
	require.Equal(t, []Tensor{{ID: 2, Dims: []int64{4, 2}, Type: "INT8"}}, w)
	runtime.GC() // which must leave the weights where they are
	y, err := net.AddLayer(Layer{
		Kind: "Plugin", Name: "p", Creator: "Gemm", Version: "1", Namespace: "tensorrt_llm", Inputs: []int32{x.ID, -1, w[0].ID},
		Fields: []Field{{Name: "a", Type: Int8, Ints: []int64{-128}}, {Name: "b", Type: Int32, Ints: []int64{-1, 1 << 30}},
			{Name: "c", Type: Float32, Floats: []float32{0.5, -2}}, Ints("d", -1<<62), Ints("none"), Text("e", "é")},
	})
	require.NoError(t, err)
	require.NoError(t, net.MarkOutput(y[0].ID, "y"))
	require.NoError(t, net.AddProfile([]Range{{"x", []int64{1, 2}, []int64{3, 4}, []int64{5, 6}}, {Input: "scalar"}}))
	file := planFile(t)
	_, err = file.WriteString("before ")
	require.NoError(t, err)
	require.NoError(t, net.Build(context.Background(), BuildOptions{
		Flags: []string{"TF32", "REFIT"}, ProfilingVerbosity: "DETAILED", Capabilities: []int{86, 120}, UseTimingCache: true, TimingCache: []byte("earlier"),
	}, file))
	plan, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Equal(t, `before network net threads=3
input x BF16 -1=num_tokens 8589934592
input scalar FLOAT
layer Constant w weights:w.weight type=INT8 dims=4,2
layer Plugin p Gemm/1/tensorrt_llm %0 %-1 %2 a=i8:-128 b=i32:-1,i32:1073741824 c=f32:0.5,f32:-2 d=-4611686018427387904 none= e=é
output y %3
profile
  x 1..3..5 2..4..6
  scalar
weights 8 bytes, sum 3607554180
build TF32 REFIT verbosity=DETAILED sm86 sm120
`, string(plan))
	cache, err := net.TimingCache()
	require.NoError(t, err)
	require.Equal(t, "earlier+", string(cache))
}

func TestCallsRefuse(t *testing.T) {
	lib := open(t, Options{})
	_, err := lib.NewNetwork(NetworkOptions{Name: "refused"})
	require.Equal(t, &Error{StatusInvalid, "createNetworkV2", "TensorRT gave none"}, err)
	net := newNetwork(t, lib)
	_, err = net.AddInput(Input{Name: "refused", Type: "FLOAT"})
	require.EqualError(t, err, `addInput: input "refused": TensorRT refused it`)
	_, err = net.AddInput(Input{Name: "x", Type: "FLOAT", Dims: []int64{1, 2}, Names: []string{"n"}})
	require.ErrorContains(t, err, `input "x" has 2 dimensions and 1 names`)
	_, err = net.AddLayer(Layer{Kind: "Cast", Name: "refused"})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, `layer "refused" (Cast): TensorRT refused it: it says why`)
	_, err = net.AddLayer(Layer{Kind: "Cast", Name: "c", Inputs: []int32{5}})
	require.ErrorContains(t, err, "there is no tensor 5")
	for _, f := range []Field{
		{Name: "f", Type: Int8, Ints: []int64{128}}, {Name: "f", Type: Int32, Ints: []int64{1 << 31}}, {Name: "f", Type: 9},
	} {
		_, err = net.AddLayer(Layer{Kind: "Cast", Name: "c", Fields: []Field{f}})
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, "field f has ")
	}
	require.ErrorContains(t, net.MarkOutput(0, "refused"), "markOutput: ")
	require.ErrorContains(t, net.AddProfile([]Range{{"x", []int64{2}, []int64{2}, []int64{1}}}), "the profile is not valid")
	require.ErrorContains(t, net.AddProfile([]Range{{"x", []int64{2}, []int64{2, 2}, []int64{1}}}), `input "x" has shapes of 1, 2 and 1 dimensions`)
	require.ErrorIs(t, net.Build(context.Background(), BuildOptions{Flags: []string{"REFUSED"}}, planFile(t)), ErrInvalid)
	cache, err := net.TimingCache()
	require.NoError(t, err)
	require.Nil(t, cache)
}

// TestBuildCancel: Build ends when its context does, and not before the build has.
func TestBuildCancel(t *testing.T) {
	net := newNetwork(t, open(t, Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	var last Progress
	err := net.Build(ctx, BuildOptions{Flags: []string{"ENDLESS"}, Progress: func(p Progress) {
		last = p
		cancel()
	}}, planFile(t))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "Building", last.Phase)
	require.Equal(t, 3, last.Total)
	_, running := net.progress()
	require.False(t, running)
	require.ErrorIs(t, net.Build(ctx, BuildOptions{}, planFile(t)), context.Canceled)
}

// TestBuildPanic: a panic of the caller's does not leave a build behind.
func TestBuildPanic(t *testing.T) {
	net := newNetwork(t, open(t, Options{}))
	require.PanicsWithValue(t, "enough", func() {
		_ = net.Build(context.Background(), BuildOptions{Flags: []string{"ENDLESS"}, Progress: func(Progress) { panic("enough") }}, planFile(t))
	})
	_, running := net.progress()
	require.False(t, running)
}

// TestBuildWrites: a full or a closed file is an error, a pipe whose reader is slow is none.
func TestBuildWrites(t *testing.T) {
	lib := open(t, Options{})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	err = newNetwork(t, lib).Build(context.Background(), BuildOptions{}, full)
	require.ErrorIs(t, err, ErrIO)
	require.ErrorContains(t, err, "No space left on device")

	closed := planFile(t)
	require.NoError(t, closed.Close())
	require.ErrorIs(t, newNetwork(t, lib).Build(context.Background(), BuildOptions{}, closed), os.ErrClosed)

	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, newNetwork(t, lib).Build(context.Background(), BuildOptions{}, w))
	require.NoError(t, w.Close())
	plan, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(plan, []byte("network net")))
}

// TestClose: networks come before their library, and nothing can be done afterwards.
func TestClose(t *testing.T) {
	lib, err := Open(Options{Path: nativetest.Library(t)})
	require.NoError(t, err)
	net, err := lib.NewNetwork(NetworkOptions{})
	require.NoError(t, err)
	require.ErrorContains(t, lib.Close(), "1 networks of the library are open")
	net.Close()
	net.Close()
	require.NoError(t, lib.Close())
	require.NoError(t, lib.Close())
	_, err = lib.NewNetwork(NetworkOptions{})
	require.ErrorIs(t, err, ErrClosed)
	_, err = lib.PluginFields("Gemm", "1", "")
	require.ErrorIs(t, err, ErrClosed)
	require.Nil(t, lib.Messages())
	_, err = net.AddInput(Input{})
	require.ErrorIs(t, err, ErrClosed)
	_, err = net.AddLayer(Layer{})
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, net.MarkOutput(0, ""), ErrClosed)
	require.ErrorIs(t, net.AddProfile(nil), ErrClosed)
	require.ErrorIs(t, net.Build(context.Background(), BuildOptions{}, nil), ErrClosed)
	_, err = net.TimingCache()
	require.ErrorIs(t, err, ErrClosed)
}

// TestConcurrentBuilds: networks of one library are independent.
func TestConcurrentBuilds(t *testing.T) {
	lib := open(t, Options{})
	done := make(chan error)
	for range 3 {
		net, file := newNetwork(t, lib), planFile(t)
		go func() { done <- net.Build(context.Background(), BuildOptions{}, file) }()
	}
	for range 3 {
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			t.Fatal("a build did not end")
		}
	}
}
