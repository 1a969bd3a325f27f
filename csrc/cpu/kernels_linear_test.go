//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// A linearFormat is that of x and of w.
type linearFormat int

const (
	linearF32F32 linearFormat = iota
	linearF32BF16
	linearBF16BF16
)

func (f linearFormat) shape(k int) weightShape {
	if f == linearF32F32 {
		return weightShape{dtype: cpuengine.DtypeF32, k: k}
	}
	return weightShape{dtype: cpuengine.DtypeBF16, k: k}
}

// A linearProblem is y[m, n] = x[m, k] wᵀ in one format, packed as kernels want it.
type linearProblem struct {
	format     linearFormat
	m, n, k    int
	ldx, ldy   int
	panels     int
	x, w       []float64 // [m][k], [n][k]: the values after rounding to the format
	packedX    []byte
	packedW    []byte
	bias       []float32 // [panels*16]
	old        []float32 // [m][ldy]
	accumulate bool
}

func newLinearProblem(format linearFormat, m, n, k int, x, w []float32) *linearProblem {
	p := &linearProblem{format: format, m: m, n: n, k: k}
	p.panels = (n + 15) / 16
	p.ldy = p.panels*16 + 16
	even := (k + 1) / 2 * 2
	p.ldx = (k+15)/16*16 + 16
	padded := (k + 7) / 8 * 8
	p.x, p.w = make([]float64, m*k), make([]float64, n*k)
	if format == linearBF16BF16 {
		p.packedX = asBytes(packedActivations(roundAllBF16(x), p, padded, 0x7fc0))
		for i, v := range x {
			p.x[i] = float64(widenBF16(roundBF16(v)))
		}
	} else {
		p.packedX = asBytes(packedActivations(x, p, padded, float32(math.NaN())))
		for i, v := range x {
			p.x[i] = float64(v)
		}
	}
	if format == linearF32F32 {
		packed := make([]float32, p.panels*k*16)
		for i, v := range w {
			p.w[i] = float64(v)
			packed[(i/k/16*k+i%k)*16+i/k%16] = v
		}
		p.packedW = asBytes(packed)
		return p
	}
	packed := make([]uint16, p.panels*even*16)
	for i, v := range w {
		b := roundBF16(v)
		p.w[i] = float64(widenBF16(b))
		row, col := i/k, i%k
		packed[((row/16*(even/2)+col/2)*16+row%16)*2+col%2] = b
	}
	p.packedW = asBytes(packed)
	return p
}

// packedActivations puts rows ldx apart: k values, zero up to a multiple of 8 columns, and
// from there values that would spoil any result that reads them.
func packedActivations[T any](x []T, p *linearProblem, padded int, spoiler T) []T {
	out := make([]T, p.m*p.ldx)
	for r := range p.m {
		row := out[r*p.ldx : (r+1)*p.ldx]
		copy(row, x[r*p.k:(r+1)*p.k])
		for i := padded; i < p.ldx; i++ {
			row[i] = spoiler
		}
	}
	return out
}

func asBytes[T any](x []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(one)))
}

// run computes rows [row, row+m) and panels [begin, end) into y.
func (p *linearProblem) run(t *testing.T, s kernelSet, y []float32, row, m, begin, end int) {
	t.Helper()
	size := 4
	if p.format == linearBF16BF16 {
		size = 2
	}
	scratch, intact := alignedBytes(s.linearScratchBytes(m, p.k))
	call := linearCall{
		xBF16: p.format == linearBF16BF16, shape: p.format.shape(p.k), x: unsafe.Pointer(&p.packedX[row*p.ldx*size]), w: unsafe.Pointer(&p.packedW[0]), scratch: scratch,
		y: &y[row*p.ldy], ldx: p.ldx, ldy: p.ldy, m: m, panelBegin: begin, panelEnd: end, accumulate: p.accumulate,
	}
	if p.bias != nil {
		call.bias = &p.bias[0]
	}
	s.linear(call)
	require.True(t, intact(), "scratch of m = %d, k = %d was overrun", m, p.k)
}

// outputs returns a y of the old values, beyond the panels filled with a sentinel.
func (p *linearProblem) outputs() []float32 {
	y := make([]float32, p.m*p.ldy)
	for i := range y {
		y[i] = 12345
		if p.accumulate && i%p.ldy < p.panels*16 {
			y[i] = p.old[i]
		}
	}
	return y
}

func (p *linearProblem) addends(r *rand.Rand) {
	p.bias = normals(r, p.panels*16, 1)
	p.old = normals(r, p.m*p.ldy, 1)
	p.accumulate = true
}

// check compares y with float64 sums.
func (p *linearProblem) check(t *testing.T, y []float32, rows int) {
	t.Helper()
	for r := range rows {
		for j := range p.ldy {
			got := y[r*p.ldy+j]
			if j >= p.panels*16 {
				require.Equal(t, float32(12345), got, "column %d past the panels was written", j)
				continue
			}
			var sum, magnitude float64
			if j < p.n {
				for i := range p.k {
					product := p.x[r*p.k+i] * p.w[j*p.k+i]
					sum += product
					magnitude += math.Abs(product)
				}
			}
			roundings := 2 * p.k // products of bf16 are exact, fused ones are not rounded
			if p.bias != nil {
				sum += float64(p.bias[j])
				magnitude += math.Abs(float64(p.bias[j]))
				roundings++
			}
			if p.accumulate {
				sum += float64(p.old[r*p.ldy+j])
				magnitude += math.Abs(float64(p.old[r*p.ldy+j]))
				roundings++
			}
			// Flushed denormals: each operation may lose less than the smallest normal.
			bound := likely(roundings)*magnitude + float64(2*p.k)*0x1p-126
			if diff := math.Abs(float64(got) - sum); !(diff <= bound) {
				require.Failf(t, "wrong sum", "m %d n %d k %d, row %d column %d: %v, want %v, off by %g of %g",
					p.m, p.n, p.k, r, j, got, sum, diff, bound)
			}
		}
	}
}

var linearFormats = map[string]linearFormat{"f32_f32": linearF32F32, "f32_bf16": linearF32BF16, "bf16_bf16": linearBF16BF16}

func eachLinear(t *testing.T, f func(t *testing.T, s kernelSet, format linearFormat)) {
	t.Helper()
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for name, format := range linearFormats {
			t.Run(name, func(t *testing.T) { f(t, s, format) })
		}
	})
}

func TestLinearAgreesWithFloat64(t *testing.T) {
	ms := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 33}
	eachLinear(t, func(t *testing.T, s kernelSet, format linearFormat) {
		r := newRand(2)
		for _, k := range []int{1, 2, 3, 31, 64, 129, 576} {
			for _, n := range []int{1, 15, 16, 17, 48, 100} {
				p := newLinearProblem(format, 33, n, k, normals(r, 33*k, 2), normals(r, n*k, 0.5))
				if (n+k)%2 == 1 {
					p.addends(r)
				}
				y := p.outputs()
				p.run(t, s, y, 0, p.m, 0, p.panels)
				p.check(t, y, p.m)
				for _, m := range ms { // other tiles, same rows: same bits
					again := p.outputs()
					p.run(t, s, again, 0, m, 0, p.panels)
					sameBits(t, y[:m*p.ldy], again[:m*p.ldy], "m", m, "n", n, "k", k)
				}
			}
		}
	})
}

func TestLinearSumsLargeAndSmallMagnitudes(t *testing.T) {
	eachLinear(t, func(t *testing.T, s kernelSet, format linearFormat) {
		for _, scale := range []float64{1e15, 1e-15, 1e-22} {
			r := newRand(4)
			x, w := normals(r, 7*129, scale), normals(r, 33*129, scale)
			for i := 0; i < len(x); i += 5 { // columns of very different size
				x[i] *= 1e-3
			}
			p := newLinearProblem(format, 7, 33, 129, x, w)
			y := p.outputs()
			p.run(t, s, y, 0, p.m, 0, p.panels)
			p.check(t, y, p.m)
		}
	})
}

// A row's bits depend neither on the rows beside it nor on the range of panels; long
// rows cross blocks of k, many rows blocks of rows.
func TestLinearIsBatchInvariant(t *testing.T) {
	shapes := []struct{ m, n, k int }{{33, 100, 129}, {150, 33, 48}, {14, 16 * 35, 1537}, {27, 40, 3333}}
	eachLinear(t, func(t *testing.T, s kernelSet, format linearFormat) {
		for _, shape := range shapes {
			r := newRand(uint64(shape.k))
			p := newLinearProblem(format, shape.m, shape.n, shape.k, normals(r, shape.m*shape.k, 1), normals(r, shape.n*shape.k, 1))
			p.addends(r)
			want := p.outputs()
			p.run(t, s, want, 0, p.m, 0, p.panels)
			p.check(t, want, min(p.m, 4))

			single := p.outputs()
			for row := range p.m {
				p.run(t, s, single, row, 1, 0, p.panels)
			}
			sameBits(t, want, single, "each row alone")

			for range 3 {
				split := p.outputs()
				for row := 0; row < p.m; {
					m := min(1+r.IntN(20), p.m-row)
					for panel := 0; panel < p.panels; {
						panels := min(1+r.IntN(p.panels), p.panels-panel)
						p.run(t, s, split, row, m, panel, panel+panels)
						panel += panels
					}
					row += m
				}
				sameBits(t, want, split, "random ranges of rows and panels")
			}
		}
	})
}

func TestLinearOfTwoHundredRowsIsItsRows(t *testing.T) {
	eachLinear(t, func(t *testing.T, s kernelSet, format linearFormat) {
		r := newRand(8)
		p := newLinearProblem(format, 261, 16*33, 70, normals(r, 261*70, 1), normals(r, 16*33*70, 1))
		want := p.outputs()
		p.run(t, s, want, 0, p.m, 0, p.panels)
		single := p.outputs()
		for row := range p.m {
			p.run(t, s, single, row, 1, 0, p.panels)
		}
		sameBits(t, want, single)
	})
}

func TestLinearPropagatesNaNAndInfinity(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachLinear(t, func(t *testing.T, s kernelSet, format linearFormat) {
		for _, k := range []int{3, 64} {
			r := newRand(5)
			x, w := normals(r, 5*k, 1), normals(r, 20*k, 1)
			for i := range w {
				w[i] = float32(math.Abs(float64(w[i]))) + 0.1
			}
			x[1*k+k-1] = nan
			x[3*k] = -inf
			w[17*k+1] = inf
			x[2*k+1] = 1 // against the infinite weight
			x[4*k+1] = 0 // 0 × ∞
			p := newLinearProblem(format, 5, 20, k, x, w)
			y := p.outputs()
			p.run(t, s, y, 0, p.m, 0, p.panels)
			for j := range 20 {
				require.True(t, math.IsNaN(float64(y[p.ldy+j])), "row with a NaN, column %d", j)
				if j != 17 {
					require.Equal(t, -inf, y[3*p.ldy+j], "row with an infinity")
					require.False(t, math.IsNaN(float64(y[j])), "row beside a NaN")
				}
			}
			require.Equal(t, inf, y[2*p.ldy+17])
			require.True(t, math.IsNaN(float64(y[4*p.ldy+17])))
		}
	})
}

// pairStep is VDPBF16PS on one lane, exactly: the odd product first, each step fused,
// rounded to nearest even, denormals taken for zero.
func pairStep(sum float32, a, b [2]uint16) float32 {
	flush := func(x float32) float32 {
		if math.Abs(float64(x)) < 0x1p-126 {
			return float32(math.Copysign(0, float64(x)))
		}
		return x
	}
	for _, i := range []int{1, 0} {
		x, y := flush(widenBF16(a[i])), flush(widenBF16(b[i]))
		exact := new(big.Float).SetPrec(1000).Mul(big.NewFloat(float64(x)), big.NewFloat(float64(y)))
		exact.Add(exact, big.NewFloat(float64(flush(sum))).SetPrec(1000))
		sum, _ = exact.Float32()
		sum = flush(sum)
	}
	return sum
}

// bfdotStep is BFDOT on one lane, exactly: the sum of the products is added, each operation
// rounded to odd: toward zero, with the last bit set if anything was lost. Denormals are
// taken for zero.
func bfdotStep(sum float32, a, b [2]uint16) float32 {
	exact := func(x float32) *big.Float {
		if math.Abs(float64(x)) < 0x1p-126 {
			x = 0
		}
		return new(big.Float).SetPrec(1000).SetFloat64(float64(x))
	}
	odd := func(x *big.Float) float32 {
		rounded := new(big.Float).SetPrec(24).SetMode(big.ToZero).Set(x)
		value, _ := rounded.Float32()
		if math.Abs(float64(value)) < 0x1p-126 {
			return 0
		}
		if rounded.Acc() != big.Exact {
			value = math.Float32frombits(math.Float32bits(value) | 1)
		}
		return value
	}
	product := func(i int) *big.Float { // its 16 bits are a float32 unless it is too small
		x := exact(widenBF16(a[i]))
		return exact(odd(x.Mul(x, exact(widenBF16(b[i])))))
	}
	products := product(0)
	products = exact(odd(products.Add(products, product(1))))
	return odd(products.Add(products, exact(sum)))
}

func TestPairsAreTheInstruction(t *testing.T) {
	for name, step := range map[string]func(float32, [2]uint16, [2]uint16) float32{
		"avx512bf16": pairStep, "avx512bf16-emulated": pairStep, "neonbf16": bfdotStep,
	} {
		t.Run(name, func(t *testing.T) {
			s := newKernelSet(name)
			if !s.supported() {
				t.Skipf("this processor cannot run kernel set %s", name)
			}
			r := newRand(6)
			for _, scale := range []float64{1, 3e-19, 1e-20, 1e-38} { // the last ones meet denormals
				const m, n, k = 13, 32, 6
				x, w := normals(r, m*k, scale), normals(r, n*k, scale)
				if scale == 1e-38 {
					w = normals(r, n*k, 1)
				}
				p := newLinearProblem(linearBF16BF16, m, n, k, x, w)
				y, want := p.outputs(), p.outputs()
				p.run(t, s, y, 0, m, 0, p.panels)
				for row := range m {
					for j := range n {
						var sum float32
						for i := 0; i < k; i += 2 {
							a := [2]uint16{roundBF16(x[row*k+i]), roundBF16(x[row*k+i+1])}
							b := [2]uint16{roundBF16(w[j*k+i]), roundBF16(w[j*k+i+1])}
							sum = step(sum, a, b)
						}
						want[row*p.ldy+j] = sum
					}
				}
				for i := range want {
					want[i] += 0 // an exact zero has no sign in math/big
					y[i] += 0
				}
				sameBits(t, want, y, "scale", scale)
			}
		})
	}
}

// BenchmarkLinear measures the kernels on one thread beside what the same process
// reads from memory (m = 1, weights larger than any cache) and multiplies in registers
// (m > 1):
//
//	go test -run '^$' -bench BenchmarkLinear ./csrc/cpu
//
// "of-stream" is the weights' rate over the rate of a plain read; "of-peak" the
// multiply-adds over those of a loop without memory.
func BenchmarkLinear(b *testing.B) {
	shapes := []struct{ n, k int }{{1536, 576}, {576, 1536}, {2048, 2048}, {3072, 9216}}
	arena := make([]byte, 512<<20)
	for i := 0; i < len(arena); i += 2 { // bf16 of modest size, touched once
		arena[i], arena[i+1] = byte(i>>4), 0x3c
	}
	for _, name := range kernelSetNames {
		s := newKernelSet(name)
		if !s.supported() {
			continue
		}
		for _, format := range []linearFormat{linearF32BF16, linearBF16BF16} {
			for _, shape := range shapes {
				for _, m := range []int{1, 8, 128} {
					title := fmt.Sprintf("%s/%s/%dx%d/m=%d", name, []string{"f32_f32", "f32_bf16", "bf16_bf16"}[format], shape.n, shape.k, m)
					b.Run(title, func(b *testing.B) { benchmarkLinear(b, s, format, arena, m, shape.n, shape.k) })
				}
			}
		}
	}
}

func benchmarkLinear(b *testing.B, s kernelSet, format linearFormat, arena []byte, m, n, k int) {
	x := make([]float32, m*(k+16)) // zero bits in either format
	y := make([]float32, m*n)
	scratch, _ := alignedBytes(s.linearScratchBytes(m, k))
	weights := n * k * 2
	call := linearCall{xBF16: format == linearBF16BF16, shape: format.shape(k), x: unsafe.Pointer(&x[0]), scratch: scratch, y: &y[0], ldx: k + 16, ldy: n, m: m, panelEnd: n / 16}
	offset := 0
	for b.Loop() {
		call.w = unsafe.Pointer(&arena[offset])
		s.linear(call)
		if offset += weights; offset+weights > len(arena) {
			offset = 0
		}
	}
	seconds := b.Elapsed().Seconds() / float64(b.N)
	limits := openLimits(b, Options{Threads: 1})
	if m == 1 {
		bytes, took, err := limits.Read(b.Context(), 256<<20)
		require.NoError(b, err)
		stream := float64(bytes) / took.Seconds()
		rate := float64(weights) / seconds
		b.ReportMetric(rate/1e9, "GB/s")
		b.ReportMetric(stream/1e9, "stream-GB/s")
		b.ReportMetric(rate/stream, "of-stream")
		return
	}
	rate := 2 * float64(m) * float64(n) * float64(k) / seconds
	b.ReportMetric(rate/1e9, "GFLOP/s")
	dtype := cpuengine.DtypeF32
	if format == linearBF16BF16 {
		dtype = cpuengine.DtypeBF16
	}
	operations, took, err := limits.Multiply(b.Context(), ArithmeticOf(s.String(), "fast", dtype), 1e10)
	require.NoError(b, err)
	b.ReportMetric(rate/(operations/took.Seconds()), "of-peak")
}
