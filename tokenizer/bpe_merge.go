package tokenizer

// Pieces up to this many symbols are merged by scanning for the least rank, longer ones with a
// heap: the scan is quadratic, but has no set-up.
const scanLimit = 24

// merge joins ids in place and returns how many remain.
func (m *bpe) merge(ids []int32) int {
	if len(ids) > scanLimit {
		return m.mergeHeap(ids)
	}
	if len(ids) > 1 {
		return m.mergeScan(ids)
	}
	return len(ids)
}

// mergeScan merges ids in place and returns how many remain.
func (m *bpe) mergeScan(ids []int32) int {
	const none = int32(1<<31 - 1)
	var ranks, joined [scanLimit]int32
	look := func(i int) {
		ranks[i] = none
		if i+1 < len(ids) {
			if g, ok := m.merges.get(ids[i], ids[i+1]); ok {
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
		if g, ok := m.merges.get(ids[i], ids[j]); ok {
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
