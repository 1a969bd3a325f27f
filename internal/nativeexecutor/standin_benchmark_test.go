//go:build cgo && linux

package nativeexecutor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/executor"
)

// BenchmarkStandinExecutor measures what a token of TensorRT-LLM's executor costs beside
// it, over the production shim and the stand-in: CPU time of the process but for the
// thread of the stand-in's loop, whose toy model is all that is not the product's. So
// what upstream does within awaitResponses counts.
//
//	eval "$(scripts/verify_executor.sh plain)" &&
//	MALLOC_ARENA_MAX=1 go test -run '^$' -bench BenchmarkStandinExecutor -benchtime 1x -v ./internal/nativeexecutor
//
// Memory is that of an engine whose steps take 1.5 ms more, for the toy's are so short
// that outputs pile up in the stand-in, and with one arena of the C library's, so that
// what one thread frees another finds. Each number is the least, the median and the greatest of five rounds. BENCH_OUTPUT
// names the document that gets the table.
func BenchmarkStandinExecutor(b *testing.B) {
	s := needStandin(b)
	const streams, rounds, tokens = 256, 5, 200_000
	config := fmt.Sprintf(`{"vocab_size": 97, "max_seq_len": 1024, "max_batch_size": %d, "max_num_tokens": 8192, "tokens_per_block": 32}`, streams)
	o := Options{VocabSize: 97, MaxInputLen: 1000, MaxSeqLen: 1024}
	open := func(script string) *Executor {
		e, err := New(s.engine(b, config, fmt.Sprintf("kv_blocks=%d;%s", streams*10, script), native.Ints("maxBeamWidth", 1), native.Ints("requestStatsMaxIterations", 0)), o)
		require.NoError(b, err)
		return e
	}
	e := open("")
	defer func() { require.NoError(b, e.Close()) }()
	var table []string
	row := func(what string, spread benchdoc.Spread, format, unit string) {
		table = append(table, fmt.Sprintf("| %s | %s | %s |", what, spread.Text(format), unit))
	}

	kinds := []struct {
		name    string
		request executor.Request
	}{
		{"greedy", executor.Request{Sampling: executor.Sampling{TopK: 1}}},
		{"sampled, log-probs, a stop sequence", executor.Request{LogProbs: true, Sampling: executor.Sampling{TopK: 40, TopP: 0.9}, StopSequences: [][]int32{{96, 96, 96}}}},
	}
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			l := &streamed{e: e, request: k.request, streams: streams}
			l.run(b, tokens/10)
			var costs, batches []float64
			for range rounds {
				start, at := ownCPU(b), time.Now()
				n, calls := l.run(b, tokens)
				costs = append(costs, float64(ownCPU(b)-start)/float64(n)/1e3)
				batches = append(batches, float64(n)/float64(calls))
				b.Logf("%d tokens in %v", n, time.Since(at))
			}
			cost := benchdoc.SpreadOf(costs)
			b.ReportMetric(0, "ns/op") // of no use
			b.ReportMetric(cost.Least, "cpu-µs/token-min")
			b.ReportMetric(cost.Median, "cpu-µs/token")
			b.ReportMetric(cost.Most, "cpu-µs/token-max")
			b.ReportMetric(benchdoc.SpreadOf(batches).Median, "tokens/await")
			row(fmt.Sprintf("CPU of a token, %d streams, %s", streams, k.name), cost, "%.2f", "µs")
			l.drain(b)
		})
	}
	b.Run("idle", func(b *testing.B) {
		var shares []float64
		for range rounds {
			start, at := ownCPU(b), time.Now()
			time.Sleep(time.Second)
			shares = append(shares, 100*float64(ownCPU(b)-start)/float64(time.Since(at)))
		}
		share := benchdoc.SpreadOf(shares)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(share.Median, "%core")
		row("an open executor without requests", share, "%.3f", "% of a core")
	})
	b.Run("memory", func(b *testing.B) {
		require.NoError(b, e.Close())
		e = open("step_us=1500")
		l := &streamed{e: e, request: kinds[0].request, streams: streams}
		l.run(b, 2*tokens)
		var growth, heap []float64
		for range rounds {
			before, goBefore := memory(b), goHeap()
			l.run(b, 1_000_000)
			growth = append(growth, float64(memory(b)-before)/1e3)
			heap = append(heap, float64(goHeap()-goBefore)/1e6)
		}
		l.drain(b)
		spread := benchdoc.SpreadOf(growth)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(spread.Median, "MB/1e6-tokens")
		row("growth of the process's memory over 1 000 000 tokens", spread, "%.1f", "MB")
		row("of Go's heap in it", benchdoc.SpreadOf(heap), "%.1f", "MB")
	})
	section := "`BenchmarkStandinExecutor`, " + time.Now().Format(time.DateOnly) + ", " + benchdoc.Machine() + ". Least, median, greatest of " + fmt.Sprint(rounds) +
		" rounds.\n\n| | least / median / greatest | |\n|---|---|---|\n" + strings.Join(table, "\n") + "\n"
	b.Log("\n" + section)
	if path := os.Getenv("BENCH_OUTPUT"); path != "" && !b.Failed() {
		require.NoError(b, benchdoc.Update(path, "bench-native-executor", section))
	}
}

// streamed keeps streams running.
type streamed struct {
	e       *Executor
	request executor.Request
	streams int
	lastID  uint64
	live    int
}

func (l *streamed) submit(b *testing.B) {
	b.Helper()
	r := l.request
	l.lastID++
	l.live++
	r.ClientID, r.InputIDs, r.MaxTokens, r.Streaming = l.lastID, []int32{int32(l.lastID % 97), 5}, 200, true
	r.Sampling.Seed = l.lastID
	require.NoError(b, l.e.Submit(r))
}

// run takes so many tokens from as many streams as there should be. It tells how many
// there were, in how many calls of Await.
func (l *streamed) run(b *testing.B, want int) (tokens, calls int) {
	b.Helper()
	for l.live < l.streams {
		l.submit(b)
	}
	for tokens < want {
		n, ended := l.await(b)
		tokens, calls = tokens+n, calls+1
		for range ended {
			l.submit(b)
		}
	}
	return tokens, calls
}

func (l *streamed) await(b *testing.B) (tokens, ended int) {
	b.Helper()
	responses, err := l.e.Await(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for i := range responses {
		r := &responses[i]
		if r.Err != nil {
			b.Fatal(r.Err)
		}
		tokens += len(r.OutputIDs)
		if r.Final {
			ended++
		}
	}
	l.live -= ended
	return tokens, ended
}

// drain ends the streams.
func (l *streamed) drain(b *testing.B) {
	b.Helper()
	for id := l.lastID; id > 0 && id+2*uint64(l.streams) > l.lastID; id-- {
		l.e.Cancel(id)
	}
	for l.live > 0 {
		l.await(b)
	}
}

// ownCPU is what all threads of the process have run, but for that of upstream's loop.
func ownCPU(b *testing.B) (total time.Duration) {
	b.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*")
	require.NoError(b, err)
	loops := 0
	for _, task := range tasks {
		name, err := os.ReadFile(filepath.Join(task, "comm"))
		if err != nil {
			continue // it has ended
		}
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		require.NoError(b, err)
		if string(bytes.TrimSpace(name)) == "executionLoop" {
			loops++
			continue
		}
		var ran int64
		_, err = fmt.Sscan(string(text), &ran)
		require.NoError(b, err)
		total += time.Duration(ran)
	}
	require.Equal(b, 1, loops, "the loop of the stand-in is a thread of that name")
	return total
}

// goHeap is what Go's heap holds, in bytes, after a collection.
func goHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// memory is the process's anonymous memory in kB, after a collection.
func memory(b *testing.B) (kB int) {
	b.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	for line := range bytes.Lines(text) {
		_, _ = fmt.Sscanf(string(line), "RssAnon: %d kB", &kB)
	}
	require.Positive(b, kB)
	return kB
}
