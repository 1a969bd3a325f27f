package nativeexecutor

import (
	"bytes"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// answer runs one request whose outputs come before Enqueue returns.
func answer(t *testing.T, o Options, r executor.Request, outputs func(r native.Request, id uint64) []native.Output) ([]executor.Response, *fake) {
	t.Helper()
	f := newFake()
	f.enqueued = func(r native.Request, id uint64) error {
		f.push(outputs(r, id)...)
		return nil
	}
	e := open(t, f, o)
	if r.InputIDs == nil {
		r.InputIDs = []int32{1, 2}
	}
	require.NoError(t, e.Submit(r))
	return collect(t, e, 1), f
}

// told are the ids that upstream was asked to cancel.
func (f *fake) told() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]uint64(nil), f.cancelled...)
}

func TestStopsInsideOfAnOutput(t *testing.T) {
	for _, streaming := range []bool{true, false} {
		r := executor.Request{MaxTokens: 9, Streaming: streaming, LogProbs: true, StopSequences: [][]int32{{7, 7, 7}, {4, 5}}}
		list, f := answer(t, options(), r, func(r native.Request, id uint64) []native.Output {
			first, second := tokens(r, id, 3, 4), tokens(r, id, 5, 6, 7)
			first.LogProbs, second.LogProbs = []float32{-1, -2}, []float32{-1, -2, -4, -8, -16}
			return []native.Output{first, second, tokens(r, id, 8), last(r, id, executor.FinishCancelled)}
		})
		var ids []int32
		var probs []float32
		for _, r := range list {
			ids, probs = append(ids, r.OutputIDs...), append(probs, r.LogProbs...)
		}
		require.Equal(t, []int32{3, 4, 5}, ids)
		require.Equal(t, []float32{-1, -2, -4}, probs)
		end := list[len(list)-1]
		require.Equal(t, executor.FinishStop, end.FinishReason)
		require.InDelta(t, -7, end.CumLogProb, 0)
		require.Eventually(t, func() bool { return len(f.told()) == 0 }, waitTime, tick, "it had ended by itself in the same batch")
	}
}

func TestCancelsWhatStopped(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	require.NoError(t, e.Submit(executor.Request{InputIDs: []int32{1}, MaxTokens: 9, StopSequences: [][]int32{{4, 5}}}))
	r := f.requests[0]
	f.push(tokens(r, 2, 4, 5))
	require.Equal(t, executor.FinishStop, collect(t, e, 1)[0].FinishReason)
	require.Eventually(t, func() bool { return len(f.told()) == 1 && f.told()[0] == 2 }, waitTime, tick)
	f.push(tokens(r, 2, 6), last(r, 2, executor.FinishCancelled))
	require.NoError(t, e.Submit(executor.Request{InputIDs: []int32{1}, MaxTokens: 1}), "the id is free")
	f.push(last(f.requests[1], 3, executor.FinishLength, 9))
	require.Equal(t, []int32{9}, collect(t, e, 1)[0].OutputIDs)
	require.EqualValues(t, 3, e.Stats().GeneratedTokens)
}

func TestEndIDs(t *testing.T) {
	for _, ids := range [][]int32{{3, 8}, {3, 8, 9}, {3, 7}, {3}} {
		r := executor.Request{MaxTokens: 9, EndIDs: []int32{7, 8}}
		list, _ := answer(t, options(), r, func(r native.Request, id uint64) []native.Output {
			return []native.Output{last(r, id, executor.FinishEnd, ids...)} // upstream's first end id is none of its tokens
		})
		require.Equal(t, []int32{3}, list[0].OutputIDs)
		require.Equal(t, executor.FinishEnd, list[0].FinishReason)
	}
}

func TestFinishReasons(t *testing.T) {
	for reason, want := range map[executor.FinishReason]executor.FinishReason{
		0: executor.FinishEnd, executor.FinishStop: executor.FinishStop, executor.FinishLength: executor.FinishLength, executor.FinishTimeout: executor.FinishTimeout,
		executor.FinishCancelled: executor.FinishCancelled, -1: -1,
	} {
		list, _ := answer(t, options(), executor.Request{MaxTokens: 9, EndIDs: []int32{7}}, func(r native.Request, id uint64) []native.Output {
			return []native.Output{last(r, id, reason, 3)}
		})
		require.Equal(t, want, list[0].FinishReason)
		require.True(t, list[0].SequenceFinal && list[0].Final)
	}
	list, _ := answer(t, options(), executor.Request{MaxTokens: 1}, func(r native.Request, id uint64) []native.Output {
		return []native.Output{tokens(r, id, 3, 4, 5), last(r, id, 0)} // more than were asked for
	})
	require.Equal(t, []int32{3}, list[0].OutputIDs)
	require.Equal(t, executor.FinishLength, list[0].FinishReason)
}

// What upstream gives may be wrong: it is that request's failure alone.
func TestWrongOutputs(t *testing.T) {
	all := options()
	for _, c := range []struct {
		request executor.Request
		change  func(*native.Output)
		want    string
	}{
		{executor.Request{}, func(o *native.Output) { o.Tokens = []int32{16} }, "token 16, the vocabulary has 16"},
		{executor.Request{}, func(o *native.Output) { o.Tokens = []int32{-1} }, "token -1"},
		{executor.Request{LogProbs: true}, func(o *native.Output) { o.LogProbs = []float32{-1} }, "1 log-probs for 2 tokens"},
		{executor.Request{GenerationLogits: true}, func(o *native.Output) { o.GenerationLogits = logits("FLOAT", 1, 16) }, "1 rows of logits came for 2 tokens"},
		{executor.Request{GenerationLogits: true}, func(o *native.Output) { o.GenerationLogits = logits("FLOAT", 2, 15) }, "a vocabulary of 16 is wanted"},
		{executor.Request{GenerationLogits: true}, func(*native.Output) {}, `logits of type "" came`},
		{executor.Request{TopLogProbs: 1}, func(o *native.Output) { o.GenerationLogits = logits("FLOAT", 2, 16, float32(math.NaN())) }, "not numbers"},
		{executor.Request{PromptLogProbs: true}, func(o *native.Output) { o.ContextLogits = logits("FLOAT", 2, 16, float32(math.NaN())) }, "after token 0 of the prompt"},
		{executor.Request{ContextLogits: true}, func(o *native.Output) { o.ContextLogits = logits("FLOAT", 1, 16) }, "the prompt's logits: 1 rows of logits came for 2 tokens"},
		{executor.Request{Sampling: executor.Sampling{BeamWidth: 2}}, func(*native.Output) {}, "1 beams, 2 were asked for"},
		{executor.Request{Sampling: executor.Sampling{BeamWidth: 2}}, func(o *native.Output) { o.Tokens = []int32{99} }, "beam 0: TensorRT-LLM gave token 99"},
		{executor.Request{LogProbs: true, Sampling: executor.Sampling{BeamWidth: 2}}, func(*native.Output) {}, "0 log-probs for 2 tokens"},
	} {
		c.request.MaxTokens = 5
		list, _ := answer(t, all, c.request, func(r native.Request, id uint64) []native.Output {
			o := last(r, id, executor.FinishLength, 3, 4)
			c.change(&o)
			return []native.Output{o}
		})
		require.Len(t, list, 1)
		require.ErrorIs(t, list[0].Err, executor.ErrFailed)
		require.ErrorContains(t, list[0].Err, c.want)
	}
}

// logits makes rows of 0, 1, 2 … with the values at their beginning.
func logits(format string, rows, width int, values ...float32) native.Array {
	list := make([]float32, rows*width)
	for i := range list {
		list[i] = float32(i)
		if i < len(values) {
			list[i] = values[i]
		}
	}
	data := make([]byte, len(list)*floatformat.Size(formats[format]))
	floatformat.Encode(data, list, formats[format])
	return native.Array{Data: data, Type: format, Dims: []int64{int64(rows), 1, int64(width)}}
}

func TestLogits(t *testing.T) {
	for _, format := range []string{"FLOAT", "HALF", "BF16"} {
		r := executor.Request{MaxTokens: 2, Streaming: true, GenerationLogits: true, LogProbs: true, TopLogProbs: 2, ContextLogits: true, PromptLogProbs: true, PromptTopLogProbs: 1}
		list, _ := answer(t, options(), r, func(r native.Request, id uint64) []native.Output {
			first, second := tokens(r, id, 15), last(r, id, executor.FinishCancelled)
			first.ContextLogits, second.ContextLogits = logits(format, 2, 18, 0, 3), logits(format, 2, 18)
			first.GenerationLogits = logits(format, 1, 18)
			second.GenerationLogits = native.Array{} // none without tokens
			return []native.Output{first, second}
		})
		require.Len(t, list, 2)
		require.Len(t, list[0].ContextLogits, 2)
		require.Len(t, list[0].ContextLogits[0], 16, "without the columns of no token")
		require.Equal(t, []float32{0, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, list[0].ContextLogits[0])
		require.Equal(t, [][]float32{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}, list[0].Logits)
		sum := math.Log((math.Exp(16) - 1) / (math.E - 1))
		require.InDelta(t, 15-sum, list[0].LogProbs[0], 1e-6)
		require.InDelta(t, 15-sum, list[0].CumLogProb, 1e-6)
		require.Equal(t, int32(15), list[0].TopLogProbs[0][0].Token)
		require.Equal(t, int32(14), list[0].TopLogProbs[0][1].Token)
		require.Zero(t, list[0].PromptLogProbs[0])
		require.Empty(t, list[0].PromptTopLogProbs[0])
		require.Equal(t, int32(15), list[0].PromptTopLogProbs[1][0].Token)
		require.Nil(t, list[1].ContextLogits)
		require.Empty(t, list[1].Logits)
	}
}

func TestBest(t *testing.T) {
	row := []float32{1, 5, 5, -2, 7, 5}
	var ids []int32
	for _, p := range best(row, 0, 4) {
		ids = append(ids, p.Token)
	}
	require.Equal(t, []int32{4, 1, 2, 5}, ids, "equal ones ascend by id")
	require.Len(t, best(row, 0, 6), 6)
}

// Beams come in one batch, in any order, and only their tokens tell why they ended.
func TestBeams(t *testing.T) {
	r := executor.Request{
		MaxTokens: 3, LogProbs: true, EndIDs: []int32{7, 8}, StopSequences: [][]int32{{5, 6}},
		Sampling: executor.Sampling{BeamWidth: 4, NumReturnSequences: 3, LengthPenalty: 1},
	}
	list, _ := answer(t, options(), r, func(r native.Request, id uint64) []native.Output {
		beam := func(i int, cum float32, ids ...int32) native.Output {
			o := last(r, id, executor.FinishLength, ids...)
			o.Beam, o.NumBeams, o.CumLogProb, o.LogProbs = i, 4, cum, make([]float32, len(ids))
			return o
		}
		return []native.Output{beam(0, -9, 1, 2, 3), beam(1, -2, 4, 7), beam(2, -6, 5, 6), beam(3, -3, 9, 9, 9)}
	})
	require.Len(t, list, 3)
	for i, want := range []executor.Response{
		{OutputIDs: []int32{4}, CumLogProb: -2, FinishReason: executor.FinishEnd}, // -2 of two tokens, with the end id
		{OutputIDs: []int32{9, 9, 9}, CumLogProb: -3, FinishReason: executor.FinishLength},
		{OutputIDs: []int32{1, 2, 3}, CumLogProb: -9, FinishReason: executor.FinishLength},
	} {
		want.Sequence, want.SequenceFinal, want.Final = i, true, i == 2
		want.LogProbs = make([]float32, len(want.OutputIDs))
		require.Equal(t, want, list[i])
	}
}

// An output of nobody is logged and does no harm.
func TestUnknownOutputs(t *testing.T) {
	var log bytes.Buffer
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	list, _ := answer(t, o, executor.Request{MaxTokens: 1}, func(r native.Request, id uint64) []native.Output {
		end := last(r, id, executor.FinishLength, 3)
		return []native.Output{{ID: 77, ClientID: 77777, Tokens: []int32{1}, Final: true}, end, end, {ID: id, ClientID: r.ClientID, Error: "again", Final: true}}
	})
	require.Len(t, list, 1)
	require.Contains(t, log.String(), "client_id=77777")
}

// Where upstream forgets the client id, its own tells whose an error is.
func TestErrorWithoutClientID(t *testing.T) {
	f := newFake()
	e := open(t, f, options())
	for id := range uint64(3) {
		require.NoError(t, e.Submit(brief(id)))
	}
	f.push(native.Output{ID: 77, Final: true, Error: "no"}, native.Output{ID: 3, Final: true, Error: "no"})
	list := collect(t, e, 1)
	require.Equal(t, uint64(1), list[0].ClientID)
	require.ErrorIs(t, list[0].Err, executor.ErrFailed)
}

// One text of many requests is explained once.
func TestExplainsOnce(t *testing.T) {
	var f failures
	first := f.outputError(stepFailed)
	require.ErrorIs(t, first, executor.ErrFailed)
	require.Same(t, first, f.outputError(stepFailed))
	other := f.outputError("Encountered an error when fetching new request: Prompt length (9) exceeds maximum input length (8)")
	require.ErrorIs(t, other, executor.ErrTooLong)
	require.Equal(t, first, f.outputError(stepFailed))
}

func TestTiming(t *testing.T) {
	f := newFake()
	f.enqueued = func(r native.Request, id uint64) error {
		end := last(r, id, executor.FinishLength, 3, 4)
		end.Scheduled, end.FirstToken, end.LastToken, end.ReusedBlocks = 10, 20, 30, 1
		f.push(end)
		return nil
	}
	e := open(t, f, options())
	require.NoError(t, e.Submit(executor.Request{InputIDs: make([]int32, 9), MaxTokens: 2}))
	responses, err := e.Await(t.Context())
	require.NoError(t, err)
	require.Equal(t, executor.Timing{Scheduled: 10, FirstToken: 20, LastToken: 30}, responses[0].Timing)
	require.Equal(t, 4, responses[0].KVCache.ReusedTokens)
	require.EqualValues(t, 5, e.Stats().ContextTokens)
	require.EqualValues(t, 4, e.Stats().ReusedTokens)

	f.enqueued = func(r native.Request, id uint64) error {
		f.push(last(r, id, executor.FinishLength, 3))
		return nil
	}
	start := time.Now()
	require.NoError(t, e.Submit(executor.Request{InputIDs: []int32{1}, MaxTokens: 1}))
	responses, err = e.Await(t.Context())
	require.NoError(t, err)
	timing := responses[0].Timing
	require.True(t, timing.FirstToken > 0 && timing.FirstToken <= time.Since(start), "ours, where upstream's is not known")
	require.Equal(t, timing.FirstToken, timing.LastToken)
	require.Zero(t, timing.Scheduled)
}
