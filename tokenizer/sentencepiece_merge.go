package tokenizer

import "math"

// spSymbol is a stretch of the word in a linked list; a merged-away one has no length.
type spSymbol struct {
	at, size   int32
	prev, next int32
	frozen     bool
}

// spMerger joins, of all adjacent symbols whose concatenation is a piece, the pair with the
// highest score, the leftmost of equals, until none is left.
type spMerger struct {
	sp      *sentencePiece
	word    string
	symbols []spSymbol
	heap    pairHeap
	// split remembers from which two lengths an unused piece was joined, to take it apart again.
	split map[string]int32
}

func (sp *sentencePiece) merge(dst []int32, word string) []int32 {
	m := spMerger{sp: sp, word: word, symbols: make([]spSymbol, 0, len(word))}
	for at := 0; at < len(word); {
		n, frozen := sp.firstSymbol(word[at:])
		i := int32(len(m.symbols))
		m.symbols = append(m.symbols, spSymbol{at: int32(at), size: int32(n), prev: i - 1, next: i + 1, frozen: frozen})
		at += n
	}
	for i := 1; i < len(m.symbols); i++ {
		m.push(int32(i)-1, int32(i))
	}
	for len(m.heap) > 0 {
		m.join(m.heap.pop())
	}
	for i := int32(0); int(i) < len(m.symbols); i = m.symbols[i].next {
		dst = m.emit(dst, m.text(i))
	}
	return dst
}

func (m *spMerger) text(i int32) string {
	s := m.symbols[i]
	return m.word[s.at : s.at+s.size]
}

// push adds the pair to the heap if its concatenation is a piece.
func (m *spMerger) push(i, j int32) {
	a, b := m.symbols[i], m.symbols[j]
	if a.frozen || b.frozen || int(a.size+b.size) > m.sp.longest {
		return
	}
	piece := m.word[a.at : a.at+a.size+b.size]
	id, ok := m.sp.pieces[piece]
	if !ok {
		return
	}
	p := m.sp.model.pieces[id]
	m.heap.push(heapPair{order: uint64(descending(p.score))<<32 | uint64(i), key: uint64(j), id: a.size + b.size})
	if p.kind == pieceUnused {
		if m.split == nil {
			m.split = make(map[string]int32)
		}
		m.split[piece] = a.size
	}
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

func (m *spMerger) join(p heapPair) {
	i, j := int32(p.order&0xFFFFFFFF), int32(p.key)
	a, b := &m.symbols[i], &m.symbols[j]
	if a.size == 0 || b.size == 0 || a.size+b.size != p.id {
		return // one of them has been joined since
	}
	a.size += b.size
	a.next = b.next
	b.size = 0
	if int(a.next) < len(m.symbols) {
		m.symbols[a.next].prev = i
		m.push(i, a.next)
	}
	if a.prev >= 0 {
		m.push(a.prev, i)
	}
}

// emit appends the ids of a symbol: its piece, or the pieces that an unused one was joined from,
// or, of what is no piece or an unused one that was not joined, its bytes.
func (m *spMerger) emit(dst []int32, symbol string) []int32 {
	id := m.sp.id(symbol)
	if m.sp.model.pieces[id].kind == pieceUnused {
		if n, ok := m.split[symbol]; ok {
			dst = m.emit(dst, symbol[:n])
			return m.emit(dst, symbol[n:])
		}
		id = m.sp.unk
	}
	if id != m.sp.unk || !m.sp.model.byteFallback {
		return append(dst, id)
	}
	for i := range len(symbol) {
		dst = append(dst, m.sp.bytes[symbol[i]])
	}
	return dst
}
