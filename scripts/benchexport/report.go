//go:build linux

package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

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

// spread is the least, the median and the greatest of some numbers.
type spread struct{ least, median, most float64 }

func (r result) spread(value func(p pair) float64) spread {
	var list []float64
	for _, p := range r.pairs {
		list = append(list, value(p))
	}
	slices.Sort(list)
	n := len(list)
	return spread{list[0], (list[(n-1)/2] + list[n/2]) / 2, list[n-1]}
}

func (s spread) text(format string) string {
	return fmt.Sprintf(format+" / "+format+" / "+format, s.least, s.median, s.most)
}

func (r result) anon() float64 { return r.spread(func(p pair) float64 { return float64(p.anon) }).most }

// verdict is an error when the form missed a goal.
func (r result) verdict() error {
	if ratio := r.spread(pair.ratio).median; ratio < leastRatio {
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
		r.spread(func(p pair) float64 { return p.copying.Seconds() }).text("%.1f"), exporting.text("%.1f"),
		float64(r.bytes)/1e6/exporting.median, r.spread(pair.ratio).text("%.2f"), r.anon()/1e6,
		r.spread(func(p pair) float64 { return float64(p.file) }).most/1e6)
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

// describeMachine names what the numbers depend on.
func describeMachine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); m != nil {
		model = strings.TrimSpace(string(m[1]))
	}
	return fmt.Sprintf("%d cores of %s", runtime.NumCPU(), model)
}

// mark is the pair of comments around a section.
func mark(scale int64) [2]string {
	return [2]string{fmt.Sprintf("<!-- bench-export scale %d -->\n", scale), fmt.Sprintf("<!-- end of bench-export scale %d -->\n", scale)}
}

// replaced gives the document with the section between its marks, at the end
// where it is new.
func replaced(text string, mark [2]string, section string) string {
	block := mark[0] + "\n" + section + "\n" + mark[1]
	before, rest, found := strings.Cut(text, mark[0])
	_, after, ended := strings.Cut(rest, mark[1])
	switch {
	case found && ended:
		return before + block + after
	case text == "":
		return "# Benchmarks\n\n" + block
	}
	return strings.TrimRight(text, "\n") + "\n\n" + block
}
