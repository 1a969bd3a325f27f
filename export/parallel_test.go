package export_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/bigmodel"
)

// parallel has Minitron-8B's 48 heads and 8 key-value heads, and a vocabulary that
// no number of ranks divides.
func parallel(gated bool) bigmodel.Shape {
	return bigmodel.Shape{
		HiddenSize: 64, NumHiddenLayers: 4, NumAttentionHeads: 48, NumKeyValueHeads: 8, HeadDim: 4,
		IntermediateSize: 96, VocabSize: 101, MaxPositionEmbeddings: 64, Gated: gated,
	}
}

// TestEveryMappingGivesBackTheSource divides a model among 1 to 64 ranks: the ranks
// verify against the source, and a checkpoint made of them on one rank again is the
// undivided one, byte for byte. Beyond 8 tensor-parallel ranks key-value heads are
// repeated.
func TestEveryMappingGivesBackTheSource(t *testing.T) {
	for name, gated := range map[string]bool{"nemotron": false, "llama": true} {
		source, err := bigmodel.Write(t.TempDir(), parallel(gated), bigmodel.Safetensors, bigmodel.Options{})
		require.NoError(t, err)
		whole := rank(t, source, export.Options{})
		for _, tp := range []int{1, 2, 4, 8, 16} {
			for _, pp := range []int{1, 2, 4} {
				t.Run(fmt.Sprintf("%s tp %d pp %d", name, tp, pp), func(t *testing.T) {
					t.Parallel()
					divided := filepath.Join(t.TempDir(), "divided")
					o := export.Options{OutputDir: divided, TPSize: tp, PPSize: pp}
					if pp == 2 {
						o.UseParallelEmbedding, o.EmbeddingShardingDim = true, tp%4/2 // vocabulary and hidden by turns
					}
					report, err := export.Convert(t.Context(), source, o)
					require.NoError(t, err)
					require.Equal(t, tp*pp, report.Ranks)
					verified, err := export.Verify(t.Context(), source, divided, export.VerifyOptions{})
					require.NoError(t, err)
					require.Equal(t, report.Tensors, verified.Tensors)
					require.True(t, bytes.Equal(whole, rank(t, divided, export.Options{TPSize: 1, PPSize: 1})))
				})
			}
		}
	}
}

// rank exports path and returns rank0.safetensors.
func rank(t *testing.T, path string, o export.Options) []byte {
	t.Helper()
	o.OutputDir = filepath.Join(t.TempDir(), "checkpoint")
	_, err := export.Convert(t.Context(), path, o)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(o.OutputDir, "rank0.safetensors"))
	require.NoError(t, err)
	return data
}

func TestIllegalMappings(t *testing.T) {
	source, err := bigmodel.Write(t.TempDir(), parallel(false), bigmodel.Safetensors, bigmodel.Options{})
	require.NoError(t, err)
	for _, test := range []struct {
		o    export.Options
		text string
	}{
		{export.Options{TPSize: 3}, "num_key_value_heads 8 and tp_size 3: neither is a multiple of the other"},
		{export.Options{TPSize: 5}, "num_attention_heads 48 cannot be divided among tp_size 5 ranks"},
		{export.Options{TPSize: 12}, "num_key_value_heads 8 and tp_size 12"},
		{export.Options{TPSize: 32}, "num_attention_heads 48 cannot be divided among tp_size 32 ranks"},
		{export.Options{PPSize: 3}, "num_hidden_layers 4 is no multiple of pp_size 3"},
		{export.Options{PPSize: 8}, "pp_size 8"},
	} {
		test.o.OutputDir = filepath.Join(t.TempDir(), "checkpoint")
		_, err := export.Convert(t.Context(), source, test.o)
		require.ErrorIs(t, err, export.ErrMapping)
		require.ErrorContains(t, err, test.text)
		require.NoDirExists(t, test.o.OutputDir)
	}
}
