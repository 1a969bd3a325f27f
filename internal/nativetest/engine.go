package nativetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/engineconfig"
)

// Engine writes an engine directory for the stand-in of csrc/testing/tensorrt_llm, whose model is a toy of vocabSize
// tokens. It has config.json and a file for each of ranks, which the stand-in only looks for. change, which may be nil, is
// called before the config is written.
func Engine(t testing.TB, dir string, ranks, vocabSize int, change func(*engineconfig.Config)) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	pretrained, err := json.Marshal(map[string]any{
		"architecture": "LlamaForCausalLM", "dtype": "bfloat16", "logits_dtype": "float32", "vocab_size": vocabSize, "hidden_size": 8,
		"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "head_size": 8, "intermediate_size": 8,
		"max_position_embeddings": 512, "mapping": map[string]int{"world_size": ranks, "tp_size": ranks, "pp_size": 1, "cp_size": 1},
	})
	require.NoError(t, err)
	c := &engineconfig.Config{
		Version: engineconfig.RuntimeVersion, PretrainedJSON: pretrained,
		Build: engineconfig.Build{
			MaxInputLen: 256, MaxSeqLen: 400, OptBatchSize: 8, MaxBatchSize: 8, MaxBeamWidth: 4, MaxNumTokens: 64, KVCacheType: "PAGED",
			GatherContextLogits: true,
			Plugins:             engineconfig.Plugin{PagedKVCache: true, RemoveInputPadding: true, ContextFMHA: true, UsePagedContextFMHA: true, TokensPerBlock: 8},
		},
		Trtgo: &engineconfig.Trtgo{
			Backend: engineconfig.BackendTensorRTLLM, Producer: engineconfig.Producer{Name: "trtgo", Version: "test"}, WeightDtype: "bfloat16",
			ComputeCapabilities: []string{"8.9"},
		},
	}
	if change != nil {
		change(c)
	}
	text, err := c.Text()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, engineconfig.FileName), text, 0o600))
	for rank := range ranks {
		require.NoError(t, os.WriteFile(filepath.Join(dir, engineconfig.EngineName(rank)), []byte("plan"), 0o600))
	}
}
