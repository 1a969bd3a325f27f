package build_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// planner is a compiler whose plans are the names of their networks and whose timing
// cache is the one before with the name behind it. It reads every weight, as TensorRT does.
func planner(ctx context.Context, c build.FakeCompilation, f *os.File) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.Message(build.Message{Severity: "warning", Text: "hello"})
	for i, w := range c.Network.Weights() {
		if _, err := w.Values(c.Source); err != nil {
			return nil, err
		}
		c.Progress(build.Phase{Name: "reading", Done: int64(i + 1), Total: int64(len(c.Network.Weights()))})
	}
	_, err := f.WriteString("plan of " + c.Network.Name)
	return append(append([]byte{}, c.TimingCache...), c.Network.Name+";"...), err
}

// divided divides a tiny model.
func divided(tp, pp int) func(c *checkpoint.Config) {
	return func(c *checkpoint.Config) { c.Mapping = checkpoint.Mapping{WorldSize: tp * pp, TPSize: tp, PPSize: pp} }
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// trtllm are options for a divided checkpoint, with a working directory of the test's own.
func trtllm(t *testing.T, tp, pp int) build.Options {
	t.Helper()
	ckpt := tinycheckpoint.Dir(t, "llama-text", divided(tp, pp))
	t.Chdir(t.TempDir())
	return build.Options{Backend: build.BackendTensorRTLLM, CheckpointDir: ckpt, OutputDir: "engine", MaxBatchSize: 4, Version: "v1.2.3"}
}

func TestRanks(t *testing.T) {
	build.SetCompiler(t, build.FakeCompiler{Compile: planner, Version: "10.14.1"})
	o := trtllm(t, 2, 2)
	require.NoError(t, os.WriteFile("before.cache", []byte("before;"), 0o600))
	o.InputTimingCache = "before.cache"
	var phases []string
	o.Phases = func(p build.Phase) {
		require.LessOrEqual(t, p.Done, p.Total)
		if name := fmt.Sprintf("rank %d: %s", p.Rank, p.Name); len(phases) == 0 || phases[len(phases)-1] != name {
			phases = append(phases, name)
		}
	}
	var messages []build.Message
	o.Messages = func(m build.Message) { messages = append(messages, m) }
	report := mustBuild(t, o)
	require.Len(t, messages, 4)
	require.Equal(t, build.Message{Rank: 3, Severity: "warning", Text: "hello"}, messages[3])
	require.Equal(t, []string{"rank 0: reading", "rank 1: reading", "rank 2: reading", "rank 3: reading"}, phases)
	require.Equal(t, "bfloat16", report.WeightDtype)
	require.Equal(t, "10.14.1", report.TensorRT)
	require.NotContains(t, fmt.Sprint(report.Notes), "built with TensorRT")
	require.Len(t, report.Ranks, 4)
	require.EqualValues(t, 4*len("plan of rank0"), report.Bytes)
	for rank := range 4 {
		require.Equal(t, fmt.Sprintf("plan of rank%d", rank), content(t, filepath.Join("engine", engineconfig.EngineName(rank))))
		require.Equal(t, rank, report.Ranks[rank].Rank)
		require.Positive(t, report.Ranks[rank].Layers)
		require.Positive(t, report.Ranks[rank].Weights)
	}
	require.Equal(t, "before;rank0;rank1;rank2;rank3;", content(t, "model.cache"), "each rank begins with what the one before has timed")
	require.ElementsMatch(t, []string{"before.cache", "engine", "model.cache"}, names(t, "."))
	c, err := engineconfig.Read("engine")
	require.NoError(t, err)
	require.Equal(t, &engineconfig.Trtgo{Backend: "tensorrt-llm", Producer: engineconfig.Producer{Name: "trtgo", Version: "v1.2.3"}, WeightDtype: "bfloat16", TensorRT: "10.14.1"}, c.Trtgo)
	require.FileExists(t, "engine/tokenizer.json")

	build.SetCompiler(t, build.FakeCompiler{Compile: planner, Version: "10.13.0"})
	require.Contains(t, mustBuild(t, o).Notes, "built with TensorRT 10.13.0; TensorRT-LLM 1.2.1 loads plans of 10.14.1 only") // over an engine, whose cache may lie in it
	build.SetCompiler(t, build.FakeCompiler{Compile: planner, Version: "10.13.3"})
	o.TargetVersion = "1.1"
	require.NotContains(t, fmt.Sprint(mustBuild(t, o).Notes), "built with TensorRT")
	c, err = engineconfig.Read("engine")
	require.NoError(t, err)
	require.Equal(t, "1.1.0", c.Version)
	require.NoError(t, os.Rename("model.cache", "engine/model.cache"))
	o.OutputTimingCache = "engine/model.cache"
	mustBuild(t, o)
	require.FileExists(t, "engine/model.cache")
	o.InputTimingCache, o.OutputTimingCache = "absent.cache", "no/such/directory.cache"
	report = mustBuild(t, o)
	require.Contains(t, strings.Join(report.Notes, "\n"), "input_timing_cache absent.cache does not exist")
	require.Contains(t, strings.Join(report.Notes, "\n"), "the timing cache could not be written")
	o.InputTimingCache = "engine"
	_, err = build.Build(t.Context(), o)
	require.ErrorContains(t, err, "--input_timing_cache: ")
}

// With --fast_build the weights stand beside the plan, by the names of the plan's inputs.
func TestManagedWeights(t *testing.T) {
	build.SetCompiler(t, build.FakeCompiler{Compile: planner})
	o := trtllm(t, 2, 1)
	o.FastBuild = true
	networks, _, err := build.Networks(t.Context(), o)
	require.NoError(t, err)
	report := mustBuild(t, o)
	for rank, net := range networks {
		path := filepath.Join("engine", engineconfig.ManagedWeightsName(rank))
		file, err := safetensors.Open(path)
		require.NoError(t, err)
		weights := 0
		for _, in := range net.Inputs {
			if in.Weight == nil {
				continue
			}
			weights++
			tensor, ok := file.Tensor(in.Tensor.Name)
			require.True(t, ok, in.Tensor.Name)
			require.Equal(t, in.Weight.Bytes(), tensor.Size)
		}
		require.Len(t, file.Header().Tensors, weights)
		require.NoError(t, file.Close())
		stat, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, stat.Size(), report.Ranks[rank].Managed)
	}
	c, err := engineconfig.Read("engine")
	require.NoError(t, err)
	require.True(t, c.Build.Plugins.ManageWeights)
	o.FastBuild = false
	mustBuild(t, o) // replaces the engine and its weights
	require.NoFileExists(t, filepath.Join("engine", engineconfig.ManagedWeightsName(0)))
}

func TestRTX(t *testing.T) {
	var told build.FakeCompilation
	build.SetCompiler(t, build.FakeCompiler{Version: "1.7.1", Compile: func(ctx context.Context, c build.FakeCompilation, f *os.File) ([]byte, error) {
		told = c
		_, err := f.WriteString("plan")
		return nil, err
	}})
	o := trtllm(t, 1, 1)
	o.Backend, o.MaxBatchSize = build.BackendTensorRTRTX, 0
	report := mustBuild(t, o)
	require.Equal(t, []string{"8.6", "8.9", "12.0"}, report.ComputeCapabilities)
	require.Equal(t, []int{86, 89, 120}, told.ComputeCapabilities)
	require.False(t, told.UseTimingCache)
	require.Empty(t, told.Flags)
	require.Equal(t, 8, report.MaxBatchSize)
	require.Contains(t, report.Notes, "engines for TensorRT-RTX have not yet been run on a GPU")
	require.ElementsMatch(t, []string{"engine"}, names(t, "."), "there is no timing cache")
	require.FileExists(t, "engine/rank0_managed_weights.safetensors")
	c, err := engineconfig.Read("engine")
	require.NoError(t, err)
	require.Equal(t, "tensorrt-rtx", c.Backend())
	require.Equal(t, []string{"8.6", "8.9", "12.0"}, c.Trtgo.ComputeCapabilities)
	require.Equal(t, "CONTINUOUS", c.Build.KVCacheType)
	require.False(t, c.Build.Plugins.PagedKVCache)
	require.Nil(t, c.Build.Plugins.GPTAttentionPlugin)
	o.ComputeCapabilities = []string{"89", "12.1", "8.9"}
	require.Equal(t, []string{"8.9", "12.1"}, mustBuild(t, o).ComputeCapabilities)
	require.Equal(t, []int{89, 121}, told.ComputeCapabilities)
}

// Flags reach TensorRT by its names.
func TestBuilderFlags(t *testing.T) {
	var told build.FakeCompilation
	build.SetCompiler(t, build.FakeCompiler{Compile: func(ctx context.Context, c build.FakeCompilation, f *os.File) ([]byte, error) {
		told = c
		return planner(ctx, c, f)
	}})
	o := trtllm(t, 1, 1)
	mustBuild(t, o)
	require.Empty(t, told.Flags)
	require.Equal(t, "LAYER_NAMES_ONLY", told.ProfilingVerbosity)
	require.True(t, told.UseTimingCache)
	for _, c := range []struct {
		set  func(o *build.Options)
		want []string
	}{
		{func(o *build.Options) { o.StripPlan = true }, []string{"STRIP_PLAN", "REFIT_INDIVIDUAL"}},
		{func(o *build.Options) { o.WeightStreaming = true }, []string{"WEIGHT_STREAMING"}},
		{func(o *build.Options) { o.WeightSparsity, o.MonitorMemory = true, true }, []string{"SPARSE_WEIGHTS", "MONITOR_MEMORY"}},
	} {
		set := o
		c.set(&set)
		mustBuild(t, set)
		require.Equal(t, c.want, told.Flags)
	}
	o.ProfilingVerbosity = "detailed"
	mustBuild(t, o)
	require.Equal(t, "DETAILED", told.ProfilingVerbosity)
}

// A rank that fails, or a cancelled build, leaves nothing but the engine that stood there.
func TestFailedRank(t *testing.T) {
	o := trtllm(t, 2, 1)
	restore := build.UseCompiler(build.FakeCompiler{Compile: planner})
	mustBuild(t, o)
	restore()
	require.NoError(t, os.Remove("model.cache"))
	o.MaxBatchSize = 7
	broken := errors.New("layer lm_head/MatrixMultiply: it cannot be")
	build.SetCompiler(t, build.FakeCompiler{Compile: func(ctx context.Context, c build.FakeCompilation, f *os.File) ([]byte, error) {
		if c.Network.Name == "rank1" {
			return nil, broken
		}
		return planner(ctx, c, f)
	}})
	_, err := build.Build(t.Context(), o)
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "rank 1: layer lm_head/MatrixMultiply: it cannot be")
	require.Equal(t, []string{"engine"}, names(t, "."))

	build.SetCompiler(t, build.FakeCompiler{Compile: func(context.Context, build.FakeCompilation, *os.File) ([]byte, error) {
		return nil, fmt.Errorf("%w: layer lm_head/Gemm: it has a field more", tensorrt.ErrDiffers)
	}})
	_, err = build.Build(t.Context(), o)
	require.ErrorIs(t, err, tensorrt.ErrDiffers)
	require.EqualError(t, err, "rank 0: TensorRT differs from what trtgo expects: layer lm_head/Gemm: it has a field more; "+
		"use the libraries of TensorRT-LLM 1.2.1, or name their release by --target_version")
	require.Equal(t, []string{"engine"}, names(t, "."))

	ctx, cancel := context.WithCancel(t.Context())
	build.SetCompiler(t, build.FakeCompiler{Compile: func(ctx context.Context, _ build.FakeCompilation, f *os.File) ([]byte, error) {
		_, _ = io.WriteString(f, "half")
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	_, err = build.Build(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"engine"}, names(t, "."))
	c, err := engineconfig.Read("engine")
	require.NoError(t, err)
	require.Equal(t, 4, c.Build.MaxBatchSize)
}

// TestHeadSizes: what the attention plugin would refuse is told before it does.
func TestHeadSizes(t *testing.T) {
	for name, want := range map[string]string{
		"llama-headdim": "head_size is 20: the attention of TensorRT-LLM 1.2.1 has kernels for 32 48 64 80 96 104 112 128 144 160 192 224 256 and refuses others when the engine is built",
		"wide":          "",
	} {
		model, change := name, func(*checkpoint.Config) {}
		if want == "" {
			model, change = "llama-gqa", func(c *checkpoint.Config) { c.NumAttentionHeads, c.NumKeyValueHeads, c.HeadSize = 2, 1, 32 }
		}
		_, report, err := build.Networks(t.Context(), build.Options{Backend: build.BackendTensorRTLLM, CheckpointDir: tinycheckpoint.Dir(t, model, change)})
		require.NoError(t, err)
		if want == "" {
			require.NotContains(t, strings.Join(report.Notes, "\n"), "head_size")
		} else {
			require.Contains(t, report.Notes, want)
		}
	}
}
