//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// TestObserver hears every operation once a step, in the program's order, with the
// largest magnitude that each linear read and 0 for the others.
func TestObserver(t *testing.T) {
	eachISA(t, func(t *testing.T, isa string) {
		for _, precision := range []string{"exact", "fast"} {
			for threads := 1; threads <= 3; threads++ {
				t.Run(fmt.Sprintf("%s %d threads", precision, threads), func(t *testing.T) {
					m := smallModel(bf16)
					r := openEngine(t, m.write(t), Options{ISA: isa, Precision: precision, Threads: threads})
					tokens := randomTokens(1, 70, m.vocab) // rows of more than one group
					batch := wanting(piece(tokens, 0, 2, 1, 0), 0)
					want := rowLogits(step(t, r, batch))
					_, amax := m.evaluate(precision == "fast", tokens)

					var heard []executor.Observation
					r.SetObserver(func(o executor.Observation) {
						o.Workers = slices.Clone(o.Workers)
						heard = append(heard, o)
					})
					sameRows(t, want, rowLogits(step(t, r, batch)), "observed")
					require.Len(t, heard, len(m.program.Ops))
					var total, last time.Duration
					for i, o := range heard {
						require.Equal(t, m.program.Ops[i].Name, o.Operation)
						require.GreaterOrEqual(t, o.Duration, time.Duration(0))
						require.Less(t, o.Duration, time.Minute)
						require.GreaterOrEqual(t, o.Begin, last)
						last = o.Begin
						requireWorkers(t, o, threads)
						total += o.Duration
						expected, linear := amax[o.Operation]
						require.Equal(t, m.program.Ops[i].Kind == "linear", linear)
						require.InDelta(t, expected, o.InputAmax, 1e-5*expected, o.Operation)
					}
					require.Positive(t, total)

					step(t, r, batch)
					require.Len(t, heard, 2*len(m.program.Ops))
					r.SetObserver(nil)
					step(t, r, batch)
					require.Len(t, heard, 2*len(m.program.Ops), "nil stops")
				})
			}
		}
	})
}

// requireWorkers wants a span for each thread, one of which worked, each inside the step,
// and no busier than it is long.
func requireWorkers(t *testing.T, o executor.Observation, threads int) {
	t.Helper()
	require.Len(t, o.Workers, threads)
	var busy time.Duration
	for _, w := range o.Workers {
		busy += w.Busy
		if w == (executor.WorkerSpan{}) {
			continue // the others did it all
		}
		require.GreaterOrEqual(t, w.Begin, o.Begin)
		require.LessOrEqual(t, w.Busy, w.Duration)
	}
	require.Positive(t, busy, o.Operation)
}

// Only wanted rows pass the linears behind the selection: without rows they read
// nothing, and with one they read that one.
func TestObserverOfSelectedRows(t *testing.T) {
	m := smallModel(f32)
	r := openEngine(t, m.write(t), Options{})
	amax := map[string]float32{}
	r.SetObserver(func(o executor.Observation) { amax[o.Operation] = o.InputAmax })
	tokens := randomTokens(3, 40, m.vocab)
	step(t, r, piece(tokens, 0, 0, 1))
	require.Zero(t, amax["lm_head"])
	require.NotZero(t, amax["qkv"])
	for _, n := range []int{1, 40} {
		step(t, r, wantingLast(piece(tokens[:n], 0, 0, 1), 0))
		// The last row of the reference alone: what the head read after n tokens.
		_, one := m.evaluate(false, tokens[:n])
		require.LessOrEqual(t, float64(amax["lm_head"]), one["lm_head"]*(1+1e-5))
		require.Positive(t, amax["lm_head"])
	}
}

// NaN inputs are seen.
func TestObserverSeesNaN(t *testing.T) {
	for _, precision := range []string{"exact", "fast"} {
		for threads := 1; threads <= 3; threads++ {
			m := smallModel(bf16)
			m.write(t)
			m.weights[0].values[5*m.hidden] = float32(math.NaN()) // embedding of token 5
			r := openEngine(t, writeEngine(t, m.program, m.weights), Options{Precision: precision, Threads: threads})
			amax := map[string]float32{}
			r.SetObserver(func(o executor.Observation) { amax[o.Operation] = o.InputAmax })
			tokens := make([]int32, 30)
			step(t, r, piece(tokens, 0, 0))
			require.False(t, math.IsNaN(float64(amax["qkv"])))
			tokens[17] = 5
			step(t, r, piece(tokens, 0, 0))
			require.True(t, math.IsNaN(float64(amax["qkv"])))
		}
	}
}
