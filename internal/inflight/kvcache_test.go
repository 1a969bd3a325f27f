package inflight

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// check states what is always true of a KV cache.
func (c *kvCache) check(t *testing.T, tables ...[]int32) {
	t.Helper()
	refs := make([]int32, len(c.blocks))
	for _, table := range tables {
		for _, b := range table {
			refs[b]++
		}
	}
	free, unused := map[int32]bool{}, map[int32]bool{}
	for _, b := range c.free {
		require.False(t, free[b], "block %d is free twice", b)
		free[b] = true
	}
	previous := noBlock
	for b := c.oldest; b != noBlock; b = c.blocks[b].after {
		require.Equal(t, previous, c.blocks[b].before)
		for child := c.blocks[b].child; child != noBlock; child = c.blocks[child].older {
			require.True(t, unused[child], "block %d is unused and %d after it is not, or would go later", b, child)
		}
		unused[b], previous = true, b
	}
	require.Equal(t, previous, c.newest)
	require.Len(t, unused, c.unused)
	full := 0
	for i := range c.blocks {
		b, block := int32(i), &c.blocks[i]
		require.Equal(t, refs[b], block.refs, "holders of block %d", b)
		require.Equal(t, block.refs == 0 && block.filled == 0, free[b], "block %d", b)
		require.Equal(t, block.refs == 0 && block.filled > 0, unused[b], "block %d", b)
		if block.filled == 0 {
			continue
		}
		if int(block.filled) == c.size {
			full++
			require.Equal(t, b, c.index[block.hash])
		}
		if block.parent != noBlock {
			parent := &c.blocks[block.parent]
			require.EqualValues(t, c.size, parent.filled, "the block before %d is findable", b)
			require.GreaterOrEqual(t, parent.refs, block.refs, "who holds %d holds the one before it", b)
		}
		siblings := 0
		for s := c.children(chain{last: block.parent, salt: block.salt}); s != noBlock; s = c.blocks[s].older {
			if s == b {
				siblings++
			}
		}
		require.Equal(t, 1, siblings, "block %d is after its parent", b)
	}
	require.Len(t, c.index, full)
	require.GreaterOrEqual(t, c.available(), 0)
}

// written is what a test wrote into the blocks: all tokens of the sequence up to and
// including a block's.
type written map[int32][]int32

// lookUp follows tokens through the cache as far as it goes, and checks that what it
// finds is what was written.
func (c *kvCache) lookUp(t *testing.T, contents written, salt uint64, tokens []int32) (table []int32, at chain) {
	t.Helper()
	at = c.root(salt)
	for end := c.size; end <= len(tokens); end += c.size {
		b, next := c.find(at, tokens[end-c.size:end])
		if b == noBlock {
			break
		}
		require.Equal(t, prepend(salt, tokens[:end]), contents[b], "block %d", b)
		table, at = append(table, b), next
	}
	start := at.blocks * c.size
	if b, n := c.nearest(at, tokens[start:]); b != noBlock {
		require.Equal(t, prepend(salt, tokens[:start+n]), contents[b][:1+start+n], "part of block %d", b)
	}
	return table, at
}

func prepend(salt uint64, tokens []int32) []int32 {
	return append([]int32{int32(salt)}, tokens...)
}

// TestKVCacheAgainstModel runs random sequences over few tokens, which share much, in
// a cache that is too small, and compares what is found with what was written. With
// a hash of two bits nearly everything collides.
func TestKVCacheAgainstModel(t *testing.T) {
	for name, hash := range map[string]func(uint64, []int32) uint64{
		"hash": chainHash, "bad hash": func(p uint64, ids []int32) uint64 { return chainHash(p, ids) & 3 },
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			for seed := range uint64(10) {
				found += runModel(t, hash, seed)
			}
			require.Greater(t, found, 30)
		})
	}
}

func runModel(t *testing.T, hash func(uint64, []int32) uint64, seed uint64) (found int) {
	random := rand.New(rand.NewPCG(seed, 1))
	c := newKVCache(24, 1+random.IntN(4))
	c.hash = hash
	type live struct {
		salt     uint64
		tokens   []int32
		computed int
		table    []int32
		at       chain
	}
	var running []*live
	contents := written{}
	tables := func() (list [][]int32) {
		for _, s := range running {
			list = append(list, s.table)
		}
		return list
	}
	release := func(i int) {
		s := running[i]
		running = slices.Delete(running, i, i+1)
		if start := s.at.blocks * c.size; s.at.blocks == s.computed/c.size && random.IntN(2) == 0 {
			if part := s.tokens[start:s.computed]; len(part) > 0 {
				c.publishPart(s.at, part, s.table[s.at.blocks])
			}
		}
		for _, b := range slices.Backward(s.table) {
			c.drop(b)
		}
	}
	for range 400 {
		switch n := random.IntN(12); {
		case n == 0 && len(running) > 0:
			release(random.IntN(len(running)))
		case n == 1 && len(running) > 0: // its content is in doubt
			s := running[random.IntN(len(running))]
			for _, b := range s.table {
				c.forget(b)
			}
			s.at = chain{}
		case n <= 3 && len(running) < 5:
			s := &live{salt: random.Uint64N(2), tokens: make([]int32, 1+random.IntN(20))}
			for i := range s.tokens {
				s.tokens[i] = random.Int32N(2)
			}
			s.table, s.at = c.lookUp(t, contents, s.salt, s.tokens)
			for _, b := range s.table {
				c.hold(b)
			}
			found += len(s.table)
			s.computed = len(s.table) * c.size
			running = append(running, s)
		case len(running) > 0: // compute some tokens
			s := running[random.IntN(len(running))]
			for range 1 + random.IntN(4) {
				if s.computed == len(s.tokens) {
					s.tokens = append(s.tokens, random.Int32N(2))
				}
				if s.computed == len(s.table)*c.size {
					if c.available() == 0 {
						break
					}
					s.table = append(s.table, c.take())
				}
				s.computed++
				b := s.table[len(s.table)-1]
				contents[b] = prepend(s.salt, s.tokens[:s.computed])
			}
			for s.at.open && s.at.blocks < s.computed/c.size {
				i := s.at.blocks
				s.table[i] = c.publish(&s.at, s.tokens[i*c.size:(i+1)*c.size], s.table[i])
			}
		}
		c.check(t, tables()...)
	}
	for len(running) > 0 {
		release(0)
	}
	c.check(t)
	require.Zero(t, c.used())
	return found
}

// fill makes a sequence of full blocks with tokens first, first+1, … findable.
func (c *kvCache) fill(salt uint64, blocks int, first int32) []int32 {
	var table []int32
	at := c.root(salt)
	for i := range blocks {
		table = append(table, c.publish(&at, ascending(c.size, first+int32(i*c.size)), c.take()))
	}
	return table
}

func ascending(n int, first int32) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = first + int32(i)
	}
	return ids
}

func (c *kvCache) dropAll(table []int32) {
	for _, b := range slices.Backward(table) {
		c.drop(b)
	}
}

func TestKVCacheEvictsTheLeastRecentlyUsed(t *testing.T) {
	c := newKVCache(6, 4)
	old, recent := c.fill(0, 3, 0), c.fill(0, 3, 100)
	c.dropAll(recent)
	c.dropAll(old)
	c.hold(old[0]) // used again: younger than the others now
	c.drop(old[0])
	require.Zero(t, c.used())
	require.Equal(t, 6, c.unused)
	var order []int32
	for range 6 {
		order = append(order, c.take())
	}
	require.Equal(t, []int32{recent[2], recent[1], recent[0], old[2], old[1], old[0]}, order, "the last block of the oldest first")
	require.Zero(t, c.available())
}

func TestKVCacheSalts(t *testing.T) {
	c := newKVCache(6, 4)
	c.dropAll(c.fill(1, 2, 0))
	table, _ := c.lookUp(t, written{}, 2, ascending(8, 0))
	require.Empty(t, table)
	b, _ := c.find(c.root(1), ascending(4, 0))
	require.NotEqual(t, noBlock, b)
	_, n := c.nearest(c.root(2), ascending(4, 0))
	require.Zero(t, n)
}

// Two sequences that compute the same at the same time hold one block afterwards.
func TestKVCacheHoldsOnce(t *testing.T) {
	c := newKVCache(6, 4)
	a, b := c.fill(0, 2, 0), c.fill(0, 2, 0)
	require.Equal(t, a, b)
	require.Equal(t, 2, c.used())
	c.check(t, a, b)
	c.dropAll(a)
	c.check(t, b)
}

func TestKVCachePartial(t *testing.T) {
	c := newKVCache(8, 4)
	at := c.root(0)
	first := c.publish(&at, []int32{1, 2, 3, 4}, c.take())
	part := func(ids ...int32) int32 {
		b := c.take()
		c.publishPart(at, ids, b)
		c.drop(b)
		return b
	}
	short := part(5, 6)
	b, n := c.nearest(at, []int32{5, 6, 7, 8})
	require.Equal(t, short, b)
	require.Equal(t, 2, n)
	long := part(5, 6, 7) // says all that the short one says
	b, n = c.nearest(at, []int32{5, 6, 9})
	require.Equal(t, long, b)
	require.Equal(t, 2, n)
	require.Equal(t, 1, c.unused)
	part(5, 6)
	require.Equal(t, 1, c.unused, "nothing new")
	b, _ = c.find(at, []int32{5, 6, 7, 8})
	require.Equal(t, noBlock, b, "a part is no full block")
	c.check(t, []int32{first})

	c.forget(first) // and the part after it
	require.Zero(t, c.unused)
	_, n = c.nearest(c.root(0), []int32{1, 2})
	require.Zero(t, n)
	next := c.take()
	require.Equal(t, next, c.publish(&at, []int32{5, 5, 5, 5}, next))
	require.False(t, at.open, "nothing can follow what was forgotten")
	c.check(t, []int32{first, next})
}

func TestKVCacheReservations(t *testing.T) {
	c := newKVCache(4, 2)
	require.True(t, c.reserve(3))
	require.False(t, c.reserve(2))
	require.Equal(t, 3, c.used())
	b := c.take()
	c.unreserve(1)
	require.Equal(t, 3, c.used(), "held instead of promised")
	c.drop(b)
	c.unreserve(2)
	require.Zero(t, c.used())
}
