package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/scripts/internal/reference"
	"github.com/trtgo/trtgo/tokenizer"
)

// What is asked of the speed: ratios to the library's, in the median.
const (
	leastEncode, leastDecode = 1.5, 2
	mostLoad                 = 0.5
)

// speeds are what a tokenizer's rounds gave: seconds of both sides.
type speeds struct {
	encode, decode, load pairs
}

type pairs struct{ own, library []float64 }

func (p *pairs) add(own, library time.Duration) {
	p.own = append(p.own, own.Seconds())
	p.library = append(p.library, library.Seconds())
}

// ratio is the library's time over ours.
func (p pairs) ratio() benchdoc.Spread { return benchdoc.Ratios(p.library, p.own) }

// measure takes rounds in turns, one thread on both sides, each text in a call of its own.
func (s settings) measure() error {
	var b strings.Builder
	fmt.Fprintf(&b, "`make bench-tokenizers`, %s, %s. Ratios are the library's time over ours in the same round, least / median / greatest of %d rounds; one thread, every text in a call of its own, the library's calls timed inside its process; our loading ends with a first text encoded and decoded.\n\n",
		time.Now().Format(time.DateOnly), benchdoc.Machine(), s.rounds)
	b.WriteString("| tokenizer | text | encode, MB/s | encode, ratio | decode, million ids/s | decode, ratio | load, ms | load, ratio |\n|---|---|---|---|---|---|---|---|\n")
	for _, x := range s.subjects {
		for _, kind := range []string{"code and English", "all scripts"} {
			row, err := s.measureOne(x, kind)
			if err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			fmt.Println(row)
			b.WriteString(row + "\n")
		}
	}
	table, err := s.hostileTable()
	if err != nil {
		return err
	}
	b.WriteString("\n" + table)
	fmt.Fprintf(&b, "\nAimed at: encode ≥ %.1f, decode ≥ %.1f, load ≥ %.1f, and time that grows as the text does.\n", leastEncode, float64(leastDecode), 1/mostLoad)
	if len(s.subjects) < len(subjects()) {
		return nil
	}
	return benchdoc.Update(s.output, "bench-tokenizers", b.String())
}

func (s settings) measureOne(x subject, kind string) (row string, err error) {
	c, made, err := s.start(x, s.seed)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.library.Close()) }()
	texts := made.sources
	if kind == "all scripts" {
		texts = made.texts(1 << 20)
		for i, t := range texts {
			texts[i] = lossy(t)
		}
	}
	lists, err := c.library.IDs(reference.Encode, texts)
	if err != nil {
		return "", err
	}
	bytes, ids := 0, 0
	for i := range texts {
		bytes, ids = bytes+len(texts[i]), ids+len(lists[i])
	}
	var v speeds
	for range s.rounds {
		if err := v.round(s, c, texts, lists); err != nil {
			return "", err
		}
	}
	mb := func(seconds float64) float64 { return float64(bytes) / 1e6 / seconds }
	mids := func(seconds float64) float64 { return float64(ids) / 1e6 / seconds }
	encode, decode, load := benchdoc.SpreadOf(v.encode.own), benchdoc.SpreadOf(v.decode.own), benchdoc.SpreadOf(v.load.own)
	return fmt.Sprintf("| %s | %s | %.1f | %s | %.1f | %s | %.0f | %s |", x.name, kind, mb(encode.Median), v.encode.ratio().Text("%.2f"),
		mids(decode.Median), v.decode.ratio().Text("%.2f"), 1e3*load.Median, v.load.ratio().Text("%.2f")), nil
}

func (v *speeds) round(s settings, c *comparison, texts []string, lists [][]int32) error {
	library, err := c.library.TimeEncode(texts)
	if err != nil {
		return err
	}
	// A tokenizer of its own for each round, so that no round finds the caches of the one before. Loading
	// goes to the first ids and the first text, for what is made when it is first needed.
	start := time.Now()
	own, err := c.subject.open(s.dir)
	if err != nil {
		return err
	}
	first, err := own.Encode("a", tokenizer.EncodeOptions{})
	if err != nil {
		return err
	}
	if _, err := own.Decode(first, tokenizer.DecodeOptions{}); err != nil {
		return err
	}
	load := time.Since(start)
	start = time.Now()
	for _, t := range texts {
		if _, err := own.Encode(t, tokenizer.EncodeOptions{}); err != nil {
			return err
		}
	}
	v.encode.add(time.Since(start), library)
	if library, err = c.library.TimeDecode(lists); err != nil {
		return err
	}
	start = time.Now()
	for _, ids := range lists {
		if _, err := own.Decode(ids, tokenizer.DecodeOptions{SkipSpecialTokens: true}); err != nil {
			return err
		}
	}
	v.decode.add(time.Since(start), library)
	if library, err = c.library.TimeLoad(); err != nil {
		return err
	}
	v.load.add(load, library)
	return nil
}
