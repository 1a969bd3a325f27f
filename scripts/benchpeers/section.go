//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/benchmark"
)

const tableHead = `| step | threads | trtgo, tokens/s | peer | peer, tokens/s | trtgo ÷ peer | goal | memory gives, GB/s |
|---|---|---|---|---|---|---|---|
`

// section is the part of the document that a run writes.
func (c *contest) section(began time.Time, machine string, details []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "`make bench-peers`, %s, %s (%s), of which other programs took %.1f meanwhile, %s. Rounds: %d.", began.Format(time.DateOnly), machine, benchdoc.Extensions(), c.others, c.quiet.Text(), c.rounds)
	b.WriteString(" Figures are median (least – greatest) of the rounds, ratios too: each is that of two processes of one round.\n\n")
	for _, d := range details {
		fmt.Fprintf(&b, "- %s\n", d)
	}
	for _, g := range c.groups {
		fmt.Fprintf(&b, "\n**%s**: %s\n\n%s", g.weights, g.sizes(), tableHead)
		for _, phase := range phases {
			for _, threads := range c.threads {
				for _, p := range g.peers {
					b.WriteString(c.row(g, p, threads, phase))
				}
			}
		}
	}
	return b.String()
}

// sizes are those of the files. A token reads all but the embedding that is beside a head.
func (g *group) sizes() string {
	var list []string
	for _, c := range g.all() {
		if info, err := os.Stat(c.path); err == nil {
			list = append(list, fmt.Sprintf("%s %.0f MB", c.name, float64(info.Size())/1e6))
		}
	}
	return strings.Join(list, ", ")
}

// row compares ours with a peer.
func (c *contest) row(g *group, p peer, threads int, phase benchmark.Phase) string {
	own, other := key{g.own, threads, phase}, key{p.contestant, threads, phase}
	ratio := benchdoc.Ratios(c.rates(own), c.rates(other))
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | ≥ %g, %s | %.1f |\n", stepName(phase), threads, benchdoc.SpreadOf(c.rates(own)).Range("%.1f"), p.name,
		benchdoc.SpreadOf(c.rates(other)).Range("%.1f"), ratio.Range("%.2f"), p.goals[phase], benchdoc.Verdict(ratio.Median, p.goals[phase]), benchdoc.SpreadOf(c.streams(own)).Median)
}

func stepName(phase benchmark.Phase) string {
	if phase == benchmark.Prefill {
		return fmt.Sprintf("prompt of %d", promptTokens)
	}
	return fmt.Sprintf("decode behind %d", decodeContext)
}
