package tensorrt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/safetensors"
)

func managedWeights(o *tensorrt.Options) { o.Plugins.ManageWeights = true }

// weightInputs lists the inputs that stand for weights, sorted.
func weightInputs(g *graph.Network) []string {
	var names []string
	for _, in := range g.Inputs {
		if in.Weight != nil {
			names = append(names, in.Tensor.Name)
		}
	}
	slices.Sort(names)
	return names
}

// The file has what the inputs have, by name, and the values that would be in the plan.
func TestManagedFile(t *testing.T) {
	for _, c := range []struct{ name, form, dtype string }{
		{"llama-gqa", "", "bfloat16"}, {"nemotron", "fp8", "float16"}, {"llama-gqa", "fp8", "bfloat16"}, {"nemotron", "int8_wo", "bfloat16"},
		{"llama-gqa", "int4_wo", "float16"}, {"llama-gqa", "awq", "bfloat16"}, {"nemotron", "", "float32"},
	} {
		t.Run(c.name+"."+c.form, func(t *testing.T) {
			dir := ""
			if c.form == "" {
				dir = tinycheckpoint.Dir(t, c.name, func(config *checkpoint.Config) { config.Dtype = c.dtype })
			} else {
				dir = quantisedCheckpoint(t, c.name, c.form, c.dtype, 1)
			}
			g, source := lowerCheckpoint(t, dir, 0, options(managedWeights))
			inside, _ := lowerCheckpoint(t, dir, 0, options())
			path := filepath.Join(t.TempDir(), "rank0_managed_weights.safetensors")
			var steps []int64
			var all int64
			require.NoError(t, tensorrt.WriteManagedWeights(t.Context(), g, source, path, func(done, total int64) { steps, all = append(steps, done), total }))
			require.IsIncreasing(t, steps)
			require.Equal(t, all, steps[len(steps)-1])
			f, err := safetensors.Open(path)
			require.NoError(t, err)
			defer f.Close()
			var names []string
			for _, info := range f.Header().Tensors {
				names = append(names, info.Name)
				require.True(t, strings.HasSuffix(info.Name, ".weight") && !strings.Contains(info.Name, "norm") && !strings.Contains(info.Name, "embedding"),
					"%s is no matrix of a linear", info.Name)
				in, ok := g.Input(info.Name)
				require.True(t, ok)
				require.Equal(t, in.Tensor.Shape.Sizes(), info.Shape)
				require.Equal(t, map[graph.DataType]string{graph.Float: "F32", graph.Half: "F16", graph.BF16: "BF16", graph.FP8: "F8_E4M3", graph.Int8: "I8"}[in.Tensor.Type], info.Dtype)
				_, want := values(t, inside, source, info.Name)
				tensor, _ := f.Tensor(info.Name)
				got := make([]byte, tensor.Size)
				_, err := tensor.ReadAt(got, 0)
				require.NoError(t, err)
				require.Equal(t, want, got, info.Name)
			}
			require.Contains(t, names, "lm_head.weight")
			slices.Sort(names)
			require.Equal(t, weightInputs(g), names)
			require.Empty(t, weightInputs(inside))
		})
	}
}

// Without plugins everything but scales is an input. Four bits are two in a byte.
func TestManagedFileNative(t *testing.T) {
	dir := quantisedCheckpoint(t, "llama-gqa", "int4_wo", "bfloat16", 1)
	g, err := tensorrt.LowerNative(networkOf(t, dir, 0), nativeOptions())
	require.NoError(t, err)
	source := openSource(t, dir, 0)
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	require.NoError(t, tensorrt.WriteManagedWeights(t.Context(), g, source, path, nil))
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	fc, ok := f.Tensor("transformer.layers.2.mlp.fc.weight")
	require.True(t, ok)
	require.Equal(t, safetensors.I8, fc.Dtype)
	require.Equal(t, []int64{88, 32}, fc.Shape)
	norm, ok := f.Tensor("transformer.ln_f.weight")
	require.True(t, ok)
	require.Equal(t, []int64{64}, norm.Shape)
}

// failing gives some tensors, then none.
type failing struct {
	graph.Source
	left int
	err  error
	then func()
}

func (f *failing) Tensor(name string) (graph.Stored, error) {
	if f.left--; f.left < 0 {
		f.then()
		if f.err != nil {
			return graph.Stored{}, f.err
		}
	}
	return f.Source.Tensor(name)
}

// Whatever ends the writing, no file stays.
func TestManagedFileFails(t *testing.T) {
	g, source := lowerCheckpoint(t, tinycheckpoint.Dir(t, "nemotron", nil), 0, options(managedWeights))
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	broken := errors.New("no disk")
	err := tensorrt.WriteManagedWeights(t.Context(), g, &failing{source, 3, broken, func() {}}, path, nil)
	require.ErrorIs(t, err, broken)
	require.NoFileExists(t, path)

	ctx, cancel := context.WithCancel(t.Context())
	err = tensorrt.WriteManagedWeights(ctx, g, &failing{source, 2, nil, cancel}, path, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o644))
	require.ErrorIs(t, tensorrt.WriteManagedWeights(t.Context(), g, source, path, nil), os.ErrExist)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
}
