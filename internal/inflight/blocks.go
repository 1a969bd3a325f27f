package inflight

// blockPool hands out the KV blocks of a runner's arena. A block may be held by
// several sequences; it is free again when the last one dropped it. Blocks are
// reserved by number first and taken one by one as a sequence grows, so that
// what was promised is always there.
type blockPool struct {
	refs     []int32 // holders of each block
	free     []int32 // a stack
	reserved int     // free blocks promised to admitted sequences
}

func newBlockPool(n int) *blockPool {
	p := &blockPool{refs: make([]int32, n), free: make([]int32, n)}
	for i := range p.free {
		p.free[i] = int32(n - 1 - i)
	}
	return p
}

// reserve promises n blocks, or tells that they are not there.
func (p *blockPool) reserve(n int) bool {
	if n > len(p.free)-p.reserved {
		return false
	}
	p.reserved += n
	return true
}

// unreserve gives back a promise of n blocks.
func (p *blockPool) unreserve(n int) { p.reserved -= n }

// take turns one reserved block into a held one.
func (p *blockPool) take() int32 {
	last := len(p.free) - 1
	b := p.free[last]
	p.free = p.free[:last]
	p.refs[b] = 1
	p.reserved--
	return b
}

// share adds a holder to a held block.
func (p *blockPool) share(b int32) { p.refs[b]++ }

// drop removes a holder.
func (p *blockPool) drop(b int32) {
	if p.refs[b]--; p.refs[b] == 0 {
		p.free = append(p.free, b)
	}
}

// used is the number of blocks that are held or promised.
func (p *blockPool) used() int { return len(p.refs) - len(p.free) + p.reserved }
