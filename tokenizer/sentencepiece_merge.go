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
	frozen     bool // user-defined: it stays as it is
}

// spMerger joins, of all adjacent symbols whose concatenation is a piece, the pair with the
// highest score, the leftmost of equals, until none is left.
type spMerger struct {
	sp      *sentencePiece
	word    string
	symbols []spSymbol
	heap    spHeap
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
		s := &m.symbols[i]
		dst = m.emit(dst, word[s.at:s.at+s.size], 0)
	}
	return dst
}

// push adds the pair to the heap if its concatenation is a piece.
func (m *spMerger) push(i, j int32) {
	a, b := &m.symbols[i], &m.symbols[j]
	if a.frozen || b.frozen {
		return
	}
	id, ok := m.sp.piece(m.word[a.at : a.at+a.size+b.size])
	if !ok {
		return
	}
	p := &m.sp.model.pieces[id]
	m.heap.push(spPair{order: uint64(descending(p.score))<<32 | uint64(i), right: j, size: a.size + b.size})
	if p.kind == pieceUnused {
		if m.split == nil {
			m.split = make(map[string]int32)
		}
		m.split[m.sp.model.texts[id]] = a.size
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

func (m *spMerger) join(p spPair) {
	i := int32(p.order & 0xFFFFFFFF)
	a, b := &m.symbols[i], &m.symbols[p.right]
	if a.size == 0 || b.size == 0 || a.size+b.size != p.size {
		return // one of them has been joined since
	}
	a.size = p.size
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

// spPair is a candidate: order is its score, descending, then the place of its left symbol.
type spPair struct {
	order       uint64
	right, size int32
}

// spHeap is a binary min-heap by order.
type spHeap []spPair

func (h *spHeap) push(p spPair) {
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

func (h *spHeap) pop() spPair {
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
