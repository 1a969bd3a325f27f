package nativeexecutor

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/inflight"
)

// upstream is a [Native] that answers with a toy model, in the way that TensorRT-LLM does:
// log-probs of all so far in each output, context logits in each, rows wider than the
// vocabulary, beams all at once. It runs on package inflight, so that the contract of
// executors, with a gate that holds steps back, can be tested where there is no native
// code. It reads the settings that the binding would give to upstream's setters.
type upstream struct {
	x *inflight.Executor

	mu       sync.Mutex
	lastID   uint64
	requests map[uint64]*upstreamState // by id
	drained  bool
	drain    chan struct{} // closed with drained
}

type upstreamState struct {
	native.Request
	request executor.Request
	probs   []float32
	context native.Array
	beams   []native.Output
}

func newUpstream(runner executor.Runner, o inflight.Options) (*upstream, error) {
	o.NoPartialReuse = true
	x, err := inflight.New(runner, o)
	if err != nil {
		return nil, err
	}
	return &upstream{x: x, requests: map[uint64]*upstreamState{}, drain: make(chan struct{})}, nil
}

func (u *upstream) Leader() bool { return true }

func (u *upstream) Enqueue(r native.Request) (uint64, error) {
	u.mu.Lock()
	if u.drained {
		u.mu.Unlock()
		return 0, native.ErrClosed
	}
	u.lastID++
	id := u.lastID
	s := &upstreamState{Request: r, request: read(r)}
	s.request.ClientID = id
	u.requests[id] = s
	u.mu.Unlock()
	if err := u.x.Submit(s.request); err != nil && !errors.Is(err, executor.ErrDead) { // then it is queued for good
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.requests, id)
		return 0, &native.Error{Status: native.StatusInvalid, Operation: "enqueueRequest", Text: err.Error()}
	}
	return id, nil
}

// read makes a request of what upstream's setters would be told.
func read(r native.Request) executor.Request {
	q := executor.Request{InputIDs: r.Tokens, MaxTokens: r.MaxTokens}
	s := &q.Sampling
	for _, f := range r.Settings {
		var n int64
		var v float32
		if len(f.Ints) > 0 {
			n = f.Ints[0]
		}
		if len(f.Floats) > 0 {
			v = f.Floats[0]
		}
		switch f.Name {
		case "streaming":
			q.Streaming = n == 1
		case "endId":
			if n >= 0 {
				q.EndIDs = []int32{int32(n)}
			}
		case "beamWidth":
			s.BeamWidth = int(n)
		case "numReturnSequences":
			s.NumReturnSequences = int(n)
		case "topK":
			s.TopK = int(n)
		case "topP":
			s.TopP = v
		case "minP":
			s.MinP = v
		case "topPDecay":
			s.TopPDecay = v
		case "topPMin":
			s.TopPMin = v
		case "topPResetIds":
			s.TopPResetIDs = []int32{int32(n)}
		case "seed":
			s.Seed = uint64(n)
		case "temperature":
			s.Temperature = v
		case "minTokens":
			s.MinTokens = int(n)
		case "noRepeatNgramSize":
			s.NoRepeatNgramSize = int(n)
		case "promptIgnoreLength":
			s.PromptIgnoreLength = int(n)
		case "earlyStopping":
			early := int(n)
			s.EarlyStopping = &early
		case "stopWords":
			q.StopSequences = lists(f.Ints)
		case "badWords":
			q.BadSequences = lists(f.Ints)
		case "allottedTimeMs":
			q.AllottedTime = time.Duration(n) * time.Millisecond
		case "cacheSaltID":
			q.CacheSalt = uint64(n)
		case "returnLogProbs":
			q.LogProbs = n == 1
		case "returnContextLogits":
			q.ContextLogits = n == 1
		case "returnGenerationLogits":
			q.GenerationLogits = n == 1
		case "returnPerfMetrics":
		case "repetitionPenalty":
			s.RepetitionPenalty = v
		case "presencePenalty":
			s.PresencePenalty = v
		case "frequencyPenalty":
			s.FrequencyPenalty = v
		case "lengthPenalty":
			s.LengthPenalty = v
		case "beamSearchDiversityRate":
			s.BeamSearchDiversityRate = v
		case "priority":
			q.Priority = v
		default:
			panic("upstream has no setter of " + f.Name)
		}
	}
	if bias := r.EmbeddingBias; bias.Data != nil {
		s.Bias = map[int32]float32{}
		values := make([]float32, bias.Dims[0])
		floatformat.Decode(values, bias.Data, formats[bias.Type])
		for i, v := range values {
			if v != 0 {
				s.Bias[int32(i)] = v
			}
		}
	}
	return q
}

func lists(values []int64) (list [][]int32) {
	for _, word := range words(values) {
		var ids []int32
		for _, id := range word {
			ids = append(ids, int32(id))
		}
		list = append(list, ids)
	}
	return list
}

func (u *upstream) Cancel(id uint64) error {
	u.x.Cancel(id)
	return nil
}

func (u *upstream) Await(timeout time.Duration, each func(*native.Output)) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	u.mu.Lock()
	drained, ended := u.drained, u.drained && len(u.requests) == 0
	u.mu.Unlock()
	if ended {
		return native.ErrClosed
	}
	if !drained { // look again then
		go func() {
			select {
			case <-u.drain:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	responses, err := u.x.Await(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	for i := range responses { // what upstream tells nobody
		if errors.Is(responses[i].Err, executor.ErrDead) {
			err = responses[i].Err
		}
	}
	if err != nil {
		return &native.Error{Status: native.StatusInternal, Operation: "awaitResponses", Text: err.Error()}
	}
	var outputs []native.Output
	u.mu.Lock()
	for i := range responses {
		outputs = append(outputs, u.outputs(&responses[i])...)
	}
	u.mu.Unlock()
	for i := range outputs {
		each(&outputs[i])
	}
	return nil
}

// outputs are what upstream gives for a response. The caller holds mu.
func (u *upstream) outputs(r *executor.Response) []native.Output {
	s := u.requests[r.ClientID]
	if r.Final {
		delete(u.requests, r.ClientID)
	}
	o := native.Output{
		ID: r.ClientID, ClientID: s.ClientID, Final: r.Final, NumBeams: 1, FinishReason: int(r.FinishReason), Tokens: r.OutputIDs, CumLogProb: r.CumLogProb,
		ReusedBlocks: r.KVCache.ReusedTokens / u.x.Stats().TokensPerBlock,
		Scheduled:    known(r.Timing.Scheduled), FirstToken: known(r.Timing.FirstToken), LastToken: known(r.Timing.LastToken),
	}
	if r.Err != nil {
		o.Error = r.Err.Error()
		return []native.Output{o}
	}
	if r.ContextLogits != nil {
		s.context = padded(r.ContextLogits, []int64{int64(len(r.ContextLogits))})
	}
	o.ContextLogits = s.context
	if s.request.Sampling.BeamWidth > 1 {
		o.Beam, o.LogProbs = r.Sequence, r.LogProbs
		s.beams = append(s.beams, o)
		if !r.Final {
			return nil
		}
		for i := range s.beams {
			s.beams[i].Final, s.beams[i].NumBeams = true, len(s.beams)
			s.beams[i].FinishReason = s.beams[0].FinishReason // those of others mean nothing
		}
		return s.beams
	}
	if s.request.LogProbs {
		s.probs = append(s.probs, r.LogProbs...)
		o.LogProbs = s.probs
		if r.FinishReason == executor.FinishEnd {
			o.LogProbs = append(s.probs, -9) // the end id's
		}
	}
	if s.request.GenerationLogits {
		o.GenerationLogits = padded(r.Logits, []int64{int64(len(r.Logits)), 1})
	}
	return []native.Output{o}
}

func known(d time.Duration) int64 {
	if d == 0 {
		return -1
	}
	return int64(d)
}

// padded are rows of a vocabulary that is wider than the model's.
func padded(list [][]float32, dims []int64) native.Array {
	if len(list) == 0 {
		return native.Array{}
	}
	width := len(list[0]) + 7
	values := make([]float32, len(list)*width)
	for i, row := range list {
		copy(values[i*width:], row)
		for j := len(row); j < width; j++ {
			values[i*width+j] = float32(math.Inf(1)) // of no use to anybody
		}
	}
	data := make([]byte, 4*len(values))
	floatformat.Encode(data, values, "F32")
	return native.Array{Data: data, Type: "FLOAT", Dims: append(dims, int64(width))}
}

// IterationStats tell of the running step too, as upstream's do.
func (u *upstream) IterationStats() ([]byte, error) {
	list, now := u.x.IterationStats(), u.x.Stats()
	running := executor.IterationStats{NumActiveRequests: now.ActiveRequests, NumQueuedRequests: now.QueuedRequests}
	if len(list) > 0 {
		running.KVCacheStats = list[len(list)-1].KVCacheStats
	}
	return json.Marshal(append(list, running))
}

// RequestStats have upstream's names of stages.
func (u *upstream) RequestStats() ([]byte, error) {
	names := map[executor.RequestStage]string{}
	for name, s := range stages {
		if name != "ENCODER_IN_PROGRESS" {
			names[executor.RequestStage(s)] = name
		}
	}
	type request struct {
		executor.RequestStats
		Stage string `json:"stage"`
	}
	type iteration struct {
		Iter         uint64    `json:"iter"`
		RequestStats []request `json:"requestStats"`
	}
	var list []iteration
	for _, i := range u.x.RequestStats() {
		it := iteration{Iter: i.Iter}
		for _, r := range i.RequestStats {
			it.RequestStats = append(it.RequestStats, request{r, names[r.Stage]})
		}
		list = append(list, it)
	}
	return json.Marshal(list)
}

func (u *upstream) Drain() error {
	u.mu.Lock()
	if !u.drained {
		close(u.drain)
	}
	u.drained = true
	var ids []uint64
	for id := range u.requests {
		ids = append(ids, id)
	}
	u.mu.Unlock()
	for _, id := range ids {
		u.x.Cancel(id)
	}
	return nil
}

func (u *upstream) Shutdown() error { return u.x.Close() }

func (u *upstream) Close() {}

// toyOptions are those of an executor over the toy.
func toyOptions(c executortest.Config) Options {
	limits := executortest.ToyLimits()
	return Options{
		VocabSize: limits.VocabSize, MaxInputLen: 190, MaxSeqLen: limits.MaxSeqLen, MaxBeamWidth: limits.MaxBatchSize,
		ContextLogits: true, GenerationLogits: true, MaxQueueSize: c.MaxQueueSize, MaxSeqIdle: c.MaxSeqIdle, RequestStats: c.RequestStats,
	}
}

// toyModel is what upstream can do of what Load and the contract ask for.
func toyModel() executortest.Model {
	limits := executortest.ToyLimits()
	return executortest.Model{
		VocabSize: limits.VocabSize, MaxInputLen: 190, MaxSeqLen: limits.MaxSeqLen, Refuses: refusesToy,
		Features: executortest.Features{Beams: true, LogProbs: true, Reuse: true, Aborts: true, Ordered: true, WorkNumbered: true},
	}
}

// refusesToy tells what an executor over the toy, with everything that it can be opened
// with, refuses.
func refusesToy(r *executor.Request) bool {
	e := &Executor{options: toyOptions(executortest.Config{}).withDefaults()}
	n := e.normalized(r.Clone())
	return e.refuse(&n) != nil
}
