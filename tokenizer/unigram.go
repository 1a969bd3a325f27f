package tokenizer

// unigram cuts text into the pieces with the greatest sum of scores (Viterbi). F is the precision
// in which sums are kept and compared, so that sums that are equal but for rounding go the way of the
// library: SentencePiece has float32, Hugging Face's tokenizers float64. It is immutable and safe for concurrent use.
type unigram[F float32 | float64] struct {
	trie   pieceTrie // its values index scores
	scores []unigramScore[F]
	unk    int32 // -1 without
	// unkScore is what a character counts that is no piece by itself.
	unkScore F
	// rebase, if not 0, is how far a sum may go from 0 before all sums in use are counted from it:
	// SentencePiece does so to keep float32 precise in long texts.
	rebase F
}

type unigramScore[F float32 | float64] struct {
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
	u := &unigram[F]{scores: make([]unigramScore[F], len(pieces)), unk: unk, unkScore: F(unkScore)}
	for i, p := range pieces {
		keys[i], values[i] = p.text, int32(i)
		u.scores[i] = unigramScore[F]{score: F(p.score), id: p.id}
	}
	u.trie = newPieceTrie(keys, values)
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
	nodes := make([]unigramNode[F], len(text)+1)
	for i := range nodes {
		nodes[i].start = -1
	}
	ok = true
	for at, reached := 0, 0; at < len(text); {
		if till := nodes[at].score; u.rebase != 0 && (till < -u.rebase || till > u.rebase) {
			for i := at; i <= reached; i++ {
				nodes[i].score -= till
			}
		}
		end, known := u.extend(nodes, text, at)
		ok = ok && known
		reached = max(reached, end)
		at += characterLength(text, at)
	}
	first := len(dst)
	for end := len(text); end > 0; {
		n := nodes[end]
		dst = append(dst, unigramSpan{start: int(n.start), end: end, id: n.id})
		end = int(n.start)
	}
	for i, j := first, len(dst)-1; i < j; i, j = i+1, j-1 {
		dst[i], dst[j] = dst[j], dst[i]
	}
	return dst, ok
}

// extend lengthens the best path to at by each piece that begins there, and returns how far the
// longest went.
func (u *unigram[F]) extend(nodes []unigramNode[F], text string, at int) (reached int, ok bool) {
	till := nodes[at].score
	char := at + characterLength(text, at)
	single := false // the character itself is a piece
	node := uint32(0)
	for i := at; i < len(text); {
		child := u.trie.units[node].base&^trieEnd ^ uint32(text[i])
		unit := u.trie.units[child]
		if unit.parent != node {
			break
		}
		node = child
		i++
		if unit.base&trieEnd == 0 {
			continue
		}
		s := &u.scores[u.trie.values[node]]
		nodes[i].take(s.score+till, s.id, at)
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
func (n *unigramNode[F]) take(score F, id int32, start int) bool {
	if n.start >= 0 && !(score > n.score) {
		return false
	}
	*n = unigramNode[F]{score: score, id: id, start: int32(start)}
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
