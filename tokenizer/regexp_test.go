package tokenizer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func pieces(t testing.TB, source, text string) string {
	re, err := parseRegexp(source)
	require.NoError(t, err, source)
	spans, err := appendSpans(nil, re, text)
	require.NoError(t, err, source)
	var out []string
	for _, s := range spans {
		if s.match {
			out = append(out, text[s.start:s.end])
		}
	}
	return strings.Join(out, "|")
}

// TestRegexp has what the goldens of components, which compare many patterns with Oniguruma, do not show by name.
func TestRegexp(t *testing.T) {
	for _, c := range [][3]string{
		{`a{2,3}?`, "aaaaa", "aa|aa"}, {`a{,2}b`, "aaab", "aab"}, {`a{2}?b`, "baab", "b|aab"}, {`a{1,2}+`, "aaaa", "aaaa"}, {`{`, "a{b", "{"}, {`a{x}`, "a{x}", "a{x}"},
		{`(?i:ss)`, "ß SS ẞ ſs", "ß|SS|ẞ|ſs"}, {`(?i:ß)`, "ss ẞ", "ss|ẞ"}, {`(?i:ﬃ)`, "ffi FFI", "ffi|FFI"}, {`(?i)a|B`, "AbC", "A|b"}, {`(?i:k)`, "\u212A", "\u212A"}, {`(?i:Mississippi)`, "MIſſißippi mißISSIPPI", "MIſſißippi|mißISSIPPI"},
		{`(?:a|ab)(?:c|bcd)`, "abcd", "abcd"}, {`(?>a|ab)c`, "abc", ""}, {`(a*)*b`, "aab", "aab"}, {`(?:a?)*?b`, "aab", "aab"}, {`(?<name>a)b`, "ab", "ab"}, {`(?#x)a(?-i)b`, "ab", "ab"},
		{`(?<=a|bc)d`, "ad bcd cd", "d|d"}, {`(?<!\p{L})a+`, "aa ba a", "aa|a"}, {`a(?=b*c)`, "abbc ab", "a"}, {`\p{Greek}+`, "abγδ", "γδ"}, {`\p{^L}`, "a1", "1"}, {`\P{Lu}`, "aA", "a"},
		{`[^\]\-a]`, "]-ab", "b"}, {`[]a]`, "]ab", "]|a"}, {`[a-c&&b-d&&[^c]]`, "abcd", "b"}, {`[[:upper:][:digit:]]`, "aB3", "B|3"}, {`[\x41-\x{43}]`, "ABCD", "A|B|C"},
		{`(?m:a.b)`, "a\nb", "a\nb"}, {`a.b`, "a\nb", ""}, {`$`, "a", ""}, {`\Ga`, "aab", "a|a"}, {"(?x) a b # c\n", "ab", "ab"}, {`\R`, "\r\n\n", "\r\n|\n"}, {`\O\N`, "\na", "\na"},
	} {
		require.Equal(t, c[2], pieces(t, c[0], c[1]), "%s in %q", c[0], c[1])
	}
}

func TestRegexpRefusals(t *testing.T) {
	for source, words := range map[string]string{
		`(a`: "not closed", `a)`: "was not opened", `[a`: "not closed", `[]`: "empty", `*a`: "nothing before it", `(a)\1`: "reference to a group", `\k<a>`: "reference to a group",
		`\p{Klingon}`: `"Klingon" is not known`, `(?(1)a)`: "not read", `(?P<a>b)`: "not read", `a{2000}`: "more than 1000", `a{3,2}`: "lower bound above", `\K`: "not read", `[b-a]`: "is empty",
		`\x{110000}`: "no character's number", `\`: "ends in a backslash", `(?q:a)`: "option", `\xff`: "no character's number", `\p{L`: "does not end", `^*`: "after an assertion",
		strings.Repeat("(", 200): "nested more than", "a\xff": "not UTF-8", `(((a{900}){900}){900})`: "too large", "(?i:" + strings.Repeat("s", 5000) + ")": "too large",
		strings.Repeat("a", 1<<17): "allowed are 65536",
	} {
		_, err := parseRegexp(source)
		require.ErrorContains(t, err, words, source)
	}
}

func TestRegexpGivesUp(t *testing.T) {
	re, err := parseRegexp(`(?:a+)+b`)
	require.NoError(t, err)
	_, _, err = re.find(strings.Repeat("a", 60), 0)
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "too many steps")
	// What a pattern was meant for is no matter, however long.
	for _, s := range []string{strings.Repeat("a", 1<<20), strings.Repeat(" ", 1<<20), strings.Repeat("a ", 1<<19)} {
		re, err := parseRegexp(patternLlama3)
		require.NoError(t, err)
		spans, err := appendSpans(nil, re, s)
		require.NoError(t, err)
		require.NotEmpty(t, spans)
	}
}

func FuzzRegexp(f *testing.F) {
	for known := range knownPatterns {
		f.Add(known, "it's  12345\r\n\r\n x日本 ſß")
	}
	for _, s := range []string{`(?i:ss|ß)+`, `(?<=a|b)c`, `[^[:alpha:]&&\w]`, `(?:a?)*`, `\p{^Han}{2,}?`, `(((a*)*)*)*b`, `(?x: a )`} {
		f.Add(s, "aabß ss c")
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		re, err := parseRegexp(source)
		if err != nil || len(text) > 200 {
			return
		}
		text = validText(text)
		spans, err := appendSpans(nil, re, text)
		if err != nil {
			require.ErrorIs(t, err, ErrUnsupported)
			return
		}
		joined := ""
		for _, s := range spans {
			require.True(t, utf8.ValidString(text[s.start:s.end]))
			joined += text[s.start:s.end]
		}
		require.Equal(t, text, joined)
	})
}
