// Package trtllm runs engines that `trtgo build` wrote: it generates text or
// token ids, many requests at once, with in-flight batching.
//
// Three types carry it. An [Engine] is an open engine directory; a [Request] says
// what to generate from; a [Response], or the [Chunk]s of a stream, is what came of it.
//
//	engine, err := trtllm.Open(ctx, "engine")
//	if err != nil {
//		return err
//	}
//	defer engine.Close()
//	response, err := engine.Generate(ctx, trtllm.Request{Prompt: "Once upon a time", MaxTokens: 32})
//	if err != nil {
//		return err
//	}
//	fmt.Println(response.Text)
//
// An Engine is safe for concurrent use, and concurrent requests are what it is
// made for: each step serves all of them. What a request generates does not
// depend on the others. Requests and what they point to may be reused as soon as
// a method has returned; responses belong to the caller.
//
// The zero Sampling is greedy. Ending a request's context, or leaving the loop over
// Stream, cancels it after the running step. Close ends what runs with ErrClosed.
//
// Weights are mapped from the engine's file: a file that is truncated while an
// engine is open kills the process. WithLoad("copy") reads it instead.
package trtllm
