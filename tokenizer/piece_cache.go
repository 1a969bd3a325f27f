package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

const (
	maxCachedPiece = 64      // bytes; longer pieces seldom come twice
	cachedPieces   = 1 << 14 // a power of two
)

// pieceCache remembers the ids of pieces: each piece has one place, by its hash, and the piece that came
// last has it. So memory is bounded, and readers take no lock.
type pieceCache struct {
	slots [cachedPieces]atomic.Pointer[cachedPiece]
}

// cachedPiece is immutable once it is in the cache.
type cachedPiece struct {
	text string
	ids  []int32
	few  [6]int32 // where ids are, if they are no more
}

func (c *pieceCache) slot(piece string) *atomic.Pointer[cachedPiece] {
	return &c.slots[maphash.String(hashSeed, piece)%cachedPieces]
}

func (c *pieceCache) get(piece string) ([]int32, bool) {
	p := c.slot(piece).Load()
	if p == nil || p.text != piece {
		return nil, false
	}
	return p.ids, true
}

// put remembers a piece; it keeps neither the caller's text nor its ids.
func (c *pieceCache) put(piece string, ids []int32) {
	p := &cachedPiece{text: strings.Clone(piece)}
	p.ids = append(p.few[:0], ids...)
	c.slot(piece).Store(p)
}
