package numpyrandom

import "math/bits"

// Parameters of the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998).
const (
	mtWords  = 624
	mtShift  = 397
	mtMatrix = 0x9908b0df
	mtUpper  = 0x80000000
	mtLower  = 0x7fffffff
)

// RandomState is numpy.random.RandomState(seed), the legacy generator behind numpy.random.seed and numpy.random.choice. It is
// not safe for use by several goroutines at once.
type RandomState struct {
	words [mtWords]uint32
	next  int
}

// NewRandomState seeds the generator with one integer, init_genrand of the reference implementation.
func NewRandomState(seed uint32) *RandomState {
	r := &RandomState{next: mtWords}
	r.words[0] = seed
	for i := uint32(1); i < mtWords; i++ {
		prev := r.words[i-1]
		r.words[i] = 1812433253*(prev^prev>>30) + i
	}
	return r
}

// Uint32 returns the next 32 bits of the stream.
func (r *RandomState) Uint32() uint32 {
	if r.next == mtWords {
		r.refill()
	}
	v := r.words[r.next]
	r.next++
	v ^= v >> 11
	v ^= v << 7 & 0x9d2c5680
	v ^= v << 15 & 0xefc60000
	return v ^ v>>18
}

func (r *RandomState) refill() {
	for i := range r.words {
		y := r.words[i]&mtUpper | r.words[(i+1)%mtWords]&mtLower
		v := r.words[(i+mtShift)%mtWords] ^ y>>1
		if y&1 != 0 {
			v ^= mtMatrix
		}
		r.words[i] = v
	}
	r.next = 0
}

// Choice fills index with draws from 0 to n−1 with replacement, numpy.random.choice(n, size=len(index)). It panics if n is
// not between 1 and 2^32: beyond that numpy draws 64 bits at a time.
func (r *RandomState) Choice(index []int, n int) {
	if n < 1 || uint64(n) > 1<<32 {
		panic("numpyrandom: Choice from a set whose size is not between 1 and 2^32")
	}
	limit := uint32(n - 1)
	if limit == 0 {
		clear(index) // numpy draws nothing here
		return
	}
	mask := uint32(1)<<bits.Len32(limit) - 1
	for i := range index {
		v := r.Uint32() & mask
		for v > limit {
			v = r.Uint32() & mask
		}
		index[i] = int(v)
	}
}
