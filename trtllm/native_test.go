//go:build cgo && linux

package trtllm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/nativetest"
	"github.com/trtgo/trtgo/trtllm"
)

// childVariable says that a process was started by overStandIn.
const childVariable = "TRTGO_TEST_OVER_STANDIN"

// overStandIn runs the rest of a test in a process of its own, which finds the stand-in for TensorRT-LLM and has these
// variables: it is true there, and false in the process that waited for it.
func overStandIn(t *testing.T, variables ...string) bool {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		return true
	}
	env := append(nativetest.StandIn(t, "L4", "L4"), append(variables, childVariable+"="+t.Name())...)
	out, err := childProcess(t, env).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name(), "it did run")
	return false
}

// childProcess is the test in another process.
func childProcess(t *testing.T, env []string) *exec.Cmd {
	program, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, program, "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=50s")
	c.Env = env
	return c
}

// nativeEngine writes an engine for the stand-in.
func nativeEngine(t *testing.T, ranks int, change func(*engineconfig.Config)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "engine")
	nativetest.Engine(t, dir, ranks, 97, change)
	return dir
}

func openNative(t *testing.T, dir string, options ...trtllm.Option) *trtllm.Engine {
	t.Helper()
	e, err := trtllm.Open(t.Context(), dir, options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// An engine for TensorRT-LLM is opened, generates, streams and closes.
func TestNative(t *testing.T) {
	if !overStandIn(t) {
		return
	}
	dir := nativeEngine(t, 1, nil)
	e := openNative(t, dir, trtllm.WithGatherGenerationLogits(true), trtllm.WithKVCacheTokens(512), trtllm.WithKVCacheFraction(0.5),
		trtllm.WithMaxBatchSize(4), trtllm.WithDeviceIDs(1), trtllm.WithMultiBlockMode(false), trtllm.WithCUDAGraphMode(true),
		trtllm.WithContextFMHAFP32Acc(true), trtllm.WithHostCacheBytes(1<<20), trtllm.WithGPUWeightsPercent(1), trtllm.WithRequestStats(10))
	require.True(t, e.Leader())
	require.Equal(t, trtllm.Config{
		Architecture: "LlamaForCausalLM", Dtype: "bfloat16", Backend: "tensorrt-llm", VocabSize: 97, MaxBatchSize: 4, MaxInputLen: 256,
		MaxSeqLen: 400, MaxNumTokens: 64, KVCacheTokens: 512, Ranks: 1,
	}, e.Config())
	require.Equal(t, int64(4), e.Stats().Memory.Weights)

	request := trtllm.Request{InputIDs: []int32{5, 6, 7}, MaxTokens: 12, EndIDs: []int32{}, LogProbs: true}
	whole, err := e.Generate(t.Context(), request)
	require.NoError(t, err)
	require.Len(t, whole.OutputIDs, 12)
	require.Len(t, whole.LogProbs, 12)
	require.Equal(t, trtllm.FinishLength, whole.FinishReason)
	var streamed []int32
	for chunk, err := range e.Stream(t.Context(), request) {
		require.NoError(t, err)
		streamed = append(streamed, chunk.OutputIDs...)
	}
	require.Equal(t, whole.OutputIDs, streamed)

	request.TopLogProbs, request.PromptLogProbs, request.GenerationLogits = 3, true, true
	request.Sampling = trtllm.Sampling{Temperature: 0.7, Seed: 3, NumReturnSequences: 2}
	drawn, err := e.Generate(t.Context(), request)
	require.NoError(t, err)
	require.Len(t, drawn.Sequences, 2)
	require.Len(t, drawn.TopLogProbs, 12)
	require.Len(t, drawn.Logits[0], 97)
	require.Len(t, drawn.PromptLogProbs, 3)
	beams, err := e.Generate(t.Context(), trtllm.Request{InputIDs: []int32{5}, MaxTokens: 4, Sampling: trtllm.Sampling{BeamWidth: 3}})
	require.NoError(t, err)
	require.Len(t, beams.Sequences, 3)
	require.NotEmpty(t, e.IterationStats())
	require.NotEmpty(t, e.RequestStats())
	if err := trtllm.Finalize(); !trtllm.ExitEndsMPI {
		require.ErrorContains(t, err, "an executor is open")
	}

	require.NoError(t, e.Close())
	require.NoError(t, e.Wait(t.Context()))
	_, err = e.Generate(t.Context(), request)
	require.ErrorIs(t, err, trtllm.ErrClosed)
	require.NoError(t, trtllm.Finalize())
	require.NoError(t, trtllm.Finalize(), "again it does nothing")
}

// An orchestrator starts the ranks itself; the stand-in computes in its place.
func TestNativeOrchestrator(t *testing.T) {
	if !overStandIn(t) {
		return
	}
	worker, err := os.Executable()
	require.NoError(t, err)
	e := openNative(t, nativeEngine(t, 2, nil), trtllm.WithOrchestrator(worker), trtllm.WithCapacityPolicy(trtllm.MaxUtilization))
	require.True(t, e.Leader())
	require.Equal(t, 2, e.Config().Ranks)
	require.Equal(t, int64(8), e.Stats().Memory.Weights, "of both ranks")
	_, err = e.Generate(t.Context(), trtllm.Request{InputIDs: []int32{3}, MaxTokens: 4})
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, trtllm.Finalize())
}

// One engine at a time; one that is closed makes room for another.
func TestNativeOneAtATime(t *testing.T) {
	if !overStandIn(t) {
		return
	}
	first, second := nativeEngine(t, 1, nil), nativeEngine(t, 1, nil)
	e := openNative(t, first)
	_, err := trtllm.Open(t.Context(), second)
	require.ErrorIs(t, err, trtllm.ErrUnsupported)
	require.EqualError(t, err, fmt.Sprintf("%s: not supported by this executor: this process runs the engine in %s, and TensorRT-LLM runs one at a time in a process: close that first, or use another process", second, first))
	require.NoError(t, e.Close())
	require.NoError(t, openNative(t, second).Close())
	require.NoError(t, trtllm.Finalize())
}

// What is refused on the way leaves the process as it was.
func TestNativeOpenErrors(t *testing.T) {
	if !overStandIn(t) {
		return
	}
	for name, c := range map[string]struct {
		change  func(*engineconfig.Config)
		options []trtllm.Option
		script  string
		is      error
		want    string
	}{
		"release":    {change: func(c *engineconfig.Config) { c.Version = "1.2.0" }, is: trtllm.ErrNoBackend, want: "the engine was built for TensorRT-LLM 1.2.0, and 1.2.1 is loaded: build it again with trtgo build"},
		"TensorRT":   {change: func(c *engineconfig.Config) { c.Trtgo.TensorRT = "9.9.9" }, is: trtllm.ErrNoBackend, want: "the engine was built with TensorRT 9.9.9, and 1"},
		"capability": {change: func(c *engineconfig.Config) { c.Trtgo.ComputeCapabilities = []string{"9.0"} }, is: trtllm.ErrNoBackend, want: "the engine was built for compute capability 9.0, and GPU 0 (L4) has 8.9: build it again"},
		"GPU":        {options: []trtllm.Option{trtllm.WithDeviceIDs(2)}, is: trtllm.ErrInvalidOption, want: "device ids are [2], and CUDA shows 2 GPUs, 0 to 1"},
		"threads":    {options: []trtllm.Option{trtllm.WithThreads(2)}, is: trtllm.ErrInvalidOption, want: "threads is for engines of the CPU backend"},
		"processor": {options: []trtllm.Option{trtllm.WithLogitsProcessor(func([]trtllm.ProcessorRow) error { return nil })}, is: trtllm.ErrUnsupported,
			want: "a logits processor is given"},
		"other headers": {script: "version=1.3.0", is: trtllm.ErrNoBackend, want: "was built with the headers of TensorRT-LLM 1.2.1, and 1.3.0 is loaded: build it again with those of 1.3.0 (cmake"},
		"worker":        {options: []trtllm.Option{trtllm.WithOrchestrator("/none/executorWorker")}, is: trtllm.ErrInvalidOption, want: "the worker /none/executorWorker of the orchestrator cannot be run ("},
		"no worker":     {options: []trtllm.Option{trtllm.WithOrchestrator("")}, is: trtllm.ErrNoBackend, want: "an orchestrator starts TensorRT-LLM's program executorWorker, which is not in "},
		"constructor":   {script: "throw=Executor::Executor#1:runtime", is: trtllm.ErrOutOfMemory, want: "the GPU's memory ran out: end what else uses it"},
		"memory":        {script: "throw=Executor::Executor#1:bad_alloc", is: trtllm.ErrOutOfMemory, want: "memory"},
		"unknown":       {script: "throw=Executor::Executor#1:int", want: "engine: opening it failed: unexpected exception"},
		"first step":    {script: "fail_step=1+", is: trtllm.ErrFailed, want: "the engine does not run a request of one token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TRTGO_STANDIN_SCRIPT", c.script)
			t.Setenv("PATH", "/none")
			_, err := trtllm.Open(t.Context(), nativeEngine(t, 1, c.change), c.options...)
			require.ErrorContains(t, err, c.want)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.NotContains(t, err.Error(), "\n")
			t.Setenv("TRTGO_STANDIN_SCRIPT", "")
			require.NoError(t, openNative(t, nativeEngine(t, 1, nil)).Close(), "the process is as it was")
		})
	}
}

// A TensorRT-LLM that does not come back is left behind: it is closed when it comes.
func TestNativeOpenGivenUp(t *testing.T) {
	release := filepath.Join(t.TempDir(), "release")
	if os.Getenv(childVariable) == "" {
		t.Setenv("TRTGO_TEST_RELEASE", release)
	}
	release = os.Getenv("TRTGO_TEST_RELEASE")
	if !overStandIn(t, "TRTGO_STANDIN_SCRIPT=hang=constructor;release="+release, "SLURM_JOB_ID=7") {
		return
	}
	dir := nativeEngine(t, 1, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := trtllm.Open(ctx, dir)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "opening was given up (context deadline exceeded)")
	require.ErrorContains(t, err, "MPI may be waiting for processes that were not started (the environment has SLURM_JOB_ID=7), and trtgo doctor")
	_, err = trtllm.Open(t.Context(), dir)
	require.ErrorIs(t, err, trtllm.ErrUnsupported)
	if err := trtllm.Finalize(); !trtllm.ExitEndsMPI {
		require.Error(t, err, "one is half open")
	}
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	require.Eventually(t, func() bool {
		e, err := trtllm.Open(t.Context(), dir)
		return err == nil && e.Close() == nil
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, trtllm.Finalize())
}

// A nil dereference in Go is a panic, whatever handlers TensorRT-LLM and MPI have installed.
func TestNativeSignals(t *testing.T) {
	if !overStandIn(t, "TRTGO_STANDIN_SCRIPT=handlers=constructor;handlers=loop;handlers=shutdown;handlers=load") {
		return
	}
	dereference := func(p *trtllm.Request) (err error) {
		defer func() { err, _ = recover().(error) }()
		return errors.New(p.Prompt)
	}
	require.ErrorContains(t, dereference(nil), "nil pointer dereference", "before")
	e := openNative(t, nativeEngine(t, 1, nil))
	require.ErrorContains(t, dereference(nil), "nil pointer dereference", "open")
	response, err := e.Generate(t.Context(), trtllm.Request{InputIDs: []int32{3}, MaxTokens: 20, EndIDs: []int32{}})
	require.NoError(t, err)
	require.Len(t, response.OutputIDs, 20)
	require.ErrorContains(t, dereference(nil), "nil pointer dereference", "after steps")
	require.NoError(t, e.Close())
	require.ErrorContains(t, dereference(nil), "nil pointer dereference", "closed")
	require.NoError(t, trtllm.Finalize())
	require.ErrorContains(t, dereference(nil), "nil pointer dereference", "finalised")
}

// Two processes of mpirun: the leader takes requests, the other one waits for its end.
func TestNativeRanks(t *testing.T) {
	if os.Getenv(childVariable) == t.Name() {
		rank(t, os.Getenv("TRTGO_TEST_ENGINE"))
		return
	}
	env := append(nativetest.StandIn(t, "L4", "L4"), childVariable+"="+t.Name(), "TRTGO_TEST_ENGINE="+nativeEngine(t, 2, nil),
		"OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_LOCAL_SIZE=2")
	var outputs [2]strings.Builder
	var processes []*exec.Cmd
	for rank := range 2 {
		c := childProcess(t, append(slices.Clone(env), fmt.Sprintf("OMPI_COMM_WORLD_RANK=%d", rank)))
		c.Stdout, c.Stderr = &outputs[rank], &outputs[rank]
		require.NoError(t, c.Start())
		processes = append(processes, c)
	}
	for rank, c := range processes {
		require.NoError(t, c.Wait(), "rank %d: %s", rank, &outputs[rank])
		require.Contains(t, outputs[rank].String(), "--- PASS: "+t.Name())
	}
}

func rank(t *testing.T, dir string) {
	e := openNative(t, dir)
	require.Equal(t, 2, e.Config().Ranks)
	request := trtllm.Request{InputIDs: []int32{3}, MaxTokens: 4}
	if e.Leader() {
		require.Equal(t, "0", os.Getenv("OMPI_COMM_WORLD_RANK"))
		_, err := e.Generate(t.Context(), request)
		require.NoError(t, err)
		require.NoError(t, e.Close())
		require.NoError(t, trtllm.Finalize())
		return
	}
	require.Equal(t, "1", os.Getenv("OMPI_COMM_WORLD_RANK"))
	require.Zero(t, e.Config().KVCacheTokens)
	_, err := e.Generate(t.Context(), request)
	require.ErrorIs(t, err, trtllm.ErrNotLeader)
	var failed *trtllm.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, trtllm.CodeNotLeader, failed.Code)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, e.Wait(ended), context.Canceled)
	require.NoError(t, e.Wait(t.Context()))
	require.NoError(t, e.Close())
	require.NoError(t, trtllm.Finalize())
}
