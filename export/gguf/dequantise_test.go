package gguf

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// The values are gguf-py's, bit for bit (scripts/gguf_goldens.py).
func TestDequantise(t *testing.T) {
	text, err := os.ReadFile("testdata/blocks.json")
	require.NoError(t, err)
	var goldens []struct{ Type, Blocks, Values string }
	require.NoError(t, json.Unmarshal(text, &goldens))
	tested := map[string]bool{}
	for _, g := range goldens {
		raw, err := hex.DecodeString(g.Blocks)
		require.NoError(t, err)
		for _, kind := range blocks {
			if kind.name != g.Type {
				continue
			}
			tested[kind.name] = true
			require.Len(t, raw, 3*int(kind.bytes))
			values := make([]float32, 3*kind.values)
			kind.dequantise(values, raw)
			got := make([]byte, 4*len(values))
			floatformat.Encode(got, values, "F32")
			require.Equal(t, g.Values, hex.EncodeToString(got), g.Type)
		}
	}
	for _, kind := range blocks {
		require.Equal(t, kind.dequantise != nil, tested[kind.name], kind.name)
	}
}
