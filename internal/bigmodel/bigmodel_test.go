package bigmodel_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/hf"
	"github.com/trtgo/trtgo/export/nemo"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/bigmodel"
)

// small has no two sizes alike, so that none can stand for another.
var small = bigmodel.Shape{
	HiddenSize: 96, NumHiddenLayers: 11, NumAttentionHeads: 12, NumKeyValueHeads: 4, HeadDim: 16,
	IntermediateSize: 320, VocabSize: 1000, MaxPositionEmbeddings: 64,
}

func open(t *testing.T, path string, f bigmodel.Form) source.Model {
	t.Helper()
	var m source.Model
	var err error
	switch f {
	case bigmodel.Safetensors, bigmodel.Pickle:
		m, err = hf.Open(path)
	default:
		m, err = nemo.Open(t.Context(), path, nemo.Options{})
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func convert(t *testing.T, m source.Model) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "checkpoint")
	_, err := export.ConvertModel(t.Context(), m, export.Options{OutputDir: dir})
	require.NoError(t, err)
	return dir
}

// Every form of a model, however divided, becomes the rank file that Check
// expects, and the same one byte for byte.
func TestFormsAreTheSameModel(t *testing.T) {
	gated := small
	gated.Gated = true
	for name, shape := range map[string]bigmodel.Shape{"nemotron": small, "llama": gated} {
		var first []byte
		for _, c := range []struct {
			form bigmodel.Form
			o    bigmodel.Options
		}{
			{bigmodel.Safetensors, bigmodel.Options{}},
			{bigmodel.Safetensors, bigmodel.Options{ShardBytes: 1 << 20}},
			{bigmodel.Pickle, bigmodel.Options{}},
			{bigmodel.Zarr, bigmodel.Options{}},
			{bigmodel.Zarr, bigmodel.Options{TensorParallel: 4}},
			{bigmodel.TorchDist, bigmodel.Options{}},
			{bigmodel.TorchDist, bigmodel.Options{TensorParallel: 2}},
		} {
			path, err := bigmodel.Write(t.TempDir(), shape, c.form, c.o)
			require.NoError(t, err)
			dir := convert(t, open(t, path, c.form))
			require.NoError(t, bigmodel.Check(dir, shape), "%s %s %+v", name, c.form, c.o)
			data, err := os.ReadFile(filepath.Join(dir, "rank0.safetensors"))
			require.NoError(t, err)
			if first == nil {
				first = data
			}
			require.True(t, string(first) == string(data), "%s %s %+v", name, c.form, c.o)
		}
	}
}

func TestCheckSeesOneBit(t *testing.T) {
	path, err := bigmodel.Write(t.TempDir(), small, bigmodel.Pickle, bigmodel.Options{})
	require.NoError(t, err)
	dir := convert(t, open(t, path, bigmodel.Pickle))
	rank := filepath.Join(dir, "rank0.safetensors")
	good, err := os.ReadFile(rank)
	require.NoError(t, err)
	header := int(binary.LittleEndian.Uint64(good))
	for at := 8 + header; at < len(good); at += len(good) / 19 {
		good[at] ^= 4
		require.NoError(t, os.WriteFile(rank, good, 0o666))
		require.ErrorIs(t, bigmodel.Check(dir, small), bigmodel.ErrDiffers, "byte %d", at)
		good[at] ^= 4
	}
	other := small
	other.NumHiddenLayers++
	require.NoError(t, os.WriteFile(rank, good, 0o666))
	require.NoError(t, bigmodel.Check(dir, small))
	require.ErrorContains(t, bigmodel.Check(dir, other), "is missing")
}

// Values are finite, do not depend on how they are asked for, and repeat only
// after more elements than two rows have.
func TestValues(t *testing.T) {
	const n = 1_100_000
	all := make([]byte, 2*n)
	bigmodel.Fill(all, "a", 0)
	for i := 0; i < len(all); i += 2 {
		v := float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(all[i:])) << 16))
		if math.IsNaN(v) || math.Abs(v) >= 1 || math.Abs(v) < 1.0/256 {
			t.Fatalf("value %d is %g", i/2, v)
		}
	}
	for _, at := range []int64{1, 4096, 1_048_572, 1_048_573, 1_099_000} {
		part := make([]byte, 1000)
		bigmodel.Fill(part, "a", at)
		require.Equal(t, all[2*at:2*at+1000], part)
		bigmodel.Fill(part, "b", at)
		require.NotEqual(t, all[2*at:2*at+1000], part)
	}
	require.NotEqual(t, all[:1<<20], all[1<<20:2<<20])
}

func TestShapes(t *testing.T) {
	require.EqualValues(t, 16_543_399_936, bigmodel.Minitron8B().Bytes())
	require.InDelta(t, 16_543_399_936/8, bigmodel.Minitron8B().Scaled(8).Bytes(), 1<<20)
	_, err := bigmodel.Write(t.TempDir(), small, bigmodel.Zarr, bigmodel.Options{TensorParallel: 3})
	require.ErrorContains(t, err, "3 tensor-parallel ranks")
	_, err = bigmodel.Write(t.TempDir(), small, "gguf", bigmodel.Options{})
	require.ErrorContains(t, err, `form "gguf"`)
}
