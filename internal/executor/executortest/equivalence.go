package executortest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// Equivalence tests that what a request gives does not depend on what else runs,
// nor on how an executor schedules.
type Equivalence struct {
	requests []executor.Request
	want     [][]output // of each request, alone
}

// NewEquivalence makes n requests and runs each alone on x, an executor that
// schedules in the simplest way.
func NewEquivalence(t *testing.T, x executor.Executor, load *Load, n int) *Equivalence {
	t.Helper()
	e := &Equivalence{}
	f := &fixture{T: t, Executor: x}
	for range n {
		r := load.Request()
		e.requests = append(e.requests, r)
		e.want = append(e.want, generated(f.wait(f.submit(r))))
	}
	return e
}

// Run runs all requests on x, which come as others end and some of which are
// cancelled, and requires that each gives what it gives alone: one that was
// cancelled, the beginning of it. It returns how many were.
func (e *Equivalence) Run(t *testing.T, x executor.Executor, seed uint64) (cancelled int) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 5))
	f := &fixture{T: t, Executor: x}
	a := arrivals{fixture: f, answers: map[uint64]*arrival{}}
	for waiting := random.Perm(len(e.requests)); len(waiting) > 0 || a.live > 0; {
		// In bursts; at the end of a burst the executor may have nothing to do.
		for len(waiting) > 0 && (a.live == 0 || random.IntN(3) > 0) {
			i := waiting[0]
			waiting = waiting[1:]
			cancelAfter := -1
			if random.IntN(4) == 0 {
				cancelAfter = max(0, random.IntN(6)-3) // half of them at once: later ones may come too late
			}
			a.submit(i, e.requests[i], cancelAfter)
		}
		if a.live > 0 {
			a.await()
		}
	}
	for _, got := range a.answers {
		want := e.want[got.request]
		for s, o := range got.outputs {
			if o.reason == executor.FinishCancelled {
				cancelled++
				require.Less(t, len(o.ids), e.requests[got.request].MaxTokens)
				if e.requests[got.request].Sampling.BeamWidth < 2 { // the best beam may yet become another
					require.Equal(t, head(want[s].ids, len(o.ids)), o.ids, "the beginning of request %d: %+v", got.request, e.requests[got.request])
					require.Equal(t, head(want[s].logProbs, len(o.logProbs)), o.logProbs, "the beginning of request %d", got.request)
				}
				continue
			}
			want, o := want[s], o.generated()
			o.responses, want.responses = 0, 0 // of beams, any number
			require.Equal(t, want, o, "request %d: %+v", got.request, e.requests[got.request])
		}
		if !slices.ContainsFunc(got.outputs, func(o output) bool { return o.reason == executor.FinishCancelled }) {
			require.Len(t, got.outputs, len(want), "request %d", got.request)
		}
	}
	require.Len(t, a.answers, len(e.requests))
	f.empty()
	return cancelled
}

// head is the first n of list; none are nil.
func head[T any](list []T, n int) []T {
	if n == 0 {
		return nil
	}
	return list[:n]
}

// arrivals are requests that run together.
type arrivals struct {
	*fixture
	answers map[uint64]*arrival
	live    int
}

type arrival struct {
	request     int
	outputs     []output
	responses   int
	cancelAfter int // responses; below zero: never
	final       bool
}

func (a *arrivals) submit(request int, r executor.Request, cancelAfter int) {
	id := a.fixture.submit(r)
	a.answers[id] = &arrival{request: request, cancelAfter: cancelAfter}
	a.live++
	if cancelAfter == 0 {
		a.Cancel(id)
	}
}

func (a *arrivals) await() {
	for _, r := range a.fixture.await() {
		got := a.answers[r.ClientID]
		require.NotNil(a, got, "a response of nobody")
		require.NoError(a, r.Err)
		require.False(a, got.final, "a response after the last")
		for r.Sequence >= len(got.outputs) {
			got.outputs = append(got.outputs, output{})
		}
		got.outputs[r.Sequence].add(a.fixture, r)
		got.responses++
		if got.responses == got.cancelAfter {
			a.Cancel(r.ClientID)
		}
		if got.final = r.Final; r.Final {
			a.live--
		}
	}
}
