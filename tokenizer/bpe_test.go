package tokenizer

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func smallBPE(t testing.TB) *bpe {
	data, err := os.ReadFile("testdata/hf_bbpe_llama3/tokenizer.json")
	require.NoError(t, err)
	tok, err := parseHF(data, nil, nil)
	require.NoError(t, err)
	return tok.encoder.(*pipeline).model.(*bpe)
}

// naive joins the lowest-ranked, leftmost pair, one at a time.
func (m *bpe) naive(ids []int32) []int32 {
	for {
		best, at := int32(1<<31-1), -1
		for i := 0; i+1 < len(ids); i++ {
			if g, ok := m.merges.get(ids[i], ids[i+1]); ok && g.rank < best {
				best, at = g.rank, i
			}
		}
		if at < 0 {
			return ids
		}
		joined, _ := m.merges.get(ids[at], ids[at+1])
		ids = append(append(append([]int32{}, ids[:at]...), joined.id), ids[at+2:]...)
	}
}

func TestMergingIsTheSameByAnyWay(t *testing.T) {
	m := smallBPE(t)
	rng := rand.New(rand.NewPCG(1, 2))
	// Texts out of tokens, so that merges are many.
	var tokens []string
	for _, token := range m.vocab.tokens {
		tokens = append(tokens, byteLevelText(token))
	}
	for range 400 {
		var b strings.Builder
		for range 1 + rng.IntN(12) {
			b.WriteString(tokens[rng.IntN(len(tokens))])
		}
		start, err := m.byteSymbols(nil, b.String())
		require.NoError(t, err)
		want := m.naive(append([]int32{}, start...))
		heap := append([]int32{}, start...)
		require.Equal(t, want, heap[:m.mergeHeap(heap)], "%q", b.String())
		if len(start) <= scanLimit {
			scan := append([]int32{}, start...)
			require.Equal(t, want, scan[:m.mergeScan(scan)], "%q", b.String())
		}
	}
}

func TestLongPiecesAreNotQuadratic(t *testing.T) {
	m := smallBPE(t)
	// A quadratic merge of a million symbols would not end within the test's time.
	for _, s := range []string{strings.Repeat("a", 1<<20), strings.Repeat("peat", 1<<18), strings.Repeat(" ", 1<<20)} {
		ids, err := m.encode(nil, s)
		require.NoError(t, err)
		require.NotEmpty(t, ids)
	}
}

func TestPieceCache(t *testing.T) {
	c := &pieceCache{}
	key := func(i int) string { return string(rune('a'+i%26)) + strings.Repeat("x", i%7) + string(rune(i+500)) }
	kept := 0
	for i := range 3 * cachedPieces {
		ids := []int32{int32(i), 7}
		c.put(key(i), ids)
		ids[0] = -1 // the cache has its own
		got, ok := c.get(key(i))
		require.True(t, ok)
		require.Equal(t, []int32{int32(i), 7}, got)
	}
	for i := range 3 * cachedPieces {
		if got, ok := c.get(key(i)); ok {
			require.Equal(t, []int32{int32(i), 7}, got, "a place holds one piece, and knows which")
			kept++
		}
	}
	require.LessOrEqual(t, kept, cachedPieces)
	require.Greater(t, kept, cachedPieces/2)
	_, ok := c.get("never put")
	require.False(t, ok)
}

func TestTrie(t *testing.T) {
	var tr trie
	words := []string{"a", "ab", "abcd", "b", "<|x|>", "<|xy|>", "\xff"}
	for i, w := range words {
		tr.add(w, int32(i))
	}
	tr.add("ab", 99) // the first value stays
	for s, want := range map[string]string{"abcx": "ab", "abcd": "abcd", "b": "b", "c": "", "<|x|>y": "<|x|>",
		"<|xy": "", "": "", "\xffz": "\xff", "<": ""} {
		n, v := tr.longest(s)
		require.Equal(t, want, s[:n], s)
		if n > 0 {
			require.Equal(t, want, words[v])
		}
	}
}

func TestCleanUpStreams(t *testing.T) {
	whole := func(s string) string {
		for _, p := range cleanUpPairs {
			s = strings.ReplaceAll(s, p[0], p[1])
		}
		return s
	}
	rng := rand.New(rand.NewPCG(3, 4))
	parts := []string{" ", ".", "?", "!", ",", "'", "n't", "'m", "'s", "'ve", "'re", "a", " '", "n", "'v", "  "}
	for range 3000 {
		var text []string
		for range rng.IntN(20) {
			text = append(text, parts[rng.IntN(len(parts))])
		}
		d := Decoder{clean: newCleanUp()}
		got := ""
		for _, p := range text {
			d.cleaned([]byte(p), false)
			got += d.take()
			require.True(t, strings.HasPrefix(whole(strings.Join(text, "")), got))
		}
		d.cleaned(nil, true)
		require.Equal(t, whole(strings.Join(text, "")), got+d.take())
	}
}

func TestLossy(t *testing.T) {
	// Unicode 16, 3.9, table 3-11 and its neighbours.
	for in, want := range map[string]string{
		"a\xc0\xafb":               "a\uFFFD\uFFFDb",
		"\xe0\x80\x80":             "\uFFFD\uFFFD\uFFFD",
		"\xed\xa0\x80":             "\uFFFD\uFFFD\uFFFD",
		"\xf4\x91\x92\x93\xffA":    "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA",
		"\xe1\x80\xe2\xf0\x91\x92": "\uFFFD\uFFFD\uFFFD",
		"\xf1\xbf\xa9A":            "\uFFFDA",
		"ok é":                     "ok é",
	} {
		require.Equal(t, want, validText(in), "%x", in)
	}
}

func TestTruncatedAndLyingModels(t *testing.T) {
	data, err := os.ReadFile("testdata/sp_variants/charsmap.model")
	require.NoError(t, err)
	whole, err := parseSentencePiece(data, nil, false)
	require.NoError(t, err)
	for n := range data {
		// A cut between two fields can be a whole, smaller model; no cut may panic.
		if tok, err := parseSentencePiece(data[:n], nil, false); err == nil {
			require.LessOrEqual(t, tok.VocabSize(), whole.VocabSize())
			_, _ = tok.encodeText(nil, "the cat \xff", false)
		}
		flipped := append([]byte{}, data...)
		flipped[n] ^= 0xFF
		if tok, err := parseSentencePiece(flipped, nil, false); err == nil {
			_, _ = tok.encodeText(nil, "the ﬁ cat<sep>\xff", false)
		}
	}
	for name, bad := range map[string][]byte{
		"no pieces":             {},
		"claims":                {0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F},
		"overlong":              {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
		"field number 0":        {0x02, 0x00},
		"wire type 3":           {0x0B},
		"wire type 0, want 2":   {0x08, 0x01},
		"is empty":              append([]byte{0x0A, 0x02, 0x0A, 0x00}, 0x12, 0x02, 0x18, 0x02),
		`"\xff", is not UTF-8`:  {0x0A, 0x03, 0x0A, 0x01, 0xFF, 0x12, 0x02, 0x18, 0x02},
		"unk_surface":           {0x0A, 0x05, 0x0A, 0x01, 'a', 0x18, 0x02, 0x12, 0x06, 0x18, 0x02, 0xE2, 0x02, 0x01, 0xC3},
		"no unknown piece":      {0x0A, 0x03, 0x0A, 0x01, 'a', 0x12, 0x02, 0x18, 0x02},
		"are both":              {0x0A, 0x03, 0x0A, 0x01, 'a', 0x0A, 0x03, 0x0A, 0x01, 'a', 0x12, 0x02, 0x18, 0x02},
		"has type 9":            {0x0A, 0x05, 0x0A, 0x01, 'a', 0x18, 0x09, 0x12, 0x02, 0x18, 0x02},
		"of type byte":          {0x0A, 0x05, 0x0A, 0x01, 'a', 0x18, 0x06, 0x12, 0x02, 0x18, 0x02},
		"both the unknown":      {0x0A, 0x05, 0x0A, 0x01, 'a', 0x18, 0x02, 0x0A, 0x05, 0x0A, 0x01, 'b', 0x18, 0x02, 0x12, 0x02, 0x18, 0x02},
		"there is no piece <0x": {0x0A, 0x05, 0x0A, 0x01, 'a', 0x18, 0x02, 0x12, 0x05, 0x18, 0x02, 0x98, 0x02, 0x01},
		"claims a trie of 4294": {0x0A, 0x05, 0x0A, 0x01, 'a', 0x18, 0x02, 0x12, 0x02, 0x18, 0x02, 0x1A, 0x07, 0x12, 0x05, 0xFC, 0xFF, 0xFF, 0xFF, 0},
		"model type 77":         {0x0A, 0x05, 0x0A, 0x01, 'a', 0x18, 0x02, 0x12, 0x02, 0x18, 77},
	} {
		_, err := parseSentencePiece(bad, nil, false)
		require.ErrorIs(t, err, ErrInvalid, name)
		require.ErrorContains(t, err, name)
	}
}
