//go:build cgo && linux && (amd64 || arm64)

package metrics_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/trtllm"
	"github.com/trtgo/trtgo/trtllm/metrics"
)

// tinyEngine builds an engine of a tiny model with random weights and returns its
// directory.
func tinyEngine(ctx context.Context) string {
	checkpoint, engine := filepath.Join(sharedDir, "checkpoint"), filepath.Join(sharedDir, "engine")
	source := filepath.Join("..", "..", "internal", "testmodel", "testdata", "models", "llama-text")
	if _, err := export.Convert(ctx, source, export.Options{OutputDir: checkpoint, Dtype: "float32"}); err != nil {
		panic(err)
	}
	if _, err := build.Build(ctx, build.Options{CheckpointDir: checkpoint, OutputDir: engine}); err != nil {
		panic(err)
	}
	return engine
}

// A registry takes the collector, here with a label that all of its metrics get, and
// shows what the engine does.
func ExampleNewCollector() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, tinyEngine(ctx), trtllm.WithThreads(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	registry := prometheus.NewRegistry()
	collector := metrics.NewCollector(map[string]*trtllm.Engine{"tiny": engine})
	prometheus.WrapRegistererWith(prometheus.Labels{"zone": "a"}, registry).MustRegister(collector)

	if _, err := engine.Generate(ctx, trtllm.Request{InputIDs: []int32{1, 501, 7}, MaxTokens: 5, EndIDs: []int32{}}); err != nil {
		fmt.Println(err)
		return
	}
	_, err = engine.Generate(ctx, trtllm.Request{InputIDs: []int32{1}, MaxTokens: 1 << 20})
	fmt.Println(err != nil)

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			if value > 0 {
				fmt.Println(family.GetName(), strings.Join(labels, " "), value)
			}
		}
	}
	// Output:
	// true
	// trtllm_context_tokens_total engine=tiny zone=a 3
	// trtllm_e2e_request_latency_seconds engine=tiny zone=a 1
	// trtllm_generation_tokens_total engine=tiny zone=a 5
	// trtllm_iterations_total engine=tiny zone=a 5
	// trtllm_request_error_total code=too_long engine=tiny zone=a 1
	// trtllm_request_queue_time_seconds engine=tiny zone=a 1
	// trtllm_request_success_total engine=tiny finished_reason=length zone=a 1
	// trtllm_requests_finished_total end=completed engine=tiny zone=a 1
	// trtllm_time_per_output_token_seconds engine=tiny zone=a 1
	// trtllm_time_to_first_token_seconds engine=tiny zone=a 1
}
