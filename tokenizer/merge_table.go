package tokenizer

import (
	"math/bits"
	"math/rand/v2"
)

// mergeTable finds what two adjacent tokens join to: an open-addressing hash table keyed by the pair.
type mergeTable struct {
	slots []mergeSlot
	seed  uint64
	count int
}

type mergeSlot struct {
	key uint64
	merge
}

// merge is a rule: its rank, lower ones come first, and the token that the pair becomes.
type merge struct{ rank, id int32 }

// noPair marks a free slot; no token has id -1.
const noPair = ^uint64(0)

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

func newMergeTable(n int) *mergeTable {
	t := &mergeTable{seed: rand.Uint64()}
	t.grow(n)
	return t
}

// grow makes room for n pairs at a load of at most one half.
func (t *mergeTable) grow(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	old := t.slots
	t.slots = make([]mergeSlot, size)
	for i := range t.slots {
		t.slots[i].key = noPair
	}
	for _, s := range old {
		if s.key != noPair {
			*t.slot(s.key) = s
		}
	}
}

// slot returns the pair's place, or the free one where it belongs.
func (t *mergeTable) slot(key uint64) *mergeSlot {
	hi, lo := bits.Mul64(key^t.seed, 0x9E3779B97F4A7C15)
	mask := uint64(len(t.slots) - 1)
	for i := (hi ^ lo) & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.key == key || s.key == noPair {
			return s
		}
	}
}

// put sets a pair's rule; of two for the same pair the later counts.
func (t *mergeTable) put(left, right int32, m merge) {
	if 2*(t.count+1) > len(t.slots) {
		t.grow(2 * (t.count + 1))
	}
	s := t.slot(pairKey(left, right))
	if s.key == noPair {
		t.count++
	}
	*s = mergeSlot{key: pairKey(left, right), merge: m}
}

func (t *mergeTable) get(left, right int32) (merge, bool) {
	s := t.slot(pairKey(left, right))
	return s.merge, s.key != noPair
}
