// Package executortest states as tests what every [executor.Executor] does, and
// has the means to test executors without a model: a toy language model in plain
// Go ([Toy]) and a gate that holds steps back ([Gate]).
//
//	func TestContract(t *testing.T) {
//		executortest.Run(t, func(t *testing.T) (executor.Executor, *executortest.Gate) {
//			gate := executortest.NewGate(executortest.NewToy(executortest.ToyLimits()))
//			x, err := inflight.New(gate, inflight.Options{})
//			require.NoError(t, err)
//			return x, gate
//		}, executortest.Model{VocabSize: 97, MaxInputLen: 191, MaxSeqLen: 192})
//	}
//
// It is imported by tests only.
package executortest

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/executor"
)

// Model tells what the executors under test run.
type Model struct {
	VocabSize   int
	MaxInputLen int
	MaxSeqLen   int // at least 64
}

// Open opens an executor for one test, which closes it. The gate is around its
// runner; an executor that has none is tested without the behaviours that need
// a step to stand still.
type Open func(t *testing.T) (executor.Executor, *Gate)

// Run runs the contract suite, one sub-test for each behaviour.
func Run(t *testing.T, open Open, m Model) {
	behaviours := []struct {
		name string
		test func(*fixture)
	}{
		{"ends by length", lengthBehaviour},
		{"runs many at once as each alone", manyBehaviour},
		{"streams what it gives whole", streamBehaviour},
		{"gives one final response, last", finalBehaviour},
		{"ends on an end id, which is not in the output", endBehaviour},
		{"ends on any of several end ids", endsBehaviour},
		{"ends on a stop sequence, which is in the output", stopBehaviour},
		{"holds ends back for min tokens", minTokensBehaviour},
		{"never generates bad sequences", badBehaviour},
		{"keeps no slice of a request", ownershipBehaviour},
		{"gives log-probs", logProbsBehaviour},
		{"gives logits", logitsBehaviour},
		{"draws by seed", seedBehaviour},
		{"draws alike in any batch", batchBehaviour},
		{"bears extreme sampling values", extremeBehaviour},
		{"returns several sequences by seed", sequencesBehaviour},
		{"ends requests whose time is over", timeoutBehaviour},
		{"refuses invalid requests", invalidBehaviour},
		{"refuses what is too long", tooLongBehaviour},
		{"refuses beams or runs them", beamBehaviour},
		{"refuses an id in use and takes it again later", idBehaviour},
		{"cancels a live request", cancelBehaviour},
		{"cancels a waiting request", cancelWaitingBehaviour},
		{"ignores to cancel what it does not know", cancelUnknownBehaviour},
		{"cancels racing with the end", cancelRaceBehaviour},
		{"awaits no longer than its context", awaitBehaviour},
		{"closes twice and refuses afterwards", closeBehaviour},
		{"closes with live requests", closeLiveBehaviour},
		{"closes from many goroutines", closeManyBehaviour},
		{"counts", statsBehaviour},
		{"fails a request and goes on", failureBehaviour},
	}
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			// Goroutines of other tests, or of the process, are not this one's.
			ignore := goleak.IgnoreCurrent()
			x, gate := open(t)
			f := &fixture{T: t, Executor: x, gate: gate, model: m, random: rand.New(rand.NewPCG(7, 7))}
			b.test(f)
			if gate != nil {
				gate.Release()
			}
			require.NoError(t, x.Close())
			goleak.VerifyNone(t, ignore)
		})
	}
}

// fixture is an executor under test.
type fixture struct {
	*testing.T
	executor.Executor
	gate   *Gate
	model  Model
	random *rand.Rand
	lastID uint64
	early  []executor.Response // taken by Await, for requests not asked about yet
}

// output is all that came of one sequence.
type output struct {
	ids           []int32
	logProbs      []float32
	cumLogProb    float32
	logits        [][]float32
	contextLogits [][]float32
	reason        executor.FinishReason
	responses     int
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
			for r.Sequence >= len(outputs) {
				outputs = append(outputs, output{})
			}
			outputs[r.Sequence].add(f, r)
			final, failure = r.Final, r.Err
		}
	}
	return outputs, failure
}

func (o *output) add(f *fixture, r executor.Response) {
	f.Helper()
	require.Equal(f, executor.FinishNone, o.reason, "a response after the sequence's last")
	if r.Err == nil {
		require.Equal(f, r.SequenceFinal, r.FinishReason != executor.FinishNone)
	}
	o.responses++
	o.ids = append(o.ids, r.OutputIDs...)
	o.logProbs = append(o.logProbs, r.LogProbs...)
	o.logits = append(o.logits, r.Logits...)
	o.cumLogProb, o.reason = r.CumLogProb, r.FinishReason
	if r.ContextLogits != nil {
		require.Equal(f, 1, o.responses, "context logits belong to the first response")
		o.contextLogits = r.ContextLogits
	}
}

// run runs one request of one sequence to its end.
func (f *fixture) run(r executor.Request) output {
	f.Helper()
	outputs := f.wait(f.submit(r))
	require.Len(f, outputs, 1)
	return outputs[0]
}

// hold makes steps stand still at the gate, if there is one.
func (f *fixture) hold() bool {
	if f.gate == nil {
		return false
	}
	f.gate.Hold()
	return true
}
