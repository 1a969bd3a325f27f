package trtllm

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// nativeOptions are those of engines for TensorRT-LLM. What is nil was not asked for.
type nativeOptions struct {
	deviceIDs         []int
	orchestrator      bool
	worker            string
	gpuWeightsPercent *float64
	hostCacheBytes    int64
	generationLogits  bool
	chunkedContext    *bool
	multiBlockMode    *bool
	cudaGraphMode     *bool
	contextFMHAFP32   *bool
}

// WithDeviceIDs says which GPUs the ranks on this machine compute on, one number for each, as CUDA counts those that
// CUDA_VISIBLE_DEVICES shows; the same list in all processes of mpirun. The default is the process's number on its
// machine. For engines of the backend tensorrt-llm.
func WithDeviceIDs(ids ...int) Option { return func(o *options) { o.deviceIDs = slices.Clone(ids) } }

// WithOrchestrator runs the engine in processes of its own, one for each rank, which Open starts by MPI_Comm_spawn, so
// that this process needs no mpirun. worker is TensorRT-LLM's program executorWorker; "" looks for it beside the
// library, in /app/tensorrt_llm/bin and in PATH. Otherwise each process opens one rank of the engine: this one alone, or
// those of mpirun. For engines of the backend tensorrt-llm.
func WithOrchestrator(worker string) Option {
	return func(o *options) { o.orchestrator, o.worker = true, worker }
}

// WithGPUWeightsPercent sets which share of the weights stays in the GPU's memory, from 0 to 1, the default; the rest
// is read from the host's in each step. The engine must have been built with weight_streaming for less than 1. For
// engines of the backend tensorrt-llm.
func WithGPUWeightsPercent(share float64) Option {
	return func(o *options) { o.gpuWeightsPercent = &share }
}

// WithHostCacheBytes sets how much of the host's memory, in bytes of each rank, takes KV blocks that no request holds
// when the GPU has no room for them, until a prompt takes them over again; see [WithBlockReuse]. Zero, the default, is
// none. For engines of the backend tensorrt-llm.
func WithHostCacheBytes(n int64) Option { return func(o *options) { o.hostCacheBytes = n } }

// WithGatherGenerationLogits keeps the logits of generated tokens, of which TensorRT-LLM copies a row of the vocabulary
// for each token then. It is needed for Request.GenerationLogits and TopLogProbs, and for LogProbs with temperature,
// penalties, bias, bans or min_p. Off is the default, and it goes neither with [WithOrchestrator] nor with
// [MaxUtilization]. Engines of the CPU backend can always do these.
func WithGatherGenerationLogits(gather bool) Option {
	return func(o *options) { o.generationLogits = gather }
}

// WithChunkedContext says whether prompts may be computed in several steps. The default is on where the engine was built
// with use_paged_context_fmha, which it needs; without it a prompt must fit into max_num_tokens. Engines of the CPU
// backend always do it.
func WithChunkedContext(chunked bool) Option { return func(o *options) { o.chunkedContext = &chunked } }

// WithMultiBlockMode says whether TensorRT-LLM's attention divides a long sequence among the processors of the GPU while
// it generates, which is the default. For engines of the backend tensorrt-llm.
func WithMultiBlockMode(on bool) Option { return func(o *options) { o.multiBlockMode = &on } }

// WithCUDAGraphMode makes TensorRT-LLM record the kernels of a step as a CUDA graph and start them at once. Off is the
// default. For engines of the backend tensorrt-llm.
func WithCUDAGraphMode(on bool) Option { return func(o *options) { o.cudaGraphMode = &on } }

// WithContextFMHAFP32Acc makes the attention of prompts add in float32 where it otherwise would in float16. Off is the
// default. For engines of the backend tensorrt-llm.
func WithContextFMHAFP32Acc(on bool) Option { return func(o *options) { o.contextFMHAFP32 = &on } }

func invalidOption(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidOption, fmt.Sprintf(format, args...))
}

// check refuses what makes no sense for any engine.
func (o *nativeOptions) check() error {
	for i, id := range o.deviceIDs {
		if id < 0 || id > math.MaxInt32 {
			return invalidOption("device ids %v: %d is none, the first GPU is 0", o.deviceIDs, id)
		}
		if slices.Contains(o.deviceIDs[:i], id) {
			return invalidOption("device ids %v: %d is there twice, each rank wants a GPU of its own", o.deviceIDs, id)
		}
	}
	if p := o.gpuWeightsPercent; p != nil && !(*p >= 0 && *p <= 1) { // false for NaN
		return invalidOption("GPU weights percent is %v, 0 to 1 is wanted, 1 is all of them", *p)
	}
	if o.hostCacheBytes < 0 {
		return invalidOption("host cache bytes is %d, want 0 (none) or more", o.hostCacheBytes)
	}
	if strings.ContainsRune(o.worker, 0) {
		return invalidOption("worker %q is no file name", o.worker)
	}
	return nil
}

// checkCPU refuses what was asked for and an engine of the CPU backend has not got.
func (o *options) checkCPU() error {
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"device ids", o.deviceIDs != nil}, {"orchestrator", o.orchestrator}, {"GPU weights percent", o.gpuWeightsPercent != nil},
		{"host cache bytes", o.hostCacheBytes > 0}, {"multi-block mode", o.multiBlockMode != nil}, {"CUDA graph mode", o.cudaGraphMode != nil},
		{"context FMHA with FP32 accumulation", o.contextFMHAFP32 != nil},
	} {
		if option.set {
			return invalidOption("%s is for engines of the backend tensorrt-llm, this one is for cpu: leave it out", option.name)
		}
	}
	if c := o.chunkedContext; c != nil && !*c {
		return invalidOption("chunked context is off, and the CPU backend always computes long prompts in chunks: leave it out")
	}
	return nil
}
