package executortest

import (
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours that a serving program needs: limits, ends from outside, logits
// processors.
var serving = []behaviour{
	{"refuses when the queue is full, and takes more later", queueLimitBehaviour},
	{"starts waiting requests by priority", priorityBehaviour},
	{"ends running and waiting requests whose time is over", deadlineBehaviour},
	{"leaves a step that nobody wants any more", abortBehaviour},
	{"stops one sequence from outside", stopSequenceBehaviour},
	{"tells when things happened", timingBehaviour},
	{"calls a logits processor for the requests that want it", processorBehaviour},
	{"fails the requests whose logits processor fails", processorErrorBehaviour},
}

func queueLimitBehaviour(f *fixture) {
	f.needsGate()
	const limit = 3
	f.reopen(Config{MaxQueueSize: limit})
	f.hold()
	ids := []uint64{f.submit(f.short())}
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	for range limit {
		ids = append(ids, f.submit(f.short()))
	}
	require.Equal(f, limit, f.Stats().QueuedRequests)
	r := f.short()
	for r.ClientID = range uint64(5) {
		r.ClientID += 1000
		require.ErrorIs(f, f.Submit(r), executor.ErrQueueFull)
	}
	f.Cancel(ids[limit]) // its place is free when it has ended
	f.gate.Release()
	for _, id := range ids {
		f.wait(id)
	}
	f.silent()
	for range 3 * limit {
		f.wait(f.submit(r))
	}
	f.empty()
}

func priorityBehaviour(f *fixture) {
	f.needsGate()
	f.hold()
	first := f.submit(f.short())
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	// Far more than run at once. They come in no order.
	const n = 600
	rank, submitted := map[uint64]float32{}, map[uint64]time.Time{}
	for i := range n {
		r := executor.Request{InputIDs: f.prompt(3), MaxTokens: 1, Sampling: greedy, Priority: float32(i%3) / 2}
		now := time.Now()
		id := f.submit(r)
		rank[id], submitted[id] = r.Priority, now
	}
	f.gate.Release()
	f.wait(first)
	var responses []executor.Response
	for len(responses) < n {
		responses = append(responses, f.await()...)
	}
	if !f.model.Features.Ordered {
		slices.SortStableFunc(responses, func(a, b executor.Response) int {
			return submitted[a.ClientID].Add(a.Timing.FirstToken).Compare(submitted[b.ClientID].Add(b.Timing.FirstToken))
		})
	}
	var order []float32
	for _, r := range responses {
		order = append(order, rank[r.ClientID])
	}
	// Those of one step end in any order.
	sum := func(list []float32) (total float32) {
		for _, p := range list {
			total += p
		}
		return total
	}
	require.Greater(f, sum(order[:n/3]), float32(n/3)*0.9)
	require.Less(f, sum(order[2*n/3:]), float32(n/3)*0.1)
}

func deadlineBehaviour(f *fixture) {
	f.needsSteps()
	allotted := 20 * time.Millisecond
	running := f.long()
	running.AllottedTime, running.Streaming = allotted, false
	f.gate.Before(func([]executor.Sequence) error {
		time.Sleep(time.Millisecond)
		return nil
	})
	out := f.run(running)
	f.gate.Before(nil)
	require.Equal(f, executor.FinishTimeout, out.reason)
	require.Less(f, len(out.ids), running.MaxTokens)
	want := f.long()
	want.InputIDs, want.Streaming = running.InputIDs, false
	require.Equal(f, head(f.run(want).ids, len(out.ids)), out.ids, "what there was by then")

	// One that waits does so no longer; the one that runs has all the time.
	f.hold()
	long := f.long()
	long.MaxTokens = 10
	busy := f.submit(long)
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	waiting := f.submit(running)
	time.Sleep(allotted)
	f.gate.Release()
	got := f.wait(waiting)[0]
	require.Equal(f, executor.FinishTimeout, got.reason)
	require.Empty(f, got.ids)
	require.Equal(f, executor.FinishLength, f.wait(busy)[0].reason)
	require.EqualValues(f, 2, f.Stats().TimedOutRequests)
	f.empty()
}

func abortBehaviour(f *fixture) {
	f.needsAborts()
	long := executor.Request{InputIDs: f.prompt(f.model.MaxSeqLen / 2), MaxTokens: 5, Sampling: greedy}
	want := f.run(executor.Request{InputIDs: long.InputIDs, MaxTokens: 5, Sampling: greedy, CacheSalt: 1})

	// The gate stays closed: only the end of the step's context lets it go.
	f.hold()
	id := f.submit(long)
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	f.Cancel(id)
	out := f.wait(id)[0]
	require.Equal(f, executor.FinishCancelled, out.reason)
	require.Empty(f, out.ids)
	f.empty()

	// The same by time.
	long.AllottedTime = 5 * time.Millisecond
	out = f.run(long)
	require.Equal(f, executor.FinishTimeout, out.reason)
	require.Empty(f, out.ids)
	f.empty()

	// What was aborted has left nothing that is taken for a computed prompt.
	f.gate.Release()
	long.AllottedTime = 0
	require.Equal(f, want.ids, f.run(long).ids)
}

func stopSequenceBehaviour(f *fixture) {
	r := executor.Request{
		InputIDs: f.prompt(5), MaxTokens: f.model.MaxSeqLen - 5, Streaming: true,
		Sampling: executor.Sampling{Temperature: 1, Seed: 3, NumReturnSequences: 3},
	}
	want := f.wait(f.submit(r))
	id := f.submit(r)
	outputs := make([]output, 3)
	stopped := false
	for final := false; !final; {
		for _, r := range f.await() {
			outputs[r.Sequence].add(f, r)
			final = r.Final
			if len(outputs[1].ids) > 0 && !stopped {
				stopped = true
				f.Stop(id, 1)
				f.Stop(id, 1)
				f.Stop(id, 3)
				f.Stop(id, -1)
				f.Stop(id+1, 0)
			}
		}
	}
	require.Equal(f, want[0].generated(), outputs[0].generated(), "the others go on")
	require.Equal(f, want[2].generated(), outputs[2].generated(), "the others go on")
	n := len(outputs[1].ids)
	require.Equal(f, head(want[1].ids, n), outputs[1].ids)
	if n < len(want[1].ids) { // it may have been too late
		require.Equal(f, executor.FinishStop, outputs[1].reason)
	}
	require.Zero(f, f.Stats().CancelledRequests)
	f.empty()
	if f.gate == nil {
		return
	}

	// One that waits is stopped, too; when all are, the request has ended.
	f.hold()
	busy := f.submit(f.short())
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	id = f.submit(r)
	for i := range 3 {
		f.Stop(id, i)
	}
	f.gate.Release()
	for _, o := range f.wait(id) {
		require.Equal(f, executor.FinishStop, o.reason)
		require.LessOrEqual(f, len(o.ids), 1)
	}
	f.wait(busy)
	f.empty()
}

func timingBehaviour(f *fixture) {
	start := time.Now()
	out := f.run(executor.Request{InputIDs: f.prompt(9), MaxTokens: 5, Sampling: greedy})
	took := time.Since(start)
	require.Positive(f, out.timing.Scheduled)
	require.Greater(f, out.timing.FirstToken, out.timing.Scheduled)
	require.Greater(f, out.timing.LastToken, out.timing.FirstToken)
	require.GreaterOrEqual(f, took, out.timing.LastToken)
	if !f.hold() {
		return
	}
	busy := f.submit(f.short())
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	waiting := f.submit(f.short())
	f.Cancel(waiting)
	f.gate.Release()
	require.Zero(f, f.wait(waiting)[0].timing, "nothing ever happened to it")
	f.wait(busy)
}

// processed is what a request's rows look like to the processor.
type processed struct {
	data  any
	token int32 // to be the only one possible
	calls int
}

// force makes the processor's rows give one token each, and checks them.
func (f *fixture) force(of map[uint64]*processed, prompts map[uint64][]int32, calls *int) executor.LogitsProcessor {
	return func(rows []executor.ProcessorRow) error {
		*calls++
		for _, row := range rows {
			p := of[row.ClientID]
			if p == nil {
				return errors.New("a row of a request that wants none")
			}
			p.calls++
			prompt := prompts[row.ClientID]
			if row.Data != p.data || len(row.Logits) != f.model.VocabSize || len(row.Tokens)-row.Generated != len(prompt) || !slices.Equal(row.Tokens[:len(prompt)], prompt) {
				f.Errorf("a row of %v: %d logits, %d tokens, %d generated", row.Data, len(row.Logits), len(row.Tokens), row.Generated)
			}
			for _, token := range row.Tokens[len(prompt):] {
				if token != p.token {
					f.Errorf("token %d was generated, %d is the only one possible", token, p.token)
				}
			}
			for i := range row.Logits {
				row.Logits[i] = -100
			}
			row.Logits[p.token] = 1
		}
		return nil
	}
}

func processorBehaviour(f *fixture) {
	plain := executor.Request{InputIDs: f.prompt(7), MaxTokens: 9, Sampling: greedy, LogProbs: true}
	want := f.run(plain)
	wants := plain
	wants.ProcessorData = "data"
	// Without a processor it is refused, by name.
	err := f.Submit(wants)
	require.Error(f, err)
	require.ErrorContains(f, err, "processor")
	if !f.model.Features.Processors {
		require.ErrorIs(f, err, executor.ErrUnsupported)
		return
	}

	of, prompts, calls := map[uint64]*processed{}, map[uint64][]int32{}, 0
	f.reopen(Config{LogitsProcessor: f.force(of, prompts, &calls)})
	f.hold()
	var forced []uint64
	for i := range uint64(3) {
		id := f.lastID + 1
		r := executor.Request{
			InputIDs: f.prompt(3 + int(i)), MaxTokens: 6, ProcessorData: i, Streaming: i == 1, LogProbs: true, GenerationLogits: true,
			// Bias and penalties come on top of what the processor says.
			Sampling: executor.Sampling{Temperature: 1, Seed: i, NumReturnSequences: 1 + int(i%2), PresencePenalty: 1},
		}
		of[id], prompts[id] = &processed{data: i, token: int32(5 + i)}, r.InputIDs
		forced = append(forced, f.submit(r))
	}
	ordinary := f.submit(plain)
	if f.gate != nil {
		f.gate.Release()
	}
	for _, id := range forced {
		for _, o := range f.wait(id) {
			require.Len(f, o.ids, 6)
			for i, token := range o.ids {
				require.Equal(f, of[id].token, token)
				require.InDelta(f, LogSoftmax(o.logits[i])[token], float64(o.logProbs[i]), 1e-4, "logits and log-probs are the model's")
			}
		}
		require.GreaterOrEqual(f, of[id].calls, 6)
	}
	require.Equal(f, want.generated(), f.wait(ordinary)[0].generated(), "one without data is left alone")
	require.Less(f, calls, 3*6*2, "one call for all of a step")
	f.empty()
}

func processorErrorBehaviour(f *fixture) {
	if !f.model.Features.Processors {
		f.Skip("has no logits processors")
	}
	plain := executor.Request{InputIDs: f.prompt(7), MaxTokens: 9, Sampling: greedy}
	want := f.run(plain)
	broken := errors.New("a broken grammar")
	for _, processor := range []executor.LogitsProcessor{
		func([]executor.ProcessorRow) error { return broken },
		func([]executor.ProcessorRow) error { panic(broken) },
	} {
		f.reopen(Config{LogitsProcessor: processor})
		f.hold()
		r := plain
		r.ProcessorData = 1
		fails, stays := f.submit(r), f.submit(plain)
		if f.gate != nil {
			f.gate.Release()
		}
		_, err := f.waitError(fails)
		f.caused(err, broken)
		require.ErrorIs(f, err, executor.ErrFailed)
		require.Equal(f, want.ids, f.wait(stays)[0].ids)
		require.Equal(f, want.ids, f.run(plain).ids)
		f.empty()
	}
}
