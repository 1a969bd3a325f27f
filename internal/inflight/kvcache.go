package inflight

import "slices"

// noBlock is no block: the parent of a chain's first, the end of a list.
const noBlock = int32(-1)

// partialScan bounds how many of a block's followers are looked at for a common
// beginning, the latest first.
const partialScan = 256

// kvCache owns the KV blocks of a runner's arena. A block is in one of three places:
//
//   - held by one or more sequences (refs is their number),
//   - unused: held by none, but findable, to be taken over or, the least recently
//     used first, filled anew,
//   - free: held by none and not findable.
//
// Findable blocks form trees: what a block holds is known by its tokens and its
// parent, the block before it; first blocks hang on a salt. Who holds a findable
// block holds its parents too, and blocks are dropped from the last to the first.
// So an unused block comes after its followers in the list of unused ones, and
// whatever is evicted has no followers.
//
// Blocks are reserved by number before they are taken one by one, so that what was
// promised is there.
type kvCache struct {
	size     int // tokens of a block
	blocks   []kvBlock
	tokens   []int32 // of each findable block, size apart
	free     []int32 // a stack
	reserved int     // free and unused blocks that are promised

	unused         int   // number of blocks in the list from oldest to newest
	oldest, newest int32 // of the unused

	index map[uint64]int32 // full findable blocks, by the hash of their chain
	first map[uint64]int32 // the latest of each salt's first blocks

	hash func(parent uint64, tokens []int32) uint64
}

// kvBlock is what is known of a block.
type kvBlock struct {
	refs   int32
	filled int32  // tokens by which it can be found; 0: not findable
	parent int32  // the findable block before it
	child  int32  // the latest of those after it
	newer  int32  // neighbours among the children of its parent
	older  int32  //
	before int32  // neighbours among the unused
	after  int32  //
	hash   uint64 // of its chain, when it is full
	salt   uint64
}

// chain is a path of full findable blocks from a salt on. The zero value is none:
// nothing is found after it and nothing can be added.
type chain struct {
	open   bool
	salt   uint64
	hash   uint64
	last   int32 // the block at its end
	blocks int
}

func newKVCache(n, size int) *kvCache {
	c := &kvCache{
		size: size, blocks: make([]kvBlock, n), tokens: make([]int32, n*size), free: make([]int32, n),
		oldest: noBlock, newest: noBlock, index: map[uint64]int32{}, first: map[uint64]int32{}, hash: chainHash,
	}
	for i := range c.free {
		c.free[i] = int32(n - 1 - i)
		c.blocks[i] = kvBlock{parent: noBlock, child: noBlock, newer: noBlock, older: noBlock, before: noBlock, after: noBlock}
	}
	return c
}

// chainHash is the hash of a block's tokens and of all before it.
func chainHash(parent uint64, tokens []int32) uint64 {
	h := parent
	for _, id := range tokens {
		h = mix64(h + uint64(id) + 0x9E3779B97F4A7C15)
	}
	return h
}

// available is how many blocks are neither held nor promised.
func (c *kvCache) available() int { return len(c.free) + c.unused - c.reserved }

// used is how many blocks are held or promised.
func (c *kvCache) used() int { return len(c.blocks) - c.available() }

// reserve promises n blocks, or tells that they are not there.
func (c *kvCache) reserve(n int) bool {
	if n > c.available() {
		return false
	}
	c.reserved += n
	return true
}

// unreserve takes a promise of n blocks back.
func (c *kvCache) unreserve(n int) { c.reserved -= n }

// take gives a block to its first holder, to be filled. One must be there: free, or
// unused, which is evicted.
func (c *kvCache) take() int32 {
	if len(c.free) == 0 {
		c.forget(c.oldest)
	}
	last := len(c.free) - 1
	b := c.free[last]
	c.free = c.free[:last]
	c.blocks[b].refs = 1
	return b
}

// hold adds a holder to a held or unused block.
func (c *kvCache) hold(b int32) {
	if c.blocks[b].refs == 0 {
		c.leaveUnused(b)
	}
	c.blocks[b].refs++
}

// drop removes a holder. It tells whether that was the last one.
func (c *kvCache) drop(b int32) bool {
	block := &c.blocks[b]
	if block.refs--; block.refs > 0 {
		return false
	}
	if block.filled > 0 {
		c.enterUnused(b)
	} else {
		c.free = append(c.free, b)
	}
	return true
}

// shared tells whether a block has several holders.
func (c *kvCache) shared(b int32) bool { return c.blocks[b].refs > 1 }

// root is the empty chain of a salt.
func (c *kvCache) root(salt uint64) chain {
	return chain{open: true, salt: salt, hash: mix64(salt), last: noBlock}
}

// upTo is the chain that ends with b, the n-th block of a chain, or none when b is
// not findable in full.
func (c *kvCache) upTo(salt uint64, b int32, n int) chain {
	if block := &c.blocks[b]; int(block.filled) == c.size {
		return chain{open: true, salt: salt, hash: block.hash, last: b, blocks: n}
	}
	return chain{}
}

// find looks for the full block of tokens that follows a chain. Hashes only tell
// where to look.
func (c *kvCache) find(at chain, tokens []int32) (int32, chain) {
	if !at.open {
		return noBlock, at
	}
	hash := c.hash(at.hash, tokens)
	b, ok := c.index[hash]
	if !ok || !c.follows(b, at, tokens) {
		return noBlock, at
	}
	return b, c.longer(at, hash, b)
}

func (c *kvCache) longer(at chain, hash uint64, b int32) chain {
	return chain{open: true, salt: at.salt, hash: hash, last: b, blocks: at.blocks + 1}
}

// follows tells whether findable block b holds tokens after a chain.
func (c *kvCache) follows(b int32, at chain, tokens []int32) bool {
	block := &c.blocks[b]
	return block.parent == at.last && block.salt == at.salt && slices.Equal(c.content(b), tokens)
}

// content is the tokens by which a block can be found.
func (c *kvCache) content(b int32) []int32 {
	start := int(b) * c.size
	return c.tokens[start : start+int(c.blocks[b].filled)]
}

// nearest looks for the block after a chain that has the most of tokens at its
// beginning, and returns it with their number.
func (c *kvCache) nearest(at chain, tokens []int32) (int32, int) {
	best, most := noBlock, 0
	if !at.open || len(tokens) == 0 {
		return best, most
	}
	b := c.children(at)
	for i := 0; b != noBlock && i < partialScan && most < len(tokens); i++ {
		if n := commonPrefix(c.content(b), tokens); n > most {
			best, most = b, n
		}
		b = c.blocks[b].older
	}
	return best, most
}

// children is the latest of the blocks after a chain.
func (c *kvCache) children(at chain) int32 {
	if at.last != noBlock {
		return c.blocks[at.last].child
	}
	if b, ok := c.first[at.salt]; ok {
		return b
	}
	return noBlock
}

func commonPrefix(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// publish makes a held block findable that was filled with tokens after a chain, and
// returns the block that its holder holds from now on: where the same is findable
// already, that one, and b is dropped. The chain grows by the block. It ends, and
// nothing becomes findable, when its last block was forgotten, or when another
// chain's hash is the same.
func (c *kvCache) publish(at *chain, tokens []int32, b int32) int32 {
	if !at.open || at.last != noBlock && c.blocks[at.last].filled == 0 {
		*at = chain{}
		return b
	}
	hash := c.hash(at.hash, tokens)
	if there, ok := c.index[hash]; ok {
		if !c.follows(there, *at, tokens) {
			*at = chain{}
			return b
		}
		c.hold(there)
		c.drop(b)
		b = there
	} else {
		c.link(b, *at, tokens)
		c.blocks[b].hash = hash
		c.index[hash] = b
	}
	*at = c.longer(*at, hash, b)
	return b
}

// publishPart makes a block findable that is filled in part, with tokens after a
// chain, to be copied from. Its only holder must drop it at once, for it may not be
// written any more. Where another has these tokens nothing is done; those that have
// a part of them are forgotten.
func (c *kvCache) publishPart(at chain, tokens []int32, b int32) {
	if !at.open || len(tokens) == 0 || c.shared(b) || at.last != noBlock && c.blocks[at.last].filled == 0 {
		return
	}
	sibling := c.children(at)
	for i := 0; sibling != noBlock && i < partialScan; i++ {
		older, block := c.blocks[sibling].older, &c.blocks[sibling]
		n := commonPrefix(c.content(sibling), tokens)
		if n == len(tokens) {
			return
		}
		if n == int(block.filled) && block.refs == 0 {
			c.forget(sibling)
		}
		sibling = older
	}
	c.link(b, at, tokens)
}

// link puts a block with tokens at the end of a chain.
func (c *kvCache) link(b int32, at chain, tokens []int32) {
	block := &c.blocks[b]
	block.filled, block.parent, block.child, block.salt = int32(len(tokens)), at.last, noBlock, at.salt
	copy(c.content(b), tokens)
	block.newer, block.older = noBlock, c.children(at)
	if block.older != noBlock {
		c.blocks[block.older].newer = b
	}
	c.setChildren(block, b)
}

// setChildren makes b the latest of the blocks beside which block stands.
func (c *kvCache) setChildren(block *kvBlock, b int32) {
	switch {
	case block.parent != noBlock:
		c.blocks[block.parent].child = b
	case b != noBlock:
		c.first[block.salt] = b
	default:
		delete(c.first, block.salt)
	}
}

// forget makes a block and all after it unfindable. Those that nobody holds are
// free then.
func (c *kvCache) forget(b int32) {
	block := &c.blocks[b]
	if block.filled == 0 {
		return
	}
	for block.child != noBlock {
		c.forget(block.child)
	}
	if block.newer != noBlock {
		c.blocks[block.newer].older = block.older
	} else {
		c.setChildren(block, block.older)
	}
	if block.older != noBlock {
		c.blocks[block.older].newer = block.newer
	}
	if int(block.filled) == c.size {
		delete(c.index, block.hash)
	}
	block.filled = 0
	if block.refs == 0 {
		c.leaveUnused(b)
		c.free = append(c.free, b)
	}
}

// enterUnused puts a block at the new end of the unused.
func (c *kvCache) enterUnused(b int32) {
	c.unused++
	c.blocks[b].before, c.blocks[b].after = c.newest, noBlock
	if c.newest != noBlock {
		c.blocks[c.newest].after = b
	} else {
		c.oldest = b
	}
	c.newest = b
}

func (c *kvCache) leaveUnused(b int32) {
	c.unused--
	block := &c.blocks[b]
	if block.before != noBlock {
		c.blocks[block.before].after = block.after
	} else {
		c.oldest = block.after
	}
	if block.after != noBlock {
		c.blocks[block.after].before = block.before
	} else {
		c.newest = block.before
	}
}
