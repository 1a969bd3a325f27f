package tokenizer

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/cases"
)

var (
	scriptTable    = lazyTable("script")    // the script
	onigurumaTable = lazyTable("oniguruma") // bits: what Oniguruma says
)

// Bits of onigurumaTable.
const (
	onigurumaWord byte = 1 << iota // \w
	onigurumaAlpha
	onigurumaUpper
	onigurumaLower
	onigurumaPosixWord // [[:word:]], which is not \w
)

// runeRange is a range of characters, both ends in it.
type runeRange struct{ lo, hi rune }

// runeSet is a set of characters: sorted ranges that do not touch.
type runeSet []runeRange

// canonical sorts ranges and joins those that touch.
func canonical(ranges []runeRange) runeSet {
	slices.SortFunc(ranges, func(a, b runeRange) int { return int(a.lo) - int(b.lo) })
	var out runeSet
	for _, r := range ranges {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
		} else {
			out = append(out, r)
		}
	}
	return out
}

func (s runeSet) negated() runeSet {
	var out runeSet
	next := rune(0)
	for _, r := range s {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, runeRange{next, unicode.MaxRune})
	}
	return out
}

func (s runeSet) union(t runeSet) runeSet { return canonical(slices.Concat(s, t)) }

func (s runeSet) intersection(t runeSet) runeSet { return s.negated().union(t.negated()).negated() }

func (s runeSet) has(r rune) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].hi >= r })
	return i < len(s) && s[i].lo <= r
}

// knownSets keeps the sets that patterns have asked for: to collect one takes a look at every character.
var knownSets sync.Map

// remembered returns the set with a name, which collect makes the first time.
func remembered(name string, collect func() runeSet) runeSet {
	if s, ok := knownSets.Load(name); ok {
		return s.(runeSet)
	}
	s := collect()
	knownSets.Store(name, s)
	return s
}

// setWhere collects the characters whose number in a table satisfies want.
func setWhere(t *characterTable, want func(v byte) bool) runeSet {
	var out runeSet
	for r, v := range t.values {
		if !want(v) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].hi == rune(r)-1 {
			out[n-1].hi++
		} else {
			out = append(out, runeRange{rune(r), rune(r)})
		}
	}
	return out
}

func oniguruma(bit byte) runeSet {
	return remembered(fmt.Sprint("bit ", bit), func() runeSet {
		return setWhere(onigurumaTable(), func(v byte) bool { return v&bit != 0 })
	})
}

// categories is the set of the general categories whose names begin with one of the prefixes.
func categories(prefixes ...string) runeSet {
	t := categoryTable()
	var in [256]bool
	for i, name := range t.names {
		for _, p := range prefixes {
			in[i] = in[i] || strings.HasPrefix(name, p)
		}
	}
	return remembered(fmt.Sprint("category ", prefixes), func() runeSet {
		return setWhere(t, func(v byte) bool { return in[v] })
	})
}

var spaceSet = sync.OnceValue(func() runeSet {
	return runeSet{{'\t', '\r'}, {' ', ' '}, {0x85, 0x85}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A},
		{0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}}
})

// posixSets are the classes that have names of their own, in brackets or as a property.
var posixSets = map[string]func() runeSet{
	"alnum":  func() runeSet { return oniguruma(onigurumaAlpha).union(categories("Nd")) },
	"alpha":  func() runeSet { return oniguruma(onigurumaAlpha) },
	"ascii":  func() runeSet { return runeSet{{0, 0x7F}} },
	"blank":  func() runeSet { return categories("Zs").union(runeSet{{'\t', '\t'}}) },
	"cntrl":  func() runeSet { return categories("Cc") },
	"digit":  func() runeSet { return categories("Nd") },
	"graph":  func() runeSet { return categories("L", "M", "N", "P", "S", "Cf", "Co") },
	"lower":  func() runeSet { return oniguruma(onigurumaLower) },
	"print":  func() runeSet { return categories("L", "M", "N", "P", "S", "Cf", "Co", "Zs") },
	"punct":  func() runeSet { return categories("P", "S") },
	"space":  func() runeSet { return spaceSet() },
	"upper":  func() runeSet { return oniguruma(onigurumaUpper) },
	"xdigit": func() runeSet { return runeSet{{'0', '9'}, {'A', 'F'}, {'a', 'f'}} },
	"word":   func() runeSet { return oniguruma(onigurumaPosixWord) },
	"any":    func() runeSet { return runeSet{{0, unicode.MaxRune}} },
}

// categoryNames are the long names of general categories that patterns use.
var categoryNames = map[string]string{"letter": "L", "mark": "M", "number": "N", "punctuation": "P", "symbol": "S", "separator": "Z", "other": "C",
	"uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt", "modifierletter": "Lm", "otherletter": "Lo", "nonspacingmark": "Mn",
	"spacingmark": "Mc", "enclosingmark": "Me", "decimalnumber": "Nd", "letternumber": "Nl", "othernumber": "No", "connectorpunctuation": "Pc",
	"dashpunctuation": "Pd", "openpunctuation": "Ps", "closepunctuation": "Pe", "initialpunctuation": "Pi", "finalpunctuation": "Pf",
	"otherpunctuation": "Po", "mathsymbol": "Sm", "currencysymbol": "Sc", "modifiersymbol": "Sk", "othersymbol": "So", "spaceseparator": "Zs",
	"lineseparator": "Zl", "paragraphseparator": "Zp", "control": "Cc", "format": "Cf", "unassigned": "Cn", "privateuse": "Co"}

// propertySet returns the characters that \p{name} matches: a general category, a script, or a class.
func propertySet(name string) (runeSet, bool) {
	loose := looseName(name)
	if f, ok := posixSets[loose]; ok {
		return f(), true
	}
	short := categoryNames[loose]
	if short == "" && len(loose) <= 2 {
		short = strings.ToUpper(loose[:min(1, len(loose))]) + loose[min(1, len(loose)):]
	}
	if short == "LC" || loose == "lc" {
		return categories("Lu", "Ll", "Lt"), true
	}
	if short != "" {
		if set := categories(short); len(set) > 0 {
			return set, true
		}
	}
	if script := scriptTable().value(name); script >= 0 {
		return remembered(fmt.Sprint("script ", script), func() runeSet {
			return setWhere(scriptTable(), func(v byte) bool { return v == byte(script) })
		}), true
	}
	return nil, false
}

// value returns the number that has a name, ignoring case, spaces, hyphens and underscores; -1 for none.
func (t *characterTable) value(name string) int {
	for i, n := range t.names {
		if looseName(n) == looseName(name) {
			return i
		}
	}
	return -1
}

func looseName(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", " ", "", "-", "").Replace(s))
}

// laterFolds are pairs of cases that Unicode 16 has and Go's tables do not.
var laterFolds = []struct{ lo, hi, by rune }{{0x1C89, 0x1C89, 1}, {0xA7CB, 0xA7CB, 0x264 - 0xA7CB}, {0xA7CC, 0xA7CC, 1}, {0xA7DA, 0xA7DA, 1},
	{0xA7DC, 0xA7DC, 0x19B - 0xA7DC}, {0x10D50, 0x10D65, 0x20}}

// foldsOf lists the characters that are the same as r but for case.
func foldsOf(r rune) []rune {
	out := []rune{r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		out = append(out, f)
	}
	for _, l := range laterFolds {
		if r >= l.lo && r <= l.hi {
			out = append(out, r+l.by)
		}
		if r >= l.lo+l.by && r <= l.hi+l.by {
			out = append(out, r-l.by)
		}
	}
	return out
}

// multiFolds maps characters that are equal to several but for case, as ß to ss, to these.
var multiFolds = sync.OnceValue(func() map[rune][]rune {
	m := make(map[rune][]rune)
	fold := cases.Fold()
	for _, part := range []runeRange{{0xDF, 0x587}, {0x1E90, 0x1FFF}, {0xFB00, 0xFB17}} {
		for r := part.lo; r <= part.hi; r++ {
			if f := []rune(fold.String(string(r))); len(f) > 1 {
				m[r] = f
			}
		}
	}
	return m
})

// folded adds to a set what is the same as one of its characters but for case.
func (s runeSet) folded() runeSet {
	out := slices.Clone(s)
	add := func(r rune) {
		for _, f := range foldsOf(r)[1:] {
			out = append(out, runeRange{f, f})
		}
	}
	for _, r := range s {
		// Beyond these no character has a case.
		for c := r.lo; c <= min(r.hi, 0x1E943); c++ {
			if c == 0x3000 {
				c = 0xA640
			}
			if c == 0xAC00 {
				c = 0xFB00
			}
			if c <= r.hi {
				add(c)
			}
		}
	}
	return canonical(out)
}

// runeClass is a set in the form that matching uses: a bit for each character, in pages of 256 of which equal
// ones are one.
type runeClass struct {
	page  [(unicode.MaxRune + 1) / 256]uint16
	pages [][4]uint64
}

func newRuneClass(s runeSet) *runeClass {
	c := &runeClass{}
	seen := make(map[[4]uint64]uint16)
	at := 0
	for p := range c.page {
		var bits [4]uint64
		lo, hi := rune(p)*256, rune(p)*256+255
		for ; at < len(s) && s[at].hi < lo; at++ {
		}
		for i := at; i < len(s) && s[i].lo <= hi; i++ {
			for r := max(s[i].lo, lo); r <= min(s[i].hi, hi); r++ {
				bits[r>>6&3] |= 1 << (r & 63)
			}
		}
		n, ok := seen[bits]
		if !ok {
			n = uint16(len(c.pages))
			seen[bits] = n
			c.pages = append(c.pages, bits)
		}
		c.page[p] = n
	}
	return c
}

func (c *runeClass) has(r rune) bool {
	return c.pages[c.page[r>>8]][r>>6&3]>>(r&63)&1 != 0
}
