package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/trtgo/trtgo/trtllm"
)

// statistic is one metric that is read from an engine's Stats.
type statistic struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	// values gives the metric's values, each with the value of the second label, or ""
	// when there is none.
	values func(s *trtllm.Stats) []labelled
}

type labelled struct {
	label string
	value float64
}

func (m *statistic) collect(s *trtllm.Stats, engine string, out chan<- prometheus.Metric) {
	for _, v := range m.values(s) {
		labels := []string{engine}
		if v.label != "" {
			labels = append(labels, v.label)
		}
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, v.value, labels...)
	}
}

func newStatistic(kind prometheus.ValueType, name, help, label string, values func(s *trtllm.Stats) []labelled) statistic {
	labels := []string{"engine"}
	if label != "" {
		labels = append(labels, label)
	}
	return statistic{prometheus.NewDesc("trtllm_"+name, help, labels, nil), kind, values}
}

func gauge[T int | int64 | float64](name, help string, value func(s *trtllm.Stats) T) statistic {
	return newStatistic(prometheus.GaugeValue, name, help, "", func(s *trtllm.Stats) []labelled {
		return []labelled{{value: float64(value(s))}}
	})
}

func counter(name, help string, value func(s *trtllm.Stats) uint64) statistic {
	return newStatistic(prometheus.CounterValue, name, help, "", func(s *trtllm.Stats) []labelled {
		return []labelled{{value: float64(value(s))}}
	})
}

var statistics = []statistic{
	gauge("num_requests_running", "Requests that run.", func(s *trtllm.Stats) int { return s.ActiveRequests }),
	gauge("num_requests_waiting", "Requests that wait.", func(s *trtllm.Stats) int { return s.QueuedRequests }),
	newStatistic(prometheus.CounterValue, "requests_finished_total", "Requests that ended, by end.", "end", ends),
	counter("request_pauses_total", "Requests paused for want of KV cache, to be computed again.",
		func(s *trtllm.Stats) uint64 { return s.PausedRequests }),
	counter("iterations_total", "Steps done.", func(s *trtllm.Stats) uint64 { return s.Iterations }),
	counter("context_tokens_total", "Prompt tokens computed.", func(s *trtllm.Stats) uint64 { return s.ContextTokens }),
	counter("prompt_cached_tokens_total", "Prompt tokens found in the KV cache.", func(s *trtllm.Stats) uint64 { return s.ReusedTokens }),
	counter("generation_tokens_total", "Tokens generated.", func(s *trtllm.Stats) uint64 { return s.GeneratedTokens }),

	gauge("kv_cache_max_blocks", "KV cache blocks.", func(s *trtllm.Stats) int { return s.KVBlocksTotal }),
	gauge("kv_cache_used_blocks", "KV cache blocks held by requests or promised to them.", func(s *trtllm.Stats) int { return s.KVBlocksUsed }),
	gauge("kv_cache_free_blocks", "KV cache blocks held by no request.", func(s *trtllm.Stats) int { return s.KVBlocksTotal - s.KVBlocksUsed }),
	gauge("kv_cache_cached_blocks", "KV cache blocks held by no request, with content that one may take over.",
		func(s *trtllm.Stats) int { return s.KVBlocksCached }),
	gauge("kv_cache_tokens_per_block", "Tokens in a KV cache block.", func(s *trtllm.Stats) int { return s.TokensPerBlock }),
	gauge("kv_cache_utilization", "Used KV cache blocks / all.", func(s *trtllm.Stats) float64 {
		return float64(s.KVBlocksUsed) / float64(max(1, s.KVBlocksTotal))
	}),
	counter("kv_cache_reused_blocks_total", "Full prompt blocks that were in the KV cache.",
		func(s *trtllm.Stats) uint64 { return s.KVCache.ReusedBlocks }),
	counter("kv_cache_missed_blocks_total", "Full prompt blocks that were not in the KV cache.",
		func(s *trtllm.Stats) uint64 { return s.KVCache.MissedBlocks }),
	gauge("kv_cache_hit_rate", "Reused prompt blocks / (reused + missed).", func(s *trtllm.Stats) float64 { return s.KVCache.CacheHitRate }),

	newStatistic(prometheus.GaugeValue, "memory_bytes", "Memory the engine was opened with, and what was available then.", "kind",
		func(s *trtllm.Stats) []labelled {
			return []labelled{
				{"weights", float64(s.Memory.Weights)}, {"kv_cache", float64(s.Memory.KVCache)},
				{"activations", float64(s.Memory.Activations)}, {"available", float64(s.Memory.Available)},
			}
		}),
}

// ends divides the requests that ended.
func ends(s *trtllm.Stats) []labelled {
	completed := float64(s.FinishedRequests) - float64(s.CancelledRequests) - float64(s.TimedOutRequests) - float64(s.FailedRequests)
	return []labelled{
		{"completed", completed}, {"cancelled", float64(s.CancelledRequests)},
		{"timed_out", float64(s.TimedOutRequests)}, {"failed", float64(s.FailedRequests)},
	}
}
