package executortest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// fixture is an executor under test.
type fixture struct {
	*testing.T
	executor.Executor
	gate   *Gate
	open   Open
	model  Model
	random *rand.Rand
	lastID uint64
	early  []executor.Response // taken by Await, for requests not asked about yet
}

// start opens the executor.
func (f *fixture) start(c Config) {
	f.Helper()
	f.Executor, f.gate = f.open(f.T, c)
}

// stop closes the executor.
func (f *fixture) stop() {
	f.Helper()
	if f.gate != nil {
		f.gate.Release()
	}
	require.NoError(f, f.Close())
}

// reopen goes on with another executor.
func (f *fixture) reopen(c Config) {
	f.Helper()
	f.stop()
	f.early = nil
	f.start(c)
}

// needsGate skips a behaviour that cannot be seen without a gate.
func (f *fixture) needsGate() {
	if f.gate == nil {
		f.Skip("needs a gate")
	}
}

// output is all that came of one sequence.
type output struct {
	ids           []int32
	logProbs      []float32
	topLogProbs   [][]executor.LogProb
	cumLogProb    float32
	logits        [][]float32
	contextLogits [][]float32
	prompt        []float32
	promptTop     [][]executor.LogProb
	reason        executor.FinishReason
	responses     int
	timing        executor.Timing
	cache         executor.RequestCache
}

// needsSteps skips a behaviour that replaces steps, or makes them fail.
func (f *fixture) needsSteps() {
	if f.gate == nil || f.gate.Runner == nil {
		f.Skip("needs a gate around a runner")
	}
}

// needsAborts skips a behaviour whose running step has to be left.
func (f *fixture) needsAborts() {
	f.needsGate()
	if !f.model.Features.Aborts {
		f.Skip("cannot leave a step")
	}
}

// generated is an output without what depends on the clock and on who came before.
func (o output) generated() output {
	o.timing, o.cache = executor.Timing{}, executor.RequestCache{}
	return o
}

// generated is the same for all sequences.
func generated(outputs []output) []output {
	list := slices.Clone(outputs)
	for i := range list {
		list[i] = list[i].generated()
	}
	return list
}

var greedy = executor.Sampling{TopK: 1}

// prompt makes a random prompt of n tokens.
func (f *fixture) prompt(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = f.random.Int32N(int32(f.model.VocabSize))
	}
	return ids
}

// submit queues a request under a new id.
func (f *fixture) submit(r executor.Request) uint64 {
	f.Helper()
	f.lastID++
	r.ClientID = f.lastID
	require.NoError(f, f.Submit(r))
	return r.ClientID
}

// await takes the next responses.
func (f *fixture) await() []executor.Response {
	f.Helper()
	if early := f.early; len(early) > 0 {
		f.early = nil
		return early
	}
	responses, err := f.Await(f.Context())
	require.NoError(f, err)
	require.NotEmpty(f, responses)
	return responses
}

// wait takes responses until a request is final, and returns its sequences. What
// comes for others is kept for later.
func (f *fixture) wait(id uint64) []output {
	f.Helper()
	outputs, err := f.waitError(id)
	require.NoError(f, err)
	return outputs
}

// waitError is wait for a request that may fail.
func (f *fixture) waitError(id uint64) (outputs []output, failure error) {
	f.Helper()
	var others []executor.Response
	defer func() { f.early = append(others, f.early...) }()
	for final := false; !final; {
		for _, r := range f.await() {
			if r.ClientID != id {
				others = append(others, r)
				continue
			}
			require.False(f, final, "a response after the request's last")
			if r.Err != nil { // it is the request's, not a sequence's
				require.True(f, r.Final, "an error that is not final")
				require.Empty(f, r.OutputIDs)
				final, failure = true, r.Err
				continue
			}
			for r.Sequence >= len(outputs) {
				outputs = append(outputs, output{})
			}
			outputs[r.Sequence].add(f, r)
			final = r.Final
		}
	}
	return outputs, failure
}

func (o *output) add(f *fixture, r executor.Response) {
	f.Helper()
	require.Equal(f, executor.FinishNone, o.reason, "a response after the sequence's last")
	require.Equal(f, r.SequenceFinal, r.FinishReason != executor.FinishNone)
	o.responses++
	o.ids = append(o.ids, r.OutputIDs...)
	o.logProbs = append(o.logProbs, r.LogProbs...)
	o.topLogProbs = append(o.topLogProbs, r.TopLogProbs...)
	o.logits = append(o.logits, r.Logits...)
	o.cumLogProb, o.reason, o.timing, o.cache = r.CumLogProb, r.FinishReason, r.Timing, r.KVCache
	if r.ContextLogits != nil {
		require.Equal(f, 1, o.responses, "context logits belong to the first response")
		o.contextLogits = r.ContextLogits
	}
	if r.PromptLogProbs != nil || r.PromptTopLogProbs != nil {
		require.Equal(f, 1, o.responses, "prompt log-probs belong to the first response")
		o.prompt, o.promptTop = r.PromptLogProbs, r.PromptTopLogProbs
	}
}

// run runs one request of one sequence to its end.
func (f *fixture) run(r executor.Request) output {
	f.Helper()
	outputs := f.wait(f.submit(r))
	require.Len(f, outputs, 1)
	return outputs[0]
}

// caused asserts that a failure is due to cause.
func (f *fixture) caused(err, cause error) {
	f.Helper()
	if f.model.Features.Causes {
		require.ErrorIs(f, err, cause)
		return
	}
	require.ErrorContains(f, err, cause.Error())
}

// hold makes steps stand still at the gate, if there is one.
func (f *fixture) hold() bool {
	if f.gate == nil {
		return false
	}
	f.gate.Hold()
	return true
}
