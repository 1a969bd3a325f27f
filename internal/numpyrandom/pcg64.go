package numpyrandom

import "math/bits"

// The multiplier of PCG64's 128-bit linear congruential step.
const (
	pcgMultHigh = 2549297995355413924
	pcgMultLow  = 4865540595714422341
)

// uint128 is an unsigned 128-bit integer, modulo 2^128.
type uint128 struct{ hi, lo uint64 }

func (a uint128) add(b uint128) uint128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return uint128{hi, lo}
}

func (a uint128) mul(b uint128) uint128 {
	hi, lo := bits.Mul64(a.lo, b.lo)
	return uint128{hi + a.hi*b.lo + a.lo*b.hi, lo}
}

// Generator is numpy.random.default_rng(seed). It is not safe for use by several goroutines at once.
type Generator struct {
	state, increment uint128
	// A 64-bit output serves two 32-bit draws, the lower half first.
	half    uint32
	hasHalf bool
}

// NewGenerator returns the stream of numpy.random.default_rng(seed). numpy refuses negative seeds, and so must the caller.
func NewGenerator(seed uint64) *Generator {
	words := newSeedSequence(seed).state64(4)
	initState := uint128{words[0], words[1]}
	sequence := uint128{words[2], words[3]}
	g := &Generator{increment: uint128{sequence.hi<<1 | sequence.lo>>63, sequence.lo<<1 | 1}}
	g.step()
	g.state = g.state.add(initState)
	g.step()
	return g
}

func (g *Generator) step() {
	g.state = g.state.mul(uint128{pcgMultHigh, pcgMultLow}).add(g.increment)
}

// Uint64 returns the next 64 bits of the stream, bit_generator.random_raw().
func (g *Generator) Uint64() uint64 {
	g.step()
	return bits.RotateLeft64(g.state.hi^g.state.lo, -int(g.state.hi>>58))
}

// Uint32 returns the next 32 bits: the lower half of a fresh 64-bit output, or the upper half that was kept back.
func (g *Generator) Uint32() uint32 {
	if g.hasHalf {
		g.hasHalf = false
		return g.half
	}
	v := g.Uint64()
	g.half, g.hasHalf = uint32(v>>32), true
	return uint32(v)
}

// Permutation returns numpy's Generator.permutation(n): the numbers 0 to n−1, shuffled. A negative n, for which numpy raises
// ValueError, gives nil, as zero does.
func (g *Generator) Permutation(n int) []int {
	if n <= 0 {
		return nil
	}
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := g.interval(uint64(i))
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// interval returns a number in [0, limit] by masked rejection, numpy's random_interval.
func (g *Generator) interval(limit uint64) uint64 {
	if limit == 0 {
		return 0
	}
	mask := uint64(1)<<bits.Len64(limit) - 1
	for {
		var v uint64
		if limit <= 0xffffffff {
			v = uint64(g.Uint32()) & mask
		} else {
			v = g.Uint64() & mask
		}
		if v <= limit {
			return v
		}
	}
}
