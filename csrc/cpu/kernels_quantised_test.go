//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// quantisedShapes are the formats of weights that are numbers with scales, and float16;
// k is set by the problem.
var quantisedShapes = []weightShape{
	{dtype: cpuengine.DtypeF16},
	{dtype: cpuengine.DtypeFP8},
	{dtype: cpuengine.DtypeInt8},
	{dtype: cpuengine.DtypeInt4},
	{dtype: cpuengine.DtypeInt4, group: 32, bf16Scales: true},
	{dtype: cpuengine.DtypeInt4, group: 64, bf16Scales: true},
	{dtype: cpuengine.DtypeInt4, group: 128, bf16Scales: true},
	{dtype: cpuengine.DtypeInt4, group: 32},
	{dtype: cpuengine.DtypeInt4, group: 128},
	{dtype: cpuengine.DtypeInt4, group: 32, bf16Scales: true, zeros: true},
	{dtype: cpuengine.DtypeInt4, group: 128, bf16Scales: true, zeros: true},
	{dtype: cpuengine.DtypeInt4, group: 64, zeros: true},
}

func (s weightShape) String() string {
	name := s.dtype
	if s.group > 0 {
		name += fmt.Sprintf("_g%d", s.group)
		if s.bf16Scales {
			name += "_bf16"
		}
		if s.zeros {
			name += "_zeros"
		}
	}
	return name
}

func (s weightShape) integers() bool {
	return s.dtype == cpuengine.DtypeInt8 || s.dtype == cpuengine.DtypeInt4
}

// groups of k with a scale each; one where there are none.
func (s weightShape) groups() int {
	if s.group == 0 {
		return 1
	}
	return s.k / s.group
}

// A quantisedProblem is y[m, n] = x[m, k] wᵀ with w = number·scale + zero, packed as
// cpuengine's package comment says, by code that shares nothing with the packers.
type quantisedProblem struct {
	shape         weightShape
	xBF16         bool
	m, n          int
	ldx, ldy      int
	panels        int
	x             []float32 // [m][k], rounded to bfloat16 where xBF16
	number        []float64 // [n][k]
	scales, zeros []float32 // [n][groups]
	packedX       []byte
	packedW       []byte
	bias, old     []float32
}

func newQuantisedProblem(r *rand.Rand, shape weightShape, xBF16 bool, m, n int) *quantisedProblem {
	p := &quantisedProblem{shape: shape, xBF16: xBF16, m: m, n: n, panels: (n + 15) / 16}
	k := shape.k
	p.ldx, p.ldy = (k+15)/16*16+16, p.panels*16+16
	p.number = make([]float64, n*k)
	groups := shape.groups()
	p.scales, p.zeros = make([]float32, n*groups), make([]float32, n*groups)
	for i := range p.scales {
		p.scales[i] = float32(0.001 + r.Float64())
		if shape.zeros {
			p.zeros[i] = float32(r.NormFloat64())
		}
		if shape.bf16Scales {
			p.scales[i], p.zeros[i] = widenBF16(roundBF16(p.scales[i])), widenBF16(roundBF16(p.zeros[i]))
		}
		if shape.dtype == cpuengine.DtypeF16 {
			p.scales[i] = 1
		}
	}
	p.packWeights(r)
	p.setX(normals(r, m*k, 2))
	return p
}

func (p *quantisedProblem) setX(x []float32) {
	p.x = x
	padded := (p.shape.k + 7) / 8 * 8
	for r := range p.m {
		for i := range p.shape.k {
			if p.xBF16 {
				x[r*p.shape.k+i] = widenBF16(roundBF16(x[r*p.shape.k+i]))
			}
		}
	}
	like := &linearProblem{m: p.m, k: p.shape.k, ldx: p.ldx}
	if p.xBF16 {
		p.packedX = asBytes(packedActivations(roundAllBF16(x), like, padded, 0x7fc0))
	} else {
		p.packedX = asBytes(packedActivations(x, like, padded, float32(math.NaN())))
	}
}

// packWeights draws the numbers and lays them out.
func (p *quantisedProblem) packWeights(r *rand.Rand) {
	s := p.shape
	panel := p.panelBytes()
	p.packedW = make([]byte, p.panels*panel)
	for i := range p.packedW { // rows beyond n may hold anything that is no NaN
		p.packedW[i] = 0x11
	}
	for row := range p.panels * 16 {
		to, lane := p.packedW[row/16*panel:], row%16
		for g := range s.groups() {
			if row < p.n {
				p.putHeader(to, lane, g, p.scales[row*s.groups()+g], p.zeros[row*s.groups()+g])
			}
		}
		for k := range s.k {
			number := p.putNumber(to, lane, k, r)
			if row < p.n {
				p.number[row*s.k+k] = number
			}
		}
		for k := s.k; k < (s.k+7)/8*8; k++ {
			p.putPadding(to, lane, k)
		}
	}
}

// block tells where the block of group g begins and which of its groups g is.
func (p *quantisedProblem) block(g int) (offset, header, within int) {
	s := p.shape
	switch {
	case s.dtype == cpuengine.DtypeF16:
		return 0, 0, 0
	case s.group == 0:
		return 0, 64, 0
	case s.bf16Scales && !s.zeros:
		return g / 2 * (64 + 2*s.group*8), 64, g % 2
	case !s.bf16Scales && s.zeros:
		return g * (128 + s.group*8), 128, 0
	}
	return g * (64 + s.group*8), 64, 0
}

func (p *quantisedProblem) panelBytes() int {
	s := p.shape
	switch s.dtype {
	case cpuengine.DtypeF16:
		return (s.k + 1) / 2 * 64
	case cpuengine.DtypeInt8, cpuengine.DtypeFP8:
		return 64 + (s.k+3)/4*64
	}
	if s.group == 0 {
		return 64 + (s.k+7)/8*64
	}
	offset, header, within := p.block(s.groups() - 1)
	return offset + header + (within+1)*s.group*8
}

func (p *quantisedProblem) putHeader(panel []byte, lane, g int, scale, zero float32) {
	offset, header, within := p.block(g)
	switch s := p.shape; {
	case header == 0:
	case s.bf16Scales:
		binary.LittleEndian.PutUint16(panel[offset+within*32+2*lane:], roundBF16(scale))
		if s.zeros {
			binary.LittleEndian.PutUint16(panel[offset+32+2*lane:], roundBF16(zero))
		}
	default:
		binary.LittleEndian.PutUint32(panel[offset+4*lane:], math.Float32bits(scale))
		if s.zeros {
			binary.LittleEndian.PutUint32(panel[offset+64+4*lane:], math.Float32bits(zero))
		}
	}
}

func (p *quantisedProblem) putNumber(panel []byte, lane, k int, r *rand.Rand) float64 {
	switch p.shape.dtype {
	case cpuengine.DtypeF16:
		h := float16.Fromfloat32(float32(r.NormFloat64()))
		if r.IntN(50) == 0 {
			h = float16.Frombits(uint16(r.IntN(1024))) // denormal
		}
		binary.LittleEndian.PutUint16(panel[k*32+2*lane:], h.Bits())
		return float64(h.Float32())
	case cpuengine.DtypeFP8:
		code := byte(r.IntN(256))
		if code&0x7f == 0x7f {
			code--
		}
		panel[64+k/4*64+4*lane+[]int{0, 2, 1, 3}[k%4]] = code
		return float64(e4m3Value(code))
	case cpuengine.DtypeInt8:
		number := r.IntN(256) - 128
		panel[64+k/4*64+4*lane+[]int{0, 2, 1, 3}[k%4]] = byte(number + 128)
		return float64(number)
	}
	number := r.IntN(16) - 8
	p.putInt4(panel, lane, k, number)
	return float64(number)
}

func (p *quantisedProblem) putInt4(panel []byte, lane, k, number int) {
	at, in := 64, k
	if size := p.shape.group; size > 0 {
		offset, header, within := p.block(k / size)
		at, in = offset+header+within*size*8, k%size
	}
	word := panel[at+in/8*64+4*lane+in%2*2:]
	shift := in % 8 / 2 * 4
	old := binary.LittleEndian.Uint16(word) &^ (0xf << shift)
	binary.LittleEndian.PutUint16(word, old|uint16(number+8)<<shift)
}

// putPadding writes the number 0 behind the last k, where there is room for it.
func (p *quantisedProblem) putPadding(panel []byte, lane, k int) {
	switch s := p.shape; s.dtype {
	case cpuengine.DtypeF16:
		if k < (s.k+1)/2*2 {
			binary.LittleEndian.PutUint16(panel[k*32+2*lane:], 0)
		}
	case cpuengine.DtypeFP8, cpuengine.DtypeInt8:
		if k < (s.k+3)/4*4 {
			panel[64+k/4*64+4*lane+[]int{0, 2, 1, 3}[k%4]] = map[string]byte{cpuengine.DtypeFP8: 0, cpuengine.DtypeInt8: 128}[s.dtype]
		}
	default:
		p.putInt4(panel, lane, k, 0)
	}
}

func e4m3Value(code byte) float32 {
	exponent, mantissa := int(code>>3&0xf), float64(code&7)
	magnitude := math.Ldexp(1+mantissa/8, exponent-7)
	if exponent == 0 {
		magnitude = math.Ldexp(mantissa/8, -6)
	}
	if code&0x80 != 0 {
		magnitude = -magnitude
	}
	return float32(magnitude)
}

func (p *quantisedProblem) addends(r *rand.Rand) {
	p.bias, p.old = normals(r, p.panels*16, 1), normals(r, p.m*p.ldy, 1)
}

func (p *quantisedProblem) outputs() []float32 {
	y := make([]float32, p.m*p.ldy)
	for i := range y {
		y[i] = 12345
		if p.old != nil && i%p.ldy < p.panels*16 {
			y[i] = p.old[i]
		}
	}
	return y
}

// call computes rows [row, row+m) and panels [begin, end) into y.
func (p *quantisedProblem) call(s kernelSet, y []float32, row, m, begin, end int, scratch unsafe.Pointer, packed bool) {
	size := 4
	if p.xBF16 {
		size = 2
	}
	call := linearCall{
		xBF16: p.xBF16, shape: p.shape, x: unsafe.Pointer(&p.packedX[row*p.ldx*size]), w: unsafe.Pointer(&p.packedW[0]), scratch: scratch,
		y: &y[row*p.ldy], ldx: p.ldx, ldy: p.ldy, m: m, panelBegin: begin, panelEnd: end, accumulate: p.old != nil, packed: packed,
	}
	if p.bias != nil {
		call.bias = &p.bias[0]
	}
	s.linear(call)
}

func (p *quantisedProblem) run(t *testing.T, s kernelSet, y []float32, row, m, begin, end int) {
	t.Helper()
	scratch, intact := alignedBytes(s.linearScratchBytes(m, p.shape.k))
	p.call(s, y, row, m, begin, end, scratch, false)
	require.True(t, intact(), "scratch of m = %d, k = %d was overrun", m, p.shape.k)
}

// check compares rows of y with sums in float64.
func (p *quantisedProblem) check(t *testing.T, y []float32, rows int) {
	t.Helper()
	k, groups := p.shape.k, p.shape.groups()
	for r := range rows {
		for j := range p.ldy {
			got := y[r*p.ldy+j]
			if j >= p.panels*16 {
				require.Equal(t, float32(12345), got, "column %d past the panels was written", j)
				continue
			}
			if j >= p.n {
				continue
			}
			var sum, magnitude, largest float64
			for i := range k {
				g := i * groups / k
				scale, zero := float64(p.scales[j*groups+g]), float64(p.zeros[j*groups+g])
				x := float64(p.x[r*k+i])
				sum += x * (p.number[j*k+i]*scale + zero)
				magnitude += math.Abs(x) * (math.Abs(p.number[j*k+i])*scale + math.Abs(zero))
				largest = max(largest, math.Abs(x))
			}
			bound := likely(2*k+4*groups+3) * magnitude
			if p.xBF16 && p.shape.integers() { // what x loses below 2^-14 of its group's largest
				for i := range k {
					g := i * groups / k
					bound += largest * 0x1p-15 * (math.Abs(p.number[j*k+i])*float64(p.scales[j*groups+g]) + math.Abs(float64(p.zeros[j*groups+g])))
				}
			}
			if p.bias != nil {
				sum += float64(p.bias[j]) + float64(p.old[r*p.ldy+j])
				bound += 4 * unit * (math.Abs(float64(p.bias[j])) + math.Abs(float64(p.old[r*p.ldy+j])) + math.Abs(sum))
			}
			if diff := math.Abs(float64(got) - sum); !(diff <= bound) {
				require.Failf(t, "wrong sum", "%s, m %d n %d k %d, row %d column %d: %v, want %v, off by %g of %g", p.shape, p.m, p.n, k, r, j, got, sum, diff, bound)
			}
		}
	}
}

// fused is a·b + c with one rounding.
func fused(a, b, c float32) float32 {
	infinite := func(x float32) bool { return math.IsInf(float64(x), 0) }
	switch {
	case a != a || b != b || c != c || infinite(a) || infinite(b):
		return a*b + c // nothing is rounded
	case infinite(c):
		return c
	}
	exact := new(big.Float).SetPrec(1000).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
	sum, _ := exact.Add(exact, new(big.Float).SetPrec(1000).SetFloat64(float64(c))).Float32()
	return sum + 0 // an exact zero has no sign in math/big
}

// integerReference is what kernels.h says of integer weights with bfloat16 x, to the bit.
func (p *quantisedProblem) integerReference(row, column int) float32 {
	k, size := p.shape.k, p.shape.group
	if size == 0 {
		size = 128
	}
	var total float32
	for begin := 0; begin < k; begin += size {
		x, numbers := p.x[row*k+begin:row*k+min(begin+size, k)], p.number[column*k+begin:]
		largest := 0.0
		for _, v := range x {
			if largest = max(largest, math.Abs(float64(v))); math.IsInf(float64(v), 0) {
				largest = math.NaN()
			}
		}
		exponent := -100 - 14
		if largest >= 0x1p-100 {
			exponent = math.Ilogb(largest) - 14
		}
		unit, dot, sum := float32(math.Ldexp(1, exponent)), 0, 0
		if largest != largest {
			unit = float32(math.NaN())
		}
		for i, v := range x {
			if largest == largest {
				n := int(math.RoundToEven(math.Ldexp(float64(v), -exponent)))
				dot += n * int(numbers[i])
				sum += n
			}
		}
		if p.shape.group == 0 {
			total = fused(float32(dot), unit, total)
			continue
		}
		g := column*p.shape.groups() + begin/size
		total = fused(fused(float32(dot), unit, 0), p.scales[g], total)
		if p.shape.zeros {
			total = fused(float32(sum)*unit, p.zeros[g], total)
		}
	}
	if p.shape.group == 0 {
		total *= p.scales[column]
	}
	return total
}

func eachQuantised(t *testing.T, f func(t *testing.T, s kernelSet, shape weightShape, xBF16 bool)) {
	t.Helper()
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for _, shape := range quantisedShapes {
			for _, xBF16 := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/bf16=%v", shape, xBF16), func(t *testing.T) { f(t, s, shape, xBF16) })
			}
		}
	})
}

// depths are values of k that the shape allows: odd ones, short last groups of x, an odd
// number of groups, several blocks of k. With -short, as under sanitizers, one of these.
func (s weightShape) depths() []int {
	if testing.Short() {
		if s.group == 0 {
			return []int{1, 7, 127, 1537}
		}
		return []int{s.group, 3 * s.group, 1536 + s.group}
	}
	if s.group == 0 {
		return []int{1, 2, 3, 7, 127, 129, 300, 1537, 3341}
	}
	return []int{s.group, 2 * s.group, 3 * s.group, 1536 + s.group, 3072 + 256}
}

func TestQuantisedLinearAgreesWithFloat64(t *testing.T) {
	eachQuantised(t, func(t *testing.T, s kernelSet, shape weightShape, xBF16 bool) {
		r := newRand(12)
		for _, k := range shape.depths() {
			shape.k = k
			for _, n := range []int{1, 16, 37} {
				if (k > 1000 || testing.Short()) && n == 16 {
					continue
				}
				p := newQuantisedProblem(r, shape, xBF16, 27, n)
				if (n+k)%2 == 1 {
					p.addends(r)
				}
				y := p.outputs()
				p.run(t, s, y, 0, p.m, 0, p.panels)
				p.check(t, y, 5)
				batches := []int{1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 24, 25} // other tiles, same rows: same bits
				if testing.Short() {
					batches = []int{1, 3, 13}
				}
				for _, m := range batches {
					again := p.outputs()
					p.run(t, s, again, 0, m, 0, p.panels)
					sameBits(t, y[:m*p.ldy], again[:m*p.ldy], "m", m, "n", n, "k", k)
				}
			}
		}
	})
}

func TestIntegerLinearIsExact(t *testing.T) {
	eachQuantised(t, func(t *testing.T, s kernelSet, shape weightShape, xBF16 bool) {
		if !xBF16 || !shape.integers() {
			t.Skip("not computed in integers")
		}
		r := newRand(13)
		for _, k := range shape.depths() {
			shape.k = k
			const m, n = 5, 20
			p := newQuantisedProblem(r, shape, true, m, n)
			x := p.x
			for i := range k {
				x[i] = []float32{-3.38e38, 3.38e38, 0}[i%3] // the largest numbers
				x[k+i] *= float32(math.Exp2(float64(-r.IntN(30))))
				x[2*k+i] = float32(math.Exp2(-120)) * x[2*k+i] // below the least exponent
				x[3*k+i] = 0
			}
			p.setX(x)
			y := p.outputs()
			p.run(t, s, y, 0, m, 0, p.panels)
			for row := range m {
				for j := range n {
					want := p.integerReference(row, j)
					got := y[row*p.ldy+j] + 0
					if got != want && !(got != got && want != want) {
						require.Failf(t, "bits differ", "k %d, row %d, column %d: %x, want %x", k, row, j, got, want)
					}
				}
			}
		}
	})
}

// A row's bits depend neither on the rows beside it, nor on the range of panels, nor on
// whether its activations are packed again.
func TestQuantisedLinearIsBatchInvariant(t *testing.T) {
	eachQuantised(t, func(t *testing.T, s kernelSet, shape weightShape, xBF16 bool) {
		r := newRand(14)
		for _, c := range []struct{ m, n, k int }{{33, 100, 128}, {140, 33, 256}, {14, 16 * 35, 1536 + 128}} {
			if testing.Short() && c.k > 1000 {
				continue
			}
			shape.k = c.k
			p := newQuantisedProblem(r, shape, xBF16, c.m, c.n)
			p.addends(r)
			want := p.outputs()
			p.run(t, s, want, 0, p.m, 0, p.panels)
			p.check(t, want, 2)
			for range 2 {
				split := p.outputs()
				for row := 0; row < p.m; {
					m := min(1+r.IntN(20), p.m-row)
					scratch, intact := alignedBytes(s.linearScratchBytes(m, c.k))
					for panel := 0; panel < p.panels; {
						panels := min(1+r.IntN(p.panels), p.panels-panel)
						p.call(s, split, row, m, panel, panel+panels, scratch, panel > 0)
						panel += panels
					}
					require.True(t, intact())
					row += m
				}
				sameBits(t, want, split, "random ranges of rows and panels")
			}
		}
	})
}

func TestQuantisedLinearPropagatesNaNAndInfinity(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachQuantised(t, func(t *testing.T, s kernelSet, shape weightShape, xBF16 bool) {
		shape.k = 384
		p := newQuantisedProblem(newRand(15), shape, xBF16, 5, 20)
		x := p.x
		x[1*384+383], x[3*384] = nan, -inf
		p.setX(x)
		y := p.outputs()
		p.run(t, s, y, 0, p.m, 0, p.panels)
		for j := range p.n {
			require.True(t, math.IsNaN(float64(y[p.ldy+j])), "row with a NaN, column %d", j)
			infinite := y[3*p.ldy+j]
			require.True(t, math.IsNaN(float64(infinite)) || math.IsInf(float64(infinite), 0), "row with an infinity, column %d: %g", j, infinite)
			require.False(t, xBF16 && shape.integers() && !math.IsNaN(float64(infinite)), "integers give NaN")
		}
		p.check(t, y, 1)
	})
}
