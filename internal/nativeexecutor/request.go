package nativeexecutor

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// request is a live request. Everything but the first part belongs to Executor.mu.
type request struct {
	executor.Request
	submitted time.Time
	deadline  time.Time // zero: none
	sequences []*sequence

	upstreamLogProbs bool // upstream's log-probs are the model's
	wantsLogits      bool // of generated tokens, from upstream

	open       int  // sequences without their final response
	started    bool // a token has come
	submitting bool // Submit has not returned: responses are held
	held       []executor.Response
	outcome    executor.Response // the final one, until it is counted
	recorded   *recorded         // what statistics of requests know of it; nil without any
	taken      []beam
}

// sequence is one of a request's sequences, which is a request to upstream; beams are one
// all together. id is the client id that upstream sees, native the id that it gave, 0
// before.
type sequence struct {
	*request
	index  int
	id     uint64
	native uint64

	ended    bool    // its final response went out; what still comes is dropped
	cancel   bool    // upstream is to be told so when native is known
	counted  bool    // its prompt is in the statistics
	accepted int     // tokens that are output
	output   []int32 // where it is looked at or goes out at the end
	pending  pending
	cum      float64
	timing   executor.Timing
	cache    executor.RequestCache
	prompted bool // what the prompt's logits give was taken
	salted   uint64
}

// pending is what did not go out yet.
type pending struct {
	ids      []int32
	logProbs []float32
	top      [][]executor.LogProb
	logits   [][]float32

	context   [][]float32
	promptLog []float32
	promptTop [][]executor.LogProb
}

func newRequest(r executor.Request, now time.Time) *request {
	q := &request{Request: r, submitted: now, submitting: true}
	if r.AllottedTime > 0 {
		q.deadline = now.Add(r.AllottedTime)
	}
	n := max(1, r.Sampling.NumReturnSequences)
	q.open = n
	if q.beams() {
		q.open = r.Sampling.BeamWidth
		if r.Sampling.NumReturnSequences > 0 {
			q.open = r.Sampling.NumReturnSequences
		}
		n = 1
	}
	model := !changesDistribution(&r)
	q.upstreamLogProbs = r.LogProbs && model && !r.GenerationLogits && r.TopLogProbs == 0
	q.wantsLogits = r.GenerationLogits || r.TopLogProbs > 0 || r.LogProbs && !model && !q.beams()
	for i := range n {
		q.sequences = append(q.sequences, &sequence{request: q, index: i})
	}
	return q
}

func (r *request) beams() bool { return r.Sampling.BeamWidth > 1 }

// wantsContextLogits tells whether upstream is asked for the logits of the prompt, which
// the first sequence delivers for all.
func (q *sequence) wantsContextLogits() bool {
	return q.index == 0 && (q.ContextLogits || q.PromptLogProbs || q.PromptTopLogProbs > 0)
}

// salt is what separates the prompt's KV blocks from others'. Upstream has no context
// logits for tokens that it reuses, so then nobody shares it.
func (q *sequence) salt() uint64 {
	if !q.wantsContextLogits() {
		return q.CacheSalt
	}
	if q.salted == 0 {
		q.salted = rand.Uint64() | 1<<63
	}
	return q.salted
}

// ending tells how the last of an output's tokens ends it.
func (r *request) ending(output []int32) executor.FinishReason {
	n := len(output)
	if n == 0 || n < r.Sampling.MinTokens {
		return executor.FinishNone
	}
	for _, stop := range r.StopSequences {
		if n >= len(stop) && slices.Equal(output[n-len(stop):], stop) {
			return executor.FinishStop
		}
	}
	return executor.FinishNone
}
