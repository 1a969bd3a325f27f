//go:build cgo && linux

package native

import (
	"context"
	"encoding/binary"
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
	w, err := net.AddLayer(Layer{Kind: "Constant", Name: "w", Fields: []Field{Text("type", "FLOAT"), Ints("dims", 96, 64)}, Weights: weights})
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
	require.NoError(t, net.Build(context.Background(), BuildOptions{Capabilities: []int{86, 89, 120}, ProfilingVerbosity: "DETAILED", Progress: func(p Progress) { t.Log(p) }}, file))
	info, err := file.Stat()
	require.NoError(t, err)
	require.Greater(t, info.Size(), int64(1000))
	for _, m := range lib.Messages() {
		t.Log(m)
	}
	net.Close()
}
