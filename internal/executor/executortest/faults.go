package executortest

import (
	"errors"
	"runtime"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The behaviours of executors whose runner fails.
var faults = []behaviour{
	{"foreign exception of unexpected type: a runner may panic with anything", panicBehaviour},
	{"any failure shown as overloaded: every failure has its own sentinel", sentinelBehaviour},
	{"fails the requests of a step that fails, and goes on", randomFailureBehaviour},
	{"fails the request alone whose logits are not numbers", notNumbersBehaviour},
	{"fails when a block cannot be copied, and goes on", copyFailureBehaviour},
	{"is dead when every step fails", alwaysFailsBehaviour},
	{"is dead when a step hangs, and no one waits for it", hangBehaviour},
	{"bears a slow runner", slowRunnerBehaviour},
}

func panicBehaviour(f *fixture) {
	f.needsSteps()
	var (
		nothing any
		noGate  *Gate
		none    []int
	)
	for name, panics := range map[string]func(){
		"an error":          func() { panic(errors.New("broken runner")) },
		"a text":            func() { panic("broken runner") },
		"a number":          func() { panic(42) },
		"a struct":          func() { panic(struct{ code int }{7}) },
		"a function":        func() { panic(func() {}) },
		"nil":               func() { panic(nothing) },
		"a nil pointer":     func() { noGate.Hold() },
		"an index":          func() { none[len(none)]++ },
		"the end of itself": runtime.Goexit, // as a test's FailNow
	} {
		f.reopen(Config{})
		f.run(f.short())
		f.gate.Before(func([]executor.Sequence) error {
			panics()
			return nil
		})
		for _, id := range f.submitUntilDead(3, f.short()) {
			_, err := f.waitError(id)
			require.ErrorIs(f, err, executor.ErrDead, name)
		}
		f.dead()
	}
}

// submitUntilDead submits a request up to n times, until the executor is dead.
func (f *fixture) submitUntilDead(n int, r executor.Request) (ids []uint64) {
	f.Helper()
	for range n {
		r.ClientID = f.lastID + 1
		if err := f.Submit(r); err != nil {
			require.ErrorIs(f, err, executor.ErrDead)
			break
		}
		f.lastID++
		ids = append(ids, f.lastID)
	}
	return ids
}

// dead asserts that the executor has given up, and says so to all that ask.
func (f *fixture) dead() {
	f.Helper()
	_, err := f.Await(f.T.Context())
	require.ErrorIs(f, err, executor.ErrDead)
	require.ErrorIs(f, f.Submit(f.short()), executor.ErrDead)
	f.Cancel(1)
	f.Stop(1, 0)
	f.empty()
}

// sentinels are all causes that an executor tells apart.
var sentinels = []error{
	executor.ErrTooLong, executor.ErrInvalidRequest, executor.ErrUnsupported, executor.ErrNoBackend, executor.ErrQueueFull,
	executor.ErrOutOfMemory, executor.ErrFailed, executor.ErrDead, executor.ErrClosed, executor.ErrAborted,
}

// only asserts that err is one of the sentinels and none of the others.
func (f *fixture) only(want, err error) {
	f.Helper()
	for _, s := range sentinels {
		require.Equal(f, errors.Is(s, want), errors.Is(err, s), "%v, asked whether it is %v", err, s)
	}
}

func sentinelBehaviour(f *fixture) {
	r := f.short()
	r.ClientID, r.InputIDs = 1, f.prompt(f.model.MaxInputLen+1)
	f.only(executor.ErrTooLong, f.Submit(r))
	r = f.short()
	r.InputIDs = nil
	f.only(executor.ErrInvalidRequest, f.Submit(r))
	r = f.short()
	r.Sampling.BeamWidth = 1 << 30
	f.only(executor.ErrUnsupported, f.Submit(r))
	require.NoError(f, f.Close())
	f.only(executor.ErrClosed, f.Submit(f.short()))
	_, err := f.Await(f.T.Context())
	f.only(executor.ErrClosed, err)
	if f.gate == nil {
		return
	}

	f.reopen(Config{MaxQueueSize: 1})
	f.hold()
	first := f.submit(f.short())
	require.NoError(f, f.gate.Arrived(f.T.Context()))
	second := f.submit(f.short())
	r = f.short()
	r.ClientID = 99
	f.only(executor.ErrQueueFull, f.Submit(r))
	f.gate.Release()
	f.wait(first)
	f.wait(second)
	if f.gate.Runner == nil {
		return
	}
	f.gate.Before(func([]executor.Sequence) error {
		f.gate.Before(nil)
		return errors.New("a cable fell out")
	})
	_, err = f.waitError(f.submit(f.short()))
	f.only(executor.ErrFailed, err)
	require.ErrorContains(f, err, "a cable fell out")
	f.gate.Before(func([]executor.Sequence) error { panic("over") })
	_, err = f.waitError(f.submit(f.short()))
	f.only(executor.ErrDead, err)
	f.only(executor.ErrDead, f.Submit(f.short()))
	_, err = f.Await(f.T.Context())
	f.only(executor.ErrDead, err)
}

// mixed are requests of some kinds and what each gives alone.
func (f *fixture) mixed() (requests []executor.Request, want [][]output) {
	for i := range 6 {
		r := executor.Request{InputIDs: f.prompt(3 + 4*i), MaxTokens: 6 + i, Sampling: greedy, Streaming: i%2 == 0, LogProbs: true}
		if i > 3 {
			r.Sampling = executor.Sampling{Temperature: 1, Seed: uint64(i), NumReturnSequences: 2}
		}
		requests = append(requests, r)
		want = append(want, generated(f.wait(f.submit(r))))
	}
	return requests, want
}

// failOrEqual waits for requests and returns how many failed: by want, the others
// give what they give alone.
func (f *fixture) failOrEqual(ids []uint64, want [][]output, cause error) (failed int) {
	f.Helper()
	for i, id := range ids {
		outputs, err := f.waitError(id)
		if err != nil {
			failed++
			require.ErrorIs(f, err, executor.ErrFailed)
			if cause != nil {
				f.caused(err, cause)
			}
			continue
		}
		require.Equal(f, want[i], generated(outputs), "request %d", i)
	}
	f.empty()
	return failed
}

func (f *fixture) submitAll(requests []executor.Request) (ids []uint64) {
	f.Helper()
	for _, r := range requests {
		ids = append(ids, f.submit(r))
	}
	return ids
}

func randomFailureBehaviour(f *fixture) {
	f.needsSteps()
	broken := errors.New("broken")
	requests, want := f.mixed()
	for at := range 8 {
		steps := 0
		f.gate.Before(func([]executor.Sequence) error {
			if steps++; steps == at+1 {
				return broken
			}
			return nil
		})
		failed := f.failOrEqual(f.submitAll(requests), want, broken)
		require.Positive(f, failed, "step %d failed", at)
		f.gate.Before(nil)
		require.Zero(f, f.failOrEqual(f.submitAll(requests), want, nil), "nothing is left of step %d", at)
	}
}

func notNumbersBehaviour(f *fixture) {
	f.needsSteps()
	requests, want := f.mixed()
	for at := range 6 {
		spoilt := false
		rows := 0
		f.gate.After(func(out *executor.StepResult) {
			rows += len(out.Rows)
			if !spoilt && rows > at {
				spoil(&out.Rows[len(out.Rows)-1])
				spoilt = true
			}
		})
		require.Equal(f, 1, f.failOrEqual(f.submitAll(requests), want, nil), "row %d", at)
	}
	f.gate.After(nil)
	require.Zero(f, f.failOrEqual(f.submitAll(requests), want, nil))
}

func copyFailureBehaviour(f *fixture) {
	f.needsSteps()
	requests, want := f.mixed()
	broken := errors.New("broken copy")
	for at := range 3 {
		copies := 0
		f.gate.BeforeCopy(func() error {
			if copies++; copies == at+1 {
				return broken
			}
			return nil
		})
		failed := f.failOrEqual(f.submitAll(requests), want, broken)
		require.LessOrEqual(f, failed, 1, "copy %d", at)
		if copies > at {
			require.Equal(f, 1, failed, "copy %d", at)
		}
		f.gate.BeforeCopy(nil)
		require.Zero(f, f.failOrEqual(f.submitAll(requests), want, nil))
	}
}

func alwaysFailsBehaviour(f *fixture) {
	f.needsSteps()
	broken := errors.New("broken for good")
	f.gate.Before(func([]executor.Sequence) error { return broken })
	for n := 0; ; n++ {
		require.Less(f, n, 1000, "it does not give up")
		f.lastID++
		r := f.short()
		r.ClientID = f.lastID
		if err := f.Submit(r); err != nil {
			require.ErrorIs(f, err, executor.ErrDead)
			f.caused(err, broken)
			require.Greater(f, n, 1, "it gives up too soon")
			break
		}
		_, err := f.waitError(r.ClientID)
		f.caused(err, broken)
	}
	f.dead()
}

func hangBehaviour(f *fixture) {
	f.needsSteps()
	f.reopen(Config{MaxSeqIdle: 20 * time.Millisecond})
	released := make(chan struct{})
	f.gate.Before(func([]executor.Sequence) error {
		<-released // whatever the step's context says
		return errors.New("too late")
	})
	for _, id := range f.submitUntilDead(12, f.long()) {
		_, err := f.waitError(id)
		require.ErrorIs(f, err, executor.ErrDead)
	}
	f.dead()
	// Close does not wait for ever either.
	require.ErrorIs(f, f.Close(), executor.ErrDead)
	close(released)
	for f.Close() != nil { // until the step is over
		time.Sleep(time.Millisecond)
	}
}

func slowRunnerBehaviour(f *fixture) {
	f.needsSteps()
	requests, want := f.mixed()
	f.gate.Before(func([]executor.Sequence) error {
		time.Sleep(time.Millisecond)
		return nil
	})
	ids := f.submitAll(requests)
	f.Cancel(ids[0])
	f.wait(ids[0])
	require.Zero(f, f.failOrEqual(ids[1:], want[1:], nil))
}
