//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// What build explains is what the runner allocates.
func TestExplainedMemory(t *testing.T) {
	for _, dtype := range []string{"float32", "bfloat16"} {
		for _, name := range []string{"llama-gqa", "nemotron", "llama-text", "nemotron.fp8"} {
			o := build.Options{CheckpointDir: filepath.Join(t.TempDir(), "checkpoint"), OutputDir: filepath.Join(t.TempDir(), "engine"), MaxBatchSize: 3, MaxSeqLen: 100, MaxNumTokens: 77}
			source := testmodel.Dir
			if strings.Contains(name, ".") { // with a KV cache of FP8
				source = testmodel.QuantisedDir
			}
			_, err := export.Convert(t.Context(), source(t, name), export.Options{OutputDir: o.CheckpointDir, Dtype: dtype})
			require.NoError(t, err)
			memory, err := build.Explain(t.Context(), o)
			require.NoError(t, err)
			_, err = build.Build(t.Context(), o)
			require.NoError(t, err)
			engine := filepath.Join(o.OutputDir, "rank0.engine")
			describe := func(threads int) cpu.Description {
				return openRunner(t, engine, cpu.Options{Threads: threads, MaxBatchSize: o.MaxBatchSize, MaxSeqLen: o.MaxSeqLen, MaxNumTokens: o.MaxNumTokens}).Describe()
			}
			two, three := describe(2), describe(3)
			require.Equal(t, memory.Precision, two.Precision)

			const blocks = (100 + cpuengine.KVBlockTokens - 1) / cpuengine.KVBlockTokens
			require.Equal(t, 3*blocks*cpuengine.KVBlockTokens*memory.KVPerToken, two.KVBytes)
			file, err := cpuengine.Open(engine)
			require.NoError(t, err)
			var sections int64
			for _, s := range file.Sections {
				sections += s.Size
			}
			require.Equal(t, memory.Total, sections)
			require.Equal(t, file.Size, two.WeightBytes)

			// Beside what each thread has; each buffer begins on a page.
			activations := two.ActivationBytes - 2*(three.ActivationBytes-two.ActivationBytes)
			explained := 77*memory.ActivationPerToken + cpuengine.LogitsRows*memory.LogitsPerRow
			require.GreaterOrEqual(t, activations, explained)
			require.Less(t, activations, explained+4096*int64(len(file.Program.Buffers)))
		}
	}
}
