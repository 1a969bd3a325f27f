//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// Who always wants all CPUs gets them every second time, and who wants more than there
// are, all.
func TestCoresAlternate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCores(2)
		var order []int
		var group sync.WaitGroup
		for who, threads := range []int{2, 5} {
			group.Go(func() {
				time.Sleep(time.Duration(who)) // the first comes first
				for range 20 {
					n, err := c.take(t.Context(), threads)
					require.NoError(t, err)
					require.EqualValues(t, 2, n)
					order = append(order, who)
					time.Sleep(time.Millisecond)
					c.give(n)
				}
			})
		}
		group.Wait()
		for i, who := range order {
			require.Equal(t, i%2, who, "turn %d", i)
		}
	})
}

// A step of many threads is not passed over by steps of few, and those that fit run
// beside each other.
func TestCoresAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCores(4)
		var mu sync.Mutex
		var order []string
		start := time.Now()
		take := func(name string, threads int, from, until time.Duration) {
			time.Sleep(from)
			n, err := c.take(t.Context(), threads)
			require.NoError(t, err)
			mu.Lock()
			order = append(order, name)
			mu.Unlock()
			time.Sleep(until - time.Since(start))
			c.give(n)
		}
		var group sync.WaitGroup
		group.Go(func() { take("three", 3, 0, 10) })
		group.Go(func() { take("one beside it", 1, 1, 5) })
		group.Go(func() { take("four", 4, 2, 20) })
		group.Go(func() { take("one that would have had room", 1, 6, 30) })
		group.Wait()
		require.Equal(t, []string{"three", "one beside it", "four", "one that would have had room"}, order)
	})
}

// Who gives up leaves the queue, and does not hold up those behind.
func TestWaitingForCoresEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCores(2)
		one, err := c.take(t.Context(), 1)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, served := make(chan error, 1), make(chan error, 1)
		go func() { _, err := c.take(ctx, 2); gaveUp <- err }()
		synctest.Wait()
		go func() { _, err := c.take(t.Context(), 1); served <- err }()
		synctest.Wait()
		require.Empty(t, served, "it stands behind")
		cancel()
		require.Equal(t, executor.ErrAborted, <-gaveUp)
		require.NoError(t, <-served)
		c.give(one)
		c.give(1)
		two, err := c.take(t.Context(), 2)
		require.NoError(t, err, "all are free")
		c.give(two)
		_, err = c.take(ctx, 1)
		require.Equal(t, executor.ErrAborted, err)
	})
}

// TestTwoRunners steps two runners at the same time. They give what each gives alone,
// and the threads that run are at most as many as the CPUs; where there are CPUs for
// both, they do run beside each other.
func TestTwoRunners(t *testing.T) {
	m := mediumModel()
	path := m.write(t)
	tokens := randomTokens(1, 60, m.vocab)
	batch := []executor.Sequence{wantingLast(piece(tokens, 0, 0, 1), 0)}
	want := rowLogits(step(t, openEngine(t, path, Options{}), batch...))
	for cpus, largest := range map[int]int64{1: 2, 2: 2, 3: 2, 4: 4} {
		shared := newCores(cpus)
		var most atomic.Int64 // threads that were seen to run
		end, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				most.Store(max(most.Load(), int64(runningThreads())))
				select {
				case <-end:
					return
				case <-time.After(20 * time.Microsecond):
				}
			}
		}()
		var group sync.WaitGroup
		for i := range 2 {
			r := openEngine(t, path, Options{Threads: 2})
			r.cores = shared
			group.Go(func() {
				var out executor.StepResult
				for n := 0; n < 5 || most.Load() < largest && n < 1000; n++ {
					require.NoError(t, r.Step(t.Context(), batch, &out), "runner %d", i)
					sameRows(t, want, rowLogits(out.Rows), "runner", i)
				}
			})
		}
		group.Wait()
		close(end)
		<-ended
		require.Equal(t, largest, most.Load(), "%d CPUs", cpus)
		require.Zero(t, runningThreads())
	}
}

// A step that waits for CPUs ends with its context, and Close waits for one as for any
// other.
func TestStepsWaitForCores(t *testing.T) {
	m := smallModel(bf16)
	r, err := Open(t.Context(), m.write(t), Options{Threads: 2})
	require.NoError(t, err)
	r.cores = newCores(2)
	held, err := r.cores.take(t.Context(), 1)
	require.NoError(t, err)
	batch := []executor.Sequence{wanting(piece([]int32{1, 2}, 0, 0), 1)}
	out := executor.StepResult{Rows: []executor.RowResult{{Max: 5}}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.Equal(t, executor.ErrAborted, r.Step(ctx, batch, &out))
	require.Equal(t, executor.StepResult{Rows: []executor.RowResult{{Max: 5}}}, out)

	stepped, closed := make(chan error, 1), make(chan error, 1)
	go func() { stepped <- r.Step(context.Background(), batch, &out) }()
	require.Eventually(t, func() bool {
		if !r.mu.TryLock() {
			return true
		}
		r.mu.Unlock()
		return false
	}, 10*time.Second, 100*time.Microsecond)
	go func() { closed <- r.Close() }()
	r.cores.give(held)
	require.NoError(t, <-stepped)
	require.NoError(t, <-closed)
	require.Len(t, out.Rows, 2)
}
