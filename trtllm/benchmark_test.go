//go:build cgo && linux && (amd64 || arm64)

package trtllm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/benchdoc"
)

// BenchmarkExecutor measures what the executor costs beside the steps of a model,
// through the public interface, streaming, with text:
//
//	go test -run '^$' -bench BenchmarkExecutor -benchtime 1x -timeout 60m ./trtllm
//
// or `make bench-executor`, which puts the tables into docs/benchmarks.md. The models
// are SmolLM2-135M and one with made-up weights in the shape of Minitron-4B, with all
// of its vocabulary and BENCH_LAYERS of its layers (4; all are 32, which takes 26 GB of
// disk in BENCH_DIR, out/bench, and 9 GB of memory). BENCH_OUTPUT names the document.
//
// Every benchmark repeats its measurement by itself, overhead once only with -short;
// numbers are the least, the median and the greatest. The steps of one and the same
// engine are the measure of overhead, so that a machine shared with others is one for
// both.
func BenchmarkExecutor(b *testing.B) {
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	r := newBenchmarkReport(rounds)
	b.Run("SmolLM2-135M", func(b *testing.B) {
		e := openSmolLM2(b)
		benchmarkOverhead(b, r, e, rounds, 64, 1, 8, 32)
		benchmarkClients(b, r, e, rounds, 64, 8)
		benchmarkIdle(b, r, e)
		benchmarkBusy(b, r, e)
		benchmarkFirstToken(b, r, e, 1024)
		benchmarkCancel(b, r, e, 1900)
	})
	b.Run("4B-shaped", func(b *testing.B) {
		e := openShape4B(b)
		benchmarkOverhead(b, r, e, rounds, 24, 1, 8)
		benchmarkCancel(b, r, e, 500)
	})
	if path := os.Getenv("BENCH_OUTPUT"); path != "" && !b.Failed() {
		require.NoError(b, benchdoc.Update(path, "bench-executor", r.section()))
	}
}

// samplings are what callers ask for. The first one leaves all to the runner; with the
// third, the candidates that a runner returns do not always settle a token, and with
// the last hardly ever: then the whole row is looked at.
var samplings = []struct {
	name string
	Sampling
}{
	{"greedy", Sampling{}},
	{"temperature 0.8, top-p 0.95, repetition penalty 1.1", Sampling{Temperature: 0.8, TopP: 0.95, RepetitionPenalty: 1.1}},
	{"temperature 1", Sampling{Temperature: 1}},
	{"temperature 100", Sampling{Temperature: 100}},
}

// benchmarkOverhead runs batches of streams for so many rounds.
func benchmarkOverhead(b *testing.B, r *benchmarkReport, e *timedEngine, rounds, tokens int, batches ...int) {
	for _, batch := range batches {
		for _, s := range samplings {
			b.Run(fmt.Sprintf("overhead/batch=%d/%s", batch, s.name), func(b *testing.B) {
				var o overhead
				for round := range rounds {
					e.clock.start(true)
					e.streams(b, batch, uint64(round), Request{MaxTokens: tokens, EndIDs: []int32{}, Sampling: s.Sampling})
					o.add(e.clock.stop(), batch, tokens)
				}
				r.overhead(b, e.name, batch, s.name, &o)
			})
		}
	}
}

// benchmarkIdle measures an open engine that has nothing to do, and the whole process
// around it.
func benchmarkIdle(b *testing.B, r *benchmarkReport, e *timedEngine) {
	b.Run("idle", func(b *testing.B) {
		e.firstToken(b, e.prompt(64, 1))
		runtime.GC()
		time.Sleep(500 * time.Millisecond) // threads fall asleep
		var shares []float64
		for range 4 {
			cpu, start := benchdoc.OwnCPU(), time.Now()
			time.Sleep(2 * time.Second)
			shares = append(shares, 100*(benchdoc.OwnCPU()-cpu).Seconds()/time.Since(start).Seconds())
		}
		r.idle(b, benchdoc.SpreadOf(shares))
	})
}

// benchmarkBusy measures the time from one step to the next while goroutines of the
// same process keep the cores busy.
func benchmarkBusy(b *testing.B, r *benchmarkReport, e *timedEngine) {
	for _, procs := range []int{2, 4} {
		for _, busy := range []int{0, 2} {
			b.Run(fmt.Sprintf("gap/GOMAXPROCS=%d/busy=%d", procs, busy), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				defer occupy(busy)()
				e.clock.start(false)
				e.streams(b, 1, 1, Request{MaxTokens: 400, EndIDs: []int32{}})
				gaps, steps := gapsOf(e.clock.stop())
				r.gap(b, procs, busy, gaps, steps)
			})
		}
	}
}

// occupy keeps n goroutines busy until what it returns is called.
func occupy(n int) (release func()) {
	var over atomic.Bool
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			for x := uint64(i); !over.Load(); { // stays in registers
				for range 1000 {
					x = x*6364136223846793005 + 1442695040888963407
				}
				sink.Store(x)
			}
		})
	}
	return func() {
		over.Store(true)
		group.Wait()
	}
}

var sink atomic.Uint64

// benchmarkFirstToken measures the first token of a prompt of which nothing is known,
// and of another one that begins alike.
func benchmarkFirstToken(b *testing.B, r *benchmarkReport, e *timedEngine, n int) {
	b.Run(fmt.Sprintf("first-token/prompt=%d", n), func(b *testing.B) {
		const own = 16
		var cold, warm, ratios []float64
		for round := range 7 {
			shared := e.prompt(n-own, uint64(100+round))
			ask := func(seed int) float64 {
				return e.firstToken(b, append(shared[:len(shared):len(shared)], e.prompt(own, uint64(seed))...)).Seconds()
			}
			c, w := ask(200+round), ask(300+round)
			cold, warm, ratios = append(cold, 1000*c), append(warm, 1000*w), append(ratios, w/c)
		}
		r.firstToken(b, n, n-own, benchdoc.SpreadOf(cold), benchdoc.SpreadOf(warm), benchdoc.SpreadOf(ratios))
	})
}

// benchmarkCancel measures how long after its context's end a stream is over, with
// all of its blocks free, when its prompt is being computed.
func benchmarkCancel(b *testing.B, r *benchmarkReport, e *timedEngine, n int) {
	b.Run(fmt.Sprintf("cancel/prompt=%d", n), func(b *testing.B) {
		full := e.firstToken(b, e.prompt(n, 400))
		var latencies []float64
		for i := range 9 {
			latency, ok := e.cancelled(b, e.prompt(n, uint64(500+i)), full*time.Duration(i+1)/20)
			if ok {
				latencies = append(latencies, 1000*latency.Seconds())
			}
		}
		require.GreaterOrEqual(b, len(latencies), 3, "the prompts were through before they were cancelled")
		r.cancel(b, e.name, n, full, benchdoc.SpreadOf(latencies))
	})
}

// streams runs n streams at once to their ends.
func (e *timedEngine) streams(b *testing.B, n int, seed uint64, r Request) {
	b.Helper()
	errs := make([]error, n)
	texts := make([]int, n)
	var group sync.WaitGroup
	for i := range n {
		q := r
		q.InputIDs = e.prompt(32, seed<<32|uint64(i))
		q.Sampling.Seed = seed<<32 | uint64(i)
		group.Go(func() {
			for chunk, err := range e.Stream(b.Context(), q) {
				errs[i] = err
				texts[i] += len(chunk.Text)
			}
		})
	}
	group.Wait()
	require.NoError(b, errors.Join(errs...))
	for _, bytes := range texts {
		require.Positive(b, bytes, "there is no text to measure")
	}
}

// firstToken is the time from the request to the first token's chunk.
func (e *timedEngine) firstToken(b *testing.B, prompt []int32) time.Duration {
	b.Helper()
	start := time.Now()
	for chunk, err := range e.Stream(b.Context(), Request{InputIDs: prompt, MaxTokens: 2, EndIDs: []int32{}}) {
		require.NoError(b, err)
		if len(chunk.OutputIDs) > 0 {
			return time.Since(start)
		}
	}
	b.Fatal("no token came")
	return 0
}

// cancelled cancels a request after a time and tells how long the stream went on.
// ok is false when the prompt was through by then.
func (e *timedEngine) cancelled(b *testing.B, prompt []int32, after time.Duration) (latency time.Duration, ok bool) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	at := make(chan time.Time, 1)
	timer := time.AfterFunc(after, func() {
		at <- time.Now()
		cancel()
	})
	defer timer.Stop()
	for chunk, err := range e.Stream(ctx, Request{InputIDs: prompt, MaxTokens: 2, EndIDs: []int32{}}) {
		if len(chunk.OutputIDs) > 0 {
			return 0, false
		}
		if err != nil {
			require.ErrorIs(b, err, context.Canceled)
			latency = time.Since(<-at)
		}
	}
	require.Zero(b, e.Stats().KVBlocksUsed, "the blocks are free when the stream is over")
	return latency, latency > 0
}
