//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// BenchmarkAttention tells how fast a decoded token reads its context, in bytes of keys and
// values, beside a plain read of memory in the same process ("of-stream"). Blocks of all
// layers lie in random order, in more memory than caches hold.
func BenchmarkAttention(b *testing.B) {
	s := newKernelSet(bestKernels())
	for _, format := range kvFormats {
		for _, headSize := range []int{64, 128} {
			for _, group := range []int{1, 3, 4} {
				for _, context := range []int{1024, 8192} {
					for _, threads := range []int{1, 2} {
						name := fmt.Sprintf("%v/D%d/G%d/%dk/threads%d", format, headSize, group, context>>10, threads)
						b.Run(name, func(b *testing.B) { benchmarkAttention(b, s, format, headSize, group, context, threads) })
					}
				}
			}
		}
	}
}

// benchmarkAttention attends with one query after another, each with a context of its own.
func benchmarkAttention(b *testing.B, s kernelSet, format kvFormat, headSize, group, context, threads int) {
	const arena = 256 << 20
	p := &attentionProblem{
		format: format, tokens: context, group: group, headSize: headSize, blockSize: blockSize,
		scale: float32(1 / math.Sqrt(float64(headSize))), kvScale: 1, ldq: group * headSize,
	}
	r := newRand(21)
	p.q = normals(r, p.ldq, 1)
	keys, values := p.blockBytes()
	p.vOffset, p.blockStride = keys, keys+values
	p.kv = make([]byte, arena)
	for i := range p.kv {
		p.kv[i] = byte(i>>6) & 0x3f // finite in every format
	}
	order := r.Perm(arena / p.blockStride)
	blocks := context / blockSize
	limits, err := OpenLimits(Options{Threads: threads})
	require.NoError(b, err)
	defer limits.Close()
	var workers sync.WaitGroup
	each := b.N/threads + 1
	b.ResetTimer()
	for w := range threads {
		workers.Go(func() {
			scratch, _ := alignedBytes(s.attentionScratchBytes(group, headSize, blockSize))
			out := make([]float32, group*headSize)
			table := make([]int32, blocks)
			next := w * len(order) / threads
			for range each {
				for i := range table {
					table[i] = int32(order[next%len(order)])
					next++
				}
				s.attention(attentionCall{
					format: format, q: &p.q[0], ldq: p.ldq, out: unsafe.Pointer(&out[0]), ldo: p.ldq, kv: &p.kv[0],
					blockStride: p.blockStride, vOffset: p.vOffset, blockTable: &table[0], blockSize: blockSize,
					headSize: headSize, group: group, rows: 1, firstPosition: context - 1, scale: p.scale, kvScale: 1,
					scratch: (*float32)(scratch),
				})
			}
		})
	}
	workers.Wait()
	b.StopTimer()
	bytes := float64(each) * float64(threads) * float64(blocks*p.blockStride)
	speed := bytes / b.Elapsed().Seconds()
	b.ReportMetric(speed/1e9, "GB/s")
	read, took, err := limits.Read(b.Context(), 2<<30)
	require.NoError(b, err)
	b.ReportMetric(speed*took.Seconds()/float64(read), "of-stream")
}
