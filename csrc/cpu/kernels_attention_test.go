//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// An attentionProblem is one sequence of `tokens` positions, with its keys and values
// in blocks that lie in random order among spoiled ones.
type attentionProblem struct {
	bf16                    bool
	tokens, group, headSize int
	blockSize, window       int
	scale                   float32
	q                       []float32   // [tokens][ldq]
	ldq                     int         // group heads, and a gap
	keys, values            [][]float64 // [tokens][headSize], as the cache holds them
	kv                      []byte
	blockStride, vOffset    int
	table                   []int32
	elementBytes            int
}

type attentionShape struct {
	tokens, group, headSize, blockSize, window int
}

func newAttentionProblem(r *rand.Rand, bf16 bool, shape attentionShape, spread float64) *attentionProblem {
	p := &attentionProblem{
		bf16: bf16, tokens: shape.tokens, group: shape.group, headSize: shape.headSize, blockSize: shape.blockSize,
		window: shape.window, scale: float32(1 / math.Sqrt(float64(shape.headSize))), elementBytes: 4,
	}
	if bf16 {
		p.elementBytes = 2
	}
	p.ldq = p.group*p.headSize + 3
	p.q = normals(r, p.tokens*p.ldq, spread)
	blocks := (p.tokens + p.blockSize - 1) / p.blockSize
	p.vOffset = p.blockSize*p.headSize*p.elementBytes + 64
	p.blockStride = 2*p.vOffset + 192
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
	}
	return p
}

// keyIndex is the element of a block that holds dimension d of the key of token t.
func (p *attentionProblem) keyIndex(t, d int) int {
	if p.bf16 {
		return ((t/16*(p.headSize/2)+d/2)*16+t%16)*2 + d%2
	}
	return (t/16*p.headSize+d)*16 + t%16
}

func (p *attentionProblem) valueIndex(t, d int) int {
	return p.vOffset/p.elementBytes + t*p.headSize + d
}

// append writes a key or value into the cache and returns what the cache holds.
func (p *attentionProblem) append(token int, x []float32, index func(t, d int) int) []float64 {
	held := make([]float64, len(x))
	block := p.kv[int(p.table[token/p.blockSize])*p.blockStride:]
	for d, v := range x {
		at := block[index(token%p.blockSize, d)*p.elementBytes:]
		if p.bf16 {
			binary.LittleEndian.PutUint16(at, roundBF16(v))
			held[d] = float64(widenBF16(roundBF16(v)))
		} else {
			binary.LittleEndian.PutUint32(at, math.Float32bits(v))
			held[d] = float64(v)
		}
	}
	return held
}

// run attends for rows [row, row+rows) and returns [rows][group*headSize] floats.
func (p *attentionProblem) run(t *testing.T, s kernelSet, row, rows int) []float32 {
	t.Helper()
	width := p.group * p.headSize
	out := make([]float32, rows*(width+5))
	for i := range out {
		out[i] = 777
	}
	p.call(t, s, row, rows, unsafe.Pointer(&out[0]), width+5, false)
	var dense []float32
	for r := range rows {
		dense = append(dense, out[r*(width+5):r*(width+5)+width]...)
		require.Equal(t, float32(777), out[r*(width+5)+width], "written past the heads")
	}
	return dense
}

func (p *attentionProblem) call(t *testing.T, s kernelSet, row, rows int, out unsafe.Pointer, ldo int, bf16 bool) {
	t.Helper()
	scratch, intact := alignedBytes(s.attentionScratchBytes(p.group, p.headSize, p.blockSize))
	s.attention(attentionCall{
		bf16Cache: p.bf16, q: &p.q[row*p.ldq], ldq: p.ldq, out: out, ldo: ldo, outBF16: bf16, kv: &p.kv[0],
		blockStride: p.blockStride, vOffset: p.vOffset, blockTable: &p.table[0], blockSize: p.blockSize,
		headSize: p.headSize, group: p.group, rows: rows, firstPosition: row, window: p.window, scale: p.scale,
		scratch: (*float32)(scratch),
	})
	require.True(t, intact(), "scratch of %d heads of %d was overrun", p.group, p.headSize)
}

// check compares rows with softmax in float64. A score may be off by the rounding of
// its chain, which moves every weight by as much twice (its own and the sum's); the
// weighted sum adds its own chain and a rescaling for each block.
func (p *attentionProblem) check(t *testing.T, got []float32, row, rows int) {
	t.Helper()
	for r := row; r < row+rows; r++ {
		first := 0
		if p.window > 0 {
			first = max(0, r-p.window+1)
		}
		for h := range p.group {
			q := p.q[r*p.ldq+h*p.headSize:][:p.headSize]
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
			bound := 2*scoreError + likely(2*(r-first+1)) + likely(4*(len(p.table)+1)) + 6*unit
			for d := range p.headSize {
				var sum, size float64
				for t := first; t <= r; t++ {
					sum += weights[t] / total * p.values[t][d]
					size += weights[t] / total * math.Abs(p.values[t][d])
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

var attentionShapes = []attentionShape{
	{1, 1, 64, 32, 0},
	{17, 1, 2, 16, 0},
	{70, 1, 20, 32, 0}, // heads of no whole vector
	{75, 3, 64, 32, 0},
	{90, 3, 64, 32, 40},
	{100, 4, 128, 16, 7},
	{65, 5, 24, 64, 33},
	{66, 7, 80, 32, 0},
	{50, 8, 36, 16, 1}, // each sees itself alone
	{40, 13, 16, 16, 16},
	{35, 16, 32, 32, 31},
	{33, 2, 512, 32, 0},
}

func eachAttention(t *testing.T, f func(t *testing.T, s kernelSet, bf16 bool, shape attentionShape)) {
	t.Helper()
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for _, bf16 := range []bool{false, true} {
			for _, shape := range attentionShapes {
				t.Run(fmt.Sprintf("bf16=%t/%+v", bf16, shape), func(t *testing.T) { f(t, s, bf16, shape) })
			}
		}
	})
}

func TestAttentionAgreesWithFloat64(t *testing.T) {
	eachAttention(t, func(t *testing.T, s kernelSet, bf16 bool, shape attentionShape) {
		for _, spread := range []float64{0.3, 1.5} { // flat and peaked weights
			p := newAttentionProblem(newRand(11), bf16, shape, spread)
			p.check(t, p.run(t, s, 0, p.tokens), 0, p.tokens)
		}
	})
}

// A query's bits depend neither on the chunk that it is computed in nor on where its
// blocks lie.
func TestAttentionIsChunkInvariant(t *testing.T) {
	eachAttention(t, func(t *testing.T, s kernelSet, bf16 bool, shape attentionShape) {
		p := newAttentionProblem(newRand(12), bf16, shape, 1)
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
	eachAttention(t, func(t *testing.T, s kernelSet, bf16 bool, shape attentionShape) {
		p := newAttentionProblem(newRand(14), bf16, shape, 1)
		width := p.group * p.headSize
		want := p.run(t, s, 0, p.tokens)
		spoiled := p.tokens / 2
		nan := normals(newRand(15), p.headSize, 1)
		for i := range nan {
			nan[i] = float32(math.NaN())
		}
		p.append(spoiled, nan, p.keyIndex)
		p.append(spoiled, nan, p.valueIndex)
		got := p.run(t, s, 0, p.tokens)
		for row := range p.tokens {
			for i := row * width; i < (row+1)*width; i++ {
				if row < spoiled || p.window > 0 && row >= spoiled+p.window {
					require.Equal(t, want[i], got[i], "row %d does not see token %d", row, spoiled)
				} else {
					require.True(t, math.IsNaN(float64(got[i])), "row %d sees token %d", row, spoiled)
				}
			}
		}
	})
}

func TestAttentionRoundsItsOutputToBF16(t *testing.T) {
	eachAttention(t, func(t *testing.T, s kernelSet, bf16 bool, shape attentionShape) {
		p := newAttentionProblem(newRand(16), bf16, shape, 1)
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
		for _, bf16 := range []bool{false, true} {
			p := newAttentionProblem(newRand(17), bf16, attentionShape{80, 2, 16, 16, 0}, 1)
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
