package cpu

import (
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// Options are the limits and choices of a runner. The zero value is a good one.
type Options struct {
	// Threads of a step, the caller's included; 0 is as many CPUs as the process
	// may use.
	Threads int
	// Precision is "exact" (float32 activations and KV cache), "fast" (bfloat16
	// ones) or "" for fast. An engine with float32 weights is always exact.
	Precision string
	// ISA is the kernel set: "scalar", "avx2", "avx512bf16". "" is what the
	// environment's TRTGO_CPU_ISA says, else the fastest.
	ISA string
	// MaxBatchSize, MaxNumTokens and MaxSeqLen bound a step and a sequence; 0 is
	// 8 sequences, 2048 tokens, and the engine's max_position_embeddings, which
	// MaxSeqLen cannot exceed. Limits tells a smaller MaxSeqLen when the KV cache
	// cannot hold one sequence of that length.
	MaxBatchSize, MaxNumTokens, MaxSeqLen int
	// KVCacheTokens is how many tokens the KV cache holds, KVCacheBytes how large
	// it is; of both the smaller counts. 0 is what the limits need, at most half of
	// the memory that is available beside the weights. The memory is used as the
	// cache fills.
	KVCacheTokens, KVCacheBytes int64
	// Load is "mmap" (default) or "copy", which also checks the weights' checksums.
	Load string
}

const (
	defaultMaxBatchSize = 8
	defaultMaxNumTokens = 2048
	blockSize           = 32 // TRTGO_CPU_BLOCK_SIZE

	maxThreads  = 1024
	maxKVBlocks = 1 << 24
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
		{"TRTGO_CPU_ISA", o.ISA, []string{"", "scalar", "avx2", "avx512bf16"}},
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
			return o, fmt.Errorf("%s is %d, want 0 (the default) to %d", limit.name, limit.value, limit.to)
		}
	}
	if o.Precision == "" {
		o.Precision = "fast"
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

// cacheBlocks gives the number of KV blocks: what was asked for, or what the
// limits can use and half of the available memory (0 is unknown) allows.
func (o Options) cacheBlocks(bytesPerBlock, available int64) (int, error) {
	perSequence := int64(o.MaxSeqLen+blockSize-1) / blockSize
	blocks := perSequence * int64(o.MaxBatchSize) // under 2^19 times 2^24
	if available > 0 {
		blocks = min(blocks, max(available/2/bytesPerBlock, 1))
	}
	if o.KVCacheTokens > 0 || o.KVCacheBytes > 0 {
		blocks = math.MaxInt64
	}
	if o.KVCacheTokens > 0 {
		blocks = (o.KVCacheTokens-1)/blockSize + 1
	}
	if o.KVCacheBytes > 0 {
		blocks = min(blocks, o.KVCacheBytes/bytesPerBlock)
	}
	switch {
	case blocks < 1:
		return 0, fmt.Errorf("a KV cache of %d bytes holds no block: one of %d tokens has %d bytes", o.KVCacheBytes, blockSize, bytesPerBlock)
	case blocks > math.MaxInt64/4/bytesPerBlock:
		return 0, fmt.Errorf("a KV cache of %d tokens is too large: %d bytes for each %d of them; ask for fewer", o.KVCacheTokens, bytesPerBlock, blockSize)
	}
	return int(min(blocks, maxKVBlocks)), nil
}

// kvBytesPerBlock is the size of a KV block of the program in all layers.
func kvBytesPerBlock(p *cpuengine.Program, precision string) int64 {
	size := int64(2)
	if precision == "exact" {
		size = 4
	}
	var bytes int64
	for _, op := range p.Ops {
		if op.Kind == cpuengine.OpAttention {
			bytes += 2 * blockSize * int64(op.KVHeads) * int64(op.HeadSize) * size
		}
	}
	return bytes
}
