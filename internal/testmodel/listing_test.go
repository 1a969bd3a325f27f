package testmodel_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestListingsAreWhole(t *testing.T) {
	for _, name := range testmodel.Names() {
		for dtype, short := range map[string]string{"float32": "F32", "float16": "F16", "bfloat16": "BF16"} {
			c := testmodel.Listing(t, name, dtype, 1, 1)
			require.Equal(t, dtype, c.Config["dtype"])
			require.Len(t, c.Ranks, 1)
			seen := map[string]bool{}
			for _, tensor := range c.Ranks[0] {
				require.Equal(t, short, tensor.Dtype)
				require.Len(t, tensor.SHA256, 2*sha256.Size)
				seen[tensor.Name] = true
			}
			require.Len(t, seen, len(c.Ranks[0]))
			require.True(t, seen["lm_head.weight"])
			require.True(t, seen["transformer.vocab_embedding.weight"])
		}
	}
}

// The listing's file source and its checksum are those of the checkpoint that
// Dir gives: a tensor which no transform touches has the same bytes in both.
func TestListingBelongsToCheckpoint(t *testing.T) {
	for _, name := range []string{"llama-gqa", "nemotron"} {
		data, err := os.ReadFile(filepath.Join(testmodel.Dir(t, name), "model.safetensors"))
		require.NoError(t, err)
		size := binary.LittleEndian.Uint64(data)
		var header map[string]struct {
			Offsets [2]int `json:"data_offsets"`
		}
		var raw map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data[8:8+size], &raw))
		delete(raw, "__metadata__")
		clean, err := json.Marshal(raw)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(clean, &header))
		at := header["lm_head.weight"].Offsets
		sum := sha256.Sum256(data[8+size:][at[0]:at[1]])
		for _, tensor := range testmodel.Listing(t, name, "bfloat16", 1, 1).Ranks[0] {
			if tensor.Name == "lm_head.weight" {
				require.Equal(t, tensor.SHA256, hex.EncodeToString(sum[:]))
			}
		}
	}
}

func TestListingOfRanks(t *testing.T) {
	shape := func(rank []testmodel.Tensor, name string) []int64 {
		for _, tensor := range rank {
			if tensor.Name == name {
				return tensor.Shape
			}
		}
		return nil
	}
	const qkv, head, embedding = "transformer.layers.0.attention.qkv.weight", "lm_head.weight", "transformer.vocab_embedding.weight"

	two := testmodel.Listing(t, "llama-gqa", "bfloat16", 2, 1)
	require.Len(t, two.Ranks, 2)
	require.Equal(t, []int64{64, 64}, shape(two.Ranks[1], qkv)) // 2 query heads, 1 key, 1 value of 16
	require.Equal(t, []int64{129, 64}, shape(two.Ranks[1], head))
	require.Equal(t, []int64{257, 64}, shape(two.Ranks[1], embedding))

	four := testmodel.Listing(t, "llama-gqa", "bfloat16", 4, 1) // key heads are repeated
	require.Equal(t, []int64{48, 64}, shape(four.Ranks[3], qkv))

	rows := testmodel.ListingParallelEmbedding(t, "llama-gqa", "bfloat16", 2, 1, 0)
	require.Equal(t, []int64{129, 64}, shape(rows.Ranks[0], embedding))
	columns := testmodel.ListingParallelEmbedding(t, "llama-gqa", "bfloat16", 2, 1, 1)
	require.Equal(t, []int64{257, 32}, shape(columns.Ranks[0], embedding))

	stages := testmodel.Listing(t, "nemotron", "bfloat16", 1, 2)
	require.Nil(t, shape(stages.Ranks[0], head))
	require.Nil(t, shape(stages.Ranks[1], embedding))
	require.NotNil(t, shape(stages.Ranks[1], qkv))
}
