package inflight

// blockPool hands out KV blocks.
type blockPool struct {
	unused []int32
}

func newBlockPool(n int) blockPool {
	p := blockPool{unused: make([]int32, n)}
	for i := range p.unused {
		p.unused[i] = int32(n - 1 - i) // block 0 goes first
	}
	return p
}

func (p *blockPool) free() int { return len(p.unused) }

// take returns n blocks, or nil when there are fewer.
func (p *blockPool) take(n int) []int32 {
	if n > len(p.unused) {
		return nil
	}
	at := len(p.unused) - n
	blocks := append([]int32(nil), p.unused[at:]...)
	p.unused = p.unused[:at]
	return blocks
}

func (p *blockPool) give(blocks []int32) { p.unused = append(p.unused, blocks...) }
