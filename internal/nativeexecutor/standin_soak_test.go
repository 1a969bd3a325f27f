//go:build cgo && linux

package nativeexecutor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// TestStandinSoak puts random load on the production shim, for as long as TRTGO_SOAK_TIME
// says, under random scripts of the stand-in.
func TestStandinSoak(t *testing.T) {
	s := needStandin(t)
	totals := executortest.Soak{Duration: executortest.SoakTime(t), Seed: executortest.SoakSeed(t), Open: func(t *testing.T, random *rand.Rand) (executor.Executor, executortest.Model, *executortest.Faulty) {
		script := fmt.Sprintf("kv_blocks=%d;step_us=%d", 24+random.IntN(60), random.IntN(2)*random.IntN(500))
		if random.IntN(2) == 0 {
			script += fmt.Sprintf(";merge=%d", 1+random.IntN(5))
		}
		if random.IntN(2) == 0 {
			script += ";empty_final=1"
		}
		var faulty *executortest.Faulty
		if random.IntN(3) == 0 {
			for range 5 {
				script += fmt.Sprintf(";fail_step=%d;error_request=%d", 3+random.IntN(300), 2+random.IntN(300))
			}
			faulty = executortest.NewFaulty(nil, executortest.Faults{}, 0)
		}
		o := toyOptions(executortest.Config{RequestStats: random.IntN(2) * 100})
		o.MaxBeamWidth = 4
		if random.IntN(3) == 0 {
			o.MaxQueueSize = 1 + random.IntN(30)
		}
		e, err := New(s.engine(t, standinConfig, script), o)
		require.NoError(t, err)
		return e, standinModel(), faulty
	}}.Run(t)
	t.Logf("%+v", totals)
	require.Positive(t, totals.Accepted)
}

// TestStandinCrowd has 1,000 requests in flight, cancels 10,000 and closes at random
// moments with all of them there. Each that was taken ends once.
func TestStandinCrowd(t *testing.T) {
	s := needStandin(t)
	ignore := goleak.IgnoreCurrent()
	const crowd, cancels, rounds = 1000, 10000, 10
	random := rand.New(rand.NewPCG(executortest.SoakSeed(t), 3))
	total := 0
	for round := range rounds {
		c := &crowded{load: executortest.NewLoad(standinModel(), 48, random.Uint64()), live: map[uint64]int{}}
		var err error
		c.e, err = New(s.engine(t, standinConfig, fmt.Sprintf("kv_blocks=%d", 64+random.IntN(200))), toyOptions(executortest.Config{}))
		require.NoError(t, err)
		var pump sync.WaitGroup
		pump.Go(c.pump)
		for c.cancels() < cancels/rounds {
			c.fill(t, crowd)
			c.cancel(random, 1+random.IntN(200))
		}
		c.fill(t, crowd)
		if round%2 == 0 { // as requests come
			pump.Go(func() { c.fill(t, 2*crowd) })
		}
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		require.NoError(t, c.e.Close())
		pump.Wait()
		require.Empty(t, c.live, "what was queued has its end")
		require.Empty(t, c.wrong)
		stats := c.e.Stats()
		require.EqualValues(t, c.ended, stats.FinishedRequests)
		require.Zero(t, stats.ActiveRequests+stats.QueuedRequests)
		total += c.cancelled
	}
	require.GreaterOrEqual(t, total, cancels)
	goleak.VerifyNone(t, ignore)
}

// crowded are requests in flight.
type crowded struct {
	e    *Executor
	load *executortest.Load

	mu        sync.Mutex
	lastID    uint64
	live      map[uint64]int // responses
	ended     int
	cancelled int
	wrong     []string
	closed    atomic.Bool
}

// fill submits requests until n are live, or the executor is closed.
func (c *crowded) fill(t *testing.T, n int) {
	t.Helper()
	for {
		c.mu.Lock()
		if len(c.live) >= n || c.closed.Load() {
			c.mu.Unlock()
			return
		}
		r := c.load.Request()
		c.lastID++
		r.ClientID = c.lastID
		c.live[r.ClientID] = 0
		c.mu.Unlock()
		if err := c.e.Submit(r); err != nil {
			c.mu.Lock()
			delete(c.live, r.ClientID)
			c.mu.Unlock()
			if c.e.stopped() == nil {
				t.Errorf("submit: %v", err)
			}
			return
		}
	}
}

// cancels tells how many have ended cancelled.
func (c *crowded) cancels() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cancelled
}

// cancel cancels some that are live, if they still are.
func (c *crowded) cancel(random *rand.Rand, n int) {
	c.mu.Lock()
	var ids []uint64
	for id := range c.live {
		if len(ids) < n && random.IntN(2) == 0 {
			ids = append(ids, id)
		}
	}
	c.mu.Unlock()
	for _, id := range ids {
		c.e.Cancel(id)
	}
}

func (c *crowded) pump() {
	defer c.closed.Store(true)
	for {
		responses, err := c.e.Await(context.Background())
		if err != nil {
			return
		}
		c.mu.Lock()
		for _, r := range responses {
			n, ok := c.live[r.ClientID]
			switch {
			case !ok:
				c.wrong = append(c.wrong, fmt.Sprintf("a response of nobody: %d", r.ClientID))
			case r.Err != nil:
				c.wrong = append(c.wrong, r.Err.Error())
			}
			c.live[r.ClientID] = n + 1
			if r.Final {
				delete(c.live, r.ClientID)
				c.ended++
				if r.FinishReason == executor.FinishCancelled {
					c.cancelled++
				}
			}
		}
		c.mu.Unlock()
	}
}

// The faults of the stand-in, one by one: what upstream throws, and when it hangs or ends.
func TestStandinFaults(t *testing.T) {
	s := needStandin(t)
	for _, c := range []struct {
		name, script string
		want         error
		text         string
	}{
		{"a throw of a number when queueing", "throw=Executor::enqueueRequest#2:int", executor.ErrFailed, ""},
		{"no memory when queueing", "throw=Executor::enqueueRequest#2:bad_alloc", executor.ErrFailed, ""},
		{"a text when queueing", "throw=Executor::enqueueRequest#2:runtime", executor.ErrFailed, "out of memory"},
		{"a failing step", "fail_step=3", executor.ErrFailed, "CUDA error, says the script"},
		{"an error of the request", "error_request=2", executor.ErrFailed, "the script refuses this request"},
		{"every step fails", "fail_step=3+", executor.ErrFailed, "CUDA error"},
		{"waiting throws once", "throw=Executor::awaitResponses#3:range", nil, ""},
		{"waiting throws always", "throw=Executor::awaitResponses#0:class", executor.ErrDead, "waiting for TensorRT-LLM's outputs fails"},
		{"cancelling throws", "throw=Executor::cancelRequest#0:runtime", nil, ""},
		{"statistics throw", "throw=Executor::getLatestIterationStats#0:runtime", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := toyOptions(executortest.Config{MaxSeqIdle: 2 * time.Second})
			e, err := New(s.engine(t, standinConfig, c.script), o)
			if err == nil {
				err = runOne(t, e)
				require.NoError(t, e.Close(), "it ends all the same")
			}
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
		})
	}
}

// An engine whose loop has ended, without a word, can never be closed: the program goes on
// without it, in a process of its own here.
func TestStandinLoopEnds(t *testing.T) {
	s := needStandin(t)
	const child = "TRTGO_STANDIN_CHILD"
	if os.Getenv(child) == "" {
		command := exec.Command(os.Args[0], "-test.run=^TestStandinLoopEnds$")
		command.Env = append(os.Environ(), child+"=1")
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
		return
	}
	e, err := New(s.engine(t, standinConfig, "die=3"), toyOptions(executortest.Config{MaxSeqIdle: 300 * time.Millisecond}))
	require.NoError(t, err)
	err = runOne(t, e)
	require.ErrorIs(t, err, executor.ErrDead)
	require.ErrorContains(t, err, "nothing for its 1 requests")
	require.ErrorIs(t, e.Close(), executor.ErrDead)
	require.ErrorIs(t, e.Submit(executor.Request{InputIDs: []int32{1}, MaxTokens: 1}), executor.ErrDead)
}

// runOne runs a request and returns how it failed.
func runOne(t *testing.T, e *Executor) error {
	t.Helper()
	err := e.Submit(executor.Request{ClientID: 1, InputIDs: []int32{1, 2, 3}, MaxTokens: 5, Sampling: executor.Sampling{TopK: 1}})
	if err != nil {
		return err
	}
	for {
		responses, err := e.Await(t.Context())
		if err != nil {
			return err
		}
		for _, r := range responses {
			if r.Final {
				return r.Err
			}
		}
	}
}

// Native code that hangs is left alone after a while, and the program goes on.
func TestStandinHangs(t *testing.T) {
	s := needStandin(t)
	for _, where := range []string{"step#3", "await", "shutdown"} {
		t.Run(where, func(t *testing.T) {
			release := t.TempDir() + "/release"
			x, err := s.tryEngine(t, standinConfig, "hang="+where+";release="+release)
			require.NoError(t, err)
			e, err := New(x, toyOptions(executortest.Config{MaxSeqIdle: 300 * time.Millisecond}))
			if err == nil {
				if where != "shutdown" {
					require.ErrorIs(t, runOne(t, e), executor.ErrDead)
				}
				require.ErrorIs(t, e.Close(), executor.ErrDead)
			} else {
				require.ErrorIs(t, err, executor.ErrDead)
			}
			require.NoError(t, os.WriteFile(release, nil, 0o600))
			if e != nil {
				require.Eventually(t, func() bool { return e.Close() == nil }, waitTime, tick)
				return
			}
			require.Eventually(t, func() bool { // the one executor of a process can be had again
				x, err := s.tryEngine(t, standinConfig, "")
				if err == nil {
					require.NoError(t, x.Drain())
					require.NoError(t, x.Shutdown())
					x.Close()
				}
				return err == nil
			}, waitTime, 10*tick)
		})
	}
}
