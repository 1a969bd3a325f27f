//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

func TestClosedRunner(t *testing.T) {
	m := smallModel(bf16)
	for _, load := range []string{"mmap", "copy"} {
		r, err := Open(t.Context(), m.write(t), Options{Threads: 2, Load: load})
		require.NoError(t, err)
		batch := []executor.Sequence{wanting(piece([]int32{1, 2, 3}, 0, 0), 1)}
		step(t, r, batch...)
		limits := r.Limits()
		for range 3 {
			require.NoError(t, r.Close())
			require.Equal(t, executor.ErrClosed, r.Step(t.Context(), batch, &executor.StepResult{}))
			require.Equal(t, executor.ErrClosed, r.Step(t.Context(), nil, nil))
			require.Equal(t, executor.ErrClosed, r.CopyBlock(0, 1, 1))
			require.Equal(t, executor.ErrClosed, r.CopyBlock(-1, 0, 0))
			r.SetObserver(nil)
			require.Equal(t, limits, r.Limits())
			d := r.Describe()
			require.Equal(t, "fast", d.Precision)
			require.Zero(t, d.KVBytes)
			require.Zero(t, d.ActivationBytes)
		}
	}
}

// TestCloseWaits closes while a step runs: the step ends as if nothing had happened.
func TestCloseWaits(t *testing.T) {
	m := mediumModel()
	path := m.write(t)
	tokens := randomTokens(1, 200, m.vocab)
	batch := []executor.Sequence{wanting(piece(tokens, 0, blocksFrom(0, 200)...), 0)}
	want := rowLogits(step(t, openEngine(t, path, Options{}), batch...))
	r, err := Open(t.Context(), path, Options{Threads: 2})
	require.NoError(t, err)
	type result struct {
		out executor.StepResult
		err error
	}
	results := make(chan result, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		var one result
		one.err = r.Step(context.Background(), batch, &one.out)
		results <- one
	}()
	<-started
	require.NoError(t, r.Close())
	one := <-results
	if errors.Is(one.err, executor.ErrClosed) {
		return // Close came first
	}
	require.NoError(t, one.err)
	sameRows(t, want, rowLogits(one.out.Rows))
}

// held is what a runner takes from the system and Close must give back.
type held struct{ descriptors, engineMappings int }

func holding(t *testing.T) held {
	t.Helper()
	var h held
	descriptors, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	h.descriptors = len(descriptors)
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	h.engineMappings = strings.Count(string(maps), "rank0.engine")
	return h
}

// workerThreads counts the threads of this process that are named as workers are.
func workerThreads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	n := 0
	for _, task := range tasks {
		name, err := os.ReadFile("/proc/self/task/" + task.Name() + "/comm")
		if err == nil && strings.TrimSpace(string(name)) == "trtgo-worker" { // another thread may have ended meanwhile
			n++
		}
	}
	return n
}

// TestNothingIsLeftAfterClose opens, runs and closes runners, and fails to open some:
// threads, descriptors and mappings are gone. (Goroutines: TestMain.)
func TestNothingIsLeftAfterClose(t *testing.T) {
	m := smallModel(bf16)
	path := m.write(t)
	cycle := func(load string) {
		r, err := Open(t.Context(), path, Options{Threads: 5, Load: load})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var out executor.StepResult
		require.NoError(t, r.Step(ctx, []executor.Sequence{wanting(piece([]int32{1, 2}, 0, 0), 1)}, &out))
		cancel()
		// The fifth is the caller. A thread that has just begun has no name yet: a step
		// does not wait for workers that come too late.
		require.Eventually(t, func() bool { return workerThreads(t) == 4 }, 10*time.Second, time.Millisecond)
		during := holding(t)
		if load == "mmap" {
			require.Equal(t, 1, during.engineMappings)
		} else {
			require.Zero(t, during.engineMappings)
		}
		require.NoError(t, r.Close())
		// A joined thread may stand in the list for a moment.
		require.Eventually(t, func() bool { return workerThreads(t) == 0 }, 10*time.Second, time.Millisecond)
		_, err = Open(t.Context(), path, Options{Threads: 5, Load: load, KVCacheBytes: 1})
		require.ErrorContains(t, err, "holds no block")
	}
	cycle("mmap")
	before := holding(t)
	require.Zero(t, before.engineMappings)
	for i := range 10 {
		cycle([]string{"mmap", "copy"}[i%2])
	}
	after := holding(t)
	require.LessOrEqual(t, after.descriptors, before.descriptors)
	require.Zero(t, after.engineMappings)
}

// TestMemoryIsGivenBack opens engines whose cache and copy are large in address space:
// after many of them it has not grown.
func TestMemoryIsGivenBack(t *testing.T) {
	m := smallModel(bf16)
	path := m.write(t)
	const cache = 1 << 30
	cycle := func() {
		r, err := Open(t.Context(), path, Options{Threads: 2, Load: "copy", KVCacheBytes: cache})
		require.NoError(t, err)
		require.Greater(t, r.Describe().KVBytes, int64(cache-1<<20))
		step(t, r, piece([]int32{1, 2}, 0, 0))
		require.NoError(t, r.Close())
	}
	cycle()
	before := addressSpace(t)
	for range 20 {
		cycle()
	}
	require.Less(t, addressSpace(t), before+cache)
}

// addressSpace is the size of this process's mappings in bytes.
func addressSpace(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	pages, _, _ := strings.Cut(string(b), " ")
	var n int64
	for _, digit := range pages {
		n = 10*n + int64(digit-'0')
	}
	return n * int64(os.Getpagesize())
}
