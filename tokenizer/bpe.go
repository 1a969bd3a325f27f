package tokenizer

import (
	"strings"
	"sync"
)

// bpe is byte-pair encoding over ids: the lowest-ranked adjacent pair is joined until none of
// the remaining pairs has a merge; equal ranks are joined from the left.
type bpe struct {
	merges map[uint64]merge
	// bytes holds the id of each single byte's token, -1 where the vocabulary has none: such a
	// byte is unknown, or, without an unknown token, dropped.
	bytes [256]int32
	unk   int32 // -1 without
	// fuseUnk makes one unknown token of a run of unknown characters.
	fuseUnk bool
	// whole maps a piece's bytes to its token, for ignore_merges; nil without.
	whole map[string]int32

	cache pieceCache
}

type merge struct{ rank, id int32 }

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// Pieces up to this many symbols are merged by scanning for the least rank, longer ones with a
// heap: the scan is quadratic, but has no set-up.
const scanLimit = 24

// encode appends the ids of one piece of text to dst.
func (m *bpe) encode(dst []int32, piece string) []int32 {
	if m.whole != nil {
		if id, ok := m.whole[piece]; ok {
			return append(dst, id)
		}
	}
	if len(piece) == 1 && m.bytes[piece[0]] >= 0 {
		return append(dst, m.bytes[piece[0]])
	}
	cacheable := len(piece) <= maxCachedPiece
	if cacheable {
		if ids, ok := m.cache.get(piece); ok {
			return append(dst, ids...)
		}
	}
	start := len(dst)
	dst = m.symbols(dst, piece)
	if n := len(dst) - start; n > scanLimit {
		dst = dst[:start+m.mergeHeap(dst[start:])]
	} else if n > 1 {
		dst = dst[:start+m.mergeScan(dst[start:])]
	}
	if cacheable {
		m.cache.put(piece, dst[start:])
	}
	return dst
}

// symbols appends the ids of the piece's bytes, each of which is one character in the spelling
// of the vocabulary.
func (m *bpe) symbols(dst []int32, piece string) []int32 {
	unknown := false
	for i := range len(piece) {
		id := m.bytes[piece[i]]
		if id >= 0 {
			dst = append(dst, id)
			unknown = false
			continue
		}
		if m.unk >= 0 && !(unknown && m.fuseUnk) {
			dst = append(dst, m.unk)
			unknown = true
		}
	}
	return dst
}

// mergeScan merges ids in place and returns how many remain.
func (m *bpe) mergeScan(ids []int32) int {
	const none = int32(1<<31 - 1)
	var ranks, joined [scanLimit]int32
	look := func(i int) {
		ranks[i] = none
		if i+1 < len(ids) {
			if g, ok := m.merges[pairKey(ids[i], ids[i+1])]; ok {
				ranks[i], joined[i] = g.rank, g.id
			}
		}
	}
	for i := range ids {
		look(i)
	}
	for {
		best, at := none, -1
		for i := range len(ids) - 1 {
			if ranks[i] < best {
				best, at = ranks[i], i
			}
		}
		if at < 0 {
			return len(ids)
		}
		ids[at] = joined[at]
		copy(ids[at+1:], ids[at+2:])
		copy(ranks[at+1:], ranks[at+2:len(ids)])
		copy(joined[at+1:], joined[at+2:len(ids)])
		ids = ids[:len(ids)-1]
		look(at)
		if at > 0 {
			look(at - 1)
		}
	}
}

// mergeHeap does the same as mergeScan in O(n log n): symbols in a linked list, candidate pairs
// in a heap, stale candidates dropped when they surface.
func (m *bpe) mergeHeap(ids []int32) int {
	next := make([]int32, len(ids))
	prev := make([]int32, len(ids))
	h := make(pairHeap, 0, len(ids))
	push := func(i, j int32) {
		if g, ok := m.merges[pairKey(ids[i], ids[j])]; ok {
			h.push(heapPair{order: uint64(g.rank)<<32 | uint64(i), key: pairKey(ids[i], ids[j]), id: g.id})
		}
	}
	for i := range ids {
		next[i], prev[i] = int32(i)+1, int32(i)-1
		if i > 0 {
			push(int32(i)-1, int32(i))
		}
	}
	end := int32(len(ids))
	for len(h) > 0 {
		top := h.pop()
		i := int32(top.order & 0xFFFFFFFF)
		if ids[i] < 0 || next[i] == end || pairKey(ids[i], ids[next[i]]) != top.key {
			continue
		}
		j := next[i]
		ids[i], ids[j] = top.id, -1
		next[i] = next[j]
		if next[i] < end {
			prev[next[i]] = i
			push(i, next[i])
		}
		if prev[i] >= 0 {
			push(prev[i], i)
		}
	}
	n := 0
	for _, id := range ids {
		if id >= 0 {
			ids[n] = id
			n++
		}
	}
	return n
}

// heapPair is a candidate: order is its rank, then its place, key the ids it was seen with.
type heapPair struct {
	order, key uint64
	id         int32
}

// pairHeap is a binary min-heap by order.
type pairHeap []heapPair

func (h *pairHeap) push(p heapPair) {
	s := append(*h, p)
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if s[up].order <= p.order {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = p
	*h = s
}

func (h *pairHeap) pop() heapPair {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		c := 2*i + 1
		if c >= len(s) {
			break
		}
		if c+1 < len(s) && s[c+1].order < s[c].order {
			c++
		}
		if last.order <= s[c].order {
			break
		}
		s[i] = s[c]
		i = c
	}
	s[i] = last
	return top
}

const (
	maxCachedPiece  = 64      // bytes; longer pieces seldom come twice
	cacheGeneration = 1 << 14 // pieces
)

// pieceCache remembers the ids of pieces. It keeps two generations: when the young one is full it
// becomes the old one, so memory is bounded and what is in use survives.
type pieceCache struct {
	mu         sync.RWMutex
	young, old map[string][]int32
}

func (c *pieceCache) get(piece string) ([]int32, bool) {
	c.mu.RLock()
	ids, ok := c.young[piece]
	if ok {
		c.mu.RUnlock()
		return ids, true
	}
	ids, ok = c.old[piece]
	c.mu.RUnlock()
	if ok {
		c.put(piece, ids)
	}
	return ids, ok
}

func (c *pieceCache) put(piece string, ids []int32) {
	ids = append(make([]int32, 0, len(ids)), ids...)
	key := strings.Clone(piece) // do not hold on to the caller's text
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= cacheGeneration {
		c.old, c.young = c.young, make(map[string][]int32)
	}
	c.young[key] = ids
}
