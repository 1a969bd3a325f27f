package evaluation

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
)

//go:embed compare_report.html
var reportTemplate string

// The report's charts are drawn in this many units, and hold this much at most: a page has to open quickly.
const (
	chartWidth  = 640.0
	chartHeight = 200.0
	chartBins   = 128
	chartPoints = 1500
	textTokens  = 1000 // shown with colours
	leastKL     = 1e-8 // what is smaller is rounding, and drawn as this
)

// report is what the page shows.
type report struct {
	CompareSummary
	Along     chart // mean KL of parts of the texts, logarithmic
	Histogram chart // tokens by KL
	Contexts  chart
	LogProbs  chart
	Pieces    []coloured
	More      int // tokens that are not shown
}

// chart is bars or points in a box of chartWidth and chartHeight.
type chart struct {
	Bars   []bar
	Points []point
	Ticks  []tick // of the vertical axis
	Feet   []tick // of the horizontal axis
}

type bar struct {
	X, Y, Width, Height float64
	Title               string
}

type point struct {
	X, Y  float64
	Title string
}

type tick struct {
	At    float64
	Label string
}

// coloured is a token of the text with how strongly it is marked, from 0 to 1.
type coloured struct {
	Piece   string
	Opacity float64
	Title   string
	Differ  bool // the likeliest tokens differ
}

// WriteReport writes a page of HTML that needs nothing else. piece gives a token's text.
func (c *Comparison) WriteReport(w io.Writer, piece func(int32) string) error {
	r := report{
		CompareSummary: c.Summary(piece), Along: c.along(), Histogram: c.histogram(), Contexts: contexts(c.byContext()), LogProbs: c.logProbPoints(),
	}
	r.Pieces, r.More = c.coloured(piece)
	page, err := template.New("report").Funcs(template.FuncMap{
		"percent": func(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) },
		"small":   func(v float64) string { return fmt.Sprintf("%.3g", v) },
		"four":    func(v float64) string { return fmt.Sprintf("%.4f", v) },
		"signed":  func(v float64) string { return fmt.Sprintf("%+.5f", v) },
		"px":      func(v float64) string { return fmt.Sprintf("%.1f", v) },
		"wide":    func(v float64) string { return fmt.Sprintf("%.1f", 100*v) },
		"shown":   shownPiece,
	}).Parse(reportTemplate)
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

// shownPiece makes blanks and line ends of a token visible.
func shownPiece(piece string) string { return fmt.Sprintf("%q", piece) }

// logScale is the vertical axis of a chart of KL divergences: whole decades, the lowest bar's among them.
type logScale struct{ least, most float64 }

func newLogScale(values []float64) logScale {
	s := logScale{math.Inf(1), leastKL}
	for _, v := range values {
		s.least, s.most = min(s.least, max(v, leastKL)), max(s.most, v)
	}
	s.least = math.Pow10(int(math.Floor(math.Log10(s.least)) - 1))
	s.most = max(s.most, 10*s.least)
	return s
}

func (s logScale) height(kl float64) float64 {
	return chartHeight * math.Log(max(kl, s.least)/s.least) / math.Log(s.most/s.least)
}

// ticks are powers of ten.
func (s logScale) ticks() []tick {
	var ticks []tick
	for exponent := int(math.Round(math.Log10(s.least))); math.Pow10(exponent) <= s.most; exponent++ {
		ticks = append(ticks, tick{chartHeight - s.height(math.Pow10(exponent)), fmt.Sprintf("1e%d", exponent)})
	}
	return ticks
}

// along draws the mean of equal parts of all tokens, in their order.
func (c *Comparison) along() chart {
	n := len(c.Tokens)
	bins := min(chartBins, n)
	means := make([]float64, bins)
	bounds := func(i int) (int, int) { return i * n / bins, (i + 1) * n / bins }
	for i := range bins {
		from, to := bounds(i)
		means[i] = part(c.Tokens[from:to]).KL
	}
	scale := newLogScale(means)
	ch := chart{Ticks: scale.ticks(), Feet: []tick{{0, "0"}, {chartWidth, fmt.Sprint(n)}}}
	width := chartWidth / float64(bins)
	for i, mean := range means {
		from, to := bounds(i)
		height := scale.height(mean)
		ch.Bars = append(ch.Bars, bar{float64(i) * width, chartHeight - height, width * 0.85, height, fmt.Sprintf("tokens %d to %d: mean KL %.3g", from+1, to, mean)})
	}
	return ch
}

// histogram counts tokens in quarters of a decade of KL.
func (c *Comparison) histogram() chart {
	const least, most, bins = -8.0, 2.0, 40
	var counts [bins]int
	for i := range c.Tokens {
		at := (math.Log10(max(c.Tokens[i].KL, leastKL)) - least) / (most - least) * bins
		counts[min(bins-1, max(0, int(at)))]++
	}
	highest := slices.Max(counts[:])
	ch := chart{Ticks: []tick{{0, fmt.Sprint(highest)}}}
	width := chartWidth / bins
	for i, n := range counts {
		height := chartHeight * float64(n) / float64(max(1, highest))
		low := math.Pow(10, least+float64(i)*(most-least)/bins)
		ch.Bars = append(ch.Bars, bar{float64(i) * width, chartHeight - height, width * 0.85, height, fmt.Sprintf("%d tokens from %.2g on", n, low)})
	}
	for exponent := least; exponent <= most; exponent += 2 {
		ch.Feet = append(ch.Feet, tick{(exponent - least) / (most - least) * chartWidth, fmt.Sprintf("1e%.0f", exponent)})
	}
	return ch
}

// contexts draws the mean KL by how much stands before a token.
func contexts(parts []ByContext) chart {
	var means []float64
	for _, p := range parts {
		means = append(means, p.KL)
	}
	scale := newLogScale(means)
	ch := chart{Ticks: scale.ticks()}
	width := chartWidth / float64(max(1, len(parts)))
	for i, p := range parts {
		height := scale.height(p.KL)
		ch.Bars = append(ch.Bars, bar{float64(i) * width, chartHeight - height, width * 0.85, height,
			fmt.Sprintf("%d to %d tokens before: mean KL %.3g, the same likeliest token at %.1f %% of %d", p.From, p.To, p.KL, 100*p.SameBest, p.Tokens)})
		ch.Feet = append(ch.Feet, tick{float64(i)*width + width*0.42, fmt.Sprint(p.From)})
	}
	return ch
}

// logProbPoints has a point for each token, or for some of many: A's log-prob to the right, B's upwards.
func (c *Comparison) logProbPoints() chart {
	least := -1.0
	for i := range c.Tokens {
		least = min(least, c.Tokens[i].LogProbA, c.Tokens[i].LogProbB)
	}
	ch := chart{Ticks: []tick{{0, "0"}, {chartHeight, fmt.Sprintf("%.1f", least)}}, Feet: []tick{{0, fmt.Sprintf("%.1f", least)}, {chartWidth, "0"}}}
	step := max(1, (len(c.Tokens)+chartPoints-1)/chartPoints)
	for i := 0; i < len(c.Tokens); i += step {
		t := &c.Tokens[i]
		ch.Points = append(ch.Points, point{chartWidth * (1 - t.LogProbA/least), chartHeight * t.LogProbB / least,
			fmt.Sprintf("token %d: A %.4f, B %.4f", t.Position, t.LogProbA, t.LogProbB)})
	}
	return ch
}

// coloured marks the tokens of the first text by their KL, on a logarithmic scale from 1e-4 to 1.
func (c *Comparison) coloured(piece func(int32) string) (list []coloured, more int) {
	ids := c.Texts[0]
	marks := map[int]*TokenDifference{}
	for i := range c.Tokens {
		if t := &c.Tokens[i]; t.Text == 0 {
			marks[t.Position] = t
		}
	}
	for i, id := range ids[:min(len(ids), textTokens)] {
		p := coloured{Piece: piece(id), Title: "not counted"}
		if t := marks[i]; t != nil {
			p.Opacity = min(1, max(0, (math.Log10(max(t.KL, leastKL))+4)/4))
			p.Differ = t.BestA != t.BestB
			p.Title = fmt.Sprintf("KL %.3g, log-prob A %.3f, B %.3f; likeliest A %q, B %q", t.KL, t.LogProbA, t.LogProbB, piece(t.BestA), piece(t.BestB))
		}
		list = append(list, p)
	}
	return list, max(0, len(ids)-textTokens)
}
