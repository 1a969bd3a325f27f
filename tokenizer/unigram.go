package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// unigram cuts text into the pieces with the greatest sum of scores (Viterbi). F is the precision
// in which sums are kept and compared, so that sums that are equal but for rounding go the way of the
// library: SentencePiece has float32, Hugging Face's tokenizers float64. It is immutable and safe for concurrent use.
type unigram[F float32 | float64] struct {
	trie pieceTrie       // without values
	ends []unigramEnd[F] // of the trie's nodes that end a piece
	unk  int32           // -1 without
	// unkScore is what a character counts that is no piece by itself.
	unkScore F
	longest  int // bytes of the longest piece
	// rebase, if not 0, is how far a sum may go from 0 before all sums in use are counted from it:
	// SentencePiece does so to keep float32 precise in long texts.
	rebase F
}

type unigramEnd[F float32 | float64] struct {
	score F
	id    int32
}

// unigramPiece is what newUnigram takes for each piece that text may give.
type unigramPiece struct {
	text  string // not empty; of equal pieces the last counts
	id    int32
	score float64
}

// newUnigram indexes the pieces: some 0.1 s for 256,000 of them.
func newUnigram[F float32 | float64](pieces []unigramPiece, unk int32, unkScore float64) *unigram[F] {
	keys, values := make([]string, len(pieces)), make([]int32, len(pieces))
	u := &unigram[F]{unk: unk, unkScore: F(unkScore)}
	for i, p := range pieces {
		keys[i], values[i] = p.text, int32(i)
		u.longest = max(u.longest, len(p.text))
	}
	u.trie = newPieceTrie(keys, values)
	u.ends = make([]unigramEnd[F], len(u.trie.units))
	for node := range u.ends {
		if i, ok := u.trie.value(uint32(node)); ok {
			u.ends[node] = unigramEnd[F]{score: F(pieces[i].score), id: pieces[i].id}
		}
	}
	u.trie.values = nil
	return u
}

// unigramSpan is a piece of the best path: text[start:end]. Its id is unk for one character that is no
// piece; characters that follow one another are not joined.
type unigramSpan struct {
	start, end int
	id         int32
}

// unigramNode is the end of the best path to a place of the text.
type unigramNode[F float32 | float64] struct {
	score F
	id    int32
	start int32 // of its last piece; -1 where no path has come yet
}

// segment appends the spans of text to dst. Of paths that have the same score the one whose last
// piece begins first is taken. ok is false if a path needed the unknown piece and unk is -1, which
// Hugging Face's library calls an error even if a better path was found later. The time is at most
// proportional to the length of text times that of the longest piece. Characters are what their first
// bytes promise, as in SentencePiece.
func (u *unigram[F]) segment(dst []unigramSpan, text string) (spans []unigramSpan, ok bool) {
	ok = u.each(text, func(s []unigramSpan) { dst = append(dst, s...) })
	return dst, ok
}

// unigramRun is how many bytes are looked at before the search asks whether all paths meet.
const unigramRun = 256

// each hands out the spans of segment in parts, which are good until it returns: where all paths meet, what
// is before is settled, and the nodes can be used again.
func (u *unigram[F]) each(text string, part func([]unigramSpan)) (ok bool) {
	nodes := unreached(make([]unigramNode[F], 0, min(len(text)+1, 2*unigramRun)), 1)
	var spans []unigramSpan
	ok = true
	base := 0 // the place of nodes[0]
	for at, reached := 0, 0; at < len(text); {
		if at-base >= unigramRun && reached == at {
			spans = backtrack(spans[:0], nodes[:at-base+1], base)
			part(spans)
			last := nodes[at-base]
			nodes = unreached(nodes[:0], at-base+1)
			nodes[0], base = last, at
		}
		nodes = unreached(nodes, min(len(text), at+max(u.longest, utf8.UTFMax))-base+1)
		if till := nodes[at-base].score; u.rebase != 0 && (till < -u.rebase || till > u.rebase) {
			for i := at - base; i <= reached-base; i++ {
				nodes[i].score -= till
			}
		}
		char := characterLength(text, at)
		end, known := u.extend(nodes[at-base:], text[at:], int32(at-base), char)
		ok = ok && known
		reached = max(reached, at+end)
		at += char
	}
	part(backtrack(spans[:0], nodes[:len(text)-base+1], base))
	return ok
}

// unreached lengthens nodes to n by ones that no path has come to.
func unreached[F float32 | float64](nodes []unigramNode[F], n int) []unigramNode[F] {
	for len(nodes) < n {
		nodes = append(nodes, unigramNode[F]{start: -1})
	}
	return nodes
}

// backtrack appends the spans of the best path to the last node; base is the place of the first.
func backtrack[F float32 | float64](dst []unigramSpan, nodes []unigramNode[F], base int) []unigramSpan {
	first := len(dst)
	for end := len(nodes) - 1; end > 0; {
		n := nodes[end]
		dst = append(dst, unigramSpan{start: base + int(n.start), end: base + end, id: n.id})
		end = int(n.start)
	}
	slices.Reverse(dst[first:])
	return dst
}

// extend lengthens the best path to the first node, which is number at, by each piece that text begins with, and
// returns how far the longest went. char is the length of the first character.
func (u *unigram[F]) extend(nodes []unigramNode[F], text string, at int32, char int) (reached int, ok bool) {
	till := nodes[0].score
	units := u.trie.units
	single := false // the character itself is a piece
	node := uint32(0)
	base := units[0].base
	for i := 0; i < len(text); {
		child := base&^trieEnd ^ uint32(text[i])
		unit := units[child]
		if unit.parent != node {
			break
		}
		node, base = child, unit.base
		i++
		if base&trieEnd == 0 {
			continue
		}
		e := &u.ends[node]
		nodes[i].take(e.score+till, e.id, at)
		single = single || i == char
		reached = i
	}
	if single {
		return reached, true
	}
	taken := nodes[char].take(u.unkScore+till, u.unk, at)
	return max(reached, char), !taken || u.unk >= 0
}

// take makes a candidate the best path to n, if it is better; nothing is better than NaN, nor is it.
func (n *unigramNode[F]) take(score F, id, start int32) bool {
	if n.start >= 0 && !(score > n.score) {
		return false
	}
	*n = unigramNode[F]{score: score, id: id, start: start}
	return true
}

// characterLength returns how many bytes the character at text[i:] has by its first byte, or what is
// left of the text.
func characterLength(text string, i int) int {
	n := 1
	switch c := text[i]; {
	case c >= 0xF0:
		n = 4
	case c >= 0xE0:
		n = 3
	case c >= 0xC0:
		n = 2
	}
	return min(n, len(text)-i)
}
