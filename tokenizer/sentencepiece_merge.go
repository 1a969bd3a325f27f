package tokenizer

import (
	"math"
	"strings"
)

// encodeBPE appends the ids of normalised text, word by word where that gives the same.
func (sp *sentencePiece) encodeBPE(dst []int32, text string) []int32 {
	for text != "" {
		n := len(text)
		if sp.byWord {
			n = spacedWordLength(text)
		}
		dst = sp.encodeWord(dst, text[:n])
		text = text[n:]
	}
	return dst
}

// spacedWordLength returns the length of the first word, its leading space symbols included.
func spacedWordLength(s string) int {
	i := 0
	for strings.HasPrefix(s[i:], spaceSymbol) {
		i += len(spaceSymbol)
	}
	if n := strings.Index(s[i:], spaceSymbol); n >= 0 {
		return i + n
	}
	return len(s)
}

func (sp *sentencePiece) encodeWord(dst []int32, word string) []int32 {
	cacheable := len(word) <= maxCachedPiece
	if cacheable {
		if ids, ok := sp.cache.get(word); ok {
			return append(dst, ids...)
		}
	}
	start := len(dst)
	dst = sp.merge(dst, word)
	if cacheable {
		sp.cache.put(word, dst[start:])
	}
	return dst
}

// spSymbol is a stretch of the word in a linked list; a merged-away one has no length.
type spSymbol struct {
	at, size   int32
	prev, next int32
	id         int32 // of its piece, -1 where nobody has looked
	pair       int32 // that of it and the next symbol together, if they are to be joined
	frozen     bool  // user-defined: it stays as it is
}

// spMerger joins, of all adjacent symbols whose concatenation is a piece, the pair with the
// highest score, the leftmost of equals, until none is left.
type spMerger struct {
	sp      *sentencePiece
	word    string
	symbols []spSymbol
	// split remembers from which two lengths an unused piece was joined, to take it apart again.
	split map[string]int32
}

func (sp *sentencePiece) merge(dst []int32, word string) []int32 {
	var few [scanLimit]spSymbol // most words need no more
	m := spMerger{sp: sp, word: word, symbols: few[:0]}
	for at := 0; at < len(word); {
		n, frozen := sp.firstSymbol(word[at:])
		i := int32(len(m.symbols))
		m.symbols = append(m.symbols, spSymbol{at: int32(at), size: int32(n), prev: i - 1, next: i + 1, id: -1, frozen: frozen})
		at += n
	}
	if len(m.symbols) > scanLimit {
		m.mergeHeap()
	} else {
		m.mergeScan()
	}
	for i := int32(0); int(i) < len(m.symbols); i = m.symbols[i].next {
		s := &m.symbols[i]
		if s.id >= 0 && sp.model.pieces[s.id].kind != pieceUnused {
			dst = append(dst, s.id)
		} else {
			dst = m.emit(dst, word[s.at:s.at+s.size], 0)
		}
	}
	return dst
}

// unjoined is the order of symbols that are not to be joined.
const unjoined = math.MaxUint64

// order is the score of a symbol and the one after it, if they are a piece together, descending, and then
// the place of the left one.
func (m *spMerger) order(i int32) uint64 {
	a := &m.symbols[i]
	if int(a.next) >= len(m.symbols) {
		return unjoined
	}
	b := &m.symbols[a.next]
	if a.frozen || b.frozen {
		return unjoined
	}
	id, ok := m.sp.piece(m.word[a.at : a.at+a.size+b.size])
	if !ok {
		return unjoined
	}
	p := &m.sp.model.pieces[id]
	if p.kind == pieceUnused {
		if m.split == nil {
			m.split = make(map[string]int32)
		}
		m.split[m.sp.model.texts[id]] = a.size
	}
	a.pair = id
	return uint64(descending(p.score))<<32 | uint64(i)
}

// join joins a symbol with the one after it, which has no length from then on.
func (m *spMerger) join(i int32) {
	a := &m.symbols[i]
	b := &m.symbols[a.next]
	a.id = a.pair
	a.size += b.size
	a.next = b.next
	b.size = 0
	if int(a.next) < len(m.symbols) {
		m.symbols[a.next].prev = i
	}
}

// mergeScan looks through all pairs for each that it joins: at most scanLimit symbols.
func (m *spMerger) mergeScan() {
	var orders [scanLimit]uint64
	pairs := orders[:len(m.symbols)]
	for i := range pairs {
		pairs[i] = m.order(int32(i))
	}
	for {
		best := uint64(unjoined)
		for _, order := range pairs {
			best = min(best, order)
		}
		if best == unjoined {
			return
		}
		i := int32(best & math.MaxUint32)
		pairs[m.symbols[i].next] = unjoined
		m.join(i)
		pairs[i] = m.order(i)
		if prev := m.symbols[i].prev; prev >= 0 {
			pairs[prev] = m.order(prev)
		}
	}
}

// mergeHeap does the same in O(n log n). The key of a pair is the length of both symbols and the right
// one's place: one of a pair that is joined otherwise has none of them.
func (m *spMerger) mergeHeap() {
	h := make(pairHeap, 0, len(m.symbols))
	push := func(i int32) {
		if order := m.order(i); order != unjoined {
			h.push(heapPair{order: order, key: m.key(i)})
		}
	}
	for i := range m.symbols {
		push(int32(i))
	}
	for len(h) > 0 {
		p := h.pop()
		i := int32(p.order & math.MaxUint32)
		if m.symbols[i].size == 0 || m.key(i) != p.key {
			continue // one of them has been joined since
		}
		m.join(i)
		push(i)
		if prev := m.symbols[i].prev; prev >= 0 {
			push(prev)
		}
	}
}

func (m *spMerger) key(i int32) uint64 {
	a := &m.symbols[i]
	if int(a.next) >= len(m.symbols) {
		return 0
	}
	return uint64(a.next)<<32 | uint64(a.size+m.symbols[a.next].size)
}

// descending maps scores to integers that sort the other way round; -0 is less than 0, as in
// SentencePiece, which compares bits.
func descending(score float32) uint32 {
	bits := math.Float32bits(score)
	if bits>>31 != 0 {
		return bits
	}
	return ^bits &^ (1 << 31)
}

// maxResegment bounds how deep an unused piece is taken apart, as in the library.
const maxResegment = 100

// emit appends the ids of a symbol: its piece, or the pieces that an unused one was joined from; what is no
// piece, or unused without having been joined, is unknown.
func (m *spMerger) emit(dst []int32, symbol string, depth int) []int32 {
	id, ok := m.sp.piece(symbol)
	if ok && depth > maxResegment {
		return append(dst, id)
	}
	n, joined := m.split[symbol]
	if !ok || m.sp.model.pieces[id].kind != pieceUnused || !joined {
		return m.sp.emit(dst, symbol, id, ok)
	}
	dst = m.emit(dst, symbol[:n], depth+1)
	return m.emit(dst, symbol[n:], depth+1)
}
