//go:build cgo && linux

package tensorrt_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/nativetest"
)

// gemm is a linear by plugin whose layers are called name.
func gemm(t *testing.T, name string, fields ...graph.Field) *graph.Network {
	t.Helper()
	b := graph.NewBuilder("rank0")
	tokens := graph.Dynamic("num_tokens")
	x := b.Input("x", graph.BF16, tokens, graph.Fixed(2))
	b.At(name)
	w := b.Constant(&graph.Weights{Name: "w", Type: graph.BF16, Shape: []int64{3, 2}, From: []string{"w"}, Read: func(s graph.Source) ([]byte, error) {
		tensor, err := s.Tensor("w")
		return tensor.Bytes, err
	}})
	y := b.Cast(b.MatrixMultiply(x, graph.None, w, graph.Transpose), graph.Float)
	if fields != nil {
		y = b.Add(graph.Plugin{
			Creator: "Gemm", Version: "1", Namespace: "tensorrt_llm", Attributes: fields,
			Outputs: []graph.Tensor{{Type: graph.Float, Shape: graph.Shape{tokens, graph.Fixed(3)}}},
		}, y, x)[0]
	}
	b.Output("y", y)
	b.Profiles(map[string]graph.Range{"num_tokens": {Min: 1, Opt: 4, Max: 8}}, map[string]graph.Range{"num_tokens": {Min: 8, Opt: 8, Max: 16}})
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

// gemmFields are those that the library without TensorRT lists, but for one that is not sent.
func gemmFields() []graph.Field {
	return []graph.Field{graph.Int32Field("factor", 2), graph.Float32Field("scale", 0.5)}
}

func openFake(t *testing.T) *native.Library {
	t.Helper()
	lib, err := native.Open(native.Options{Path: nativetest.Library(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lib.Close()) })
	return lib
}

// unsent is a release whose GEMM plugin differs as that of the library without TensorRT does.
func unsent(t *testing.T) *tensorrt.Release {
	t.Helper()
	return tensorrt.ReleaseWithDifferences("1.2.1", map[string]tensorrt.FieldDifferences{"Gemm": {Unsent: []string{"unsent"}, Unlisted: []string{"alpha"}}})
}

func compile(t *testing.T, ctx context.Context, net *graph.Network, o tensorrt.CompileOptions) (string, error) {
	t.Helper()
	plan, err := os.Create(filepath.Join(t.TempDir(), "plan"))
	require.NoError(t, err)
	defer plan.Close()
	if o.Release == nil {
		o.Release = unsent(t)
	}
	failure := tensorrt.Compile(ctx, openFake(t), net, tensors{"w": {Bytes: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}, o, plan)
	text, err := os.ReadFile(plan.Name())
	require.NoError(t, err)
	return string(text), failure
}

// TestCompile: the calls, with what they are given, and the cache and progress that come back.
func TestCompile(t *testing.T) {
	var cache []byte
	var steps []native.Progress
	plan, err := compile(t, context.Background(), gemm(t, "lm_head", append(gemmFields(), graph.Float32Field("alpha", 1))...), tensorrt.CompileOptions{
		Flags: []string{"REFIT"}, ProfilingVerbosity: "DETAILED", Capabilities: []int{86}, Threads: 2,
		UseTimingCache: true, TimingCache: []byte("earlier"), KeepTimingCache: func(c []byte) { cache = c },
		Progress: func(p native.Progress) { steps = append(steps, p) },
	})
	require.NoError(t, err)
	require.Equal(t, `network rank0 threads=2
input x BF16 -1=num_tokens 2
layer Constant lm_head/Constant weights:w type=BF16 dims=3,2
layer MatrixMultiply lm_head/MatrixMultiply %0 %1 op0=NONE op1=TRANSPOSE
layer Cast lm_head/Cast %2 to_type=FLOAT
layer Plugin lm_head/Gemm Gemm/1/tensorrt_llm %3 %0 factor=i32:2 scale=f32:0.5 alpha=f32:1
output y %4
profile
  x 1..4..8 2..2..2
profile
  x 8..8..16 2..2..2
weights 12 bytes, sum 2962965702
build REFIT verbosity=DETAILED sm86
`, plan)
	require.Equal(t, "earlier+", string(cache))

	plan, err = compile(t, context.Background(), gemm(t, "lm_head"), tensorrt.CompileOptions{Flags: []string{"TF32"}})
	require.NoError(t, err)
	require.Contains(t, plan, "layer Constant lm_head/Constant type=BF16") // no name where nothing is refitted
	require.GreaterOrEqual(t, len(steps), 4)
	require.Equal(t, []native.Progress{{Phase: "adding layers", Done: 1, Total: 4}, {Phase: "adding layers", Done: 4, Total: 4}}, []native.Progress{steps[0], steps[3]})
}

// TestCompileDiffers: a library that sees a network otherwise is found out, by layer, before it builds.
func TestCompileDiffers(t *testing.T) {
	without := func(i int) []graph.Field { return append(gemmFields()[:i:i], gemmFields()[i+1:]...) }
	for name, c := range map[string]struct {
		net  *graph.Network
		o    tensorrt.CompileOptions
		want string
	}{
		"type":          {gemm(t, "wrong type"), tensorrt.CompileOptions{}, "output 0 of layer wrong type/Constant is BOOL[3 2], want BF16[3 2] ([3, 2])"},
		"shape":         {gemm(t, "wrong shape"), tensorrt.CompileOptions{}, "output 0 of layer wrong shape/Constant is BF16[7 2], want BF16[3 2] ([3, 2])"},
		"outputs":       {gemm(t, "two outputs"), tensorrt.CompileOptions{}, "layer two outputs/Constant has 2 outputs, want 1"},
		"unlisted":      {gemm(t, "lm_head", append(gemmFields(), graph.Int8Field("beta", 1))...), tensorrt.CompileOptions{}, "release 1.2.1: layer lm_head/Gemm: the library's plugin Gemm has no field beta"},
		"type of field": {gemm(t, "lm_head", append(without(0), graph.Int8Field("factor", 2))...), tensorrt.CompileOptions{}, "field factor of the library's plugin Gemm has type INT32, want INT8"},
		"unsent":        {gemm(t, "lm_head", without(1)...), tensorrt.CompileOptions{}, "the library's plugin Gemm has a field scale of type FLOAT32 that is not known"},
		"release":       {gemm(t, "lm_head", gemmFields()...), tensorrt.CompileOptions{Release: tensorrt.Releases[0]}, "has a field unsent of type INT8 that is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := compile(t, context.Background(), c.net, c.o)
			require.ErrorIs(t, err, tensorrt.ErrDiffers)
			require.ErrorContains(t, err, c.want)
			require.Empty(t, plan)
		})
	}
}

func TestCompileRefused(t *testing.T) {
	_, err := compile(t, context.Background(), gemm(t, "refused"), tensorrt.CompileOptions{})
	require.ErrorIs(t, err, native.ErrInvalid)
	require.ErrorContains(t, err, `layer "refused/Constant" (Constant): TensorRT refused it`)

	_, err = compile(t, context.Background(), gemm(t, "lm_head"), tensorrt.CompileOptions{Flags: []string{"REFUSED"}})
	require.ErrorIs(t, err, native.ErrInvalid)

	net := gemm(t, "lm_head", gemmFields()...)
	net.Layers[3].Op = graph.Plugin{Creator: "Lora", Version: "0", Namespace: "tensorrt_llm"}
	_, err = compile(t, context.Background(), net, tensorrt.CompileOptions{})
	require.ErrorIs(t, err, native.ErrNotFound)
	require.ErrorContains(t, err, "layer lm_head/Gemm: getCreator: no library registered plugin Lora version 0")

	net = gemm(t, "lm_head")
	net.Profiles[1]["num_tokens"] = graph.Range{Min: 9, Opt: 9, Max: 8}
	_, err = compile(t, context.Background(), net, tensorrt.CompileOptions{})
	require.ErrorContains(t, err, "profile 1: isValid: ")

	net = gemm(t, "lm_head")
	net.Layers[0], net.Layers[1] = net.Layers[1], net.Layers[0]
	_, err = compile(t, context.Background(), net, tensorrt.CompileOptions{})
	require.ErrorIs(t, err, graph.ErrInvalid)
	require.ErrorContains(t, err, "layer lm_head/MatrixMultiply: input 1 is written by no layer before it")

	plan, err := os.Create(filepath.Join(t.TempDir(), "plan"))
	require.NoError(t, err)
	defer plan.Close()
	err = tensorrt.Compile(context.Background(), openFake(t), gemm(t, "lm_head"), tensors{"w": {Bytes: []byte{1}}}, tensorrt.CompileOptions{}, plan)
	require.ErrorContains(t, err, "weights w have 1 bytes")
}

// TestCompileCancel: while layers are added, and while TensorRT builds.
func TestCompileCancel(t *testing.T) {
	for _, phase := range []string{"adding layers", "Building"} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := compile(t, ctx, gemm(t, "lm_head"), tensorrt.CompileOptions{Flags: []string{"ENDLESS"}, Progress: func(p native.Progress) {
			if p.Phase == phase {
				cancel()
			}
		}})
		require.ErrorIs(t, err, context.Canceled)
	}
}
