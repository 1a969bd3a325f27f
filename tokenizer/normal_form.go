package tokenizer

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalForm is one of Unicode's normalization forms as the library has it: by the tables of an older
// version, and without golang.org/x/text's limit of thirty marks in a row.
type normalForm struct {
	form      norm.Form
	composing bool
	decompose norm.Form // the form without composition
	// unknown are the characters that have a property the library does not know of: it leaves them as they
	// are and lets no mark move across them.
	unknown *unicode.RangeTable
}

var normalForms = map[string]normalForm{
	"NFC":  {form: norm.NFC, composing: true, decompose: norm.NFD, unknown: laterMarks},
	"NFD":  {form: norm.NFD, decompose: norm.NFD, unknown: laterMarks},
	"NFKC": {form: norm.NFKC, composing: true, decompose: norm.NFKD, unknown: laterCompatibility},
	"NFKD": {form: norm.NFKD, decompose: norm.NFKD, unknown: laterCompatibility},
}

func (f normalForm) normalize(text string) (string, error) { return f.apply(text), nil }

// maxMarks is how many marks in a row are left to golang.org/x/text.
const maxMarks = 20

func (f normalForm) apply(text string) string {
	if isASCII(text) {
		return text
	}
	if f.form.IsNormalString(text) && !f.needsCare(text) {
		return text
	}
	if !f.needsCare(text) {
		return f.form.String(text)
	}
	var out strings.Builder
	start := 0
	for i, r := range text {
		if unicode.Is(f.unknown, r) {
			out.WriteString(f.known(text[start:i]))
			out.WriteRune(r)
			start = i + len(string(r))
		}
	}
	out.WriteString(f.known(text[start:]))
	return out.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// needsCare reports whether text has a character that the library does not know, or many marks in a row.
func (f normalForm) needsCare(text string) bool {
	marks := 0
	for i, r := range text {
		if r < 0x300 {
			marks = 0
			continue
		}
		if unicode.Is(f.unknown, r) {
			return true
		}
		if marks++; f.form.PropertiesString(text[i:]).BoundaryBefore() {
			marks = 0
		}
		if marks > maxMarks {
			return true
		}
	}
	return false
}

// known normalises text whose characters the library knows, by the definition.
func (f normalForm) known(text string) string {
	runes := make([]rune, 0, len(text))
	for i, r := range text {
		if d := f.decompose.PropertiesString(text[i:]).Decomposition(); d != nil {
			runes = append(runes, []rune(string(d))...)
		} else {
			runes = append(runes, hangul(r)...)
		}
	}
	reorder(runes)
	if f.composing {
		runes = compose(runes)
	}
	return string(runes)
}

func combiningClass(r rune) uint8 {
	if r < 0x300 {
		return 0
	}
	return norm.NFD.PropertiesString(string(r)).CCC()
}

// reorder sorts each run of marks by combining class, equal ones as they were.
func reorder(runes []rune) {
	for i := 0; i < len(runes); {
		if combiningClass(runes[i]) == 0 {
			i++
			continue
		}
		end := i
		for end < len(runes) && combiningClass(runes[end]) != 0 {
			end++
		}
		slices.SortStableFunc(runes[i:end], func(a, b rune) int { return int(combiningClass(a)) - int(combiningClass(b)) })
		i = end
	}
}

// Hangul syllables are composed by arithmetic.
const (
	hangulFirst, leadFirst, vowelFirst, tailFirst = 0xAC00, 0x1100, 0x1161, 0x11A7
	leads, vowels, tails                          = 19, 21, 28
)

func hangul(r rune) []rune {
	i := r - hangulFirst
	if i < 0 || i >= leads*vowels*tails {
		return []rune{r}
	}
	out := []rune{leadFirst + i/(vowels*tails), vowelFirst + i/tails%vowels}
	if i%tails != 0 {
		out = append(out, tailFirst+i%tails)
	}
	return out
}

// compositions maps pairs to the character that they compose to.
var compositions = sync.OnceValue(func() map[[2]rune]rune {
	m := make(map[[2]rune]rune)
	for r := rune(0xC0); r <= unicode.MaxRune; r++ {
		if r == hangulFirst {
			r += leads * vowels * tails
		}
		s := string(r)
		d := norm.NFD.PropertiesString(s).Decomposition()
		if d == nil || norm.NFC.String(s) != s {
			continue
		}
		parts := []rune(string(d))
		first := []rune(norm.NFC.String(string(parts[:len(parts)-1])))
		if len(first) == 1 && len(parts) > 1 {
			m[[2]rune{first[0], parts[len(parts)-1]}] = r
		}
	}
	return m
})

func composed(a, b rune) (rune, bool) {
	if l, v := a-leadFirst, b-vowelFirst; l >= 0 && l < leads && v >= 0 && v < vowels {
		return hangulFirst + (l*vowels+v)*tails, true
	}
	s, t := a-hangulFirst, b-tailFirst
	if s >= 0 && s < leads*vowels*tails && s%tails == 0 && t > 0 && t < tails {
		return a + t, true
	}
	r, ok := compositions()[[2]rune{a, b}]
	return r, ok
}

// compose joins each mark with the last starter, unless a mark between them blocks it.
func compose(runes []rune) []rune {
	out := runes[:0]
	starter := -1
	last := uint8(0) // the class of the character before, in out
	for _, r := range runes {
		class := combiningClass(r)
		if starter >= 0 && (starter == len(out)-1 || last < class && last != 0) {
			if c, ok := composed(out[starter], r); ok {
				out[starter] = c
				continue
			}
		}
		out = append(out, r)
		if last = class; class == 0 {
			starter = len(out) - 1
		}
	}
	return out
}

// laterMarks combine, or have a combining class, only since Unicode 10.
var laterMarks = rangeTable([]unicode.Range32{
	{Lo: 0x7FD, Hi: 0x7FD}, {Lo: 0x898, Hi: 0x89F}, {Lo: 0x8CA, Hi: 0x8D3}, {Lo: 0x9FE, Hi: 0x9FE}, {Lo: 0xC3C, Hi: 0xC3C}, {Lo: 0xD3B, Hi: 0xD3C},
	{Lo: 0xEBA, Hi: 0xEBA}, {Lo: 0x1715, Hi: 0x1715}, {Lo: 0x1ABF, Hi: 0x1ACE}, {Lo: 0x1DF6, Hi: 0x1DFA}, {Lo: 0xA82C, Hi: 0xA82C},
	{Lo: 0x10D24, Hi: 0x10D27}, {Lo: 0x10EAB, Hi: 0x10EAC}, {Lo: 0x10EFD, Hi: 0x10EFF}, {Lo: 0x10F46, Hi: 0x10F50}, {Lo: 0x10F82, Hi: 0x10F85},
	{Lo: 0x11070, Hi: 0x11070}, {Lo: 0x1133B, Hi: 0x1133B}, {Lo: 0x1145E, Hi: 0x1145E}, {Lo: 0x11839, Hi: 0x1183A}, {Lo: 0x11930, Hi: 0x11930},
	{Lo: 0x11935, Hi: 0x11935}, {Lo: 0x11938, Hi: 0x11938}, {Lo: 0x1193D, Hi: 0x1193E}, {Lo: 0x11943, Hi: 0x11943}, {Lo: 0x119E0, Hi: 0x119E0},
	{Lo: 0x11A34, Hi: 0x11A34}, {Lo: 0x11A47, Hi: 0x11A47}, {Lo: 0x11A99, Hi: 0x11A99}, {Lo: 0x11D42, Hi: 0x11D42}, {Lo: 0x11D44, Hi: 0x11D45},
	{Lo: 0x11D97, Hi: 0x11D97}, {Lo: 0x11F41, Hi: 0x11F42}, {Lo: 0x16FF0, Hi: 0x16FF1}, {Lo: 0x1E08F, Hi: 0x1E08F}, {Lo: 0x1E130, Hi: 0x1E136},
	{Lo: 0x1E2AE, Hi: 0x1E2AE}, {Lo: 0x1E2EC, Hi: 0x1E2EF}, {Lo: 0x1E4EC, Hi: 0x1E4EF},
})

// laterCompatibility are these and what has a compatibility decomposition only since then.
var laterCompatibility = rangeTable(append([]unicode.Range32{
	{Lo: 0x32FF, Hi: 0x32FF}, {Lo: 0xA7F2, Hi: 0xA7F4}, {Lo: 0xAB69, Hi: 0xAB69}, {Lo: 0x10781, Hi: 0x10785}, {Lo: 0x10787, Hi: 0x107B0},
	{Lo: 0x107B2, Hi: 0x107BA}, {Lo: 0x1E030, Hi: 0x1E06D}, {Lo: 0x1F16C, Hi: 0x1F16C}, {Lo: 0x1FBF0, Hi: 0x1FBF9},
}, laterMarks.R32...))

// rangeTable sorts ranges into a table.
func rangeTable(ranges []unicode.Range32) *unicode.RangeTable {
	slices.SortFunc(ranges, func(a, b unicode.Range32) int { return int(a.Lo) - int(b.Lo) })
	for i := range ranges {
		ranges[i].Stride = 1
	}
	return &unicode.RangeTable{R32: ranges}
}
