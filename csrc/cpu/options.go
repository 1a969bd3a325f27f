package cpu

import (
	"fmt"
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
	// 8 sequences, 2048 tokens, and the model's max_position_embeddings. They are
	// lowered to what memory allows.
	MaxBatchSize, MaxNumTokens, MaxSeqLen int
	// KVCacheTokens is how many tokens the KV cache holds. 0 is what the limits
	// need, at most half of the memory that is available.
	KVCacheTokens int64
	// Load is "mmap" (default) or "copy", which also checks the weights' checksums.
	Load string
}

const (
	defaultMaxBatchSize = 8
	defaultMaxNumTokens = 2048
	blockSize           = 32 // TRTGO_CPU_BLOCK_SIZE
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
		name  string
		value int64
	}{
		{"threads", int64(o.Threads)}, {"max_batch_size", int64(o.MaxBatchSize)}, {"max_num_tokens", int64(o.MaxNumTokens)},
		{"max_seq_len", int64(o.MaxSeqLen)}, {"KV cache tokens", o.KVCacheTokens},
	} {
		if limit.value < 0 {
			return o, fmt.Errorf("%s is %d, must not be negative", limit.name, limit.value)
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
	if o.Threads == 0 {
		o.Threads = availableCPUs()
	}
	return o, nil
}

// cacheBlocks gives the number of KV blocks: what the limits can use, what was
// asked for, or what memory allows, whichever is least; never fewer than one
// sequence needs unless fewer were asked for.
func (o Options) cacheBlocks(bytesPerBlock, available int64) (int, error) {
	perSequence := int64(o.MaxSeqLen+blockSize-1) / blockSize
	blocks := perSequence * int64(o.MaxBatchSize)
	if o.KVCacheTokens > 0 {
		blocks = (o.KVCacheTokens + blockSize - 1) / blockSize
	} else if available > 0 && blocks*bytesPerBlock > available/2 {
		blocks = max(available/2/bytesPerBlock, 1)
	}
	if blocks > 1<<30 {
		return 0, fmt.Errorf("a KV cache of %d tokens is too large; ask for less with max_tokens_in_paged_kv_cache", blocks*blockSize)
	}
	return int(blocks), nil
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
