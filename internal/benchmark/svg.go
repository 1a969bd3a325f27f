package benchmark

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/benchdoc"
)

// The picture's columns and rows, in pixels.
const (
	svgWidth    = 1044
	svgMargin   = 24
	barLeft     = 340 // behind labels
	barWidth    = 380
	textLeft    = barLeft + barWidth + 16
	rowHeight   = 24
	barHeight   = 14
	headHeight  = 40 // of an engine
	titleHeight = 78 // with the legend
	axisHeight  = 44
)

// svgStyle has two sets of colours, for light and dark pages, as plain rules: viewers
// other than browsers know no variables. Memory is blue, arithmetic orange, a pair that
// people with any colour vision tell apart.
const svgStyle = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
text.title { font-size: 17px; font-weight: 600; }
text.head { font-size: 14px; font-weight: 600; }
text.faint { font-size: 12px; fill: #59636e; }
.paper { fill: #ffffff; } .track { fill: #eceff3; } .memory { fill: #4a87cc; } .arithmetic { fill: #dd7d26; }
.grid { stroke: #d1d9e0; } .limit { stroke: #1f2328; stroke-width: 1.5; }
.range { stroke: #1f2328; stroke-width: 1.25; fill: none; } .goal { fill: #ffffff; stroke: #1f2328; stroke-width: 1.25; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } text.faint { fill: #9198a1; }
  .paper { fill: #0d1117; } .track { fill: #21262d; } .memory { fill: #3f7fc9; } .arithmetic { fill: #c96f1f; }
  .grid { stroke: #3d444d; } .limit, .range { stroke: #f0f6fc; } .goal { fill: #0d1117; stroke: #f0f6fc; }
}
`

// WriteSVG draws one picture of the cases of some engines: how far each reaches to the
// limit that bounds it, with the range of its rounds, and what that is in tokens.
func WriteSVG(w io.Writer, reports []*Report) error {
	p := &picture{most: axisMost(reports)}
	height := titleHeight + axisHeight
	goals := false
	for _, r := range reports {
		height += headHeight + rowHeight*len(r.Cases)
		goals = goals || slices.ContainsFunc(r.Cases, func(c Result) bool { return c.Goal > 0 })
	}
	p.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title">`, svgWidth, height, svgWidth, height)
	p.put(`<title id="title">How far the CPU engine reaches to the limits of the machine</title><style>%s</style>`, svgStyle)
	p.put(`<rect class="paper" width="%d" height="%d"/>`, svgWidth, height)
	p.title(reports, goals)
	p.grid(titleHeight, height-axisHeight)
	y := titleHeight
	for _, r := range reports {
		y = p.report(r, y)
	}
	p.line("limit", p.x(1), titleHeight-4, p.x(1), float64(height-axisHeight+4))
	p.axis(height - axisHeight)
	p.put(`</svg>`)
	_, err := w.Write(p.Bytes())
	return err
}

// A picture is drawn from top to bottom.
type picture struct {
	bytes.Buffer
	most float64 // share of the limit at the right end
}

// axisMost is where the axis ends: behind the limit, and behind all medians.
func axisMost(reports []*Report) float64 {
	most := 1.1
	for _, r := range reports {
		for i := range r.Cases {
			most = max(most, r.Cases[i].OfLimit.Median+0.05)
		}
	}
	return most
}

func (p *picture) put(format string, a ...any) { fmt.Fprintf(p, format+"\n", a...) }

func (p *picture) x(share float64) float64 {
	return barLeft + barWidth*min(max(share, 0), p.most)/p.most
}

func (p *picture) text(class string, x float64, y int, anchor, format string, a ...any) {
	p.put(`<text class="%s" x="%.1f" y="%d" text-anchor="%s">%s</text>`, class, x, y, anchor, html.EscapeString(fmt.Sprintf(format, a...)))
}

func (p *picture) line(class string, x1, y1, x2, y2 float64) {
	p.put(`<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

func (p *picture) rect(class string, x, y, width, height float64) {
	p.put(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>`, class, x, y, max(width, 0), height)
}

func (p *picture) title(reports []*Report, goals bool) {
	p.text("title", svgMargin, 30, "start", "How far the CPU engine reaches to the limits of the machine")
	if len(reports) > 0 {
		p.text("faint", svgWidth-svgMargin, 30, "end", "%s, %s", reports[0].Machine, reports[0].ISA)
	}
	x, y := float64(svgMargin), 54
	entry := func(width float64, draw func(x float64), text string) {
		draw(x)
		p.text("faint", x+24, y, "start", "%s", text)
		x += width
	}
	entry(216, func(x float64) { p.rect(BoundMemory, x, float64(y-10), 16, 11) }, "bounded by memory’s speed")
	entry(226, func(x float64) { p.rect(BoundArithmetic, x, float64(y-10), 16, 11) }, "bounded by arithmetic’s speed")
	entry(250, func(x float64) { p.whisker(x, x+16, float64(y)-4.5) }, "least to greatest of the rounds")
	if goals {
		entry(80, func(x float64) { p.diamond(x+8, float64(y)-4.5) }, "goal")
	}
}

func (p *picture) grid(top, bottom int) {
	for share := 0.0; share <= p.most; share += 0.25 {
		if share != 1 {
			p.line("grid", p.x(share), float64(top), p.x(share), float64(bottom))
		}
	}
}

func (p *picture) axis(y int) {
	step := 0.25
	if p.most > 2 {
		step = math.Ceil(p.most) / 4
	}
	for share := 0.0; share <= p.most; share += step {
		if share == 1 {
			p.text("head", p.x(1), y+18, "middle", "limit")
		} else {
			p.text("faint", p.x(share), y+18, "middle", "%.0f %%", 100*share)
		}
	}
}

// report draws the cases of an engine and returns where the next one begins.
func (p *picture) report(r *Report, y int) int {
	p.text("head", svgMargin, y+26, "start", "%s", r.Name)
	size := fmt.Sprintf("%.1f MB", float64(r.EngineBytes)/1e6)
	if r.EngineBytes >= 1e9 {
		size = fmt.Sprintf("%.1f GB", float64(r.EngineBytes)/1e9)
	}
	p.text("faint", svgWidth-svgMargin, y+26, "end", "%s, %s, cache %.0f MB", size, r.Precision, float64(r.LastLevelCache)/1e6)
	y += headHeight
	for i := range r.Cases {
		p.row(&r.Cases[i], y)
		y += rowHeight
	}
	return y
}

func (p *picture) row(c *Result, y int) {
	middle := float64(y) + rowHeight/2
	baseline := y + rowHeight/2 + 4
	p.text("", svgMargin, baseline, "start", "%s", c.Label())
	p.text("faint", barLeft-10, baseline, "end", "%s", threadsText(c.Threads))
	top := middle - barHeight/2
	p.rect("track", barLeft, top, p.x(1)-barLeft, barHeight)
	p.rect(c.Bound, barLeft, top, p.x(c.OfLimit.Median)-barLeft, barHeight)
	p.whisker(p.x(c.OfLimit.Least), p.x(c.OfLimit.Most), middle)
	if c.Goal > 0 {
		p.diamond(p.x(c.Goal), middle)
	}
	rate, limit, unit := c.GBPerSecond, c.Stream, "GB/s"
	if c.Bound == BoundArithmetic {
		rate, limit, unit = c.GFLOPPerSecond, c.Peak, "GFLOP/s"
	}
	p.text("", textLeft, baseline, "start", "%.0f %%", 100*c.OfLimit.Median)
	p.text("faint", textLeft+52, baseline, "start", "%s tokens/s, %s of %s %s", short(c.TokensPerSecond), short(rate), short(limit), unit)
}

// short writes a median in three digits.
func short(s benchdoc.Spread) string {
	switch {
	case s.Median < 10:
		return fmt.Sprintf("%.2f", s.Median)
	case s.Median < 100:
		return fmt.Sprintf("%.1f", s.Median)
	}
	return fmt.Sprintf("%.0f", s.Median)
}

// whisker is a range with its ends.
func (p *picture) whisker(from, to, y float64) {
	p.put(`<path class="range" d="M%.1f %.1fv6m0 -3H%.1fm0 -3v6"/>`, from, y-3, to)
}

func (p *picture) diamond(x, y float64) {
	p.put(`<path class="goal" d="M%.1f %.1fl5 5l-5 5l-5 -5z"/>`, x, y-5)
}
