//go:build cgo && linux && (amd64 || arm64)

package trtllm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
)

// benchmarkReport gathers the rows of the tables.
type benchmarkReport struct {
	began                                           time.Time
	load                                            benchdoc.Load
	rounds                                          int
	overheads, idles, gaps, firstTokens, cancelRows []string
}

func newBenchmarkReport(rounds int) *benchmarkReport {
	return &benchmarkReport{began: time.Now(), load: benchdoc.BeginLoad(), rounds: rounds}
}

// metrics reports the three numbers of a spread.
func metrics(b *testing.B, s benchdoc.Spread, unit string) {
	b.ReportMetric(s.Least, unit+"-min")
	b.ReportMetric(s.Median, unit)
	b.ReportMetric(s.Most, unit+"-max")
}

func (r *benchmarkReport) overhead(b *testing.B, model string, batch int, sampling string, o *overhead) {
	if o.rounds == 0 {
		b.Fatal("the streams never ran together: more tokens are needed")
	}
	loop, all := benchdoc.SpreadOf(o.loop), benchdoc.SpreadOf(o.all)
	b.ReportMetric(0, "ns/op") // of no use
	b.ReportMetric(1e3*quantile(o.steps, 0.5), "ms/step")
	b.ReportMetric(1e6*quantile(o.loops, 0.5), "loop-µs")
	b.ReportMetric(1e6*quantile(o.loops, 0.99), "loop-µs-p99")
	b.ReportMetric(100*o.again, "%again")
	metrics(b, loop, "%loop")
	metrics(b, all, "%all")
	r.overheads = append(r.overheads, fmt.Sprintf("| %s | %d | %s | %.1f | %.0f / %.0f | %s | %s | %.1f |", model, batch, sampling,
		1e3*quantile(o.steps, 0.5), 1e6*quantile(o.loops, 0.5), 1e6*quantile(o.loops, 0.99), loop.Text("%.2f"), all.Text("%.2f"), 100*o.again))
}

func (r *benchmarkReport) idle(b *testing.B, s benchdoc.Spread) {
	metrics(b, s, "%core")
	r.idles = append(r.idles, fmt.Sprintf("An open engine without requests, and the process around it, take %s %% of a core.\n", s.Text("%.3f")))
}

func (r *benchmarkReport) gap(b *testing.B, procs, busy int, gaps, steps []float64) {
	us := func(q float64) float64 { return 1e6 * quantile(gaps, q) }
	b.ReportMetric(us(0.5), "gap-µs")
	b.ReportMetric(us(0.99), "gap-µs-p99")
	b.ReportMetric(us(1), "gap-µs-max")
	r.gaps = append(r.gaps, fmt.Sprintf("| %d | %d | %.1f | %.0f / %.0f / %.0f |", procs, busy, 1e3*quantile(steps, 0.5), us(0.5), us(0.99), us(1)))
}

func (r *benchmarkReport) firstToken(b *testing.B, n, shared int, cold, warm, ratio benchdoc.Spread) {
	metrics(b, cold, "cold-ms")
	metrics(b, warm, "warm-ms")
	metrics(b, ratio, "warm/cold")
	r.firstTokens = append(r.firstTokens, fmt.Sprintf("| %d | %d | %s | %s | %s |", n, shared, cold.Text("%.1f"), warm.Text("%.1f"), ratio.Text("%.3f")))
}

func (r *benchmarkReport) cancel(b *testing.B, model string, n int, full time.Duration, s benchdoc.Spread) {
	metrics(b, s, "cancel-ms")
	r.cancelRows = append(r.cancelRows, fmt.Sprintf("| %s | %d | %.0f | %s |", model, n, 1e3*full.Seconds(), s.Text("%.2f")))
}

// section is what goes into the document.
func (r *benchmarkReport) section() string {
	var t strings.Builder
	fmt.Fprintf(&t, "`make bench-executor`, %s, %s, of which other programs took %.1f meanwhile. Where three numbers have no other name they are the least, the median and the greatest; shares of a step are medians of a round, rounds: %d.\n\n",
		r.began.Format(time.DateOnly), benchdoc.Machine(), r.load.Others(), r.rounds)
	table := func(title, head string, rows []string) {
		fmt.Fprintf(&t, "%s\n\n| %s |\n|%s\n%s\n\n", title, head, strings.Repeat("---|", strings.Count(head, "|")+1), strings.Join(rows, "\n"))
	}
	table("**A step and what comes with it** (streams of text, all decoding)",
		"model | streams | sampling | step, ms | between steps, µs, p50 / p99 | between steps, % of a step | with reading and decoding, % of a step | steps done again, %", r.overheads)
	fmt.Fprintf(&t, "**Idle**\n\n%s\n", strings.Join(r.idles, ""))
	table("**From step to step with busy goroutines** (SmolLM2-135M, one stream)", "GOMAXPROCS | busy goroutines | step, ms | gap, µs, p50 / p99 / greatest", r.gaps)
	table("**First token with and without prefix reuse** (SmolLM2-135M)", "prompt | of it shared | nothing known, ms | prefix known, ms | ratio", r.firstTokens)
	table("**Cancelling a long prompt**", "model | prompt | first token without cancel, ms | end of the stream after cancel, ms", r.cancelRows)
	return strings.TrimRight(t.String(), "\n") + "\n"
}
