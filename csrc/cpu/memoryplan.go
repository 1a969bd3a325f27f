package cpu

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/trtgo/trtgo/internal/executor"
)

const (
	// Shares of what weights and activations leave: without any wish a library takes
	// half for the KV cache; a wish in tokens is bounded as TensorRT-LLM's default
	// of kv_cache_free_gpu_memory_fraction does it.
	defaultKVShare = 0.5
	largestKVShare = 0.9

	// The system may take pages of a mapped file back, so weights that are larger
	// than the memory still run, slowly. They leave this part of it at least.
	besideMappedWeights = 8

	// Activations take at most this part of what weights leave.
	activationsPart = 2

	maxKVBlocks = 1 << 24
)

// A memoryPlan is what a runner takes of a machine's memory, and what it can do with it.
type memoryPlan struct {
	executor.Memory
	maxNumTokens int
	blocks       int // of the KV cache
}

// planMemory plans for completed options. available 0 is unknown: then nothing is
// bounded by it. activations gives the bytes for steps of so many tokens; its error is
// returned. Too little memory is an error that wraps executor.ErrOutOfMemory.
func planMemory(o Options, available, weights, bytesPerBlock int64, activations func(numTokens int) (int64, error)) (memoryPlan, error) {
	p := memoryPlan{Memory: executor.Memory{Available: available, Weights: weights}}
	left, err := besideWeights(o, available, weights)
	if err != nil {
		return p, err
	}
	if p.maxNumTokens, p.Activations, err = largestStep(o.MaxNumTokens, left/activationsPart, activations); err != nil {
		return p, err
	}
	if p.maxNumTokens == 0 {
		return p, fmt.Errorf("%w for activations: steps of %d tokens on %d threads need %d bytes, %d are available, half of what the weights leave; free memory or ask for fewer threads",
			executor.ErrOutOfMemory, min(o.MaxNumTokens, blockSize), o.Threads, p.Activations, left/activationsPart)
	}
	if available == 0 {
		p.blocks, err = kvBlocks(o, 0, bytesPerBlock)
	} else {
		p.blocks, err = kvBlocks(o, left-p.Activations, bytesPerBlock)
	}
	p.KVCache = int64(p.blocks) * bytesPerBlock
	return p, err
}

// besideWeights is the memory that the weights leave; MaxInt64 for an unknown amount.
// The file's pages count, resident or not: where they are, they count as available too.
func besideWeights(o Options, available, weights int64) (int64, error) {
	if available == 0 {
		return math.MaxInt64, nil
	}
	if o.Load != "copy" {
		return max(available-weights, available/besideMappedWeights), nil
	}
	if weights >= available {
		return 0, fmt.Errorf("%w for a copy of the weights: it needs %d bytes, %d are available; free memory, or map them with load mmap", executor.ErrOutOfMemory, weights, available)
	}
	return available - weights, nil
}

// largestStep lowers max_num_tokens, which is a ceiling, until its activations have
// room, and gives their size. It is 0, with the size that has no room, when that would
// be less than a KV block.
func largestStep(maxNumTokens int, room int64, activations func(int) (int64, error)) (numTokens int, bytes int64, err error) {
	size := func(n int) int64 {
		b, e := activations(n)
		if e != nil {
			err = e
		}
		return b
	}
	if bytes = size(maxNumTokens); err != nil || bytes <= room {
		return maxNumTokens, bytes, err
	}
	least := min(maxNumTokens, blockSize)
	if bytes = size(least); err != nil || bytes > room {
		return 0, bytes, err
	}
	blocks := sort.Search(maxNumTokens/blockSize, func(n int) bool { return size((n+1)*blockSize) > room })
	numTokens = max(blocks*blockSize, least)
	return numTokens, size(numTokens), err
}

// kvBlocks gives the number of KV blocks when weights and activations leave so many
// bytes; 0 is unknown.
func kvBlocks(o Options, left, bytesPerBlock int64) (int, error) {
	wanted, share := int64(maxKVBlocks), largestKVShare
	switch {
	case o.KVCacheFraction > 0:
		share = o.KVCacheFraction
		if left == 0 && o.KVCacheTokens == 0 && o.KVCacheBytes == 0 {
			return 0, errors.New("the KV cache cannot be a fraction of the memory here, where the system does not tell how much is available; give max_tokens_in_paged_kv_cache")
		}
	case o.KVCacheTokens == 0 && o.KVCacheBytes == 0:
		share = defaultKVShare
		wanted = int64(o.MaxSeqLen+blockSize-1) / blockSize * int64(o.MaxBatchSize) // under 2^19 times 2^24
	}
	if o.KVCacheTokens > 0 {
		wanted = min(wanted, (o.KVCacheTokens-1)/blockSize+1)
	}
	if o.KVCacheBytes > 0 {
		wanted = min(wanted, o.KVCacheBytes/bytesPerBlock)
		if wanted == 0 {
			return 0, fmt.Errorf("a KV cache of %d bytes holds no block: one of %d tokens has %d bytes", o.KVCacheBytes, blockSize, bytesPerBlock)
		}
	}
	if left > 0 {
		bytes := int64(share * float64(left))
		if bytes < bytesPerBlock {
			return 0, fmt.Errorf("%w for a KV cache: one block of %d tokens needs %d bytes, %d are available, a share of %v of the %d that weights and activations leave; "+
				"free memory, lower max_num_tokens or raise kv_cache_free_gpu_memory_fraction", executor.ErrOutOfMemory, blockSize, bytesPerBlock, bytes, share, left)
		}
		wanted = min(wanted, bytes/bytesPerBlock)
	}
	// The last bound is no memory's: larger products are no int64, and are refused by the system.
	return int(min(wanted, maxKVBlocks, math.MaxInt64/4/bytesPerBlock)), nil
}
