//go:build linux

package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/benchmark"
)

func TestRead(t *testing.T) {
	s, err := read(func(string) string { return "" })
	require.NoError(t, err)
	require.Equal(t, settings{15, 3, 32, 5 * time.Second, []int{1, 2}, "out/bench", "out/bin/trtgo", "models/SmolLM2-135M-Instruct.Q4_1.gguf", "docs/benchmarks.md"}, s)
	values := map[string]string{"BENCH_THREADS": "1,,2", "BENCH_MAX_TIME": "soon"}
	_, err = read(func(name string) string { return values[name] })
	require.ErrorContains(t, err, "BENCH_THREADS=1,,2")
	require.ErrorContains(t, err, "BENCH_MAX_TIME=soon")
	require.Equal(t, "1,8", numbers([]int{1, 8}))
}

func spread(median float64) benchdoc.Spread {
	return benchdoc.Spread{Least: median / 2, Median: median, Most: 2 * median}
}

// report is one that reaches share of every limit with 1 thread, and a tenth less with 2.
func report(share float64, contexts ...int) *benchmark.Report {
	r := &benchmark.Report{Name: "e", ISA: "avx512bf16", Precision: "fast", EngineBytes: 269e6}
	for threads := 1; threads <= 2; threads++ {
		of := share - float64(threads-1)/10
		add := func(c benchmark.Case, bound string) {
			r.Cases = append(r.Cases, benchmark.Result{
				Case: c, Bound: bound, TokensPerSecond: spread(float64(100 * c.Tokens)), OfLimit: spread(of), OfPeak: spread(of),
				Kinds: []benchmark.Share{{Name: "linear", OfPeak: of + 0.01}, {Name: "attention", OfStream: of - 0.3}},
			})
		}
		add(benchmark.Case{Phase: benchmark.Prefill, Threads: threads, BatchSize: 1, Tokens: promptTokens}, benchmark.BoundArithmetic)
		for _, context := range contexts {
			for _, batch := range []int{1, largeBatch} {
				add(benchmark.Case{Phase: benchmark.Decode, Threads: threads, BatchSize: batch, Tokens: batch, Context: context}, benchmark.BoundMemory)
			}
		}
	}
	return r
}

func example() *measured {
	m := &measured{threads: []int{1, 2}, layers: 4}
	for _, title := range []string{"bfloat16", "`int8_wo`", "`int4_wo --group_size 32`"} {
		m.small = append(m.small, &column{title, report(0.85, context128)})
	}
	for _, title := range []string{"bfloat16", "int4, groups of 128"} {
		m.large = append(m.large, &column{title, report(0.9, context128, longContext)})
	}
	m.large[0].EngineBytes = 8.4e9
	return m
}

func TestSection(t *testing.T) {
	text, err := example().section("`make bench`.")
	require.NoError(t, err)
	require.Contains(t, text, "`make bench`. Kernels for avx512bf16, fast.\n\nThe 4B shape, 4 of its 32 layers, by weights:\n\n| | threads | bfloat16, 8.4 GB: tokens/s | of the limit | int4, groups of 128, 269 MB: tokens/s | of the limit |\n|---|---|---|---|---|---|\n"+
		"| prompt of 512 | 1 | 51200 (25600 – 102400) | 0.90 (0.45 – 1.80) of peak |")
	require.Contains(t, text, " of peak |\n| prompt of 512 | 2 |")
	require.Contains(t, text, "| decode, batch 8, 8192 of context | 2 | 800 (400 – 1600) | 0.80 (0.40 – 1.60) of stream |")
	require.Contains(t, text, "medians with 1 / 2 threads:")
	for _, row := range []string{
		"| decode, batch 1: SmolLM2, bfloat16, of the limit | 0.85 / 0.80 | 0.85 / 0.75 | reached / **missed** |\n",
		"| prompt of 512: linear layers of the 4B shape in bfloat16, of peak | 0.85 / 0.85 | 0.91 / 0.81 | reached / **missed** |\n",
		"| batch 8 ÷ batch 1, tokens/s: 4B shape in bfloat16 | 5.00 / 5.00 | 8.00 / 8.00 | reached / reached |\n",
		"| attention with 8192 of context, batch 8: 4B shape, of stream | 0.50 / 0.60 | 0.60 / 0.50 | reached / **missed** |\n",
	} {
		require.Contains(t, text, row)
	}
}

// Aims are for one thread and two only.
func TestSectionOfOtherThreads(t *testing.T) {
	m := example()
	m.threads = []int{2}
	text, err := m.section("")
	require.NoError(t, err)
	require.Contains(t, text, "medians with 2 threads:")
	require.Contains(t, text, "| 0.80 | 0.75 | **missed** |\n")
	require.NotContains(t, text, "| 1 |")
	m.threads = []int{4}
	_, err = m.aimTable()
	require.NoError(t, err)
	m.threads = []int{1}
	m.large[1].Cases = nil
	_, err = m.section("")
	require.ErrorContains(t, err, "told nothing of prefill")
}

func TestPicture(t *testing.T) {
	m := example()
	reports := m.pictured()
	require.Len(t, reports, 2)
	goals := map[string]float64{}
	for _, r := range reports {
		for _, c := range r.Cases {
			if c.Goal > 0 && c.Threads == 2 {
				goals[r.Name+" "+stepName(c.Case)] = c.Goal
			}
		}
	}
	require.Equal(t, map[string]float64{
		"e prompt of 512": 0.75, "e decode, batch 1, 128 of context": 0.9,
		"SmolLM2-135M-Instruct bfloat16 prompt of 512": 0.65, "SmolLM2-135M-Instruct bfloat16 decode, batch 1, 128 of context": 0.8,
	}, goals)
	var svg bytes.Buffer
	require.NoError(t, benchmark.WriteSVG(&svg, reports))
	require.Less(t, svg.Len(), 20_000)
}
