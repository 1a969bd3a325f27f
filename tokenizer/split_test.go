package tokenizer

import (
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// cut splits s with a hand-written splitter.
func cut(s string, split splitter) []string {
	var out []string
	table := classTable()
	for i := 0; i < len(s); {
		end := split(table, s, i)
		out = append(out, s[i:end])
		i = end
	}
	return out
}

// oracle splits s with the pattern itself; what lies between matches is a piece too.
func oracle(t testing.TB, re pattern, s string) []string {
	var out []string
	spans, err := appendSpans(nil, re, s)
	require.NoError(t, err)
	for _, sp := range spans {
		out = append(out, s[sp.start:sp.end])
	}
	return out
}

// alphabet has the characters at which the patterns decide, and others of every class.
func alphabet() []rune {
	out := []rune("aZsStTreREvVmMlLdDſßéÉ'’  \t\n\r\v\f\u0085\u00a0\u2003\u2028\u3000.,!/-_\"(){}#日本あア한नम्ก็ئдДΣς09٤५½Ⅳ²🎉👩‍🔬\u0301\u0308\u200d\u00ad\ufeff\u0001ǅʰªº")
	for _, table := range unicode.Categories {
		for i, r := range table.R16 {
			if i%37 == 0 && (r.Lo < 0xD800 || r.Lo > 0xDFFF) {
				out = append(out, rune(r.Lo), rune(r.Hi))
			}
		}
		for i, r := range table.R32 {
			if i%53 == 0 {
				out = append(out, rune(r.Lo), rune(r.Hi))
			}
		}
	}
	return out
}

func TestSplittersAgainstRegexp(t *testing.T) {
	for source, known := range knownPatterns {
		t.Run(source, func(t *testing.T) {
			re, err := parseRegexp(source)
			require.NoError(t, err)
			letters := alphabet()
			rng := rand.New(rand.NewPCG(7, 11))
			for range 4000 {
				var b strings.Builder
				for range rng.IntN(24) {
					// Runs make the back-tracking cases likely.
					n := len(letters)
					if rng.IntN(3) > 0 {
						n = 75
					}
					r := letters[rng.IntN(n)]
					for range 1 + rng.IntN(2)*rng.IntN(4) {
						b.WriteRune(r)
					}
				}
				s := b.String()
				require.Equal(t, oracle(t, re, s), cut(s, known.split), "%q", s)
				spans, err := appendSpans(nil, re, s)
				require.NoError(t, err)
				for _, sp := range spans {
					require.True(t, sp.match || !known.covers, "%q leaves %q of %q", source, s[sp.start:sp.end], s)
				}
			}
		})
	}
}

// TestClassesAsOniguruma compares the classes of all code points with the library's; the checksum is
// printed by `tokenizer_goldens.py classes`.
func TestClassesAsOniguruma(t *testing.T) {
	table := make([]byte, len(classTable()))
	for i, c := range classTable() {
		table[i] = byte(c & (classLetter | classNumber | classSpace | classUpper | classLower | classOther))
	}
	require.Equal(t, uint32(0x2face3ae), crc32.ChecksumIEEE(table))
}

func TestDigitSplitters(t *testing.T) {
	require.Equal(t, []string{"a ", "1", "2", "½", "٤", " b"}, cut("a 12½٤ b", splitDigits))
	require.Equal(t, []string{"a ", "12½٤", " b"}, cut("a 12½٤ b", splitNumbers))
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "it's  12345\r\n\r\n x", "ÀÉabcDEF日本", " \t ", "'ſx"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = validText(s)
		for pattern, known := range knownPatterns {
			require.Equal(t, s, strings.Join(cut(s, known.split), ""), pattern)
		}
	})
}
