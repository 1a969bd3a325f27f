//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/trtllm"
)

// tinyEngine is the directory of an engine of a tiny model with random weights, which
// the examples run. It has a tokenizer; what it says makes no sense.
var tinyEngine = sync.OnceValue(func() string {
	ctx := context.Background()
	checkpoint, engine := filepath.Join(trtllm.SharedTestDir, "tiny checkpoint"), filepath.Join(trtllm.SharedTestDir, "tiny engine")
	source := filepath.Join("..", "internal", "testmodel", "testdata", "models", "llama-text")
	if _, err := export.Convert(ctx, source, export.Options{OutputDir: checkpoint, Dtype: "float32"}); err != nil {
		panic(err)
	}
	if _, err := build.Build(ctx, build.Options{CheckpointDir: checkpoint, OutputDir: engine}); err != nil {
		panic(err)
	}
	return engine
})

// Chunks come as they are generated; joined, their texts are all of the text.
func ExampleEngine_Stream_chunks() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, tinyEngine(), trtllm.WithThreads(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	request := trtllm.Request{Prompt: "A model of", MaxTokens: 5}
	for chunk, err := range engine.Stream(ctx, request) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %q\n", chunk.OutputIDs, chunk.Text)
		if chunk.FinishReason != trtllm.FinishNone {
			fmt.Println(chunk.FinishReason)
		}
	}
	// Output:
	// [1157] "тель"
	// [1966] "plicat"
	// [1263] "UFAIVOL"
	// [2502] " Tö"
	// [1899] "houdeat"
	// length
}

// Many requests run at once; one that fails loses none of the others.
func ExampleEngine_GenerateBatch() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, tinyEngine(), trtllm.WithThreads(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	results := engine.GenerateBatch(ctx, []trtllm.Request{
		{Prompt: "Soyer trained as a", MaxTokens: 4},
		{Prompt: "Three rivers of France are", MaxTokens: 1 << 20},
		{Prompt: "Good morning", MaxTokens: 4},
	})
	for _, r := range results {
		var failed *trtllm.Error
		if errors.As(r.Err, &failed) {
			fmt.Println(failed.Code)
			continue
		}
		fmt.Println(r.Response.OutputIDs)
	}
	// Output:
	// [1885 1899 2502 1656]
	// too_long
	// [2502 2502 2502 2502]
}

// Log-probs of what was generated, of what nearly was, and of the prompt.
func ExampleEngine_Generate_logProbs() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, tinyEngine(), trtllm.WithThreads(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	response, err := engine.Generate(ctx, trtllm.Request{
		Prompt: "Three rivers of France are", MaxTokens: 3, LogProbs: true, TopLogProbs: 2, PromptLogProbs: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, id := range response.OutputIDs {
		best, second := response.TopLogProbs[i][0], response.TopLogProbs[i][1]
		fmt.Printf("%d: %.1f; second %d: %.1f\n", id, response.LogProbs[i], second.Token, second.LogProb)
		if best.Token != id {
			fmt.Println("which is not greedy")
		}
	}
	fmt.Println(len(response.PromptLogProbs) == len(response.InputIDs), response.PromptLogProbs[0])
	// Output:
	// 1021: -0.3; second 1954: -2.5
	// 910: -0.4; second 1853: -2.4
	// 1966: -0.5; second 1772: -1.1
	// true 0
}

// A logits processor allows each request the tokens that the request itself names.
func ExampleWithLogitsProcessor() {
	ctx := context.Background()
	allow := func(rows []trtllm.ProcessorRow) error {
		for _, row := range rows {
			allowed := row.Data.(map[int32]bool)
			for id := range row.Logits {
				if !allowed[int32(id)] {
					row.Logits[id] = float32(math.Inf(-1))
				}
			}
		}
		return nil
	}
	engine, err := trtllm.Open(ctx, tinyEngine(), trtllm.WithThreads(1), trtllm.WithLogitsProcessor(allow))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	response, err := engine.Generate(ctx, trtllm.Request{
		Prompt: "Yes or no?", MaxTokens: 3, EndIDs: []int32{}, ProcessorData: map[int32]bool{700: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.OutputIDs)
	// Output:
	// [700 700 700]
}

// Iterations are told with TensorRT-LLM's names.
func ExampleEngine_IterationStats() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, tinyEngine(), trtllm.WithThreads(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	if _, err := engine.Generate(ctx, trtllm.Request{InputIDs: []int32{1, 501, 7, 9}, MaxTokens: 3, EndIDs: []int32{}}); err != nil {
		fmt.Println(err)
		return
	}
	for _, iteration := range engine.IterationStats() {
		step, err := json.Marshal(iteration.InflightBatchingStats)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(iteration.NumActiveRequests, iteration.NumCompletedRequests, string(step))
	}
	stats := engine.Stats()
	fmt.Println(stats.FinishedRequests, stats.ContextTokens, stats.GeneratedTokens)
	// Output:
	// 1 0 {"numScheduledRequests":1,"numContextRequests":1,"numGenRequests":0,"numPausedRequests":0,"numCtxTokens":4,"microBatchId":0,"avgNumDecodedTokensPerIter":1}
	// 1 0 {"numScheduledRequests":1,"numContextRequests":0,"numGenRequests":1,"numPausedRequests":0,"numCtxTokens":0,"microBatchId":0,"avgNumDecodedTokensPerIter":1}
	// 0 1 {"numScheduledRequests":1,"numContextRequests":0,"numGenRequests":1,"numPausedRequests":0,"numCtxTokens":0,"microBatchId":0,"avgNumDecodedTokensPerIter":1}
	// 1 4 3
}

// Beams are ordered by score, the best is the first.
func ExampleSampling_beams() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, tinyEngine(), trtllm.WithThreads(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	response, err := engine.Generate(ctx, trtllm.Request{
		Prompt: "Three rivers of France are", MaxTokens: 4, EndIDs: []int32{}, Sampling: trtllm.Sampling{BeamWidth: 2, LengthPenalty: 1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, beam := range response.Sequences {
		fmt.Printf("%d %.1f\n", beam.OutputIDs, beam.CumLogProb)
	}
	// Output:
	// [1021 910 1966 725] -1.5
	// [1021 910 1772 501] -2.1
}
