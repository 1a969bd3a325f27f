package inflight

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// driver runs a scheduler by hand, without the executor's goroutine.
type driver struct {
	*scheduler
	t   *testing.T
	toy *executortest.Toy
}

func newDriver(t *testing.T, o Options, change func(*executor.Limits)) *driver {
	t.Helper()
	limits := executortest.ToyLimits()
	change(&limits)
	toy := executortest.NewToy(limits)
	e, err := newExecutor(toy, o)
	require.NoError(t, err)
	return &driver{scheduler: &e.scheduler, t: t, toy: toy}
}

// submit queues a request.
func (d *driver) submit(r executor.Request) *request {
	q := &request{Request: r, order: d.e.order, open: max(1, r.Sampling.NumReturnSequences)}
	d.e.order++
	d.e.live[r.ClientID] = q
	d.scheduler.submit(q)
	return q
}

// step does a step up to its rows, and tells whether there was one.
func (d *driver) step() bool {
	d.t.Helper()
	d.admit()
	if !d.plan() {
		return false
	}
	require.NoError(d.t, d.toy.Step(d.t.Context(), d.batch, &d.result))
	return true
}

// check looks whether the KV cache's holders are the tables, and its promises those
// of the sequences.
func (d *driver) check() {
	d.t.Helper()
	var tables [][]int32
	promised := 0
	for i, q := range d.active {
		tables = append(tables, q.table)
		if i == 0 || d.active[i-1].promise != q.promise {
			promised += q.promise.blocks
		}
	}
	d.cache.check(d.t, tables...)
	require.Equal(d.t, promised, d.cache.reserved)
}

// TestBeams lets random beams go on from random others, and compares the logits of
// each with those of its tokens, and of another request that runs beside it.
func TestBeams(t *testing.T) {
	const width, length = 3, 30
	total := 0
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 3))
		policy := executor.CapacityPolicy(seed % 2)
		d := newDriver(t, Options{Policy: policy, NoBlockReuse: seed%4 > 1}, func(l *executor.Limits) { l.BlockSize, l.NumBlocks = 4, 32 })
		beside := d.submit(executor.Request{ClientID: 1, InputIDs: ascending(70, 7), MaxTokens: 40})
		r := d.submit(executor.Request{
			ClientID: 2, InputIDs: ascending(1+random.IntN(20), 1), MaxTokens: length, Sampling: executor.Sampling{BeamWidth: width},
		})
		outputs, paused := 0, 0
		for outputs < length {
			require.True(t, d.step())
			d.check()
			rows := d.result.Rows
			var parts []*sequence
			for i := range d.planned {
				p := &d.planned[i]
				p.computed += p.n
				d.publish(p.sequence, p.computed-1)
				if !p.sampled {
					continue
				}
				require.Equal(t, executortest.ToyLogits(executortest.Hidden(p.tokens), 97)[rows[0].Candidates[0].Token],
					rows[0].Candidates[0].Raw, "the row of %v", p.tokens)
				rows = rows[1:]
				if p.request == r {
					parts = append(parts, p.sequence)
				} else if p.tokens = append(p.tokens, random.Int32N(3)); len(p.output()) == p.MaxTokens {
					d.end(p.sequence, executor.FinishLength)
				}
			}
			if len(parts) == 0 {
				continue
			}
			paused = parts[0].cache.Paused
			outputs++
			d.spread(r, parts, random)
			d.check()
		}
		total += paused
		d.discard(r, 0)
		if beside.open > 0 {
			d.finishRequests(func(q *request) executor.FinishReason { return executor.FinishCancelled })
		}
		d.check()
		require.Zero(t, d.cache.used())
	}
	require.Positive(t, total, "no request was paused")
}

// spread moves the beams whose rows came to random ones, with random next tokens.
func (d *driver) spread(r *request, parts []*sequence, random *rand.Rand) {
	if r.beams == nil {
		d.fork(parts[0], 3)
	} else {
		require.Equal(d.t, r.beams, parts, "they run together")
		parents := []int{random.IntN(3), random.IntN(3), random.IntN(3)}
		var tokens [][]int32
		for _, p := range parents {
			tokens = append(tokens, slices.Clone(r.beams[p].tokens))
		}
		d.reorder(r, parents)
		for i := range tokens {
			r.beams[i].tokens = tokens[i]
		}
	}
	for _, q := range r.beams {
		q.tokens = append(q.tokens, random.Int32N(3))
	}
}
