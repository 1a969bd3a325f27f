package inflight

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// A processor that adds what a bias adds gives what the bias gives, with all other
// fields at work, and the log-probs stay the model's.
func TestProcessorStandsBeforeEdits(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	shift := func(rows []executor.ProcessorRow) error {
		for _, row := range rows {
			for id, bias := range row.Data.(map[int32]float32) {
				row.Logits[id] += bias
			}
		}
		return nil
	}
	var biased, processed, plain []executor.Request
	for i := range 80 {
		r := randomRequest(random, 97)
		r.LogProbs, r.TopLogProbs, r.GenerationLogits, r.Streaming = true, 5, true, i%2 == 0
		r.Sampling.Bias = nil
		plain = append(plain, r)
		bias := map[int32]float32{random.Int32N(97): 6, r.InputIDs[0]: -3, random.Int32N(97): float32(math.Inf(-1))}
		with := r
		with.Sampling.Bias = bias
		biased = append(biased, with)
		r.ProcessorData = bias
		processed = append(processed, r)
	}
	e := openToy(t, Options{LogitsProcessor: shift}, nil)
	want := generate(t, e, biased...)
	got := generate(t, e, slices.Concat(processed, plain)...) // together with others
	differ := 0
	for i := range want {
		a, b := want[i][0], got[i][0]
		require.NoError(t, b.Err)
		require.Equal(t, a.OutputIDs, b.OutputIDs, "%+v", processed[i])
		require.Equal(t, a.Logits, b.Logits, "the model's, not the processor's")
		require.Equal(t, a.TopLogProbs, b.TopLogProbs)
		require.InDeltaSlice(t, a.LogProbs, b.LogProbs, 1e-6)
		if !slices.Equal(b.OutputIDs, got[len(want)+i][0].OutputIDs) {
			differ++
		}
	}
	require.Greater(t, differ, 20, "the processor does something")
}

// One call a step has the rows of all that want it, with what belongs to them.
func TestProcessorRows(t *testing.T) {
	type seen struct {
		id       uint64
		sequence int
		data     any
		tokens   []int32
		output   int
		logits   []float32
	}
	var calls [][]seen
	processor := func(rows []executor.ProcessorRow) error {
		var list []seen
		for _, row := range rows {
			list = append(list, seen{row.ClientID, row.Sequence, row.Data, slices.Clone(row.Tokens), row.Generated, slices.Clone(row.Logits)})
			only := 10*(int(row.ClientID)+1) + 5*row.Sequence + row.Generated
			for id := range row.Logits {
				if id != only {
					row.Logits[id] = float32(math.Inf(-1))
				}
			}
			_ = append(row.Tokens, 96) // into memory that is not the executor's
		}
		calls = append(calls, list)
		return nil
	}
	e := openToy(t, Options{LogitsProcessor: processor}, nil)
	requests := []executor.Request{
		{InputIDs: []int32{1, 2, 3}, MaxTokens: 5, ProcessorData: "a"},
		{InputIDs: []int32{4, 5, 6}, MaxTokens: 5},
		{InputIDs: []int32{7, 8, 9}, MaxTokens: 5, ProcessorData: 7, Sampling: executor.Sampling{NumReturnSequences: 2}},
	}
	out := generate(t, e, requests...)
	require.Equal(t, []int32{10, 11, 12, 13, 14}, out[0][0].OutputIDs)
	require.Equal(t, []int32{30, 31, 32, 33, 34}, out[2][0].OutputIDs)
	require.Equal(t, []int32{35, 36, 37, 38, 39}, out[2][1].OutputIDs)
	require.Equal(t, definedOutput(&requests[1], 0, 97), out[1][0].OutputIDs)

	together := 0
	for _, rows := range calls {
		together = max(together, len(rows))
		for _, row := range rows {
			r := &requests[row.id]
			require.Equal(t, r.ProcessorData, row.data)
			require.Equal(t, slices.Concat(r.InputIDs, out[row.id][row.sequence].OutputIDs[:row.output]), row.tokens)
			require.Equal(t, executortest.ToyLogits(executortest.Hidden(row.tokens), 97), row.logits)
		}
	}
	require.Greater(t, together, 1, "rows of several sequences come in one call")
	require.LessOrEqual(t, len(calls), int(e.Stats().Iterations), "one call a step")
}

// Whatever a processor does to its requests, others in the same steps do not notice.
func TestProcessorThatFails(t *testing.T) {
	cause := errors.New("the grammar is broken")
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct {
		processor func(rows []executor.ProcessorRow) error
		is        error
		want      string
		both      bool // requests of the call fail
	}{
		"error":           {func([]executor.ProcessorRow) error { return cause }, cause, "step failed: the logits processor: the grammar is broken", true},
		"panic":           {func([]executor.ProcessorRow) error { panic("index out of range") }, nil, "the logits processor: panic: index out of range", true},
		"panic of error":  {func([]executor.ProcessorRow) error { panic(cause) }, cause, "the logits processor: panic: the grammar is broken", true},
		"NaN":             {set(nan), nil, "token 2 of sequence 0: the logits processor made the logit of token id 7 NaN: a number or -Inf is needed", false},
		"infinite":        {set(inf), nil, "the logits processor made the logit of token id 7 +Inf", false},
		"everything gone": {set(float32(math.Inf(-1))), nil, "the logits processor, bias and bans leave no token", false},
	} {
		t.Run(name, func(t *testing.T) {
			gate := executortest.NewGate(executortest.NewToy(executortest.ToyLimits()))
			e, err := New(gate, Options{LogitsProcessor: func(rows []executor.ProcessorRow) error {
				for _, row := range rows {
					if row.Data == "bad" && row.Generated == 2 {
						return c.processor([]executor.ProcessorRow{row})
					}
				}
				return nil
			}})
			require.NoError(t, err)
			defer func() { require.NoError(t, e.Close()) }()
			bad := executor.Request{InputIDs: []int32{1, 2}, MaxTokens: 6, ProcessorData: "bad"}
			good := executor.Request{InputIDs: []int32{3, 4}, MaxTokens: 6, ProcessorData: "good"}
			plain := executor.Request{InputIDs: []int32{5, 6}, MaxTokens: 6}
			gate.Hold() // until all are there: none is far ahead
			go func() {
				for s := e.Stats(); s.ActiveRequests+s.QueuedRequests < 3; s = e.Stats() {
					runtime.Gosched()
				}
				gate.Release()
			}()
			out := generate(t, e, plain, bad, good)
			require.Equal(t, definedOutput(&plain, 0, 97), out[0][0].OutputIDs)
			require.ErrorIs(t, out[1][0].Err, executor.ErrFailed)
			require.ErrorContains(t, out[1][0].Err, c.want)
			if c.is != nil {
				require.ErrorIs(t, out[1][0].Err, c.is)
			}
			if !c.both {
				require.NoError(t, out[2][0].Err)
				require.Equal(t, definedOutput(&good, 0, 97), out[2][0].OutputIDs)
			} else {
				require.ErrorIs(t, out[2][0].Err, executor.ErrFailed, "it was in the same call")
			}
			require.Zero(t, e.Stats().KVBlocksUsed)
			require.NoError(t, generate(t, e, good)[0][0].Err, "later ones run")
		})
	}
}

// A processor that ends the goroutine it runs on, as a test's FailNow does, leaves a
// dead executor that says so, and nobody waits.
func TestProcessorThatEndsTheGoroutine(t *testing.T) {
	e := openToy(t, Options{LogitsProcessor: func([]executor.ProcessorRow) error {
		runtime.Goexit()
		return nil
	}}, nil)
	out := generate(t, e, executor.Request{InputIDs: []int32{1}, MaxTokens: 2, ProcessorData: true})
	require.ErrorIs(t, out[0][0].Err, executor.ErrDead)
	require.ErrorIs(t, e.Submit(executor.Request{InputIDs: []int32{1}, MaxTokens: 2}), executor.ErrDead)
}

// set makes a processor that sets one logit, or all when v is -Inf.
func set(v float32) func(rows []executor.ProcessorRow) error {
	return func(rows []executor.ProcessorRow) error {
		for _, row := range rows {
			row.Logits[7] = v
			if math.IsInf(float64(v), -1) {
				for id := range row.Logits {
					row.Logits[id] = v
				}
			}
		}
		return nil
	}
}
