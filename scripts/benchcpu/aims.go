//go:build linux

package main

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

// aim is what was aimed at, with one thread and with two.
type aim struct {
	what    string
	aims    [2]float64
	figure  func(threads int) (float64, error)
	of      *column // whose case the picture shows it at; nil for none
	pointed func(c *benchmark.Result) bool
}

func both(value float64) [2]float64 { return [2]float64{value, value} }

// aims are those of the measured engines.
func (m *measured) aims() []aim {
	small, large := m.small, m.large
	decode := func(what string, c *column, aims [2]float64) aim {
		return aim{"decode, batch 1: " + what, aims, func(threads int) (float64, error) {
			r, err := c.find(benchmark.Decode, threads, 1, context128)
			return r.OfLimit.Median, err
		}, c, func(r *benchmark.Result) bool {
			return r.Phase == benchmark.Decode && r.BatchSize == 1 && r.Context == context128
		}}
	}
	prompt := func(what string, c *column, least float64) aim {
		return aim{fmt.Sprintf("prompt of %d: %s, of peak", promptTokens, what), both(least), func(threads int) (float64, error) {
			r, err := c.find(benchmark.Prefill, threads, 1, 0)
			return r.OfPeak.Median, err
		}, c, func(r *benchmark.Result) bool { return r.Phase == benchmark.Prefill }}
	}
	attention := func(batch int) aim {
		return aim{what: fmt.Sprintf("attention with %d of context, batch %d: 4B shape, of stream", longContext, batch), aims: [2]float64{0.5, 0.6}, figure: func(threads int) (float64, error) {
			s, err := large[0].kind("attention", benchmark.Decode, threads, batch, longContext)
			return s.OfStream, err
		}}
	}
	return []aim{
		decode("SmolLM2, bfloat16, of the limit", small[0], [2]float64{0.85, 0.80}),
		decode("SmolLM2, "+small[1].title+", of the limit", small[1], [2]float64{0.80, 0.70}),
		decode("SmolLM2, "+small[2].title+", of the limit", small[2], [2]float64{0.65, 0.55}),
		decode("4B shape, bfloat16, of the limit", large[0], both(0.90)),
		decode("4B shape, int4, of the limit", large[1], [2]float64{0.85, 0.80}),
		{what: fmt.Sprintf("prompt of %d: linear layers of the 4B shape in bfloat16, of peak", promptTokens), aims: both(0.85), figure: func(threads int) (float64, error) {
			s, err := large[0].kind("linear", benchmark.Prefill, threads, 1, 0)
			return s.OfPeak, err
		}},
		prompt("4B shape in bfloat16, end to end", large[0], 0.75),
		prompt("SmolLM2 in bfloat16, end to end", small[0], 0.65),
		{what: fmt.Sprintf("batch %d ÷ batch 1, tokens/s: 4B shape in bfloat16", largeBatch), aims: both(5), figure: large[0].batchGain},
		attention(1),
		attention(largeBatch),
	}
}

// batchGain is how much faster a large batch is.
func (c *column) batchGain(threads int) (float64, error) {
	one, err := c.find(benchmark.Decode, threads, 1, context128)
	if err != nil {
		return 0, err
	}
	many, err := c.find(benchmark.Decode, threads, largeBatch, context128)
	return many.TokensPerSecond.Median / one.TokensPerSecond.Median, err
}

// find gives a case; an empty one with an error.
func (c *column) find(phase benchmark.Phase, threads, batch, context int) (*benchmark.Result, error) {
	r, err := benchrun.Find(c.Report, phase, threads, batch, context)
	if err != nil {
		return &benchmark.Result{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	return r, nil
}

// kind gives what operations of a kind take of a case.
func (c *column) kind(name string, phase benchmark.Phase, threads, batch, context int) (benchmark.Share, error) {
	r, err := c.find(phase, threads, batch, context)
	if err != nil {
		return benchmark.Share{}, err
	}
	for _, s := range r.Kinds {
		if s.Name == name {
			return s, nil
		}
	}
	return benchmark.Share{}, fmt.Errorf("%s: trtgo bench told nothing of operations of the kind %s", c.Name, name)
}

// aimed are the thread counts that there are aims for.
func (m *measured) aimed() (threads []int) {
	for _, n := range m.threads {
		if n == 1 || n == 2 {
			threads = append(threads, n)
		}
	}
	return threads
}

// row is the aim's line of the table: its columns have a number for each thread count.
func (a *aim) row(threads []int) (string, error) {
	var aims, figures, verdicts []string
	for _, n := range threads {
		figure, err := a.figure(n)
		if err != nil {
			return "", err
		}
		aims = append(aims, fmt.Sprintf("%.2f", a.aims[n-1]))
		figures = append(figures, fmt.Sprintf("%.2f", figure))
		verdicts = append(verdicts, benchdoc.Verdict(figure, a.aims[n-1]))
	}
	slash := func(list []string) string { return strings.Join(list, " / ") }
	return fmt.Sprintf("| %s | %s | %s | %s |\n", a.what, slash(aims), slash(figures), slash(verdicts)), nil
}
