//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/bigmodel"
)

const (
	leastRatio = 0.7
	mostAnon   = 600e6
)

// result is what one form gave.
type result struct {
	form  bigmodel.Form
	bytes int64
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
	if ratio := r.spread(pair.ratio).Median; ratio < leastRatio {
		return fmt.Errorf("%s: exported at %.2f of cp's speed in the median, less than %.2f", r.form, ratio, leastRatio)
	}
	if r.anon() > mostAnon {
		return fmt.Errorf("%s: RssAnon was %.0f MB, more than %.0f", r.form, r.anon()/1e6, mostAnon/1e6)
	}
	return nil
}

const head = `| form | GB | cp, s | export, s | export, MB/s | export's speed / cp's | RssAnon, MB | RssFile, MB |
|---|---|---|---|---|---|---|---|
`

// row is the form's line of the table.
func (r result) row() string {
	exporting := r.spread(func(p pair) float64 { return p.exporting.Seconds() })
	return fmt.Sprintf("| %s | %.2f | %s | %s | %.0f | %s | %.0f | %.0f |", r.form, float64(r.bytes)/1e9,
		r.spread(func(p pair) float64 { return p.copying.Seconds() }).Text("%.1f"), exporting.Text("%.1f"),
		float64(r.bytes)/1e6/exporting.Median, r.spread(pair.ratio).Text("%.2f"), r.anon()/1e6,
		r.spread(func(p pair) float64 { return float64(p.file) }).Most/1e6)
}

// section is the part of the document that a run writes.
func section(s settings, results []result, machine string, now time.Time) string {
	size := "full size"
	if s.scale > 1 {
		size = fmt.Sprintf("1/%d of its layers and vocabulary", s.scale)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### Export of Minitron-8B, %s\n\n", size)
	fmt.Fprintf(&b, "`make bench-export`, %s, %s. %d pairs of `cp --reflink=never --sparse=never` and `trtgo export`, the first of a pair by turns; "+
		"the source out of the page cache, fsync included; the .nemo forms as %d tensor-parallel ranks save them. "+
		"Three numbers are the least, the median and the greatest; memory is the greatest, sampled every 50 ms. Every form's first export was compared with the weights bit for bit.\n\n",
		now.Format(time.DateOnly), machine, s.repeats, s.tensorParallel)
	b.WriteString(head)
	for _, r := range results {
		b.WriteString(r.row() + "\n")
	}
	return b.String()
}

// mark is the section's name in the document.
func mark(scale int64) string { return fmt.Sprintf("bench-export scale %d", scale) }
