package metrics

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/trtllm"
)

// fakeEngine tells what a test wants.
type fakeEngine struct {
	stats     trtllm.Stats
	observers map[int]func(trtllm.RequestSummary)
	last      int
}

func (e *fakeEngine) Stats() trtllm.Stats { return e.stats }

func (e *fakeEngine) Observe(f func(trtllm.RequestSummary)) func() {
	if e.observers == nil {
		e.observers = map[int]func(trtllm.RequestSummary){}
	}
	e.last++
	id := e.last
	e.observers[id] = f
	return func() { delete(e.observers, id) }
}

func (e *fakeEngine) ended(s trtllm.RequestSummary) {
	for _, f := range e.observers {
		f(s)
	}
}

var busy = trtllm.Stats{
	ActiveRequests: 3, QueuedRequests: 5, Iterations: 700, ContextTokens: 1100, GeneratedTokens: 900,
	FinishedRequests: 20, CancelledRequests: 4, TimedOutRequests: 3, FailedRequests: 2, PausedRequests: 6,
	KVBlocksUsed: 24, KVBlocksCached: 7, KVBlocksTotal: 96, TokensPerBlock: 32, ReusedTokens: 64,
	KVCache: trtllm.KVCacheStats{ReusedBlocks: 2, MissedBlocks: 6, CacheHitRate: 0.25},
	Memory:  trtllm.Memory{Available: 8 << 30, Weights: 1 << 30, KVCache: 2 << 30, Activations: 1 << 20},
}

// Every statistic is there once for each engine, with its value.
func TestStatistics(t *testing.T) {
	engine := &fakeEngine{stats: busy}
	c := newCollector(map[string]source{"a": engine, "b": &fakeEngine{}})
	for _, m := range []struct{ name, kind, labels, a, b string }{
		{"trtllm_num_requests_running", "gauge", "", "3", "0"},
		{"trtllm_num_requests_waiting", "gauge", "", "5", "0"},
		{"trtllm_request_pauses_total", "counter", "", "6", "0"},
		{"trtllm_iterations_total", "counter", "", "700", "0"},
		{"trtllm_context_tokens_total", "counter", "", "1100", "0"},
		{"trtllm_prompt_cached_tokens_total", "counter", "", "64", "0"},
		{"trtllm_generation_tokens_total", "counter", "", "900", "0"},
		{"trtllm_kv_cache_max_blocks", "gauge", "", "96", "0"},
		{"trtllm_kv_cache_used_blocks", "gauge", "", "24", "0"},
		{"trtllm_kv_cache_free_blocks", "gauge", "", "72", "0"},
		{"trtllm_kv_cache_cached_blocks", "gauge", "", "7", "0"},
		{"trtllm_kv_cache_tokens_per_block", "gauge", "", "32", "0"},
		{"trtllm_kv_cache_utilization", "gauge", "", "0.25", "0"},
		{"trtllm_kv_cache_reused_blocks_total", "counter", "", "2", "0"},
		{"trtllm_kv_cache_missed_blocks_total", "counter", "", "6", "0"},
		{"trtllm_kv_cache_hit_rate", "gauge", "", "0.25", "0"},
		{"trtllm_requests_finished_total", "counter", "end=completed,cancelled,timed_out,failed", "11,4,3,2", "0,0,0,0"},
		{"trtllm_memory_bytes", "gauge", "kind=weights,kv_cache,activations,available", "1.073741824e+09,2.147483648e+09,1.048576e+06,8.589934592e+09", "0,0,0,0"},
	} {
		want := []string{"# TYPE " + m.name + " " + m.kind}
		for engine, values := range map[string]string{"a": m.a, "b": m.b} {
			label, kinds, _ := strings.Cut(m.labels, "=")
			for i, value := range strings.Split(values, ",") {
				labels := []string{`engine="` + engine + `"`}
				if label != "" {
					labels = append(labels, label+`="`+strings.Split(kinds, ",")[i]+`"`)
				}
				slices.Sort(labels)
				want = append(want, m.name+"{"+strings.Join(labels, ",")+"} "+value)
			}
		}
		require.ElementsMatch(t, want, shown(t, c, m.name))
	}
	// What is read is what there is now.
	engine.stats.ActiveRequests = 8
	require.Contains(t, shown(t, c, "trtllm_num_requests_running"), `trtllm_num_requests_running{engine="a"} 8`)
}

// Names, units, helps and labels are as Prometheus' own linter wants them.
func TestLint(t *testing.T) {
	engine := &fakeEngine{stats: busy}
	c := newCollector(map[string]source{"a": engine})
	engine.ended(trtllm.RequestSummary{Sequences: []trtllm.SequenceSummary{{}}})
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// The documentation lists every metric, and no other.
func TestDocumentedMetrics(t *testing.T) {
	c := newCollector(map[string]source{"a": &fakeEngine{}})
	described := make(chan *prometheus.Desc, 100)
	c.Describe(described)
	close(described)
	var names []string
	for d := range described {
		name, _, _ := strings.Cut(strings.TrimPrefix(d.String(), `Desc{fqName: "`), `"`)
		names = append(names, name)
	}
	require.ElementsMatch(t, documented(t), names)
}

func summary(reason trtllm.FinishReason, tokens int, scheduled, first, last time.Duration) trtllm.SequenceSummary {
	return trtllm.SequenceSummary{
		OutputTokens: tokens, FinishReason: reason, Timing: trtllm.Timing{Scheduled: scheduled, FirstToken: first, LastToken: last},
	}
}

// Requests are counted by their end, and their times by sequence where it is the
// sequence that counts.
func TestRequests(t *testing.T) {
	engine := &fakeEngine{}
	c := newCollector(map[string]source{"a": engine})
	const ms, s = time.Millisecond, time.Second
	engine.ended(trtllm.RequestSummary{Sequences: []trtllm.SequenceSummary{
		summary(trtllm.FinishStop, 11, 100*ms, 700*ms, 1700*ms), // 100 ms a token
		summary(trtllm.FinishLength, 1, 200*ms, 600*ms, 600*ms), // no gap
		summary(trtllm.FinishTimeout, 0, 0, 0, 0),               // never began
	}})
	engine.ended(trtllm.RequestSummary{Sequences: []trtllm.SequenceSummary{summary(trtllm.FinishStop, 3, 2*s, 3*s, 4*s)}}) // 500 ms
	// One that waited in vain has no times.
	engine.ended(trtllm.RequestSummary{Sequences: []trtllm.SequenceSummary{summary(trtllm.FinishTimeout, 0, 0, 0, 0)}})

	require.InDelta(t, 2, testutil.ToFloat64(c.requests.success.WithLabelValues("a", "stop")), 0)
	require.InDelta(t, 1, testutil.ToFloat64(c.requests.success.WithLabelValues("a", "timeout")), 0)
	require.Equal(t, 2, testutil.CollectAndCount(c.requests.success))
	for name, want := range map[string]float64{
		"trtllm_request_queue_time_seconds": 2.1, "trtllm_time_to_first_token_seconds": 3.6,
		"trtllm_time_per_output_token_seconds": 0.6, "trtllm_e2e_request_latency_seconds": 5.7,
	} {
		count, sum := histogram(t, c, name)
		require.InDelta(t, 2, count, 0, name)
		require.InDelta(t, want, sum, 1e-9, name)
	}
}

// Errors are counted by their code, those that could not be queued too.
func TestRequestErrors(t *testing.T) {
	engine := &fakeEngine{}
	c := newCollector(map[string]source{"a": engine})
	engine.ended(trtllm.RequestSummary{Err: &trtllm.Error{Code: trtllm.CodeQueueFull}})
	engine.ended(trtllm.RequestSummary{Err: &trtllm.Error{Code: trtllm.CodeQueueFull}})
	engine.ended(trtllm.RequestSummary{
		Err: &trtllm.Error{Code: trtllm.CodeCancelled}, Sequences: []trtllm.SequenceSummary{summary(trtllm.FinishCancelled, 2, 1, 2, 3)},
	})
	require.InDelta(t, 2, testutil.ToFloat64(c.requests.errors.WithLabelValues("a", "queue_full")), 0)
	require.InDelta(t, 1, testutil.ToFloat64(c.requests.errors.WithLabelValues("a", "cancelled")), 0)
	require.Zero(t, testutil.CollectAndCount(c.requests.success))
	count, _ := histogram(t, c, "trtllm_time_to_first_token_seconds")
	require.InDelta(t, 1, count, 0, "the refused ones had no first token")
}

func TestCloseStopsObserving(t *testing.T) {
	engine := &fakeEngine{}
	c, other := newCollector(map[string]source{"a": engine}), newCollector(map[string]source{"a": engine})
	c.Close()
	c.Close()
	engine.ended(trtllm.RequestSummary{Sequences: []trtllm.SequenceSummary{{FinishReason: trtllm.FinishEnd}}})
	require.Zero(t, testutil.CollectAndCount(c.requests.success))
	require.Equal(t, 1, testutil.CollectAndCount(other.requests.success))
}

// A registry takes a collector once, and gathers while requests end.
func TestRegistry(t *testing.T) {
	engine := &fakeEngine{stats: busy}
	c := newCollector(map[string]source{"a": engine, "b": &fakeEngine{}})
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	require.Error(t, registry.Register(newCollector(map[string]source{"a": engine})), "the same metrics twice")
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		for ctx.Err() == nil {
			engine.ended(trtllm.RequestSummary{Sequences: []trtllm.SequenceSummary{summary(trtllm.FinishEnd, 2, 1, 2, 3)}})
		}
	})
	for range 50 {
		families, err := registry.Gather()
		require.NoError(t, err)
		require.NotEmpty(t, families)
	}
	cancel()
	wait.Wait()
	require.True(t, registry.Unregister(c))
}

func TestNoEngines(t *testing.T) {
	require.Zero(t, testutil.CollectAndCount(NewCollector(nil)))
}
