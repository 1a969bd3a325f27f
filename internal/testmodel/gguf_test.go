package testmodel_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestGGUF(t *testing.T) {
	require.Len(t, testmodel.GGUFNames(), 9)
	types := map[string]bool{}
	for _, name := range testmodel.GGUFNames() {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(testmodel.GGUF(t, name))
			require.NoError(t, err)
			require.Equal(t, "GGUF", string(data[:4]))

			r := testmodel.Golden(t, name)
			checkReference(t, r)
			for _, tensor := range r.GGUFTensors {
				types[tensor.Type] = true
			}
			if name == "gguf-spm" {
				require.Empty(t, r.Encodings)
			} else {
				require.NotEmpty(t, r.Encodings)
			}
			require.Len(t, testmodel.Listing(t, name, "bfloat16", 1, 1).Ranks, 1)
		})
	}
	for _, kind := range []string{"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q6_K"} {
		require.True(t, types[kind], kind)
	}
}

func TestGGUFWithoutList(t *testing.T) {
	require.FileExists(t, testmodel.GGUF(t, "gguf-unsupported-q5_0"))
	require.FileExists(t, testmodel.GGUF(t, "gguf-rope-freqs"))
	checkReference(t, testmodel.Golden(t, "gguf-rope-freqs"))
}
