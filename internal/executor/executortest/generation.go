package executortest

import (
	"math"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours of one request: what is generated, and how it ends.

func lengthBehaviour(f *fixture) {
	for _, n := range []int{1, 2, 17} {
		out := f.run(executor.Request{InputIDs: f.prompt(5), MaxTokens: n, Sampling: greedy})
		require.Len(f, out.ids, n)
		require.Equal(f, executor.FinishLength, out.reason)
		require.Equal(f, 1, out.responses, "one response when not streaming")
	}
	// Up to the last position of the engine.
	out := f.run(executor.Request{InputIDs: f.prompt(f.model.MaxSeqLen - 9), MaxTokens: 9, Sampling: greedy})
	require.Len(f, out.ids, 9)
}

func manyBehaviour(f *fixture) {
	var requests []executor.Request
	var want []output
	for range 24 {
		r := executor.Request{
			InputIDs: f.prompt(1 + f.random.IntN(f.model.MaxSeqLen/2)), MaxTokens: 1 + f.random.IntN(16), Sampling: greedy,
			Streaming: f.random.IntN(2) == 0, Priority: f.random.Float32(), LogProbs: true,
		}
		requests = append(requests, r)
		want = append(want, f.run(r))
	}
	var ids []uint64
	for _, r := range requests {
		ids = append(ids, f.submit(r))
	}
	for i, id := range ids {
		got := f.wait(id)[0]
		require.Equal(f, want[i].ids, got.ids, "request %d", i)
		require.Equal(f, want[i].logProbs, got.logProbs, "request %d", i)
	}
}

func streamBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(9), MaxTokens: 12, Sampling: greedy, LogProbs: true}
	whole := f.run(r)
	r.Streaming = true
	streamed := f.run(r)
	require.GreaterOrEqual(f, streamed.responses, 12)
	require.Equal(f, whole.ids, streamed.ids)
	require.Equal(f, whole.logProbs, streamed.logProbs)
	require.Equal(f, whole.cumLogProb, streamed.cumLogProb)
	require.Equal(f, whole.reason, streamed.reason)
}

func finalBehaviour(f *fixture) {
	sampling := executor.Sampling{NumReturnSequences: 3, Temperature: 1, Seed: 3}
	id := f.submit(executor.Request{InputIDs: f.prompt(4), MaxTokens: 6, Sampling: sampling, Streaming: true})
	ended := map[int]bool{}
	final := false
	for !final {
		for _, r := range f.await() {
			require.Equal(f, id, r.ClientID)
			require.False(f, final, "a response after the final one")
			require.False(f, ended[r.Sequence], "a response after the sequence's final one")
			ended[r.Sequence] = r.SequenceFinal
			final = r.Final
		}
	}
	require.Equal(f, map[int]bool{0: true, 1: true, 2: true}, ended)
}

// unlike returns the index of the first token of ids from `from` on that does not
// stand before it, or fails the test.
func unlike(f *fixture, ids []int32, from int) int {
	f.Helper()
	for i := from; i < len(ids); i++ {
		if !slices.Contains(ids[:i], ids[i]) {
			return i
		}
	}
	require.Fail(f, "the model repeats itself: choose another seed")
	return 0
}

func endBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(6), MaxTokens: 24, Sampling: greedy, LogProbs: true}
	free := f.run(r)
	at := unlike(f, free.ids, 3)
	for _, streaming := range []bool{false, true} {
		r.Streaming, r.EndIDs = streaming, []int32{free.ids[at]}
		out := f.run(r)
		require.Equal(f, free.ids[:at], out.ids)
		require.Equal(f, free.logProbs[:at], out.logProbs)
		require.Equal(f, executor.FinishEnd, out.reason)
	}
	r.EndIDs = []int32{free.ids[0]} // at once: a final response without tokens
	out := f.run(r)
	require.Empty(f, out.ids)
	require.Equal(f, executor.FinishEnd, out.reason)
}

func endsBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(6), MaxTokens: 24, Sampling: greedy}
	free := f.run(r)
	first := unlike(f, free.ids, 2)
	second := unlike(f, free.ids, first+1)
	r.EndIDs = []int32{free.ids[second], free.ids[first]}
	out := f.run(r)
	require.Equal(f, free.ids[:first], out.ids)
	require.Equal(f, executor.FinishEnd, out.reason)
}

func stopBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(6), MaxTokens: 24, Sampling: greedy}
	free := f.run(r)
	at := unlike(f, free.ids, 4)
	r.StopSequences = [][]int32{{free.ids[at], free.ids[0], free.ids[at]}, free.ids[at-2 : at+1]}
	for _, r.Streaming = range []bool{false, true} {
		out := f.run(r)
		require.Equal(f, free.ids[:at+1], out.ids, "the stop sequence is part of the output")
		require.Equal(f, executor.FinishStop, out.reason)
	}
	// The prompt does not count.
	r.InputIDs, r.StopSequences = append(slices.Clone(r.InputIDs), free.ids[0]), [][]int32{{free.ids[0], free.ids[1]}}
	out := f.run(r)
	require.Equal(f, free.ids[1], out.ids[0])
	require.NotEqual(f, 1, len(out.ids))
}

func minTokensBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(6), MaxTokens: 20, Sampling: greedy}
	free := f.run(r)
	r.EndIDs = []int32{free.ids[0]}
	r.Sampling.MinTokens = 5
	out := f.run(r)
	require.GreaterOrEqual(f, len(out.ids), 5)
	require.NotContains(f, out.ids, free.ids[0])

	r.EndIDs, r.StopSequences = nil, [][]int32{{free.ids[1]}}
	out = f.run(r)
	require.GreaterOrEqual(f, len(out.ids), 5)
	require.Equal(f, free.ids[:len(out.ids)], out.ids, "a stop sequence held back changes no token")
}

func badBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(6), MaxTokens: 16, Sampling: greedy}
	free := f.run(r)
	r.BadSequences = [][]int32{{free.ids[0]}}
	out := f.run(r)
	require.NotContains(f, out.ids, free.ids[0])

	at := unlike(f, free.ids, 3)
	r.BadSequences = [][]int32{slices.Clone(free.ids[at-1 : at+1])}
	out = f.run(r)
	require.Equal(f, free.ids[:at], out.ids[:at])
	require.NotEqual(f, free.ids[at], out.ids[at], "only the last token of a bad sequence is forbidden")
}

func ownershipBehaviour(f *fixture) {
	r := executor.Request{
		InputIDs: f.prompt(6), MaxTokens: 16, Sampling: executor.Sampling{TopK: 1, Bias: map[int32]float32{1: 0.5}},
		EndIDs: []int32{2}, StopSequences: [][]int32{{3, 3, 3}}, BadSequences: [][]int32{{4}}, Streaming: true,
	}
	want := f.run(r)
	held := f.hold()
	id := f.submit(r)
	r.InputIDs[0], r.EndIDs[0], r.StopSequences[0][0], r.BadSequences[0][0] = 5, 6, 7, 8
	clear(r.Sampling.Bias)
	if held {
		f.gate.Release()
	}
	outputs := f.wait(id)
	require.Equal(f, want.ids, outputs[0].ids)
}

func logProbsBehaviour(f *fixture) {
	// Under the model: neither temperature nor penalties nor bias count.
	sampling := executor.Sampling{
		TopK: 5, Temperature: 0.7, Seed: 9, RepetitionPenalty: 1.3, Bias: map[int32]float32{1: 2},
	}
	out := f.run(executor.Request{InputIDs: f.prompt(8), MaxTokens: 10, Sampling: sampling, LogProbs: true, GenerationLogits: true})
	require.Len(f, out.logProbs, 10)
	sum := 0.0
	for i, p := range out.logProbs {
		require.LessOrEqual(f, p, float32(0))
		require.InDelta(f, LogSoftmax(out.logits[i])[out.ids[i]], float64(p), 1e-4)
		sum += float64(p)
	}
	require.InDelta(f, sum, float64(out.cumLogProb), 1e-3)
}

// LogSoftmax is the log-probs of a row of logits, in float64 and by definition:
// log(exp(x) / sum of exp(x)).
func LogSoftmax(logits []float32) []float64 {
	top, sum := float64(slices.Max(logits)), 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	list := make([]float64, len(logits))
	for i, l := range logits {
		list[i] = float64(l) - top - math.Log(sum)
	}
	return list
}

func logitsBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(23), MaxTokens: 5, Sampling: greedy, ContextLogits: true, GenerationLogits: true}
	for _, r.Streaming = range []bool{false, true} {
		out := f.run(r)
		require.Len(f, out.contextLogits, 23)
		require.Len(f, out.logits, 5)
		for _, row := range append(slices.Clone(out.contextLogits), out.logits...) {
			require.Len(f, row, f.model.VocabSize)
		}
		require.Equal(f, out.contextLogits[22], out.logits[0], "the last prompt position gives the first token")
		for i, row := range out.logits {
			require.Equal(f, slices.Max(row), row[out.ids[i]], "greedy takes the largest logit")
		}
		require.NotEqual(f, &out.logits[0][0], &out.logits[1][0])
	}
	// A prompt's row does not depend on what follows.
	short := r
	short.InputIDs = r.InputIDs[:11]
	require.Equal(f, f.run(short).contextLogits, f.run(r).contextLogits[:11])
}

func seedBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(8), MaxTokens: 24, Sampling: executor.Sampling{Temperature: 1.2, Seed: 5}}
	want := f.run(r)
	require.Equal(f, want.ids, f.run(r).ids)
	r.Sampling.Seed = 6
	require.NotEqual(f, want.ids, f.run(r).ids)
	for _, narrow := range []executor.Sampling{{TopK: 1}, {TopK: 1, Temperature: 5, Seed: 1}, {TopP: 1e-6, Seed: 2}, {MinP: 1, Seed: 3}} {
		r.Sampling = narrow
		require.Equal(f, f.run(executor.Request{InputIDs: r.InputIDs, MaxTokens: 24, Sampling: greedy}).ids, f.run(r).ids, "%+v", narrow)
	}
}

func batchBehaviour(f *fixture) {
	samplings := []executor.Sampling{
		{}, {Temperature: 0.8}, {TopK: 4}, {TopP: 0.9}, {TopK: 40, TopP: 0.5, Temperature: 1.5}, {MinP: 0.1}, {MinP: 1e-7, Temperature: 3},
		{RepetitionPenalty: 1.5}, {PresencePenalty: 1, FrequencyPenalty: 0.5}, {NoRepeatNgramSize: 2}, {Bias: map[int32]float32{3: 4}},
	}
	var requests []executor.Request
	var want []output
	for i, s := range samplings {
		s.Seed = uint64(i)
		requests = append(requests, executor.Request{InputIDs: f.prompt(3 + i), MaxTokens: 20, Sampling: s, LogProbs: true})
		want = append(want, f.run(requests[i]))
	}
	var ids []uint64
	for _, r := range requests {
		ids = append(ids, f.submit(r))
	}
	for i, id := range ids {
		require.Equal(f, want[i].generated(), f.wait(id)[0].generated(), "%+v", samplings[i])
	}
}

// extremeBehaviour: values that are legal may make nonsense, or an error of their
// own request, but none of another's in the same step.
func extremeBehaviour(f *fixture) {
	const most = math.MaxFloat32
	ordinary := executor.Request{InputIDs: f.prompt(5), MaxTokens: 30, Sampling: executor.Sampling{Temperature: 1, Seed: 4}, LogProbs: true}
	want := f.run(ordinary)
	id := f.submit(ordinary)
	extreme := []executor.Sampling{
		{Temperature: math.SmallestNonzeroFloat32}, {Temperature: most}, {Temperature: most, FrequencyPenalty: most}, {FrequencyPenalty: -most},
		{PresencePenalty: -most, Temperature: most}, {PresencePenalty: most, Bias: map[int32]float32{0: float32(math.Inf(-1))}},
		{RepetitionPenalty: math.SmallestNonzeroFloat32}, {RepetitionPenalty: most}, {Bias: map[int32]float32{1: most}, Temperature: 0.1},
		{TopP: math.SmallestNonzeroFloat32}, {MinP: math.SmallestNonzeroFloat32}, {TopK: math.MaxInt}, {NoRepeatNgramSize: math.MaxInt, MinTokens: math.MaxInt},
	}
	var ids []uint64
	for _, s := range extreme {
		ids = append(ids, f.submit(executor.Request{InputIDs: f.prompt(5), MaxTokens: 10, Sampling: s}))
	}
	for i, id := range ids {
		outputs, err := f.waitError(id)
		if err == nil {
			require.Len(f, outputs[0].ids, 10, "%+v", extreme[i])
		}
	}
	require.Equal(f, want.generated(), f.wait(id)[0].generated())
	r := executor.Request{InputIDs: f.prompt(5), MaxTokens: 10, Sampling: extreme[0]}
	free := executor.Request{InputIDs: r.InputIDs, MaxTokens: 10, Sampling: greedy}
	require.Equal(f, f.run(free).ids, f.run(r).ids, "without temperature it is greedy")
}

func sequencesBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(21), MaxTokens: 12, Sampling: executor.Sampling{Temperature: 1, Seed: 40}, LogProbs: true}
	var want []output
	for i := range 5 {
		alone := r
		alone.Sampling.Seed += uint64(i)
		want = append(want, f.run(alone))
	}
	r.Sampling.NumReturnSequences = 5
	require.Equal(f, generated(want), generated(f.wait(f.submit(r))))
}

func timeoutBehaviour(f *fixture) {
	r := executor.Request{InputIDs: f.prompt(6), MaxTokens: f.model.MaxSeqLen - 6, Sampling: greedy, AllottedTime: time.Nanosecond}
	out := f.run(r)
	require.Equal(f, executor.FinishTimeout, out.reason)
	require.Less(f, len(out.ids), r.MaxTokens)
	r.AllottedTime, r.MaxTokens = time.Hour, 4
	require.Equal(f, executor.FinishLength, f.run(r).reason)
}
