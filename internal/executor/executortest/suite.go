// Package executortest states as tests what every [executor.Executor] does, and
// has the means to test executors without a model: a toy language model in plain
// Go ([Toy]), a gate that holds steps back ([Gate]), a runner that fails by chance
// ([Faulty]) and requests of all kinds ([Load]).
//
//	func TestContract(t *testing.T) {
//		executortest.Run(t, func(t *testing.T, c executortest.Config) (executor.Executor, *executortest.Gate) {
//			gate := executortest.NewGate(executortest.NewToy(executortest.ToyLimits()))
//			x, err := inflight.New(gate, inflight.Options{MaxQueueSize: c.MaxQueueSize})
//			require.NoError(t, err)
//			return x, gate
//		}, executortest.Model{VocabSize: 97, MaxInputLen: 191, MaxSeqLen: 192})
//	}
//
// It is imported by tests only.
package executortest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/executor"
)

// Model tells what the executors under test run, and what they can do.
type Model struct {
	VocabSize   int
	MaxInputLen int
	MaxSeqLen   int // at least 64
	Features    Features

	// Refuses tells which requests, of those that Features leave, the executor refuses with
	// executor.ErrUnsupported: Load makes none of these. Nil is none.
	Refuses func(*executor.Request) bool
}

// Features are what not every executor can do. What it cannot, it refuses by name,
// with executor.ErrUnsupported.
type Features struct {
	Beams      bool
	LogProbs   bool // of the best 5 tokens beside each, and of the prompt
	Reuse      bool // of KV blocks between requests; prompts are computed anew otherwise
	Processors bool // logits processors

	// Aborts says that a running step that nobody wants any more is left.
	Aborts bool
	// Ordered says that responses of different requests come in the order of their steps.
	Ordered bool
	// Causes says that the error of a failed request wraps that of the runner or logits
	// processor; otherwise it has its text.
	Causes bool
	// CachedBlocks says that Stats tells how many KV blocks hold what nobody uses.
	CachedBlocks bool
	// WorkNumbered says that an iteration without work has no number.
	WorkNumbered bool
	// WholeRequests says that the statistics of iterations count a request once, however
	// many sequences it has.
	WholeRequests bool
}

// Config is what a behaviour wants an executor to be opened with.
type Config struct {
	MaxQueueSize    int           // 0: no limit
	MaxSeqIdle      time.Duration // 0: the executor's own
	RequestStats    int           // iterations kept; 0: none
	LogitsProcessor executor.LogitsProcessor
}

// Open opens an executor for one test, which closes it. The gate is around its
// runner; an executor that has none is tested without the behaviours that need
// a step to stand still.
type Open func(t *testing.T, c Config) (executor.Executor, *Gate)

// behaviour is something that every executor does, told by its name.
type behaviour struct {
	name string
	test func(*fixture)
}

// Run runs the contract suite, one sub-test for each behaviour.
func Run(t *testing.T, open Open, m Model) {
	behaviours := slices.Concat(ordinary, serving, reuse, statistics, faults, peers)
	if m.Features.Beams {
		behaviours = append(behaviours, beams...)
	}
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			// Goroutines of other tests, or of the process, are not this one's.
			ignore := goleak.IgnoreCurrent()
			f := &fixture{T: t, open: open, model: m, random: rand.New(rand.NewPCG(7, 7))}
			f.start(Config{})
			defer func() {
				if t.Skipped() { // within the behaviour
					f.stop()
				}
			}()
			b.test(f)
			f.stop()
			goleak.VerifyNone(t, ignore)
		})
	}
}

var ordinary = []behaviour{
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
	{"gives the best tokens beside each", topLogProbsBehaviour},
	{"gives log-probs of the prompt", promptLogProbsBehaviour},
	{"gives log-probs of the prompt's end", promptFromBehaviour},
	{"gives logits", logitsBehaviour},
	{"draws by seed", seedBehaviour},
	{"draws alike in any batch", batchBehaviour},
	{"bears extreme sampling values", extremeBehaviour},
	{"returns several sequences by seed", sequencesBehaviour},
	{"ends requests whose time is over", timeoutBehaviour},
	{"refuses invalid requests", invalidBehaviour},
	{"refuses what is too long", tooLongBehaviour},
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
