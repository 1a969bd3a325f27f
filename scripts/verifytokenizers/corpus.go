package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
)

// corpus makes texts that tokenizers disagree about. The same seed gives the same texts.
type corpus struct {
	r       *rand.Rand
	scripts []script
	sources []string // real text and code
	special []string // what special tokens are spelled like
}

// script is a Unicode script with its assigned characters.
type script struct {
	name       string
	characters []rune
}

func newCorpus(seed uint64, sources, special []string) *corpus {
	c := &corpus{r: rand.New(rand.NewPCG(seed, 1)), sources: sources, special: special}
	for _, name := range slices.Sorted(maps.Keys(unicode.Scripts)) {
		s := script{name: name}
		table := unicode.Scripts[name]
		for _, r := range table.R16 {
			for x := uint32(r.Lo); x <= uint32(r.Hi); x += uint32(r.Stride) {
				s.characters = append(s.characters, rune(x))
			}
		}
		for _, r := range table.R32 {
			for x := r.Lo; x <= r.Hi; x += r.Stride {
				s.characters = append(s.characters, rune(x))
			}
		}
		c.scripts = append(c.scripts, s)
	}
	return c
}

// text makes one text, most of them short; a few are long.
func (c *corpus) text() string {
	makers := []func() string{
		c.words, c.words, c.words, c.words, c.mixture, c.source, c.source, c.source, c.numbers, c.spaces,
		c.emoji, c.anyCharacters, c.punctuation, c.specials, c.randomBytes, c.contractions, c.repeats, c.addresses,
	}
	var b strings.Builder
	parts := 1
	if c.r.IntN(4) == 0 {
		parts += c.r.IntN(6)
	}
	for range parts {
		b.WriteString(makers[c.r.IntN(len(makers))]())
		if c.r.IntN(3) == 0 {
			b.WriteString(c.blank())
		}
	}
	return b.String()
}

// texts makes at least so many bytes.
func (c *corpus) texts(bytes int) []string {
	var list []string
	for n := 0; n < bytes; {
		s := c.text()
		list = append(list, s)
		n += len(s)
	}
	return list
}

func (c *corpus) one(list ...string) string { return list[c.r.IntN(len(list))] }

// words are pseudo-words of one script.
func (c *corpus) words() string {
	s := c.scripts[c.r.IntN(len(c.scripts))]
	if c.r.IntN(3) == 0 {
		s = c.scripts[slices.IndexFunc(c.scripts, func(s script) bool { return s.name == "Latin" })]
	}
	var b strings.Builder
	// A stretch of a large script, so that words repeat.
	from := c.r.IntN(len(s.characters))
	letters := s.characters[from:min(len(s.characters), from+80)]
	for range 1 + c.r.IntN(30) {
		for range 1 + c.r.IntN(9) {
			b.WriteRune(letters[c.r.IntN(len(letters))])
			if c.r.IntN(40) == 0 {
				b.WriteRune(0x300 + rune(c.r.IntN(0x70))) // a combining mark
			}
		}
		b.WriteString(c.one(" ", " ", " ", " ", ", ", ". ", "-", "'", "\n", "", "  "))
	}
	return b.String()
}

func (c *corpus) mixture() string {
	var b strings.Builder
	for range 1 + c.r.IntN(40) {
		s := c.scripts[c.r.IntN(len(c.scripts))]
		for range 1 + c.r.IntN(4) {
			b.WriteRune(s.characters[c.r.IntN(len(s.characters))])
		}
		b.WriteString(c.one("", "", " ", "\u00a0", "\u200d", "1", "!", "\n"))
	}
	return b.String()
}

// source is a stretch of real text or code.
func (c *corpus) source() string {
	s := c.sources[c.r.IntN(len(c.sources))]
	n := min(len(s), 1+c.r.IntN(1200))
	from := c.r.IntN(len(s) - n + 1)
	return strings.ToValidUTF8(s[from:from+n], "")
}

func (c *corpus) numbers() string {
	var b strings.Builder
	for range 1 + c.r.IntN(12) {
		switch c.r.IntN(5) {
		case 0:
			fmt.Fprintf(&b, "%d", c.r.Uint64()>>c.r.IntN(64))
		case 1:
			fmt.Fprintf(&b, "%.*f", c.r.IntN(8), c.r.NormFloat64()*1e4)
		case 2:
			fmt.Fprintf(&b, "%#x", c.r.Uint32())
		case 3:
			zero := []rune{0x660, 0x6f0, 0x966, 0xff10, 0x1d7ce, 0x2460, 0x2160, 0xbc, 0x3007, 0x4e00}[c.r.IntN(10)]
			for range 1 + c.r.IntN(6) {
				b.WriteRune(zero + rune(c.r.IntN(10)))
			}
		case 4:
			fmt.Fprintf(&b, "%02d:%02d %d%%", c.r.IntN(24), c.r.IntN(60), c.r.IntN(1000))
		}
		b.WriteString(c.one("", " ", ",", ".", "  ", "-"))
	}
	return b.String()
}

// blank is white space of every kind.
func (c *corpus) blank() string {
	kinds := []string{" ", " ", " ", "\t", "\n", "\r\n", "\r", "\v", "\f", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u1680", "\u200b", "\ufeff", "\u180e"}
	var b strings.Builder
	for range 1 + c.r.IntN(6) {
		b.WriteString(strings.Repeat(c.one(kinds...), 1+c.r.IntN(3)))
	}
	return b.String()
}

func (c *corpus) spaces() string {
	var b strings.Builder
	for range 1 + c.r.IntN(10) {
		b.WriteString(c.one(c.blank(), c.blank(), c.blank(), "a", "word", "\u4e2d", "7", "!", "'s", "▁", "▁▁x"))
	}
	return b.String()
}

func (c *corpus) emoji() string {
	var b strings.Builder
	base := func() rune {
		return []rune{0x1f600 + rune(c.r.IntN(80)), 0x1f466 + rune(c.r.IntN(20)), 0x1f300 + rune(c.r.IntN(300)), 0x2600 + rune(c.r.IntN(250)), 0x1f900 + rune(c.r.IntN(250))}[c.r.IntN(5)]
	}
	for range 1 + c.r.IntN(15) {
		switch c.r.IntN(5) {
		case 0: // a family
			for range 1 + c.r.IntN(4) {
				b.WriteString(string(base()) + "\u200d")
			}
			b.WriteRune(base())
		case 1: // a flag
			b.WriteString(string(0x1f1e6+rune(c.r.IntN(26))) + string(0x1f1e6+rune(c.r.IntN(26))))
		case 2: // a colour of skin
			b.WriteString(string(base()) + string(0x1f3fb+rune(c.r.IntN(5))))
		case 3: // a keycap, or the form with colours
			b.WriteString(c.one("1\ufe0f\u20e3", "#\ufe0f\u20e3", string(base())+"\ufe0f"))
		default:
			b.WriteRune(base())
		}
		b.WriteString(c.one("", "", "", " ", "!"))
	}
	return b.String()
}

// anyCharacters are any code points, unassigned ones too.
func (c *corpus) anyCharacters() string {
	var b strings.Builder
	limit := []int{0x80, 0x250, 0x3000, 0x10000, 0x110000}[c.r.IntN(5)]
	for range 1 + c.r.IntN(60) {
		x := rune(c.r.IntN(limit))
		if x >= 0xd800 && x < 0xe000 {
			x -= 0x800
		}
		b.WriteRune(x)
	}
	return b.String()
}

func (c *corpus) punctuation() string {
	marks := []rune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡§«»¿‐–—‘’“”…‹›€™←→∀∑√∞≈≠①⑴、。《》「」ー・！？（）｛｝￥")
	var b strings.Builder
	for range 1 + c.r.IntN(30) {
		b.WriteString(strings.Repeat(string(marks[c.r.IntN(len(marks))]), 1+c.r.IntN(3)*c.r.IntN(2)))
		b.WriteString(c.one("", "", "", " ", "a", "Bc", "\n", "//\n", "9"))
	}
	return b.String()
}

// specials are special tokens, whole and nearly, between other text.
func (c *corpus) specials() string {
	var b strings.Builder
	for range 1 + c.r.IntN(8) {
		if len(c.special) > 0 {
			s := c.special[c.r.IntN(len(c.special))]
			switch c.r.IntN(4) {
			case 0:
				s = s[:c.r.IntN(len(s)+1)]
			case 1:
				s = strings.ToUpper(s)
			}
			b.WriteString(strings.ToValidUTF8(s, ""))
		}
		b.WriteString(c.one("", "", " ", "  ", "a", "user", "\n\n", "<", "<|", "|>", "</s>", "<s>", "<0x41>", "<unk>", "[INST]"))
	}
	return b.String()
}

func (c *corpus) randomBytes() string {
	b := make([]byte, 1+c.r.IntN(80))
	for i := range b {
		b[i] = byte(c.r.Uint32())
		if c.r.IntN(3) == 0 {
			b[i] = "aé中 \xf0\x9f\x98"[c.r.IntN(9)]
		}
	}
	return string(b)
}

func (c *corpus) contractions() string {
	var b strings.Builder
	for range 1 + c.r.IntN(12) {
		b.WriteString(c.one("I", "we", "THEY", "it", "don", "ſ", "K", "é", "中", ""))
		b.WriteString(c.one("'s", "'S", "'re", "'LL", "'ve", "'d", "'M", "'t", "’s", "'ſ", "'x", "'", "''s", "'re'll"))
		b.WriteString(c.one(" ", " ", "", "\n", "  "))
	}
	return b.String()
}

// repeats are long runs, which slow algorithms choke on.
func (c *corpus) repeats() string {
	unit := c.one("a", " ", "\n", "ab", "é", "中", "0", "!", "=", "-", "👍", "\u0301", "▁", " a", "aA", "\t", "<", "٣", "ﬃ", "Ａ", "각", "e\u0301")
	return strings.Repeat(unit, 1+c.r.IntN(400/len(unit)))
}

func (c *corpus) addresses() string {
	var b strings.Builder
	for range 1 + c.r.IntN(4) {
		b.WriteString(c.one("https://", "http://www.", "ftp://", "mailto:", "/usr/lib/", "C:\\Users\\", "user@", "git@host:"))
		for range 1 + c.r.IntN(5) {
			for range 1 + c.r.IntN(10) {
				b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_%-+"[c.r.IntN(66)])
			}
			b.WriteString(c.one("/", ".", "?q=", "&", "#", ".html", "="))
		}
		b.WriteString(c.one(" ", "\n", ""))
	}
	return b.String()
}
