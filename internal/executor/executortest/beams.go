package executortest

import (
	"cmp"
	"math"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours of executors that have beams.
var beams = []behaviour{
	{"ranks beams by score", rankedBeamBehaviour},
	{"returns beams at the end, as many as asked for", returnedBeamBehaviour},
	{"cancels all beams", cancelBeamBehaviour},
}

// beams is a request for beams.
func (f *fixture) beams(width, tokens int) executor.Request {
	return executor.Request{InputIDs: f.prompt(4), MaxTokens: tokens, Sampling: executor.Sampling{BeamWidth: width}, LogProbs: true}
}

func beamBehaviour(f *fixture) {
	r := f.beams(2, 4)
	if !f.model.Features.Beams {
		err := f.Submit(r)
		require.ErrorIs(f, err, executor.ErrUnsupported)
		require.ErrorContains(f, err, "beam")
		return
	}
	outputs := f.wait(f.submit(r))
	require.Len(f, outputs, 2)
	for _, o := range outputs {
		require.Len(f, o.ids, 4)
		require.Equal(f, executor.FinishLength, o.reason)
		sum := 0.0
		for _, p := range o.logProbs {
			sum += float64(p)
		}
		require.InDelta(f, sum, float64(o.cumLogProb), 1e-4, "the score of a beam without end id")
	}
	require.NotEqual(f, outputs[0].ids, outputs[1].ids)
	require.GreaterOrEqual(f, outputs[0].cumLogProb, outputs[1].cumLogProb)
}

// rankedBeamBehaviour: beams of one token are the best tokens; an end id among them
// makes an empty one and leaves room for the next.
func rankedBeamBehaviour(f *fixture) {
	r := f.beams(2, 1)
	logits := f.run(executor.Request{InputIDs: r.InputIDs, MaxTokens: 1, Sampling: greedy, GenerationLogits: true}).logits[0]
	best := make([]int32, len(logits))
	for i := range best {
		best[i] = int32(i)
	}
	slices.SortStableFunc(best, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
	check := func(want [2][]int32, reasons [2]executor.FinishReason) {
		f.Helper()
		for i, o := range f.wait(f.submit(r)) {
			require.Equal(f, want[i], o.ids)
			require.Equal(f, reasons[i], o.reason)
			require.InDelta(f, LogSoftmax(logits)[best[i]], float64(o.cumLogProb), 1e-4, "the end id counts")
		}
	}
	check([2][]int32{best[:1], best[1:2]}, [2]executor.FinishReason{executor.FinishLength, executor.FinishLength})
	r.EndIDs = best[:1]
	check([2][]int32{nil, best[1:2]}, [2]executor.FinishReason{executor.FinishEnd, executor.FinishLength})
	r.EndIDs, r.StopSequences = nil, [][]int32{best[1:2]}
	check([2][]int32{best[:1], best[1:2]}, [2]executor.FinishReason{executor.FinishLength, executor.FinishStop})
}

// returnedBeamBehaviour: fewer may be returned than are searched with, and a stream
// brings them at the end.
func returnedBeamBehaviour(f *fixture) {
	r := f.beams(3, 6)
	r.Sampling.LengthPenalty, r.EndIDs = 1, f.prompt(3)
	want := generated(f.wait(f.submit(r)))
	require.Len(f, want, 3)
	score := func(o output) float64 {
		n := len(o.ids)
		if o.reason == executor.FinishEnd {
			n++
		}
		return float64(o.cumLogProb) / float64(n)
	}
	require.True(f, slices.IsSortedFunc(want, func(a, b output) int { return cmp.Compare(score(b), score(a)) }))
	r.Streaming = true
	require.Equal(f, want, generated(f.wait(f.submit(r))), "one response for each beam")
	for n := 1; n <= 3; n++ {
		r.Sampling.NumReturnSequences = n
		require.Equal(f, want[:n], generated(f.wait(f.submit(r))))
	}
	r.Sampling.NumReturnSequences = 4
	require.ErrorIs(f, f.Submit(r), executor.ErrInvalidRequest)
	r.Sampling.NumReturnSequences = 0
	for _, change := range []func(*executor.Sampling){
		func(s *executor.Sampling) { s.LengthPenalty = float32(math.NaN()) },
		func(s *executor.Sampling) { s.BeamSearchDiversityRate = -1 },
	} {
		bad := r
		change(&bad.Sampling)
		require.ErrorIs(f, f.Submit(bad), executor.ErrInvalidRequest)
	}
}

func cancelBeamBehaviour(f *fixture) {
	f.needsGate()
	r := f.beams(2, f.model.MaxSeqLen/4)
	f.hold()
	id := f.submit(r)
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	f.Cancel(id)
	f.gate.Release()
	outputs := f.wait(id)
	require.Len(f, outputs, 2)
	for _, o := range outputs {
		require.Equal(f, executor.FinishCancelled, o.reason)
		require.LessOrEqual(f, len(o.ids), 1)
	}
	f.empty()
}
