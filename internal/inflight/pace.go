package inflight

import (
	"math"
	"time"
)

// The prompt tokens of a step: as long as nothing is known of the runner's speed, at
// least, and how many times more when no answer is being generated. A step reads all
// weights once, so that fewer tokens would hardly take less time.
const (
	firstChunk = 128
	leastChunk = 32
	aloneTimes = 8
)

// paceWeight is the weight of the last step in the running estimate.
const paceWeight = 0.25

// pace bounds a step's prompt tokens by the time that they should take.
type pace struct {
	bound    time.Duration
	perToken float64 // nanoseconds, of steps with prompts; 0 is unknown
}

// tokens is how many prompt tokens a step may have, beside tokens of generating
// sequences or alone.
func (p *pace) tokens(generating bool) int {
	n := firstChunk
	if p.perToken > 0 {
		n = int(min(float64(p.bound)/p.perToken, math.MaxInt32))
	}
	n = max(n, leastChunk)
	if !generating {
		n *= aloneTimes
	}
	return n
}

// observe learns from a step. One with few prompt tokens tells little about many.
func (p *pace) observe(parts []planned, took time.Duration) {
	prompt, all := 0, 0
	for i := range parts {
		all += parts[i].n
		if parts[i].n > 1 {
			prompt += parts[i].n
		}
	}
	if prompt < leastChunk || took <= 0 {
		return
	}
	now := float64(took) / float64(all)
	if p.perToken == 0 {
		p.perToken = now
	}
	p.perToken += paceWeight * (now - p.perToken)
}
