//go:build cgo && linux

package native

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// openRTX opens the real TensorRT-RTX.
func openRTX(t *testing.T) *Library {
	rtx := os.Getenv("TRTGO_RTX_COMPILER")
	if rtx == "" || os.Getenv("TRTGO_NATIVE_LIB_RTX") == "" {
		if os.Getenv("TRTGO_REQUIRE_TENSORRT") == "1" {
			t.Fatal("TRTGO_RTX_COMPILER and TRTGO_NATIVE_LIB_RTX do not name libtensorrt_rtx and libtrtgo_rtx.so")
		}
		t.Skip("TRTGO_RTX_COMPILER and TRTGO_NATIVE_LIB_RTX do not name libtensorrt_rtx and libtrtgo_rtx.so")
	}
	lib, err := Open(Options{Flavour: TensorRTRTX, TensorRT: rtx})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lib.Close()) })
	return lib
}

// linear adds x·wᵀ of [n, 64] and [96, 64].
func linear(t *testing.T, net *Network) Tensor {
	x, err := net.AddInput(Input{Name: "x", Type: "FLOAT", Dims: []int64{-1, 64}, Names: []string{"num_tokens", ""}})
	require.NoError(t, err)
	require.Equal(t, Tensor{ID: 0, Dims: []int64{-1, 64}, Type: "FLOAT"}, x)
	weights := make([]byte, 96*64*4)
	for i := range 96 * 64 {
		binary.LittleEndian.PutUint32(weights[4*i:], math.Float32bits(float32(i%7)))
	}
	w, err := net.AddLayer(Layer{Kind: "Constant", Name: "w", Fields: []Field{Text("type", "FLOAT"), Ints("dims", 96, 64)}, Weights: weights, WeightsName: "w.weight"})
	require.NoError(t, err)
	y, err := net.AddLayer(Layer{
		Kind: "MatrixMultiply", Name: "linear", Inputs: []int32{x.ID, w[0].ID},
		Fields: []Field{Text("op0", "NONE"), Text("op1", "TRANSPOSE")},
	})
	require.NoError(t, err)
	require.Equal(t, []Tensor{{ID: 2, Dims: []int64{-1, 96}, Type: "FLOAT"}}, y)
	return y[0]
}

func TestRTXBuild(t *testing.T) {
	lib := openRTX(t)
	require.Equal(t, TensorRTRTX, lib.Versions().Flavour)
	net, err := lib.NewNetwork(NetworkOptions{Name: "linear"})
	require.NoError(t, err)
	defer net.Close()
	require.NoError(t, net.MarkOutput(linear(t, net).ID, "y"))
	require.NoError(t, net.AddProfile([]Range{{Input: "x", Min: []int64{1, 64}, Opt: []int64{8, 64}, Max: []int64{16, 64}}}))
	file, err := os.Create(filepath.Join(t.TempDir(), "plan"))
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, net.Build(t.Context(), BuildOptions{Capabilities: []int{86, 89, 120}, ProfilingVerbosity: "DETAILED", Progress: func(p Progress) { t.Log(p) }}, file))
	info, err := file.Stat()
	require.NoError(t, err)
	require.Greater(t, info.Size(), int64(1000))
	for _, m := range lib.Messages() {
		t.Log(m)
	}
	net.Close()
}

// refusals are calls that TensorRT-RTX, or the library before it, must refuse; each names what and why.
var refusals = []struct {
	name string
	call func(t *testing.T, net *Network) error
	want []string
}{
	{"two inputs of one name", func(t *testing.T, net *Network) error {
		input(t, net, "x", "FLOAT", 1)
		_, err := net.AddInput(Input{Name: "x", Type: "FLOAT", Dims: []int64{1}})
		return err
	}, []string{`addInput: input "x": TensorRT-RTX refused it: `, "knownInput->getName()"}},
	{"type", func(t *testing.T, net *Network) error {
		_, err := net.AddInput(Input{Name: "x", Type: "FLOAT32", Dims: []int64{1}})
		return err
	}, []string{`input "x": TensorRT-RTX 1.7 has no data type "FLOAT32" here; it has FLOAT, HALF, INT8,`}},
	{"rank", func(t *testing.T, net *Network) error {
		_, err := net.AddInput(Input{Name: "x", Type: "FLOAT", Dims: make([]int64, 9)})
		return err
	}, []string{`input "x": it has 9 dimensions, at most 8 are possible`}},
	{"inner size", func(t *testing.T, net *Network) error {
		return add(net, "MatrixMultiply", []int32{input(t, net, "x", "FLOAT", -1, 64), input(t, net, "y", "FLOAT", 32, 64)}, Text("op0", "NONE"), Text("op1", "NONE"))
	}, []string{`getDimensions: layer "l" (MatrixMultiply): TensorRT-RTX found no shape for it: `, "last dimension of input0 = 64", "= 32 but must match"}},
	{"missing attribute", func(t *testing.T, net *Network) error {
		return add(net, "Unary", []int32{input(t, net, "x", "FLOAT", 1)})
	}, []string{`layer "l" (Unary): attribute operation is missing`}},
	{"unknown attribute", func(t *testing.T, net *Network) error {
		return add(net, "Shape", []int32{input(t, net, "x", "FLOAT", 1)}, Ints("axis", 1))
	}, []string{`layer "l" (Shape): there is no attribute axis`}},
	{"attribute twice", func(t *testing.T, net *Network) error {
		return add(net, "Concatenation", []int32{input(t, net, "x", "FLOAT", 1)}, Ints("axis", 0), Ints("axis", 0))
	}, []string{"attribute axis comes twice"}},
	{"type of an attribute", func(t *testing.T, net *Network) error {
		return add(net, "Concatenation", []int32{input(t, net, "x", "FLOAT", 1)}, Text("axis", "0"))
	}, []string{"attribute axis has type TEXT, want INT64"}},
	{"length of an attribute", func(t *testing.T, net *Network) error {
		return add(net, "Concatenation", []int32{input(t, net, "x", "FLOAT", 1)}, Ints("axis", 0, 1))
	}, []string{"attribute axis has 2 values, want 1"}},
	{"wide attribute", func(t *testing.T, net *Network) error {
		return add(net, "Concatenation", []int32{input(t, net, "x", "FLOAT", 1)}, Ints("axis", 1<<32))
	}, []string{"attribute axis is 4294967296, beyond 32 bits"}},
	{"enumerator", func(t *testing.T, net *Network) error {
		return add(net, "Unary", []int32{input(t, net, "x", "FLOAT", 1)}, Text("operation", "kEXP"))
	}, []string{`UnaryOperation: layer "l" (Unary): TensorRT-RTX 1.7 has no unary operation "kEXP" here; it has EXP, LOG,`}},
	{"kind", func(t *testing.T, net *Network) error { return add(net, "SoftMax", nil) }, []string{"TensorRT-RTX 1.7 has no layer SoftMax"}},
	{"number of inputs", func(t *testing.T, net *Network) error {
		return add(net, "ElementWise", []int32{input(t, net, "x", "FLOAT", 1)}, Text("operation", "SUM"))
	}, []string{"it has 1 inputs, want 2"}},
	{"absent input", func(t *testing.T, net *Network) error {
		return add(net, "ElementWise", []int32{input(t, net, "x", "FLOAT", 1), -1}, Text("operation", "SUM"))
	}, []string{"input 1 is missing"}},
	{"no such tensor", func(t *testing.T, net *Network) error {
		return add(net, "ElementWise", []int32{input(t, net, "x", "FLOAT", 1), 1}, Text("operation", "SUM"))
	}, []string{"there is no tensor 1, only 1"}},
	{"weights", func(t *testing.T, net *Network) error {
		_, err := net.AddLayer(Layer{Kind: "Constant", Name: "w", Fields: []Field{Text("type", "INT4"), Ints("dims", 3, 3)}, Weights: make([]byte, 4)})
		return err
	}, []string{`layer "w" (Constant): the weights have 4 bytes, INT4[3, 3] has 5`}},
	{"huge weights", func(t *testing.T, net *Network) error {
		_, err := net.AddLayer(Layer{Kind: "Constant", Name: "w", Fields: []Field{Text("type", "FLOAT"), Ints("dims", 1<<40, 1<<40)}, Weights: make([]byte, 4)})
		return err
	}, []string{"a constant cannot have dimensions [1099511627776, 1099511627776]"}},
	{"transpose", func(t *testing.T, net *Network) error {
		return add(net, "Shuffle", []int32{input(t, net, "x", "FLOAT", 1, 2)}, Ints("first_transpose", 1, 2))
	}, []string{"attribute first_transpose has 2 among 2 dimensions"}},
	{"tables of rank 3", func(t *testing.T, net *Network) error {
		return add(net, "RotaryEmbedding", []int32{input(t, net, "x", "HALF", -1, 2, 64), input(t, net, "cos", "HALF", 32, 32), input(t, net, "sin", "HALF", 32, 32)}, Ints("interleaved", 0), Ints("dim", 0))
	}, []string{`addRotaryEmbedding: layer "l" (RotaryEmbedding): TensorRT-RTX refused it: `, "inputDims.nbDims == 4"}},
	{"plugin", func(t *testing.T, net *Network) error {
		_, err := net.AddLayer(Layer{Kind: "Plugin", Name: "l", Creator: "GPTAttention", Version: "1", Namespace: "tensorrt_llm"})
		return err
	}, []string{`addPluginV2: layer "l" (Plugin): TensorRT-RTX takes no plugin layers: it cannot have GPTAttention`}},
	{"after a failure", func(t *testing.T, net *Network) error {
		require.Error(t, add(net, "SoftMax", nil))
		require.ErrorContains(t, add(net, "Shape", []int32{input(t, net, "x", "FLOAT", 1)}), `layer "l" (SoftMax) failed, nothing can be added after it`)
		return net.Build(t.Context(), BuildOptions{}, planFile(t))
	}, []string{`layer "l" (SoftMax) failed, the network cannot be built`}},
	{"output twice", func(t *testing.T, net *Network) error {
		y := linear(t, net)
		require.NoError(t, net.MarkOutput(y.ID, "y"))
		return net.MarkOutput(y.ID, "z")
	}, []string{`markOutput: tensor 2 cannot be the output "z": `, "already set"}},
	{"input as output", func(t *testing.T, net *Network) error {
		return net.MarkOutput(input(t, net, "x", "FLOAT", 1), "y")
	}, []string{`tensor 0 cannot be the output "y": `, "both input and output"}},
	{"profile of another", func(t *testing.T, net *Network) error {
		linear(t, net)
		return net.AddProfile([]Range{{"y", []int64{1, 64}, []int64{1, 64}, []int64{1, 64}}})
	}, []string{`the network has no input "y"`}},
	{"fixed dimension", func(t *testing.T, net *Network) error {
		linear(t, net)
		return net.AddProfile([]Range{{"x", []int64{1, 63}, []int64{1, 64}, []int64{1, 64}}})
	}, []string{`input "x" is [-1, 64], its range has other dimensions`}},
	{"profile backwards", func(t *testing.T, net *Network) error {
		linear(t, net)
		return net.AddProfile([]Range{{"x", []int64{2, 64}, []int64{1, 64}, []int64{3, 64}}})
	}, []string{"isValid: the profile is not valid", "MIN<=OPT<=MAX"}},
	{"threads", func(t *testing.T, net *Network) error {
		_, err := net.library.NewNetwork(NetworkOptions{Threads: -1})
		return err
	}, []string{"a builder cannot have -1 threads"}},
	{"no profile", func(t *testing.T, net *Network) error {
		require.NoError(t, net.MarkOutput(linear(t, net).ID, "y"))
		return net.Build(t.Context(), BuildOptions{Capabilities: []int{86}}, planFile(t))
	}, []string{"buildSerializedNetworkToStream: TensorRT-RTX cannot build the network: ", "no optimization profile"}},
	{"capability", func(t *testing.T, net *Network) error {
		return build(t, net, BuildOptions{Capabilities: []int{86, 90}}, planFile(t))
	},
		[]string{"TensorRT-RTX does not build for compute capability 9.0, only for 7.5, 8.0, 8.6, 8.9, 12.0, 12.1"}},
	{"flag", func(t *testing.T, net *Network) error {
		return build(t, net, BuildOptions{Flags: []string{"FP16"}}, planFile(t))
	},
		[]string{`TensorRT-RTX 1.7 has no builder flag "FP16" here; it has DEBUG, `}},
	{"verbosity", func(t *testing.T, net *Network) error {
		return build(t, net, BuildOptions{ProfilingVerbosity: "ALL"}, planFile(t))
	}, []string{`has no profiling verbosity "ALL" here; it has LAYER_NAMES_ONLY, NONE, DETAILED`}},
	{"second build", func(t *testing.T, net *Network) error {
		require.NoError(t, build(t, net, BuildOptions{Capabilities: []int{86}}, planFile(t)))
		return net.Build(t.Context(), BuildOptions{}, planFile(t))
	}, []string{"the network was built already"}},
}

// build makes and builds a linear.
func build(t *testing.T, net *Network, o BuildOptions, file *os.File) error {
	t.Helper()
	require.NoError(t, net.MarkOutput(linear(t, net).ID, "y"))
	require.NoError(t, net.AddProfile([]Range{{Input: "x", Min: []int64{1, 64}, Opt: []int64{8, 64}, Max: []int64{16, 64}}}))
	return net.Build(t.Context(), o, file)
}

func input(t *testing.T, net *Network, name, kind string, dims ...int64) int32 {
	t.Helper()
	x, err := net.AddInput(Input{Name: name, Type: kind, Dims: dims})
	require.NoError(t, err)
	return x.ID
}

func add(net *Network, kind string, inputs []int32, fields ...Field) error {
	_, err := net.AddLayer(Layer{Kind: kind, Name: "l", Inputs: inputs, Fields: fields})
	return err
}

// TestRTXRefuses also keeps another network open meanwhile: its builder must not get the messages.
func TestRTXRefuses(t *testing.T) {
	lib := openRTX(t)
	newNetwork(t, lib)
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			err := r.call(t, newNetwork(t, lib))
			require.ErrorIs(t, err, ErrInvalid)
			for _, want := range r.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "cudaError 35") // which is said after every error without a driver
			for _, m := range lib.Messages() {
				require.NotContains(t, m.Text, "cudaError 35")
			}
		})
	}
}

func TestRTXOpenRefuses(t *testing.T) {
	openRTX(t)
	_, err := Open(Options{Flavour: TensorRTRTX, TensorRT: os.Getenv("TRTGO_RTX_COMPILER"), Plugins: "libnvinfer_plugin_tensorrt_llm.so"})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "TensorRT-RTX takes no plugin libraries: leave out libnvinfer_plugin_tensorrt_llm.so")
	_, err = Open(Options{Flavour: TensorRTRTX, TensorRT: "libm.so.6"})
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "libm.so.6 has no getInferLibVersion")
	_, err = Open(Options{Flavour: TensorRTRTX, TensorRT: "/nowhere/libtensorrt_rtx.so.1"})
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "cannot load /nowhere/libtensorrt_rtx.so.1: cannot open shared object file")
}

// TestRTXFullDisk: what TensorRT does after a failed write does not matter.
func TestRTXFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	err = build(t, newNetwork(t, openRTX(t)), BuildOptions{Capabilities: []int{86}}, full)
	require.ErrorIs(t, err, ErrIO)
	require.ErrorContains(t, err, "cannot write the plan: No space left on device")
}

// TestRTXRefit: named weights can be marked, and what fails afterwards needs a driver.
func TestRTXRefit(t *testing.T) {
	err := build(t, newNetwork(t, openRTX(t)), BuildOptions{Capabilities: []int{86}, Flags: []string{"REFIT_INDIVIDUAL"}}, planFile(t))
	if err == nil {
		return
	}
	var failure *Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "buildSerializedNetworkToStream", failure.Operation)
	require.Contains(t, failure.Text, "CUDA_SUCCESS")
}

// TestRTXConcurrent: of two builds at once, the one that fails gets its error, the other one none.
func TestRTXConcurrent(t *testing.T) {
	lib := openRTX(t)
	nets := []*Network{newNetwork(t, lib), newNetwork(t, lib)}
	require.NoError(t, nets[0].MarkOutput(linear(t, nets[0]).ID, "y"))
	require.NoError(t, nets[0].AddProfile([]Range{{Input: "x", Min: []int64{1, 64}, Opt: []int64{8, 64}, Max: []int64{16, 64}}}))
	linear(t, nets[1]) // has no output
	errs := []chan error{make(chan error, 1), make(chan error, 1)}
	for i, net := range nets {
		file := planFile(t)
		go func() { errs[i] <- net.Build(t.Context(), BuildOptions{Capabilities: []int{86}}, file) }()
	}
	require.NoError(t, <-errs[0])
	require.ErrorContains(t, <-errs[1], "Network must have at least one output")
}

// TestRTXCancel stops a build that would take long, by its progress.
func TestRTXCancel(t *testing.T) {
	net := newNetwork(t, openRTX(t))
	x := input(t, net, "x", "BF16", -1, 64)
	for i := range 400 {
		out, err := net.AddLayer(Layer{
			Kind: "MatrixMultiply", Name: fmt.Sprintf("l%d", i), Inputs: []int32{x, input(t, net, fmt.Sprintf("w%d", i), "BF16", 64, 64)},
			Fields: []Field{Text("op0", "NONE"), Text("op1", "TRANSPOSE")},
		})
		require.NoError(t, err)
		x = out[0].ID
	}
	require.NoError(t, net.MarkOutput(x, "y"))
	require.NoError(t, net.AddProfile([]Range{{Input: "x", Min: []int64{1, 64}, Opt: []int64{8, 64}, Max: []int64{4096, 64}}}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var phases []string
	file := planFile(t)
	err := net.Build(ctx, BuildOptions{Capabilities: []int{86, 89, 120}, Progress: func(p Progress) {
		phases = append(phases, p.Phase)
		cancel()
	}}, file)
	require.ErrorIs(t, err, context.Canceled)
	require.NotEmpty(t, phases)
	info, err := file.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size())
}
