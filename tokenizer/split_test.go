package tokenizer

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/dlclark/regexp2"
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

// oracle splits s with the pattern itself.
func oracle(t testing.TB, re *regexp2.Regexp, s string) []string {
	var out []string
	m, err := re.FindStringMatch(s)
	for ; m != nil; m, err = re.FindNextMatch(m) {
		out = append(out, m.String())
	}
	require.NoError(t, err)
	return out
}

// forRegexp2 writes a pattern's classes in the terms that regexp2 shares with Go's tables: its own \s
// is not White_Space, and it does not fold the long s.
func forRegexp2(pattern string) string {
	var space strings.Builder
	for _, r := range unicode.White_Space.R16 {
		for c := r.Lo; c <= r.Hi; c += r.Stride {
			fmt.Fprintf(&space, `\u%04x`, c)
		}
	}
	p := strings.ReplaceAll(pattern, `(?i:'s|`, `(?i:'[sſ]|`)
	p = strings.ReplaceAll(p, `[^\s`, `[^`+space.String())
	p = strings.ReplaceAll(p, `\S`, `[^`+space.String()+`]`)
	return strings.ReplaceAll(p, `\s`, `[`+space.String()+`]`)
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
	for name, pattern := range map[string]string{"gpt2": patternGPT2, "gpt2 short": patternGPT2Short,
		"llama3": patternLlama3, "qwen2": patternQwen2, "tekken": patternTekken} {
		t.Run(name, func(t *testing.T) {
			re := regexp2.MustCompile(forRegexp2(pattern), regexp2.None)
			letters := alphabet()
			rng := rand.New(rand.NewPCG(7, 11))
			for range 6000 {
				var b strings.Builder
				for range rng.IntN(24) {
					// Runs make the back-tracking cases likely.
					n := len(letters)
					if rng.IntN(3) > 0 {
						n = 60
					}
					r := letters[rng.IntN(n)]
					for range 1 + rng.IntN(2)*rng.IntN(4) {
						b.WriteRune(r)
					}
				}
				s := b.String()
				require.Equal(t, oracle(t, re, s), cut(s, knownPatterns[pattern].split), "%q", s)
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
