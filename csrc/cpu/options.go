package cpu

import (
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// Options are the limits and choices of a runner. The zero value is a good one.
type Options struct {
	// Threads of a step, the caller's included; 0 is as many CPUs as the process
	// may use.
	Threads int
	// Precision is "exact" (float32 activations and KV cache), "fast" (bfloat16
	// ones) or "" for fast, and exact with float16 weights. An engine with float32
	// weights is always exact.
	Precision string
	// ISA is the kernel set: "scalar", "avx2", "avx512bf16", "neon",
	// "neondotprod", "neonbf16". "" is what the environment's TRTGO_CPU_ISA says, else the fastest.
	ISA string
	// MaxBatchSize, MaxNumTokens and MaxSeqLen bound a step and a sequence; 0 is
	// 8 sequences, 2048 tokens, and the engine's max_position_embeddings, which
	// MaxSeqLen cannot exceed. They are ceilings. Limits tells a smaller MaxSeqLen when
	// the KV cache cannot hold one sequence of that length, and a smaller MaxNumTokens
	// when activations would take more than half of the memory beside the weights.
	MaxBatchSize, MaxNumTokens, MaxSeqLen int
	// KVCacheTokens is how many tokens the KV cache holds, KVCacheBytes how large it
	// is, and KVCacheFraction, between 0 and 1, its share of the memory that weights
	// and activations leave. The smallest of those given counts; tokens and bytes
	// without a fraction get at most 0.9 of that memory. With none of them the cache
	// has what the limits need, at most half of that memory. It is used as the cache
	// fills. See Limits.Memory for what was found and taken.
	KVCacheTokens, KVCacheBytes int64
	KVCacheFraction             float64
	// Load is "mmap" (default) or "copy", which also checks the weights' checksums.
	Load string
}

// kernelSets are those that a user can ask for, on any processor.
var kernelSets = []string{"scalar", "avx2", "avx512bf16", "neon", "neondotprod", "neonbf16"}

const (
	defaultMaxBatchSize = 8
	defaultMaxNumTokens = 2048
	blockSize           = 32 // TRTGO_CPU_BLOCK_SIZE

	maxThreads = 1024
)

// complete checks the options and fills what is 0.
func (o Options) complete(p *cpuengine.Program) (Options, error) {
	if o.ISA == "" {
		o.ISA = os.Getenv("TRTGO_CPU_ISA")
	}
	for _, choice := range []struct {
		name, value string
		allowed     []string
	}{
		{"precision", o.Precision, []string{"", "exact", "fast"}},
		{"load", o.Load, []string{"", "mmap", "copy"}},
		{"TRTGO_CPU_ISA", o.ISA, append([]string{""}, kernelSets...)},
	} {
		if !slices.Contains(choice.allowed, choice.value) {
			return o, fmt.Errorf("%s %q is none of %v", choice.name, choice.value, choice.allowed[1:])
		}
	}
	for _, limit := range []struct {
		name      string
		value, to int64
	}{
		{"threads", int64(o.Threads), maxThreads},
		{"max_batch_size", int64(o.MaxBatchSize), cpuengine.MaxStepSize},
		{"max_num_tokens", int64(o.MaxNumTokens), cpuengine.MaxStepSize},
		{"max_seq_len", int64(o.MaxSeqLen), math.MaxInt32},
		{"KV cache tokens", o.KVCacheTokens, math.MaxInt64},
		{"KV cache bytes", o.KVCacheBytes, math.MaxInt64},
	} {
		if limit.value < 0 || limit.value > limit.to {
			return o, fmt.Errorf("%w: %s is %d, want 0 (the default) to %d", executor.ErrInvalidOption, limit.name, limit.value, limit.to)
		}
	}
	if !(o.KVCacheFraction >= 0 && o.KVCacheFraction < 1) {
		return o, fmt.Errorf("%w: the KV cache's fraction of the memory is %v, want a number above 0 and below 1", executor.ErrInvalidOption, o.KVCacheFraction)
	}
	if o.Precision == "" {
		o.Precision = "fast"
		if p.WeightDtype == cpuengine.DtypeF16 { // rounding to bfloat16 wins nothing there
			o.Precision = "exact"
		}
	}
	if p.WeightDtype == cpuengine.DtypeF32 {
		o.Precision = "exact"
	}
	if o.MaxBatchSize == 0 {
		o.MaxBatchSize = defaultMaxBatchSize
	}
	if o.MaxNumTokens == 0 {
		o.MaxNumTokens = defaultMaxNumTokens
	}
	if o.MaxSeqLen == 0 || o.MaxSeqLen > p.MaxPositionEmbeddings {
		o.MaxSeqLen = p.MaxPositionEmbeddings
	}
	o.MaxSeqLen = min(o.MaxSeqLen, cpuengine.MaxPositions)
	if o.Threads == 0 {
		o.Threads = min(availableCPUs(), maxThreads)
	}
	return o, nil
}

// kvCacheDtype is what the KV cache holds, as executor.Limits names it.
func kvCacheDtype(p *cpuengine.Program, precision string) string {
	switch {
	case precision == "exact":
		return "float32"
	case p.KVCacheDtype != "":
		return p.KVCacheDtype
	default:
		return "bfloat16"
	}
}

// kvBytesPerBlock is the size of a KV block of the program in all layers.
func kvBytesPerBlock(p *cpuengine.Program, precision string) int64 {
	return blockSize * p.KVBytesPerToken(precision == "fast")
}
