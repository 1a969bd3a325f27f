package benchmark

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

const (
	profileTime   = 2 * time.Second // for the observed steps of a case
	profileRounds = 5
)

// Share is what some operations of a step take together.
type Share struct {
	Name       string  `json:"name"`
	Count      int     `json:"count"` // operations
	Seconds    float64 `json:"seconds"`
	OfStep     float64 `json:"of_step"` // of the time of all operations
	Bytes      float64 `json:"bytes"`
	Operations float64 `json:"operations"`
	OfStream   float64 `json:"of_stream"`
	OfPeak     float64 `json:"of_peak"`
	// OfLimit is the ratio to the limit of these operations alone.
	OfLimit float64 `json:"of_limit"`
	Bound   string  `json:"bound,omitempty"` // "" where nothing is counted
}

// Operation is one operation of a step. Seconds are the median of the observed steps.
type Operation struct {
	Share
	Kind  string  `json:"kind"`
	Layer int     `json:"layer"` // -1: of none
	Begin float64 `json:"begin"` // seconds from the beginning of the last observed step
}

// span is what a thread did of an operation in the last observed step.
type span struct {
	operation, worker int
	begin, duration   time.Duration
	busy              time.Duration
}

// profile observes a few steps. They are others than the measured ones: observing takes
// time of its own between the operations.
func (m *measurement) profile(ctx context.Context, r *Result) error {
	ops := m.model.program.Ops
	durations := make([][]float64, len(ops))
	operations := make([]Operation, len(ops))
	var streams []*limits
	i := 0
	m.runner.SetObserver(func(o executor.Observation) {
		durations[i] = append(durations[i], o.Duration.Seconds())
		operations[i].Begin = o.Begin.Seconds()
		for worker, s := range o.Workers {
			r.spans = append(r.spans, span{operation: i, worker: worker, begin: s.Begin, duration: s.Duration, busy: s.Busy})
		}
		i++
	})
	defer m.runner.SetObserver(nil)
	for begin, n := time.Now(), 0; n == 0 || n < profileRounds && time.Since(begin) < profileTime; n++ {
		i, r.spans = 0, r.spans[:0]
		seconds, err := m.step(ctx)
		if err != nil {
			return err
		}
		l, err := m.limits(ctx, seconds)
		if err != nil {
			return err
		}
		streams = append(streams, l)
	}
	machine := medianLimits(streams)
	total := 0.0
	for i := range operations {
		total += benchdoc.SpreadOf(durations[i]).Median
	}
	for i := range operations {
		o := &operations[i]
		o.Kind, o.Layer = m.kind(i), layerOf(ops[i].Name)
		o.Share = share(ops[i].Name, benchdoc.SpreadOf(durations[i]).Median, total, machine, m.works[i:i+1])
	}
	r.Kinds = ByKind(operations)
	if m.options.Operations {
		r.Operations = operations
	}
	return nil
}

// ofWantedRows is added to the kind of a linear layer that computes the rows whose
// logits are wanted, where those are fewer than the step's tokens.
const ofWantedRows = " of wanted rows"

// kind names an operation's in the profile.
func (m *measurement) kind(i int) string {
	op := &m.model.program.Ops[i]
	if op.Kind == cpuengine.OpLinear && m.model.program.Buffers[op.In].Selected && len(m.batch) < m.tokens() {
		return string(op.Kind) + ofWantedRows
	}
	return string(op.Kind)
}

// share is what one operation takes of a step of so many seconds.
func share(name string, seconds, total float64, machine *limits, w []work) Share {
	cost := sum(w)
	s := Share{Name: name, Count: 1, Seconds: seconds, Bytes: cost.Bytes(), Operations: cost.Operations()}
	if seconds > 0 {
		s.OfStep = seconds / total
		s.OfStream, s.OfPeak = machine.memorySeconds(w)/seconds, machine.arithmeticSeconds(w)/seconds
	}
	s.limit()
	return s
}

// limit chooses the larger ratio.
func (s *Share) limit() {
	s.OfLimit = max(s.OfStream, s.OfPeak)
	switch {
	case s.OfLimit == 0:
		s.Bound = ""
	case s.OfStream >= s.OfPeak:
		s.Bound = BoundMemory
	default:
		s.Bound = BoundArithmetic
	}
}

// ByKind adds up the operations of each kind, the longest first.
func ByKind(operations []Operation) []Share {
	return group(operations, func(o *Operation) string { return o.Kind })
}

// ByName adds up those of all layers that have a name in common, the longest first.
func ByName(operations []Operation) []Share {
	return group(operations, func(o *Operation) string { return withoutLayer(o.Name) })
}

// ByLayer adds up each layer, and what belongs to none, in order.
func ByLayer(operations []Operation) []Share {
	name := func(layer int) string {
		if layer < 0 {
			return "no layer"
		}
		return "layer " + strconv.Itoa(layer)
	}
	order := map[string]int{}
	for i := range operations {
		order[name(operations[i].Layer)] = operations[i].Layer
	}
	shares := group(operations, func(o *Operation) string { return name(o.Layer) })
	slices.SortFunc(shares, func(a, b Share) int { return cmp.Compare(order[a.Name], order[b.Name]) })
	return shares
}

func group(operations []Operation, name func(*Operation) string) []Share {
	groups := map[string]*Share{}
	for i := range operations {
		o := &operations[i]
		g := groups[name(o)]
		if g == nil {
			g = &Share{Name: name(o)}
			groups[g.Name] = g
		}
		// The ratios are seconds of the limits until all are in.
		g.OfStream += o.OfStream * o.Seconds
		g.OfPeak += o.OfPeak * o.Seconds
		g.Count++
		g.Seconds += o.Seconds
		g.OfStep += o.OfStep
		g.Bytes += o.Bytes
		g.Operations += o.Operations
	}
	var shares []Share
	for _, g := range groups {
		if g.Seconds > 0 {
			g.OfStream /= g.Seconds
			g.OfPeak /= g.Seconds
		}
		g.limit()
		shares = append(shares, *g)
	}
	slices.SortFunc(shares, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), strings.Compare(a.Name, b.Name))
	})
	return shares
}

func medianLimits(all []*limits) *limits {
	var streams []float64
	for _, l := range all {
		streams = append(streams, l.stream)
	}
	m := &limits{stream: benchdoc.SpreadOf(streams).Median, peak: map[cpu.Arithmetic]float64{}}
	for a := range all[0].peak {
		var peaks []float64
		for _, l := range all {
			peaks = append(peaks, l.peak[a])
		}
		m.peak[a] = benchdoc.SpreadOf(peaks).Median
	}
	return m
}

// layerOf reads the number in "layers.3.attention.qkv"; -1 where there is none.
func layerOf(name string) int {
	fields := strings.SplitN(name, ".", 3)
	if len(fields) < 3 || fields[0] != "layers" {
		return -1
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return -1
	}
	return n
}

// withoutLayer is an operation's name without the numbers of layers.
func withoutLayer(name string) string {
	parts := strings.Split(name, "|")
	for i, part := range parts {
		if layerOf(part) >= 0 {
			parts[i] = strings.SplitN(part, ".", 3)[2]
		}
	}
	return strings.Join(parts, "|")
}
