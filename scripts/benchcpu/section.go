//go:build linux

package main

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/internal/benchmark"
)

// column is an engine's part of a table.
type column struct {
	title string
	*benchmark.Report
}

// measured is everything that a run has measured.
type measured struct {
	threads      []int
	layers       int // of the shape
	small, large []*column
}

// section is the part of the document that a run writes.
func (m *measured) section(intro string) (string, error) {
	var b strings.Builder
	name := "The 4B shape"
	if m.layers != shapeLayers {
		name += fmt.Sprintf(", %d of its %d layers", m.layers, shapeLayers)
	}
	fmt.Fprintf(&b, "%s Kernels for %s, %s.\n\n", intro, m.small[0].ISA, m.small[0].Precision)
	for _, t := range []struct {
		name    string
		columns []*column
	}{{name, m.large}, {"SmolLM2-135M-Instruct", m.small}} {
		text, err := table(t.columns, m.threads)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s, by weights:\n\n%s\n", t.name, text)
	}
	text, err := m.aimTable()
	return b.String() + text + "\n![How far the CPU engine reaches to the limits of the machine](" + picture + ")\n", err
}

// table has a line for each case, and two columns for each engine.
func table(columns []*column, threads []int) (string, error) {
	var b strings.Builder
	b.WriteString("| | threads |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s, %s: tokens/s | of the limit |", c.title, size(c.EngineBytes))
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|---|", len(columns)) + "\n")
	for i := range columns[0].Cases {
		if columns[0].Cases[i].Threads != threads[0] {
			continue
		}
		for _, n := range threads {
			of := columns[0].Cases[i].Case
			of.Threads = n
			line, err := row(columns, of)
			if err != nil {
				return "", err
			}
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// row is the line of a case.
func row(columns []*column, of benchmark.Case) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %d |", stepName(of), of.Threads)
	for _, c := range columns {
		r, err := c.find(of.Phase, of.Threads, of.BatchSize, of.Context)
		if err != nil {
			return "", err
		}
		bound := "stream"
		if r.Bound == benchmark.BoundArithmetic {
			bound = "peak"
		}
		fmt.Fprintf(&b, " %s | %s of %s |", r.TokensPerSecond.Range(digits(r.TokensPerSecond.Median)), r.OfLimit.Range("%.2f"), bound)
	}
	return b.String() + "\n", nil
}

// digits is the format that leaves about three of a number.
func digits(n float64) string {
	switch {
	case n < 10:
		return "%.2f"
	case n < 100:
		return "%.1f"
	}
	return "%.0f"
}

func size(bytes int64) string {
	if bytes >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
}

func stepName(c benchmark.Case) string {
	if c.Phase == benchmark.Prefill {
		return fmt.Sprintf("prompt of %d", c.Tokens)
	}
	return fmt.Sprintf("decode, batch %d, %d of context", c.BatchSize, c.Context)
}

// aimTable has the aims for one thread and for two, as far as those were measured.
func (m *measured) aimTable() (string, error) {
	threads := m.aimed()
	if len(threads) == 0 {
		return "", nil
	}
	counts := strings.ReplaceAll(numbers(threads), ",", " / ")
	var b strings.Builder
	fmt.Fprintf(&b, "What was aimed at, and what came of it, medians with %s threads:\n\n| | aim | measured | |\n|---|---|---|---|\n", counts)
	for _, a := range m.aims() {
		row, err := a.row(threads)
		if err != nil {
			return "", err
		}
		b.WriteString(row)
	}
	return b.String(), nil
}

// pictured are the engines in the picture, those of bfloat16, with the aims of whole steps.
func (m *measured) pictured() []*benchmark.Report {
	reports := []*column{m.large[0], m.small[0]}
	for _, a := range m.aims() {
		for _, c := range reports {
			if a.of != c {
				continue
			}
			for i := range c.Cases {
				if r := &c.Cases[i]; a.pointed(r) && r.Threads <= 2 {
					r.Goal = a.aims[r.Threads-1]
				}
			}
		}
	}
	m.small[0].Name = "SmolLM2-135M-Instruct bfloat16"
	return []*benchmark.Report{m.large[0].Report, m.small[0].Report}
}
