//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
	"github.com/trtgo/trtgo/trtllm"
)

// TestSoak puts random load on executors over the CPU backend, for half as long as
// TRTGO_SOAK_TIME says.
func TestSoak(t *testing.T) {
	engine := filepath.Join(engineDir(t, "llama-gqa", "bfloat16"), engineconfig.EngineName(0))
	open := func(t *testing.T, random *rand.Rand) (executor.Executor, executortest.Model, *executortest.Faulty) {
		runner, err := cpu.Open(t.Context(), engine, cpu.Options{
			Threads: 1 + random.IntN(2), MaxBatchSize: 1 + random.IntN(8), MaxNumTokens: 1 + random.IntN(64), KVCacheTokens: int64(128 + random.IntN(512)),
		})
		require.NoError(t, err)
		limits := runner.Limits()
		x, err := inflight.New(runner, inflight.Options{ChunkTokens: random.IntN(20), Policy: executor.CapacityPolicy(random.IntN(2)), NoBlockReuse: random.IntN(3) == 0})
		require.NoError(t, err)
		return x, cpuModel(limits), nil
	}
	totals := executortest.Soak{Duration: executortest.SoakTime(t) / 2, Seed: executortest.SoakSeed(t), Open: open}.Run(t)
	t.Logf("%+v", totals)
	require.Positive(t, totals.Accepted)
	require.Positive(t, totals.Tokens)
}

// TestEngineSoak does the same, in the other half, to engines as programs use them:
// many goroutines stream and generate, contexts end, loops are left, and engines are
// closed under them. Every call returns, with an error only where there is a reason.
// Two engines share the CPUs at any time.
func TestEngineSoak(t *testing.T) {
	seed := executortest.SoakSeed(t)
	dir := engineDir(t, "llama-text", "bfloat16")
	end := time.Now().Add(executortest.SoakTime(t) / 2)
	var calls atomic.Int64
	var engines sync.WaitGroup
	for i := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, i))
		engines.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				n, err := soakEngine(dir, random)
				if calls.Add(n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	engines.Wait()
	t.Logf("%d calls", calls.Load())
	require.Positive(t, calls.Load())
}

// soakEngine opens an engine, uses it from many goroutines and closes it. It
// returns the number of calls.
func soakEngine(dir string, random *rand.Rand) (int64, error) {
	e, err := trtllm.Open(context.Background(), dir, trtllm.WithThreads(1+random.IntN(2)),
		trtllm.WithMaxBatchSize(1+random.IntN(6)), trtllm.WithKVCacheTokens(256+random.IntN(512)))
	if err != nil {
		return 0, err
	}
	var clients sync.WaitGroup
	var calls atomic.Int64
	var over atomic.Bool
	closes := random.IntN(2) == 0
	failed := make(chan error, 1)
	for range 12 {
		random := rand.New(rand.NewPCG(random.Uint64(), 2))
		clients.Go(func() {
			for !over.Load() {
				calls.Add(1)
				if err := soakCall(e, random); err != nil && !(closes && errors.Is(err, trtllm.ErrClosed)) {
					over.Store(true)
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	time.Sleep(time.Duration(20+random.IntN(200)) * time.Millisecond)
	if closes {
		err = e.Close()
	}
	over.Store(true)
	clients.Wait()
	close(failed)
	s := e.Stats()
	if s.KVBlocksUsed+s.ActiveRequests+s.QueuedRequests != 0 {
		err = errors.Join(err, fmt.Errorf("left behind: %+v", s))
	}
	return calls.Load(), errors.Join(err, <-failed, e.Close())
}

// soakCall makes one call. What it brought upon itself is no error.
func soakCall(e *trtllm.Engine, random *rand.Rand) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := trtllm.Request{
		Prompt: "once upon a time there was "[:1+random.IntN(26)], MaxTokens: 1 + random.IntN(40), Priority: random.Float32(),
		Sampling: trtllm.Sampling{Temperature: 1, Seed: random.Uint64(), NumReturnSequences: 1 + random.IntN(3)},
	}
	if random.IntN(3) == 0 {
		r.StopWords = []string{"e", " th"}
	}
	switch random.IntN(6) {
	case 0: // the context ends somewhere
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(random.IntN(3000))*time.Microsecond)
		defer stop()
		_, err := e.Generate(ctx, r)
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	case 1:
		r.Timeout = time.Duration(1 + random.IntN(3000))
		_, err := e.Generate(ctx, r)
		return err
	case 2:
		r.MaxTokens = 1 << 40
		_, err := e.Generate(ctx, r)
		if errors.Is(err, trtllm.ErrTooLong) {
			return nil
		}
		return errors.Join(errors.New("a request of any length was accepted"), err)
	case 3: // the loop is left
		left := random.IntN(10)
		for _, err := range e.Stream(ctx, r) {
			if err != nil {
				return err
			}
			if left--; left < 0 {
				break
			}
		}
		return nil
	case 4: // the context ends within the loop
		for _, err := range e.Stream(ctx, r) {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				return err
			}
			if random.IntN(10) == 0 {
				cancel()
			}
		}
		return nil
	default:
		for _, err := range e.Stream(ctx, r) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}
