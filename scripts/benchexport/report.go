//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
)

// result is what one form gave.
type result struct {
	stage stage
	form  string
	bytes int64 // of the source
	pairs []pair
}

func (r result) spread(value func(p pair) float64) benchdoc.Spread {
	var list []float64
	for _, p := range r.pairs {
		list = append(list, value(p))
	}
	return benchdoc.SpreadOf(list)
}

func (r result) anon() float64 { return r.spread(func(p pair) float64 { return float64(p.anon) }).Most }

// verdict is an error when the form missed a goal.
func (r result) verdict() error {
	if ratio := r.spread(pair.ratio).Median; ratio < r.stage.leastRatio {
		return fmt.Errorf("%s: %s at %.2f of cp's speed in the median, less than %.2f", r.form, r.stage.verb, ratio, r.stage.leastRatio)
	}
	if r.anon() > r.stage.mostAnon {
		return fmt.Errorf("%s: RssAnon was %.0f MB, more than %.0f", r.form, r.anon()/1e6, r.stage.mostAnon/1e6)
	}
	return nil
}

const head = `| form | GB | cp, s | %[1]s, s | %[1]s, MB/s | %[1]s's speed / cp's | RssAnon, MB | RssFile, MB |
|---|---|---|---|---|---|---|---|
`

// row is the form's line of the table.
func (r result) row() string {
	converting := r.spread(func(p pair) float64 { return p.converting.Seconds() })
	return fmt.Sprintf("| %s | %.2f | %s | %s | %.0f | %s | %.0f | %.0f |", r.form, float64(r.bytes)/1e9,
		r.spread(func(p pair) float64 { return p.copying.Seconds() }).Text("%.1f"), converting.Text("%.1f"),
		float64(r.bytes)/1e6/converting.Median, r.spread(pair.ratio).Text("%.2f"), r.anon()/1e6,
		r.spread(func(p pair) float64 { return float64(p.file) }).Most/1e6)
}

// section is the part of the document that a run writes.
func section(s settings, results []result, machine string, now time.Time) string {
	size := "full size"
	if s.scale > 1 {
		size = fmt.Sprintf("1/%d of its layers and vocabulary", s.scale)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### %s of Minitron-8B, %s\n\n", s.stage.title, size)
	fmt.Fprintf(&b, "`make bench-%[1]s`, %[2]s, %[3]s. %[4]d pairs of `cp --reflink=never --sparse=never` and `trtgo %[1]s`, the first of a pair by turns; "+
		"the source out of the page cache, fsync included; ", s.stage.verb, now.Format(time.DateOnly), machine, s.repeats)
	fmt.Fprintf(&b, "%s Three numbers are the least, the median and the greatest; memory is the greatest, sampled every 50 ms. %s\n\n", s.stage.sources(s), s.stage.checked)
	fmt.Fprintf(&b, head, s.stage.verb)
	for _, r := range results {
		b.WriteString(r.row() + "\n")
	}
	return b.String()
}

// mark is the section's name in the document.
func (s settings) mark() string { return fmt.Sprintf("bench-%s scale %d", s.stage.verb, s.scale) }
