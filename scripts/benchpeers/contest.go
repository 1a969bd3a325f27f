//go:build linux

package main

import (
	"context"
	"fmt"
	"math"

	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

// contest measures all groups in turns.
type contest struct {
	rounds  int
	threads []int
	groups  []*group
	quiet   benchrun.Quiet

	others  float64          // cores that other programs took meanwhile
	results map[key][]sample // one for each round
}

// key is what is measured once a round.
type key struct {
	of      *contestant
	threads int
	phase   benchmark.Phase
}

var phases = []benchmark.Phase{benchmark.Prefill, benchmark.Decode}

// run measures everything.
func (c *contest) run(ctx context.Context) error {
	c.results = map[key][]sample{}
	for round := range c.rounds {
		for _, k := range c.turns(round) {
			s, err := c.measure(ctx, k)
			if err != nil {
				return fmt.Errorf("%s, %s with %d threads, round %d: %w", k.of.name, k.phase, k.threads, round+1, err)
			}
			c.results[k] = append(c.results[k], s)
			c.quiet.Say("round %d of %d, %s, %d threads, %s: %.1f tokens/s", round+1, c.rounds, k.phase, k.threads, k.of.name, s.rate)
		}
	}
	return nil
}

// turns are the measurements of a round. Those that are compared come one after the
// other, another one first in every round.
func (c *contest) turns(round int) (turns []key) {
	for _, threads := range c.threads {
		for _, g := range c.groups {
			all := g.all()
			for _, phase := range phases {
				for i := range all {
					turns = append(turns, key{all[(i+round)%len(all)], threads, phase})
				}
			}
		}
	}
	return turns
}

// measure takes one sample.
func (c *contest) measure(ctx context.Context, k key) (sample, error) {
	s, err := benchrun.Quietly(&c.quiet, k.of.name, func() (sample, error) { return k.of.measure(ctx, k.threads, k.phase) })
	if err == nil && (!(s.rate > 0) || math.IsInf(s.rate, 0)) {
		err = fmt.Errorf("%.3f tokens/s is no speed", s.rate)
	}
	return s, err
}

// rates are those of all rounds.
func (c *contest) rates(k key) (rates []float64) {
	for _, s := range c.results[k] {
		rates = append(rates, s.rate)
	}
	return rates
}

// streams are what memory gave beside each round.
func (c *contest) streams(k key) (streams []float64) {
	for _, s := range c.results[k] {
		streams = append(streams, s.stream)
	}
	return streams
}
