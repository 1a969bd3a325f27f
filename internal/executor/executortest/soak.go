package executortest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// Soak is random load on one executor after another, at several times what fits:
// requests of all kinds and bad ones, cancels, stops, time limits, faults, and closes
// in the middle. Every accepted request must end exactly once and nothing may starve;
// nothing may be left of an executor that was closed.
type Soak struct {
	Duration time.Duration
	Seed     uint64

	// Open opens the executor of an episode, of any kind that random likes. A failure
	// must be one that faults explain when faulty is not nil; else there must be none.
	Open func(t *testing.T, random *rand.Rand) (x executor.Executor, m Model, faulty *Faulty)
}

// Totals tells what a soak did.
type Totals struct {
	Episodes, Accepted, Refused, Cancelled, TimedOut, Failed, Dead int
	Tokens, Faults                                                 int
	Iterations, Pauses, ReusedTokens                               uint64
}

// Run soaks for the duration and returns what was done.
func (s Soak) Run(t *testing.T) Totals {
	t.Helper()
	random := rand.New(rand.NewPCG(s.Seed, 17))
	watch := newProcessWatch()
	var totals Totals
	for end := time.Now().Add(s.Duration); time.Now().Before(end) && !t.Failed(); {
		x, m, faulty := s.Open(t, random)
		e := &episode{
			x: x, model: m, faulty: faulty, random: random, live: map[uint64]*soaked{},
			closes: random.IntN(3) == 0, priorities: random.IntN(2) == 0,
		}
		// Many short episodes, and in a long soak some long ones.
		length := min(time.Duration(50+random.IntN(400))*time.Millisecond, s.Duration/4)
		if random.IntN(8) == 0 {
			length = min(max(length, s.Duration/20), 10*time.Second)
		}
		e.run(t, length)
		totals.add(&e.totals)
		watch.look(t)
	}
	watch.finish(t)
	return totals
}

func (t *Totals) add(o *Totals) {
	t.Episodes++
	t.Accepted += o.Accepted
	t.Refused += o.Refused
	t.Cancelled += o.Cancelled
	t.TimedOut += o.TimedOut
	t.Failed += o.Failed
	t.Dead += o.Dead
	t.Tokens += o.Tokens
	t.Faults += o.Faults
	t.Iterations += o.Iterations
	t.Pauses += o.Pauses
	t.ReusedTokens += o.ReusedTokens
}

// episode is the life of one executor.
type episode struct {
	x          executor.Executor
	model      Model
	faulty     *Faulty
	random     *rand.Rand
	closes     bool // with requests in flight
	priorities bool // requests have them

	lastID atomic.Uint64
	over   atomic.Bool // no more is submitted

	mu     sync.Mutex
	live   map[uint64]*soaked // from before Submit
	totals Totals
	wrong  []string
	oldest uint64 // the live request that comes first, and
	since  uint64 // the iteration at which it became that or got something
}

// soaked is a request that was submitted or is about to be.
type soaked struct {
	request   executor.Request
	submitted bool
	ended     map[int]bool // sequences
	reason    executor.FinishReason
	tokens    int
	responses chan struct{} // a token for each response, for the client; closed at the end
}

// clients is how many goroutines submit, each several requests at once.
const clients, eachAtOnce = 6, 8

func (e *episode) run(t *testing.T, length time.Duration) {
	t.Helper()
	var pump, submitters sync.WaitGroup
	pump.Go(e.pump)
	for range clients {
		seed := e.random.Uint64()
		submitters.Go(func() { e.client(seed) })
	}
	timer := time.AfterFunc(length, func() { e.over.Store(true) })
	defer timer.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if e.closes {
			for !e.over.Load() {
				time.Sleep(time.Millisecond)
			}
			e.close()
		}
		submitters.Wait()
		e.close()
		pump.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(length + 2*time.Minute): // of no progress at all, surely
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		require.Fail(t, "it hangs", "%d live requests, stats %+v\n%s", len(e.live), e.x.Stats(), stacks.String())
	}
	e.check(t)
}

// close closes the executor, after letting a step go that hangs.
func (e *episode) close() {
	if e.faulty != nil {
		e.faulty.Release()
	}
	if err := e.x.Close(); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.wrongly("close: %v", err)
	}
}

// wrongly notes what should not be. The caller holds mu.
func (e *episode) wrongly(format string, args ...any) {
	if len(e.wrong) < 10 {
		e.wrong = append(e.wrong, fmt.Sprintf(format, args...))
	}
	e.over.Store(true)
}

// check looks at what is left.
func (e *episode) check(t *testing.T) {
	t.Helper()
	stats := e.x.Stats()
	e.totals.Iterations, e.totals.Pauses, e.totals.ReusedTokens = stats.Iterations, stats.PausedRequests, stats.ReusedTokens
	if e.faulty != nil {
		e.totals.Faults = e.faulty.Seen()
	}
	require.Empty(t, e.wrong)
	for id, r := range e.live {
		require.Fail(t, "a request never ended", "%d: %+v, stats %+v", id, r.request, stats)
	}
	require.Zero(t, stats.ActiveRequests+stats.QueuedRequests, "%+v", stats)
	require.Zero(t, stats.KVBlocksUsed, "%+v", stats)
	require.EqualValues(t, e.totals.Accepted, stats.FinishedRequests, "%+v", stats)
	if e.totals.Dead == 0 {
		require.EqualValues(t, e.totals.Failed, stats.FailedRequests, "%+v", stats)
	}
	if e.faulty == nil {
		require.Zero(t, e.totals.Failed+e.totals.Dead)
	}
}

// client submits requests until the end, several at once.
func (e *episode) client(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 19))
	load := NewLoad(e.model, 48, seed)
	var running sync.WaitGroup
	places := make(chan struct{}, eachAtOnce)
	for !e.over.Load() {
		if random.IntN(20) == 0 { // what a server's metrics read
			e.x.Stats()
			e.x.IterationStats()
			e.x.RequestStats()
		}
		r, bad := load.Request(), random.IntN(10) == 0
		if bad {
			r = load.Bad()
		} else if random.IntN(8) == 0 {
			r.AllottedTime = time.Duration(random.IntN(3000)) * time.Microsecond
		}
		if !e.priorities {
			r.Priority = 0.5
		}
		q := e.submit(r, bad)
		if q == nil {
			time.Sleep(time.Duration(random.IntN(100)) * time.Microsecond)
			continue
		}
		places <- struct{}{}
		// After so many responses; most never.
		cancelAfter, stopAfter := random.IntN(30), random.IntN(30)
		running.Go(func() {
			defer func() { <-places }()
			e.follow(q, cancelAfter, stopAfter)
		})
	}
	running.Wait()
}

// submit submits a request; nil if it was refused.
func (e *episode) submit(r executor.Request, bad bool) *soaked {
	r.ClientID = e.lastID.Add(1)
	q := &soaked{request: r, ended: map[int]bool{}, responses: make(chan struct{}, 1<<10)}
	e.mu.Lock()
	e.live[r.ClientID] = q // the first response may be there before Submit has returned
	e.mu.Unlock()
	err := e.x.Submit(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil && bad:
		e.wrongly("a bad request was accepted: %+v", r)
	case err == nil:
		e.totals.Accepted++
		q.submitted = true
		return q
	case bad && (errors.Is(err, executor.ErrInvalidRequest) || errors.Is(err, executor.ErrTooLong)):
		e.totals.Refused++
	case errors.Is(err, executor.ErrQueueFull):
		e.totals.Refused++
	case errors.Is(err, executor.ErrClosed) && e.closes, errors.Is(err, executor.ErrDead) && e.faulty != nil:
		e.over.Store(true)
	default:
		e.wrongly("submit %+v: %v", r, err)
	}
	delete(e.live, r.ClientID)
	return nil
}

// follow waits for a request's end, and does to it what clients do.
func (e *episode) follow(q *soaked, cancelAfter, stopAfter int) {
	id := q.request.ClientID
	for n := 0; ; n++ {
		if n == cancelAfter {
			e.x.Cancel(id)
		}
		if n == stopAfter {
			e.x.Stop(id, n%2)
		}
		if _, more := <-q.responses; !more {
			if n%3 == 0 {
				e.x.Cancel(id) // too late
			}
			return
		}
	}
}

// pump takes all responses until the executor is closed or dead.
func (e *episode) pump() {
	for {
		responses, err := e.x.Await(context.Background())
		e.mu.Lock()
		if err == nil && len(responses) == 0 {
			e.wrongly("await returned nothing")
			err = executor.ErrClosed
		}
		if err != nil {
			if !errors.Is(err, executor.ErrClosed) && !(e.faulty != nil && errors.Is(err, executor.ErrDead)) {
				e.wrongly("await: %v", err)
			}
			for _, q := range e.live { // lets the clients go; check tells of these
				if q.submitted {
					close(q.responses)
				}
			}
			e.over.Store(true)
			e.mu.Unlock()
			return
		}
		for i := range responses {
			e.take(&responses[i])
		}
		e.starving()
		e.mu.Unlock()
	}
}

// take checks a response and tells the client. The caller holds mu.
func (e *episode) take(r *executor.Response) {
	q := e.live[r.ClientID]
	if q == nil {
		e.wrongly("a response for %d, which has ended or never was: %+v", r.ClientID, r)
		return
	}
	if r.ClientID == e.oldest {
		e.since = e.x.Stats().Iterations
	}
	if r.Err != nil {
		if !r.Final {
			e.wrongly("an error that is not final: %+v", r)
		}
		e.failure(q, r.Err)
	} else {
		e.sequence(q, r)
	}
	if r.Final {
		delete(e.live, r.ClientID)
		close(q.responses)
		return
	}
	select {
	case q.responses <- struct{}{}:
	default: // the client is behind, and loses count
	}
}

func (e *episode) failure(q *soaked, err error) {
	switch {
	case e.faulty == nil:
		e.wrongly("request %+v failed: %v", q.request, err)
	case errors.Is(err, executor.ErrDead):
		e.totals.Dead++
	case errors.Is(err, executor.ErrFailed):
		e.totals.Failed++
	default:
		e.wrongly("a failure of no known cause: %v", err)
	}
}

// sequence checks a response that is no error.
func (e *episode) sequence(q *soaked, r *executor.Response) {
	n := max(1, q.request.Sampling.NumReturnSequences)
	if q.request.Sampling.BeamWidth > 1 && q.request.Sampling.NumReturnSequences == 0 {
		n = q.request.Sampling.BeamWidth
	}
	if r.Sequence < 0 || r.Sequence >= n || q.ended[r.Sequence] {
		e.wrongly("a response for sequence %d of %d (%v have ended)", r.Sequence, n, q.ended)
		return
	}
	q.tokens += len(r.OutputIDs)
	e.totals.Tokens += len(r.OutputIDs)
	if r.SequenceFinal != (r.FinishReason != executor.FinishNone) {
		e.wrongly("sequence final is %v, the reason %q", r.SequenceFinal, r.FinishReason)
	}
	if !r.SequenceFinal {
		if r.Final {
			e.wrongly("a final response whose sequence is not: %+v", r)
		}
		return
	}
	q.ended[r.Sequence] = true
	q.reason = max(q.reason, r.FinishReason)
	if r.Final != (len(q.ended) == n) {
		e.wrongly("final is %v with %d of %d sequences ended", r.Final, len(q.ended), n)
	}
	if !r.Final {
		return
	}
	if q.tokens > n*q.request.MaxTokens {
		e.wrongly("%d tokens, %d times %d were asked for", q.tokens, n, q.request.MaxTokens)
	}
	switch q.reason {
	case executor.FinishCancelled:
		e.totals.Cancelled++
	case executor.FinishTimeout:
		e.totals.TimedOut++
	}
}

// starving looks whether the live request that is first, by priority and then by
// arrival, gets anywhere. The caller holds mu.
func (e *episode) starving() {
	var first *soaked
	for _, q := range e.live {
		if q.submitted && (first == nil || cmp.Or(
			cmp.Compare(first.request.Priority, q.request.Priority), cmp.Compare(q.request.ClientID, first.request.ClientID)) < 0) {
			first = q
		}
	}
	iterations := e.x.Stats().Iterations
	if first == nil || first.request.ClientID != e.oldest {
		e.oldest, e.since = 0, iterations
		if first != nil {
			e.oldest = first.request.ClientID
		}
		return
	}
	// Room for its prompt and output one token at a time, all others of a batch
	// running to their ends before it, and computing anew what was paused.
	if bound := uint64(64 * e.model.MaxSeqLen); iterations-e.since > bound {
		e.wrongly("request %d, the first of %d, got nothing in %d iterations: %+v", e.oldest, len(e.live), iterations-e.since, first.request)
	}
}

// SoakTime is how long to soak: TRTGO_SOAK_TIME, or a second.
func SoakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TRTGO_SOAK_TIME")
	if text == "" {
		return time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "TRTGO_SOAK_TIME")
	return d
}

// SoakSeed is TRTGO_SOAK_SEED, or another one each time, which the log tells.
func SoakSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TRTGO_SOAK_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "TRTGO_SOAK_SEED")
	}
	t.Logf("TRTGO_SOAK_SEED=%d", seed)
	return seed
}
