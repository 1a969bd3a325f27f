// Package metrics shows engines of package trtllm to Prometheus.
//
//	engine, err := trtllm.Open(ctx, "engine")
//	if err != nil {
//		return err
//	}
//	defer engine.Close()
//	prometheus.MustRegister(metrics.NewCollector(map[string]*trtllm.Engine{"smollm2": engine}))
//	http.Handle("/metrics", promhttp.Handler())
//
// Where TensorRT-LLM's own server has a metric, this one has its name, its meaning and
// its buckets. All have the label engine, the name that the map gives. Time is in
// seconds, memory in bytes.
//
// Counters and gauges are read from [trtllm.Engine.Stats] when Prometheus asks:
//
//	trtllm_num_requests_running               requests that run
//	trtllm_num_requests_waiting               requests that wait
//	trtllm_requests_finished_total{end}       by end: completed, cancelled, timed_out, failed
//	trtllm_request_pauses_total               requests paused for want of KV cache
//	trtllm_iterations_total                   steps
//	trtllm_context_tokens_total               prompt tokens computed
//	trtllm_prompt_cached_tokens_total         prompt tokens found in the KV cache
//	trtllm_generation_tokens_total            tokens generated
//	trtllm_kv_cache_max_blocks                KV cache blocks
//	trtllm_kv_cache_used_blocks               held by requests or promised to them
//	trtllm_kv_cache_free_blocks               the others
//	trtllm_kv_cache_cached_blocks             of these, with content to take over
//	trtllm_kv_cache_tokens_per_block          tokens in a block
//	trtllm_kv_cache_utilization               used_blocks / max_blocks
//	trtllm_kv_cache_reused_blocks_total       full prompt blocks that were there
//	trtllm_kv_cache_missed_blocks_total       full prompt blocks that were not
//	trtllm_kv_cache_hit_rate                  reused / (reused + missed)
//	trtllm_memory_bytes{kind}                 weights, kv_cache, activations; available at open
//
// These are of requests that end after NewCollector. They cost a few additions at a
// request's end and nothing for each token:
//
//	trtllm_request_success_total{finished_reason}  requests without an error: end, stop, length, timeout, ...
//	trtllm_request_error_total{code}          requests with an error, also refused ones, by trtllm.Code
//	trtllm_request_queue_time_seconds         until a request begins to run
//	trtllm_time_to_first_token_seconds        until its first token
//	trtllm_time_per_output_token_seconds      mean time between the tokens of a sequence
//	trtllm_e2e_request_latency_seconds        until its last token
package metrics
