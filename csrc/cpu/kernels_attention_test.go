//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// An attentionProblem is one sequence of `tokens` positions, with its keys and values
// in blocks that lie in random order among spoiled ones.
type attentionProblem struct {
	format                  kvFormat
	tokens, group, headSize int
	blockSize, window       int
	scale, kvScale          float32
	q                       []float32   // [tokens][ldq]
	ldq                     int         // group heads, and a gap
	factor                  []float32   // [group*headSize], or nil
	keys, values            [][]float64 // [tokens][headSize], as the cache holds them
	kv                      []byte
	blockStride, vOffset    int
	table                   []int32
}

type attentionShape struct {
	tokens, group, headSize, blockSize, window int
}

// numberBytes is the size of a number of the cache.
func (f kvFormat) numberBytes() int { return []int{4, 2, 1, 1}[f] }

func (f kvFormat) String() string { return []string{"f32", "bf16", "int8", "fp8"}[f] }

// pairs tells whether a kernel set multiplies this cache as pairs of bf16.
func (s kernelSet) pairs(f kvFormat) bool {
	return f != kvF32 && strings.Contains(s.String(), "bf16")
}

func newAttentionProblem(r *rand.Rand, format kvFormat, shape attentionShape, spread float64) *attentionProblem {
	p := &attentionProblem{
		format: format, tokens: shape.tokens, group: shape.group, headSize: shape.headSize, blockSize: shape.blockSize,
		window: shape.window, scale: float32(1 / math.Sqrt(float64(shape.headSize))), kvScale: 1,
	}
	if format.numberBytes() == 1 {
		p.kvScale = []float32{0.03, 0.01}[format-kvInt8]
	}
	p.ldq = p.group*p.headSize + 3
	p.q = normals(r, p.tokens*p.ldq, spread)
	blocks := (p.tokens + p.blockSize - 1) / p.blockSize
	keys, values := p.blockBytes()
	p.vOffset = keys + 64
	p.blockStride = p.vOffset + values + 192
	p.kv = make([]byte, (blocks+2)*p.blockStride)
	for i := range p.kv {
		p.kv[i] = 0xff // NaN: whatever is not a token of the sequence must not count
	}
	for _, block := range r.Perm(blocks + 2)[:blocks] {
		p.table = append(p.table, int32(block))
	}
	for t := range p.tokens {
		p.keys = append(p.keys, p.append(t, normals(r, p.headSize, spread), p.keyIndex))
		p.values = append(p.values, p.append(t, normals(r, p.headSize, 1), p.valueIndex))
		for d := p.headSize; d%p.depth() != 0; d++ { // the cache zeroes what fills a word
			copy(p.at(t, p.keyIndex(t%p.blockSize, d)), make([]byte, p.format.numberBytes()))
		}
	}
	return p
}

// depth is the count of numbers in a word.
func (p *attentionProblem) depth() int { return 4 / p.format.numberBytes() }

// blockBytes is the size of a block's keys and of its values.
func (p *attentionProblem) blockBytes() (keys, values int) {
	up := func(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
	size := p.format.numberBytes()
	return p.blockSize * up(p.headSize*size, 4), p.blockSize * up(p.headSize, 16) * size
}

// inWord is the place in a word of its i-th number, in bytes.
func (p *attentionProblem) inWord(i int) int {
	return [][]int{{0}, {0, 2}, {0, 2, 1, 3}, {0, 2, 1, 3}}[p.format][i]
}

// keyIndex is the byte of a block's keys that holds dimension d of the key of token t.
func (p *attentionProblem) keyIndex(t, d int) int {
	n := p.depth()
	lines := (p.headSize + n - 1) / n
	return ((t/16*lines+d/n)*16+t%16)*4 + p.inWord(d%n)
}

// valueIndex is the same of its value.
func (p *attentionProblem) valueIndex(t, d int) int {
	n := p.depth()
	return p.vOffset + ((d/16*(p.blockSize/n)+t/n)*16+d%16)*4 + p.inWord(t%n)
}

// at is the block of a token from a byte on.
func (p *attentionProblem) at(token, index int) []byte {
	return p.kv[int(p.table[token/p.blockSize])*p.blockStride+index:]
}

// append writes a key or value into the cache and returns what the cache holds.
func (p *attentionProblem) append(token int, x []float32, index func(t, d int) int) []float64 {
	held := make([]float64, len(x))
	var codes []byte
	if p.format.numberBytes() == 1 {
		codes = encodeKV(p.format, x, p.kvScale)
	}
	for d, v := range x {
		at := p.at(token, index(token%p.blockSize, d))
		switch p.format {
		case kvF32:
			binary.LittleEndian.PutUint32(at, math.Float32bits(v))
			held[d] = float64(v)
		case kvBF16:
			binary.LittleEndian.PutUint16(at, roundBF16(v))
			held[d] = float64(widenBF16(roundBF16(v)))
		case kvInt8:
			at[0] = codes[d]
			held[d] = float64(int(codes[d])-128) * float64(p.kvScale)
		case kvFP8:
			at[0] = codes[d]
			held[d] = e4m3(codes[d]) * float64(p.kvScale)
		}
	}
	return held
}

// e4m3 is the number that a byte stands for.
func e4m3(code byte) float64 {
	exponent, mantissa := int(code>>3&15), float64(code&7)
	value := math.Ldexp(8+mantissa, exponent-10)
	if exponent == 0 {
		value = math.Ldexp(mantissa, -9)
	} else if code&0x7f == 0x7f {
		value = math.NaN()
	}
	if code >= 0x80 {
		return -value
	}
	return value
}

// run attends for rows [row, row+rows) and returns [rows][group*headSize] floats.
func (p *attentionProblem) run(t *testing.T, s kernelSet, row, rows int) []float32 {
	t.Helper()
	return p.output(t, row, rows, func(out unsafe.Pointer, ldo int) {
		p.call(t, s, row, rows, out, ldo, false)
	})
}

// runRanges does the same range by range, the last first, and merges.
func (p *attentionProblem) runRanges(t *testing.T, s kernelSet, row, rows int) []float32 {
	t.Helper()
	first := 0
	if p.window > 0 {
		first = max(0, row-p.window+1) / attentionRange
	}
	last := (row + rows - 1) / attentionRange
	n := (last - first + 1) * rows * p.group * partialFloats(p.headSize)
	partials, intact := alignedBytes(4 * n)
	for i := range unsafe.Slice((*float32)(partials), n) {
		unsafe.Slice((*float32)(partials), n)[i] = float32(math.NaN())
	}
	return p.output(t, row, rows, func(out unsafe.Pointer, ldo int) {
		scratch, whole := alignedBytes(s.attentionScratchBytes(p.group, p.headSize, p.blockSize))
		c := p.arguments(row, rows, out, ldo, false, scratch)
		c.partials = (*float32)(partials)
		for c.attentionRange = last; c.attentionRange >= first; c.attentionRange-- {
			s.attention(c)
		}
		s.attentionMerge(c)
		require.True(t, intact() && whole(), "partials or scratch were overrun")
	})
}

// output gives f memory for [rows][group*headSize] floats and sees that no more is written.
func (p *attentionProblem) output(t *testing.T, row, rows int, f func(out unsafe.Pointer, ldo int)) []float32 {
	t.Helper()
	width := p.group * p.headSize
	out := make([]float32, rows*(width+5))
	for i := range out {
		out[i] = 777
	}
	f(unsafe.Pointer(&out[0]), width+5)
	var dense []float32
	for r := range rows {
		dense = append(dense, out[r*(width+5):r*(width+5)+width]...)
		require.Equal(t, float32(777), out[r*(width+5)+width], "written past the heads of row %d", row+r)
	}
	return dense
}

func (p *attentionProblem) arguments(row, rows int, out unsafe.Pointer, ldo int, bf16 bool, scratch unsafe.Pointer) attentionCall {
	c := attentionCall{
		format: p.format, q: &p.q[row*p.ldq], ldq: p.ldq, out: out, ldo: ldo, outBF16: bf16, kv: &p.kv[0],
		blockStride: p.blockStride, vOffset: p.vOffset, blockTable: &p.table[0], blockSize: p.blockSize,
		headSize: p.headSize, group: p.group, rows: rows, firstPosition: row, window: p.window, scale: p.scale,
		kvScale: p.kvScale, scratch: (*float32)(scratch),
	}
	if p.factor != nil {
		c.outFactor = &p.factor[0]
	}
	return c
}

func (p *attentionProblem) call(t *testing.T, s kernelSet, row, rows int, out unsafe.Pointer, ldo int, bf16 bool) {
	t.Helper()
	scratch, intact := alignedBytes(s.attentionScratchBytes(p.group, p.headSize, p.blockSize))
	s.attention(p.arguments(row, rows, out, ldo, bf16, scratch))
	require.True(t, intact(), "scratch of %d heads of %d was overrun", p.group, p.headSize)
}

// check compares rows with softmax in float64. A score may be off by the rounding of
// its chain, which moves every weight by as much twice (its own and the sum's); the
// weighted sum adds its own chain and a rescaling for each block.
func (p *attentionProblem) check(t *testing.T, s kernelSet, got []float32, row, rows int) {
	t.Helper()
	for r := row; r < row+rows; r++ {
		first := 0
		if p.window > 0 {
			first = max(0, r-p.window+1)
		}
		for h := range p.group {
			q := p.q[r*p.ldq+h*p.headSize:][:p.headSize]
			rounding := 0.0
			if s.pairs(p.format) {
				rounding = 0x1p-8
				q = slices.Clone(q)
				for d, v := range q {
					q[d] = widenBF16(roundBF16(v))
				}
			}
			weights := make([]float64, r+1)
			top, magnitude := math.Inf(-1), 0.0
			for t := first; t <= r; t++ {
				var dot, size float64
				for d, v := range q {
					dot += float64(v) * p.keys[t][d]
					size += math.Abs(float64(v) * p.keys[t][d])
				}
				weights[t] = dot * float64(p.scale)
				top, magnitude = max(top, weights[t]), max(magnitude, size*float64(p.scale))
			}
			total := 0.0
			for t := first; t <= r; t++ {
				weights[t] = math.Exp(weights[t] - top)
				total += weights[t]
			}
			scoreError := magnitude * (likely(2*p.headSize) + 3*unit)
			bound := 2*scoreError + likely(2*(r-first+1)) + likely(4*(len(p.table)+1)) + 9*unit + rounding
			for d := range p.headSize {
				var sum, size float64
				for t := first; t <= r; t++ {
					sum += weights[t] / total * p.values[t][d]
					size += weights[t] / total * math.Abs(p.values[t][d])
				}
				if p.factor != nil {
					sum *= float64(p.factor[h*p.headSize+d])
					size *= math.Abs(float64(p.factor[h*p.headSize+d]))
				}
				value := float64(got[((r-row)*p.group+h)*p.headSize+d])
				if diff := math.Abs(value - sum); !(diff <= bound*size) {
					require.Failf(t, "wrong value", "position %d head %d column %d: %v, want %v, off by %g of %g",
						r, h, d, value, sum, diff, bound*size)
				}
			}
		}
	}
}

const attentionRange = 512 // kAttentionRange

var attentionShapes = []attentionShape{
	{1, 1, 64, 32, 0},
	{17, 1, 2, 16, 0},
	{70, 1, 20, 32, 0}, // heads of no whole vector
	{75, 3, 64, 32, 0},
	{90, 3, 64, 32, 40},
	{100, 4, 128, 16, 7},
	{65, 5, 24, 64, 33},
	{66, 7, 80, 32, 0},
	{67, 2, 96, 32, 6},
	{50, 8, 36, 16, 1}, // each sees itself alone
	{40, 13, 16, 16, 16},
	{35, 16, 32, 32, 31},
	{140, 12, 6, 32, 0}, // past a unit
	{150, 1, 10, 16, 131},
	{33, 2, 512, 32, 0},
}

var kvFormats = []kvFormat{kvF32, kvBF16, kvInt8, kvFP8}

func eachAttention(t *testing.T, f func(t *testing.T, s kernelSet, format kvFormat, shape attentionShape)) {
	t.Helper()
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for _, format := range kvFormats {
			for i, shape := range attentionShapes {
				if testing.Short() && i%3 != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%v/%+v", format, shape), func(t *testing.T) { f(t, s, format, shape) })
			}
		}
	})
}

func TestAttentionAgreesWithFloat64(t *testing.T) {
	eachAttention(t, func(t *testing.T, s kernelSet, format kvFormat, shape attentionShape) {
		for _, spread := range []float64{0.3, 1.5} { // flat and peaked weights
			r := newRand(11)
			p := newAttentionProblem(r, format, shape, spread)
			if spread > 1 {
				p.factor = normals(r, p.group*p.headSize, 1)
			}
			p.check(t, s, p.run(t, s, 0, p.tokens), 0, p.tokens)
		}
	})
}

// Rows on both sides of the borders of ranges, with and without a window that leaves
// the first ones behind: values, and the bits of ranges that were computed apart.
func TestAttentionOfLongContexts(t *testing.T) {
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for _, format := range kvFormats {
			for _, window := range []int{0, 515, 300} {
				t.Run(fmt.Sprintf("%v window %d", format, window), func(t *testing.T) {
					p := newAttentionProblem(newRand(18), format, attentionShape{1100, 2, 12, 32, window}, 1.2)
					for _, rows := range [][2]int{{509, 8}, {1020, 9}, {1099, 1}, {1023, 1}, {511, 2}} {
						whole := p.run(t, s, rows[0], rows[1])
						p.check(t, s, whole, rows[0], rows[1])
						sameBits(t, whole, p.runRanges(t, s, rows[0], rows[1]), "ranges", rows)
						width := p.group * p.headSize
						for r := range rows[1] {
							sameBits(t, whole[r*width:(r+1)*width], p.run(t, s, rows[0]+r, 1), "row", rows[0]+r)
							sameBits(t, whole[r*width:(r+1)*width], p.runRanges(t, s, rows[0]+r, 1), "ranges of row", rows[0]+r)
						}
					}
				})
			}
		}
	})
}

// A query's bits depend neither on the chunk that it is computed in nor on where its
// blocks lie.
func TestAttentionIsChunkInvariant(t *testing.T) {
	eachAttention(t, func(t *testing.T, s kernelSet, format kvFormat, shape attentionShape) {
		p := newAttentionProblem(newRand(12), format, shape, 1)
		width := p.group * p.headSize
		whole := p.run(t, s, 0, p.tokens)
		for row := range p.tokens {
			sameBits(t, whole[row*width:(row+1)*width], p.run(t, s, row, 1), "row", row)
		}
		r := newRand(13)
		for range 4 {
			for row := 0; row < p.tokens; {
				rows := min(1+r.IntN(20), p.tokens-row)
				sameBits(t, whole[row*width:(row+rows)*width], p.run(t, s, row, rows), "rows", row, rows)
				row += rows
			}
		}
		moved := *p
		order := r.Perm(len(p.kv) / p.blockStride)
		moved.kv, moved.table = make([]byte, len(p.kv)), make([]int32, len(p.table))
		for from, to := range order {
			copy(moved.kv[to*p.blockStride:][:p.blockStride], p.kv[from*p.blockStride:])
		}
		for i, block := range p.table {
			moved.table[i] = int32(order[block])
		}
		sameBits(t, whole, moved.run(t, s, 0, p.tokens), "other blocks")
	})
}

// Later tokens, whatever they hold, do not reach earlier rows of the same chunk, nor
// tokens that a window has left behind.
func TestAttentionIsCausal(t *testing.T) {
	eachAttention(t, func(t *testing.T, s kernelSet, format kvFormat, shape attentionShape) {
		p := newAttentionProblem(newRand(14), format, shape, 1)
		width := p.group * p.headSize
		want := p.run(t, s, 0, p.tokens)
		for _, spoiled := range []int{p.tokens / 2, p.tokens/2 + 1} {
			if spoiled >= p.tokens {
				continue
			}
			kv := slices.Clone(p.kv)
			other := normals(newRand(15), p.headSize, 1) // int8 has no NaN
			if format != kvInt8 {
				for i := range other {
					other[i] = float32(math.NaN())
				}
			}
			p.append(spoiled, other, p.keyIndex)
			p.append(spoiled, other, p.valueIndex)
			got := p.run(t, s, 0, p.tokens)
			p.kv = kv
			for row := range p.tokens {
				of := got[row*width : (row+1)*width]
				if row < spoiled || p.window > 0 && row >= spoiled+p.window {
					sameBits(t, want[row*width:(row+1)*width], of, "row does not see the token", row, spoiled)
				} else if format == kvInt8 {
					require.NotEqual(t, want[row*width:(row+1)*width], of, "row %d sees token %d", row, spoiled)
				} else {
					for _, v := range of {
						require.True(t, math.IsNaN(float64(v)), "row %d sees token %d", row, spoiled)
					}
				}
			}
		}
	})
}

func TestAttentionRoundsItsOutputToBF16(t *testing.T) {
	eachAttention(t, func(t *testing.T, s kernelSet, format kvFormat, shape attentionShape) {
		p := newAttentionProblem(newRand(16), format, shape, 1)
		width := p.group * p.headSize
		out := make([]uint16, p.tokens*width+1)
		out[len(out)-1] = 0x1234
		p.call(t, s, 0, p.tokens, unsafe.Pointer(&out[0]), width, true)
		require.Equal(t, append(roundAllBF16(p.run(t, s, 0, p.tokens)), 0x1234), out)
	})
}

// Scores beyond float's range become infinite; those of -inf weigh nothing as long as
// one is finite, wherever it stands.
func TestAttentionOfInfiniteScores(t *testing.T) {
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for _, format := range []kvFormat{kvF32, kvBF16} { // bytes do not reach so far
			p := newAttentionProblem(newRand(17), format, attentionShape{80, 2, 16, 16, 0}, 1)
			for i := range p.q {
				p.q[i] = 1e20
			}
			key := make([]float32, p.headSize)
			for token := range p.tokens {
				for d := range key {
					key[d] = -1e20
					if token == 40 {
						key[d] = 0
					}
				}
				p.keys[token] = p.append(token, key, p.keyIndex)
			}
			got := p.run(t, s, 0, p.tokens)
			for row := range p.tokens {
				for i := range p.group * p.headSize {
					value := float64(got[row*p.group*p.headSize+i])
					if row < 40 {
						require.True(t, math.IsNaN(value), "row %d has no finite score", row)
					} else {
						require.Equal(t, p.values[40][i%p.headSize], value, "row %d sees token 40 alone", row)
					}
				}
			}
		}
	})
}

// Numbers of a byte: value / scale to the nearest, ties to even, saturated.
func TestKVNumbers(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	in := []float32{0, 0.25, 0.75, 1.25, -0.25, -0.26, 63.4, 64, 1e9, -63.75, -64, -64.25, inf, -inf, nan}
	want := []int{0, 0, 2, 2, 0, -1, 127, 127, 127, -128, -128, -128, 127, -128, 0}
	for i, code := range encodeKV(kvInt8, in, 0.5) {
		require.Equal(t, want[i], int(code)-128, "%v", in[i])
	}

	values := map[byte]float64{}
	for code := range 256 {
		if v := e4m3(byte(code)); !math.IsNaN(v) {
			values[byte(code)] = v
		}
	}
	var x []float32
	for exponent := -12; exponent <= 9; exponent++ {
		for step := range 64 { // numbers, ties and what lies beside them
			v := math.Ldexp(1+float64(step)/64, exponent)
			x = append(x, float32(v), float32(-v), math.Nextafter32(float32(v), 0), math.Nextafter32(float32(v), inf))
		}
	}
	for i, code := range encodeKV(kvFP8, x, 1) {
		best, nearest := math.Inf(1), byte(0)
		for c, v := range values {
			d := math.Abs(v - float64(x[i]))
			if d < best || d == best && (c&0x7f)%2 == 0 {
				best, nearest = d, c
			}
		}
		require.Equal(t, values[nearest], e4m3(code), "%v", x[i])
	}
	require.Equal(t, []byte{0x7e, 0xfe, 0x7f, 0x00, 0x80, 0x7e}, encodeKV(kvFP8, []float32{inf, -inf, nan, 0, float32(math.Copysign(0, -1)), 3000}, 2))
	require.Equal(t, 4.5, e4m3(encodeKV(kvFP8, []float32{9}, 2)[0]))
}
