package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/benchmark"
)

// benchJSON is what bench --json prints: the report, and before it the two cases that
// say most with one number each.
type benchJSON struct {
	Prefill *benchHeadline `json:"prefill,omitempty"` // the longest prompt, most threads
	Decode  *benchHeadline `json:"decode,omitempty"`  // the smallest batch and context, most threads
	*benchmark.Report
}

// benchHeadline has medians.
type benchHeadline struct {
	benchmark.Case
	TokensPerSecond    float64 `json:"tokens_per_second"`
	BytesPerToken      float64 `json:"bytes_per_token"`
	OperationsPerToken float64 `json:"operations_per_token"`
	Stream             float64 `json:"stream_gb_per_second"`
	Peak               float64 `json:"peak_gflop_per_second"`
	OfStream           float64 `json:"of_stream"`
	OfPeak             float64 `json:"of_peak"`
}

// newBenchJSON leaves single operations out unless they are wanted.
func newBenchJSON(r *benchmark.Report, operations bool) *benchJSON {
	j := &benchJSON{Report: r}
	for i := range r.Cases {
		c := &r.Cases[i]
		if !operations {
			c.Operations = nil
		}
		better := func(old *benchHeadline, size int) bool {
			if old == nil || c.Threads != old.Threads {
				return old == nil || c.Threads > old.Threads
			}
			return size > 0
		}
		if c.Phase == benchmark.Prefill {
			if better(j.Prefill, c.Tokens-tokensOf(j.Prefill)) {
				j.Prefill = newBenchHeadline(c)
			}
		} else if better(j.Decode, tokensOf(j.Decode)-c.Tokens) {
			j.Decode = newBenchHeadline(c)
		}
	}
	return j
}

func tokensOf(h *benchHeadline) int {
	if h == nil {
		return 0
	}
	return h.Tokens
}

func newBenchHeadline(c *benchmark.Result) *benchHeadline {
	return &benchHeadline{
		Case: c.Case, TokensPerSecond: c.TokensPerSecond.Median, BytesPerToken: c.BytesPerToken, OperationsPerToken: c.OperationsPerToken,
		Stream: c.Stream.Median, Peak: c.Peak.Median, OfStream: c.OfStream.Median, OfPeak: c.OfPeak.Median,
	}
}

func printBench(c *cli.Context, r *benchmark.Report) error {
	if err := printf(c, "%s: %s, %d layers, %s weights, %s KV cache, %s on %s; %s, last-level cache %s\n\n", r.Name, humanBytes(r.EngineBytes), r.Layers,
		r.WeightDtypes, r.KVCacheDtype, r.Precision, r.ISA, r.Machine, humanBytes(r.LastLevelCache)); err != nil {
		return err
	}
	w := newTable(c.App.Writer)
	fmt.Fprintln(w, "step\tthreads\ttokens/s\tMB/token\tGB/s\tmemory gives\tGFLOP/token\tGFLOP/s\tarithmetic gives\tof limit\tbounded by\t")
	for i := range r.Cases {
		s := &r.Cases[i]
		fmt.Fprintf(w, "%s\t%d\t%s\t%.1f\t%s\t%s\t%.3f\t%s\t%s\t%s\t%s\t\n", s.Label(), s.Threads, rangeText(s.TokensPerSecond, 1), s.BytesPerToken/1e6,
			median(s.GBPerSecond, 1), median(s.Stream, 1), s.OperationsPerToken/1e9, median(s.GFLOPPerSecond, 1), median(s.Peak, 1), rangeText(s.OfLimit, 2), s.Bound)
	}
	if err := w.Flush(); err != nil || !c.Bool("profile") {
		return err
	}
	for i := range r.Cases {
		if err := printProfile(c, &r.Cases[i]); err != nil {
			return err
		}
	}
	return nil
}

// rangeText is "118.2 (101.0–120.3)".
func rangeText(s benchdoc.Spread, digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Least, digits, s.Most)
}

func median(s benchdoc.Spread, digits int) string { return fmt.Sprintf("%.*f", digits, s.Median) }

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// printProfile has a line for each kind of operation, and one for each operation of a
// layer with all layers together.
func printProfile(c *cli.Context, r *benchmark.Result) error {
	if err := printf(c, "\n%s, %d threads: operations of a step\n", r.Label(), r.Threads); err != nil {
		return err
	}
	w := newTable(c.App.Writer)
	fmt.Fprintln(w, "operation\tcount\tms\tof step\tMB\tGB/s\tGFLOP/s\tof limit\tbounded by\t")
	printShares(w, r.Kinds)
	fmt.Fprintln(w, "\t\t\t\t\t\t\t\t\t")
	printShares(w, benchmark.ByName(r.Operations))
	fmt.Fprintln(w, "\t\t\t\t\t\t\t\t\t")
	printShares(w, benchmark.ByLayer(r.Operations))
	return w.Flush()
}

func printShares(w io.Writer, shares []benchmark.Share) {
	for _, s := range shares {
		ratio := "-"
		if s.Bound != "" {
			ratio = fmt.Sprintf("%.2f", s.OfLimit)
		}
		fmt.Fprintf(w, "%s\t%d\t%.3f\t%.1f %%\t%.2f\t%.1f\t%.1f\t%s\t%s\t\n", s.Name, s.Count, s.Seconds*1e3, 100*s.OfStep, s.Bytes/1e6,
			s.Bytes/s.Seconds/1e9, s.Operations/s.Seconds/1e9, ratio, cmp.Or(s.Bound, "-"))
	}
}
