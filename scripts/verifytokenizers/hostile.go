package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/trtgo/trtgo/tokenizer"
)

// hostile are texts of which one unit is repeated: what quadratic algorithms and
// back-tracking choke on.
var hostile = []struct{ name, unit string }{
	{"a letter", "a"}, {"blanks", " "}, {"line breaks", "\n"}, {"marks", "!"}, {"digits", "7"}, {"unassigned", "\u0378"},
	{"combining", "\u0301"}, {"accented", "e\u0301"}, {"mixed case", "aA"}, {"quotes", "'"}, {"beginnings of a special token", "<|"}, {"words of a letter", "a "}, {"a byte that is not UTF-8", "\xff"},
}

const (
	shortText = 64 << 10
	longText  = 1 << 20
)

// slowest gives the text that takes longest for a byte, in a second for so many MB, and the
// largest factor by which a byte of 1 MB takes longer than one of 64 KB.
func slowest(own *tokenizer.Tokenizer) (name string, mb, growth float64, err error) {
	perByte := func(unit string, size int) (float64, error) {
		text := strings.Repeat(unit, size/len(unit))
		start := time.Now()
		n := 0
		for time.Since(start) < 20*time.Millisecond { // short ones several times
			if _, err := own.Encode(text, tokenizer.EncodeOptions{}); err != nil {
				return 0, err
			}
			n++
		}
		return time.Since(start).Seconds() / float64(n*len(text)), nil
	}
	worst := 0.0
	for _, h := range hostile {
		short, err := perByte(h.unit, shortText)
		if err != nil {
			return h.name, 0, 0, err
		}
		long, err := perByte(h.unit, longText)
		if err != nil {
			return h.name, 0, 0, err
		}
		if long > worst {
			name, worst = h.name, long
		}
		growth = max(growth, long/short)
	}
	return name, 1e-6 / worst, growth, nil
}

// hostileTable tells it of all tokenizers.
func (s settings) hostileTable() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "Texts of 1 MB in which one unit is repeated (%d units: letters, blanks, marks, unassigned characters, combining marks, beginnings of special tokens, broken bytes …):\n\n", len(hostile))
	b.WriteString("| tokenizer | the slowest | MB/s | time for a byte, 1 MB ÷ 64 KB, the largest |\n|---|---|---|---|\n")
	for _, x := range s.subjects {
		own, err := x.open(s.dir)
		if err != nil {
			return "", err
		}
		name, mb, growth, err := slowest(own)
		if err != nil {
			return "", fmt.Errorf("%s, %s: %w", x.name, name, err)
		}
		row := fmt.Sprintf("| %s | %s | %.1f | %.2f |", x.name, name, mb, growth)
		fmt.Println(row)
		b.WriteString(row + "\n")
	}
	return b.String(), nil
}
