//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"errors"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

func TestPlannedBlocks(t *testing.T) {
	const block = 1000 // bytes
	const roomy = 1000 * block
	with := func(o Options) Options {
		o.MaxSeqLen, o.MaxBatchSize = 320, 8
		return o
	}
	tests := map[string]struct {
		options Options
		left    int64 // beside weights and activations
		want    int
	}{
		"what the limits need":             {with(Options{}), roomy, 80},
		"rounded up":                       {Options{MaxSeqLen: 321, MaxBatchSize: 8}, roomy, 88},
		"one token":                        {Options{MaxSeqLen: 1, MaxBatchSize: 1}, roomy, 1},
		"half of what is left":             {Options{MaxSeqLen: 32, MaxBatchSize: 2048}, roomy, 500},
		"half of little":                   {with(Options{}), 10 * block, 5},
		"unknown memory":                   {with(Options{}), 0, 80},
		"at most 2^24":                     {Options{MaxSeqLen: 1 << 24, MaxBatchSize: 1 << 24}, 0, 1 << 24},
		"tokens":                           {with(Options{KVCacheTokens: 64}), roomy, 2},
		"tokens, rounded up":               {with(Options{KVCacheTokens: 65}), roomy, 3},
		"one token asked for":              {with(Options{KVCacheTokens: 1}), roomy, 1},
		"more tokens than the limits need": {with(Options{KVCacheTokens: 3200}), roomy, 100},
		"tokens beyond nine tenths":        {with(Options{KVCacheTokens: math.MaxInt64}), roomy, 900},
		"tokens of unknown memory":         {with(Options{KVCacheTokens: 32 * 5000}), 0, 5000},
		"bytes":                            {with(Options{KVCacheBytes: 3*block + 999}), roomy, 3},
		"bytes beyond nine tenths":         {with(Options{KVCacheBytes: 950 * block}), roomy, 900},
		"fewer tokens than bytes":          {with(Options{KVCacheTokens: 64, KVCacheBytes: 9 * block}), roomy, 2},
		"fewer bytes than tokens":          {with(Options{KVCacheTokens: 6400, KVCacheBytes: 9 * block}), roomy, 9},
		"a fraction is that share":         {with(Options{KVCacheFraction: 0.75}), roomy, 750},
		"a small fraction":                 {with(Options{KVCacheFraction: 0.0015}), roomy, 1},
		"a fraction above nine tenths":     {with(Options{KVCacheFraction: 0.96}), roomy, 960},
		"less than the fraction":           {with(Options{KVCacheFraction: 0.96, KVCacheTokens: 64}), roomy, 2},
		"less than the tokens":             {with(Options{KVCacheFraction: 0.25, KVCacheTokens: 32 * 300}), roomy, 250},
		"less than the bytes":              {with(Options{KVCacheFraction: 0.25, KVCacheBytes: 300 * block}), roomy, 250},
		"fraction and tokens, unknown":     {with(Options{KVCacheFraction: 0.25, KVCacheTokens: 64}), 0, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := kvBlocks(test.options, test.left, block)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
	blocks, err := kvBlocks(with(Options{KVCacheTokens: math.MaxInt64}), 0, 1<<45)
	require.NoError(t, err)
	require.Equal(t, 1<<16-1, blocks, "the size is no int64")
	for bytes, want := range map[int64]string{999: "a KV cache of 999 bytes holds no block: one of 32 tokens has 1000 bytes", 1: "a KV cache of 1 bytes"} {
		_, err := kvBlocks(with(Options{KVCacheBytes: bytes}), roomy, block)
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, executor.ErrOutOfMemory)
	}
	_, err = kvBlocks(with(Options{KVCacheFraction: 0.5}), 0, block)
	require.ErrorContains(t, err, "the system does not tell how much is available; give max_tokens_in_paged_kv_cache")
}

// A plan of activations that take 10 bytes a token beside 100, and of KV blocks of 50.
func TestPlannedMemory(t *testing.T) {
	refused := errors.New("refused")
	o := Options{MaxSeqLen: 32, MaxBatchSize: 4, MaxNumTokens: 1000}
	copied, few, fraction := o, o, o
	copied.Load, few.MaxNumTokens, fraction.KVCacheFraction = "copy", 20, 0.5
	tests := map[string]struct {
		options   Options
		available int64
		weights   int64
		want      memoryPlan
	}{
		"enough":  {o, 100_000, 50_000, memoryPlan{executor.Memory{Available: 100_000, Weights: 50_000, Activations: 10_100, KVCache: 200}, 1000, 4}},
		"unknown": {o, 0, 50_000, memoryPlan{executor.Memory{Weights: 50_000, Activations: 10_100, KVCache: 200}, 1000, 4}},
		"half is just enough": {
			fraction, 70_200, 50_000, memoryPlan{executor.Memory{Available: 70_200, Weights: 50_000, Activations: 10_100, KVCache: 5050}, 1000, 101},
		},
		"a token less": {
			fraction, 70_199, 50_000, memoryPlan{executor.Memory{Available: 70_199, Weights: 50_000, Activations: 10_020, KVCache: 5050}, 992, 101},
		},
		"one block": {o, 1000 + 840, 1000, memoryPlan{executor.Memory{Available: 1840, Weights: 1000, Activations: 420, KVCache: 200}, 32, 4}},
		"less than a block was asked for": {
			few, 1000 + 600, 1000, memoryPlan{executor.Memory{Available: 1600, Weights: 1000, Activations: 300, KVCache: 150}, 20, 3},
		},
		// What is mapped leaves an eighth.
		"mapped weights larger than the memory": {
			o, 8000, 1 << 40, memoryPlan{executor.Memory{Available: 8000, Weights: 1 << 40, Activations: 420, KVCache: 200}, 32, 4},
		},
		"copied weights": {copied, 100_000, 50_000, memoryPlan{executor.Memory{Available: 100_000, Weights: 50_000, Activations: 10_100, KVCache: 200}, 1000, 4}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := planMemory(test.options, test.available, test.weights, 50, func(n int) (int64, error) { return 100 + 10*int64(n), nil })
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			_, err = planMemory(test.options, test.available, test.weights, 50, func(int) (int64, error) { return 0, refused })
			require.ErrorIs(t, err, refused)
		})
	}
}

// TestTooLittleMemory opens an engine on machines that lack a byte for each of its
// parts, and on ones that just have it.
func TestTooLittleMemory(t *testing.T) {
	path := smallModel(bf16).write(t)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	o := Options{Threads: 2, MaxNumTokens: 64, KVCacheFraction: 0.5}
	completed, err := o.complete(file.Program)
	require.NoError(t, err)
	activations, err := activationBytes(file, completed, 64)
	require.NoError(t, err)
	least, err := activationBytes(file, completed, 32)
	require.NoError(t, err)
	weights, block := file.Size, kvBytesPerBlock(file.Program, "fast")
	enough := weights + 2*activations // half for activations, and half of the rest for the cache

	for _, load := range []string{"mmap", "copy"} {
		o.Load = load
		r, err := open(t.Context(), path, o, enough)
		require.NoError(t, err)
		blocks := activations / 2 / block
		require.Equal(t, executor.Memory{Available: enough, Weights: weights, KVCache: blocks * block, Activations: activations}, r.Limits().Memory)
		require.EqualValues(t, blocks, r.Limits().NumBlocks)
		require.Equal(t, 64, r.Limits().MaxNumTokens)
		d := r.Describe()
		require.Equal(t, activations, d.ActivationBytes)
		require.Equal(t, blocks*block, d.KVBytes)
		step(t, r, piece(make([]int32, 64), 0, 0, 1))
		require.NoError(t, r.Close())

		r, err = open(t.Context(), path, o, enough-1)
		require.NoError(t, err)
		require.Equal(t, 32, r.Limits().MaxNumTokens)
		require.Equal(t, least, r.Limits().Memory.Activations)
		require.Equal(t, least, r.Describe().ActivationBytes)
		step(t, r, piece(make([]int32, 32), 0, 0))
		require.ErrorContains(t, r.Step(t.Context(), []executor.Sequence{piece(make([]int32, 33), 0, 0, 1)}, nil), "33 tokens in a step, max_num_tokens is 32")
		require.NoError(t, r.Close())
	}

	copied, small := o, o
	copied.Load, small.KVCacheFraction = "copy", 0.001
	for name, test := range map[string]struct {
		options   Options
		available int64
		want      []string
	}{
		"one block": {small, weights + activations + 1000*block - 1, []string{
			"for a KV cache: one block of 32 tokens needs 2816 bytes, 2815 are available, a share of 0.001 of the 2815999 that", "raise kv_cache_free_gpu_memory_fraction",
		}},
		"activations": {copied, weights + 2*least - 1, []string{
			"for activations: steps of 32 tokens on 2 threads need " + decimal(least) + " bytes, " + decimal(least-1) + " are available", "ask for fewer threads",
		}},
		"the copy": {copied, weights, []string{
			"for a copy of the weights: it needs " + decimal(weights) + " bytes, " + decimal(weights) + " are available", "map them with load mmap",
		}},
		"nothing": {Options{Threads: 1}, 1, []string{"for activations: steps of 32 tokens on 1 threads need ", " bytes, 0 are available"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := addressSpace(t)
			r, err := open(t.Context(), path, test.options, test.available)
			require.Nil(t, r)
			require.ErrorIs(t, err, executor.ErrOutOfMemory)
			require.ErrorContains(t, err, path+": too little memory ")
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, addressSpace(t), before+1<<30)
		})
	}
}

// TestBoundedProcess starts a process of its own whose address space is bounded: a
// cache is planned within the bound, and what does not fit into it is refused, by the
// plan and, where the plan is not asked, by the system.
func TestBoundedProcess(t *testing.T) {
	if path := os.Getenv("TRTGO_TEST_BOUNDED"); path != "" {
		boundedProcess(t, path)
		return
	}
	inOwnProcess(t, "TRTGO_TEST_BOUNDED="+smallModel(bf16).write(t))
}

func boundedProcess(t *testing.T, path string) {
	const bound = 1 << 30
	limit := unix.Rlimit{Cur: uint64(addressSpace(t)) + bound, Max: unix.RLIM_INFINITY}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_AS, &limit))
	require.Less(t, availableMemory(), int64(bound+1))
	require.Greater(t, availableMemory(), int64(bound/2))

	r, err := Open(t.Context(), path, Options{Threads: 2, MaxBatchSize: 1 << 24}) // the limits need terabytes
	require.NoError(t, err)
	require.Less(t, r.Limits().Memory.KVCache, int64(bound/2+1))
	require.Greater(t, r.Limits().Memory.KVCache, int64(bound/4))
	step(t, r, piece([]int32{1, 2}, 0, 0))
	require.NoError(t, r.Close())

	r, err = Open(t.Context(), path, Options{Threads: 2, MaxNumTokens: 1 << 22})
	require.NoError(t, err)
	require.Less(t, r.Limits().MaxNumTokens, 1<<21)
	require.Less(t, r.Limits().Memory.Activations, int64(bound/2+1))
	require.NoError(t, r.Close())
	_, err = open(t.Context(), path, Options{Threads: 2, MaxNumTokens: 1 << 22}, 0)
	require.ErrorIs(t, err, executor.ErrOutOfMemory)
	require.ErrorContains(t, err, "for activations of 4194304 tokens; lower max_num_tokens")
	_, err = open(t.Context(), path, Options{Threads: 2, KVCacheBytes: 2 * bound}, 0)
	require.ErrorIs(t, err, executor.ErrOutOfMemory)
	require.ErrorContains(t, err, "the system refused 2147481600 bytes for the KV cache; ask for a smaller one")

	// An address space with no room for the file: mapped or copied.
	big := filledFile(t, path, 2*bound)
	for _, load := range []string{"mmap", "copy"} {
		_, err = loadWeights(t.Context(), big, load)
		require.ErrorIs(t, err, executor.ErrOutOfMemory, load)
		require.ErrorContains(t, err, "2147483648 bytes")
	}
	step(t, openEngine(t, path, Options{Threads: 2}), piece([]int32{1}, 0, 0))
}

// filledFile is a copy of an engine file that is larger, without content.
func filledFile(t *testing.T, path string, size int64) *cpuengine.File {
	t.Helper()
	path = altered(t, path, func(b []byte) []byte { return b })
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, size))
	file.Size = size
	return file
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
