package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// randomKeys makes n strings over a small alphabet, many of them prefixes of others.
func randomKeys(r *rand.Rand, n, longest int) []string {
	keys := make([]string, n)
	for i := range keys {
		b := make([]byte, 1+r.IntN(longest))
		for j := range b {
			b[j] = "ab\x00\xff\x80 c"[r.IntN(7)]
		}
		keys[i] = string(b)
	}
	return keys
}

func TestPieceTrieHoldsWhatIsPutIn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 50, 5000} {
		keys := randomKeys(r, n, 12)
		for c := range 256 { // all children of one node
			if n > 0 {
				keys = append(keys, "ab"+string([]byte{byte(c)}))
			}
		}
		values, want := make([]int32, len(keys)), make(map[string]int32)
		for i, k := range keys {
			values[i] = int32(r.IntN(1 << 30))
			want[k] = values[i]
		}
		trie := newPieceTrie(keys, values)
		for k, v := range want {
			node, ok := trie.walk(0, k)
			require.True(t, ok, "%q", k)
			got, ok := trie.value(node)
			require.True(t, ok, "%q", k)
			require.Equal(t, v, got, "%q: of equal keys the last counts", k)
		}
		for _, text := range randomKeys(r, 2000, 20) {
			size := 0
			for i := 1; i <= len(text); i++ {
				if _, ok := want[text[:i]]; ok {
					size = i
				}
			}
			got, value := trie.longest(text)
			require.Equal(t, size, got, "%q", text)
			require.Equal(t, want[text[:size]], value, "%q", text)
		}
	}
}

// bestPath is the same search, written from the definition: all pieces that end at a place are
// compared there, in order of their beginnings.
func bestPath(pieces []unigramPiece, unkScore float64, text string) []unigramSpan {
	score, from := map[int]float64{0: 0}, map[int]unigramSpan{}
	runes := make(map[int]int)
	for i, r := range text {
		runes[i] = len(string(r))
	}
	for end := 1; end <= len(text); end++ {
		for start := range end {
			if _, reached := score[start]; !reached {
				continue
			}
			id, best, found := int32(-1), 0.0, false
			for _, p := range pieces {
				if p.text == text[start:end] {
					id, best, found = p.id, p.score, true
				}
			}
			if !found {
				if runes[start] != end-start {
					continue
				}
				id, best = 0, unkScore
			}
			if old, reached := score[end]; !reached || score[start]+best > old {
				score[end], from[end] = score[start]+best, unigramSpan{start, end, id}
			}
		}
	}
	var out []unigramSpan
	for end := len(text); end > 0; end = from[end].start {
		out = append([]unigramSpan{from[end]}, out...)
	}
	return out
}

func TestUnigramTakesTheBestPath(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	letters := []string{"a", "b", "é", "日", "😀"}
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	for range 300 {
		var pieces []unigramPiece
		for id := range 1 + r.IntN(30) {
			// Whole scores make many ties.
			pieces = append(pieces, unigramPiece{text: word(1 + r.IntN(4)), id: int32(id + 1), score: -float64(r.IntN(6))})
		}
		wide := newUnigram[float64](pieces, 0, -9)
		narrow := newUnigram[float32](pieces, 0, -9)
		for range 20 {
			text := word(r.IntN(12))
			want := bestPath(pieces, -9, text)
			got, ok := wide.segment(nil, text)
			require.True(t, ok)
			require.Equal(t, want, got, "%q with %v", text, pieces)
			got, ok = narrow.segment(nil, text)
			require.True(t, ok)
			require.Equal(t, want, got, "%q with %v", text, pieces)
		}
	}
}

func TestUnigramWithoutUnknownPiece(t *testing.T) {
	u := newUnigram[float64]([]unigramPiece{{"a", 0, -1}, {"bc", 1, -50}}, -1, -11)
	_, ok := u.segment(nil, "aab")
	require.False(t, ok)
	spans, ok := u.segment(nil, "aa")
	require.True(t, ok)
	require.Len(t, spans, 2)
	_, ok = u.segment(nil, "bc")
	require.False(t, ok, "b alone was tried first, as in Hugging Face's library")
	// Appending leaves what was there alone.
	spans, _ = u.segment([]unigramSpan{{7, 8, 9}}, "aa")
	require.Equal(t, []unigramSpan{{7, 8, 9}, {0, 1, 0}, {1, 2, 0}}, spans)
}

// TestUnigramRoundsToItsPrecision: sums that differ by less than a step of float32 are equal there, and of
// equals the first counts.
func TestUnigramRoundsToItsPrecision(t *testing.T) {
	pieces := []unigramPiece{{"x", 1, 1 << 24}, {"ab", 2, 0}, {"a", 3, 0}, {"b", 4, 0.5}}
	spans, _ := newUnigram[float32](pieces, 0, -9).segment(nil, "xab")
	require.Len(t, spans, 2)
	spans, _ = newUnigram[float64](pieces, 0, -9).segment(nil, "xab")
	require.Len(t, spans, 3)
}

// TestUnigramRebasesLongSums: with sums counted from a nearer 0 the half is seen again.
func TestUnigramRebasesLongSums(t *testing.T) {
	u := newUnigram[float32]([]unigramPiece{{"x", 1, 1 << 24}, {"ab", 2, 0}, {"a", 3, 0}, {"b", 4, 0.5}}, 0, -9)
	u.rebase = 1000
	spans, _ := u.segment(nil, "xab")
	require.Len(t, spans, 3)
}

func BenchmarkPieceTrieOf256k(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	keys, values := make([]string, 256_000), make([]int32, 256_000)
	for i := range keys {
		var w strings.Builder
		if r.IntN(2) == 0 {
			w.WriteString(spaceSymbol)
		}
		for range 1 + r.IntN(10) {
			w.WriteString(string(rune("etaoinshrdlucmfwypvbgkjqxz"[min(r.IntN(26), r.IntN(26))])))
		}
		keys[i] = fmt.Sprint(w.String(), i%100)
	}
	for b.Loop() {
		trie := newPieceTrie(keys, values)
		b.ReportMetric(float64(len(trie.units)), "units")
	}
}
