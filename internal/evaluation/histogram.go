package evaluation

import (
	"fmt"
	"math"
	"strings"
)

// histogramBins divide 0 to 1.
const histogramBins = 20

// histogram draws how values between 0 and 1 are distributed, and their median of the bootstrap as a line, as SVG. Its colours are the
// page's own. title must need no escaping.
func histogram(title string, values []float64, median float64) string {
	var counts [histogramBins]int
	most := 1
	for _, v := range values {
		bin := min(max(int(v*histogramBins), 0), histogramBins-1)
		counts[bin]++
		most = max(most, counts[bin])
	}
	const width, height, left, right, bottom = 320, 120, 24, 12, 100
	step := float64(width-left-right) / histogramBins
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s of %d samples, median %.1f">`, width, height, title, len(values), 100*median)
	fmt.Fprintf(&b, `<text class="name" x="%d" y="12">%s</text>`, left, title)
	for i, count := range counts {
		if count == 0 {
			continue
		}
		h := math.Round(float64(count) / float64(most) * (bottom - 20))
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.0f" width="%.1f" height="%.0f"><title>%d of %d between %d and %d</title></rect>`,
			left+float64(i)*step+0.5, bottom-h, step-1, h, count, len(values), 100*i/histogramBins, 100*(i+1)/histogramBins)
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%d" y1="%d" x2="%d" y2="%d"/>`, left, bottom, width-right, bottom)
	for tick := 0; tick <= 100; tick += 25 {
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%d">%d</text>`, left+float64(tick)/100*step*histogramBins, bottom+14, tick)
	}
	fmt.Fprintf(&b, `<text class="tick" x="%d" y="24">%d</text>`, left-12, most)
	at := left + median*step*histogramBins
	fmt.Fprintf(&b, `<line class="median" x1="%.1f" y1="16" x2="%.1f" y2="%d"/></svg>`, at, at, bottom)
	return b.String()
}
