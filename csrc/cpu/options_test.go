//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

func TestOptionsAreCompleted(t *testing.T) {
	t.Setenv("TRTGO_CPU_ISA", "")
	cpus := availableCPUs()
	defaults := Options{Threads: cpus, Precision: "fast", MaxBatchSize: 8, MaxNumTokens: 2048, MaxSeqLen: 4096}
	with := func(change func(o *Options)) Options {
		o := defaults
		change(&o)
		return o
	}
	tests := map[string]struct {
		dtype string
		given Options
		want  Options
	}{
		"zero value":            {bf16, Options{}, defaults},
		"fast":                  {bf16, Options{Precision: "fast"}, defaults},
		"exact":                 {bf16, Options{Precision: "exact"}, with(func(o *Options) { o.Precision = "exact" })},
		"float32 weights":       {f32, Options{}, with(func(o *Options) { o.Precision = "exact" })},
		"float32, fast wanted":  {f32, Options{Precision: "fast"}, with(func(o *Options) { o.Precision = "exact" })},
		"threads":               {bf16, Options{Threads: 3}, with(func(o *Options) { o.Threads = 3 })},
		"shorter sequences":     {bf16, Options{MaxSeqLen: 100}, with(func(o *Options) { o.MaxSeqLen = 100 })},
		"the model's length":    {bf16, Options{MaxSeqLen: 4096}, defaults},
		"longer than the model": {bf16, Options{MaxSeqLen: 4097}, defaults},
		"batch and tokens": {
			bf16, Options{MaxBatchSize: 2048, MaxNumTokens: 8192}, with(func(o *Options) { o.MaxBatchSize, o.MaxNumTokens = 2048, 8192 }),
		},
		"copy":       {bf16, Options{Load: "copy"}, with(func(o *Options) { o.Load = "copy" })},
		"mmap":       {bf16, Options{Load: "mmap"}, with(func(o *Options) { o.Load = "mmap" })},
		"kernel set": {bf16, Options{ISA: "scalar"}, with(func(o *Options) { o.ISA = "scalar" })},
		"cache":      {bf16, Options{KVCacheTokens: 5, KVCacheBytes: 6}, with(func(o *Options) { o.KVCacheTokens, o.KVCacheBytes = 5, 6 })},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.given.complete(&cpuengine.Program{WeightDtype: test.dtype, MaxPositionEmbeddings: 4096})
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
	o, err := Options{}.complete(&cpuengine.Program{WeightDtype: bf16, MaxPositionEmbeddings: math.MaxInt32})
	require.NoError(t, err)
	require.Equal(t, 1<<24, o.MaxSeqLen, "positions are exact in float32")

	t.Setenv("TRTGO_CPU_ISA", "avx2")
	o, err = Options{}.complete(&cpuengine.Program{WeightDtype: bf16, MaxPositionEmbeddings: 10})
	require.NoError(t, err)
	require.Equal(t, "avx2", o.ISA)
	o, err = Options{ISA: "scalar"}.complete(&cpuengine.Program{WeightDtype: bf16, MaxPositionEmbeddings: 10})
	require.NoError(t, err)
	require.Equal(t, "scalar", o.ISA, "the option wins over the environment")
}

func TestRefusedOptions(t *testing.T) {
	tests := map[string]struct {
		given Options
		want  string
	}{
		"precision":           {Options{Precision: "fp8"}, `precision "fp8" is none of [exact fast]`},
		"load":                {Options{Load: "hugetlbfs"}, `load "hugetlbfs" is none of [mmap copy]`},
		"kernel set":          {Options{ISA: "avx1024"}, `TRTGO_CPU_ISA "avx1024" is none of [scalar avx2 avx512bf16 neon neondotprod neonbf16]`},
		"test kernel set":     {Options{ISA: "avx512bf16-emulated"}, `TRTGO_CPU_ISA "avx512bf16-emulated" is none of`},
		"negative threads":    {Options{Threads: -1}, "threads is -1, want 0 (the default) to 1024"},
		"threads":             {Options{Threads: 1025}, "threads is 1025, want 0 (the default) to 1024"},
		"negative batch":      {Options{MaxBatchSize: -2}, "max_batch_size is -2, want 0 (the default) to 16777216"},
		"batch":               {Options{MaxBatchSize: 1<<24 + 1}, "max_batch_size is 16777217, want 0"},
		"negative tokens":     {Options{MaxNumTokens: -3}, "max_num_tokens is -3, want 0"},
		"tokens":              {Options{MaxNumTokens: 1<<24 + 1}, "max_num_tokens is 16777217, want 0 (the default) to 16777216"},
		"negative length":     {Options{MaxSeqLen: -4}, "max_seq_len is -4, want 0 (the default) to 2147483647"},
		"length":              {Options{MaxSeqLen: math.MaxInt32 + 1}, "max_seq_len is 2147483648, want 0 (the default) to 2147483647"},
		"negative KV tokens":  {Options{KVCacheTokens: -5}, "KV cache tokens is -5, want 0"},
		"negative KV bytes":   {Options{KVCacheBytes: math.MinInt64}, "KV cache bytes is -9223372036854775808, want 0"},
		"KV cache too small":  {Options{KVCacheBytes: 2815}, "a KV cache of 2815 bytes holds no block: one of 32 tokens has 2816 bytes"},
		"negative fraction":   {Options{KVCacheFraction: -0.1}, "the KV cache's fraction of the memory is -0.1, want a number above 0 and below 1"},
		"all the memory":      {Options{KVCacheFraction: 1}, "the KV cache's fraction of the memory is 1, want a number above 0 and below 1"},
		"fraction NaN":        {Options{KVCacheFraction: math.NaN()}, "the KV cache's fraction of the memory is NaN"},
		"the smaller of both": {Options{KVCacheTokens: 1000, KVCacheBytes: 10}, "a KV cache of 10 bytes holds no block"},
	}
	m := smallModel(bf16)
	m.head = 6
	path := m.write(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := Open(t.Context(), path, test.given)
			require.Nil(t, r)
			require.ErrorContains(t, err, test.want)
		})
	}
	t.Setenv("TRTGO_CPU_ISA", "sse9")
	_, err := Open(t.Context(), path, Options{})
	require.ErrorContains(t, err, `TRTGO_CPU_ISA "sse9" is none of [scalar avx2 avx512bf16 neon neondotprod neonbf16]`)
}

// TestKernelSetsAreChosen asks for each set: the one that runs is the one asked for,
// and what this machine lacks is an error.
func TestKernelSetsAreChosen(t *testing.T) {
	t.Setenv("TRTGO_CPU_ISA", "")
	path := smallModel(bf16).write(t)
	require.Equal(t, bestKernels(), openEngine(t, path, Options{}).Describe().ISA)
	for _, isa := range kernelSets {
		r, err := Open(t.Context(), path, Options{ISA: isa})
		if !newKernelSet(isa).supported() {
			require.ErrorContains(t, err, "this machine cannot run the kernel set "+isa+"; leave it unset to get "+bestKernels())
			continue
		}
		require.NoError(t, err)
		require.Equal(t, isa, r.Describe().ISA)
		require.NoError(t, r.Close())
		t.Setenv("TRTGO_CPU_ISA", isa)
		require.Equal(t, isa, openEngine(t, path, Options{}).Describe().ISA)
		t.Setenv("TRTGO_CPU_ISA", "")
	}
	// No processor has this one: what a machine without a set answers, on every machine.
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	o, err := Options{Threads: 1}.complete(file.Program)
	require.NoError(t, err)
	w, err := loadWeights(t.Context(), file, "mmap")
	require.NoError(t, err)
	defer w.free()
	o.ISA = "avx1024"
	refusal := "CPU runner: this machine cannot run the kernel set avx1024; leave it unset to get " + bestKernels()
	_, err = newRunner(file, w, o, 1, executor.Memory{})
	require.EqualError(t, err, refusal)
	_, err = activationBytes(file, o, 1)
	require.EqualError(t, err, refusal)
}

// A cache that cannot hold one sequence of the wanted length says so in the limits,
// and a step beyond it is refused.
func TestSmallCacheShortensSequences(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{KVCacheTokens: 64})
	require.Equal(t, 64, r.Limits().MaxSeqLen)
	require.Equal(t, 2, r.Limits().NumBlocks)
	step(t, r, piece(make([]int32, 64), 0, 1, 0))
	err := r.Step(t.Context(), []executor.Sequence{piece(make([]int32, 65), 64, 1, 0, 0)}, nil)
	require.ErrorContains(t, err, "65 tokens, max_seq_len is 64")
}

func TestKVBytesPerBlock(t *testing.T) {
	m := smallModel(bf16)
	m.layers = 3
	m.write(t)
	// 32 tokens × 3 layers × 2 heads of 6 columns: of keys words of 4 bytes, of values panels of 16
	require.EqualValues(t, 32*3*2*(6+16)*2, kvBytesPerBlock(m.program, "fast"))
	require.EqualValues(t, 32*3*2*(6+16)*4, kvBytesPerBlock(m.program, "exact"))
	for _, dtype := range []string{cpuengine.DtypeInt8, cpuengine.DtypeFP8} {
		m.program.KVCacheDtype = dtype
		require.EqualValues(t, 32*3*2*(8+16), kvBytesPerBlock(m.program, "fast"))
		require.EqualValues(t, 32*3*2*(6+16)*4, kvBytesPerBlock(m.program, "exact"))
	}
}
