package export_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestCheckSoundModels(t *testing.T) {
	last := int64(0)
	for _, path := range []string{
		testmodel.Dir(t, "llama-tied-llama3"), testmodel.Nemo(t, "nemotron-f32.zarr-tp2"), testmodel.GGUF(t, "q8_0"),
		testmodel.QuantisedDir(t, "nemotron.fp8"), mustConvert(t, testmodel.QuantisedDir(t, "nemotron.fp8"), export.Options{}),
		mustConvert(t, testmodel.Dir(t, "llama-gqa"), export.Options{TPSize: 2}),
	} {
		problems, err := export.Check(t.Context(), path, export.CheckOptions{Dtype: "float16", Progress: func(done, total int64, _ string) {
			require.LessOrEqual(t, done, total)
			last = total - done
		}})
		require.NoError(t, err)
		require.Empty(t, problems, path)
		require.Zero(t, last)
	}
}

// Each kind of number is counted, in each of several blocks, and the first one is
// the first in the tensor.
func TestCheckFindsNumbers(t *testing.T) {
	m := newFake()
	m.config.VocabSize, m.config.HiddenSize = 5000, 256 // several blocks
	set := func(dst []byte, at int, v float64) {
		binary.LittleEndian.PutUint32(dst[4*at:], math.Float32bits(float32(v)))
	}
	m.rows = func(name string, dst []byte, row int64) error {
		switch name {
		case "lm_head.weight":
			if row > 0 { // of two blocks but the first
				set(dst, 256+7, math.NaN())
				set(dst, 3, math.Inf(-1))
			}
		case "transformer.ln_f.weight":
			set(dst, 9, 65520)
			set(dst, 8, 65519)
			set(dst, 10, -70000)
		case "transformer.layers.1.mlp.proj.weight":
			return errors.New("bad sector")
		case "transformer.layers.0.mlp.proj.weight":
			set(dst, 0, 3.4e38)
		}
		return nil
	}
	problems, err := export.CheckModel(t.Context(), m, export.CheckOptions{Dtype: "float16", Workers: 3})
	require.NoError(t, err)
	require.Equal(t, []string{
		"tensor fake/transformer.layers.0.mlp.proj.weight: 1 values that float16 cannot hold, the largest 3.3999999521443642e+38, the first at row 0, column 0: choose bfloat16 or float32",
		"tensor fake/transformer.layers.1.mlp.proj.weight cannot be read: bad sector",
		"tensor fake/transformer.ln_f.weight: 2 values that float16 cannot hold, the largest 70000, the first at row 9, column 0: choose bfloat16 or float32",
		"tensor fake/lm_head.weight: NaN in 2 places, the first at row 2049, column 7",
		"tensor fake/lm_head.weight: infinity in 2 places, the first at row 2048, column 3",
	}, problems)
	problems, err = export.CheckModel(t.Context(), m, export.CheckOptions{Dtype: "bfloat16"})
	require.NoError(t, err)
	require.Contains(t, problems[0], "1 values that bfloat16 cannot hold")
	problems, err = export.CheckModel(t.Context(), m, export.CheckOptions{})
	require.NoError(t, err)
	require.Len(t, problems, 3, "NaN, infinity and what cannot be read")
	_, err = export.Check(t.Context(), testmodel.Dir(t, "llama-gqa"), export.CheckOptions{Dtype: "int8"})
	require.ErrorIs(t, err, export.ErrOption)
}

func TestCheckCheckpoint(t *testing.T) {
	out := mustConvert(t, testmodel.QuantisedDir(t, "llama-gqa.fp8"), export.Options{TPSize: 2})
	files{t, out}.edit(1, "transformer.layers.1.mlp.fc.weight", func(d []byte) { d[65] = 0xff })
	problems, err := export.Check(t.Context(), out, export.CheckOptions{})
	require.NoError(t, err)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], filepath.Join(out, "rank1.safetensors")+": transformer.layers.1.mlp.fc.weight: NaN in 1 places, the first at row 1, column 1")
}

func TestCheckInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := export.Check(ctx, testmodel.Dir(t, "llama-gqa"), export.CheckOptions{Progress: func(int64, int64, string) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
}
