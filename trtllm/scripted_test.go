package trtllm

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// scripted is an executor that answers what a test tells it to.
type scripted struct {
	// answer gives the responses to a request, at once, or refuses it. Nil gives none:
	// the test sends them.
	answer func(executor.Request) ([]executor.Response, error)
	// cancel and stop give the responses to Cancel and Stop. Nil: a final response, to
	// the first of them.
	cancel func(id uint64) []executor.Response
	stop   func(id uint64, sequence int) []executor.Response

	stats        executor.Stats
	iterations   []executor.IterationStats
	requestStats []executor.RequestStatsPerIteration
	closeErr     error

	mu        sync.Mutex
	requests  []executor.Request
	live      map[uint64]bool
	stopped   [][2]uint64 // id and sequence
	cancelled []uint64
	queue     []executor.Response
	ended     error // what Await and Submit say: closed or dead
	ready     chan struct{}
}

func (x *scripted) Submit(r executor.Request) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended != nil {
		return x.ended
	}
	x.requests = append(x.requests, r)
	x.live[r.ClientID] = true
	if x.answer == nil {
		return nil
	}
	responses, err := x.answer(r)
	if err != nil {
		delete(x.live, r.ClientID)
		return err
	}
	for i := range responses {
		responses[i].ClientID = r.ClientID
	}
	x.push(responses)
	return nil
}

// push queues responses. The caller holds mu.
func (x *scripted) push(responses []executor.Response) {
	x.queue = append(x.queue, responses...)
	for i := range responses {
		if responses[i].Final {
			delete(x.live, responses[i].ClientID)
		}
	}
	select {
	case x.ready <- struct{}{}:
	default:
	}
}

// send queues responses.
func (x *scripted) send(responses ...executor.Response) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.push(responses)
}

func (x *scripted) Cancel(id uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cancelled = append(x.cancelled, id)
	switch {
	case !x.live[id]:
	case x.cancel != nil:
		x.push(x.cancel(id))
	default:
		x.push([]executor.Response{{ClientID: id, FinishReason: executor.FinishCancelled, SequenceFinal: true, Final: true}})
	}
}

func (x *scripted) Stop(id uint64, sequence int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stopped = append(x.stopped, [2]uint64{id, uint64(sequence)})
	switch {
	case !x.live[id]:
	case x.stop != nil:
		x.push(x.stop(id, sequence))
	default:
		x.push([]executor.Response{{ClientID: id, Sequence: sequence, FinishReason: executor.FinishStop, SequenceFinal: true, Final: true}})
	}
}

func (x *scripted) Await(ctx context.Context) ([]executor.Response, error) {
	for {
		x.mu.Lock()
		queue, ended := x.queue, x.ended
		x.queue = nil
		x.mu.Unlock()
		if len(queue) > 0 {
			return queue, nil
		}
		if ended != nil {
			return nil, ended
		}
		select {
		case <-x.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// die ends the executor: with an error for every live request, as executors do.
func (x *scripted) die(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = err
	var last []executor.Response
	for id := range x.live {
		last = append(last, executor.Response{ClientID: id, Err: err, Final: true})
	}
	x.push(last)
}

func (x *scripted) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended == nil {
		x.ended = executor.ErrClosed
	}
	var last []executor.Response
	for id := range x.live {
		last = append(last, executor.Response{ClientID: id, FinishReason: executor.FinishCancelled, SequenceFinal: true, Final: true})
	}
	x.push(last)
	return x.closeErr
}

func (x *scripted) Stats() executor.Stats { return x.stats }

func (x *scripted) IterationStats() []executor.IterationStats {
	defer func() { x.iterations = nil }()
	return x.iterations
}

func (x *scripted) RequestStats() []executor.RequestStatsPerIteration {
	defer func() { x.requestStats = nil }()
	return x.requestStats
}

// last is the request that came last.
func (x *scripted) last(t *testing.T) executor.Request {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	require.NotEmpty(t, x.requests)
	return x.requests[len(x.requests)-1]
}

// waitSubmitted waits until n requests have come.
func (x *scripted) waitSubmitted(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.requests) >= n
	}, testTimeout, testTick)
}

// scriptedEngine opens an engine over a scripted executor and the byte tokenizer.
func scriptedEngine(t *testing.T, x *scripted) *Engine {
	t.Helper()
	return scriptedEngineWith(t, x, openByteTokenizer(t))
}

func scriptedEngineWith(t *testing.T, x *scripted, tok *tokenizer.Tokenizer) *Engine {
	t.Helper()
	return scriptedEngineOver(t, x, x, tok)
}

// scriptedEngineOver opens an engine over another executor around x.
func scriptedEngineOver(t *testing.T, x *scripted, around executor.Executor, tok *tokenizer.Tokenizer) *Engine {
	t.Helper()
	x.live, x.ready = map[uint64]bool{}, make(chan struct{}, 1)
	e := newEngine(around, Config{VocabSize: testVocabSize, MaxInputLen: 150, MaxSeqLen: 192, KVCacheTokens: 512}, tok, ErrNoTokenizer,
		slog.New(slog.DiscardHandler))
	t.Cleanup(func() { e.Close() })
	return e
}

// tokens are responses with one id each for a sequence; the last one ends it.
func tokens(sequence int, reason executor.FinishReason, ids ...int32) []executor.Response {
	var all []executor.Response
	for i, id := range ids {
		r := executor.Response{Sequence: sequence, OutputIDs: []int32{id}, LogProbs: []float32{-1}, CumLogProb: float32(-1 - i)}
		if i == len(ids)-1 && reason != executor.FinishNone {
			r.FinishReason, r.SequenceFinal = reason, true
		}
		all = append(all, r)
	}
	return all
}

// final marks the last of responses as the request's last.
func final(responses ...[]executor.Response) []executor.Response {
	all := slices.Concat(responses...)
	all[len(all)-1].Final = true
	return all
}

// saying answers every request with the ids of a text and the end by length.
func saying(text string) func(executor.Request) ([]executor.Response, error) {
	return func(executor.Request) ([]executor.Response, error) {
		return final(tokens(0, executor.FinishLength, bytesOf(text)...)), nil
	}
}

// chunksOf collects what a stream yields.
func chunksOf(ctx context.Context, e *Engine, r Request) (chunks []Chunk, err error) {
	for chunk, failed := range e.Stream(ctx, r) {
		if failed != nil {
			err = failed
			continue
		}
		chunks = append(chunks, chunk)
	}
	return chunks, err
}

// texts are the texts of chunks.
func texts(chunks []Chunk) []string {
	var all []string
	for _, c := range chunks {
		all = append(all, c.Text)
	}
	return all
}
