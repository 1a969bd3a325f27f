package inflight

import (
	"iter"
	"maps"
	"slices"
)

// ngrams finds what followed the earlier occurrences of the last n-1 tokens without
// looking through all tokens. Hashes find them; that they are the same is always
// checked, so a hash that two share costs time and nothing else.
type ngrams struct {
	n      int
	base   uint64           // of the hash
	window uint64           // hash of the last n-1 tokens
	oldest uint64           // the factor of the first token in window
	whole  map[uint64]int32 // hash of an n-gram → where its last token stands
	last   map[uint64]int32 // hash of n-1 tokens → where the latest token that followed them stands
	before []int32          // for each such place, the one before it with that hash, or -1
}

// The hash of tokens is the sum of (token+1)·base^(tokens behind it), modulo 2^64.
const ngramBase = 0x9E3779B97F4A7C15

func newNgrams(n int, base uint64) *ngrams {
	g := &ngrams{n: n, base: base, oldest: 1, whole: map[uint64]int32{}, last: map[uint64]int32{}}
	square := base
	for e := n - 2; e > 0; e >>= 1 {
		if e&1 != 0 {
			g.oldest *= square
		}
		square *= square
	}
	return g
}

// clone returns ngrams that grow apart from g.
func (g *ngrams) clone() *ngrams {
	c := *g
	c.whole, c.last, c.before = maps.Clone(g.whole), maps.Clone(g.last), slices.Clone(g.before)
	return &c
}

// add takes the last of tokens into account; all others were, one by one.
func (g *ngrams) add(tokens []int32) {
	at := len(tokens) - 1
	id := uint64(tokens[at]) + 1
	g.before = append(g.before, -1)
	full := at >= g.n-1
	if full && !g.known(tokens, g.window*g.base+id) {
		if p, ok := g.last[g.window]; ok {
			g.before[at] = p
		}
		g.last[g.window] = int32(at)
	}
	if g.n == 1 {
		return // the window is empty
	}
	if full {
		g.window -= g.oldest * (uint64(tokens[at-g.n+1]) + 1)
	}
	g.window = g.window*g.base + id
}

// known tells whether the n-gram at the end of tokens stood there before, so that
// each is listed once.
func (g *ngrams) known(tokens []int32, hash uint64) bool {
	end := len(tokens)
	if p, ok := g.whole[hash]; ok && slices.Equal(tokens[int(p)+1-g.n:p+1], tokens[end-g.n:]) {
		return true
	}
	g.whole[hash] = int32(end - 1)
	return false
}

// followers are the places of tokens that followed the last n-1 of them before.
func (g *ngrams) followers(tokens []int32) iter.Seq[int] {
	return func(yield func(int) bool) {
		if len(tokens) < g.n {
			return
		}
		tail := tokens[len(tokens)-g.n+1:]
		at, ok := g.last[g.window]
		for ok && at >= 0 {
			if p := int(at); slices.Equal(tokens[p-g.n+1:p], tail) && !yield(p) {
				return
			}
			at = g.before[at]
		}
	}
}
