package trtllm_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// Open an engine directory and print a continuation as it comes.
func Example() {
	run := func(ctx context.Context) error {
		engine, err := trtllm.Open(ctx, "engine")
		if err != nil {
			return err
		}
		defer engine.Close()

		request := trtllm.Request{Prompt: "Born in north-east France, Soyer trained as a", MaxTokens: 64}
		for chunk, err := range engine.Stream(ctx, request) {
			if err != nil {
				return err
			}
			fmt.Print(chunk.Text)
		}
		return nil
	}
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
	}
}

// Errors tell why an engine cannot be opened.
func ExampleOpen() {
	engine, err := trtllm.Open(context.Background(), "engine",
		trtllm.WithThreads(8), trtllm.WithPrecision("exact"), trtllm.WithKVCacheTokens(4096))
	switch {
	case errors.Is(err, trtllm.ErrNotAnEngine):
		fmt.Println("build one with: trtgo build --backend cpu")
		return
	case errors.Is(err, trtllm.ErrNoBackend):
		fmt.Println("this machine cannot run it:", err)
		return
	case err != nil:
		fmt.Println(err)
		return
	}
	defer engine.Close()
	fmt.Println(engine.Config().MaxSeqLen)
}

// A conversation is rendered by the model's own chat template.
func ExampleEngine_Generate() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, "engine")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	response, err := engine.Generate(ctx, trtllm.Request{
		Messages:  []tokenizer.Message{{Role: "user", Content: "Name three rivers of France."}},
		MaxTokens: 48,
		LogProbs:  true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.Text, response.FinishReason)
	for i, id := range response.OutputIDs {
		fmt.Println(id, response.LogProbs[i])
	}
}

// The end of a context cancels a request; what came until then has been yielded.
func ExampleEngine_Stream() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	engine, err := trtllm.Open(ctx, "engine")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	request := trtllm.Request{InputIDs: []int32{1, 501}, MaxTokens: 32, StopWords: []string{"\n\n"}}
	for chunk, err := range engine.Stream(ctx, request) {
		if errors.Is(err, context.DeadlineExceeded) {
			fmt.Println("out of time")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(chunk.Text)
	}
}

// Draw three continuations instead of taking the best tokens. The same seed gives the
// same three again, whatever else runs.
func ExampleSampling() {
	ctx := context.Background()
	engine, err := trtllm.Open(ctx, "engine")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	response, err := engine.Generate(ctx, trtllm.Request{
		Prompt:    "Once upon a time",
		MaxTokens: 32,
		Sampling:  trtllm.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, Seed: 7, NumReturnSequences: 3},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sequence := range response.Sequences {
		fmt.Println(sequence.Text)
	}
}

// A program that mpirun starts once for each rank of the engine: the leader serves, the
// others compute for it until it ends.
func ExampleFinalize() {
	run := func(ctx context.Context) error {
		engine, err := trtllm.Open(ctx, "engine")
		if err != nil {
			return err
		}
		if !engine.Leader() {
			return errors.Join(engine.Wait(ctx), engine.Close())
		}
		defer engine.Close()

		response, err := engine.Generate(ctx, trtllm.Request{Prompt: "Once upon a time", MaxTokens: 32})
		if err != nil {
			return err
		}
		fmt.Println(response.Text)
		return nil
	}
	err := run(context.Background())
	if err == nil {
		err = trtllm.Finalize()
	}
	if err != nil {
		fmt.Println(err)
	}
}
